"""Averages of weights: the moving one of a run, and those of networks that come from one another."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from affectkit.errors import ModelError
from affectkit.train.checkpoints import save_atomically
from affectkit.train.config import TrainConfig
from affectkit.train.faces import FaceSet
from affectkit.train.networks import MultitaskCNN
from affectkit.train.record import RunRecord
from affectkit.train.validation import evaluate_on_dev


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards the network's; young averages move faster."""
    decay = min(decay, (1 + step) / (10 + step))
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


RELATED = 0.3
"""Least correlation of the convolutions' weights of networks that come from one another."""


@torch.no_grad()
def check_related(networks: Sequence[MultitaskCNN], names: Sequence[str]) -> None:
    """Refuse to average networks that were not trained from one another: the middle of two valleys is a hill.

    Weights that grew from different random ones hardly correlate, those that were trained on do.

    Raises:
        ModelError: see above; the message names the network.
    """
    weights = [
        torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d)]) for network in networks
    ]
    for name, other in zip(names[1:], weights[1:], strict=True):
        correlation = float(torch.corrcoef(torch.stack([weights[0], other]))[0, 1])
        if correlation < RELATED:
            raise ModelError(
                f"{name}: was not trained from the same weights as {names[0]} (their weights correlate by "
                f"{correlation:.2f}), so the average of the two would be worth nothing; export them as an ensemble"
            )


@torch.no_grad()
def write_average(
    networks: Sequence[MultitaskCNN], weights: Sequence[float], dev_set: FaceSet, run: Path
) -> dict[str, Any]:
    """Write the weighted mean of networks of one kind as ``run/best.pt``, and return its report on ``dev_set``."""
    shares = np.asarray(weights) / np.sum(weights)
    states = [network.state_dict() for network in networks]
    mixed = copy.deepcopy(networks[0]).eval()
    mixed.load_state_dict(
        {
            name: torch.stack([share * state[name] for share, state in zip(shares, states, strict=True)]).sum(0)
            if first.dtype.is_floating_point
            else first
            for name, first in states[0].items()
        }
    )
    config = TrainConfig(network=mixed.config)
    _, chosen, answers = evaluate_on_dev(config, mixed, dev_set, step=1, epoch=1)
    run.mkdir(parents=True, exist_ok=True)
    save_atomically(chosen, run / "best.pt")
    RunRecord(run, steps=0, epochs=0).save_answers(dev_set, answers, chosen["au_thresholds"])
    report: dict[str, Any] = chosen["dev"]
    return report
