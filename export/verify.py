"""Golden outputs through any engine; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.engines import open_engine
from affectkit.errors import ModelError
from affectkit.models import ModelFolder
from affectkit.types import Array, UInt8


@dataclass(frozen=True, slots=True)
class Parity:
    """How far one output is from what was expected."""

    name: str
    largest: float
    """Largest absolute difference."""
    mean: float
    """Mean absolute difference."""
    relative: float
    """``largest`` over the largest absolute value expected."""


def compare(onnx_file: Path, faces: UInt8, expected: dict[str, Array], *, device: str = "cpu") -> list[Parity]:
    """Run ``faces`` through ``onnx_file`` and measure every output against ``expected``."""
    engine = open_engine(onnx_file, device=device)
    try:
        got = engine.run({"faces": faces})
    finally:
        engine.close()
    return [measure(name, got[name], want) for name, want in expected.items()]


def measure(name: str, got: Array, want: Array) -> Parity:
    """The differences of one output."""
    difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
    largest = float(difference.max())
    return Parity(name, largest, float(difference.mean()), largest / float(np.abs(want).max()))


def verify(model: ModelFolder, *, device: str = "auto") -> list[Parity]:
    """Compare a model's engine with its golden outputs.

    Raises:
        ModelError: golden.npz cannot be read.
    """
    try:
        with np.load(model.golden, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        faces = arrays.pop("faces")
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{model.golden}: cannot be read ({error}); export the model again") from error
    return compare(model.frame_onnx, faces, arrays, device=device)
