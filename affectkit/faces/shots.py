"""Where a video cuts to another shot, and whether it is one that was shown before."""

from __future__ import annotations

from collections import deque

import numpy as np

from affectkit.faces.tracks import Track, TrackingConfig, restored_track, stored_track
from affectkit.serialization import State
from affectkit.types import Array, Picture

SHOTS_REMEMBERED = 12


class Shots:
    """Compares every picture with the one before, and keeps who was in which shot; one for each video."""

    def __init__(self, config: TrackingConfig) -> None:
        self._config = config
        self._before: deque[tuple[Array, list[Track]]] = deque(maxlen=SHOTS_REMEMBERED)
        """The last thumbnail of each shot, and who was in it."""
        self._thumbnail: Array | None = None
        self._size: tuple[int, int] | None = None

    def forget(self) -> None:
        """The next picture has nothing to do with those before."""
        self._before.clear()
        self._thumbnail = self._size = None

    def cut_to(self, picture: Picture, tracks: list[Track], *, backwards: bool) -> list[Track] | None:
        """Who is expected in a shot that begins with this picture; None: it belongs to the shot before.

        A picture begins a shot that has little to do with the one before, or whatever it shows, where its time runs
        ``backwards``: recordings were joined there.

        Args:
            tracks: who was in the shot before; they are put by.
        """
        small = picture.sampled(32, 18).astype(np.int16)
        before, self._thumbnail = self._thumbnail, small
        resized = self._size is not None and self._size != picture.shape  # a stream may change its size
        self._size = picture.shape
        changed = before is not None and _change(small, before) > self._config.cut_difference
        if before is None or not (changed or resized or backwards):
            return None
        if resized:  # places of the other size say nothing
            self._before.clear()
            return []
        self._before.append((before, tracks))
        nearest = min(range(len(self._before)), key=lambda k: _change(small, self._before[k][0]))
        if _change(small, self._before[nearest][0]) > self._config.same_shot:
            return []
        shown = self._before[nearest][1]
        del self._before[nearest]
        return shown

    def state(self) -> State:
        """What :meth:`restore` takes; :func:`spelled_out` makes of it what can be stored."""
        return {"thumbnail": self._thumbnail, "size": self._size, "shots": tuple(self._before)}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._before.clear()
        self._before.extend(state["shots"])
        self._thumbnail, self._size = state["thumbnail"], state["size"]


def spelled_out(state: State) -> State:
    """A state of :class:`Shots` as it is stored."""
    shots = [[thumbnail, [stored_track(t) for t in there]] for thumbnail, there in state["shots"]]
    return {**state, "shots": shots}


def read_back(stored: State) -> State:
    """The state of which :func:`spelled_out` made this."""
    shots = tuple((thumbnail, [restored_track(t) for t in tracks]) for thumbnail, tracks in stored["shots"])
    size = None if stored["size"] is None else tuple(stored["size"])
    return {"thumbnail": stored["thumbnail"], "size": size, "shots": shots}


def _change(small: Array, before: Array) -> float:
    """Mean difference of two thumbnails, as a fraction of the range."""
    return float(np.abs(small - before).mean()) / 255
