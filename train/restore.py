"""An exported model -> networks that training can continue from, or learn from.

The package ships models as ONNX only. Its weights are all there, but batch-norm is folded into the convolutions, and a
network without it trains badly. It is put back: what a convolution answers on some faces is measured, and a batch-norm
with these statistics and the scale and shift that undo them leaves every answer as it was.
"""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from affectkit.errors import ModelError
from affectkit.models import ModelFolder
from affectkit.train.networks import CONFIGS, MultitaskCNN, NetworkConfig
from affectkit.types import UInt8

MEASURED_ON = 512
"""Faces that batch statistics are measured on: a percent or two exact."""

_PARTS = {
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
    "MatMul": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}
"""What the inputs of a node after its first are called in torch."""


def restore(folder: ModelFolder, faces: UInt8) -> list[MultitaskCNN]:
    """The members of a model, in evaluation mode, answering as the exported graph does.

    Args:
        folder: a float32 model folder that :func:`affectkit.export.to_onnx.write_model_folder` wrote, as the embedded
            ones are, and those of ``affectkit export RUN`` and ``import-checkpoints``.
        faces: uint8 (N, S, S, C) as the model takes them, to measure the statistics of batch-norm on; a few hundred.

    Raises:
        ModelError: the model is of another make, so its graph does not hold this network's weights.
    """
    spec = folder.spec
    states = _states(folder)
    if sorted(states) != list(range(spec.members)):
        raise ModelError(f"{folder.path}: its graph does not name the weights of its members; give a training run")
    return [_restored(states[k], _config_of(folder, states[k]), faces, folder) for k in range(spec.members)]


def _config_of(folder: ModelFolder, state: dict[str, Tensor]) -> NetworkConfig:
    """The network that a member is: one of the known ones, or a small one of any widths, whose layers have these names
    and shapes.

    Raises:
        ModelError: it is none of them.
    """
    spec, means = folder.spec, state.get("au_pooling.weight")
    for known in (*CONFIGS.values(), _small(state)):
        config = dataclasses.replace(
            known,
            size=spec.input.size,
            channels=spec.input.channels,
            template=spec.input.template,
            margin=spec.input.margin,
            aligned_size=spec.input.aligned_size,
            labels=spec.labels,
            intensity=spec.intensity,
            visibility=spec.visibility_thresholds is not None,
            pose=spec.pose,
            au_poolings=1 if means is None or known.backbone != "lite" else 1 + means.shape[1],
        )
        with torch.device("meta"):  # shapes only
            shapes = {name: tensor.shape for name, tensor in MultitaskCNN(config).state_dict().items()}
        convolutions = {name for name in state if name.endswith(".weight") and state[name].ndim == 4}
        if convolutions and all(shapes.get(name) == state[name].shape for name in convolutions):
            return config
    raise ModelError(f"{folder.path}: its layers are of no network that can be trained here; give a training run")


def _small(state: dict[str, Tensor]) -> NetworkConfig:
    """A network of `lite`'s kind with the widths and blocks that the layers tell: blocks of one width are a stage."""
    widths: list[int] = []
    blocks: list[int] = []
    while (first := state.get(f"backbone.stages.{sum(blocks)}.conv1.weight")) is not None:
        width = int(first.shape[0])
        if not widths or widths[-1] != width:
            widths.append(width)
            blocks.append(0)
        blocks[-1] += 1
    lite = CONFIGS["lite"]
    return dataclasses.replace(lite, widths=tuple(widths), blocks=tuple(blocks)) if widths else lite


def _states(folder: ModelFolder) -> dict[int, dict[str, Tensor]]:
    """The weights of each member by their names in torch."""
    graph = onnx.load(str(folder.frame_onnx)).graph
    # Half stored weights are called NAME_f16, and are widened to NAME by the first nodes.
    arrays = {tensor.name.removesuffix("_f16"): tensor for tensor in graph.initializer}
    states: dict[int, dict[str, Tensor]] = {}
    for node in graph.node:
        if node.op_type not in _PARTS or len(node.input) < 2:
            continue
        named = re.fullmatch(r"members\.(\d+)\.(.+)\.weight", node.input[1])
        if named is None:
            continue
        state = states.setdefault(int(named[1]), {})
        for part, name in zip(_PARTS[node.op_type], node.input[1:], strict=False):
            if name in arrays:
                values = onnx.numpy_helper.to_array(arrays[name]).astype(np.float32)
                state[f"{named[2]}.{part}"] = torch.from_numpy(values)
    return states


def _restored(state: dict[str, Tensor], config: NetworkConfig, faces: UInt8, folder: ModelFolder) -> MultitaskCNN:
    network = MultitaskCNN(config).eval()
    norms: dict[nn.Conv2d, nn.BatchNorm2d] = {}
    for module in network.modules():
        for (_, conv), (_, norm) in pairwise(module.named_children()):  # a norm right after a conv follows it
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                norms[conv] = norm
    names = {module: name for name, module in network.named_modules()}
    state = dict(state)
    # The exporter leaves out a bias of zeros, which untrained networks have.
    biases = {conv: state.pop(f"{names[conv]}.bias", torch.zeros(conv.out_channels)) for conv in norms}
    found = network.load_state_dict(state, strict=False)
    folded = tuple(names[norm] for norm in norms.values())
    missing = [name for name in found.missing_keys if not name.startswith(folded) and "num_batches" not in name]
    if missing or found.unexpected_keys:
        raise ModelError(f"{folder.path}: cannot be trained: {[*missing, *found.unexpected_keys]}; give a run")

    def measure(conv: nn.Module, inputs: tuple[Tensor, ...], answer: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        bias = biases[conv]
        answer_alike(norms[conv], answer, torch.ones_like(bias), bias)

    hooks = [conv.register_forward_hook(measure) for conv in norms]  # a hook runs before the norm behind its conv
    with torch.no_grad():
        network(torch.from_numpy(faces))
    for hook in hooks:
        hook.remove()
    return network


def answer_alike(norm: nn.BatchNorm2d, convolved: Tensor, scale: Tensor, shift: Tensor) -> None:
    """Give a batch-norm the statistics of what it is shown (N, C, H, W), and have it answer ``scale * x + shift``."""
    variance, mean = torch.var_mean(convolved, (0, 2, 3), correction=0)
    norm.running_mean, norm.running_var = mean, variance
    norm.weight.data = scale * torch.sqrt(variance + norm.eps)
    norm.bias.data = shift + scale * mean
