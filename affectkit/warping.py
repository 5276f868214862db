"""Squares cut out of a picture along an affine map, with the same numbers whatever the version of OpenCV.

OpenCV 4 and 5 sample differently in ``warpAffine`` (in 32nds of a pixel, or exactly). Here the places are rounded to
32nds and handed to ``remap``, whose sums of integers are the same from 4.10 to 5.0: tests/test_warping.py has its
numbers by hand.

What is larger than the square is averaged first, two by two, four by four and so on; between two such levels both are
sampled and blended. So nothing jumps: a face whose size wavers around a whole multiple of the square's would else be
sharper in one frame than in the next, and with the same frames in another pixel format sharper in other ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from affectkit.types import Array, UInt8

Places = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]
"""Whole pixels, (n, n, 2), and 32nds: 32 times those of y and those of x, (n, n)."""

WHOLE_PX = 4
"""What a square looks at begins and ends at multiples of it, where pixels of colour do, which cover 1, 2 or 4."""

SHARP_STEP = 2
"""Pixels of the picture for one of the square, up to which bilinear sampling sees every one of them."""


@dataclass(frozen=True, slots=True)
class Square:
    """What is needed to cut one square out of pictures, or planes, of one size."""

    rows: slice
    columns: slice
    """What is looked at, at least one pixel; whole cells of the coarsest level, and of ``WHOLE_PX``, but at the far
    border."""
    levels: tuple[tuple[int, Places], ...]
    """One or two: side of the cells that are averaged, px, and the places in cells."""
    share: int
    """Of the second level, in 256ths."""

    def of(self, image: Array, border: int = -1) -> UInt8:
        """The square (size, size) or (size, size, C) out of a picture.

        Args:
            border: -1: beyond the picture its border continues; else the value there.
        """
        return self.of_region(image[self.rows, self.columns], border)

    def of_region(self, region: Array, border: int = -1) -> UInt8:
        """The same out of ``rows`` and ``columns`` of a picture, which may have been turned into something before."""
        cuts = [_remapped(_averaged(region, cell), at, border) for cell, at in self.levels]
        if len(cuts) == 1:
            return cuts[0]
        sharp, soft = (cut.astype(np.uint16) for cut in cuts)
        return ((sharp * (256 - self.share) + soft * self.share + 128) >> 8).astype(np.uint8)


def _averaged(region: Array, cell: int) -> Array:
    """A region with one pixel for each cell of ``cell`` x ``cell`` px."""
    if cell == 1:
        return region
    height, width = region.shape[:2]
    columns, rows = -(-width // cell), -(-height // cell)
    if (rows * cell, columns * cell) != (height, width):
        below, beside = rows * cell - height, columns * cell - width
        region = cv2.copyMakeBorder(region, 0, below, 0, beside, cv2.BORDER_REPLICATE)
    return cv2.resize(region, (columns, rows), interpolation=cv2.INTER_AREA)


def square(shape: tuple[int, ...], to_picture: Array, size: int, *, average: bool = True) -> Square:
    """Prepare to cut a square of ``size`` px.

    Args:
        shape: of the pictures, (H, W).
        to_picture: (2, 3), square -> picture.
        average: whether what is larger than the square is averaged, or only sampled bilinearly.
    """
    (a, b, x), (c, d, y) = to_picture.tolist()
    level = math.log2(max(1.0, max(math.hypot(a, c), math.hypot(b, d)) / SHARP_STEP)) if average else 0.0
    cell, share = 1 << int(level), round(256 * (level % 1))
    cells = (cell, 2 * cell) if share else (cell,)
    height, width = shape[:2]
    last = size - 1
    left, right = _bounds(x, a * last, b * last, cells[-1], width)
    top, bottom = _bounds(y, c * last, d * last, cells[-1], height)
    levels = []
    for side in cells:
        # The middle of cell i lies at side * i + (side - 1) / 2 of the region.
        half = (side - 1) / 2
        rows = a / side, b / side, (x - left - half) / side, c / side, d / side, (y - top - half) / side
        levels.append((side, _places(size, *rows)))
    return Square(slice(top, bottom), slice(left, right), tuple(levels), share)


def _bounds(first: float, across: float, down: float, cell: int, length: int) -> tuple[int, int]:
    """First index that a square looks at along one axis, and the one after the last, inside 0..length."""
    low = first + min(0.0, across) + min(0.0, down) - 2 * cell
    high = first + max(0.0, across) + max(0.0, down) + 2 * cell
    # Cells lie where they lie in the picture, not in the square: as it moves they stay.
    whole = max(cell, WHOLE_PX)
    start = int(min(max(low, 0.0), length - 1.0)) // whole * whole
    end = -(-int(min(max(high + 1, 1.0), float(length))) // whole) * whole
    return start, min(max(end, start + 1), length)


@lru_cache(maxsize=8)
def _steps(size: int) -> npt.NDArray[np.float64]:
    return np.arange(size, dtype=np.float64)


def _places(size: int, a: float, b: float, x: float, c: float, d: float, y: float) -> Places:
    """Where the pixels of a square lie: at (a u + b v + x, c u + d v + y)."""
    # In float32, as convertMaps wants them: to a 512th of a pixel in the largest of pictures.
    shares = (_steps(size) * [[a], [b], [c], [d]] + [[0.0], [x], [0.0], [y]]).astype(np.float32)
    found, parts = cv2.convertMaps(shares[1][:, None] + shares[0], shares[3][:, None] + shares[2], cv2.CV_16SC2)
    return np.asarray(found, np.int16), np.asarray(parts, np.uint16)


def upright_patches(
    images: Sequence[UInt8], firsts: Array, steps: Array, size: int, outside: int, *, average: bool
) -> list[UInt8]:
    """Bilinear squares with sides along those of the pictures.

    Args:
        images: pictures or planes of one size, (H, W) or (H, W, C).
        firsts: (N, 2) x, y of each square's first pixel, px.
        steps: (N, 2) px from one pixel of a square to the next.
        outside: the value beyond the picture.
        average: whether what is larger than the square is averaged, or only sampled.

    Returns:
        for each of ``images``, (N, size, size) or (N, size, size, C).
    """
    small = max(images[0].shape[:2]) <= _FARTHEST
    if small and not (average and float(steps.max(initial=0)) > SHARP_STEP):
        at = _upright_places(firsts, steps, size)
        shape = len(firsts), size, size
        return [_remapped(image, at, outside).reshape(shape + image.shape[2:]) for image in images]
    patches = [np.empty((len(firsts), size, size, *image.shape[2:]), np.uint8) for image in images]
    for k, ((x, y), (step_x, step_y)) in enumerate(zip(firsts.tolist(), steps.tolist(), strict=True)):
        cut = square(images[0].shape, np.array([[step_x, 0, x], [0, step_y, y]]), size, average=average)
        for patch, image in zip(patches, images, strict=True):
            patch[k] = cut.of(image, outside)
    return patches


_FARTHEST = 16000
"""Longest side, px, of pictures that ``remap`` takes as a whole: it has 16 bits for a place."""


def _upright_places(firsts: Array, steps: Array, size: int) -> Places:
    """Of N squares below each other, (N * size, size)."""
    ahead = np.rint((firsts[:, :, None] + steps[:, :, None] * _steps(size)) * 32)
    in_32nds = np.minimum(np.maximum(ahead, -32 * _FARTHEST, out=ahead), 63 * _FARTHEST, out=ahead).astype(np.int32)
    pixels, rest = (in_32nds >> 5).astype(np.int16), (in_32nds & 31).astype(np.uint16)
    whole = np.empty((len(firsts), size, size, 2), np.int16)
    whole[..., 0], whole[..., 1] = pixels[:, 0, None], pixels[:, 1, :, None]
    parts = ((rest[:, 1, :, None] << 5) + rest[:, 0, None]).astype(np.uint16, copy=False)
    return whole.reshape(-1, size, 2), parts.reshape(-1, size)


def _remapped(image: Array, at: Places, border: int) -> UInt8:
    mode = cv2.BORDER_REPLICATE if border < 0 else cv2.BORDER_CONSTANT
    grey = (max(0, border),) * 3
    return np.asarray(cv2.remap(image, *at, cv2.INTER_LINEAR, borderMode=mode, borderValue=grey), np.uint8)


SUMMED_PIXELS = 1 << 22
"""Largest picture of which a table of sums is made: it takes four bytes a pixel, and 32 bits hold twice as many."""


def cell_means(plane: UInt8, columns: int, rows: int) -> UInt8:
    """(rows, columns): the mean of each cell of a grid over ``plane`` (H, W), whose edges may pass through pixels.

    What OpenCV's INTER_AREA gives, in an eighth of its time, but where a mean lies exactly between two numbers.
    """
    height, width = plane.shape
    if height * width > SUMMED_PIXELS or height < 2 * rows or width < 2 * columns:
        return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    sums = cv2.integral(plane)  # of all that lies above and to the left
    (row, below), (column, beside) = _edges(height, rows), _edges(width, columns)
    upper = sums[row].astype(np.float64)
    upper += (sums[row + 1] - upper) * below[:, None]
    corners = upper[:, column]
    corners += (upper[:, column + 1] - corners) * beside
    cells = np.diff(np.diff(corners, axis=0), axis=1)
    return np.asarray(np.rint(cells * (rows * columns / (height * width))), np.uint8)


@lru_cache(maxsize=16)
def _edges(length: int, cells: int) -> tuple[Array, Array]:
    """The pixels in which the edges of cells lie, and how far in them, (cells + 1,)."""
    edges = np.arange(cells + 1) * length / cells
    whole = np.minimum(edges.astype(np.intp), length - 1)
    return whole, edges - whole


def inverted(matrix: Array) -> Array:
    """The inverse of an affine map (2, 3), float64.

    Raises:
        ValueError: it has none.
    """
    (a, b, x), (c, d, y) = np.asarray(matrix, np.float64).tolist()
    determinant = a * d - b * c
    if not math.isfinite(determinant) or determinant == 0:
        raise ValueError("the matrix has no inverse, so it maps the picture to a line or a point")
    a, b, c, d = d / determinant, -b / determinant, -c / determinant, a / determinant
    return np.array([[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]])


def warp(image: UInt8, matrix: Array, size: int) -> UInt8:
    """Cut a square of ``size`` px out of ``image`` along ``matrix`` (2, 3), picture -> crop.

    Sampled bilinearly; of a face larger than the crop each pixel averages what it covers, or small structures would
    alias away. Beyond the picture its border continues.

    Args:
        image: (H, W) or (H, W, 3) uint8.

    Returns:
        (size, size) or (size, size, 3) uint8.

    Raises:
        ValueError: ``matrix`` has no inverse.
    """
    return square(image.shape, inverted(matrix), size).of(image)
