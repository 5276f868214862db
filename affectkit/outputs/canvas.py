"""What is drawn onto the picture itself, on a picture in RGB or in the planes of a video alike.

Sides of boxes lie at even pixels and are an even number of them thick: of the colour of a video there is one pixel for
two by two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np

from affectkit.outputs.drawing import fill
from affectkit.outputs.lettering import Colour, stamp
from affectkit.picture import rgb_matrix
from affectkit.types import Array, UInt8

Sides = tuple[float, float]
"""Shares of red and blue in the brightness of a video (:mod:`affectkit.picture`)."""


class Canvas(Protocol):
    """A picture of a width and height that takes marks; what lies beyond its border is cut off."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        ...

    def fill(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """A rectangle, without its right and lower end; all four even numbers."""
        ...

    def disc(self, x: float, y: float, radius: int, colour: Colour) -> None:
        """A filled circle."""
        ...

    def stamp(self, image: UInt8, left: int, top: int) -> None:
        """A picture RGB (h, w, 3) at an even place."""
        ...


class RgbCanvas:
    """A picture RGB (H, W, 3)."""

    def __init__(self, image: UInt8) -> None:
        self._image = image

    @property
    def size(self) -> tuple[int, int]:
        """See :class:`Canvas`."""
        return self._image.shape[1], self._image.shape[0]

    def fill(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """See :class:`Canvas`."""
        fill(self._image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)], colour)

    def disc(self, x: float, y: float, radius: int, colour: Colour) -> None:
        """See :class:`Canvas`."""
        cv2.circle(self._image, (round(x), round(y)), radius, colour, -1, cv2.LINE_AA)

    def stamp(self, image: UInt8, left: int, top: int) -> None:
        """See :class:`Canvas`."""
        stamp(self._image, image, left, top)


class PlanesCanvas:
    """A picture as video has it: Y (H, W), Cb and Cr (H / 2, W / 2)."""

    def __init__(self, planes: Sequence[UInt8], sides: Sides) -> None:
        self._y, self._cb, self._cr = planes
        self._sides = sides

    @property
    def size(self) -> tuple[int, int]:
        """See :class:`Canvas`."""
        return self._y.shape[1], self._y.shape[0]

    def fill(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """See :class:`Canvas`."""
        left, top, right, bottom = (max(0, side) for side in (left, top, right, bottom))
        y, cb, cr = in_planes(colour, self._sides)
        self._y[top:bottom, left:right] = y
        self._cb[top // 2 : bottom // 2, left // 2 : right // 2] = cb
        self._cr[top // 2 : bottom // 2, left // 2 : right // 2] = cr

    def disc(self, x: float, y: float, radius: int, colour: Colour) -> None:
        """See :class:`Canvas`."""
        values = in_planes(colour, self._sides)
        cv2.circle(self._y, (round(x), round(y)), radius, values[0], -1, cv2.LINE_AA)
        place, small = (round(x / 2 - 0.25), round(y / 2 - 0.25)), max(1, radius // 2)
        for plane, value in zip((self._cb, self._cr), values[1:], strict=True):
            cv2.circle(plane, place, small, value, -1)

    def stamp(self, image: UInt8, left: int, top: int) -> None:
        """See :class:`Canvas`."""
        y, cb, cr = planes_of_rgb(image, self._sides)
        stamp(self._y, y, left, top)
        stamp(self._cb, cb, left // 2, top // 2)
        stamp(self._cr, cr, left // 2, top // 2)


@lru_cache(maxsize=8)
def planes_matrix(sides: Sides) -> Array:
    """(3, 4) matrix that makes Y, Cb and Cr, 16..235 as video has them, of (R, G, B, 1)."""
    matrix = rgb_matrix(sides, full_range=False).astype(np.float64)
    back = np.linalg.inv(matrix[:, :3])
    return np.column_stack([back, -back @ matrix[:, 3]]).astype(np.float32)


@lru_cache(maxsize=256)
def in_planes(colour: Colour, sides: Sides) -> tuple[int, int, int]:
    """Y, Cb and Cr of a colour."""
    y, cb, cr = np.rint(planes_matrix(sides) @ [*colour, 1]).astype(int).tolist()
    return y, cb, cr


def planes_of_rgb(image: UInt8, sides: Sides) -> tuple[UInt8, UInt8, UInt8]:
    """Y (H, W), Cb and Cr (H / 2, W / 2, rounded up) of a picture RGB (H, W, 3)."""
    height, width = image.shape[:2]
    yuv = cv2.transform(image, planes_matrix(sides))
    half = -(-width // 2), -(-height // 2)
    if height % 2 or width % 2:  # the last row and column count twice, or colours would shift
        yuv = cv2.copyMakeBorder(yuv, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    y, *colours = cv2.split(yuv)
    cb, cr = (np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8) for plane in colours)
    return np.asarray(y[:height, :width], np.uint8), cb, cr
