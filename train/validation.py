"""Measuring an epoch on the dev part: what chooses the checkpoint, its thresholds and temperatures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from affectkit.train.answers import decode, run_logits, score
from affectkit.train.calibrate import fit_temperature, fit_thresholds
from affectkit.train.config import Selection, TrainConfig
from affectkit.train.extra_answers import (
    balanced_temperature,
    covered_examples,
    fit_visibility,
    report_further,
)
from affectkit.train.faces import FaceSet
from affectkit.train.networks import MultitaskCNN
from affectkit.types import Array


def selection_score(report: dict[str, Any], by: Selection = "metrics") -> float:
    """What the best checkpoint is chosen by: the sum over the tasks, those without labels left out.

    Args:
        by: "metrics": accuracy, mean AU Pearson and mean CCC, which need no threshold. "paper": the paper's scores,
            (F1 + accuracy) / 2 of the AUs, .67 macro F1 + .33 accuracy of the expressions, and mean CCC.
    """
    if by == "paper":
        return float(sum(report["scores"].values()))
    total = 0.0
    if report["expression"] is not None:
        total += report["expression"]["accuracy"]
    if report["au"] is not None:
        total += report["au"]["pearson"]["mean"]
    if report["va"] is not None:
        total += (report["va"]["valence"]["ccc"] + report["va"]["arousal"]["ccc"]) / 2
    return total


def evaluate_on_dev(
    config: TrainConfig,
    network: nn.Module,
    dev_set: FaceSet,
    *,
    step: int,
    epoch: int,
    prior: list[float] | None = None,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Array]]:
    """Measure an epoch on the dev part: its line for the journal, its checkpoint should it be the best, its answers.

    Args:
        prior: how common each expression is among the labels that were trained on.
    """
    logits = run_logits(network, dev_set, config)
    temperature = fit_temperature(dev_set.expression, logits["expression"][None])
    answers = decode(logits, temperature=temperature)
    thresholds = fit_thresholds(dev_set.au, answers["au"])
    report = score(dev_set, answers, np.asarray(thresholds)) | report_further(dev_set, logits)
    line = {
        "epoch": epoch,
        "step": step,
        "loss": {},
        "dev": report,
        "score": selection_score(
            report if config.select_by == "metrics" else _at_half(dev_set, answers), config.select_by
        ),
    }
    chosen = {
        "config": dataclasses.asdict(config),
        "network": network.state_dict(),
        "epoch": epoch,
        "dev": report,
        "au_thresholds": thresholds,
        "au_thresholds_from": "best F1 of each action unit on the dev part of the training data",
        "expression_temperature": temperature,
    }
    if prior is not None:
        chosen |= {
            "expression_prior": prior,
            "expression_prior_from": "the labels of the faces that were trained on",
            "balanced_temperature": balanced_temperature(dev_set.expression, logits["expression"], prior),
        }
    if isinstance(network, MultitaskCNN) and config.network.visibility:
        chosen |= {
            "visibility_thresholds": _visibility_thresholds(network, dev_set, config),
            "visibility_thresholds_from": "at most 2.5 % of the clear regions called hidden, on faces of the dev part "
            "of the training data, four in ten with something laid over them",
        }
    return line, chosen, answers


@torch.no_grad()
def _visibility_thresholds(network: MultitaskCNN, dev_set: FaceSet, config: TrainConfig) -> list[float]:
    crops, seen = covered_examples(dev_set, config.input_spec())
    device = next(network.parameters()).device
    parts = [network(torch.from_numpy(crops[k : k + 256]).to(device)).visibility for k in range(0, len(crops), 256)]
    return fit_visibility(torch.sigmoid(torch.cat(parts)).cpu().numpy(), seen)


def _at_half(faces: FaceSet, answers: dict[str, Array]) -> dict[str, Any]:
    """The report at the threshold .5, by which the published code compares epochs."""
    return score(faces, answers, np.full(faces.au.shape[1], 0.5))
