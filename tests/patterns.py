"""Faces that a tiny network learns in a second, and runs on them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from affectkit.export.to_onnx import write_model_folder
from affectkit.spec import InputSpec, ModelSpec, TemporalSpec
from affectkit.train.checkpoints import load_checkpoint
from affectkit.train.config import TrainConfig
from affectkit.train.faces import FaceSet
from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNN, NetworkConfig, TemporalHeads

NAN = math.nan
SMALL = NetworkConfig(size=16, widths=(8, 8), blocks=(1, 1))


def faces_with_a_pattern(count: int, seed: int = 0) -> FaceSet:
    """Bright upper half: happiness and AU12; bright lower half: sadness and AU15."""
    rng = np.random.default_rng(seed)
    up = rng.random(count) < 0.5
    images = []
    for is_up in up:
        image = rng.integers(0, 60, (16, 16))
        image[: 8 if is_up else 16] += 120 if is_up else 0
        image[8:] += 0 if is_up else 120
        images.append(image.astype(np.uint8))
    index = np.where(up, 4, 5).astype(np.float32)
    au = np.zeros((count, 8), np.float32)
    au[up, 4], au[~up, 5] = 1, 1
    au[::3] = NAN
    va = np.stack([np.where(up, 0.8, -0.6), np.where(up, 0.5, -0.2)], 1) + rng.normal(0, 0.05, (count, 2))
    return FaceSet(
        tuple(map(str, range(count))),
        tuple(images),
        np.full((count, 5, 2), NAN, np.float32),
        index,
        np.eye(7, dtype=np.float32)[index.astype(int)],
        au,
        va.astype(np.float32),
        ("",) * count,
    )


def config(**changes: object) -> TrainConfig:
    values: dict[str, object] = {
        "network": SMALL,
        "epochs": 3,
        "batch_size": 16,
        "optimizer": "adamw",
        "learning_rate": 5e-3,
        "betas": (0.9, 0.999),
        "schedule": "cosine",
        "warmup_steps": 4,
        "ema": 0.8,
        **changes,
    }
    return TrainConfig(**values)  # type: ignore[arg-type]


def states_are_equal(a: Path, b: Path) -> bool:
    first, second = load_checkpoint(a)["network"], load_checkpoint(b)["network"]
    return all(torch.equal(first[name], second[name]) for name in first)


def recurrent_model(folder: Path, thresholds: tuple[float, ...] = (0.5,) * 8) -> Path:
    """An exported model of two tiny networks with recurrent heads, untrained, named like its folder."""
    spec = ModelSpec(
        name=folder.name,
        version="1",
        licence="MIT",
        trained_on=("nothing",),
        input=InputSpec(16, 1, "tight"),
        au_thresholds=thresholds,
        au_thresholds_from="made up",
        members=2,
        feature_width=FEATURE_WIDTH,
        temporal=TemporalSpec(8, FEATURE_WIDTH, "bidirectional"),
    )
    members, heads = [MultitaskCNN(SMALL) for _ in range(2)], [TemporalHeads() for _ in range(2)]
    write_model_folder(members, spec, folder, card="x", temporal=heads)
    return folder
