"""How far a score would move with other faces of the same kind: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from affectkit.train.metrics import ccc, confusion_matrix, f1_by_class
from affectkit.train.report.answers import DevAnswers
from affectkit.types import Array

ROUNDS = 300
MOST_DRAWS = 20_000_000
"""In all; large sets get fewer rounds, and their intervals are narrow anyway."""

Interval = tuple[float, float]


def bootstrap(measure: Callable[[Array], float], count: int) -> Interval | None:
    """The middle 95 % of ``measure`` over sets of ``count`` rows drawn with replacement (Efron & Tibshirani 1993).

    Always the same for the same numbers. None where there are too few rows to say anything.
    """
    if count < 10:
        return None
    rng = np.random.default_rng(0)
    rounds = max(50, min(ROUNDS, MOST_DRAWS // count))
    values = [measure(rng.integers(0, count, count)) for _ in range(rounds)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def intervals(answers: DevAnswers) -> dict[str, Interval | None]:
    """Of ``accuracy``, ``macro_f1``, ``au_f1``, ``valence`` and ``arousal``, those with labels."""
    return {**_expression(answers), **_action_units(answers), **_valence_arousal(answers)}


def _expression(answers: DevAnswers) -> dict[str, Interval | None]:
    labelled = answers.has_expression
    if not labelled.any():
        return {}
    truth = answers.expression[labelled].astype(int)
    said = answers.expression_probability[labelled].argmax(1)
    classes = len(answers.expressions)

    def macro_f1(rows: Array) -> float:
        return float(f1_by_class(confusion_matrix(truth[rows], said[rows], classes)).mean())

    accuracy = bootstrap(lambda rows: float((truth[rows] == said[rows]).mean()), len(truth))
    return {"accuracy": accuracy, "macro_f1": bootstrap(macro_f1, len(truth))}


def _action_units(answers: DevAnswers) -> dict[str, Interval | None]:
    faces = np.flatnonzero(answers.has_au.any(1))
    if not len(faces):
        return {}
    labelled = answers.has_au[faces]
    truth = labelled & (np.nan_to_num(answers.au[faces]) >= 0.5)
    said = labelled & (answers.au_probability[faces] >= answers.au_thresholds)
    hits, involved = (truth & said).astype(np.float32), truth.astype(np.float32) + said
    there = labelled.any(0)

    def mean_f1(rows: Array) -> float:
        drawn = np.bincount(rows, minlength=len(faces)).astype(np.float32)  # how often each face was drawn
        f1 = 2 * (drawn @ hits) / np.maximum(drawn @ involved, 1)  # (A,)
        return float(f1[there].mean())

    return {"au_f1": bootstrap(mean_f1, len(faces))}


def _valence_arousal(answers: DevAnswers) -> dict[str, Interval | None]:
    labelled = answers.has_va
    found: dict[str, Interval | None] = {}
    for k, name in enumerate(("valence", "arousal") if labelled.any() else ()):
        found[name] = bootstrap(
            partial(_ccc_of, answers.va_predicted[labelled, k], answers.va[labelled, k]), int(labelled.sum())
        )
    return found


def _ccc_of(predicted: Array, truth: Array, rows: Array) -> float:
    return ccc(predicted[rows], truth[rows])
