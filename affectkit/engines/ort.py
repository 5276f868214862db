"""ONNX Runtime; the only file that imports it."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from affectkit.engines.base import usable_cores
from affectkit.engines.plans import cache_folder
from affectkit.errors import DeviceUnavailable, EngineError, MissingDependency
from affectkit.types import Array
from affectkit.versions import versions_of

try:
    import onnxruntime
except ModuleNotFoundError as error:
    if error.name != "onnxruntime":  # a broken installation, not a missing one
        raise
    raise MissingDependency("onnxruntime", "cpu", "running a model") from error

log = logging.getLogger(__name__)

_SESSIONS: weakref.WeakValueDictionary[tuple[object, ...], onnxruntime.InferenceSession] = weakref.WeakValueDictionary()
"""Sessions in use, by file and settings. They may be run from several threads, and weights are in memory once."""
_SESSIONS_LOCK = threading.Lock()

SMALL_BYTES = 32 << 20
"""Networks under this size are computed by a thread each, larger ones by all threads together."""

_DTYPES = {
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
}


def installed() -> dict[str, str]:
    """Version by name of the ONNX Runtime distributions that are installed; more than one overwrite each other."""
    return versions_of("onnxruntime", "onnxruntime-gpu")


def check_installation() -> None:
    """Refuse an environment that holds both builds of ONNX Runtime.

    Raises:
        EngineError: both are installed, so which files are whose is chance.
    """
    if len(installed()) > 1:
        raise EngineError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; mend it with: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'affectkit[gpu]' (or 'affectkit[cpu]')"
        )


def providers() -> list[str]:
    """Names of the execution providers this build of ONNX Runtime brings."""
    return list(onnxruntime.get_available_providers())


def _preload() -> None:
    """CUDA and cuDNN may come as pip packages, which the loader does not find by itself (since ONNX Runtime 1.21)."""
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


class OrtEngine:
    """A network on ONNX Runtime."""

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        self._path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: its warnings about node placement go to stderr otherwise
        # Threads that spin while they wait take the cores from decoding and drawing between two runs: 74 frames a
        # second with, 112 without, on two cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A small network is computed by one thread, and a batch in parts by several: two threads within each of its
        # layers wait for each other (float32 1.9 times as fast as one thread, int8 1.2 times; in parts both 1.9).
        threads = threads or usable_cores()
        small = self._path.is_file() and self._path.stat().st_size < SMALL_BYTES
        in_parts = threads > 1 and small and device in ("auto", "cpu")
        options.intra_op_num_threads = 1 if in_parts else threads
        self._session: onnxruntime.InferenceSession | None = None
        if device == "auto":
            self._session, self._device = self._open_auto(options)
        elif device == "cpu":
            self._session, self._device = self._open(["CPUExecutionProvider"], options), "cpu"
        elif device == "ort-tensorrt":
            self._session, self._device = self._open_tensorrt(options)
        else:
            self._session, self._device = self._open_cuda(device, options)
        self._inputs = {i.name: (_DTYPES.get(i.type), i.shape) for i in self._session.get_inputs()}
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._batch_axes = self._find_batch_axes() if in_parts and self._device == "cpu" else None
        self._pool = None if self._batch_axes is None else ThreadPoolExecutor(threads - 1, "affectkit network")
        self._parts = threads

    def _find_batch_axes(self) -> list[int] | None:
        """Where in each output the batch lies; None where it cannot be cut into parts."""
        assert self._session is not None
        given = [i.shape for i in self._session.get_inputs()]
        batch = given[0][0] if len(given) == 1 and given[0] else None
        found = [o.shape.index(batch) if batch in o.shape else -1 for o in self._session.get_outputs()]
        return found if isinstance(batch, str) and -1 not in found else None

    def _open(self, wanted: list[str | tuple[str, dict[str, str]]], options: object) -> onnxruntime.InferenceSession:
        """A session of this file with these providers; one that another engine of this process holds is shared."""
        facts = self._path.stat() if self._path.is_file() else None
        same_file = (str(self._path.resolve()), facts and facts.st_mtime_ns, facts and facts.st_size)
        key = (*same_file, repr(wanted), options.intra_op_num_threads)  # type: ignore[attr-defined]
        with _SESSIONS_LOCK:
            session = _SESSIONS.get(key)
            if session is None:
                session = _SESSIONS[key] = self._load(wanted, options)
        return session

    def _load(self, wanted: list[str | tuple[str, dict[str, str]]], options: object) -> onnxruntime.InferenceSession:
        try:
            return onnxruntime.InferenceSession(str(self._path), options, providers=wanted)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            reason = str(error).strip().splitlines()[0]
            raise EngineError(f"{self._path}: ONNX Runtime cannot load it: {reason}") from error

    def _open_cuda(self, device: str, options: object) -> tuple[onnxruntime.InferenceSession, str]:
        number = device.partition(":")[2] or "0"
        if "CUDAExecutionProvider" not in providers():
            raise DeviceUnavailable(
                f"device {device!r}: the installed ONNX Runtime has no CUDA provider; "
                "pip uninstall -y onnxruntime && pip install 'affectkit[gpu]', or use --device cpu"
            )
        _preload()
        # TF32 rounds to ten bits, which no golden output of a float32 network survives.
        session = self._open([("CUDAExecutionProvider", {"device_id": number, "use_tf32": "0"})], options)
        # ONNX Runtime falls back to the CPU without an error (microsoft/onnxruntime#23372), so what it took is checked.
        if session.get_providers()[0] != "CUDAExecutionProvider":
            raise DeviceUnavailable(
                f"device {device!r}: CUDA could not be started (no GPU with that number, or its driver, CUDA or cuDNN "
                "is missing); see `affectkit doctor`, or use --device cpu"
            )
        return session, f"cuda:{number}"

    def _open_tensorrt(self, options: object) -> tuple[onnxruntime.InferenceSession, str]:
        """ONNX Runtime's own way into TensorRT; what that cannot run goes to CUDA."""
        if "TensorrtExecutionProvider" not in providers():
            raise DeviceUnavailable(
                "device 'ort-tensorrt': the installed ONNX Runtime has no TensorRT provider; pip uninstall -y "
                "onnxruntime && pip install 'affectkit[gpu]' 'tensorrt<11' (it is linked with 10), or use --device cpu"
            )
        _preload()
        folder = cache_folder() / "ort-tensorrt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(f"{folder}: cannot be made ({error.strerror}); set AFFECTKIT_CACHE to another") from error
        cache = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder), "trt_timing_cache_enable": "1"}
        rest = ("CUDAExecutionProvider", {"use_tf32": "0"})
        wanted: list[str | tuple[str, dict[str, str]]] = [("TensorrtExecutionProvider", cache), rest]
        session = self._open(wanted, options)
        if session.get_providers()[0] != "TensorrtExecutionProvider":
            raise DeviceUnavailable(
                "device 'ort-tensorrt': TensorRT could not be started (no GPU, or TensorRT's libraries, CUDA or cuDNN "
                "are missing); see `affectkit doctor`, or use --device cpu"
            )
        return session, "ort-tensorrt"

    def _open_auto(self, options: object) -> tuple[onnxruntime.InferenceSession, str]:
        if "CUDAExecutionProvider" in providers():
            try:
                return self._open_cuda("cuda", options)
            except EngineError as error:
                log.info("%s", error)
        return self._open(["CPUExecutionProvider"], options), "cpu"

    @property
    def device(self) -> str:
        """``cpu``, ``cuda:N`` or ``ort-tensorrt``: what the session really took."""
        return self._device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`affectkit.engines.Engine`."""
        if self._session is None:
            raise EngineError(f"{self._path}: the engine is closed")
        self._check(inputs)
        try:
            if self._device.startswith("cuda"):
                answers = self._run_bound(inputs)
            else:
                answers = self._run_in_parts(inputs)
        except Exception as error:  # as above
            reason = str(error).strip().splitlines()[0]
            raise EngineError(f"{self._path}: ONNX Runtime failed: {reason}") from error
        return {name: np.asarray(answer) for name, answer in zip(self._outputs, answers, strict=True)}

    def _run_in_parts(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Run a batch as several smaller ones at the same time, where that helps."""
        session = self._session
        assert session is not None
        (name, faces), *others = inputs.items()
        parts = min(self._parts, len(faces)) if self._pool is not None and not others else 1
        if parts < 2 or self._pool is None or self._batch_axes is None:
            return list(session.run(self._outputs, dict(inputs)))
        first, *rest = np.array_split(faces, parts)
        waiting = [self._pool.submit(session.run, self._outputs, {name: part}) for part in rest]
        try:
            answers = [session.run(self._outputs, {name: first})]
        finally:  # whatever happens, nothing goes on in the background
            concluded = [future.exception() for future in waiting]
        for error in concluded:
            if error is not None:
                raise error
        answers += [future.result() for future in waiting]
        return [np.concatenate([answer[k] for answer in answers], axis=axis) for k, axis in enumerate(self._batch_axes)]

    def _run_bound(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Run with inputs and outputs bound: each is copied once, and nothing waits in between."""
        assert self._session is not None
        binding = self._session.io_binding()
        for name, values in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(values))
        for name in self._outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    def _check(self, inputs: Mapping[str, Array]) -> None:
        if inputs.keys() != self._inputs.keys():
            raise EngineError(f"{self._path}: takes the inputs {sorted(self._inputs)}, got {sorted(inputs)}")
        for name, (dtype, shape) in self._inputs.items():
            given = inputs[name]
            if dtype is not None and given.dtype != dtype:
                raise EngineError(f"{self._path}: input {name!r} must be {dtype}, got {given.dtype}")
            fits = len(given.shape) == len(shape) and all(
                not isinstance(want, int) or want == got for want, got in zip(shape, given.shape, strict=False)
            )
            if not fits:
                allowed = ", ".join(str(want) for want in shape)
                raise EngineError(f"{self._path}: input {name!r} must have shape ({allowed}), got {given.shape}")

    def close(self) -> None:
        """See :class:`affectkit.engines.Engine`."""
        self._session = None
        if self._pool is not None:
            self._pool.shutdown()
