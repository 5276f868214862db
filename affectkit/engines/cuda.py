"""CUDA's runtime; the only file that imports it. TensorRT's buffers, streams and captured graphs are made here."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from affectkit.errors import DeviceUnavailable, EngineError, MissingDependency
from affectkit.types import Array

try:
    from cuda.bindings import runtime as cudart
except ImportError as error:
    raise MissingDependency("cuda-python", "tensorrt", "device='tensorrt'") from error


class CaptureRefused(EngineError):
    """What a stream was to do cannot become a CUDA graph; nothing of it was done."""


def check(result: tuple[Any, ...], what: str) -> Any:
    """The values of a call to CUDA's runtime.

    Raises:
        EngineError: its status is not success.
    """
    status, *values = result
    if int(status) != 0:
        name = cudart.cudaGetErrorName(status)[1]
        raise EngineError(f"CUDA: {what} failed: {name.decode() if isinstance(name, bytes) else name}")
    return values[0] if len(values) == 1 else tuple(values)


def select_gpu(number: int) -> tuple[str, str]:
    """Take a GPU; its name with compute capability, and the driver's version.

    Raises:
        DeviceUnavailable: there is none of that number.
    """
    try:
        count = check(cudart.cudaGetDeviceCount(), "counting the GPUs")
    except (EngineError, RuntimeError) as error:  # without a driver the call itself may raise
        raise DeviceUnavailable(f"device 'tensorrt': no GPU can be used ({error}); use device='cpu'") from error
    if number >= count:
        raise DeviceUnavailable(f"device 'tensorrt:{number}': there are {count} GPUs, numbered from 0")
    take_gpu(number)
    facts = check(cudart.cudaGetDeviceProperties(number), f"asking GPU {number} for its name")
    name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
    driver = check(cudart.cudaDriverGetVersion(), "asking for the driver's version")
    return f"{name.strip(chr(0))} sm{facts.major}{facts.minor}", str(driver)


def take_gpu(number: int) -> None:
    """Make a GPU that of this thread."""
    check(cudart.cudaSetDevice(number), f"taking GPU {number}")


class Buffer:
    """Device memory and page-locked host memory for one input or output, large enough for the largest batch."""

    def __init__(self, name: str, dtype: np.dtype[Any], largest: tuple[int, ...]) -> None:
        self.dtype, self.bytes = dtype, int(np.prod(largest)) * dtype.itemsize
        self.device = check(cudart.cudaMalloc(self.bytes), f"taking {self.bytes} bytes of GPU memory for {name!r}")
        try:
            self._pinned = check(
                cudart.cudaMallocHost(self.bytes), f"locking {self.bytes} bytes of memory for {name!r}"
            )
        except EngineError:
            check(cudart.cudaFree(self.device), "freeing GPU memory")
            raise
        memory = (ctypes.c_byte * self.bytes).from_address(int(self._pinned))
        self.host: Array = np.frombuffer(memoryview(memory), dtype)

    def view(self, shape: tuple[int, ...]) -> Array:
        """The beginning of the host memory as an array."""
        return self.host[: int(np.prod(shape))].reshape(shape)

    def close(self) -> None:
        """Give both back."""
        check(cudart.cudaFree(self.device), "freeing GPU memory")
        check(cudart.cudaFreeHost(self._pinned), "unlocking memory")


class Stream:
    """A stream of one GPU, what runs on it, and the CUDA graph that repeats it."""

    def __init__(self) -> None:
        self._stream = check(cudart.cudaStreamCreate(), "creating a stream")
        self._graph: Any = None
        """Of the last capture. TensorRT ties a graph to the state of its context: there is only one."""

    @property
    def address(self) -> int:
        """For calls that take a stream as a number."""
        return int(self._stream)

    def upload(self, name: str, buffer: Buffer, values: Array) -> None:
        """Copy an input (its shape, the buffer's dtype) to the GPU, after what was enqueued before."""
        view = buffer.view(values.shape)
        np.copyto(view, values)
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        copied = cudart.cudaMemcpyAsync(buffer.device, view.ctypes.data, view.nbytes, kind, self._stream)
        check(copied, f"copying {name!r} to the GPU")

    def download(self, name: str, buffer: Buffer, shape: tuple[int, ...]) -> Array:
        """Copy an output from the GPU; what is returned is the buffer's own memory, valid after :meth:`wait`."""
        view = buffer.view(shape)
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        copied = cudart.cudaMemcpyAsync(view.ctypes.data, buffer.device, view.nbytes, kind, self._stream)
        check(copied, f"copying {name!r} from the GPU")
        return view

    def wait(self) -> None:
        """Until all that was enqueued is done.

        Raises:
            EngineError: some of it failed.
        """
        check(cudart.cudaStreamSynchronize(self._stream), "running the network")

    def repeat(self, enqueue: Callable[[], None]) -> None:
        """Launch what ``enqueue`` does as a CUDA graph; the first time after :meth:`forget` captures it.

        Raises:
            CaptureRefused: it cannot be captured (it waits, allocates, or decides by what it computed); the stream can
                be used as before.
            EngineError: the launch failed.
        """
        if self._graph is None:
            self._graph = self._capture(enqueue)
        check(cudart.cudaGraphLaunch(self._graph, self._stream), "launching the CUDA graph")

    def _capture(self, enqueue: Callable[[], None]) -> Any:
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        try:
            check(cudart.cudaStreamBeginCapture(self._stream, mode), "starting to capture a CUDA graph")
            try:
                enqueue()
            finally:  # whatever happened, the stream must not go on capturing
                ended = cudart.cudaStreamEndCapture(self._stream)
            graph = check(ended, "capturing a CUDA graph")
            try:
                return check(cudart.cudaGraphInstantiate(graph, 0), "preparing a CUDA graph")
            finally:
                check(cudart.cudaGraphDestroy(graph), "freeing a CUDA graph")
        except EngineError as error:
            # The refusal stays noted in this thread otherwise, and TensorRT takes it for one of its next run.
            cudart.cudaGetLastError()
            raise CaptureRefused(str(error)) from error

    def forget(self) -> None:
        """Free the graph; the next :meth:`repeat` captures."""
        if self._graph is not None:
            check(cudart.cudaGraphExecDestroy(self._graph), "freeing a CUDA graph")
            self._graph = None

    def close(self) -> None:
        """Free the graph and the stream."""
        self.forget()
        check(cudart.cudaStreamDestroy(self._stream), "freeing a stream")
