"""AU thresholds and the temperature of the expressions, chosen on data that did not train the network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from affectkit import models
from affectkit.errors import ModelError
from affectkit.readout import softmax
from affectkit.train.metrics import best_f1_threshold
from affectkit.types import Array

Rule = Literal["best-f1", "precision-equals-recall"]


def precision_equals_recall_threshold(truth: Array, probability: Array) -> float:
    """The threshold at which as many faces are predicted active as are active, so that precision equals recall.

    Midway between the last face above it and the first below. Without a positive the answer is 0.5.
    """
    positives = int(truth.astype(bool).sum())
    if positives == 0:
        return 0.5
    ranked = np.sort(probability.astype(np.float64))[::-1]
    below = ranked[positives] if positives < len(ranked) else 0.0
    return float((ranked[positives - 1] + below) / 2)


def _best_f1(truth: Array, probability: Array) -> float:
    return best_f1_threshold(truth, probability)[0]


RULES: dict[Rule, Callable[[Array, Array], float]] = {
    "best-f1": _best_f1,
    "precision-equals-recall": precision_equals_recall_threshold,
}


def fit_thresholds(labels: Array, probabilities: Array, *, rule: Rule = "best-f1") -> list[float]:
    """One threshold for each action unit; a label is active at >= 0.5, NaN rows are left out.

    Args:
        labels: (N, A) in [0, 1], NaN where unlabelled.
        probabilities: (N, A).

    Returns:
        A thresholds; 0.5 for a unit without a labelled or without an active face.
    """
    thresholds = []
    for label, probability in zip(labels.T, probabilities.T, strict=True):
        labelled = ~np.isnan(label)
        fitted = RULES[rule](label[labelled] >= 0.5, probability[labelled]) if labelled.any() else 0.5
        thresholds.append(fitted)
    return thresholds


def fit_temperature(labels: Array, logits: Array) -> float:
    """The temperature T at which softmax(logits / T), averaged over the members, is likeliest to say the labels.

    Temperature scaling (Guo et al., ICML 2017): it changes how sure the network is, not what it says. Found on a grid
    of steps of one percent from 1/5 to 5.

    Args:
        labels: (N,) class index, NaN where unlabelled.
        logits: (M, N, C) of M members.

    Returns:
        1 where there is no label.
    """
    labelled = ~np.isnan(labels)
    if not labelled.any() or not logits.shape[2]:
        return 1.0
    logits, truth = logits[:, labelled].astype(np.float64), labels[labelled].astype(int)
    temperatures = np.exp(np.arange(-np.log(5), np.log(5), 0.01))
    loss = []
    for temperature in temperatures:
        likely = softmax(logits / temperature).mean(0)[np.arange(len(truth)), truth]
        loss.append(-np.log(np.maximum(likely, 1e-12)).mean())
    return round(float(temperatures[int(np.argmin(loss))]), 4)


def check_writable(model: str | os.PathLike[str]) -> Path:
    """The folder of a model that may be calibrated.

    Raises:
        ModelError: it is not a model folder, or one of the embedded ones, which are not to be changed.
    """
    folder = models.find(model)
    if folder.parent == models.EMBEDDED:
        raise ModelError(f"{model}: is embedded in the package; copy the folder {folder} and calibrate the copy")
    return folder


def write_calibration(
    model: str | os.PathLike[str],
    *,
    thresholds: list[float] | None = None,
    temperature: float | None = None,
    provenance: str,
) -> Path:
    """Put thresholds or a temperature, and where they come from, into a model's model.json.

    Args:
        thresholds: in the order of ``spec.labels.action_units``.

    Raises:
        ModelError: see :func:`check_writable`.
    """
    folder = check_writable(model)
    spec = models.load(folder).spec
    if thresholds is not None:
        by_name = dict(zip(spec.labels.action_units, thresholds, strict=True))
        spec = dataclasses.replace(
            spec,
            au_thresholds=tuple(round(by_name[name], 4) for name in spec.au_labels),
            au_thresholds_from=provenance,
        )
    if temperature is not None:
        spec = dataclasses.replace(
            spec, expression_temperature=temperature, expression_temperature_from=f"least log loss on {provenance}"
        )
    from affectkit.export.refresh import write_refreshed  # late: export stands on train

    write_refreshed(folder, spec)  # the networks say it too
    return folder
