"""What a process that works on an input says of how far it is, before it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from affectkit.face_results import FrameResult
from affectkit.runs.job import Job
from affectkit.sources.base import Source, SourceInfo

TELLS_S = 0.5
"""Time from one word to the next."""


@dataclass(frozen=True, slots=True)
class Told:
    """How far an input is."""

    done: int
    """Frames."""
    total: int | None
    """Frames of the whole; None: not known."""


Tell = Callable[[Job, Told], None]
"""Is told how far a job is, from time to time."""


def expected_frames(info: SourceInfo, end_s: float) -> int | None:
    """Number of frames that are gone through until ``end_s``; None: not known."""
    if info.frames and info.fps:
        return max(1, round(min(info.frames, end_s * info.fps)))
    return info.frames


class Telling:
    """Passes results on, and says through a pipe how far they are."""

    def __init__(self, connection: Connection, end_s: float) -> None:
        self._connection, self._end_s = connection, end_s

    def __call__(self, results: Iterator[FrameResult], source: Source) -> Iterator[FrameResult]:
        total, told_at = expected_frames(source.info, self._end_s), 0.0
        for result in results:
            now = time.monotonic()
            if now - told_at >= TELLS_S:
                told_at = now
                with suppress(OSError):  # who asked has gone, which is noticed at the end
                    self._connection.send(Told(result.index + 1, total))
            yield result
