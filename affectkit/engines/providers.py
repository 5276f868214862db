"""The ways through ONNX Runtime: which provider a device is, what it is told, and what to install. Plain data.

What of this has run, and on what, stands in docs/tensorrt.md. The names of the options are held against those that the
providers publish (tests/data/provider_options.json).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from affectkit.engines.plans import Profile

Shapes = dict[str, tuple[int, ...]]
"""By input; -1 is free."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an engine is to be."""

    number: str
    """Of the GPU."""
    precision: str
    threads: int
    profile: Profile
    shapes: Shapes
    """Of the network's inputs; only where the provider is told the profile."""
    cache: Path
    """A folder of the provider's own."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One device of ONNX Runtime."""

    name: str
    """ONNX Runtime's."""
    options: Callable[[Asked], dict[str, str]]
    missing: str
    """What to do where this ONNX Runtime lacks it."""
    dead: str
    """What it lacks where it does not start."""
    plugin: str = ""
    """Module of the package that brings it, where it is a plug-in."""
    numbered: bool = False
    """Whether it is followed by the number of a GPU."""
    profiled: bool = False
    """Whether it builds for the numbers of faces of a profile; batches outside are refused."""


def _cuda(asked: Asked) -> dict[str, str]:
    """TF32 rounds to ten bits, which no golden output of a float32 network survives. The usual search measures every
    convolution again for each number of faces, which changes from frame to frame; the heuristic measures nothing."""
    return {"device_id": asked.number, "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def _shape_options(asked: Asked, prefix: str) -> dict[str, str]:
    """The profile as both TensorRT providers take it: `faces:1x64x64x1`."""
    found = {}
    sizes: tuple[Literal["min", "opt", "max"], ...] = ("min", "opt", "max")
    for which in sizes:
        filled = {name: asked.profile.shape(shape, which) for name, shape in asked.shapes.items()}
        found[f"{prefix}_profile_{which}_shapes"] = ",".join(
            f"{name}:{'x'.join(map(str, shape))}" for name, shape in filled.items()
        )
    return found


def _tensorrt(asked: Asked) -> dict[str, str]:
    """Float16 and int8 have to be allowed, since this way networks are weakly typed. It has no option for TF32: see
    :func:`without_tf32`."""
    return {
        "device_id": asked.number,
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(asked.cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(asked.cache),
        "trt_fp16_enable": str(int(asked.precision == "fp16")),
        "trt_int8_enable": str(int(asked.precision == "int8")),
        **_shape_options(asked, "trt"),
    }


def _tensorrt_rtx(asked: Asked) -> dict[str, str]:
    """Its networks are strongly typed; its kernels are compiled when they are first met, and kept."""
    return {"nv_runtime_cache_path": str(asked.cache), **_shape_options(asked, "nv")}


def _openvino(asked: Asked) -> dict[str, str]:
    """On processors that have bfloat16 it would compute in that: a pose was off by a quarter of a degree."""
    cpu = {"INFERENCE_NUM_THREADS": asked.threads, "INFERENCE_PRECISION_HINT": "f32"}
    return {"load_config": json.dumps({"CPU": cpu})}


def _coreml(asked: Asked) -> dict[str, str]:
    """The neural engine computes in float16, so float32 networks stay off it."""
    units = "CPUAndGPU" if asked.precision == "fp32" else "ALL"
    return {"ModelFormat": "MLProgram", "MLComputeUnits": units, "AllowLowPrecisionAccumulationOnGPU": "0"}


def without_tf32() -> None:
    """Keep NVIDIA's libraries from rounding float32 to TF32, unless the user decided otherwise.

    A variable of the process, which they read when they start: TensorRT's providers have no option for it.
    """
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")


GPU = "pip uninstall -y onnxruntime && pip install 'affectkit[gpu]'"

PROVIDERS = {
    "cuda": Provider(
        "CUDAExecutionProvider",
        _cuda,
        missing=GPU,
        dead="no GPU with that number, or its driver, CUDA or cuDNN is missing",
        numbered=True,
    ),
    "ort-tensorrt": Provider(
        "TensorrtExecutionProvider",
        _tensorrt,
        missing=f"{GPU} 'tensorrt-cu13<11' (it is linked with 10)",
        dead="no GPU, or TensorRT's libraries (it is linked with 10), CUDA or cuDNN are missing",
        profiled=True,
    ),
    "tensorrt-rtx": Provider(
        "NvTensorRTRTXExecutionProvider",
        _tensorrt_rtx,
        missing="pip install 'affectkit[cpu,tensorrt-rtx]'",
        dead="it needs an RTX card (30 or newer) and a driver for CUDA 13",
        plugin="onnxruntime_ep_nv_tensorrt_rtx",
        profiled=True,
    ),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        _openvino,
        missing="pip install 'affectkit[cpu,openvino]'",
        dead="it needs a processor or a GPU by Intel",
        plugin="onnxruntime_ep_openvino",
    ),
    "coreml": Provider(
        "CoreMLExecutionProvider",
        _coreml,
        missing="it comes with ONNX Runtime on macOS only",
        dead="it needs macOS 12 or newer",
    ),
}
"""By device."""
