"""Training for int8: what is between the layers is rounded as an int8 export rounds it.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018:
what the forward pass rounds, the backward pass takes as it came (the straight-through estimator). The range is tight
(``CUT_OFF`` of the largest numbers end at its end), which makes the 255 steps fine; a network that has not been trained
so loses more by what is cut off than it gains by finer steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from affectkit.train.networks import LiteBackbone, MultitaskCNN, ResidualBlock

CUT_OFF = 0.003
"""Share of the numbers between two layers that end at the end of their range."""

STEPS = 255

SAMPLED = 20_000
"""Numbers, about, of which the range is found: a sort of all of them would take longer than the layer."""


def rounded(x: Tensor, *, positive: bool) -> Tensor:
    """``x`` in ``STEPS`` steps between its own quantiles; the gradient passes where nothing is cut off.

    Args:
        x: any shape, float.
        positive: whether a ReLU follows, which the range then begins with.
    """
    with torch.no_grad():
        flat = x.detach().reshape(-1)
        some = flat[:: max(1, flat.numel() // SAMPLED)].float()
        high = torch.quantile(some, 1 - CUT_OFF).clamp_min(1e-3)
        low = torch.zeros_like(high) if positive else torch.quantile(some, CUT_OFF).clamp_max(0)
        step = (high - low) / STEPS
    kept = x.float().clamp(low, high)
    in_steps = ((kept.detach() - low) / step).round() * step + low
    return (kept + (in_steps - kept.detach())).to(x.dtype)


@contextmanager
def as_in_int8(network: nn.Module) -> Iterator[None]:
    """Round what is between the layers of a ``lite`` network in the forward passes of this block.

    The first convolution and the heads compute in float32 in an int8 export, so they do here.

    Raises:
        ValueError: the network has no ``lite`` backbone.
    """
    backbone = network.backbone if isinstance(network, MultitaskCNN) else None
    if not isinstance(backbone, LiteBackbone):
        raise ValueError("only networks with the backbone lite are trained for int8")
    whole: list[nn.Module] = [backbone.stem]  # what a ReLU ends
    signed: list[nn.Module] = []
    for block in backbone.stages:
        assert isinstance(block, ResidualBlock)
        whole += [block.norm1, block]
        signed += [block.norm2, *([] if isinstance(block.shortcut, nn.Identity) else [block.shortcut])]
    hooks = [
        module.register_forward_hook(partial(_hook, positive))
        for positive, modules in ((True, whole), (False, signed))
        for module in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hook(positive: bool, module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> Tensor:
    return rounded(answer, positive=positive)
