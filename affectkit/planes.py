"""Planes of brightness and colour of decoded frames, 8 bits each, whatever way the pixel format stores them.

Video of 10 bits and packed or interleaved pixels was turned into RGB before: that costs more than decoding, and FFmpeg
rounds down on that way, so that the same film is a grey level darker in them. Here the numbers are only sorted, and
those of more than 8 bits rounded.
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


def planes_of(frame: av.VideoFrame) -> tuple[UInt8, UInt8, UInt8] | None:
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


def _numbers(plane: VideoPlane, columns: int, depth: int) -> Array:
    rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, :columns] if depth == 8 else rows[:, : 2 * columns].view("<u2")


def _in_8_bits(numbers: Array, depth: int) -> UInt8:
    """Rounded; the range stays what it was."""
    if depth == 8:
        return cast(UInt8, numbers)
    return np.asarray(cv2.convertScaleAbs(numbers, alpha=1 / (1 << (depth - 8))), np.uint8)
