"""Cutting faces out of larger pictures, and what the published preparation cuts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from affectkit.errors import OutputError, SourceError
from affectkit.outputs.files import explain_os_error, write_whole
from affectkit.picture import warp
from affectkit.types import Array, UInt8

LEFT_EYE, RIGHT_EYE, NOSE_TIP, MOUTH = slice(36, 42), slice(42, 48), 30, slice(48, 68)
MOUTH_LEFT, MOUTH_RIGHT = 48, 54
"""Of the 68 points; left as seen in the picture."""

WIDE = 2.5
"""Side of a cut-out over that of the paper's crop: room for any template, turned and shifted in training."""

LARGEST_PX = 384
"""A cut-out's side; larger ones are shrunk."""


def five_points(landmarks: Array) -> Array:
    """(68, 2) -> (5, 2): centres of the eyes, nose tip, mouth corners."""
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 2):
        raise ValueError(f"landmarks must have shape (68, 2), got {points.shape}")
    eyes = points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)
    return np.stack([*eyes, points[NOSE_TIP], points[MOUTH_LEFT], points[MOUTH_RIGHT]])


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


def cut_out(image: UInt8, landmarks: Array) -> tuple[UInt8, Array]:
    """The surroundings of a face, as they are: whole pixels, neither turned nor resampled.

    About ``WIDE`` times the side of the paper's crop; what of that lies beyond the picture is left out, because whoever
    cuts continues the border. One of more than ``LARGEST_PX`` is shrunk by a whole number, by averaging.

    Args:
        landmarks: (5, 2) px.

    Returns:
        the cut-out, a view or a copy, and the points (5, 2) in its pixels.

    Raises:
        ValueError: the points coincide, or none of their surroundings lies in the picture.
    """
    matrix = paper_matrix(landmarks, 1)  # raises where the points coincide
    half = WIDE / float(np.hypot(matrix[0, 0], matrix[1, 0])) / 2
    left_eye, right_eye, mouth = eyes_and_mouth(landmarks)
    centre = ((left_eye + right_eye) / 2 + mouth) / 2
    height, width = image.shape[:2]
    left, top = (max(0, int(np.floor(value - half))) for value in centre)
    right, bottom = min(width, int(np.ceil(centre[0] + half)) + 1), min(height, int(np.ceil(centre[1] + half)) + 1)
    if right - left < 2 or bottom - top < 2:
        raise ValueError("the face lies beyond the picture")
    part = image[top:bottom, left:right]
    points = np.asarray(landmarks, np.float64) - (left, top)
    factor = -(-max(part.shape[:2]) // LARGEST_PX)
    if factor > 1:
        rows, columns = part.shape[0] // factor, part.shape[1] // factor
        whole = np.ascontiguousarray(part[: rows * factor, : columns * factor])
        part = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        points = (points + 0.5) / factor - 0.5
    return part, points


def save(image: UInt8, path: Path) -> None:
    """Write RGB or grey as a picture; folders are made."""
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(path.suffix, stored)
    if not ok:
        raise OutputError(f"{path}: cannot be encoded as {path.suffix}")
    save_bytes(data.tobytes(), path)


def save_bytes(data: bytes, path: Path) -> None:
    """Write a file; folders are made.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_os_error(path, error) from error
    write_whole(path, data)


def decoded(data: bytes, where: object) -> UInt8:
    """The picture in a file's bytes as stored: grey (H, W) or RGB (H, W, 3).

    Raises:
        SourceError: it is no picture of 8 bits.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if image is None or image.dtype != np.uint8:
        raise SourceError(f"{where}: not an 8-bit picture")
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
