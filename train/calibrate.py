"""Thresholds of the action units, chosen on data that did not train the network."""

from __future__ import annotations

from affectkit.train.metrics import best_f1_threshold
from affectkit.types import Array


def best_f1_thresholds(labels: Array, probabilities: Array) -> list[float]:
    """For each action unit the threshold of best F1; a label is active at >= 0.5, NaN rows are left out.

    Args:
        labels: (N, 8) in [0, 1], NaN where unlabelled.
        probabilities: (N, 8).

    Returns:
        eight thresholds; 0.5 for a unit without a labelled or without an active face.
    """
    thresholds = []
    for label, probability in zip(labels.T, probabilities.T, strict=True):
        labelled = label == label  # not NaN
        if not labelled.any():
            thresholds.append(0.5)
            continue
        thresholds.append(best_f1_threshold(label[labelled] >= 0.5, probability[labelled])[0])
    return thresholds
