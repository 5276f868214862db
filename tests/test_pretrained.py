"""Teachers that begin with dlib's network: its file, its arithmetic, and students of teachers with other eyes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from patterns import config, faces_with_a_pattern
from torch.nn import functional as F

from affectkit.errors import ModelError
from affectkit.train.answers import clean_teacher_outputs
from affectkit.train.checkpoints import load_network
from affectkit.train.cli import COMMANDS
from affectkit.train.config import input_spec_of
from affectkit.train.loop import train
from affectkit.train.networks import MultitaskCNN, multiply_adds, resnet29_config, standardised
from affectkit.train.pretrained import initial_network, pretrained
from affectkit.types import Array

Layers = list[tuple[Array, Array, Array, Array]]
"""Of every convolution: weights, bias, scale, shift."""


def integer(value: int) -> bytes:
    """As dlib writes one: its length, then its bytes from the lowest."""
    length = max(1, (value.bit_length() + 7) // 8)
    return bytes([length]) + value.to_bytes(length, "little")


def tensor(values: Array) -> bytes:
    """As dlib writes one: version 2, number and three sizes, floats."""
    return b"".join(map(integer, (2, values.size, 1, 1, 1))) + values.astype("<f4").tobytes()


def layers_of(config_seed: int = 0) -> Layers:
    """Random ones of the right shapes, small enough that answers neither vanish nor explode."""
    rng = np.random.default_rng(config_seed)
    shapes = [
        c.weight.shape for c in MultitaskCNN(resnet29_config()).backbone.modules() if isinstance(c, torch.nn.Conv2d)
    ]
    layers: Layers = []
    for shape in shapes:
        fan = int(np.prod(shape[1:]))
        weights = rng.normal(0, 1 / np.sqrt(fan), tuple(shape)).astype(np.float32)
        layers.append((weights, *(rng.normal(m, 0.1, shape[0]).astype(np.float32) for m in (0, 1, 0))))
    return layers


def write(path: Path, layers: Layers) -> Path:
    """dlib's layout: header, then each convolution and its affine layer, with what stands between them."""
    data = b"\x01\x01\x01\x0dloss_metric_2\x03"
    for weights, bias, scale, shift in layers:
        data += b"\x05con_4" + tensor(np.concatenate([weights.ravel(), bias])) + b"\x01\x07\x01\x07"
        data += b"\x07affine_" + tensor(np.concatenate([scale, shift])) + b"\x01\x00\x08relu_110"
    path.write_bytes(data)
    return path


def by_hand(faces: torch.Tensor, layers: Layers) -> torch.Tensor:
    """dlib's network as its layers say, with scales and shifts and no batch-norm."""
    remaining = iter(layers)

    def step(x: torch.Tensor, stride: int) -> torch.Tensor:
        weights, bias, scale, shift = map(torch.from_numpy, next(remaining))
        y = F.conv2d(x, weights, bias, stride, weights.shape[2] // 2)
        return y * scale[None, :, None, None] + shift[None, :, None, None]

    x = standardised(faces.float().permute(0, 3, 1, 2)) * 55
    x = torch.cat([x + (122.782 + 117.001 + 104.298) / 3 - mean for mean in (122.782, 117.001, 104.298)], 1) / 256
    x = F.max_pool2d(torch.relu(step(x, 2)), 3, 2)
    for stage, count in enumerate((3, 4, 3, 3)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            y = step(torch.relu(step(x, stride)), 1)
            if stride == 2:
                half = F.avg_pool2d(x, 2)
                x = torch.zeros_like(y)
                x[:, : half.shape[1], : half.shape[2], : half.shape[3]] = half
            x = torch.relu(x + y)
    return x.mean((2, 3))


def some_faces(count: int = 12, size: int = 56) -> Array:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, size, size, 1)).astype(np.uint8)


@pytest.mark.slow
def test_answers_are_those_of_the_files_arithmetic(tmp_path: Path) -> None:
    layers = layers_of()
    faces = some_faces()
    network = pretrained(write(tmp_path / "d.dat", layers), resnet29_config(56), faces)
    other = torch.from_numpy(some_faces(5)[::-1].copy())
    x = network.backbone.normalise(other.float().permute(0, 3, 1, 2))
    with torch.no_grad():
        torch.testing.assert_close(network.backbone(x).mean((2, 3)), by_hand(other, layers), rtol=1e-3, atol=1e-4)
    norms = [m for m in network.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == len(layers) == 27 and not torch.equal(norms[0].running_var, torch.ones(32))


def test_size_of_the_network() -> None:
    network = MultitaskCNN(resnet29_config())
    assert sum(p.numel() for p in network.backbone.parameters()) == pytest.approx(4.39e6, rel=0.01)
    assert multiply_adds(network) == pytest.approx(201e6, rel=0.01)


@pytest.mark.slow
def test_training_begins_with_the_file_and_follows_the_seed(tmp_path: Path) -> None:
    file = write(tmp_path / "d.dat", layers_of())
    faces, dev = faces_with_a_pattern(24), faces_with_a_pattern(16, 1)
    settings = config(epochs=1, network=resnet29_config(32), learning_rate=0.0, weight_decay=0.0, ema=0.0)
    first, again = (initial_network(file, settings, faces) for _ in range(2))
    other = initial_network(file, dataclasses.replace(settings, seed=settings.seed + 1), faces)
    heads = [network.heads["au"].classifier.weight for network in (first, again, other)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])
    train(settings, faces, dev, tmp_path / "run", init_from=first)
    network, _ = load_network(tmp_path / "run" / "best.pt")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), first.parameters(), strict=True))


@pytest.mark.slow
def test_a_student_may_have_a_teacher_with_other_faces(tmp_path: Path) -> None:
    faces, dev = faces_with_a_pattern(24), faces_with_a_pattern(16, 1)
    teacher = MultitaskCNN(resnet29_config(32)).eval()
    settings = config(epochs=1, teacher_view="clean")
    assert input_spec_of(teacher.config) != settings.input_spec()
    answers = clean_teacher_outputs([teacher, MultitaskCNN(settings.network).eval()], faces, settings)
    assert answers.expression.shape == (24, 7)
    train(settings, faces, dev, tmp_path / "student", teachers=[teacher])
    assert (tmp_path / "student" / "best.pt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "is not dlib"),
        (lambda data: data[: len(data) // 2], "is not dlib"),
        (lambda data: data.replace(b"\x05con_4", b"\x05con_5"), "is not dlib"),
        (lambda data: data.replace(b"\x05con_4\x01\x02", b"\x05con_4\x01\x03"), "version 3"),
        (lambda data: data.replace(integer(32 * 3 * 49 + 32), b"\x04\xff\xff\xff\x7f", 1), "2147483647"),
        (lambda data: data.replace(integer(32 * 3 * 49 + 32), integer(32 * 3 * 49 + 31), 1), "is not there"),
    ],
)
def test_another_or_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], said: str) -> None:
    file = write(tmp_path / "d.dat", layers_of())
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelError, match=said):
        pretrained(file, resnet29_config(32), some_faces(4, 32))


def test_it_is_for_its_own_backbone_only(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--backbone resnet29"):
        pretrained(write(tmp_path / "d.dat", layers_of()), config().network, some_faces(4, 16))
    with pytest.raises(ModelError, match="cannot be read"):
        pretrained(tmp_path / "none.dat", resnet29_config(32), some_faces(4, 32))
    assert "pretrained" in {option.name for option in COMMANDS["teacher"].params}
