"""Planes of brightness and colour of decoded frames, 8 bits each, whatever way the pixel format stores them.

Video of 10 bits and packed or interleaved pixels was turned into RGB before: that costs more than decoding, and FFmpeg
rounds down on that way, so that the same film is a grey level darker in them. Here the numbers are only sorted, and
those of more than 8 bits rounded.

All that is analysed is made of planes of one kind, that of nearly all video: 16..235, a pixel of colour for two by two
of brightness. So a film that was converted without loss gives the numbers that it gave before.
"""

from __future__ import annotations

import re
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane

from affectkit.types import Array, UInt8

_PLANAR = re.compile(r"yuv(j|a)?(4[1240][0124])p((9|10|12|14|16)le)?")
_INTERLEAVED = {"nv12": 0, "nv16": 0, "nv24": 0, "nv21": 1, "nv42": 1}
"""Cb and Cr in turns; 1: Cr is first."""
_DEEP_INTERLEAVED = re.compile(r"p[024](10|12|16)le")
"""The same with the numbers at the upper end of 16 bits."""
_PACKED = {"yuyv422": (0, 1, 3), "uyvy422": (1, 0, 2), "yvyu422": (0, 3, 1)}
"""Where the first Y, Cb and Cr are, of every four bytes, which are two pixels."""


Planes = tuple[UInt8, UInt8, UInt8]
"""Y (H, W), Cb and Cr (h, w)."""

_NARROW = ((219 / 255, 16.0), (224 / 255, 128 - 128 * 224 / 255), (224 / 255, 128 - 128 * 224 / 255))
"""Factor and shift that bring Y, Cb and Cr of 0..255 to 16..235 and 16..240: of what was brought from there, back.

The other way round would keep all 256 levels of a wide range, but costs a conversion of every frame of all other video.
"""

_BY_COLOUR = {
    (2, 2): "yuv420p",
    (2, 1): "yuv422p",
    (1, 1): "yuv444p",
    (1, 2): "yuv440p",
    (4, 1): "yuv411p",
    (4, 4): "yuv410p",
}
"""Pixel formats by how many pixels one of colour covers, across and down."""


def planes_of(frame: av.VideoFrame) -> Planes | None:
    """Y (H, W), Cb and Cr (h, w) of a frame, views of its memory where that has them; None of other pixel formats."""
    name, planes = frame.format.name, frame.planes
    if frame.width < 4 or frame.height < 4 or any(plane.line_size < plane.width for plane in planes):
        return None  # negative: from below
    if (found := _PLANAR.fullmatch(name)) is not None:
        depth = int(found[4] or 8)
        y, cb, cr = (_in_8_bits(_numbers(plane, plane.width, depth), depth) for plane in planes[:3])
        return y, cb, cr
    if name in _INTERLEAVED or _DEEP_INTERLEAVED.fullmatch(name):
        depth = 8 if name in _INTERLEAVED else 16
        both = _in_8_bits(_numbers(planes[1], 2 * planes[1].width, depth), depth)
        first, second = np.ascontiguousarray(both[:, 0::2]), np.ascontiguousarray(both[:, 1::2])
        colour = (second, first) if _INTERLEAVED.get(name) else (first, second)
        return _in_8_bits(_numbers(planes[0], planes[0].width, depth), depth), *colour
    if name in _PACKED and frame.width % 2 == 0:
        row = _numbers(planes[0], 2 * frame.width, 8)
        at_y, at_cb, at_cr = _PACKED[name]
        y, cb, cr = (np.ascontiguousarray(row[:, k::n]) for k, n in ((at_y, 2), (at_cb, 4), (at_cr, 4)))
        return y, cb, cr
    return None


def common(planes: Planes, *, full_range: bool) -> Planes:
    """The same picture in 16..235, and with a pixel of colour for two by two of brightness where there are more.

    Args:
        full_range: whether Y fills 0..255.

    Returns:
        the planes themselves where nothing has to be done.
    """
    height, width = planes[0].shape
    colours = [_halved(c, c.shape[0] == height, c.shape[1] == width) for c in planes[1:]]
    y, cb, cr = planes[0], *colours
    if not full_range:
        return y, cb, cr
    y, cb, cr = (
        np.asarray(cv2.convertScaleAbs(plane, alpha=factor, beta=shift), np.uint8)
        for plane, (factor, shift) in zip((y, cb, cr), _NARROW, strict=True)
    )
    return y, cb, cr


def _halved(plane: UInt8, down: bool, across: bool) -> UInt8:
    """Means of two neighbours, or of two by two; of an odd side the last stands alone."""
    if down and across and plane.shape[0] % 2 == 0 and plane.shape[1] % 2 == 0:
        size = plane.shape[1] // 2, plane.shape[0] // 2
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)
    for axis in [axis for axis, wanted in enumerate((down, across)) if wanted]:
        if plane.shape[axis] % 2:
            plane = np.concatenate([plane, plane.take([-1], axis)], axis)
        first, second = (plane[k::2] if axis == 0 else np.ascontiguousarray(plane[:, k::2]) for k in (0, 1))
        plane = np.asarray(cv2.addWeighted(first, 0.5, second, 0.5, 0), np.uint8)
    return plane


def frame_of(planes: Planes, space: int, *, full_range: bool = False) -> av.VideoFrame:
    """A frame of 8 bits that has these planes, in memory of its own; ``space`` is FFmpeg's number of a colour space."""
    (height, width), (rows, columns) = planes[0].shape, planes[1].shape
    name = next(name for (x, y), name in _BY_COLOUR.items() if (-(-height // y), -(-width // x)) == (rows, columns))
    frame = av.VideoFrame(width, height, name)
    for plane, values in zip(frame.planes, planes, strict=True):
        np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, -1)[:, : plane.width] = values
    frame.colorspace, frame.color_range = space, 2 if full_range else 1
    return frame


def _numbers(plane: VideoPlane, columns: int, depth: int) -> Array:
    rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, :columns] if depth == 8 else rows[:, : 2 * columns].view("<u2")


def _in_8_bits(numbers: Array, depth: int) -> UInt8:
    """Rounded; the range stays what it was."""
    if depth == 8:
        return cast(UInt8, numbers)
    return np.asarray(cv2.convertScaleAbs(numbers, alpha=1 / (1 << (depth - 8))), np.uint8)
