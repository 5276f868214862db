"""Backends that run networks; :func:`open_engine` picks one by device."""

from __future__ import annotations

import re
from pathlib import Path

from affectkit.engines.base import Engine
from affectkit.engines.fake import FakeEngine

__all__ = ["Engine", "FakeEngine", "check_device", "open_engine"]

DEVICES = "auto, cpu, cuda, cuda:N"


def check_device(device: str) -> str:
    """Return ``device`` if it is one of the names this affectkit knows.

    Raises:
        ValueError: it is not.
    """
    if device in ("auto", "cpu", "cuda") or re.fullmatch(r"cuda:\d+", device):
        return device
    raise ValueError(f"device must be one of {DEVICES}, got {device!r}")


def open_engine(path: Path, *, device: str = "auto", threads: int | None = None) -> Engine:
    """Load the ONNX file ``path`` on ``device``.

    Args:
        device: ``auto`` takes CUDA where it works, else the CPU. Every other value is binding.
        threads: CPU threads; None leaves it to the backend (all cores).

    Raises:
        ValueError: unknown device.
        MissingDependency: the backend is not installed.
        DeviceUnavailable: the device is not there; no other is used in its place.
        EngineError: the file cannot be loaded.
    """
    check_device(device)
    from affectkit.engines.ort import OrtEngine, check_installation  # late: loads onnxruntime

    check_installation()
    return OrtEngine(path, device=device, threads=threads)
