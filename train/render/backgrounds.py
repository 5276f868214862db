"""Backgrounds, made of nothing but numbers."""

from __future__ import annotations

import cv2
import numpy as np

from affectkit.types import Array

KINDS = ("plain", "gradient", "clouds", "blobs", "stripes", "room", "grain")


def background(rng: np.random.Generator, size: int) -> Array:
    """(size, size, 3) float32, 0..255."""
    kind = str(rng.choice(KINDS))
    first, second = rng.uniform(0, 255, (2, 3))
    if rng.random() < 0.5:
        first, second = (colour.mean() + 0.25 * (colour - colour.mean()) for colour in (first, second))
    if kind == "plain":
        return np.full((size, size, 3), first, np.float32)
    if kind == "blobs":
        return _blobs(rng, size, first)
    if kind == "room":
        return _room(rng, size, first)
    share = _share(rng, size, kind)[..., None]
    return np.asarray(first * (1 - share) + second * share, np.float32)


def _share(rng: np.random.Generator, size: int, kind: str) -> Array:
    y, x = np.mgrid[0:size, 0:size] / size
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    if kind == "gradient":
        return np.asarray(np.clip(along - along.min(), 0, 1))
    if kind == "stripes":
        return np.asarray(0.5 + 0.5 * np.sin(along * rng.uniform(8, 90)))
    if kind == "grain":
        return np.asarray(rng.random((size, size)))
    cells = int(rng.integers(3, 20))
    rough = rng.random((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(rough, (size, size), interpolation=cv2.INTER_CUBIC))


def _blobs(rng: np.random.Generator, size: int, colour: Array) -> Array:
    """Lights out of focus."""
    canvas = np.full((size, size, 3), colour * 0.5, np.float32)
    for _ in range(int(rng.integers(3, 25))):
        place = tuple(int(v) for v in rng.integers(0, size, 2))
        cv2.circle(
            canvas,
            place,
            int(rng.integers(size // 40 + 1, size // 6)),
            rng.uniform(0, 255, 3).tolist(),
            -1,
            cv2.LINE_AA,
        )
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, size / 20)), np.float32)


def _room(rng: np.random.Generator, size: int, colour: Array) -> Array:
    """Rectangles, as walls, windows and shelves are."""
    canvas = np.full((size, size, 3), colour, np.float32)
    for _ in range(int(rng.integers(3, 14))):
        a, b = rng.integers(-size // 4, size, 2), rng.integers(size // 12, size, 2)
        cv2.rectangle(canvas, tuple(map(int, a)), tuple(map(int, a + b)), rng.uniform(0, 255, 3).tolist(), -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, size / 40)), np.float32)
