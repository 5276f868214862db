"""How right the answers beside the paper's tasks are: intensity, visibility, head pose."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from affectkit.readout import sigmoid, softmax
from affectkit.spec import InputSpec
from affectkit.train.augmentation import AUGMENTATIONS, disturb
from affectkit.train.datasets.values import POSE_COLUMNS, VISIBLE_COLUMNS
from affectkit.train.faces import FaceSet
from affectkit.train.occlusion import HIDDEN
from affectkit.types import Array, UInt8

CLEAR = 0.8
"""Visible share of a region from which on it counts as clear; between that and ``HIDDEN`` it is neither."""

EMPTIED = 0.025
"""Share of clear regions that thresholds of visibility may call hidden."""

LOWEST, HIGHEST = 0.2, (0.7, 0.7, CLEAR)
"""What a threshold of visibility may be, of brows, eyes and mouth at most: a shut or narrowed eye looks hidden in part,
a mouth behind a hand, which is skin as well, looks visible in part."""

MEASURED_ON = 3000
"""Faces that the thresholds of visibility are fitted on, at most, each clear or covered by chance."""


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
        found["intensity"] = _intensities(faces, sigmoid(intensity))
    visibility = logits.get("visibility", np.empty((len(faces), 0)))
    if visibility.shape[1] and not np.isnan(faces.visible).all():
        found["visibility"] = {
            name: _region(faces.visible[:, k], sigmoid(visibility[:, k])) for k, name in enumerate(VISIBLE_COLUMNS)
        }
    pose = logits.get("pose", np.empty((len(faces), 0)))
    if pose.shape[1] and not np.isnan(faces.pose).all():
        # Faces are set upright by their points before they are judged, so roll is left to the alignment.
        error = np.abs(pose - faces.pose)[:, :2]
        found["pose_mae_deg"] = {name: float(np.nanmean(error[:, k])) for k, name in enumerate(POSE_COLUMNS[:2])}
    return found


def expression_prior(faces: FaceSet) -> list[float] | None:
    """Share of each expression among the labels to train on, each at least a thousandth; None where there are none."""
    target = faces.expression_target[~np.isnan(faces.expression_target).any(1)]
    if not target.size:
        return None
    shares = np.maximum(target.mean(0, dtype=np.float64), 1e-3)
    return [float(share) for share in shares / shares.sum()]


def balanced_temperature(labels: Array, logits: Array, prior: Sequence[float]) -> float:
    """The temperature of logits less the logarithm of the prior at which every class's mean log loss is least in sum.

    Args:
        labels: (N,) class index, NaN where unlabelled.
        logits: (N, E).
        prior: E shares.
    """
    labelled = ~np.isnan(labels)
    truth = labels[labelled].astype(int)
    shifted = logits[labelled].astype(np.float64) - np.log(prior)
    weights = 1 / np.bincount(truth, minlength=len(prior))[truth] if len(truth) else np.empty(0)
    temperatures = np.exp(np.arange(-np.log(5), np.log(5), 0.02))
    loss = []
    for temperature in temperatures:
        likely = softmax(shifted / temperature)[np.arange(len(truth)), truth]
        loss.append(-(weights * np.log(np.maximum(likely, 1e-12))).sum())
    return round(float(temperatures[int(np.argmin(loss))]), 4) if len(truth) else 1.0


def fit_visibility(answers: Array, seen: Array) -> list[float]:
    """The share of brows, eyes and mouth under which a region counts as hidden: as high as clear faces allow.

    At most ``EMPTIED`` of the clear ones are called hidden; from ``LOWEST`` to ``HIGHEST``.

    Args:
        answers: (N, 3) visible shares that the network answers.
        seen: (N, 3) the true ones, NaN where unknown.
    """
    found = []
    for k, highest in enumerate(HIGHEST):
        clear = answers[seen[:, k] >= CLEAR, k]
        found.append(float(np.clip(np.quantile(clear, EMPTIED), LOWEST, highest)) if len(clear) else 0.5)
    return [round(threshold, 4) for threshold in found]


def covered_examples(faces: FaceSet, spec: InputSpec) -> tuple[UInt8, Array]:
    """Crops (N, S, S, C) of a set, many of them with something over the face, always the same, and what is seen (N, 3).

    ``seen`` counts a face that nothing is known of as clear before it is covered.
    """
    how = dataclasses.replace(AUGMENTATIONS["covered"], turn=0.0, elsewhere=0.0, cover=0.4)
    chosen = np.random.default_rng(0).permutation(len(faces))[:MEASURED_ON]
    crops, seen = [], []
    for i in chosen:
        shown = disturb(faces.image(i), faces.landmarks[i], spec, how, np.random.default_rng((0, int(i))))
        before = np.where(np.isnan(faces.visible[i]), 1.0, faces.visible[i])
        crops.append(shown.crop)
        seen.append(before if shown.seen is None else before * shown.seen)
    return np.stack(crops), np.stack(seen)


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
