"""Frames -> frames with faces that keep their identity.

A detector is asked every k-th frame, when a face is lost, when none is there, and after a cut; in between it only
follows the faces it knows, which costs a fraction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.faces.base import Detector
from affectkit.types import Array, Detection, Frame, TrackedFace, TrackedFrame, UInt8

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """How faces are found again from frame to frame."""

    detect_every: int = 6
    """Frames from one detection to the next while all faces are being followed; 1: detect in every frame."""
    min_score: float = 0.9
    """Score a face needs to begin a track; what is being followed may score less."""
    match_iou: float = 0.3
    """Overlap at which a detection is the face that a track saw last."""
    keep_lost_frames: int = 15
    """Frames a lost face's place is remembered, so that it comes back under its id."""
    cut_difference: float = 0.25
    """Mean change of a thumbnail's pixels, as a fraction of the range, that counts as a cut."""
    max_faces: int | None = None
    """Only the largest ones; None: all."""

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            raise ValueError(f"detect_every must be at least 1, got {self.detect_every}")
        if self.max_faces is not None and self.max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {self.max_faces}")


@dataclass(slots=True)
class _Track:
    track_id: int
    last: Detection
    seen: int
    """Index of the frame it was last seen in."""


class Tracker:
    """Remembers who was where; one for each video."""

    def __init__(self, detector: Detector, config: TrackingConfig | None = None) -> None:
        self._detector = detector
        self._config = config or TrackingConfig()
        self.reset()

    def reset(self) -> None:
        """Forget everything; ids begin at 0 again."""
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._thumbnail: Array | None = None
        self._index = -1
        self._detected_at = -1

    def update(self, frame: Frame) -> TrackedFrame:
        """Find the faces of the next frame."""
        config = self._config
        before, self._index = self._index, frame.index
        if self._is_cut(frame.image):
            self._tracks.clear()  # whoever is there now is somebody else until proven otherwise
        active = [t for t in self._tracks if t.seen == before]
        gone = frame.index - config.keep_lost_frames
        self._tracks = [t for t in self._tracks if t.seen >= min(gone, before)]
        # Counted in frames of the source: where most are left out, a face has moved too far to be followed.
        due = frame.index - self._detected_at >= config.detect_every
        if due or not active or self._follow(frame.image, active):
            self._detect(frame.image)
            self._detected_at = frame.index
        faces = [t for t in self._tracks if t.seen == frame.index]
        if config.max_faces is not None:
            faces = sorted(faces, key=lambda t: -t.last.box[2] * t.last.box[3])[: config.max_faces]
        faces.sort(key=lambda t: t.track_id)
        return TrackedFrame(frame, tuple(TrackedFace(t.track_id, t.last) for t in faces))

    def _is_cut(self, image: UInt8) -> bool:
        """Whether this frame has little to do with the one before."""
        small = cv2.resize(image, (32, 18), interpolation=cv2.INTER_NEAREST_EXACT).astype(np.int16)
        before, self._thumbnail = self._thumbnail, small
        if before is None:
            return False
        return float(np.abs(small - before).mean()) / 255 > self._config.cut_difference

    def _follow(self, image: UInt8, active: list[_Track]) -> bool:
        """Follow the active tracks; True where one was lost."""
        found = self._detector.follow(image, [t.last for t in active])
        lost = False
        for track, face in zip(active, found, strict=True):
            # O-Net may answer with a neighbour's face; a face does not jump by half its size from frame to frame.
            if face is None or iou(face.box, track.last.box) < self._config.match_iou:
                lost = True
                continue
            track.last, track.seen = face, self._index
        return self._drop_doubles() or lost

    def _drop_doubles(self) -> bool:
        """Two tracks on one face: the younger one ends. True where there were any."""
        current = sorted((t for t in self._tracks if t.seen == self._index), key=lambda t: t.track_id)
        doubles = {
            id(younger)
            for i, older in enumerate(current)
            for younger in current[i + 1 :]
            if iou(older.last.box, younger.last.box) > 0.6
        }
        self._tracks = [t for t in self._tracks if id(t) not in doubles]
        return bool(doubles)

    def _detect(self, image: UInt8) -> None:
        """Detect, and give every face the id of the track it continues, or a new one."""
        faces = self._detector.detect(image)
        pairs = sorted(
            (
                (-_likeness(track.last.box, face.box, self._index - track.seen), i, k)
                for i, track in enumerate(self._tracks)
                for k, face in enumerate(faces)
                if self._may_be(track, face)
            )
        )
        taken_tracks: set[int] = set()
        taken_faces: set[int] = set()
        for _, i, k in pairs:
            if i in taken_tracks or k in taken_faces:
                continue
            taken_tracks.add(i)
            taken_faces.add(k)
            self._tracks[i].last, self._tracks[i].seen = faces[k], self._index
        for k, face in enumerate(faces):
            if k in taken_faces or face.score < self._config.min_score:
                continue
            if any(iou(face.box, self._tracks[i].last.box) > 0.6 for i in taken_tracks):
                continue
            self._tracks.append(_Track(self._next_id, face, self._index))
            self._next_id += 1

    def _may_be(self, track: _Track, face: Detection) -> bool:
        if iou(track.last.box, face.box) >= self._config.match_iou:
            return True
        # A lost face may have moved on: up to half its size, and a little more for every frame it was gone.
        gone = self._index - track.seen
        size = math.sqrt(track.last.box[2] * track.last.box[3])
        return _distance(track.last.box, face.box) < size * min(1.0, 0.5 + 0.05 * gone)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _distance(a: Box, b: Box) -> float:
    return math.hypot(a[0] + a[2] / 2 - b[0] - b[2] / 2, a[1] + a[3] / 2 - b[1] - b[3] / 2)


def _likeness(a: Box, b: Box, gone: int) -> float:
    """Higher for the likelier continuation: overlap, less for distance, tracks seen just now first."""
    return iou(a, b) - 0.1 * _distance(a, b) / max(1.0, math.sqrt(a[2] * a[3])) - 0.001 * gone


def track(frames: Iterable[Frame], tracker: Tracker) -> Iterator[TrackedFrame]:
    """Find and follow the faces of every frame; lazy, one in, one out."""
    for frame in frames:
        yield tracker.update(frame)


def whole_pictures(frames: Iterable[Frame]) -> Iterator[TrackedFrame]:
    """Like :func:`track` for pictures that are aligned faces already: one face each, the whole picture, id 0."""
    for frame in frames:
        height, width = frame.image.shape[:2]
        nowhere = np.full((5, 2), np.nan, np.float32)
        face = Detection((0.0, 0.0, float(width), float(height)), 1.0, nowhere)
        yield TrackedFrame(frame, (TrackedFace(0, face),))
