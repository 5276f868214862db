"""What is painted in front view for each face: where lips, lids, cheeks and beard are, and the regions."""

from __future__ import annotations

import cv2
import numpy as np

from affectkit.train.render.folds import MAP_PX, to_map
from affectkit.train.render.gpu import PARTS
from affectkit.types import Array, UInt8

UPPER_LIP = ((-0.2, 6.617), (-0.12, 6.665), (-0.035, 6.692), (0, 6.682), (0.035, 6.692), (0.12, 6.665), (0.2, 6.617))
LOWER_LIP = ((0.2, 6.617), (0.12, 6.53), (0.05, 6.497), (-0.05, 6.497), (-0.12, 6.53), (-0.2, 6.617))
BEARD = (
    (-0.62, 7.0),
    (-0.55, 6.75),
    (-0.32, 6.72),
    (-0.16, 6.79),
    (0.16, 6.79),
    (0.32, 6.72),
    (0.55, 6.75),
    (0.62, 7.0),
    (0.6, 6.4),
    (0.35, 6.1),
    (-0.35, 6.1),
    (-0.6, 6.4),
)


def paint_map() -> UInt8:
    """(MAP_PX, MAP_PX, 4): lips, lids, cheeks, beard."""
    lips = _polygon([*UPPER_LIP, *LOWER_LIP], blur=1.0)
    lids = np.maximum(_spot((0.31, 7.36), (0.16, 0.05)), _spot((-0.31, 7.36), (0.16, 0.05)))
    cheeks = np.maximum(_spot((0.42, 6.98), (0.15, 0.12)), _spot((-0.42, 6.98), (0.15, 0.12)))
    beard = _polygon(list(BEARD), blur=6.0) * (1 - _polygon([*UPPER_LIP, *LOWER_LIP], blur=2.0))
    return np.stack([np.clip(layer * 255, 0, 255).astype(np.uint8) for layer in (lips, lids, cheeks, beard)], -1)


def region_map() -> UInt8:
    """(MAP_PX, MAP_PX, 1) of gpu.PARTS: brows, eyes, mouth; 0 elsewhere."""
    canvas = np.zeros((MAP_PX, MAP_PX), np.uint8)
    for side in (-1, 1):
        _ellipse(canvas, (side * 0.31, 7.47), (0.30, 0.13), PARTS["brows"])
        _ellipse(canvas, (side * 0.31, 7.285), (0.21, 0.10), PARTS["eyes"])
    _ellipse(canvas, (0, 6.60), (0.34, 0.19), PARTS["mouth"])
    return canvas[..., None]


def _polygon(points: list[tuple[float, float]], *, blur: float) -> Array:
    canvas = np.zeros((MAP_PX, MAP_PX), np.uint8)
    cv2.fillPoly(canvas, [np.round(to_map(np.asarray(points)) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), blur), np.float32)


def _spot(place: tuple[float, float], size: tuple[float, float]) -> Array:
    y, x = np.mgrid[0:MAP_PX, 0:MAP_PX]
    px, py = to_map(np.asarray([place]))[0]
    scale = MAP_PX / 2.0
    return np.asarray(
        np.exp(-0.5 * (((x - px) / (size[0] * scale)) ** 2 + ((y - py) / (size[1] * scale)) ** 2)), np.float32
    )


def _ellipse(canvas: UInt8, place: tuple[float, float], size: tuple[float, float], value: int) -> None:
    x, y = to_map(np.asarray([place]))[0]
    scale = MAP_PX / 2.0
    cv2.ellipse(canvas, (round(x), round(y)), (round(size[0] * scale), round(size[1] * scale)), 0, 0, 360, value, -1)
