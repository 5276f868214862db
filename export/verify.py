"""Golden outputs through any engine; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.engines import open_engine
from affectkit.errors import ModelError
from affectkit.models import FRAME_NAME, TEMPORAL_NAME, ModelFolder
from affectkit.npz import read_npz
from affectkit.spec import Precision
from affectkit.types import Array


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
    cosine: float = 1.0
    """Cosine of the angle between what was got and what was expected, over all values."""


RUNS = 3
"""Of each size: a CUDA graph is captured in the second run of a size, and launched in the third."""

WORKERS = 2
"""Threads that share an engine while it is verified."""


def compare_golden(
    folder: Path,
    golden: Mapping[str, Array],
    *,
    frame: Path | None = None,
    device: str = "cpu",
    precision: Precision = "fp32",
) -> list[Parity]:
    """Run the golden inputs through the ONNX files of a model folder and measure every output.

    All at once and in halves, ``RUNS`` times each, and again from several threads at once; the worst run counts.

    Args:
        frame: the network that looks at single faces, where it is not the folder's own.
        golden: the arrays of golden.npz: ``faces`` and the outputs they give; for models with a temporal part also
            ``sequence_features`` and ``sequence_*``.
        precision: what the networks compute in.
    """
    parity = _run(frame or folder / FRAME_NAME, "faces", 0, "", golden, device, precision)
    if "sequence_features" in golden:
        parity += _run(folder / TEMPORAL_NAME, "sequence_features", 1, "sequence_", golden, device, precision)
    return parity


def _run(
    path: Path, given: str, axis: int, prefix: str, golden: Mapping[str, Array], device: str, precision: Precision
) -> list[Parity]:
    """Measure the outputs of one network; ``axis`` is that of the faces (or sequences) in its input."""
    inputs = golden[given]
    halves = [half for half in np.array_split(inputs, 2, axis) if half.shape[axis]]
    sizes = [[inputs], [np.ascontiguousarray(half) for half in halves]]
    engine = open_engine(path, device=device, precision=precision)
    found: dict[str, Parity] = {}

    def run(parts: list[Array]) -> dict[str, Array]:
        answers = [engine.run({given.removeprefix(prefix): part}) for part in parts]
        return {name: np.concatenate([answer[name] for answer in answers], 1) for name in answers[0]}

    try:
        for parts in sizes:
            for _ in range(RUNS):
                _worst(found, prefix, run(parts), golden)
        with ThreadPoolExecutor(WORKERS) as pool:
            for answers in pool.map(run, sizes * RUNS):
                _worst(found, prefix, answers, golden)
    finally:
        engine.close()
    return list(found.values())


def _worst(found: dict[str, Parity], prefix: str, answers: Mapping[str, Array], golden: Mapping[str, Array]) -> None:
    """Note every output of a run that is further off than before; the outputs are (members, faces, ...)."""
    for name, answer in answers.items():
        one = measure(prefix + name, answer, golden[prefix + name])
        before = found.get(one.name)
        if before is None or not one.largest <= before.largest or not one.cosine >= before.cosine:
            found[one.name] = one


def measure(name: str, got: Array, want: Array) -> Parity:
    """The differences of one output."""
    a, b = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    difference = np.abs(a - b)
    largest, scale = float(difference.max()), float(np.abs(b).max())
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    relative = largest / scale if scale > 0 else float(largest > 0)
    cosine = float(a @ b) / norm if norm > 0 else float(largest == 0)
    return Parity(name, largest, float(difference.mean()), relative, cosine)


@dataclass(frozen=True, slots=True)
class GoldenTolerance:
    """What a precision may cost on the golden inputs."""

    relative: float
    """Largest difference of an output, relative to its largest value."""
    cosine: float
    """Smallest cosine of an output."""


GOLDEN_TOLERANCES: dict[Precision, GoldenTolerance] = {
    "fp32": GoldenTolerance(relative=1e-4, cosine=0.999999),
    "fp16": GoldenTolerance(relative=2e-2, cosine=0.9999),
    # The golden inputs are patterns, not faces, and the ranges were found on faces: only the direction is compared.
    "int8": GoldenTolerance(relative=math.inf, cosine=0.95),
}


def problems(parity: Iterable[Parity], precision: Precision) -> list[str]:
    """What is over the tolerance of a precision, one line each."""
    allowed = GOLDEN_TOLERANCES[precision]
    found = []
    for one in parity:
        if not one.relative <= allowed.relative:
            found.append(
                f"{one.name} differs by {one.relative:.1e} of its largest value, allowed is {allowed.relative:g}"
            )
        if not one.cosine >= allowed.cosine:
            found.append(f"{one.name} has the cosine {one.cosine:.6f}, needed is {allowed.cosine:g}")
    return found


def tolerance_of(precision: Precision) -> str:
    """The tolerance in words."""
    allowed = GOLDEN_TOLERANCES[precision]
    most = "" if math.isinf(allowed.relative) else f"within {allowed.relative:g} of the largest value and "
    return f"{most}with a cosine of {allowed.cosine:g} at least"


def verify(model: ModelFolder, *, device: str = "auto") -> list[Parity]:
    """Compare a model's engine with its golden outputs.

    Raises:
        ModelError: golden.npz cannot be read, or does not fit the model.
    """
    golden = read_golden(model.golden)
    try:
        return compare_golden(model.path, golden, frame=model.frame_onnx, device=device, precision=model.spec.precision)
    except (KeyError, ValueError, IndexError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ModelError(f"{model.golden}: does not fit the model ({reason}); export the model again") from error


def read_golden(path: Path) -> dict[str, Array]:
    """The arrays of a golden.npz.

    Raises:
        ModelError: it cannot be read, or unpacks to more than golden inputs could need.
    """
    try:
        return read_npz(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); export the model again") from error
