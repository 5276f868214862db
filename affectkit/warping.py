"""Squares cut out of a picture along an affine map, with the same numbers whatever the version of OpenCV.

OpenCV 4 and 5 sample differently in ``warpAffine`` (in 32nds of a pixel, or exactly). Here the places are rounded to
32nds and handed to ``remap``, whose sums of integers are the same from 4.10 to 5.0: tests/test_warping.py has its
numbers by hand.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from affectkit.types import Array, UInt8

Places = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]
"""Whole pixels, (size, size, 2), and 32nds: 32 times those of y and those of x, (size, size)."""

Affine = tuple[tuple[float, float, float], tuple[float, float, float]]
"""A map (x, y) -> (a x + b y + c, d x + e y + f) as its two rows."""


def inverted(matrix: Array) -> Affine:
    """The inverse of an affine map (2, 3).

    Raises:
        ValueError: it has none.
    """
    (a, b, x), (c, d, y) = ((float(row[0]), float(row[1]), float(row[2])) for row in matrix)
    determinant = a * d - b * c
    if not math.isfinite(determinant) or determinant == 0:
        raise ValueError("the matrix has no inverse, so it maps the picture to a line or a point")
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return (a, b, -(a * x + b * y)), (c, d, -(c * x + d * y))


def places(to_picture: Affine, size: int) -> Places:
    """Where the pixels of a square of ``size`` px lie in a picture, rounded to 32nds of a pixel."""
    (a, b, x), (c, d, y) = to_picture
    steps = _steps(size)
    along_x = (steps * b + x).astype(np.float32)[:, None] + (steps * a).astype(np.float32)
    along_y = (steps * d + y).astype(np.float32)[:, None] + (steps * c).astype(np.float32)
    whole, parts = cv2.convertMaps(along_x, along_y, cv2.CV_16SC2)
    return np.asarray(whole, np.int16), np.asarray(parts, np.uint16)


def sample(image: Array, at: Places, border: int) -> Array:
    """Bilinear square (size, size) or (size, size, C) of an image, of its type (uint8 or float32).

    Args:
        image: (H, W) or (H, W, C), sides under 32767 px.
        at: see :func:`places`.
        border: -1: beyond the image its border continues; else the value there.
    """
    mode = cv2.BORDER_REPLICATE if border < 0 else cv2.BORDER_CONSTANT
    return cv2.remap(image, *at, cv2.INTER_LINEAR, borderMode=mode, borderValue=(max(0, border),) * 3)


@lru_cache(maxsize=16)
def _steps(size: int) -> npt.NDArray[np.float64]:
    return np.arange(size, dtype=np.float64)


def region_of(shape: tuple[int, ...], matrix: Array, size: int) -> tuple[slice, slice]:
    """Rows and columns of a picture (H, W) that :func:`warp` looks at; at least one pixel.

    Args:
        matrix: (2, 3), picture -> square of ``size`` px.
    """
    return _region(shape, inverted(matrix), size, _shrink(matrix))


def _region(shape: tuple[int, ...], to_picture: Affine, size: int, shrink: int) -> tuple[slice, slice]:
    (a, b, x), (c, d, y) = to_picture
    reach = [-1.0, float(size)]
    columns = [a * u + b * v + x for u in reach for v in reach]
    rows = [c * u + d * v + y for u in reach for v in reach]
    height, width = shape[:2]
    left, right = _bounds(columns, shrink, width)
    top, bottom = _bounds(rows, shrink, height)
    return slice(top, bottom), slice(left, right)


def _bounds(places: list[float], shrink: int, length: int) -> tuple[int, int]:
    """First index and the one after the last, inside 0..length."""
    low, high = (min(max(place, -1.0), float(length)) for place in (min(places), max(places)))
    first = min(max(0, math.floor(low) - shrink), length - 1)
    last = min(max(math.ceil(high) + shrink + 1, first + 1), length)
    if shrink > 1:  # a whole number of cells, so that every cell averages exactly shrink x shrink pixels
        last = first + max(1, (last - first) // shrink) * shrink
    return first, min(last, length)


def _shrink(matrix: Array) -> int:
    """Pixels that a pixel of the square averages, along either axis."""
    scale = math.hypot(float(matrix[0][0]), float(matrix[1][0]))
    return max(1, int(1 / scale)) if scale > 0 else 1


def warp(image: UInt8, matrix: Array, size: int) -> UInt8:
    """Cut a square of ``size`` px out of ``image`` along ``matrix`` (2, 3), picture -> crop.

    Sampled bilinearly; a face larger than the crop is first shrunk by area averaging, or small structures would alias
    away. Beyond the picture its border continues.

    Args:
        image: (H, W) or (H, W, 3) uint8.

    Returns:
        (size, size) or (size, size, 3) uint8.

    Raises:
        ValueError: ``matrix`` has no inverse.
    """
    matrix = np.asarray(matrix, np.float64)
    rows, columns = region_of(image.shape, matrix, size)
    return np.asarray(warp_region(image[rows, columns], (rows.start, columns.start), matrix, size), np.uint8)


def warp_region(region: Array, corner: tuple[int, int], matrix: Array, size: int) -> Array:
    """:func:`warp` of a region that :func:`region_of` named, whose first row and column are ``corner``.

    The region may have been turned into something else before, pixel by pixel; uint8 or float32 as it is.
    """
    return _sample_region(region, corner, inverted(matrix), size, _shrink(matrix), -1)


def cut_patch(image: UInt8, to_picture: Array, size: int, outside: int, *, average: bool = False) -> UInt8:
    """Bilinear patch (size, size) or (size, size, 3) along a matrix (2, 3), patch -> picture.

    Args:
        outside: the value beyond the picture.
        average: shrink by area averaging first, as :func:`warp` does.
    """
    (a, b, x), (c, d, y) = ((float(row[0]), float(row[1]), float(row[2])) for row in to_picture)
    rows = ((a, b, x), (c, d, y))
    shrink = max(1, int(math.hypot(a, c))) if average else 1
    down, across = _region(image.shape, rows, size, shrink)
    patch = _sample_region(image[down, across], (down.start, across.start), rows, size, shrink, outside)
    return np.asarray(patch, np.uint8)


def _sample_region(
    region: Array, corner: tuple[int, int], to_picture: Affine, size: int, shrink: int, border: int
) -> Array:
    (a, b, x), (c, d, y) = to_picture
    x, y = x - corner[1], y - corner[0]
    if shrink > 1:
        height, width = region.shape[:2]
        cells_x, cells_y = max(1, width // shrink), max(1, height // shrink)
        region = cv2.resize(region, (cells_x, cells_y), interpolation=cv2.INTER_AREA)
        # The centre of cell i lies at step * i + (step - 1) / 2 of the region.
        step_x, step_y = width / cells_x, height / cells_y
        a, b, x = a / step_x, b / step_x, (x - (step_x - 1) / 2) / step_x
        c, d, y = c / step_y, d / step_y, (y - (step_y - 1) / 2) / step_y
    return sample(region, places(((a, b, x), (c, d, y)), size), border)
