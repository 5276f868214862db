"""The numbers of a report, from the answers on the dev part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from affectkit.train.metrics import best_f1_threshold, binary_f1, ccc, pearson
from affectkit.train.report.answers import DevAnswers, Float
from affectkit.types import Array, published_au_name

UNIT_BINS = 10
"""Of an action unit's calibration: rare units have few faces for more."""


def dev_scores(answers: DevAnswers) -> dict[str, Any]:
    """The headline numbers in the form of ``metrics.report``; a task without labels is None."""
    counts = answers.confusion() if answers.has_expression.any() else None
    units = [one for one in unit_scores(answers) if one.labelled]
    return {
        "count": len(answers.names),
        "expression": None
        if counts is None
        else {
            "accuracy": float(np.trace(counts) / counts.sum()),
            "macro_f1": float(np.mean([one.f1 for one in class_scores(answers.expressions, counts)])),
        },
        "au": {
            kind: {
                "mean": float(np.mean([getattr(one, kind) for one in units])),
                **{published_au_name(one.name): getattr(one, kind) for one in units},
            }
            for kind in ("f1", "best_f1", "pearson")
        }
        if units
        else None,
        "va": va_scores(answers) or None,
        "ece": None if counts is None else expression_calibration(answers).error,
    }


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One expression."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    answered: int


def class_scores(names: tuple[str, ...], confusion: Array) -> list[ClassScores]:
    """Of a confusion matrix with rows of labels; what would be 0 / 0 is 0 for F1, else NaN."""
    hits = np.diag(confusion).astype(float)
    support, answered = confusion.sum(1), confusion.sum(0)
    return [
        ClassScores(
            name,
            precision=float(hits[k] / answered[k]) if answered[k] else float("nan"),
            recall=float(hits[k] / support[k]) if support[k] else float("nan"),
            f1=float(2 * hits[k] / (support[k] + answered[k])) if support[k] + answered[k] else 0.0,
            support=int(support[k]),
            answered=int(answered[k]),
        )
        for k, name in enumerate(names)
    ]


@dataclass(frozen=True, slots=True)
class UnitScores:
    """One action unit; NaN where nothing says so."""

    name: str
    labelled: int
    base_rate: float
    """Share of the labelled faces that show it."""
    threshold: float
    f1: float
    best_f1: float
    pearson: float
    ece: float


def unit_scores(answers: DevAnswers) -> list[UnitScores]:
    """A row for each action unit, also for one that no face of the dev part is labelled for."""
    rows = []
    for k, name in enumerate(answers.action_units):
        labelled = answers.has_au[:, k]
        label, p = answers.au[labelled, k], answers.au_probability[labelled, k]
        present, threshold = label >= 0.5, float(answers.au_thresholds[k])
        if not labelled.any():
            nan = float("nan")
            rows.append(UnitScores(name, 0, nan, threshold, nan, nan, nan, nan))
            continue
        rows.append(
            UnitScores(
                name,
                labelled=int(labelled.sum()),
                base_rate=float(present.mean()),
                threshold=threshold,
                f1=binary_f1(present, p >= threshold),
                best_f1=best_f1_threshold(present, p)[1],
                pearson=pearson(label, p),
                ece=calibration(p, label, bins=UNIT_BINS).error,
            )
        )
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Equal-width bins of probability; B bins."""

    count: npt.NDArray[np.int64]
    """(B,) answers in the bin."""
    said: Float
    """(B,) mean probability, NaN in an empty bin."""
    true: Float
    """(B,) how often it was so, NaN in an empty bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap of both (Guo et al., ICML 2017)."""
        gaps = np.abs(np.nan_to_num(self.said) - np.nan_to_num(self.true))
        return float((gaps * self.count).sum() / max(1, self.count.sum()))


def calibration(probability: Array, truth: Array, *, bins: int = 15) -> Calibration:
    """Of (N,) probabilities that something is so, against (N,) whether it is.

    Soft labels (a share of raters) count as what they are: a probability of .3 is right where the label is .3.
    """
    which = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        said = np.bincount(which, weights=probability, minlength=bins) / count
        true = np.bincount(which, weights=np.asarray(truth, float), minlength=bins) / count
    return Calibration(count, said, true)


def expression_calibration(answers: DevAnswers, *, bins: int = 15) -> Calibration:
    """Of the probability of the class that is answered."""
    labelled = answers.has_expression
    p = answers.expression_probability[labelled]
    return calibration(p.max(1), p.argmax(1) == answers.expression[labelled], bins=bins)


def va_scores(answers: DevAnswers) -> Mapping[str, Mapping[str, float]]:
    """``ccc``, ``rmse``, ``pearson`` and ``bias`` of valence and arousal; empty without labels."""
    labelled = answers.has_va
    if not labelled.any():
        return {}
    found: dict[str, dict[str, float]] = {}
    for k, name in enumerate(("valence", "arousal")):
        x, y = answers.va_predicted[labelled, k], answers.va[labelled, k]
        found[name] = {
            "ccc": ccc(x, y),
            "rmse": float(np.sqrt(np.mean((x - y) ** 2))),
            "pearson": pearson(x, y),
            "bias": float((x - y).mean()),
        }
    return found
