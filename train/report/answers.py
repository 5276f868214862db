"""What the kept network said of each face of the dev part (``dev.npz``), and the numbers that follow from it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affectkit.train.metrics import confusion_matrix
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
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
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
