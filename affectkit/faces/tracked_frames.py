"""Frames with their faces: found and followed by a tracker, or each picture one face as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from affectkit.faces.guesses import Guesses
from affectkit.faces.tracking import Tracker
from affectkit.types import Detection, Frame, TrackedFace, TrackedFrame


def track(frames: Iterable[Frame], tracker: Tracker, *, alone: bool = False, held: int = 0) -> Iterator[TrackedFrame]:
    """Find and follow the faces of every frame; lazy, one in, one out.

    Args:
        alone: the pictures have nothing to do with each other: no face is in two of them.
        held: most frames that are followed, and held back, while a look for lost faces in the first of them is going
            on (:mod:`affectkit.faces.guesses`). The results are the same whatever it is.
    """
    if held and not alone and tracker.pool is not None:
        yield from _guessing(frames, Guesses(tracker, tracker.pool, held))
        return
    for frame in frames:
        if alone:
            tracker.forget()
        yield tracker.update(frame)


def _guessing(frames: Iterable[Frame], guesses: Guesses) -> Iterator[TrackedFrame]:
    failure: Exception | None = None
    coming = iter(frames)
    try:
        while failure is None:
            try:
                frame = next(coming, None)
            except Exception as error:  # it comes after the frames before it
                failure = error
                break
            if frame is None:
                break
            guesses.put(frame)
            del frame
            yield from guesses.sure()
        yield from guesses.rest()
    finally:
        guesses.give_up()
    if failure is not None:
        raise failure


def whole_pictures(frames: Iterable[Frame], *, alone: bool = False) -> Iterator[TrackedFrame]:
    """Like :func:`track` for pictures that are aligned faces already: one face each, the whole picture.

    All are the same person, 0, unless they are ``alone``; then each has the number of its picture.
    """
    for frame in frames:
        height, width = frame.picture.shape
        nowhere = np.full((5, 2), np.nan, np.float32)
        face = Detection((0.0, 0.0, float(width), float(height)), 1.0, nowhere)
        yield TrackedFrame(frame, (TrackedFace(frame.index if alone else 0, face),))
