"""Pictures as users have them, files, Pillow's images and arrays, as the RGB arrays that everything here works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from affectkit.errors import SourceError
from affectkit.sources.pixels import turned
from affectkit.sources.stills import _orientation, stills
from affectkit.types import Array, Detection, UInt8, check_image

PictureLike: TypeAlias = "str | os.PathLike[str] | Array | Any"
"""A path, a Pillow image, or RGB uint8 (H, W, 3)."""

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Of Pillow: those with 8 bits a channel."""


def as_rgb(given: PictureLike, *, bgr: bool = False) -> tuple[UInt8, int]:
    """The picture, RGB uint8 (H, W, 3), upright, and how many of the file's pixels one of its sides is made of.

    Args:
        given: a path, a Pillow image, or an array uint8 (H, W, 3).
        bgr: whether an array's channels are blue, green, red, as OpenCV reads them.

    Raises:
        SourceError: the file is missing, damaged or no picture.
        TypeError: it is none of these.
        ValueError: an array of another shape, or an image whose values are not those of a screen.
    """
    if isinstance(given, str | os.PathLike):
        if bgr:
            raise ValueError("bgr=True is for arrays; a file says itself what its channels are")
        path = Path(given)
        if path.is_dir():
            raise SourceError(f"{path}: is a folder; use Predictor.predict, or name a picture in it")
        found = stills(path)
        try:
            still = next(found)
        finally:
            getattr(found, "close", lambda: None)()
        return still.image, still.reduced
    if not isinstance(given, np.ndarray) and hasattr(given, "convert") and hasattr(given, "getexif"):
        if bgr:
            raise ValueError("bgr=True is for arrays; a Pillow image says itself what its channels are")
        if given.mode not in _MODES:
            raise ValueError(f"an image of mode {given.mode!r} has no colours of 8 bits; give the path of its file")
        return turned(np.asarray(given.convert("RGB"), np.uint8), _orientation(given)), 1
    if given is None:
        raise TypeError("image is None; cv2.imread answers so where it cannot read a file")
    image = check_image(given)
    return (np.ascontiguousarray(image[:, :, ::-1]) if bgr else image), 1


def boxes_given(boxes: Any) -> list[Detection]:
    """Known boxes as detections, of which the points are where they mostly lie.

    Args:
        boxes: (N, 4) x, y, width, height, px.

    Raises:
        ValueError: another shape, not finite, or of no size.
    """
    values = np.asarray(boxes, np.float64)
    if values.size == 0:
        return []
    if values.ndim != 2 or values.shape[1] != 4:
        raise ValueError(f"boxes must have shape (N, 4): x, y, width, height in px; got {values.shape}")
    if not np.isfinite(values).all() or (values[:, 2:] <= 0).any():
        raise ValueError("boxes must be finite numbers, with a width and a height over 0")
    return [Detection((x, y, width, height), 1.0) for x, y, width, height in values.tolist()]
