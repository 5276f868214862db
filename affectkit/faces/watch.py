"""Looks for faces that are lost, or for any where none is known, without a search of the whole picture in each frame.

A search for faces of all sizes costs by the area of the picture: 65 ms of 1280 x 720 px. So where a head has turned
away only the surroundings of where that face is expected are searched, for faces about as large; and where no face is
known, what has changed, for faces that are not small in it. What is small and new is left to the detections, which come
every ``detect_every`` frames and less often while nothing happens (:mod:`affectkit.faces.schedule`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from affectkit.faces.base import DetectsLargeFaces
from affectkit.faces.boxes import Box, iou
from affectkit.faces.changes import ChangeDetector, Region
from affectkit.faces.tracks import Track, TrackingConfig
from affectkit.serialization import State
from affectkit.types import Detection, Picture

SMALLEST_SHARE = 0.0587
"""Side of the smallest faces that a bounded search is for, in those of a square as large as what is searched: 28 px of
640 x 360. So each costs about as much as one of a picture of 640 x 360 px."""

AROUND = 1.0
"""How far around the place where a lost face is expected it is looked for, in sides of its box."""

SMALLER = 0.5
"""A lost face is looked for from this share of its size on."""

EVERY = 2
"""Frames from one look for lost faces to the next, while others are followed."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A search of some places of a picture. It remembers nothing, so it may be done later, and in any thread."""

    _detector: DetectsLargeFaces
    _picture: Picture
    places: tuple[tuple[Region, float], ...]
    """Where, px, and how large faces are there at least, px."""
    _known: tuple[Box, ...]
    _match_iou: float

    def found(self) -> list[Detection]:
        """Faces that are there besides the known ones, in falling order of score within each place."""
        found: list[Detection] = []
        for region, smallest in self.places:
            for face in self._detector.detect_large_in(self._picture.detector_rgb(), region, smallest):
                there = [*self._known, *(other.box for other in found)]
                if all(iou(face.box, box) < self._match_iou for box in there):
                    found.append(face)
        return found


class Watch:
    """Where it was looked before; one for each video."""

    def __init__(self, config: TrackingConfig, detector: DetectsLargeFaces | None) -> None:
        """Start without a look.

        Args:
            detector: None: it cannot search for large faces alone, so nothing is watched.
        """
        self._config = config
        # Who asks for a detection every so many frames gets just that.
        self._detector = detector if config.settled_s else None
        self.forget()

    @property
    def works(self) -> bool:
        """Whether lost faces and new ones are looked for at all."""
        return self._detector is not None

    def forget(self) -> None:
        """The next picture has nothing to do with those before."""
        self._changes = ChangeDetector()
        self._looked_at = -EVERY  # index of the frame

    def look(
        self, picture: Picture, index: int, time_s: float, known: Sequence[Box], missing: Sequence[Track | Box]
    ) -> Look | None:
        """What has to be searched in this frame; None: nothing.

        Args:
            index: of the frame.
            known: boxes of the faces that are followed in this picture.
            missing: tracks of faces that are lost, and boxes in which some were seen that may be.
        """
        enough = self._config.max_faces is not None and len(known) >= self._config.max_faces
        if self._detector is None or enough or (known and index - self._looked_at < EVERY):
            return None
        self._looked_at = index
        height, width = picture.shape
        places = [_around(one if isinstance(one, tuple) else one.expected(time_s), height, width) for one in missing]
        if not known:
            changed = self._changes.changed(picture, [])
            places += [] if changed is None else [(changed, smallest_px(changed))]
        places = [(region, size) for region, size in places if region[0] < region[2] and region[1] < region[3]]
        return Look(self._detector, picture, tuple(places), tuple(known), self._config.match_iou)

    def state(self) -> State:
        """To resume from."""
        return {"changes": self._changes.state(), "looked_at": self._looked_at}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._changes.restore(state["changes"])
        self._looked_at = state["looked_at"]


def smallest_px(region: Region) -> float:
    """Side of the smallest faces for which a search of this region costs what one of a small picture does."""
    left, top, right, bottom = region
    return SMALLEST_SHARE * math.sqrt((right - left) * (bottom - top))


def _around(box: Box, height: int, width: int) -> tuple[Region, float]:
    """Where a face of this box may be, and the smallest size it may have, px."""
    x, y, across, down = box
    side = max(across, down)
    left, top = max(0, int(x - AROUND * side)), max(0, int(y - AROUND * side))
    right = min(width, int(x + across + AROUND * side) + 1)
    bottom = min(height, int(y + down + AROUND * side) + 1)
    return (left, top, right, bottom), SMALLER * side
