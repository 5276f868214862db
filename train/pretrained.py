"""dlib's face recognition network -> a backbone to initialise from.

``dlib_face_recognition_resnet_model_v1.dat`` (Davis King, 2017; public domain; from dlib.net, or in the PyPI package
``face_recognition_models``) has seen three million faces, under any light and from any side; 35,000 labelled ones do
not teach that much. Its weights are never shipped: teachers are initialised from them, and students learn from the
teachers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from affectkit.errors import ModelError
from affectkit.train.config import TrainConfig
from affectkit.train.crops import crop_all
from affectkit.train.faces import FaceSet
from affectkit.train.networks import MultitaskCNN, NetworkConfig, ResNet29Backbone
from affectkit.train.restore import MEASURED_ON, answer_alike
from affectkit.types import Float32, UInt8

_CONVOLUTION, _AFFINE = b"\x05con_4", b"\x07affine_"
"""How dlib begins these layers: the length of a name, and the name."""


def initial_network(path: Path, config: TrainConfig, faces: FaceSet) -> MultitaskCNN:
    """:func:`pretrained`, measured on faces of the training set that the run's seed picks; its heads follow the seed.

    Raises:
        ModelError: as there.
    """
    torch.manual_seed(config.seed)
    count = min(MEASURED_ON, len(faces))
    chosen = np.random.default_rng(config.seed).choice(len(faces), count, replace=False)
    return pretrained(path, config.network, crop_all(faces, chosen, config.input_spec()))


def pretrained(path: Path, config: NetworkConfig, faces: UInt8) -> MultitaskCNN:
    """A network whose backbone is dlib's, with fresh heads.

    dlib's file holds a scale and a shift where batch-norm was. A batch-norm is put back that answers just so on
    ``faces``: without it the network trains badly.

    Args:
        faces: uint8 (N, S, S, C) as the network takes them; a few hundred.

    Raises:
        ModelError: it cannot be read, or is not that network; or ``config`` is of another backbone.
    """
    if config.backbone != "resnet29":
        raise ModelError(f"{path}: fits --backbone resnet29, not {config.backbone}")
    network = MultitaskCNN(config)
    backbone = network.backbone
    assert isinstance(backbone, ResNet29Backbone)
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    layers = _read(path, [tuple(conv.weight.shape) for conv in convolutions])

    def measure(k: int, answer: Tensor) -> None:
        _, scale, shift = layers[k]
        answer_alike(norms[k], answer, scale, shift)

    hooks = []
    for k, conv in enumerate(convolutions):
        conv.weight.data = layers[k][0]
        hooks.append(conv.register_forward_hook(lambda _, __, answer, k=k: measure(k, answer)))
    with torch.no_grad():
        network.eval()(torch.from_numpy(faces))
    for hook in hooks:
        hook.remove()
    return network


def _read(path: Path, shapes: list[tuple[int, ...]]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of every convolution in order: its weights, and the scale and shift of what it answers."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    layers: list[tuple[Tensor, Tensor, Tensor]] = []
    at = 0
    try:
        for shape in shapes:
            kernel, width = _tensor(data, data.index(_CONVOLUTION, at) + len(_CONVOLUTION))
            affine, at = _tensor(data, data.index(_AFFINE, width) + len(_AFFINE))
            weights, bias = np.split(kernel, [int(np.prod(shape))])
            scale, shift = np.split(affine, [shape[0]])
            if not bias.shape == scale.shape == shift.shape == shape[:1]:
                raise ValueError(f"a convolution of {shape} is not there")
            arrays = weights.reshape(shape).copy(), scale.copy(), shift + scale * bias
            layers.append((torch.from_numpy(arrays[0]), torch.from_numpy(arrays[1]), torch.from_numpy(arrays[2])))
    except (ValueError, IndexError) as error:
        raise ModelError(f"{path}: is not dlib_face_recognition_resnet_model_v1.dat ({error})") from error
    return layers


def _tensor(data: bytes, at: int) -> tuple[Float32, int]:
    """dlib's tensor at an offset, flat: version 2, four sizes, little-endian floats; and where it ends."""
    sizes = []
    for _ in range(5):
        value, at = _integer(data, at)
        sizes.append(value)
    version, *shape = sizes
    count = int(np.prod(shape))
    if version != 2 or not 0 < count <= 1 << 20:
        raise ValueError(f"a tensor of version {version} and {count} numbers")
    return np.frombuffer(data, "<f4", count, at), at + 4 * count


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """dlib's integer: a byte with its length and, in the highest bit, its sign; then its bytes, the lowest first."""
    length = data[at] & 0x0F
    value = int.from_bytes(data[at + 1 : at + 1 + length], "little")
    return (-value if data[at] & 0x80 else value), at + 1 + length
