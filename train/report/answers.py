"""What the kept network said of each face of the dev part (``dev.npz``), and the numbers that follow from it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affectkit.train.metrics import best_f1_threshold, binary_f1, ccc, confusion_matrix, pearson
from affectkit.types import Array

Float = npt.NDArray[np.float64]

TINY = 1e-7
"""Probabilities are kept this far from 0 and 1, so that a log loss is finite."""


@dataclass(frozen=True, slots=True, eq=False)
class DevAnswers:
    """N faces, E expressions, A action units; labels are NaN where a face has none."""

    names: tuple[str, ...]
    expressions: tuple[str, ...]
    action_units: tuple[str, ...]
    expression: Float
    """(N,) index of the class."""
    au: Float
    """(N, A) in [0, 1], present at >= 0.5."""
    va: Float
    """(N, 2)."""
    expression_probability: Float
    """(N, E)."""
    au_probability: Float
    """(N, A)."""
    va_predicted: Float
    """(N, 2); NaN where the network has no such task."""
    au_thresholds: Float
    """(A,), present at >=."""

    def __post_init__(self) -> None:
        n, e, a = len(self.names), len(self.expressions), len(self.action_units)
        for name, shape in (
            ("expression", (n,)),
            ("au", (n, a)),
            ("va", (n, 2)),
            ("expression_probability", (n, e)),
            ("au_probability", (n, a)),
            ("va_predicted", (n, 2)),
            ("au_thresholds", (a,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has the shape {getattr(self, name).shape}, and {shape} is needed")

    @property
    def has_expression(self) -> Array:
        """(N,) whether the face is labelled and the network answers."""
        return np.asarray(~np.isnan(self.expression)) & bool(self.expressions)

    @property
    def has_au(self) -> Array:
        """(N, A) whether the face is labelled for the unit."""
        return np.asarray(~np.isnan(self.au))

    @property
    def has_va(self) -> Array:
        """(N,) whether the face is labelled and the network answers."""
        return np.asarray(~np.isnan(self.va).any(1) & ~np.isnan(self.va_predicted).any(1))

    def confusion(self) -> npt.NDArray[np.int64]:
        """(E, E) counts, rows the labels, columns the answers."""
        labelled = self.has_expression
        answers = self.expression_probability[labelled].argmax(1)
        return confusion_matrix(self.expression[labelled], answers, len(self.expressions))


def read_answers(path: Path) -> DevAnswers:
    """Read a run's ``dev.npz``.

    Raises:
        ValueError: it is missing, damaged or not complete; the message says which.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise ValueError(f"there is no {path.name}: it is written after each best epoch since affectkit 0.2") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from error
    if "names" in found and found.get("va_predicted", np.empty(0)).size == 0:
        found["va_predicted"] = np.full((len(found["names"]), 2), np.nan)  # a network without valence and arousal
    try:
        return DevAnswers(
            names=tuple(map(str, found["names"])),
            expressions=tuple(map(str, found["expressions"])),
            action_units=tuple(map(str, found["action_units"])),
            **{name: found[name].astype(np.float64) for name in _NUMBERS},
        )
    except KeyError as error:
        raise ValueError(f"{path.name} has no {error}") from error


_NUMBERS = (
    "expression",
    "au",
    "va",
    "expression_probability",
    "au_probability",
    "va_predicted",
    "au_thresholds",
)


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
                ece=calibration(p, label).error,
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


def expression_loss(answers: DevAnswers) -> Float:
    """(N,) minus the logarithm of what the labelled class was given; NaN without a label."""
    loss = np.full(len(answers.names), np.nan)
    rows = np.flatnonzero(answers.has_expression)
    given = answers.expression_probability[rows, answers.expression[rows].astype(int)]
    loss[rows] = -np.log(np.clip(given, TINY, 1))
    return loss


def au_loss(answers: DevAnswers) -> Float:
    """(N, A) absolute difference of probability and label; NaN without a label."""
    return np.abs(answers.au_probability - answers.au)


def va_loss(answers: DevAnswers) -> Float:
    """(N,) distance of answer and label in the plane; NaN without a label."""
    return np.asarray(np.sqrt(((answers.va_predicted - answers.va) ** 2).sum(1)))


def worst(loss: Float, count: int) -> npt.NDArray[np.int64]:
    """Rows of the ``count`` greatest losses, the greatest first; those without one left out."""
    known = np.flatnonzero(~np.isnan(loss))
    return np.asarray(known[np.argsort(-loss[known], kind="stable")][:count], np.int64)
