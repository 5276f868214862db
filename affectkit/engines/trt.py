"""TensorRT; the only file that imports it. TensorRT 10.13 or newer, 11 included.

Precision lies in the ONNX file (``affectkit export --precision``), so networks are strongly typed: on 10 that has to be
asked for, 11 knows nothing else. What of this has run on a GPU, and what not, stands in docs/tensorrt.md.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.engines.cuda import Buffer, CaptureRefused, Stream, select_gpu, take_gpu
from affectkit.engines.plans import PlanKey, Profile, cache_folder, plan_for
from affectkit.errors import DeviceUnavailable, EngineError, MissingDependency
from affectkit.forking import OF_A_DEVICE, SameProcess
from affectkit.types import Array

try:
    import tensorrt as trt
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("tensorrt", "tensorrt_bindings"):
        raise
    raise MissingDependency("tensorrt", "tensorrt", "device='tensorrt'") from error
except (ImportError, OSError, RuntimeError) as error:  # the bindings are there, the libraries they load are not
    raise DeviceUnavailable(
        f"device 'tensorrt': TensorRT is installed but cannot be loaded ({error}); it needs an NVIDIA driver and "
        "`pip install 'affectkit[tensorrt]'`, or use device='cpu'"
    ) from error
log = logging.getLogger(__name__)

WORKSPACE_BYTES = 2 << 30


class _Logger(trt.ILogger):  # type: ignore[misc]
    """TensorRT's messages, in Python's logging."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.first_error = ""
        """Of the operation that goes on: later ones follow from it."""
        self.level = logging.ERROR
        """Of errors; lower while something is tried that may fail."""

    def begin(self, level: int = logging.ERROR) -> None:
        """Another operation: errors of the ones before are not its reasons."""
        self.first_error, self.level = "", level

    @property
    def reason(self) -> str:
        """Why the operation failed, for messages."""
        return self.first_error or "no reason given"

    def log(self, severity: Any, msg: str) -> None:
        """Called by TensorRT."""
        if int(severity) <= int(trt.ILogger.Severity.ERROR):  # more severe ones are smaller
            self.first_error = self.first_error or msg
            log.log(self.level, "TensorRT: %s", msg)
        elif int(severity) == int(trt.ILogger.Severity.WARNING):
            log.info("TensorRT: %s", msg)


class _Progress(trt.IProgressMonitor):  # type: ignore[misc]
    """One line for each phase of a build that takes long enough to have steps."""

    def __init__(self) -> None:
        trt.IProgressMonitor.__init__(self)

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """Called by TensorRT."""
        if parent_phase is None:
            log.warning("TensorRT: %s, %d steps", phase_name, num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """Called by TensorRT; goes on."""
        return True

    def phase_finish(self, phase_name: str) -> None:
        """Called by TensorRT."""


def _started(kind: Callable[[_Logger], Any], logger: _Logger) -> Any:
    """A builder or runtime.

    Raises:
        EngineError: CUDA or TensorRT's libraries do not work here.
    """
    logger.begin()
    try:
        return kind(logger)
    except TypeError as error:  # what the bindings make of a null pointer
        raise EngineError(f"TensorRT cannot start here: {logger.reason}") from error


def build_plan(onnx_file: Path, profile: Profile, timing: bytes) -> tuple[bytes, bytes]:
    """Parse and build a network; the plan and the timing cache after it.

    Args:
        timing: a timing cache of an earlier build, or nothing.

    Raises:
        EngineError: TensorRT cannot parse the file or build the network.
    """
    logger = _Logger()
    builder = _started(trt.Builder, logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise EngineError(f"{onnx_file}: TensorRT cannot read it: {reasons or logger.reason}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    optimisation = builder.create_optimization_profile()
    for i in range(network.num_inputs):
        tensor = network.get_input(i)
        sizes = [profile.shape(tuple(tensor.shape), which) for which in ("min", "opt", "max")]
        try:
            optimisation.set_shape(tensor.name, *sizes)
        except ValueError as error:
            raise EngineError(f"{onnx_file}: TensorRT does not take the profile {profile} ({error})") from error
    if config.add_optimization_profile(optimisation) < 0:
        raise EngineError(f"{onnx_file}: TensorRT does not take the profile {profile}")
    config.clear_flag(trt.BuilderFlag.TF32)  # ten bits, which no golden output of a float32 network survives
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        log.info("TensorRT does not take the timing cache; it measures again")
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    config.progress_monitor = _Progress()
    logger.begin()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{onnx_file}: TensorRT cannot build it: {logger.reason}")
    return bytes(plan), bytes(config.get_timing_cache().serialize())


class TrtEngine:
    """A network on TensorRT: a batch at a time, on a stream of its own. Threads that share one wait for each other."""

    def __init__(
        self,
        path: Path,
        *,
        number: int = 0,
        precision: str = "fp32",
        profile: Profile | None = None,
        cache: Path | None = None,
        weights: str | None = None,
        graphs: bool = True,
    ) -> None:
        """Load the plan of an ONNX file, or build it first.

        Args:
            number: of the GPU.
            profile: numbers of faces, and lengths of sequences, that it is built for.
            cache: folder of plans; None: see :func:`affectkit.engines.plans.cache_folder`.
            weights: sha256 of the file, where it is known already.
            graphs: launch batches of the same size as the one before as a CUDA graph, if the network can be captured.
        """
        import hashlib

        self._path, self._profile, self._graphs = path, profile or Profile(), graphs
        gpu, driver = select_gpu(number)
        digest = weights or hashlib.sha256(path.read_bytes()).hexdigest()
        key = PlanKey(digest, precision, self._profile.key(), str(trt.__version__), gpu, driver)
        folder = cache or cache_folder() / "tensorrt"
        plan = plan_for(key, path.parent.name, lambda timing: build_plan(path, self._profile, timing), folder)
        self._logger = _Logger()
        self._runtime = _started(trt.Runtime, self._logger)
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f"{path}: TensorRT does not take its own plan: {self._logger.reason}")
        self._logger.begin()
        context = engine.create_execution_context()
        if context is None:
            raise EngineError(f"{path}: TensorRT cannot run the plan: {self._logger.reason} (out of GPU memory?)")
        self._engine, self._context = engine, context
        self._device, self._number = f"tensorrt:{number}", number
        self._lock = threading.Lock()
        self._here = SameProcess(f"{path}: opened on {self._device}, it", OF_A_DEVICE)
        self._stream = Stream()
        self._shape_before: dict[str, tuple[int, ...]] = {}
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in self._inputs]
        self._shapes = {name: tuple(engine.get_tensor_shape(name)) for name in names}
        self._buffers: dict[str, Buffer] = {}
        self._closed = False
        try:
            self._set_shapes({name: self._profile.shape(self._shapes[name], "max") for name in self._inputs})
            for name in names:
                largest = tuple(context.get_tensor_shape(name))
                dtype = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
                self._buffers[name] = Buffer(name, dtype, largest)
                if not context.set_tensor_address(name, int(self._buffers[name].device)):
                    raise EngineError(f"{path}: TensorRT does not take the memory of {name!r}")
        except EngineError:
            self.close()
            raise

    @property
    def device(self) -> str:
        """``tensorrt:N``."""
        return self._device

    def _set_shapes(self, shapes: dict[str, tuple[int, ...]]) -> None:
        self._logger.begin()
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise EngineError(f"{self._path}: TensorRT does not take the shape {shape} for {name!r}")

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`affectkit.engines.Engine`. The free axes have to lie in the profile."""
        self._here.check()
        with self._lock:
            if self._closed:
                raise EngineError(f"{self._path}: the engine is closed")
            shapes = self._checked(inputs)
            take_gpu(self._number)  # another engine may have taken its own
            repeated = shapes == self._shape_before
            if not repeated:
                self._stream.forget()
                self._shape_before = {}  # should this run fail, the next one sets its shapes again
                self._set_shapes(shapes)
            for name in self._inputs:
                self._stream.upload(name, self._buffers[name], inputs[name])
            self._launch(repeated=repeated)
            self._shape_before = shapes
            views = {}
            for name in self._outputs:
                shape = tuple(self._context.get_tensor_shape(name))
                views[name] = self._stream.download(name, self._buffers[name], shape)
            self._stream.wait()
            return {name: view.copy() for name, view in views.items()}

    def _checked(self, inputs: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
        """The shapes of the inputs, if they fit the network and the profile."""
        if sorted(inputs) != sorted(self._inputs):
            raise EngineError(f"{self._path}: takes the inputs {sorted(self._inputs)}, got {sorted(inputs)}")
        shapes = {}
        for name in self._inputs:
            given, want, dtype = inputs[name], self._shapes[name], self._buffers[name].dtype
            if given.dtype != dtype:
                raise EngineError(f"{self._path}: input {name!r} must be {dtype}, got {given.dtype}")
            if len(given.shape) != len(want) or any(w not in (-1, g) for w, g in zip(want, given.shape, strict=True)):
                allowed = ", ".join("n" if length < 0 else str(length) for length in want)
                raise EngineError(f"{self._path}: input {name!r} must have shape ({allowed}), got {given.shape}")
            self._profile.check(self._path, name, want, given.shape)
            shapes[name] = given.shape
        return shapes

    def _launch(self, *, repeated: bool) -> None:
        """Run the network; from the second run of the same shapes on as a CUDA graph, where it can be captured."""
        refused = ""
        if repeated and self._graphs:
            try:
                self._stream.repeat(lambda: self._enqueue(logging.DEBUG))
                return
            except CaptureRefused as error:
                refused = str(error)
        self._enqueue()
        if refused:  # and the plain way works, so it is the graph that does not
            self._graphs = False
            log.warning("%s: runs without CUDA graphs on %s, %s", self._path, self._device, refused)

    def _enqueue(self, level: int = logging.ERROR) -> None:
        self._logger.begin(level)
        if not self._context.execute_async_v3(self._stream.address):
            raise EngineError(f"{self._path}: TensorRT failed: {self._logger.reason}")

    def close(self) -> None:
        """See :class:`affectkit.engines.Engine`."""
        if not self._here:
            return  # the memory is the parent's
        with self._lock:
            if self._closed:
                return
            self._closed = True
            take_gpu(self._number)
            for buffer in self._buffers.values():
                buffer.close()
            self._buffers = {}
            self._stream.close()
            # TensorRT frees in this order only: context, engine, runtime.
            self._context = self._engine = self._runtime = None
