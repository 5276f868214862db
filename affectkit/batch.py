"""Frames -> batches of whole frames, so that the network is asked seldom and never for too much."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from affectkit.types import CroppedFrame

MAX_PIXELS = 1 << 26
"""Of the pictures of a batch, where they are kept: 32 of 1080p, two of 8K."""


def batched(
    frames: Iterable[CroppedFrame], *, max_faces: int, max_frames: int, max_wait_s: float
) -> Iterator[list[CroppedFrame]]:
    """Group frames until their faces fill a batch, or it has waited long enough; faceless frames ride along.

    Args:
        max_faces: a batch is handed on before a frame that would make it larger. A frame with more faces than that is a
            batch by itself: whole frames stay together.
        max_frames: bounds the pictures held in memory, also where there are no faces. Large ones that are kept, since
            they are drawn later, are fewer: :data:`MAX_PIXELS`.
        max_wait_s: longest time from a batch's first frame until it is handed on; looked at when a frame arrives.
            Infinite for what does not wait for anybody: then the batches of a file are the same in every run.
    """
    batch: list[CroppedFrame] = []
    full: list[list[CroppedFrame]] = []
    faces = pixels = 0
    began = 0.0
    for frame in frames:
        count = len(frame.crops)
        height, width = frame.tracked.frame.picture.shape
        if batch and (faces + count > max_faces or pixels + height * width > MAX_PIXELS):
            full.append(batch)
            batch, faces, pixels = [], 0, 0
            yield full.pop()  # it is not held here meanwhile: its pictures may be large
        if not batch:
            began = time.monotonic()
        batch.append(frame)
        faces, pixels = faces + count, pixels + height * width
        if faces >= max_faces or len(batch) >= max_frames or time.monotonic() - began >= max_wait_s:
            full.append(batch)
            batch, faces, pixels = [], 0, 0
            yield full.pop()
    if batch:
        yield batch
