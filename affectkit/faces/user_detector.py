"""Detectors of users: what they need not have is put in its place, and what they answer is looked at."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from affectkit.faces.boxes import iou
from affectkit.types import Detection, UInt8

SAME_FACE = 0.3
"""Overlap (IoU) at which a face that is found is the one of the picture before."""


def check_detector(detector: object) -> None:
    """Refuse what is no detector.

    Raises:
        TypeError: it has no method ``detect``, or something else under the name of an optional method.
    """
    if isinstance(detector, type) or not callable(getattr(detector, "detect", None)):
        what = f"the class {detector.__name__}" if isinstance(detector, type) else type(detector).__name__
        raise TypeError(f"detector must be a name, or an object with a method detect(image), got {what}")
    for name in ("follow", "follow_picture", "detect_in", "detect_large_in", "detect_faint", "look", "settle"):
        if not callable(getattr(detector, name, detector.detect)):  # type: ignore[attr-defined]
            raise TypeError(f"detector {type(detector).__name__}: {name} must be a method, or left out")


def _detect_in(detector: Any) -> Callable[..., Any] | None:
    """The method that searches a part of a picture, if there is one; it was called ``look``."""
    found = getattr(detector, "detect_in", None)
    if found is None and hasattr(detector, "look"):
        name = type(detector).__name__
        warnings.warn(f"{name}.look is now called detect_in; rename it", DeprecationWarning, stacklevel=3)
        found = detector.look
    return cast("Callable[..., Any] | None", found)


class OwnDetector:
    """A user's detector as the tracker wants it.

    Without a method ``follow`` a face is followed by finding it again, which costs a detection. Faces without landmarks
    have them where they mostly lie in a box. The detector stays its owner's: it is not closed.
    """

    def __init__(self, detector: Any) -> None:
        """Wrap it.

        Raises:
            TypeError: as of :func:`check_detector`.
        """
        check_detector(detector)
        self._detector = detector
        self.follows = hasattr(detector, "follow") or hasattr(detector, "follow_picture")
        """Whether it can follow a face for less than a detection."""
        # What is optional is there only if the detector has it: the tracker asks.
        if hasattr(detector, "min_score"):
            self.min_score = float(detector.min_score)
        detect_in = _detect_in(detector)
        if detect_in is not None:
            self.detect_in = lambda image, region: self._checked(detect_in(image, region))
        if hasattr(detector, "detect_large_in"):
            self.detect_large_in = lambda image, region, smallest_px: self._checked(
                detector.detect_large_in(image, region, smallest_px)
            )
        if hasattr(detector, "detect_faint"):
            self.detect_faint = lambda image, smallest_px=0: self._checked(detector.detect_faint(image, smallest_px))
        if hasattr(detector, "follow_picture"):
            self.follow_picture = lambda picture, faces: self._followed(detector.follow_picture(picture, faces), faces)

        if hasattr(detector, "settle"):
            self.settle = lambda picture, faces: self._settled(detector.settle(picture, faces), faces)

    def detect(self, image: UInt8) -> list[Detection]:
        """See :class:`affectkit.faces.base.Detector`; in falling order of score.

        Raises:
            TypeError: the answer is no list of detections.
            ValueError: a box is no box.
        """
        return sorted(self._checked(self._detector.detect(image)), key=lambda face: -face.score)

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        """See :class:`affectkit.faces.base.Detector`."""
        if hasattr(self._detector, "follow"):
            return self._followed(self._detector.follow(image, faces), faces)
        found = self.detect(image)
        return [self._again(face, found) for face in faces]

    @staticmethod
    def _again(face: Detection, found: Sequence[Detection]) -> Detection | None:
        """The face of the picture before among those of this one."""
        best = max(found, key=lambda one: iou(one.box, face.box), default=None)
        return best if best is not None and iou(best.box, face.box) >= SAME_FACE else None

    def close(self) -> None:
        """Nothing: who made the detector closes it."""

    def _checked(self, answer: Any) -> list[Detection]:
        name = type(self._detector).__name__
        if not isinstance(answer, Iterable):
            raise TypeError(
                f"detector {name}: detect must answer with a list of Detection, got {type(answer).__name__}"
            )
        found = list(answer)
        for face in found:
            self._check_one(face)
        return found

    def _settled(self, answer: Any, faces: Sequence[Detection]) -> list[Detection]:
        return self._one_each(self._checked(answer), faces, "settle")

    def _one_each(self, found: list[Any], faces: Sequence[Detection], method: str) -> list[Any]:
        if len(found) != len(faces):
            raise ValueError(
                f"detector {type(self._detector).__name__}: {method} must answer with one entry for each of the "
                f"{len(faces)} faces, got {len(found)}"
            )
        return found

    def _followed(self, answer: Any, faces: Sequence[Detection]) -> list[Detection | None]:
        found = self._one_each(list(answer), faces, "follow")
        for face in found:
            if face is not None:
                self._check_one(face)
        return found

    def _check_one(self, face: Any) -> None:
        name = type(self._detector).__name__
        if not isinstance(face, Detection):
            raise TypeError(
                f"detector {name}: a face must be an affectkit.types.Detection(box, score, landmarks), of which the "
                f"landmarks may be left out, got {type(face).__name__}"
            )
        box = tuple(face.box)
        if len(box) != 4 or not all(map(math.isfinite, (*box, face.score))) or box[2] <= 0 or box[3] <= 0:
            raise ValueError(
                f"detector {name}: a box must be x, y, width and height in px, with a score, got {box}, {face.score}"
            )
