"""Pictures of every mode that Pillow has -> RGB, by strips, and brought upright."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from affectkit.errors import SourceError
from affectkit.types import UInt8

_STRIP_PIXELS = 1 << 20
"""Large pictures are turned into RGB by strips of about so many pixels: some conversions take 24 bytes for each."""


def turned(image: UInt8, orientation: int) -> UInt8:
    """A picture brought upright by EXIF's orientation, 1 to 8."""
    if orientation in (2, 3):
        image = image[:, ::-1]
    if orientation in (3, 4):
        image = image[::-1]
    if orientation >= 5:
        image = image.swapaxes(0, 1)
        image = image[:, ::-1] if orientation in (6, 7) else image
        image = image[::-1] if orientation in (7, 8) else image
    return np.ascontiguousarray(image)


def in_rgb(path: Path, image: Image.Image, reduced: int = 1) -> UInt8:
    """Of every mode that Pillow has, at a whole fraction of its size; alpha is left out, as it is."""
    width, height = image.size
    scale = _scale_of_numbers(path, image)
    picture = np.empty((-(-height // reduced), -(-width // reduced), 3), np.uint8)
    for top, strip in _strips(image, reduced):
        rgb = _strip_in_rgb(path, strip, scale)
        rows = picture[top // reduced : -(-(top + len(rgb)) // reduced)]
        rows[:] = rgb if reduced == 1 else np.asarray(Image.fromarray(rgb).reduce(reduced), np.uint8)
    return picture


def shrink(image: UInt8, reduced: int) -> UInt8:
    """RGB (H, W, 3) of whose pixels ``reduced`` x ``reduced`` are averaged to one, fewer at the last row and column."""
    height, width = image.shape[:2]
    rows = reduced * max(1, _STRIP_PIXELS // (width * reduced))
    strips = (np.ascontiguousarray(image[top : top + rows]) for top in range(0, height, rows))
    return np.concatenate([np.asarray(Image.fromarray(strip).reduce(reduced), np.uint8) for strip in strips])


def _strips(image: Image.Image, whole: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Strips of a picture, each with its first row, which is a multiple of ``whole``."""
    width, height = image.size
    rows = whole * max(1, _STRIP_PIXELS // (width * whole))
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _scale_of_numbers(path: Path, image: Image.Image) -> float:
    """What the numbers of a picture of 32 bits a channel are multiplied with to become brightness 0..255.

    Raises:
        SourceError: that is not known.
    """
    if image.mode not in ("I", "F"):
        return 1.0
    low, high = math.nan, math.nan
    for _, strip in _strips(image):
        numbers = np.asarray(strip)
        low, high = np.fmin(low, np.fmin.reduce(numbers, axis=None)), np.fmax(high, np.fmax.reduce(numbers, axis=None))
    if not (low >= 0 and high <= 65535) or (image.mode == "F" and high > 255):
        raise SourceError(
            f"{path}: its values, {low:g} to {high:g}, are no brightness that is known; save it with 8 or 16 bits"
        )
    return 1 / 256 if image.mode == "I" else 255.0 if high <= 1 else 1.0


def _strip_in_rgb(path: Path, image: Image.Image, scale: float) -> UInt8:
    mode = image.mode
    if mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        return _grey((values >> 8).astype(np.uint8))
    if mode == "I":
        return _grey((np.asarray(image).astype(np.float64) * scale).astype(np.uint8))
    if mode == "F":
        return _grey(np.round(np.asarray(image).astype(np.float64) * scale).astype(np.uint8))
    if mode in ("RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
    if image.mode == "L":
        return _grey(np.asarray(image, np.uint8))
    if image.mode == "LA":
        return _grey(np.asarray(image, np.uint8)[:, :, 0])
    if image.mode != "RGB":
        try:
            image = image.convert("RGB")
        except ValueError as error:
            raise SourceError(f"{path}: its colours ({mode}) cannot be read; save it as RGB") from error
    return np.asarray(image, np.uint8)


def _grey(image: UInt8) -> UInt8:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB), np.uint8)
