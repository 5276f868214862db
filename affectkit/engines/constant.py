"""From the numbers that should come out to the logits that a network would have to answer with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from affectkit.spec import ModelSpec
from affectkit.types import REGIONS, Array

LEAST = 1e-6
"""Probabilities are at least this far from 0 and 1, whose logits are infinite."""

ANGLES = ("pitch", "yaw", "roll")


def usual_spec() -> ModelSpec:
    """The spec of the embedded model that a predictor takes by itself."""
    from affectkit import models

    return models.read_spec(models.find(models.DEFAULT_MODEL))


def logits_of(spec: ModelSpec, values: Mapping[str, float]) -> tuple[dict[str, float], Array | None]:
    """Logits by label for :meth:`FakeEngine.of`, and (2 * bins,) those of valence and arousal; None without them.

    Raises:
        ValueError: a value is out of range.
    """
    left = dict(values)
    for name, value in values.items():
        low = -1 if name in ("valence", "arousal") else 0
        if name not in ANGLES and not low <= value <= 1:
            raise ValueError(f"{name} must be {low} to 1, got {value}")
    logits = {name: left.pop(name, 0.0) for name in ANGLES if spec.pose}
    dimensions = None
    if spec.valence_arousal:
        bins = [_bins_for(left.pop(name, 0.0), spec.va_bins) for name in ("valence", "arousal")]
        dimensions = np.concatenate(bins).astype(np.float32)
    given = [name for name in spec.expression_labels if name in left]
    if given:
        total = sum(left[name] for name in given)
        others = len(spec.expression_labels) - len(given)
        if total > 1 + 1e-9 or (not others and abs(total - 1) > 1e-6):
            raise ValueError(f"the probabilities of {', '.join(given)} add up to {total:g}, all expressions' to 1")
        rest = (1 - total) / others if others else 0.0
        for name in spec.expression_labels:
            probability = max(LEAST, left.pop(name, rest))
            logits[name] = float(np.log(probability)) * spec.expression_temperature
    for name in (*spec.au_labels, *(f"{unit}_i" for unit in spec.au_labels if spec.intensity)):
        logits[name] = _logit(left.pop(name, 0.0))
    for name in REGIONS:
        if name in left and spec.visibility_thresholds is not None:
            logits[name] = _logit(left.pop(name))
    return logits | left, dimensions  # what is left is unknown, and FakeEngine.of says so


def _logit(probability: float) -> float:
    p = min(1 - LEAST, max(LEAST, probability))
    return float(np.log(p / (1 - p)))


def _bins_for(value: float, count: int) -> Array:
    """(bins,) logits whose softmax, over centres from -1 to 1, has this mean: all of it in the two nearest bins."""
    place = (value + 1) / 2 * (count - 1)
    below = min(int(place), count - 2)
    share = place - below
    probabilities = np.full(count, 1e-12)
    probabilities[below], probabilities[below + 1] = max(1e-12, 1 - share), max(1e-12, share)
    return np.asarray(np.log(probabilities))
