"""How much a converted model differs from its float32 original, and whether that is little enough."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affectkit.export.verify import Parity, measure, problems
from affectkit.readout import read_out, sigmoid, visibility_of
from affectkit.spec import ModelSpec, Precision
from affectkit.train.evaluate import Answers
from affectkit.train.faces import FaceSet
from affectkit.types import Array
from affectkit.visibility import hidden_regions


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a precision may cost on labelled faces."""

    expression: float
    """Smallest share of faces with the same expression."""
    au: float
    """Smallest share of the same AU decisions."""
    va: float
    """Largest mean difference of valence and arousal."""
    intensity: float
    """Largest mean difference of the intensities."""
    visibility: float
    """Smallest share of regions that are seen or hidden in both."""
    pose: float
    """Largest mean difference of pitch, yaw and roll, degrees."""


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(expression=0.9999, au=0.9999, va=1e-4, intensity=1e-4, visibility=0.9999, pose=1e-2),
    "fp16": Tolerance(expression=0.999, au=0.999, va=2e-3, intensity=2e-3, visibility=0.999, pose=0.1),
    "int8": Tolerance(expression=0.95, au=0.96, va=4e-2, intensity=4e-2, visibility=0.97, pose=3.0),
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Decisions of two models on the same faces; None of what they do not answer."""

    count: int
    expression: float | None
    """Share of faces with the same most probable expression."""
    au: float | None
    """Share of AU decisions that are the same."""
    va: float | None
    """Mean absolute difference of valence and arousal."""
    va_largest: float | None
    intensity: float | None = None
    """Mean absolute difference of the intensities."""
    visibility: float | None = None
    """Share of regions that are seen, or hidden, in both."""
    pose: float | None = None
    """Mean absolute difference of pitch, yaw and roll, degrees."""

    def __str__(self) -> str:
        agree = [
            f"{share:.2%} of the {what}"
            for share, what in (
                (self.expression, "expressions"),
                (self.au, "AU decisions"),
                (self.visibility, "regions seen or hidden"),
            )
            if share is not None
        ]
        said = [f"{' and '.join(agree)} agree"] if agree else []
        said += [] if self.va is None else [f"valence and arousal differ by {self.va:.4f} on average"]
        said += [] if self.intensity is None else [f"intensities by {self.intensity:.4f}"]
        said += [] if self.pose is None else [f"the pose by {self.pose:.2f} degrees"]
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class ParityReport:
    """Everything that was compared."""

    precision: Precision
    golden: list[Parity]
    golden_agreement: Agreement
    labelled: str = ""
    """What the labelled faces are."""
    labelled_agreement: Agreement | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    """``metrics.report`` of the original and the converted model on the labelled faces."""

    def problems(self) -> list[str]:
        """What is over the tolerance of the precision, one line each."""
        found = problems(self.golden, self.precision)
        if self.labelled_agreement is not None:
            got, allowed = self.labelled_agreement, TOLERANCES[self.precision]
            for name, value, least in (
                ("expressions", got.expression, allowed.expression),
                ("AU decisions", got.au, allowed.au),
                ("regions seen or hidden", got.visibility, allowed.visibility),
            ):
                if value is not None and not value >= least:
                    found.append(f"{value:.2%} of the {name} agree, needed are {least:.2%}")
            if got.va is not None and not got.va <= allowed.va:
                found.append(f"valence and arousal differ by {got.va:.4f} on average, allowed is {allowed.va:g}")
            for name, value, most in (
                ("intensities", got.intensity, allowed.intensity),
                ("degrees of pose", got.pose, allowed.pose),
            ):
                if value is not None and not value <= most:
                    found.append(f"{name} differ by {value:.4f} on average, allowed is {most:g}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        document = dataclasses.asdict(self)
        document["problems"] = self.problems()
        return document


def agreement(spec: ModelSpec, want: dict[str, Array], got: dict[str, Array]) -> Agreement:
    """Compare the decisions that two sets of logits lead to."""
    before, after, labels = read_out(want, spec), read_out(got, spec), spec.labels
    pairs = list(zip(before, after, strict=True))
    expression = au = va = va_largest = None
    if labels.expressions:
        expression = float(np.mean([a.expression == b.expression for a, b in pairs]))
    if labels.action_units:
        au = float(np.mean([a.au_active == b.au_active for a, b in pairs]))
    if labels.valence_arousal:
        apart = [[abs(a.valence - b.valence), abs(a.arousal - b.arousal)] for a, b in pairs]
        va, va_largest = float(np.mean(apart)), float(np.max(apart))
    return Agreement(len(before), expression, au, va, va_largest, *_besides(spec, want, got))


def _besides(
    spec: ModelSpec, want: dict[str, Array], got: dict[str, Array]
) -> tuple[float | None, float | None, float | None]:
    """Differences in intensity, visibility and pose, as far as both answer them."""
    intensity = visibility = pose = None
    if "intensity" in want and "intensity" in got:
        intensity = float(np.abs(sigmoid(got["intensity"]) - sigmoid(want["intensity"])).mean())
    if "visibility" in want and "visibility" in got:
        one, other = (hidden_regions(visibility_of(outputs, spec), spec) for outputs in (want, got))
        visibility = float(np.mean(one == other))
    if "pose" in want and "pose" in got:
        pose = float(np.abs(got["pose"] - want["pose"]).mean())
    return intensity, visibility, pose


def compare_models(
    spec: ModelSpec,
    golden: dict[str, tuple[Array, Array]],
    labelled: tuple[str, FaceSet, Answers, Answers] | None = None,
) -> ParityReport:
    """Put a report together.

    Args:
        spec: of the converted model.
        golden: (expected, got) by output name; those of sequences begin with ``sequence_``.
        labelled: what the faces are, the faces, and the answers of the original and of the converted model.
    """
    parts = [measure(name, got, want) for name, (want, got) in golden.items()]
    answers = (*spec.tasks, *spec.further_widths)
    want = {name: golden[name][0] for name in answers}
    got = {name: golden[name][1] for name in answers}
    if labelled is None:
        return ParityReport(spec.precision, parts, agreement(spec, want, got))
    where, faces, before, after = labelled
    return ParityReport(
        spec.precision,
        parts,
        agreement(spec, want, got),
        where,
        agreement(spec, before.logits, after.logits),
        {"float32": before.report(faces), os.fspath(spec.precision): after.report(faces)},
    )
