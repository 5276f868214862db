"""Torch files in the layouts that others publish: the released networks of the paper, and the VGG group's ResNet-50.

The released checkpoints of Deng, Chen, Shi (FG 2020) are plain state dicts, with ``module.`` before every key where
they were saved on several GPUs. Their backbone is the VGG group's Caffe-style ResNet-50 (``resnet50_ferplus_dag`` and
its relatives, converted to PyTorch), whose own files name the same layers without the prefix. Nothing in them is
executed: they are read with ``weights_only=True``, and strictly by key and shape.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from affectkit.errors import ModelError
from affectkit.train.networks import TASKS, MultitaskCNN, MultitaskCNNRNN, NetworkConfig

SIZE = 112
ALIGNED_SIZE = int(SIZE * 1.2)
"""The published networks resize an aligned face to 134 px and take the middle 112."""

BLOCKS = (3, 4, 6, 3)
"""Bottlenecks of each stage of ResNet-50."""

_PREFIX = "backbone.model."
"""Before the names of the backbone's layers in a released checkpoint."""


def published_config() -> NetworkConfig:
    """The network of the released checkpoints, and the faces it takes."""
    return NetworkConfig(
        backbone="resnet50",
        size=SIZE,
        channels=3,
        template="published",
        margin=SIZE / ALIGNED_SIZE,
        aligned_size=ALIGNED_SIZE,
        dropout=0.0,
    )


def backbone_names() -> dict[str, str]:
    """Name of every layer with parameters in the VGG group's ResNet-50 -> its name in our networks."""
    names = {"conv1_7x7_s2": "backbone.stem.0", "conv1_7x7_s2_bn": "backbone.stem.1"}
    index = 0
    for stage, count in enumerate(BLOCKS):
        for block in range(count):
            parts = {"1x1_reduce": "reduce", "3x3": "spatial", "1x1_increase": "increase"}
            if block == 0:
                parts["1x1_proj"] = "project"
            for theirs, ours in parts.items():
                there, here = f"conv{stage + 2}_{block + 1}_{theirs}", f"backbone.stages.{index}.{ours}"
                names[there], names[f"{there}_bn"] = f"{here}.0", f"{here}.1"
            index += 1
    return names


def published_names(*, recurrent: bool) -> dict[str, str]:
    """Name of every module with parameters in a released checkpoint -> its name in our networks."""
    names = {f"{_PREFIX}{theirs}": ours for theirs, ours in backbone_names().items()}
    for k, task in enumerate(TASKS):
        for theirs, ours in (("bn0", "feature.0"), ("fc_0", "feature.1"), ("bn1", "feature.3"), ("fc_1", "classifier")):
            names[f"classifier.{k}.{theirs}"] = f"heads.{task}.{ours}"
    if not recurrent:
        return names
    names = {f"backbone.{theirs}": f"cnn.{ours}" for theirs, ours in names.items()}
    for k, task in enumerate(TASKS):
        names[f"classifier.{k}.GRU_layer"] = f"heads.rnn.{task}"
        names[f"classifier.{k}.fc_1"] = f"heads.classifier.{task}"
    return names


def read_state(path: Path) -> dict[str, Tensor]:
    """A file of plain weights, without the prefix ``module.``.

    Raises:
        ModelError: it cannot be read, or holds anything but names and tensors.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such checkpoint") from error
    except Exception as error:  # torch raises pickle's, zip's and its own errors here
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: cannot be read as plain weights, and nothing else is accepted ({reason})") from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ModelError(f"{path}: not a state dict: expected names and tensors only")
    return {key.removeprefix("module."): value for key, value in state.items()}


def read_checkpoint(path: Path) -> MultitaskCNN | MultitaskCNNRNN:
    """One released member, in evaluation mode.

    Raises:
        ModelError: it cannot be read, holds anything but weights, or has a missing, extra or misshaped key, which the
            message names.
    """
    state = read_state(path)
    recurrent = any(key.startswith("backbone.backbone.") for key in state)
    cnn = MultitaskCNN(published_config())
    network: MultitaskCNN | MultitaskCNNRNN = MultitaskCNNRNN(cnn) if recurrent else cnn
    kind = "a released CNN-RNN" if recurrent else "a released CNN"
    network.load_state_dict(renamed(state, network, published_names(recurrent=recurrent), path, kind))
    return network.eval()


def read_backbone(path: Path, network: MultitaskCNN) -> None:
    """Fill the backbone of a ResNet-50 from the VGG group's file; its own classifier is not used.

    Raises:
        ModelError: it is no such file, or ``network`` has another backbone.
    """
    if network.config.backbone != "resnet50":
        raise ModelError(f"{path}: fits --backbone resnet50, not {network.config.backbone}")
    state = {key: value for key, value in read_state(path).items() if not key.startswith("classifier.")}
    layers = {theirs: ours.removeprefix("backbone.") for theirs, ours in backbone_names().items()}
    backbone = network.backbone
    backbone.load_state_dict(renamed(state, backbone, layers, path, "the VGG group's ResNet-50"))


def is_backbone(path: Path) -> bool:
    """Whether a file of weights is in the VGG group's own layout, rather than a released checkpoint."""
    return not any(key.startswith("backbone.") for key in read_state(path))


def renamed(
    state: dict[str, Tensor], network: nn.Module, names: dict[str, str], path: Path, kind: str
) -> dict[str, Tensor]:
    """The state under our names; strict.

    Args:
        names: their name of a module -> ours.
        kind: what the file should be, for the message.
    """
    ours = network.state_dict()
    back = {here: there for there, here in names.items()}
    wanted = {}
    for name in ours:
        module, _, parameter = name.rpartition(".")
        wanted[f"{back[module]}.{parameter}"] = name
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}  # older files do not have them
    missing, extra = sorted(wanted.keys() - state.keys() - counters), sorted(state.keys() - wanted.keys())
    if missing or extra:
        parts = [
            f"{what} {keys[0]}{_more(keys)}" for what, keys in (("lacks", missing), ("has the extra", extra)) if keys
        ]
        raise ModelError(f"{path}: is not {kind}: {' and '.join(parts)}")
    for there, here in wanted.items():
        if there in state and state[there].shape != ours[here].shape:
            want, got = tuple(ours[here].shape), tuple(state[there].shape)
            raise ModelError(f"{path}: {there} should have shape {want}, got {got}")
    return {here: state.get(there, ours[here]) for there, here in wanted.items()}


def _more(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""
