"""Recurrent heads trained on made sequences (:mod:`affectkit.train.synthetic`).

The CNN is frozen, so every frame goes through it once, before training; the heads then learn from the features alone,
which takes minutes on a CPU.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectkit.predictor import Predictor
from affectkit.readout import sigmoid, softmax
from affectkit.spec import VA_BINS
from affectkit.train.answers import score
from affectkit.train.averaging import update_ema
from affectkit.train.calibrate import fit_temperature, fit_thresholds
from affectkit.train.checkpoints import save_atomically
from affectkit.train.config import TrainConfig
from affectkit.train.faces import FaceSet
from affectkit.train.journal import Journal
from affectkit.train.losses import decode_va
from affectkit.train.networks import MultitaskCNN, MultitaskCNNRNN, TemporalHeads
from affectkit.train.synthetic import make_sequence
from affectkit.train.validation import selection_score
from affectkit.types import Array, Float32

log = logging.getLogger(__name__)

TEACHER_EVERY = 4
"""Frames of a held face from one that the teacher is asked about to the next: between them little changes."""


@dataclass(frozen=True, slots=True, eq=False)
class MadeFeatures:
    """B sequences of T frames as the heads take them, and what they should say."""

    features: Float32  # (B, T, 3, F) of the disturbed frames
    expression: Float32  # (B, T, 7) the teacher's probabilities for the clean frames
    au: Float32  # (B, T, 8)
    va: Float32  # (B, T, 2, bins)
    rows: Array  # (B, T) row of the face shown, -1 while two are blended


def make_features(
    faces: FaceSet,
    cnn: Predictor,
    teachers: Sequence[Predictor],
    *,
    count: int,
    length: int,
    severities: Callable[[np.random.Generator], float],
    seed: int,
    on_sequence: Callable[[int], None] = lambda _: None,
) -> MadeFeatures:
    """Make sequences, and run the networks over them.

    Args:
        cnn: one network; what it says of the disturbed frames does not matter, its features do.
        teachers: models that see the same crops; their members' probabilities are averaged.
        severities: draws a sequence's severity.
        seed: sequence k depends on (seed, k) alone.
    """
    parts: dict[str, list[Array]] = {name: [] for name in ("features", "expression", "au", "va", "rows")}
    for k in range(count):
        rng = np.random.default_rng((seed, k))
        made = make_sequence(faces, cnn.spec.input, length, severity=severities(rng), rng=rng)
        _, seen = cnn.predict_aligned(made.disturbed, return_logits=True)
        parts["features"].append(seen["features"][0])
        asked, place = _asked(made.rows)
        for name, values in ask_teachers(teachers, made.clean[asked]).items():
            parts[name].append(values[place])
        parts["rows"].append(made.rows)
        on_sequence(k + 1)
    stacked = {name: np.stack(part) for name, part in parts.items()}
    return MadeFeatures(**{name: v if name == "rows" else v.astype(np.float32) for name, v in stacked.items()})


def _asked(rows: Array) -> tuple[Array, Array]:
    """Frames to ask the teacher about, and for every frame which of these answers is its."""
    asked: list[int] = []
    place = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        if row < 0 or i == 0 or row != rows[i - 1] or i - asked[-1] >= TEACHER_EVERY:
            asked.append(i)
        place[i] = len(asked) - 1
    return np.array(asked), place


def ask_teachers(teachers: Sequence[Predictor], crops: Array) -> dict[str, Array]:
    """Mean probabilities of all members of all teachers: ``expression`` (N, E), ``au`` (N, A), ``va`` (N, 2, bins)."""
    expression, au, va = [], [], []
    for teacher in teachers:
        _, logits = teacher.predict_aligned(crops, return_logits=True)
        expression.append(softmax(logits["expression"]))
        au.append(sigmoid(logits["au"]))
        va.append(softmax(logits["va"].reshape(*logits["va"].shape[:2], 2, VA_BINS)))
    return {name: np.concatenate(part).mean(0) for name, part in (("expression", expression), ("au", au), ("va", va))}


def train_on_features(
    config: TrainConfig,
    cnn: MultitaskCNN,
    made: MadeFeatures,
    dev: MadeFeatures,
    dev_faces: FaceSet,
    run: Path,
    *,
    flutter: float = 0.0,
    steadiness: float = 0.0,
    expression_steadiness: float = 0.0,
    on_epoch: Callable[[int, float], None] = lambda *_: None,
) -> dict[str, Any]:
    """Train the heads, and keep those of the best epoch on the dev sequences as a CNN-RNN checkpoint, ``run/best.pt``.

    Args:
        dev_faces: what ``dev.rows`` count in; its labels are what is measured, on frames that show one face.
        flutter: see :func:`fluttering`.
        steadiness: weight of the mean absolute difference between how the answers and how the teacher's change from
            frame to frame.
        expression_steadiness: that of the expression's probabilities, which has a weight of its own.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    heads = TemporalHeads(cnn.config.labels)
    average = copy.deepcopy(heads)
    optimizer = torch.optim.AdamW(
        heads.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    inputs = torch.from_numpy(made.features)
    targets = [torch.from_numpy(part) for part in (made.expression, made.au, made.va)]
    steps = max(1, len(inputs) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, steps * config.epochs)
    journal = Journal(run, -1)
    best, report = -np.inf, {}
    try:
        for epoch in range(config.epochs):
            order = np.random.default_rng((config.seed, epoch)).permutation(len(inputs))
            total = 0.0
            for step in range(steps):
                rows = torch.from_numpy(order[step * config.batch_size : (step + 1) * config.batch_size])
                seen = fluttering(inputs[rows], flutter, generator)
                loss = _loss(heads, seen, [part[rows] for part in targets], config, (expression_steadiness, steadiness))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                update_ema(average, heads, config.ema, epoch * steps + step + 1)
                total += float(loss.detach())
            line, chosen = _measure(config, cnn, average, dev, dev_faces, epoch + 1)
            line |= {"epoch": epoch + 1, "step": (epoch + 1) * steps, "loss": {"total": total / steps}}
            journal.epoch(line)
            if line["score"] > best:
                best, report = line["score"], line["dev"]
                save_atomically(chosen, run / "best.pt")
            on_epoch(epoch + 1, line["score"])
            log.info("epoch %d: score %.4f (best %.4f)", epoch + 1, line["score"], best)
    finally:
        journal.close()
    return report


def fluttering(features: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Features (B, T, 3, F) that waver for a few frames at a time towards those of another sequence of the batch.

    A speaking mouth passes through shapes that look like expressions and are none; with this the heads learn to follow
    what lasts. How much of the other sequence is mixed in is the size of a normal process of first order with the
    standard deviation ``strength``, at most .6.
    """
    if strength == 0:
        return features
    count, length = features.shape[:2]
    memory = 0.3 + 0.5 * torch.rand(count, generator=generator)
    amount = strength * torch.rand(count, generator=generator) * 2
    steps = torch.randn(length, count, generator=generator)
    value, path = steps[0], []
    for step in steps:
        value = memory * value + torch.sqrt(1 - memory**2) * step
        path.append(value)
    share = (torch.stack(path, 1).abs() * amount[:, None]).clamp(max=0.6)[:, :, None, None]
    other = features[torch.randperm(count, generator=generator)]
    return features + share * (other - features)


def _loss(
    heads: TemporalHeads,
    features: Tensor,
    targets: list[Tensor],
    config: TrainConfig,
    steadiness: tuple[float, float],
) -> Tensor:
    """Cross entropies with the teacher's answers, and how much more than these the answers change between frames.

    Args:
        steadiness: weight of such changes: of the expression, and of action units, valence and arousal.
    """
    said = heads(features)
    expression, au, va = targets
    parts = (
        config.expression_weight * -(expression * F.log_softmax(said.expression, -1)).sum(-1).mean(),
        config.au_weight * F.binary_cross_entropy_with_logits(said.au, au),
        config.va_weight * -(va * F.log_softmax(said.va.unflatten(-1, (2, -1)), -1)).sum((-1, -2)).mean(),
    )
    changes = (
        (torch.softmax(said.expression, -1), expression),
        (torch.sigmoid(said.au), au),
        (decode_va(said.va.flatten(0, 1)).reshape(*said.va.shape[:2], 2), _mean_of_bins(va)),
    )
    unsteady = [(said.diff(dim=1) - right.diff(dim=1)).abs().mean() for said, right in changes]
    return torch.stack(parts).sum() + steadiness[0] * unsteady[0] + steadiness[1] * (unsteady[1] + unsteady[2])


def _mean_of_bins(va: Tensor) -> Tensor:
    """(..., 2, bins) probabilities -> (..., 2) values."""
    return va @ torch.linspace(-1, 1, va.shape[-1])


@torch.no_grad()
def _measure(
    config: TrainConfig, cnn: MultitaskCNN, heads: TemporalHeads, dev: MadeFeatures, dev_faces: FaceSet, epoch: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Against the labels of the faces that the frames show."""
    said = heads(torch.from_numpy(dev.features))
    single = dev.rows >= 0
    rows = dev.rows[single]
    shown = dev_faces.take(rows)
    logits = said.expression.numpy()[single]
    temperature = fit_temperature(shown.expression, logits[None])
    answers = {
        "expression": softmax(logits / temperature),
        "au": sigmoid(said.au.numpy()[single]),
        "va": decode_va(said.va.flatten(0, 1)).numpy().reshape(*dev.rows.shape, 2)[single],
    }
    thresholds = fit_thresholds(shown.au, answers["au"])
    report = score(shown, answers, np.asarray(thresholds))
    whole = MultitaskCNNRNN(copy.deepcopy(cnn))
    whole.heads.load_state_dict(heads.state_dict())
    chosen = {
        "config": dataclasses.asdict(config),
        "network": whole.state_dict(),
        "epoch": epoch,
        "dev": report,
        "au_thresholds": thresholds,
        "au_thresholds_from": "best F1 of each action unit on sequences made from the dev part of the training data",
        "expression_temperature": temperature,
    }
    return {"dev": report, "score": selection_score(report)}, chosen
