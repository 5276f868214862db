"""Stand-ins for `tensorrt` and `cuda.bindings.runtime` that compute with ONNX Runtime.

They have the published names only, and every call has to fit a signature that was read off the real bindings
(scripts/tensorrt_names.py). A plan of theirs is the ONNX file itself; device memory is ordinary memory; a captured CUDA
graph is a list of calls. They follow the documented rules: statuses, shapes before runs, nothing executed while a
stream is being captured, one graph for one state of a context.
"""

from __future__ import annotations

import ctypes
import enum
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from tensorrt_stubs import fits

SIGNATURES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "tensorrt_signatures.json").read_text()
)
"""By wheel: overloads by the name of a class, `Class.method` or a call of CUDA; null for what cannot be called."""


def checked(call: Callable[..., Any], where: str, wheels: list[dict[str, Any]]) -> Callable[..., Any]:
    """The call, if it has a signature that all the wheels publish."""

    def checked_call(*given: Any, **named: Any) -> Any:
        for published in wheels:
            overloads = published[where]
            assert any(fits(o, given, named) for o in overloads), (
                f"{where}{given}{named or ''} fits none of {overloads}"
            )
        return call(*given, **named)

    return checked_call


class Only:
    """Base of everything a test double hands out: an attribute that the real class does not publish raises."""

    published: ClassVar[dict[str, Any]] = {}
    real: ClassVar[str]
    """Name of the class that it stands for."""

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name.startswith("_"):
            return value
        where = f"{type(self).real}.{name}"
        if where not in type(self).published:
            raise AttributeError(f"TensorRT publishes no {where!r}")
        return checked(value, where, [type(self).published]) if callable(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and f"{type(self).real}.{name}" not in type(self).published:
            raise AttributeError(f"TensorRT publishes no {type(self).real}.{name}")
        object.__setattr__(self, name, value)


class State:
    """What a test can look at and set."""

    def __init__(self) -> None:
        self.gpus = 1
        self.driver = 13000
        self.fail: set[str] = set()
        """Names of calls that fail."""
        self.memory: dict[int, Any] = {}
        self.builds = 0
        self.enqueued = 0
        self.graphs_launched = 0
        self.live_graphs = 0
        self.flags: list[int] = []
        self.cleared: list[Any] = []
        self.profiles: list[tuple[Any, ...]] = []
        self.timing_seen: list[bytes] = []
        self.streams = 0
        self.capturing: list[Any] | None = None
        self.refused = False
        """What was captured cannot be a graph, so the capture will end with an error."""
        self.noted_error = False
        """An error of before that was not asked for yet: TensorRT takes it for one of its next run."""


def make_cudart(state: State) -> types.ModuleType:
    """`cuda.bindings.runtime`."""
    module = types.ModuleType("cuda.bindings.runtime")

    class Status(enum.IntEnum):
        cudaSuccess = 0
        cudaErrorMemoryAllocation = 2
        cudaErrorNoDevice = 100
        cudaErrorStreamCaptureInvalidated = 901

    class Kind(enum.IntEnum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2

    class Mode(enum.IntEnum):
        cudaStreamCaptureModeThreadLocal = 1

    def answer(name: str, *values: Any) -> tuple[Any, ...]:
        if name in state.fail:
            return (Status.cudaErrorMemoryAllocation, *(None for _ in values))
        return (Status.cudaSuccess, *values)

    def allocate(name: str, size: int) -> tuple[Any, ...]:
        if name in state.fail:
            return Status.cudaErrorMemoryAllocation, None
        block = ctypes.create_string_buffer(max(1, size))
        address = ctypes.addressof(block)
        state.memory[address] = block
        return Status.cudaSuccess, address

    def free(name: str, address: int) -> tuple[Any, ...]:
        del state.memory[int(address)]
        return answer(name)

    def copy(target: int, source: int, count: int, kind: Kind, stream: int) -> tuple[Any, ...]:
        assert isinstance(kind, Kind) and stream == 7
        device = target if kind == Kind.cudaMemcpyHostToDevice else source
        assert int(device) in state.memory, "not device memory"
        ctypes.memmove(int(target), int(source), count)
        return answer("cudaMemcpyAsync")

    def begin(stream: int, mode: Mode) -> tuple[Any, ...]:
        assert isinstance(mode, Mode)
        if "cudaStreamBeginCapture" not in state.fail:
            state.capturing = []
        return answer("cudaStreamBeginCapture")

    def end(stream: int) -> tuple[Any, ...]:
        captured, state.capturing = state.capturing, None
        if state.refused:
            state.refused, state.noted_error = False, True
            return Status.cudaErrorStreamCaptureInvalidated, None
        return answer("cudaStreamEndCapture", captured)

    def instantiate(graph: list[Any], flags: int) -> tuple[Any, ...]:
        state.live_graphs += "cudaGraphInstantiate" not in state.fail
        return answer("cudaGraphInstantiate", graph)

    def launch(graph: list[Any], stream: int) -> tuple[Any, ...]:
        state.graphs_launched += 1
        for call in graph:
            call()
        return answer("cudaGraphLaunch")

    def forget(graph: list[Any]) -> tuple[Any, ...]:
        state.live_graphs -= 1
        return answer("cudaGraphExecDestroy")

    def stream_create() -> tuple[Any, ...]:
        state.streams += 1
        return answer("cudaStreamCreate", 7)

    def stream_destroy(stream: int) -> tuple[Any, ...]:
        state.streams -= 1
        return answer("cudaStreamDestroy")

    def last_error() -> tuple[Any, ...]:
        state.noted_error = False
        return (Status.cudaSuccess,)

    properties = types.SimpleNamespace(name=b"Test GPU\0", major=9, minor=0)
    calls: dict[str, Any] = {
        "cudaMemcpyKind": Kind,
        "cudaStreamCaptureMode": Mode,
        "cudaGetErrorName": lambda status: (Status.cudaSuccess, Status(status).name.encode()),
        "cudaGetLastError": last_error,
        "cudaGetDeviceCount": lambda: answer("cudaGetDeviceCount", state.gpus),
        "cudaSetDevice": lambda number: answer("cudaSetDevice"),
        "cudaGetDeviceProperties": lambda number: answer("cudaGetDeviceProperties", properties),
        "cudaDriverGetVersion": lambda: answer("cudaDriverGetVersion", state.driver),
        "cudaMalloc": lambda size: allocate("cudaMalloc", size),
        "cudaMallocHost": lambda size: allocate("cudaMallocHost", size),
        "cudaFree": lambda address: free("cudaFree", address),
        "cudaFreeHost": lambda address: free("cudaFreeHost", address),
        "cudaMemcpyAsync": copy,
        "cudaStreamCreate": stream_create,
        "cudaStreamSynchronize": lambda stream: answer("cudaStreamSynchronize"),
        "cudaStreamDestroy": stream_destroy,
        "cudaStreamBeginCapture": begin,
        "cudaStreamEndCapture": end,
        "cudaGraphInstantiate": instantiate,
        "cudaGraphLaunch": launch,
        "cudaGraphDestroy": lambda graph: answer("cudaGraphDestroy"),
        "cudaGraphExecDestroy": forget,
    }
    wheels = [published for key, published in SIGNATURES.items() if key.startswith("cuda_bindings")]
    for name, value in calls.items():
        setattr(module, name, value if isinstance(value, type) else checked(value, name, wheels))
    return module


def make_tensorrt(state: State, version: str) -> types.ModuleType:
    """`tensorrt` of a version that is in tensorrt_signatures.json."""
    (key,) = (key for key in SIGNATURES if key.startswith("tensorrt") and key.endswith(version))
    published = SIGNATURES[key]
    module = types.ModuleType("tensorrt")

    class Here(Only):
        pass

    Here.published = published

    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    class ILogger:
        def __init__(self) -> None:
            pass

    ILogger.Severity = Severity  # type: ignore[attr-defined]

    class IProgressMonitor:
        def __init__(self) -> None:
            pass

    class Flag(enum.IntEnum):
        STRONGLY_TYPED = 1

    class BuilderFlag(enum.IntEnum):
        TF32 = 7

    class Pool(enum.IntEnum):
        WORKSPACE = 0

    class IOMode(enum.IntEnum):
        INPUT = 1
        OUTPUT = 2

    def session_of(data: bytes) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def shape_of(tensor: Any) -> tuple[int, ...]:
        return tuple(length if isinstance(length, int) else -1 for length in tensor.shape)

    class Tensor(Here):
        real = "ITensor"

        def __init__(self, tensor: Any) -> None:
            self.name, self.shape = tensor.name, shape_of(tensor)

    class Network(Here):
        real = "INetworkDefinition"

        def __init__(self) -> None:
            self._data = b""

        @property
        def num_inputs(self) -> int:
            return len(session_of(self._data).get_inputs())

        def get_input(self, index: int) -> Tensor:
            return Tensor(session_of(self._data).get_inputs()[index])

    class Error(Here):
        real = "ParserError"

        def __init__(self, text: str) -> None:
            self._text = text

        def desc(self) -> str:
            return self._text

    class OnnxParser(Here):
        real = "OnnxParser"

        def __init__(self, network: Network, logger: Any) -> None:
            self._network, self._errors = network, []

        def parse_from_file(self, path: str) -> bool:
            data = Path(path).read_bytes()
            try:
                session_of(data)
            except Exception as error:
                self._errors.append(Error(f"unsupported: {type(error).__name__}"))
                return False
            self._network._data = data
            return True

        @property
        def num_errors(self) -> int:
            return len(self._errors)

        def get_error(self, index: int) -> Error:
            return self._errors[index]

    class Profile(Here):
        real = "IOptimizationProfile"

        def __init__(self) -> None:
            self._shapes: dict[str, Any] = {}

        def set_shape(self, name: str, low: Any, best: Any, high: Any) -> None:
            if "set_shape" in state.fail:
                raise ValueError("Shape provided for min is inconsistent with other shapes.")
            self._shapes[name] = (low, best, high)
            state.profiles.append((name, low, best, high))

    class TimingCache(Here):
        real = "ITimingCache"

        def serialize(self) -> bytes:
            return b"timed"

    class Config(Here):
        real = "IBuilderConfig"

        def __init__(self) -> None:
            self.progress_monitor: Any = None

        def set_memory_pool_limit(self, pool: Pool, size: int) -> None:
            assert isinstance(pool, Pool) and size > 0

        def add_optimization_profile(self, profile: Profile) -> int:
            assert profile._shapes
            return 0

        def clear_flag(self, flag: BuilderFlag) -> None:
            state.cleared.append(flag)

        def create_timing_cache(self, data: bytes) -> TimingCache:
            state.timing_seen.append(data)
            return TimingCache()

        def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
            return True

        def get_timing_cache(self) -> TimingCache:
            return TimingCache()

    class Builder(Here):
        real = "Builder"

        def __init__(self, logger: Any) -> None:
            if "Builder" in state.fail:
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self._logger = logger

        def create_network(self, flags: int = 0) -> Network:
            state.flags.append(flags)
            return Network()

        def create_builder_config(self) -> Config:
            return Config()

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Network, config: Config) -> memoryview | None:
            state.builds += 1
            if "build" in state.fail:
                self._logger.log(Severity.ERROR, "no kernel for this layer")
                return None
            config.progress_monitor.phase_start("Building", None, 2)
            assert config.progress_monitor.step_complete("Building", 0)
            config.progress_monitor.phase_finish("Building")
            return memoryview(network._data)

    class Context(Here):
        real = "IExecutionContext"

        def __init__(self, session: onnxruntime.InferenceSession, logger: Any) -> None:
            self._session, self._logger = session, logger
            self._shapes: dict[str, tuple[int, ...]] = {}
            self._addresses: dict[str, int] = {}

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            self._shapes[name] = shape
            return "set_input_shape" not in state.fail

        def _fill(self, tensor: Any) -> tuple[int, ...]:
            if tensor.name in self._shapes:
                return self._shapes[tensor.name]
            given = next(iter(self._session.get_inputs()))
            free = [size for want, size in zip(shape_of(given), self._shapes[given.name], strict=True) if want < 0]
            lengths = iter(free)
            return tuple(next(lengths) if length < 0 else length for length in shape_of(tensor))

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            tensors = {t.name: t for t in (*self._session.get_inputs(), *self._session.get_outputs())}
            return self._fill(tensors[name])

        def set_tensor_address(self, name: str, address: int) -> bool:
            assert address in state.memory
            self._addresses[name] = address
            return "set_tensor_address" not in state.fail

        def _array(self, tensor: Any) -> np.ndarray:
            dtype = np.dtype({"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[tensor.type])
            shape = self._fill(tensor)
            size = int(np.prod(shape)) * dtype.itemsize
            block = (ctypes.c_byte * size).from_address(self._addresses[tensor.name])
            return np.frombuffer(block, dtype).reshape(shape)

        def _compute(self) -> None:
            inputs = {tensor.name: self._array(tensor) for tensor in self._session.get_inputs()}
            outputs = self._session.get_outputs()
            for tensor, value in zip(outputs, self._session.run(None, inputs), strict=True):
                self._array(tensor)[...] = value

        def execute_async_v3(self, stream: int) -> bool:
            if "execute" in state.fail:
                return False
            if "graph" in state.fail and state.capturing is not None:
                state.refused = True
                self._logger.log(Severity.ERROR, "operation not permitted when stream is capturing")
                return False
            if state.noted_error:
                self._logger.log(Severity.ERROR, "an error of before")
                return False
            if state.capturing is not None:
                shapes = dict(self._shapes)

                def replay() -> None:
                    assert shapes == self._shapes, "a CUDA graph was launched after its context changed"
                    self._compute()

                state.capturing.append(replay)
                return True
            state.enqueued += 1
            self._compute()
            return True

    class Engine(Here):
        real = "ICudaEngine"

        def __init__(self, data: bytes, logger: Any) -> None:
            self._session, self._logger = session_of(data), logger
            self._tensors = (*self._session.get_inputs(), *self._session.get_outputs())

        @property
        def num_io_tensors(self) -> int:
            return len(self._tensors)

        def get_tensor_name(self, index: int) -> str:
            return str(self._tensors[index].name)

        def _of(self, name: str) -> Any:
            return {t.name: t for t in self._tensors}[name]

        def get_tensor_mode(self, name: str) -> IOMode:
            return IOMode.INPUT if name in [t.name for t in self._session.get_inputs()] else IOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> str:
            return str(self._of(name).type)

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return shape_of(self._of(name))

        def create_execution_context(self) -> Context | None:
            return None if "context" in state.fail else Context(self._session, self._logger)

    class Runtime(Here):
        real = "Runtime"

        def __init__(self, logger: Any) -> None:
            if "Runtime" in state.fail:
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self._logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            return None if "deserialize" in state.fail else Engine(data, self._logger)

    def nptype(kind: str) -> type:
        return {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[kind]

    parts: dict[str, Any] = {
        "ILogger": ILogger,
        "IProgressMonitor": IProgressMonitor,
        "NetworkDefinitionCreationFlag": Flag,
        "MemoryPoolType": Pool,
        "BuilderFlag": BuilderFlag,
        "TensorIOMode": IOMode,
        "OnnxParser": OnnxParser,
        "Builder": Builder,
        "Runtime": Runtime,
        "nptype": nptype,
    }
    for name, value in parts.items():
        made = name in ("OnnxParser", "Builder", "Runtime", "nptype")
        assert name in published
        setattr(module, name, checked(value, name, [published]) if made else value)
    module.__version__ = version  # type: ignore[attr-defined]
    return module
