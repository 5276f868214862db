"""How the stages are put together: frames -> batches of crops, and what trackers and results are made with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

from affectkit.align import align, take_whole
from affectkit.batch import batched
from affectkit.faces.confident import confident
from affectkit.faces.tracked_frames import track, whole_pictures
from affectkit.faces.tracking import Tracker
from affectkit.options import StreamOptions
from affectkit.prefetch import ahead
from affectkit.sources.arrays import ArraySource
from affectkit.sources.base import Source, SourceInfo
from affectkit.sources.video import VideoFile
from affectkit.spec import InputSpec
from affectkit.types import CroppedFrame, Frame

BYTES_AHEAD = 12 << 20
"""Of decoded frames that may wait for the tracker, which is slower at some frames than at others."""

MOST_HELD = 8
"""Frames that may be followed while it is still looked for lost faces in one before them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pace:
    """How many faces go through the network at once, and what is done at the same time."""

    batch_size: int
    max_wait_s: float
    """Of a frame for its batch to fill, of sources that have a pace of their own."""
    threads: int


def crops_of(
    source: Source,
    frames: Iterator[Frame],
    tracker: Tracker,
    asked: StreamOptions,
    wanted: InputSpec,
    pace: Pace,
    *,
    keep_pictures: bool,
) -> Iterator[list[CroppedFrame]]:
    """Frames -> their faces, followed and cut out; the stages work side by side where that helps."""
    # What a caller's own iterator does, it does in the thread that asked for it.
    most, alone = frames_ahead(source.info), source.info.alone
    overlaps = pace.threads > 1 and not isinstance(source, ArraySource) and most > 0
    side_by_side: Callable[[Iterator[Any], int], Iterator[Any]] = ahead if overlaps else lambda items, _: items
    # What may be silent for long is read in a thread in any case: Ctrl-C does not wait for it.
    read_ahead = ahead if source.info.paced and isinstance(source, VideoFile) else side_by_side
    frames = read_ahead(frames, max(1, most))
    # What is waited for, as a camera is, is not held back.
    held = min(MOST_HELD, most) if overlaps and not source.info.paced else 0
    faces = whole_pictures(frames, alone=alone) if asked.aligned else track(frames, tracker, alone=alone, held=held)
    faces = confident(faces, asked.min_confidence) if asked.min_confidence else faces
    tracked = side_by_side(faces, min(8, most))
    cut = take_whole if asked.aligned else align
    batches = batched(
        cut(tracked, wanted, keep_pictures=keep_pictures),
        max_faces=pace.batch_size,
        max_frames=pace.batch_size,
        max_wait_s=pace.max_wait_s if source.info.paced else math.inf,
    )
    # A batch of pictures is too much to have another one waiting.
    return batches if keep_pictures else side_by_side(batches, 1)


def frames_ahead(info: SourceInfo) -> int:
    """Frames that may wait for the next stage; 0: so large that the stages work one after the other."""
    if info.width is None or info.height is None:  # pictures, which may be large
        return 2
    frame_bytes = 1.5 * info.width * info.height
    return 0 if frame_bytes > 2 * BYTES_AHEAD else int(min(32, max(2, BYTES_AHEAD / frame_bytes)))
