"""How a decoded frame asks to be turned, read without what makes PyAV crash."""

from __future__ import annotations

import gc
from fractions import Fraction
from typing import Any, cast

import av
import av.error
import av.filter
import numpy as np

from affectkit.types import Array

_LEFT_OUT = ("ICC_PROFILE", "A53_CC", "SEI_UNREGISTERED", "DYNAMIC_HDR_PLUS", "DETECTION_BOUNDING_BOXES")
"""Side data that is of no use here. PyAV 17 and 18 free the notes of a piece of side data twice, which ends the process
later on; of these only a colour profile has notes, its name."""


_LARGE_PIXELS = 4_000_000
"""Of frames whose memory is not left to the next round of Python's collector of what refers to itself."""


def display_matrix(frame: av.VideoFrame) -> Array | None:
    """The matrix that a container, or the pictures themselves, attach to a frame; None: none.

    Returns:
        int64 (4,), a, b, c, d of which picture (x, y) is shown at (a x + c y, b x + d y); the scale says nothing.
    """
    matrix = _attached(frame)
    if frame.width * frame.height > _LARGE_PIXELS:
        gc.collect()  # PyAV's frames and their side data refer to each other: it would stay for long
    return matrix


def _attached(frame: av.VideoFrame) -> Array | None:
    try:
        bare = _without_profiles(frame)
        data = None if bare is None else bare.side_data.get("DISPLAYMATRIX")
    except (KeyError, ValueError, av.error.FFmpegError):  # PyAV does not know all kinds of side data
        return _of_angle(frame.rotation)
    if data is None:
        return _of_angle(frame.rotation) if bare is None else None
    numbers = np.frombuffer(cast(Any, data), np.int32)  # a buffer, which some versions of PyAV type as object
    return numbers.astype(np.int64)[[0, 1, 3, 4]] if len(numbers) >= 9 else None


def _without_profiles(frame: av.VideoFrame) -> av.VideoFrame | None:
    """The same frame, nothing of it copied, without the side data that PyAV must not be asked for."""
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))]
    nodes += [graph.add("sidedata", f"mode=delete:type={kind}") for kind in _LEFT_OUT]
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes).configure()
    graph.push(frame)
    bare = graph.pull()
    return bare if isinstance(bare, av.VideoFrame) else None


def _of_angle(counterclockwise_deg: int) -> Array | None:
    """The matrix of a turn without mirroring."""
    a, b = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[round(counterclockwise_deg / 90) * 90 % 360]
    return None if (a, b) == (1, 0) else np.array([a, b, -b, a], np.int64)
