"""Frames with their faces: found and followed by a tracker, or each picture one face as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from affectkit.faces.tracking import Tracker
from affectkit.types import Detection, Frame, TrackedFace, TrackedFrame


def track(frames: Iterable[Frame], tracker: Tracker, *, alone: bool = False) -> Iterator[TrackedFrame]:
    """Find and follow the faces of every frame; lazy, one in, one out.

    Args:
        alone: the pictures have nothing to do with each other: no face is in two of them.
    """
    for frame in frames:
        if alone:
            tracker.forget()
        yield tracker.update(frame)


def whole_pictures(frames: Iterable[Frame], *, alone: bool = False) -> Iterator[TrackedFrame]:
    """Like :func:`track` for pictures that are aligned faces already: one face each, the whole picture.

    All are the same person, 0, unless they are ``alone``; then each has the number of its picture.
    """
    for frame in frames:
        height, width = frame.picture.shape
        nowhere = np.full((5, 2), np.nan, np.float32)
        face = Detection((0.0, 0.0, float(width), float(height)), 1.0, nowhere)
        yield TrackedFrame(frame, (TrackedFace(frame.index if alone else 0, face),))
