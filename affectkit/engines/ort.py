"""ONNX Runtime; the only file that imports it."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.engines.base import usable_cores
from affectkit.engines.plans import Profile, cache_folder
from affectkit.engines.providers import PROVIDERS, Asked, Provider, without_tf32
from affectkit.errors import DeviceUnavailable, EngineError, MissingDependency, NoDevice
from affectkit.forking import OF_A_DEVICE, Lock, SameProcess, Workers, left_behind, tell_after_fork
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
"""Sessions in use, by process, file and settings. Several threads may run them, and weights are in memory once."""
_SESSIONS_LOCK = Lock()
_PLUGINS: set[str] = set()
"""Those that are loaded, by provider."""
_PLUGINS_LOCK = Lock()
Wanted = list[str | tuple[str, dict[str, str]]]
"""Providers, with what they are told."""

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


def plugin_devices(provider: Provider) -> list[Any]:
    """The devices of a plug-in, which is loaded first.

    Raises:
        DeviceUnavailable: this ONNX Runtime is too old, the plug-in cannot be loaded, or there is no device for it.
    """
    if not hasattr(onnxruntime.SessionOptions, "add_provider_for_devices"):
        raise DeviceUnavailable(
            f"{provider.name} is a plug-in, which needs ONNX Runtime 1.24 or newer; pip install -U it"
        )
    with _PLUGINS_LOCK:
        if provider.name not in _PLUGINS:
            try:
                library = import_module(provider.plugin).get_library_path()
                onnxruntime.register_execution_provider_library(provider.name, library)
            except Exception as error:  # whatever a package of others does when it is loaded
                reason = str(error).strip().splitlines()[0]
                raise DeviceUnavailable(
                    f"{provider.name} cannot be loaded: {provider.dead} ({reason}); or use device='cpu'"
                ) from error
            _PLUGINS.add(provider.name)  # for the life of the process: sessions of others may use it
    found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider.name]
    if not found:
        raise NoDevice(f"{provider.name} finds no device here: {provider.dead}; or use device='cpu'")
    # OpenVINO lists graphics chips as well; what it is told (threads, precision) is meant for the processor.
    return [device for device in found if device.ep_metadata.get("ov_device") == "CPU"] or found[:1]


def _preload() -> None:
    """CUDA and cuDNN may come as pip packages, which the loader does not find by itself (since ONNX Runtime 1.21)."""
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


class OrtEngine:
    """A network on ONNX Runtime."""

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "fp32",
        profile: Profile | None = None,
    ) -> None:
        """Load an ONNX file; the arguments are those of :func:`affectkit.engines.open_engine`."""
        self._path, self._precision, self._profile = path, precision, profile or Profile()
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
        self._profiled = False
        if device == "auto":
            self._session, self._device = self._open_auto(options)
        elif device == "cpu":
            self._session, self._device = self._open(["CPUExecutionProvider"], options), "cpu"
        else:
            self._session, self._device = self._open_on(device, options)
        self._inputs = {i.name: (_DTYPES.get(i.type), i.shape) for i in self._session.get_inputs()}
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._batch_axes = self._find_batch_axes() if in_parts and self._device == "cpu" else None
        self._pool = None if self._batch_axes is None else Workers(threads - 1, "affectkit network")
        self._parts = threads
        self._options, self._forked = options, False
        self._here = SameProcess(f"{self._path}: opened on {self._device}, it", OF_A_DEVICE)
        tell_after_fork(self)

    def after_fork(self) -> None:
        """In a child: the session's threads are not here, and one of them may have been at work."""
        self._forked = self._session is not None

    def _renew(self) -> None:
        """Open the session again, in a forked child.

        Raises:
            EngineError: it is on a device that cannot be used in both processes.
        """
        if self._device != "cpu":
            self._here.check()
        self._session, self._forked = self._open(["CPUExecutionProvider"], self._options), False

    def _find_batch_axes(self) -> list[int] | None:
        """Where in each output the batch lies; None where it cannot be cut into parts."""
        assert self._session is not None
        given = [i.shape for i in self._session.get_inputs()]
        batch = given[0][0] if len(given) == 1 and given[0] else None
        found = [o.shape.index(batch) if batch in o.shape else -1 for o in self._session.get_outputs()]
        return found if isinstance(batch, str) and -1 not in found else None

    def _open(self, wanted: Wanted, options: Any, *, plugged: bool = False) -> onnxruntime.InferenceSession:
        """A session of this file with these providers; one that another engine of this process holds is shared.

        Args:
            plugged: the options hold the provider already, and ``wanted`` only tells sessions apart.
        """
        facts = self._path.stat() if self._path.is_file() else None
        same_file = (str(self._path.resolve()), facts and facts.st_mtime_ns, facts and facts.st_size)
        key = (os.getpid(), *same_file, repr(wanted), options.intra_op_num_threads)
        with _SESSIONS_LOCK:
            session = _SESSIONS.get(key)
            if session is None:
                session = _SESSIONS[key] = self._load(None if plugged else wanted, options)
                left_behind(session)
        return session

    def _load(self, wanted: Wanted | None, options: Any) -> onnxruntime.InferenceSession:
        try:
            return onnxruntime.InferenceSession(str(self._path), options, providers=wanted)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            reason = str(error).strip().splitlines()[0]
            raise EngineError(f"{self._path}: ONNX Runtime cannot load it: {reason}") from error

    def _open_on(self, device: str, options: Any) -> tuple[onnxruntime.InferenceSession, str]:
        """A session on a device of :data:`affectkit.engines.providers.PROVIDERS`, and what it is called."""
        kind, _, number = device.partition(":")
        provider = PROVIDERS[kind]
        known = find_spec(provider.plugin) is not None if provider.plugin else provider.name in providers()
        if not known:
            what = kind.removeprefix("ort-").replace("cuda", "CUDA").replace("tensorrt", "TensorRT")
            raise DeviceUnavailable(
                f"device {device!r}: the installed ONNX Runtime has no {what} provider; {provider.missing}, or use "
                "device='cpu'"
            )
        asked = self._asked(kind, number or "0", options)
        told = provider.options(asked)
        wanted: Wanted = [(provider.name, told)]
        if provider.plugin:
            options.add_provider_for_devices(plugin_devices(provider), told)
            wanted = [f"{provider.name} {sorted(told.items())}"]
        else:
            _preload()
            if kind == "ort-tensorrt":  # what that cannot run goes to CUDA
                wanted.append((PROVIDERS["cuda"].name, PROVIDERS["cuda"].options(asked)))
        session = self._open(wanted, options, plugged=bool(provider.plugin))
        # ONNX Runtime falls back to the CPU without an error (microsoft/onnxruntime#23372), so what it took is checked.
        if session.get_providers()[0] != provider.name:
            raise DeviceUnavailable(
                f"device {device!r}: it could not be started ({provider.dead}); see `affectkit doctor`, or use "
                "device='cpu'"
            )
        self._profiled = provider.profiled
        return session, f"{kind}:{number or 0}" if provider.numbered else kind

    def _asked(self, kind: str, number: str, options: Any) -> Asked:
        """What the provider is told; with a cache folder, and the shapes of the inputs, where it builds something."""
        folder, shapes = cache_folder() / kind, {}
        if PROVIDERS[kind].profiled:
            without_tf32()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EngineError(
                    f"{folder}: cannot be made ({error.strerror}); set AFFECTKIT_CACHE to another"
                ) from error
            plain = onnxruntime.SessionOptions()
            plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            plain.log_severity_level = 3
            for given in self._load(["CPUExecutionProvider"], plain).get_inputs():
                shapes[given.name] = tuple(length if isinstance(length, int) else -1 for length in given.shape)
        return Asked(number, self._precision, options.intra_op_num_threads, self._profile, shapes, folder)

    def _open_auto(self, options: Any) -> tuple[onnxruntime.InferenceSession, str]:
        if "CUDAExecutionProvider" in providers():
            try:
                return self._open_on("cuda", options)
            except EngineError as error:
                log.info("%s", error)
        return self._open(["CPUExecutionProvider"], options), "cpu"

    @property
    def device(self) -> str:
        """``cpu``, ``cuda:N``, ``ort-tensorrt`` ...: what the session really took."""
        return self._device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`affectkit.engines.Engine`."""
        if self._session is None:
            raise EngineError(f"{self._path}: the engine is closed")
        if self._forked:
            self._renew()
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
            if self._profiled:
                network = tuple(length if isinstance(length, int) else -1 for length in shape)
                self._profile.check(self._path, name, network, given.shape)

    def close(self) -> None:
        """See :class:`affectkit.engines.Engine`."""
        self._session = None
        if self._pool is not None:
            self._pool.shutdown()
