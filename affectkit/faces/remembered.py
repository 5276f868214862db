"""What a tracker knows after a frame, for those who go back there: a run that is resumed, and frames done again."""

from __future__ import annotations

from dataclasses import dataclass

from affectkit.faces import schedule, shots
from affectkit.faces.boxes import Box
from affectkit.faces.tracks import Track, restored_track, stored_track
from affectkit.serialization import State


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """Nothing that it holds changes any more: every frame has one, and few are spelled out."""

    next_id: int
    index: int
    """Of the frame."""
    time_s: float
    name: str | None
    tracks: tuple[Track, ...]
    tentative: tuple[tuple[Box, float], ...]
    shots: State
    schedule: State
    watch: State

    def spelled_out(self) -> State:
        """For :mod:`affectkit.runs.state`; waits for a search that is going on."""
        return {
            "next_id": self.next_id,
            "index": self.index,
            "time_s": self.time_s,
            "name": self.name,
            **shots.spelled_out(self.shots),
            **schedule.spelled_out(self.schedule),
            "tracks": [stored_track(track) for track in self.tracks],
            "doubts": [[list(box), since_s] for box, since_s in self.tentative],
            "watched": self.watch,
        }

    @classmethod
    def read_back(cls, stored: State) -> Remembered:
        """What :meth:`spelled_out` gave."""
        return cls(
            stored["next_id"],
            stored["index"],
            stored["time_s"],
            stored["name"],
            tuple(restored_track(track) for track in stored["tracks"]),
            tuple((tuple(box), since_s) for box, since_s in stored["doubts"]),
            shots.read_back(stored),
            schedule.read_back(stored),
            stored["watched"],
        )
