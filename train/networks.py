"""The networks: a compact backbone and the paper's three heads on it.

Deng, Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from affectkit.spec import VA_BINS
from affectkit.types import AU_NAMES, EXPRESSION_NAMES

TASKS = ("expression", "au", "va")
"""Order of the heads, of the features in ``Outputs.features`` and of the exported outputs."""

TASK_WIDTHS = {"expression": len(EXPRESSION_NAMES), "au": len(AU_NAMES), "va": 2 * VA_BINS}
FEATURE_WIDTH = 128


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """All that is needed to build a network again."""

    backbone: str = "lite"
    size: int = 64
    channels: int = 1
    template: str = "tight"
    margin: float = 1.0
    widths: tuple[int, ...] = (32, 64, 128, 152)
    """Channels of the four stages; each halves the picture, the stem halves it once more before them."""
    blocks: tuple[int, ...] = (2, 2, 2, 1)
    """Residual blocks of each stage."""
    dropout: float = 0.1


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits and features of N faces."""

    expression: Tensor  # (N, 7)
    au: Tensor  # (N, 8)
    va: Tensor  # (N, 40): 20 bins of valence, 20 of arousal
    features: Tensor  # (N, 3, 128), tasks in the order of TASKS


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., CVPR 2016, basic block)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(width_in, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class LiteBackbone(nn.Module):
    """A small residual network; (N, C, S, S) -> (N, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(config.channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        stages: list[nn.Module] = []
        for stage, (next_width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for block in range(count):
                stages.append(ResidualBlock(width, next_width, 2 if stage > 0 and block == 0 else 1))
                width = next_width
        self.stages = nn.Sequential(*stages)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stages(self.stem(x))
        return y.mean((2, 3))


class TaskHead(nn.Module):
    """The paper's head: BatchNorm, Linear to 128, ReLU, BatchNorm (the task's feature), Linear to the logits."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.feature = nn.Sequential(
            nn.BatchNorm1d(width), nn.Linear(width, FEATURE_WIDTH), nn.ReLU(), nn.BatchNorm1d(FEATURE_WIDTH)
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(FEATURE_WIDTH, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature: Tensor = self.feature(x)  # (N, 128)
        return feature, self.classifier(self.dropout(feature))


class MultitaskCNN(nn.Module):
    """uint8 faces in, logits of the three tasks and their features out; normalisation is part of it."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        if config.backbone != "lite":
            raise ValueError(f"backbone must be 'lite', got {config.backbone!r}")
        self.config = config
        self.backbone = LiteBackbone(config)
        self.heads = nn.ModuleDict(
            {task: TaskHead(self.backbone.width, TASK_WIDTHS[task], config.dropout) for task in TASKS}
        )

    @staticmethod
    def normalise(faces: Tensor) -> Tensor:
        """(N, S, S, C) uint8 -> (N, C, S, S) float; each face to mean 0, so that light and contrast matter less."""
        x = faces.permute(0, 3, 1, 2).to(torch.float32)
        mean = x.mean((1, 2, 3), keepdim=True)
        # Population variance; + 64 (8 grey levels) keeps a face without contrast from becoming pure noise.
        deviation = torch.sqrt(((x - mean) ** 2).mean((1, 2, 3), keepdim=True) + 64.0)
        return (x - mean) / deviation

    def forward(self, faces: Tensor) -> Outputs:
        pooled = self.backbone(self.normalise(faces).contiguous(memory_format=torch.channels_last))
        answers = [self.heads[task](pooled) for task in TASKS]
        features = torch.stack([feature for feature, _ in answers], dim=1)
        expression, au, va = (logits for _, logits in answers)
        return Outputs(expression, au, va, features)


def multiply_adds(network: MultitaskCNN) -> int:
    """Multiply-adds of the convolutions and linear layers for one face."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += module.weight.numel() * output.shape[2] * output.shape[3]
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    training = network.training
    config = network.config
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, config.size, config.size, config.channels, dtype=torch.uint8))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return total
