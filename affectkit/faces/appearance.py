"""What a face looks like, to tell people from each other: a small picture of it and what surrounds it."""

from __future__ import annotations

import math

import numpy as np

from affectkit.faces.boxes import Box, centre
from affectkit.types import Float32, Picture

APPEARANCE_PX = 8
"""Side of the small picture that a face is recognised by."""

APPEARANCE_MARGIN = 1.0
"""Side of what it shows, in sides of the box; more would show what is behind."""


def appearance_of(picture: Picture, box: Box) -> Float32:
    """A small picture of a face and what surrounds it, (3 * APPEARANCE_PX**2,), of mean 0 and length 1.

    All 0 where there is nothing to see: the picture is flat there, or the box lies outside.
    """
    x, y = centre(box)
    half = max(box[2], box[3]) * APPEARANCE_MARGIN / 2
    height, width = picture.shape
    left, right = (int(min(max(0.0, side), width)) for side in (x - half, x + half + 1))
    top, bottom = (int(min(max(0.0, side), height)) for side in (y - half, y + half + 1))
    if right - left < 2 or bottom - top < 2:
        return np.zeros(3 * APPEARANCE_PX**2, np.float32)
    centred = picture.small((left, top, right, bottom), APPEARANCE_PX).astype(np.float32).ravel()
    centred -= np.add.reduce(centred) / np.float32(len(centred))  # as the methods do, for half of their price
    if float(np.add.reduce(np.abs(centred))) < 2 * len(centred):  # grey levels
        return np.zeros(3 * APPEARANCE_PX**2, np.float32)
    return unit(centred)


def similarity(a: Float32, b: Float32) -> float:
    """Correlation of two appearances, -1 .. 1; 1 where one of them is unknown, since nothing speaks against it."""
    product = float(a @ b)
    return product if product or (a.any() and b.any()) else 1.0


def unit(values: Float32) -> Float32:
    length = math.sqrt(float(values @ values))
    return values / np.float32(length) if length > 0 else values
