"""What one predictor finds faces with: its detector, and the trackers of its streams, which share it."""

from __future__ import annotations

import dataclasses

from affectkit.faces.base import Detector, DetectsFaces, DetectsInRegions, HasMinScore, SettlesPoints
from affectkit.faces.faint import all_faces
from affectkit.faces.opening import open_detector
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.faces.user_detector import OwnDetector
from affectkit.forking import Lock, Workers
from affectkit.picture import RgbPicture
from affectkit.types import Detection, UInt8


class FaceSearch:
    """A detector, and how it is asked."""

    def __init__(
        self,
        detector: str | DetectsFaces,
        *,
        device: str,
        detect_every: int | None,
        min_face_px: int,
        threads: int,
        states_kept: int,
    ) -> None:
        """Open the detector; arguments as of :class:`affectkit.Predictor`.

        Args:
            device: where the affect network runs.
            states_kept: frames that a tracker may be ahead of whoever asks for its state.

        Raises:
            TypeError: ``detector`` is no detector.
            MissingDependency: what it needs is not installed.
            ModelError: its files are missing.
        """
        self._detector: Detector
        if isinstance(detector, str):
            self.name, self._given = detector, None
            self._min_face_px: int | None = min_face_px
            self._detector = open_detector(detector, device=device, min_face_px=min_face_px, threads=threads)
        else:
            own = OwnDetector(detector)
            if not own.follows and detect_every is None:
                detect_every = 1
            self.name, self._detector, self._given = type(detector).__name__, own, detector
            self._min_face_px = None
        self._tracking = TrackingConfig()
        if detect_every is not None:
            self._tracking = TrackingConfig(detect_every=detect_every, settled_s=0)
        self._states_kept = states_kept
        self._detecting = Lock()
        self._pool = Workers(1, "affectkit search") if threads > 1 else None

    @property
    def detector(self) -> DetectsFaces:
        """What finds the faces; a detector that was given is that object itself."""
        return self._detector if self._given is None else self._given

    def tracker(self, max_faces: int | None) -> Tracker:
        """A tracker for one more video."""
        told = self._detector.min_score if isinstance(self._detector, HasMinScore) else self._tracking.min_score
        config = dataclasses.replace(self._tracking, min_score=float(told), max_faces=max_faces)
        safe = isinstance(self._detector, DetectsInRegions)  # such a detector may be asked in several threads at once
        return Tracker(
            self._detector,
            config,
            states_kept=self._states_kept,
            lock=None if safe else self._detecting,
            pool=self._pool,
        )

    def in_picture(self, image: UInt8) -> list[Detection]:
        """The faces of one picture, RGB (H, W, 3), in falling order of score."""
        with self._detecting:
            found = all_faces(self._detector, image)
            if isinstance(self._detector, SettlesPoints):
                found = self._detector.settle(RgbPicture(image), found)
        return found

    def in_boxes(self, image: UInt8, boxes: list[Detection]) -> list[Detection]:
        """Faces whose boxes are known, in their order, with the points that the detector sees in them."""
        if not isinstance(self._detector, SettlesPoints):
            return boxes
        with self._detecting:
            seen = self._detector.settle(RgbPicture(image), boxes)
        return [Detection(box.box, 1.0, face.landmarks) for box, face in zip(boxes, seen, strict=True)]

    def described(self) -> dict[str, str | float | None]:
        """What the faces are found with, ready for JSON."""
        return {
            "name": self.name,
            "detect_every": self._tracking.detect_every,
            "settled_s": self._tracking.settled_s,
            "min_face_px": self._min_face_px,
        }

    def close(self) -> None:
        """Free the detector, unless it was given."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._detector.close()
