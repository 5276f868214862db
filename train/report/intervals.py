"""How far a score would move with other faces of the same kind: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from affectkit.train.metrics import binary_f1, ccc, confusion_matrix, f1_by_class
from affectkit.train.report.answers import DevAnswers
from affectkit.types import Array

ROUNDS = 300

Interval = tuple[float, float]


def bootstrap(measure: Callable[[Array], float], count: int, *, rounds: int = ROUNDS) -> Interval | None:
    """The middle 95 % of ``measure`` over sets of ``count`` rows drawn with replacement (Efron & Tibshirani 1993).

    Always the same for the same numbers. None where there are too few rows to say anything.
    """
    if count < 10:
        return None
    rng = np.random.default_rng(0)
    values = [measure(rng.integers(0, count, count)) for _ in range(rounds)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def intervals(answers: DevAnswers) -> dict[str, Interval | None]:
    """Of ``accuracy``, ``macro_f1``, ``au_f1``, ``valence`` and ``arousal``, those with labels."""
    found: dict[str, Interval | None] = {}
    labelled = answers.has_expression
    if labelled.any():
        truth = answers.expression[labelled].astype(int)
        said = answers.expression_probability[labelled].argmax(1)
        classes = len(answers.expressions)
        found["accuracy"] = bootstrap(lambda rows: float((truth[rows] == said[rows]).mean()), len(truth))
        found["macro_f1"] = bootstrap(
            lambda rows: float(f1_by_class(confusion_matrix(truth[rows], said[rows], classes)).mean()), len(truth)
        )
    faces = np.flatnonzero(answers.has_au.any(1))
    if len(faces):
        found["au_f1"] = bootstrap(lambda rows: _au_f1(answers, faces[rows]), len(faces))
    faces = np.flatnonzero(answers.has_va)
    for k, name in enumerate(("valence", "arousal")):
        if len(faces):
            found[name] = bootstrap(
                lambda rows, k=k: ccc(answers.va_predicted[faces[rows], k], answers.va[faces[rows], k]),  # type: ignore[misc]
                len(faces),
            )
    return found


def _au_f1(answers: DevAnswers, faces: Array) -> float:
    values = []
    for k, threshold in enumerate(answers.au_thresholds):
        rows = faces[answers.has_au[faces, k]]
        if len(rows):
            values.append(binary_f1(answers.au[rows, k] >= 0.5, answers.au_probability[rows, k] >= threshold))
    return float(np.mean(values)) if values else float("nan")
