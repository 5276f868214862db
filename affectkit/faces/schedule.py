"""When a detector is asked for all faces of a picture, and when only whether new ones have come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import combinations

from affectkit.faces.base import DetectsInRegions, DetectsLargeFaces
from affectkit.faces.boxes import Box, iou, touch
from affectkit.faces.changes import ChangeDetector
from affectkit.faces.questions import Asks
from affectkit.faces.tracks import TrackingConfig
from affectkit.faces.watch import smallest_px
from affectkit.forking import Later
from affectkit.picture import RgbPicture
from affectkit.serialization import State
from affectkit.types import Picture

EMPTY = 3
"""Detections in a row without a face after which none is expected soon."""


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """A search for new faces that is going on."""

    index: int
    """Of the frame in which."""
    saw_new_face: Callable[[], bool]
    """Waits until it is known."""


class Schedule:
    """Remembers when faces were detected, and what came of it; one for each video."""

    def __init__(self, config: TrackingConfig, detector: DetectsInRegions | None, pool: Executor | None) -> None:
        """Start without detections.

        Args:
            detector: finds new faces; None: it cannot search a part of a picture, so all faces are detected.
            pool: searches for new faces while known ones are followed. The results are the same without it.
        """
        self._config, self._detector, self._pool = config, detector, pool
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._detected_at, self._detected_s, self._whole_s = -1, -math.inf, -math.inf
        self._changes = ChangeDetector()
        self.forget()

    def forget(self) -> None:
        """The next picture has nothing to do with those before."""
        self._pending: _Search | None = None
        self._uneventful = 0  # detections in a row that were due and brought nothing new

    def plan(
        self, index: int, time_s: float, known: Sequence[Box], *, calm: bool, watched: bool = False
    ) -> tuple[bool, bool]:
        """Whether faces have to be detected in this frame, and whether it will do to search for new ones.

        Args:
            known: boxes of the faces that were there in the frame before.
            calm: no face is lost, no track is tentative, and no frames were left out.
            watched: lost faces, and new ones where none is known, are looked for in between.
        """
        # Counted in frames of the source: where most are left out, a face has moved too far to be followed.
        due = index - self._detected_at >= self._config.detect_every
        settled = due and calm and self._is_settled(known, watched=watched)
        if settled and self._may_wait(time_s, len(known)):
            due = False
        return due, due and settled and self._detector is not None

    def _is_settled(self, known: Sequence[Box], *, watched: bool) -> bool:
        """Whether nothing happens: the last detection brought nothing new, and all known faces are apart.

        Where none is known the last three, since a small one is found by them alone.
        """
        if not self._uneventful or not self._config.settled_s:
            return False
        if not known:
            return watched and self._uneventful >= EMPTY
        return all(not touch(a, b) for a, b in combinations(known, 2))

    def _may_wait(self, time_s: float, count: int) -> bool:
        """Whether it is not long ago that other faces were searched for, in a picture in which nothing happens."""
        config = self._config
        enough = config.max_faces is not None and count >= config.max_faces
        wait_s = max(config.enough_s, config.settled_s) if enough else config.settled_s
        # A millisecond under it, so that the rounding of clocks does not decide whether a frame is the one.
        return 0 <= time_s - self._detected_s < wait_s - 1e-3

    def begin_search(self, picture: Picture, index: int, time_s: float, known: Sequence[Box]) -> None:
        """Search for faces that are not ``known``: in the whole picture now and then, else where it has changed."""
        detector, limit = self._detector, self._config.match_iou
        region = self._changes.changed(picture, known)
        whole = time_s - self._whole_s >= self._config.whole_s - 1e-3
        if whole:
            height, width = picture.shape
            region, self._whole_s = (0, 0, width, height), time_s
        self._pending = None
        if region is None or detector is None:
            return

        if self._pool is not None and isinstance(picture, RgbPicture):
            picture = RgbPicture(picture.rgb().copy())  # its owner may use the memory again before the search is over

        def appeared() -> bool:
            image = picture.detector_rgb()
            # A panning camera changes everything: then small faces have to wait for the search of the whole picture.
            if isinstance(detector, DetectsLargeFaces) and not whole:
                faces = detector.detect_large_in(image, region, smallest_px(region))
            else:
                faces = detector.detect_in(image, region)
            return any(all(iou(face.box, box) < limit for box in known) for face in faces)

        if self._pool is None:
            seen = appeared()
            self._pending = _Search(index, lambda: seen)
        else:
            self._pending = _Search(index, Later(self._pool, appeared))

    def new_face_came(self, index: int, ask: Asks, *, cut: bool) -> bool:
        """What the search that was started ``detect_every`` frames ago saw; until then it is not asked.

        Always so many frames, however fast it was: the results are the same in every run.
        """
        pending = self._pending
        if pending is None or (not cut and index - pending.index < self._config.detect_every):
            return False
        self._pending = None
        return not cut and ask(pending.saw_new_face, False)

    def detected(self, picture: Picture, time_s: float, *, uneventful: bool) -> None:
        """All faces of this picture were detected.

        Args:
            uneventful: that was due, and brought nothing new.
        """
        self._uneventful = self._uneventful + 1 if uneventful else 0
        self._changes.note(picture)
        self._whole_s, self._pending = time_s, None

    def asked(self, index: int, time_s: float) -> None:
        """The detector was asked in this frame, for all faces or for new ones, or had no need to be."""
        self._detected_at, self._detected_s = index, time_s

    def state(self) -> State:
        """What :meth:`restore` takes; :func:`spelled_out` makes of it what can be stored."""
        return {
            "detected_at": self._detected_at,
            "detected_s": self._detected_s,
            "whole_s": self._whole_s,
            "searched": self._changes.state(),
            "uneventful": self._uneventful,
            "looking": self._pending,
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._detected_at, self._detected_s = state["detected_at"], state["detected_s"]
        self._whole_s, self._uneventful = state["whole_s"], state["uneventful"]
        self._changes.restore(state["searched"])
        self._pending = state["looking"]


def spelled_out(state: State) -> State:
    """A state of :class:`Schedule` as it is stored; waits for a search that is going on."""
    pending: _Search | None = state["looking"]
    return {**state, "looking": None if pending is None else [pending.index, pending.saw_new_face()]}


def read_back(stored: State) -> State:
    """The state of which :func:`spelled_out` made this."""
    if stored["looking"] is None:
        return stored
    index, seen = stored["looking"]
    return {**stored, "looking": _Search(index, lambda: bool(seen))}
