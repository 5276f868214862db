"""What a training run has come to: network, average, optimizer and progress, kept in ``last.pt``."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from affectkit.errors import ModelError, TrainingError
from affectkit.train.checkpoints import Network, load_checkpoint, one_line, save_atomically
from affectkit.train.config import TrainConfig, config_from_dict
from affectkit.train.faces import FaceSet
from affectkit.train.networks import MultitaskCNN, MultitaskCNNRNN


@dataclass(slots=True)
class Progress:
    """How far a run is."""

    step: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    evaluated: bool = True
    """Whether the epoch that ended last has been measured on the dev part."""
    sums: dict[str, float] = field(default_factory=dict)
    """Of the losses since the epoch began."""


class RunState:
    """What ``last.pt`` holds: the network, its average, the optimizer, and how far the run is."""

    def __init__(
        self, config: TrainConfig, train_set: FaceSet, run: Path, init_from: nn.Module | None, cnn: MultitaskCNN | None
    ) -> None:
        self.config, self.run = config, run
        self.device = torch.device(config.device)
        if self.device.type == "cuda":
            torch.backends.cudnn.deterministic = True  # the same seed gives the same numbers there too
        network: Network = MultitaskCNN(config.network) if cnn is None else MultitaskCNNRNN(copy.deepcopy(cnn))
        self.network: Network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if init_from is not None:
            self.network.load_state_dict(init_from.state_dict())
        self.average = copy.deepcopy(self.network) if config.ema > 0 else self.network
        self.optimizer = make_optimizer(config, self.network)
        self.at = Progress()
        self.whole = True
        """Whether a step is through, and not half done: only then may its state be saved."""
        self._data = _fingerprint(train_set)
        self._saved_at = time.monotonic()

    def restore(self) -> None:
        """Continue where ``last.pt`` was written.

        Raises:
            ModelError: it is of other settings or faces, or damaged.
        """
        run = self.run
        state = load_checkpoint(run / "last.pt")
        if config_from_dict(state["config"]) != self.config:
            raise ModelError(f"{run}: was started with other settings; repeat them, or choose another folder")
        if "progress" not in state:
            raise ModelError(f"{run / 'last.pt'}: was written by an older affectkit and cannot be resumed")
        if state.get("data") != self._data:
            raise ModelError(
                f"{run}: was started on other faces or labels; give the same ones, or choose another folder"
            )
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["rng"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state_all(state["cuda_rng"])
            self.at = Progress(**state["progress"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{run / 'last.pt'}: a part of it is missing or damaged ({one_line(error)}); train without --resume"
            ) from error

    def save(self) -> None:
        """Write ``last.pt``.

        Raises:
            TrainingError: a weight is not a finite number.
        """
        _check_weights(self.network, self.run, self.at.step)
        state = {
            "config": dataclasses.asdict(self.config),
            "data": self._data,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            "progress": dataclasses.asdict(self.at),
        }
        save_atomically(state, self.run / "last.pt")

    def save_if_due(self) -> None:
        """Write ``last.pt`` if that was long ago."""
        if time.monotonic() - self._saved_at > self.config.checkpoint_minutes * 60:
            self.save()
            self._saved_at = time.monotonic()


def make_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]  # biases and norms are not decayed
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)


def _fingerprint(faces: FaceSet) -> str:
    """What faces and labels a run is trained on, so that it is not resumed on others."""
    digest = hashlib.sha256("\0".join(faces.names).encode())
    values = [faces.expression_target, faces.au, faces.va]
    # Left out where nothing is known, so that runs of before there were such labels can be resumed.
    values += [known for known in (faces.intensity, faces.visible, faces.pose) if not np.isnan(known).all()]
    for labels in values:
        digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()


def _check_weights(network: nn.Module, run: Path, step: int) -> None:
    """Refuse to save weights that are not finite over those that are."""
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise TrainingError(
            f"{run}: after step {step} a weight is not a finite number; last.pt and best.pt are those of before. "
            "Give a lower --learning-rate, or leave out --bf16"
        )
