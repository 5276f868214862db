"""Record which of the options that we give ONNX Runtime's providers they publish: tests/data/provider_options.json.

    pip download --no-deps onnxruntime-gpu onnxruntime-ep-nv-tensorrt-rtx-cu13 onnxruntime-ep-openvino
    pip download --no-deps --only-binary=:all: --platform macosx_14_0_arm64 onnxruntime
    python scripts/provider_options.py *.whl

None of them needs to be installed: the names are whole strings in the binaries.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "tests" / "data" / "provider_options.json"

SOURCES = {
    # provider: (file of a wheel, what we tell it: options, and values that are words)
    "CUDAExecutionProvider": (
        "libonnxruntime_providers_cuda.so",
        "device_id use_tf32 cudnn_conv_algo_search HEURISTIC",
    ),
    "TensorrtExecutionProvider": (
        "libonnxruntime_providers_tensorrt.so",
        "device_id trt_engine_cache_enable trt_engine_cache_path trt_timing_cache_enable trt_timing_cache_path "
        "trt_fp16_enable trt_int8_enable trt_profile_min_shapes trt_profile_opt_shapes trt_profile_max_shapes",
    ),
    "NvTensorRTRTXExecutionProvider": (
        "libonnxruntime_providers_nv_tensorrt_rtx.so",
        "nv_runtime_cache_path nv_profile_min_shapes nv_profile_opt_shapes nv_profile_max_shapes",
    ),
    "OpenVINOExecutionProvider": ("libonnxruntime_providers_openvino_plugin.so", "load_config"),
    "OpenVINO": ("libopenvino_intel_cpu_plugin.so", "INFERENCE_NUM_THREADS INFERENCE_PRECISION_HINT"),
    "CoreMLExecutionProvider": (
        "libonnxruntime",  # .1.32.0.dylib, with the version in it
        "ModelFormat MLProgram MLComputeUnits ALL CPUAndGPU AllowLowPrecisionAccumulationOnGPU",
    ),
}


def published(content: bytes, names: str) -> list[str]:
    """Those of the names that are whole strings of a file."""
    return [name for name in names.split() if content.find(b"\0" + name.encode() + b"\0") >= 0]


def main() -> None:
    found: dict[str, dict[str, object]] = {}
    for wheel in map(Path, sys.argv[1:]):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = Path(member).name
                for provider, (file, names) in SOURCES.items():
                    of_a_mac = provider == "CoreMLExecutionProvider"
                    if name == file or (of_a_mac and name.startswith(file) and name.endswith(".dylib")):
                        options = published(archive.read(member), names)
                        found[provider] = {"wheel": " ".join(wheel.name.split("-")[:2]), "options": options}
    TARGET.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
