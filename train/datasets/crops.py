"""Cutting faces the way the published preparation does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from affectkit.errors import OutputError
from affectkit.picture import warp
from affectkit.types import Array, UInt8

LEFT_EYE, RIGHT_EYE, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)
"""Of the 68 points; left as seen in the picture."""


def eyes_and_mouth(landmarks: Array) -> tuple[Array, Array, Array]:
    """Centres (2,) of the eye on the left of the picture, the other eye and the mouth, from 68 or 5 points."""
    points = np.asarray(landmarks, np.float64)
    if points.shape == (68, 2):
        return points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0), points[MOUTH].mean(0)
    if points.shape == (5, 2):
        return points[0], points[1], points[3:].mean(0)
    raise ValueError(f"landmarks must have shape (68, 2) or (5, 2), got {points.shape}")


def paper_matrix(landmarks: Array, size: int) -> Array:
    """(2, 3) picture -> crop: eyes level, centred midway between eyes and mouth.

    The side is twice the larger of the distance of the eyes and the height from eyes to mouth.

    Args:
        landmarks: (68, 2) or (5, 2) px.
        size: side of the crop, px.
    """
    left, right, mouth = eyes_and_mouth(landmarks)
    eyes = (left + right) / 2
    angle = np.arctan2(right[1] - left[1], right[0] - left[0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # brings the eyes level
    height = abs(float((turn @ (mouth - eyes))[1]))
    side = 2 * max(float(np.linalg.norm(right - left)), height)
    if side <= 0:
        raise ValueError("the points coincide")
    linear = turn * (size / side)
    centre = (eyes + mouth) / 2
    return np.column_stack([linear, (size - 1) / 2 - linear @ centre])


def paper_crop(image: UInt8, landmarks: Array, size: int) -> UInt8:
    """The face as the published code cuts it, (size, size) or (size, size, 3)."""
    return warp(image, paper_matrix(landmarks, size), size)


def box_crop(image: UInt8, left: float, top: float, right: float, bottom: float, size: int) -> UInt8:
    """A square around a box, which may leave the picture: its border continues there."""
    side = max(right - left, bottom - top)
    if side <= 0:
        raise ValueError(f"the box {left, top, right, bottom} is empty")
    scale = size / side
    centre = np.array([left + right - 1, top + bottom - 1]) / 2
    matrix = np.column_stack([np.eye(2) * scale, (size - 1) / 2 - scale * centre])
    return warp(image, matrix, size)


def save(image: UInt8, path: Path) -> None:
    """Write RGB or grey as a picture; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(path.suffix, stored)
    if not ok:
        raise OutputError(f"{path}: cannot be encoded as {path.suffix}")
    path.write_bytes(data.tobytes())
