"""A network made ready for int8: it learns, while it rounds as int8 does, to answer what it answers in float32.

No labels are needed, and the float32 network stays as it is: what comes out is another network, to be quantised. Tight
ranges (:mod:`affectkit.train.rounding`) have finer steps and cut off more; the second is what is learned away.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from affectkit.train.networks import FURTHER, TASKS, MultitaskCNN, Outputs
from affectkit.train.rounding import as_in_int8
from affectkit.types import UInt8


def ready_for_int8(
    network: MultitaskCNN,
    faces: UInt8,
    *,
    steps: int = 300,
    batch_size: int = 96,
    learning_rate: float = 2e-4,
    seed: int = 0,
    on_step: Callable[[int, float], None] | None = None,
) -> MultitaskCNN:
    """A copy of ``network`` whose answers, rounded as in int8, are nearest to those of ``network`` in float32.

    Its batch statistics stay those of ``network``, so it can be exported like it.

    Args:
        network: with the backbone ``lite``; it is not changed.
        faces: (N, S, S, C) uint8, aligned faces of all the kinds that will be met.
        on_step: called with (step, loss), the loss as mean squared difference in units of each answer's variance.

    Raises:
        ValueError: another backbone, or fewer faces than a batch.
    """
    if len(faces) < batch_size:
        raise ValueError(f"a batch has {batch_size} faces, only {len(faces)} are given")
    teacher, student = copy.deepcopy(network).eval(), copy.deepcopy(network).eval()
    teacher.requires_grad_(False)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate)
    scales = _spread(_answers(teacher(torch.from_numpy(faces[rng.permutation(len(faces))[:1024]]))))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        batch = torch.from_numpy(faces[rng.choice(len(faces), batch_size, replace=False)])
        batch = _disturbed(batch, generator)
        with torch.no_grad():
            wanted = _answers(teacher(batch))  # (N, all logits)
        with as_in_int8(student):
            given = _answers(student(batch))
        loss = (((given - wanted) / scales) ** 2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if on_step is not None:
            on_step(step + 1, float(loss.detach()))
    return student.requires_grad_(True)


def _answers(outputs: Outputs) -> Tensor:
    """All logits of N faces beside each other, and the features that recurrent heads take: (N, W)."""
    parts = [getattr(outputs, name) for name in (*TASKS, *FURTHER)]
    return torch.cat([*(part for part in parts if part.numel()), outputs.features.flatten(1)], 1)


def _spread(answers: Tensor) -> Tensor:
    """(W,) of each answer, over faces; what hardly varies counts as if it varied a little."""
    spread: Tensor = answers.std(0)
    return spread.clamp_min(0.1 * float(spread.median()))


def _disturbed(faces: Tensor, generator: torch.Generator) -> Tensor:
    """(N, S, S, C) uint8: darker, of less contrast, blurred and noisy by chance, each face in its own way."""
    count = len(faces)
    x = faces.float().permute(0, 3, 1, 2)  # (N, C, S, S)

    def drawn(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((count, 1, 1, 1), generator=generator)

    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * drawn(0.5, 1.1) + mean * drawn(0.6, 1.2)
    soft = F.avg_pool2d(x, 3, 1, 1)
    x = torch.where(drawn(0, 1) < 0.25, soft, x)
    noise = torch.randn(x.shape, generator=generator) * drawn(-8, 8).clamp_min(0)
    return (x + noise).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
