"""What finds the neutral values of each face of an input, of seconds that are named or of a file; ``auto`` is
:mod:`affectkit.baseline.calmest`. Each is shown every face of every frame in order, and asked for its result at the
end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affectkit.baseline.neutral import (
    LEAST_FRAMES,
    MOST_FRAMES,
    Baselines,
    Float,
    Neutral,
    Rule,
    Seen,
    median_of,
    timed,
)


@dataclass(slots=True)
class FromSeconds:
    """Neutral values of seconds that are named, the same for every face."""

    rule: Rule
    _rows: dict[int, list[Float]] = field(default_factory=dict)
    _span: dict[int, tuple[float, float]] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def add(self, seen: Seen) -> None:
        """Take the next face of the next frame.

        Raises:
            SourceError: the input has no times.
        """
        self._seen.add(seen.track)
        time_s = timed(seen.time_s)
        if not self.rule.start_s <= time_s < self.rule.end_s or np.isnan(seen.values).all():
            return
        rows = self._rows.setdefault(seen.track, [])
        if len(rows) < MOST_FRAMES:
            rows.append(seen.values)
            self._span[seen.track] = (self._span.get(seen.track, (time_s, time_s))[0], time_s)

    def result(self) -> Baselines:
        """The input is over."""
        found = {
            track: Neutral(median_of(rows, LEAST_FRAMES), len(rows), (self._span[track],))
            for track, rows in self._rows.items()
            if len(rows) >= LEAST_FRAMES
        }
        without = {
            track: f"seen in {len(self._rows.get(track, ()))} frames from {self.rule.start_s:g} to "
            f"{self.rule.end_s:g} s, {LEAST_FRAMES} are needed"
            for track in self._seen - found.keys()
        }
        return Baselines(self.rule, found, without)


@dataclass(slots=True)
class FromFile:
    """Neutral values of a file, given to the faces of the input."""

    rule: Rule
    neutrals: dict[int | None, Neutral]
    """By face id; of a file that shows one face its own, under None."""
    _frames: dict[int, int] = field(default_factory=dict)
    _index: int = -1
    _together: bool = False

    def add(self, seen: Seen) -> None:
        """Take the next face of the next frame."""
        self._together |= seen.index == self._index
        self._index = seen.index
        self._frames[seen.track] = self._frames.get(seen.track, 0) + 1

    def result(self) -> Baselines:
        """The input is over."""
        if None not in self.neutrals:
            found = {track: self.neutrals[track] for track in self._frames if track in self.neutrals}
            known = ", ".join(map(str, sorted(track for track in self.neutrals if track is not None)[:8]))
            without = dict.fromkeys(self._frames.keys() - found.keys(), f"{self.rule} has faces {known} only")
            return Baselines(self.rule, found, without)
        neutral = self.neutrals[None]
        if not self._together:  # never two at once: one person, whose face may have been lost and found
            return Baselines(self.rule, dict.fromkeys(self._frames, neutral), {})
        most = max(self._frames, key=lambda track: (self._frames[track], -track))
        without = dict.fromkeys(self._frames.keys() - {most}, f"{self.rule} shows one face only")
        remark = f"{self.rule} shows one face, the input several at once; it is taken for face {most}'s, seen most"
        return Baselines(self.rule, {most: neutral}, without, remark)


def all_of(finder: Any, rows: Iterable[Seen]) -> Baselines:
    """What a finder makes of all rows of an input."""
    for seen in rows:
        finder.add(seen)
    result: Baselines = finder.result()
    return result
