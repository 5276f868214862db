"""How right the answers beside the paper's tasks are: intensity, visibility, head pose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from affectkit.train.data import FaceSet
from affectkit.train.datasets.values import POSE_COLUMNS, VISIBLE_COLUMNS
from affectkit.types import Array

CLEAR, HIDDEN = 0.8, 0.35
"""Visible shares of a region from which on it counts as clear, and under which as hidden; between them as neither."""


def report_further(faces: FaceSet, logits: Mapping[str, Array]) -> dict[str, Any]:
    """What is known of the answers beside the tasks on labelled faces; a part that cannot be measured is left out.

    Args:
        faces: N faces.
        logits: ``intensity`` (N, A) and ``visibility`` (N, 3) logits, ``pose`` (N, 3) degrees; absent or of width 0
            where the network does not answer them.

    Returns:
        ``intensity``: ``pearson`` and ``mae`` by unit and ``mean``. ``visibility``: by region, how often a clear one is
        called hidden (``emptied``) and a hidden one is (``found``), at a visible share of .5. ``pose_mae_deg``: by
        angle.
    """
    found: dict[str, Any] = {}
    intensity = logits.get("intensity", np.empty((len(faces), 0)))
    if intensity.shape[1] and not np.isnan(faces.intensity).all():
        found["intensity"] = _intensities(faces, _sigmoid(intensity))
    visibility = logits.get("visibility", np.empty((len(faces), 0)))
    if visibility.shape[1] and not np.isnan(faces.visible).all():
        found["visibility"] = {
            name: _region(faces.visible[:, k], _sigmoid(visibility[:, k])) for k, name in enumerate(VISIBLE_COLUMNS)
        }
    pose = logits.get("pose", np.empty((len(faces), 0)))
    if pose.shape[1] and not np.isnan(faces.pose).all():
        # Faces are set upright by their points before they are judged, so roll is left to the alignment.
        error = np.abs(pose - faces.pose)[:, :2]
        found["pose_mae_deg"] = {name: float(np.nanmean(error[:, k])) for k, name in enumerate(POSE_COLUMNS[:2])}
    return found


def _intensities(faces: FaceSet, answers: Array) -> dict[str, Any]:
    pearson, mae = {}, {}
    for k, name in enumerate(faces.label_set.action_units):
        known = ~np.isnan(faces.intensity[:, k])
        truth, answer = faces.intensity[known, k], answers[known, k]
        if known.sum() < 3 or np.ptp(truth) == 0:
            continue
        pearson[name] = float(np.corrcoef(truth, answer)[0, 1]) if np.ptp(answer) > 0 else 0.0
        mae[name] = float(np.abs(truth - answer).mean())
    return {name: {**by_unit, "mean": float(np.mean([*by_unit.values()]))} for name, by_unit in _both(pearson, mae)}


def _both(pearson: dict[str, float], mae: dict[str, float]) -> list[tuple[str, dict[str, float]]]:
    return [(name, values) for name, values in (("pearson", pearson), ("mae", mae)) if values]


def _region(truth: Array, answer: Array) -> dict[str, float]:
    clear, hidden = truth >= CLEAR, truth < HIDDEN
    parts = {}
    if clear.any():
        parts["emptied"] = float((answer[clear] < 0.5).mean())
    if hidden.any():
        parts["found"] = float((answer[hidden] < 0.5).mean())
    return parts


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x.astype(np.float64), -60, 60))))
