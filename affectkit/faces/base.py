"""What every face detector promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from affectkit.types import Detection, UInt8


class Detector(Protocol):
    """Finds faces in one picture; keeps nothing from one picture to the next.

    It may be called in other threads than the one that made it, but never in two at the same time.

    A user's own needs ``detect`` only: without ``follow`` faces are looked for in every frame, landmarks may be left
    out of a :class:`affectkit.types.Detection`, and ``close`` is the user's to call (:mod:`affectkit.faces.own`).

    A detector may have an attribute ``min_score``: the score that a face needs to begin a track (default .9), and a
    method ``follow_picture`` that does what ``follow`` does with an :class:`affectkit.types.Picture`, so that a frame
    in which faces are only followed need not be turned into RGB. With a method ``look``, which does what ``detect``
    does in a part of the picture (left, top, right, bottom in px), new faces are looked for where the picture has
    changed, while nothing happens; it may be called in another thread, at the same time as the other methods.

    With a method ``settle`` (an :class:`affectkit.types.Picture` and its detections -> as many detections), which moves
    the points of detected faces to where ``follow`` would have them after some frames, a detection only confirms the
    faces that are followed: their points are those of ``follow``, and do not jump whenever faces are detected.
    """

    def detect(self, image: UInt8) -> list[Detection]:
        """All faces of an RGB picture (H, W, 3), in falling order of score."""
        ...

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        """Where the faces of the picture before are in this one, for a fraction of the price of :meth:`detect`.

        Returns:
            one entry for each of ``faces``, None for one that is lost.
        """
        ...

    def close(self) -> None:
        """Free what the detector holds."""
        ...
