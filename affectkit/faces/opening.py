"""Detectors by name, with their networks."""

from __future__ import annotations

from pathlib import Path

from affectkit.engines import open_engine
from affectkit.faces.base import Detector
from affectkit.faces.mtcnn import Mtcnn
from affectkit.faces.names import DETECTORS

WEIGHTS = Path(__file__).parent / "weights"
"""The folder of MTCNN's networks."""

NETWORKS = ("pnet", "rnet", "onet")


class OpenedMtcnn(Mtcnn):
    """MTCNN with the networks that come with the package, on the CPU, which are closed with it."""

    def __init__(self, *, min_face_px: int = 20, threads: int = 1) -> None:
        """Open the networks; arguments as of :class:`affectkit.faces.mtcnn.Mtcnn`.

        Raises:
            MissingDependency: ONNX Runtime is not installed.
            ValueError: ``min_face_px`` is too small.
        """
        # A thread a network and as many levels at once: such small networks gain nothing from more threads in each.
        self._engines = [open_engine(WEIGHTS / f"{name}.onnx", device="cpu", threads=1) for name in NETWORKS]
        super().__init__(*(engine.run for engine in self._engines), min_face_px=min_face_px, threads=threads)

    def close(self) -> None:
        """Free the networks too."""
        for engine in self._engines:
            engine.close()
        super().close()


def open_detector(name: str = "mtcnn", *, device: str = "cpu", min_face_px: int = 20, threads: int = 1) -> Detector:
    """The detector of a name.

    Args:
        name: ``mtcnn``, ``insightface``, ``insightface:PACK`` or ``insightface:FOLDER``.
        device: where the affect network runs; insightface's detector does on CUDA if that does, MTCNN on the CPU.
        min_face_px: smallest face, by the longer side of its box, px.
        threads: what MTCNN searches at the same time; the answer does not depend on it.

    Raises:
        MissingDependency: what the detector needs is not installed.
        ModelError: insightface's pack is missing.
        DeviceUnavailable: the device is not there.
        ValueError: there is no such detector, or ``min_face_px`` is too small.
    """
    kind, _, where = name.partition(":")
    if kind == "insightface":
        from affectkit.faces.insight import InsightDetector  # late: loads insightface

        on = device if device.startswith("cuda") else "cpu"
        return InsightDetector(where or None, device=on, min_face_px=min_face_px)
    if name != "mtcnn":
        raise ValueError(f"detector must be {', '.join(DETECTORS.values())}, got {name!r}")
    return OpenedMtcnn(min_face_px=min_face_px, threads=threads)
