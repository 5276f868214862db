"""The supervised losses of the paper, with missing labels as masks. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from affectkit.train.networks import Outputs

POSE_SCALE_DEG = 10.0
"""Errors of the head's pose below it cost their square, larger ones their size, in units of it."""


def _nothing() -> Tensor:
    return torch.empty(0, 0)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of N faces; NaN marks a missing one."""

    expression: Tensor  # (N, E) probabilities (one-hot, or the share of votes); a row of NaN: unlabelled
    au: Tensor  # (N, A) in [0, 1], each may be NaN by itself
    va: Tensor  # (N, 2) valence, arousal in [-1, 1]; a row with NaN: unlabelled
    intensity: Tensor = field(default_factory=_nothing)  # (N, A) in [0, 1]
    visible: Tensor = field(default_factory=_nothing)  # (N, 3) in [0, 1]: brows, eyes, mouth
    pose: Tensor = field(default_factory=_nothing)  # (N, 3) pitch, yaw, roll, degrees


@dataclass(frozen=True, slots=True)
class Losses:
    """The three supervised losses; each 0 where its task has no label in the batch."""

    expression: Tensor
    au: Tensor
    va: Tensor

    def total(self, *, au_weight: float = 8.0, expression_weight: float = 1.0, va_weight: float = 1.0) -> Tensor:
        """Weighted sum; the defaults are the paper's."""
        return expression_weight * self.expression + au_weight * self.au + va_weight * self.va


def expression_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (N, E) logits against probabilities, mean over the labelled rows."""
    labelled = ~torch.isnan(target).any(1)
    if not labelled.any() or not logits.shape[1]:
        return logits.sum() * 0
    return -(target[labelled] * F.log_softmax(logits[labelled], 1)).sum(1).mean()


def au_loss(logits: Tensor, target: Tensor, *, focal_gamma: float = 0.0) -> Tensor:
    """Binary cross-entropy of (N, A) logits, mean over the labelled entries.

    ``focal_gamma`` > 0 weighs each entry by ``|target - p| ** gamma``: the focal loss of Lin et al., ICCV 2017, which
    for a hard label is their ``(1 - p_t) ** gamma``.
    """
    labelled = ~torch.isnan(target)
    if not labelled.any():
        return logits.sum() * 0
    logits, target = logits[labelled], target[labelled]
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if focal_gamma > 0:
        loss = loss * (target - torch.sigmoid(logits)).abs() ** focal_gamma
    return loss.mean()


def further(outputs: Outputs, labels: Labels) -> dict[str, Tensor]:
    """What the answers beside the tasks cost, by name, for those that the network has.

    ``intensity`` and ``visibility``: cross-entropy against a share of 0..1, which is least at that share's mean.
    ``pose``: Huber loss of the angles.
    """
    found = {}
    for name, target in (("intensity", labels.intensity), ("visibility", labels.visible)):
        logits = getattr(outputs, name)
        if logits.shape[1]:
            found[name] = au_loss(logits, target) if target.shape[1] else logits.sum() * 0
    if outputs.pose.shape[1]:
        target = labels.pose if labels.pose.shape[1] else torch.full_like(outputs.pose, torch.nan)
        known = ~torch.isnan(target)
        error = (outputs.pose[known] - target[known]) / POSE_SCALE_DEG
        huber = F.smooth_l1_loss(error, torch.zeros_like(error)) if known.any() else outputs.pose.sum() * 0
        found["pose"] = huber
    return found


def decode_va(logits: Tensor) -> Tensor:
    """(..., 2 * B) logits -> (..., 2) valence, arousal: the expectation over ``linspace(-1, 1, B)``."""
    bins = logits.shape[-1] // 2
    centres = torch.linspace(-1, 1, bins, device=logits.device, dtype=logits.dtype)
    return (torch.softmax(logits.reshape(*logits.shape[:-1], 2, bins), -1) * centres).sum(-1)


def va_bin(target: Tensor, bins: int) -> Tensor:
    """Index of the bin of a value in [-1, 1] on the ``bins + 1`` edges of ``linspace(-1, 1)``; 1 is in the last."""
    return ((target.clamp(-1, 1) + 1) / 2 * bins).floor().long().clamp(max=bins - 1)


def ccc(x: Tensor, y: Tensor) -> Tensor:
    """Concordance correlation coefficient of two vectors (Lin, Biometrics 1989), population moments."""
    mean_x, mean_y = x.mean(), y.mean()
    covariance = ((x - mean_x) * (y - mean_y)).mean()
    spread = x.var(unbiased=False) + y.var(unbiased=False) + (mean_x - mean_y) ** 2
    return 2 * covariance / (spread + 1e-8)  # two equal constants give 0, not NaN


def va_loss(logits: Tensor, target: Tensor) -> Tensor:
    """For each of valence and arousal ``1 - CCC`` of the decoded value plus cross-entropy of its bins, summed."""
    labelled = ~torch.isnan(target).any(1)
    if int(labelled.sum()) < 2 or not logits.shape[1]:  # a CCC needs two points
        return logits.sum() * 0
    logits, target = logits[labelled], target[labelled]
    bins = logits.shape[1] // 2
    decoded = decode_va(logits)
    loss = logits.new_zeros(())
    for k in range(2):
        loss = loss + 1 - ccc(decoded[:, k], target[:, k])
        loss = loss + F.cross_entropy(logits[:, k * bins : (k + 1) * bins], va_bin(target[:, k], bins))
    return loss


def supervised(outputs: Outputs, labels: Labels, *, focal_gamma: float = 0.0) -> Losses:
    """The three losses, each on the labels that are there."""
    return Losses(
        expression=expression_loss(outputs.expression, labels.expression),
        au=au_loss(outputs.au, labels.au, focal_gamma=focal_gamma),
        va=va_loss(outputs.va, labels.va),
    )
