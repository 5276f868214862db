"""Which frames of a source are asked for: a span of time, every so many of them, from one number on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from affectkit.errors import SourceError

T = TypeVar("T")


@dataclass(slots=True)
class Span:
    """The same rule for all sources, and what came of it. Of one reading of a source."""

    start_s: float = -math.inf
    end_s: float = math.inf
    """Frames with ``start_s <= time < end_s``, and those without a time."""
    every: int = 1
    """Of these, the frames whose number is a multiple of it."""
    first: int = 0
    """Those of a smaller number were handed out in another run already; they count, and are left out."""
    inside: int = 0
    """Frames within the times so far."""
    handed_out: int = 0
    """Of these, those that were asked for."""
    last_s: float = math.nan
    """Time of the last frame that was looked at."""
    past_end: bool = False
    """Whether a frame at or after ``end_s`` came: nothing after it was looked at."""

    def of(self, numbered: Iterable[tuple[T, int, float]]) -> Iterator[tuple[T, int, float]]:
        """Those that are asked for, of frames with their numbers and times in seconds (NaN: none)."""
        for item, index, time_s in numbered:
            self.last_s = time_s
            if time_s >= self.end_s:
                self.past_end = True
                return
            if not time_s < self.start_s:
                self.inside += 1
                if index % self.every == 0:
                    self.handed_out += 1
                    if index >= self.first:
                        yield item, index, time_s
            del item  # it may be large, and the next one is made now

    def check(self, name: str) -> None:
        """Refuse that no frame was handed out, although there are some.

        Raises:
            SourceError: there was none; the message says why.
        """
        if self.handed_out:
            return
        span = f"between {self.start_s:g} s and {self.end_s:g} s"
        if self.inside:
            raise SourceError(
                f"{name}: of the {self.inside} frames {span} none has a number that is a multiple of "
                f"every={self.every} (frames are counted from the file's first one); take a smaller step"
            )
        raise SourceError(f"{name}: no frame lies {span}; the last one read is at {self.last_s:.2f} s")
