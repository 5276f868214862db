"""The networks: three backbones, the paper's three heads on any, and the recurrent heads over time.

Deng, Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectkit.spec import VA_BINS
from affectkit.types import REGIONS, LabelSet

TASKS = ("expression", "au", "va")
"""Order of the heads, of the features in ``Outputs.features`` and of the exported outputs."""

FURTHER = ("intensity", "visibility", "pose")
"""What a network may answer beside the tasks, in the order of the fields of ``Outputs``; the recurrent heads do not."""

FEATURE_WIDTH = 128


Backbone = Literal["lite", "resnet50", "resnet29"]


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """All that is needed to build a network again."""

    backbone: Backbone = "lite"
    size: int = 64
    channels: int = 1
    template: str = "tight"
    margin: float = 1.0
    aligned_size: int | None = None
    """Faces that are aligned already are resized to this side, px, of which the middle is taken; None: to ``size``."""
    labels: LabelSet = field(default_factory=LabelSet)
    """What is answered; a task without labels has no head."""
    widths: tuple[int, ...] = (32, 64, 128, 152)
    """Channels of lite's stages; each but the first halves the picture, the stem halves it once before them."""
    blocks: tuple[int, ...] = (2, 2, 2, 1)
    """Residual blocks of each of lite's stages."""
    dropout: float = 0.1
    """Before the last layer of each head; the paper's networks have none."""
    intensity: bool = False
    """Whether the intensities of the action units are answered beside their presence."""
    visibility: bool = False
    """Whether it is answered how much of brows, eyes and mouth can be seen."""
    pose: bool = False
    """Whether the head's pitch, yaw and roll in the crop are answered."""
    au_poolings: int = 1
    """Means of the last map that the action units are read from: 1 is the plain one, which is all that the other tasks
    have; each further one is weighted by place, as training finds best (``lite`` backbones only)."""

    @property
    def task_widths(self) -> dict[str, int]:
        """Number of logits of each task, 0 for one that the network does not have."""
        return widths_of(self.labels)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the network has, in the order of ``TASKS``."""
        return tuple(task for task, width in self.task_widths.items() if width)


def widths_of(labels: LabelSet) -> dict[str, int]:
    """Number of logits of each task of ``TASKS``; 0 where the label set has nothing of it."""
    va = 2 * VA_BINS if labels.valence_arousal else 0
    return {"expression": len(labels.expressions), "au": len(labels.action_units), "va": va}


def resnet50_config(size: int = 112, *, channels: int = 3) -> NetworkConfig:
    """The paper's network: RGB, 112 px (or 224)."""
    return NetworkConfig(backbone="resnet50", size=size, channels=channels, dropout=0.0)


def resnet29_config(size: int = 112, *, channels: int = 1) -> NetworkConfig:
    """dlib's network for faces, for teachers that are initialised from it."""
    return NetworkConfig(backbone="resnet29", size=size, channels=channels)


CONFIGS: dict[Backbone, NetworkConfig] = {
    "lite": NetworkConfig(),
    "resnet50": resnet50_config(),
    "resnet29": resnet29_config(),
}
"""Each backbone as it is used where nothing else is said."""


def _absent() -> Tensor:
    return torch.empty(0, 0)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Logits and features of N faces, for E expressions and A action units; a task that is absent has width 0."""

    expression: Tensor  # (N, E)
    au: Tensor  # (N, A)
    va: Tensor  # (N, 40): 20 bins of valence, 20 of arousal
    features: Tensor  # (N, K, 128), the K tasks that the network has in the order of TASKS
    intensity: Tensor = field(default_factory=_absent)  # (N, A) logits of 0..1
    visibility: Tensor = field(default_factory=_absent)  # (N, 3) logits of the visible shares of brows, eyes, mouth
    pose: Tensor = field(default_factory=_absent)  # (N, 3) pitch, yaw, roll, degrees


def standardised(x: Tensor) -> Tensor:
    """(N, C, S, S) 0..255 -> each face to mean 0 and about unit spread, so that light and contrast matter less."""
    x = x - x.mean((1, 2, 3), keepdim=True)
    # Population variance; + 64 (8 grey levels squared) keeps a face without contrast from becoming pure noise.
    # A product, not a power: ONNX Runtime computes powers one by one, in a tenth of an int8 network's time.
    return x / torch.sqrt((x * x).mean((1, 2, 3), keepdim=True) + 64.0)


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


def _stages(
    block: Callable[[int, int, int], nn.Module], width: int, widths: Sequence[int], counts: Sequence[int]
) -> nn.Sequential:
    """Blocks of (width in, width, stride), ``counts`` of each width; each stage but the first halves the picture."""
    blocks: list[nn.Module] = []
    for stage, (next_width, count) in enumerate(zip(widths, counts, strict=True)):
        for k in range(count):
            blocks.append(block(width, next_width, 2 if stage > 0 and k == 0 else 1))
            width = next_width
    return nn.Sequential(*blocks)


class LiteBackbone(nn.Module):
    """A small residual network; (N, C, S, S) -> the last map (N, D, H, W)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(config.channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stages = _stages(ResidualBlock, width, config.widths, config.blocks)
        self.width = config.widths[-1]
        self.cells = math.ceil(config.size / 2 ** len(config.widths)) ** 2
        """Places of the last map."""

    @staticmethod
    def normalise(x: Tensor) -> Tensor:
        """(N, C, S, S) 0..255 -> :func:`standardised`."""
        return standardised(x)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stages(self.stem(x))
        return y


class Bottleneck(nn.Module):
    """ResNet-50's block in the Caffe arrangement: the stride sits in the first 1x1 convolution."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.reduce = _conv_norm(width_in, width, 1, stride)
        self.spatial = _conv_norm(width, width, 3, 1)
        self.increase = _conv_norm(width, 4 * width, 1, 1)
        self.project: nn.Module = nn.Identity()
        if stride != 1 or width_in != 4 * width:
            self.project = _conv_norm(width_in, 4 * width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.reduce(x))
        y = torch.relu(self.spatial(y))
        return torch.relu(self.increase(y) + self.project(x))


def _conv_norm(width_in: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width, eps=1e-5)
    )


class ResNet50Backbone(nn.Module):
    """The VGG group's Caffe-style ResNet-50; (N, C, S, S) -> (N, 2048, H, W). Grey faces are repeated over RGB."""

    MEAN_RGB = (131.0912, 103.8827, 91.4953)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_norm(3, 64, 7, 2)
        self.pool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
        stages: list[nn.Module] = []
        width_in = 64
        for stage, count in enumerate((3, 4, 6, 3)):
            for block in range(count):
                width = 64 * 2**stage
                stages.append(Bottleneck(width_in, width, 2 if stage > 0 and block == 0 else 1))
                width_in = 4 * width
        self.stages = nn.Sequential(*stages)
        self.width = width_in

    @staticmethod
    def normalise(x: Tensor) -> Tensor:
        """(N, 1 or 3, S, S) 0..255 -> (N, 3, S, S) minus the mean of the pictures the backbone was made for."""
        mean = x.new_tensor(ResNet50Backbone.MEAN_RGB).reshape(1, 3, 1, 1)
        return x - mean  # a single channel is broadcast over the three

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stages(self.pool(torch.relu(self.stem(x))))
        return y


class PlainShortcutBlock(nn.Module):
    """dlib's residual block: what comes past the convolutions is averaged and filled up with zeros, never convolved."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = _conv_norm(width_in, width, 3, stride)
        self.second = _conv_norm(width, width, 3, 1)
        self.stride = stride
        self.added = width - width_in

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(torch.relu(self.first(x)))
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride)
            # An odd side is halved upwards by the convolution and downwards by the average.
            x = F.pad(x, (0, y.shape[3] - x.shape[3], 0, y.shape[2] - x.shape[2], 0, self.added))
        return torch.relu(y + x)


class ResNet29Backbone(nn.Module):
    """dlib's face recognition network (King, 2017) up to its 256 channels; (N, C, S, S) -> (N, 256, H, W).

    Grey faces are repeated over RGB. Its last block, which leaves a single pixel of a face, is not used.
    """

    MEAN_RGB = (122.782, 117.001, 104.298)
    SPREAD = 55.0
    """Standard deviation of a face's luma, about, in the pictures that the network was made for."""
    WIDTHS, BLOCKS = (32, 64, 128, 256), (3, 4, 3, 3)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_norm(3, self.WIDTHS[0], 7, 2)
        self.pool = nn.MaxPool2d(3, 2)
        self.stages = _stages(PlainShortcutBlock, self.WIDTHS[0], self.WIDTHS, self.BLOCKS)
        self.width = self.WIDTHS[-1]

    @staticmethod
    def normalise(x: Tensor) -> Tensor:
        """(N, 1 or 3, S, S) 0..255 -> (N, 3, S, S): standardised faces, in the range the network was made for."""
        centre = sum(ResNet29Backbone.MEAN_RGB) / 3
        mean = x.new_tensor(ResNet29Backbone.MEAN_RGB).reshape(1, 3, 1, 1)
        return (standardised(x) * ResNet29Backbone.SPREAD + (centre - mean)) / 256.0

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.stages(self.pool(torch.relu(self.stem(x))))
        return y


class PlacedMeans(nn.Module):
    """Means of a map that are weighted by place, the same for all channels; beside the plain one.

    A plain mean no longer knows where a channel answered: a corner of the mouth and the middle of it are one.
    """

    def __init__(self, cells: int, further: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(cells, further) / cells + 1 / cells)

    @staticmethod
    def of_another_size(weight: Tensor, cells: int) -> Tensor:
        """The weights (cells, further) of a map that is seen with more or fewer cells."""
        theirs, ours = math.isqrt(len(weight)), math.isqrt(cells)
        seen = F.interpolate(weight.T.reshape(1, -1, theirs, theirs), (ours, ours), mode="bilinear", antialias=True)
        return seen.reshape(-1, cells).T * (len(weight) / cells)

    def forward(self, last: Tensor) -> Tensor:
        """(N, D, H, W) -> (N, D * further)."""
        return (last.flatten(2) @ self.weight).flatten(1)


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


class ViewHead(nn.Module):
    """What can be seen of the face, and how the head is turned: BatchNorm, Linear to 64, ReLU, Linear."""

    POSE_UNIT = 30.0
    """Degrees that one unit of the last layer stands for: heads in video turn about as far."""

    def __init__(self, width: int, *, visibility: bool, pose: bool) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, 64), nn.ReLU())
        self.visibility = nn.Linear(64, len(REGIONS)) if visibility else None
        self.pose = nn.Linear(64, 3) if pose else None  # pitch, yaw, roll

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) -> logits of visibility and degrees of pose, each (N, 3), or (N, 0) where it is not answered."""
        hidden = self.hidden(x)
        nothing = hidden[:, :0]
        seen = nothing if self.visibility is None else self.visibility(hidden)
        turned = nothing if self.pose is None else self.pose(hidden) * self.POSE_UNIT
        return seen, turned


class MultitaskCNN(nn.Module):
    """uint8 faces in, logits of the three tasks and their features out; normalisation is part of it."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        if config.backbone not in CONFIGS:
            raise ValueError(f"backbone must be one of {', '.join(CONFIGS)}, got {config.backbone!r}")
        self.config = config
        self.backbone: LiteBackbone | ResNet50Backbone | ResNet29Backbone
        if config.backbone == "lite":
            self.backbone = LiteBackbone(config)
        else:
            self.backbone = ResNet50Backbone() if config.backbone == "resnet50" else ResNet29Backbone()
        width, further = self.backbone.width, config.au_poolings - 1
        self.au_pooling: PlacedMeans | None = None
        if further and "au" in config.tasks:
            if not isinstance(self.backbone, LiteBackbone):
                raise ValueError(f"au_poolings needs the backbone lite, got {config.backbone!r}")
            self.au_pooling = PlacedMeans(self.backbone.cells, further)
        widths = {task: width * config.au_poolings if task == "au" else width for task in config.tasks}
        self.heads = nn.ModuleDict(
            {task: TaskHead(widths[task], config.task_widths[task], config.dropout) for task in config.tasks}
        )
        units = config.task_widths["au"]
        self.intensity = nn.Linear(FEATURE_WIDTH, units) if config.intensity and units else None
        self.view = (
            ViewHead(self.backbone.width, visibility=config.visibility, pose=config.pose)
            if config.visibility or config.pose
            else None
        )

    def forward(self, faces: Tensor) -> Outputs:
        # Widened before it is turned: TensorRT takes bytes as an input, but does nothing to them except widening.
        x = faces.to(torch.float32).permute(0, 3, 1, 2)  # (N, C, S, S)
        x = self.backbone.normalise(x).contiguous(memory_format=torch.channels_last)
        last = self.backbone(x)  # (N, D, H, W)
        pooled = last.mean((2, 3))  # (N, D)
        features, logits = [], {}
        for task in self.config.tasks:
            seen = pooled
            if task == "au" and self.au_pooling is not None:
                seen = torch.cat([pooled, self.au_pooling(last)], 1)  # (N, D * au_poolings)
            feature, logits[task] = self.heads[task](seen)  # (N, 128), (N, C)
            features.append(feature)
            if task == "au" and self.intensity is not None:
                logits["intensity"] = self.intensity(F.dropout(feature, self.config.dropout, self.training))
        if self.view is not None:
            logits["visibility"], logits["pose"] = self.view(pooled)
        return _outputs(logits, torch.stack(features, dim=1))


def _outputs(logits: Mapping[str, Tensor], features: Tensor) -> Outputs:
    """Outputs in which what has no logits has width 0."""
    expression, au, va, intensity, visibility, pose = (
        logits[name] if name in logits else features.new_empty((*features.shape[:-2], 0))  # (N, 0), or (B, T, 0)
        for name in (*TASKS, *FURTHER)
    )
    return Outputs(expression, au, va, features, intensity, visibility, pose)


class TemporalHeads(nn.Module):
    """The CNN-RNN part: per task a bidirectional GRU over its features, ReLU, Linear. Runs over whole sequences."""

    def __init__(self, labels: LabelSet | None = None, hidden: int = FEATURE_WIDTH // 2) -> None:
        super().__init__()
        widths = {task: width for task, width in widths_of(labels or LabelSet()).items() if width}
        self.rnn = nn.ModuleDict(
            {task: nn.GRU(FEATURE_WIDTH, hidden, batch_first=True, bidirectional=True) for task in widths}
        )
        self.classifier = nn.ModuleDict({task: nn.Linear(2 * hidden, width) for task, width in widths.items()})

    def forward(self, features: Tensor) -> Outputs:
        """(B, T, K, 128) features of T consecutive frames -> logits (B, T, C) of each task; features pass through."""
        logits = {}
        for k, (task, rnn) in enumerate(self.rnn.items()):
            states, _ = rnn(features[:, :, k])  # (B, T, 2 * hidden)
            logits[task] = self.classifier[task](torch.relu(states))
        return _outputs(logits, features)


class MultitaskCNNRNN(nn.Module):
    """The CNN-RNN: recurrent heads over the features of a CNN, which stays as it is.

    The CNN's own batch statistics are not moved and nothing flows back into it: it is frozen, as the paper's option
    ``--frozen`` says.
    """

    def __init__(self, cnn: MultitaskCNN) -> None:
        super().__init__()
        self.cnn = cnn.eval().requires_grad_(False)
        self.heads = TemporalHeads(cnn.config.labels)

    @property
    def config(self) -> NetworkConfig:
        """The CNN's."""
        return self.cnn.config

    def train(self, mode: bool = True) -> Self:
        """Of the heads only."""
        super().train(mode)
        self.cnn.eval()
        return self

    def forward(self, faces: Tensor) -> Outputs:
        """(B, T, S, S, C) faces -> logits of all B * T frames, one sequence after another."""
        with torch.no_grad():
            features = self.cnn(faces.flatten(0, 1)).features.float()  # (B * T, K, 128)
        with torch.autocast(faces.device.type, enabled=False):  # the GRUs are small, and bfloat16 has too few digits
            answer = self.heads(features.unflatten(0, faces.shape[:2]))
        return Outputs(answer.expression.flatten(0, 1), answer.au.flatten(0, 1), answer.va.flatten(0, 1), features)


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
