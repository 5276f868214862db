"""Scores of predictions against a truth. Arrays in, numbers out; nothing here knows of models or pictures.

Values that a model left empty (or faces that it did not find) are NaN. They are left out of correlations; as decisions
they are "not on".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PRESENT = 0.5
"""Intensity from which a unit counts as present."""
ABSENT_BELOW = 0.25
"""Intensity below which it counts as absent; between the two a decision is neither right nor wrong."""


def pearson(truth: Array, predicted: Array) -> float:
    """Correlation of what is not empty.

    NaN with fewer than three values or a truth that does not vary; 0 where only the prediction does not vary.
    """
    kept = np.isfinite(truth) & np.isfinite(predicted)
    a, b = np.asarray(truth, float)[kept], np.asarray(predicted, float)[kept]
    if len(a) < 3 or np.ptp(a) < 1e-9:
        return float("nan")
    if np.ptp(b) < 1e-9:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def pearson_within(groups: Array, truth: Array, predicted: Array) -> float:
    """Mean over groups (heads) of the correlation within each; groups in which the truth does not vary do not count."""
    found = [pearson(truth[groups == group], predicted[groups == group]) for group in np.unique(groups)]
    return mean(found)


def pearson_centred(groups: Array, truth: Array, predicted: Array) -> float:
    """One correlation over all groups, each without its own means: for groups of a few values."""
    kept = np.isfinite(truth) & np.isfinite(predicted)
    groups, a, b = groups[kept], np.array(truth[kept], float), np.array(predicted[kept], float)
    for group in np.unique(groups):
        inside = groups == group
        a[inside] -= a[inside].mean()
        b[inside] -= b[inside].mean()
    return pearson(a, b)


def f1(present: Array, decided: Array) -> float:
    """F1 of decisions; NaN where nothing is present and nothing was decided. An empty decision is "not on"."""
    on = np.nan_to_num(np.asarray(decided, float)) >= 0.5
    present = np.asarray(present, bool)
    hits, wrong = int((on & present).sum()), int((on != present).sum())
    return 2 * hits / (2 * hits + wrong) if hits + wrong else float("nan")


def best_f1(present: Array, predicted: Array) -> float:
    """F1 at the threshold that is best on these very values: what no choice of a threshold can better."""
    present, values = np.asarray(present, bool), np.nan_to_num(np.asarray(predicted, float), nan=-np.inf)
    if not present.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    ordered, hits = values[order], np.cumsum(present[order])
    last = np.append(ordered[1:] != ordered[:-1], True) & np.isfinite(ordered)
    scores = 2 * hits / (np.arange(1, len(values) + 1) + present.sum())
    return float(scores[last].max()) if last.any() else 0.0


def on_share(truth: Array, decided: Array, below: float = ABSENT_BELOW) -> float:
    """Of the decisions on what truth says is absent (under ``below``), the share that is on; NaN where there are none.

    Empty decisions count as decisions that are not on.
    """
    absent = np.asarray(truth, float) < below
    return float((np.nan_to_num(np.asarray(decided, float))[absent] >= 0.5).mean()) if absent.any() else float("nan")


def cross_talk(driven: Sequence[str], units: Sequence[str], truth: Array, decided: Array) -> Array:
    """(D, A) share of decisions on unit ``units[a]`` that are on while the unit of row d is driven and a is absent.

    Args:
        driven: (N,) the unit that each picture shows.
        units: A names.
        truth: (N, A) intensities.
        decided: (N, A) 0, 1 or NaN.

    Returns:
        one row for each of the units driven, in the order of their first mention; NaN on the diagonal and where a unit
        is entailed by the driven one in every picture.
    """
    rows = list(dict.fromkeys(driven))
    names, out = np.asarray(driven), np.full((len(rows), len(units)), np.nan)
    for d, name in enumerate(rows):
        shown = names == name
        for a, unit in enumerate(units):
            if unit != name:
                out[d, a] = on_share(truth[shown, a], decided[shown, a])
    return out


def rises(levels: Array, values: Array) -> bool:
    """Whether the mean of ``values`` at each level is higher than at the level before."""
    steps = np.unique(levels)
    means = [mean(values[levels == level]) for level in steps]
    return bool(np.isfinite(means).all() and np.all(np.diff(means) > 0))


def changes_a_second(labels: Sequence[str], fps: float) -> float:
    """How often a label changes from one frame to the next, a second; empty labels (no face) are passed over."""
    shown = [label for label in labels if label]
    if len(shown) < 2:
        return float("nan")
    return sum(a != b for a, b in pairwise(shown)) * fps / (len(shown) - 1)


def half_rise(values: Array, before: int, after: int) -> float:
    """Frame, with its fraction, at which a course passes the middle between its level before and after.

    Args:
        values: (T,); NaN where nothing is known.
        before: frames from the beginning over which the first level is averaged.
        after: frames from the end over which the last level is averaged.

    Returns:
        the first upward passage after which three frames lie above the middle; NaN where there is none, or the last
        level is not higher than the first.
    """
    known = np.isfinite(values)
    low, high = mean(values[:before]), mean(values[-after:])
    if not high > low:
        return float("nan")
    middle = (low + high) / 2
    filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known])
    for k in range(1, len(filled) - 2):
        if filled[k - 1] < middle and (filled[k : k + 3] >= middle).all():
            return float(k - 1 + (middle - filled[k - 1]) / (filled[k] - filled[k - 1]))
    return float("nan")


def mean(values: Any) -> float:
    """Of what is not NaN; NaN where nothing is left."""
    kept = np.asarray(values, float)
    kept = kept[np.isfinite(kept)]
    return float(kept.mean()) if len(kept) else float("nan")
