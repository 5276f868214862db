"""What is remembered of one face, and how faces are found again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from affectkit.faces.boxes import Box
from affectkit.serialization import of_detection, to_detection
from affectkit.types import Detection, Float32

SLOWS_S = 1.5
"""Time constant with which a face that is gone is thought to slow down."""


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """How faces are found again from frame to frame."""

    detect_every: int = 6
    """Frames from one detection to the next while all faces are being followed; 1: detect in every frame."""
    settled_s: float = 0.5
    """The same, in seconds, while nothing happens: all known faces are there and apart, and the last detection brought
    nothing new. What a search finds counts ``detect_every`` frames later. Only what has changed is searched, so a face
    that appears close to a known one may be found as late as ``whole_s``. 0: always ``detect_every``."""
    whole_s: float = 2.0
    """Seconds from one search of the whole picture to the next, while only what has changed is searched in between."""
    enough_s: float = 2.0
    """``settled_s`` where there are ``max_faces`` already: only a larger one would take the place of one."""
    min_score: float = 0.9
    """Score a face needs to begin a track; what is being followed may score less."""
    match_iou: float = 0.3
    """Overlap at which a detection is the face that a track saw last."""
    max_lost_s: float = 3.0
    """How long a lost face is remembered, so that it comes back under its id."""
    same_similarity: float = 0.5
    """Similarity (correlation of the small pictures) under which a face is not the one that was followed."""
    stayed_similarity: float = 0.1
    """Similarity that a face needs to be the one that was there a moment ago, which may be half hidden by now."""
    moment_s: float = 0.3
    returned_similarity: float = 0.4
    """Similarity that a face needs to be taken for one that was lost about there."""
    known_similarity: float = 0.6
    """Similarity that a face needs to be taken for one that was lost somewhere else."""
    tentative_similarity: float = 0.25
    """Similarity at which a face may still turn out to be one that was lost: it gets no id for ``moment_s``."""
    hidden_s: float = 0.8
    """The same for one with another close to it, which may hide a part of it."""
    cut_difference: float = 0.25
    """Mean change of a thumbnail's pixels, as a fraction of the range, that counts as a cut."""
    same_shot: float = 0.08
    """Difference of thumbnails up to which a shot is one that was shown before."""
    max_faces: int | None = None
    """Only the largest ones; None: all."""

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            raise ValueError(f"detect_every must be at least 1, got {self.detect_every}")
        if self.max_faces is not None and self.max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {self.max_faces}")


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    track_id: int
    last: Detection
    appearance: Float32
    """An average over time; see :func:`appearance_of`."""
    first: int
    """Index of the frame it was first seen in."""
    seen: int
    """Index of the frame it was last seen in."""
    seen_s: float
    velocity: tuple[float, float] = (0.0, 0.0)
    """Of the box's centre, px a second."""

    def expected(self, time_s: float) -> Box:
        """Where it should be by now: it goes on as it moved, slower and slower."""
        x, y, width, height = self.last.box
        gone_s = SLOWS_S * -math.expm1(-max(0.0, time_s - self.seen_s) / SLOWS_S)
        return (x + self.velocity[0] * gone_s, y + self.velocity[1] * gone_s, width, height)


def stored_track(track: Track) -> list[Any]:
    velocity = list(track.velocity)
    return [track.track_id, of_detection(track.last), track.appearance, track.first, track.seen, track.seen_s, velocity]


def restored_track(stored: list[Any]) -> Track:
    track_id, last, appearance, first, seen, seen_s, velocity = stored
    return Track(track_id, to_detection(last), appearance, first, seen, seen_s, tuple(velocity))
