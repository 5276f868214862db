"""Backends that run networks; :func:`open_engine` picks one by device."""

from __future__ import annotations

import os
import re
from pathlib import Path

from affectkit.engines.base import Engine, usable_cores
from affectkit.engines.fake import FakeEngine
from affectkit.engines.plans import Profile
from affectkit.engines.providers import PROVIDERS

__all__ = ["Engine", "FakeEngine", "Profile", "check_device", "may_use_cuda", "open_engine", "usable_cores"]

# ONNX Runtime from 1.32 on reports to its maker over the network, in a thread for which a forked child waits when it
# ends. Nothing of this package's users is sent anywhere; who wants to report sets it to 0. It is read once, when ONNX
# Runtime is loaded, which is always after this.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

DEVICES = "auto, cpu, cuda, cuda:N, tensorrt, tensorrt:N, ort-tensorrt, tensorrt-rtx, openvino, coreml"


def check_device(device: str) -> str:
    """Return ``device`` if it is one of the names this affectkit knows.

    Raises:
        ValueError: it is not.
    """
    if device in ("auto", "cpu", "tensorrt", *PROVIDERS) or re.fullmatch(r"(cuda|tensorrt):\d+", device):
        return device
    raise ValueError(f"device must be one of {DEVICES}, got {device!r}")


def may_use_cuda() -> bool:
    """Whether ``auto`` would try CUDA: the installed ONNX Runtime was built with it.

    Raises:
        MissingDependency: ONNX Runtime is not installed.
    """
    from affectkit.engines.ort import providers  # late: loads onnxruntime

    return "CUDAExecutionProvider" in providers()


def open_engine(
    path: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "fp32",
    weights: str | None = None,
    profile: Profile | None = None,
) -> Engine:
    """Load the ONNX file ``path`` on ``device``.

    Args:
        device: ``auto`` takes CUDA where it works, else the CPU. Every other value is binding.
        threads: CPU threads; None leaves it to the backend (all cores).
        precision: what the file computes in; part of what TensorRT's plan is kept by, and of what providers are told.
        weights: sha256 of the file where it is known already; likewise.
        profile: numbers of faces that TensorRT's plan is built for.

    Raises:
        ValueError: unknown device.
        MissingDependency: the backend is not installed.
        DeviceUnavailable: the device is not there; no other is used in its place.
        EngineError: the file cannot be loaded.
    """
    check_device(device)
    if device.partition(":")[0] == "tensorrt":
        from affectkit.engines.trt import TrtEngine  # late: loads tensorrt

        number = int(device.partition(":")[2] or 0)
        return TrtEngine(path, number=number, precision=precision, profile=profile, weights=weights)
    from affectkit.engines.ort import OrtEngine, check_installation  # late: loads onnxruntime

    check_installation()
    return OrtEngine(path, device=device, threads=threads, precision=precision, profile=profile)
