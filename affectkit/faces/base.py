"""What every face detector promises, and what it may be able to do besides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from affectkit.types import Detection, Picture, UInt8


class DetectsFaces(Protocol):
    """The least that a detector of your own has to do: find faces in one picture.

    What else it can do is told by the other protocols here, each for itself: it is used where it is there. Without
    ``follow`` faces are looked for in every frame.
    """

    def detect(self, image: UInt8) -> Iterable[Detection]:
        """All faces of an RGB picture (H, W, 3), in any order.

        Boxes alone do, ``Detection(box)``, as do points alone, ``Detection.at(points)``.
        """
        ...


class Detector(Protocol):
    """Finds faces in one picture; keeps nothing from one picture to the next.

    It may be called in other threads than the one that made it, but never in two at the same time.

    A user's own needs ``detect`` only (:class:`DetectsFaces`), and ``close`` is the user's to call
    (:mod:`affectkit.faces.user_detector`).
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


@runtime_checkable
class HasMinScore(Protocol):
    """A detector whose scores have a meaning of their own."""

    min_score: float
    """The score that a face needs to begin a track; of a detector without it .9."""


@runtime_checkable
class FollowsInPictures(Protocol):
    """A detector that takes from a picture only what it needs."""

    def follow_picture(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection | None]:
        """What ``follow`` does, so that a frame in which faces are only followed need not be turned into RGB."""
        ...


@runtime_checkable
class DetectsInRegions(Protocol):
    """A detector that can search a part of a picture: for new faces, where it has changed, while nothing happens.

    All of its methods may be called in several threads at the same time.
    """

    def detect_in(self, image: UInt8, region: tuple[int, int, int, int]) -> list[Detection]:
        """What ``detect`` does, in a part of the picture: left, top, right, bottom, px."""
        ...


@runtime_checkable
class DetectsLargeFaces(Protocol):
    """A detector that can leave small faces out of a search, which makes it cheaper.

    It is asked for faces that are lost, and for any while none is known; without it the whole picture is searched then,
    in every frame. It may be called in several threads at the same time.
    """

    def detect_large_in(self, image: UInt8, region: tuple[int, int, int, int], smallest_px: float) -> list[Detection]:
        """What ``detect`` does, in a part of the picture, for faces of about ``smallest_px`` and more.

        Args:
            image: RGB (H, W, 3), the whole picture.
            region: left, top, right, bottom, px.
            smallest_px: longer side of their boxes; smaller ones may be among the answers.
        """
        ...


@runtime_checkable
class DetectsFaintFaces(Protocol):
    """A detector that can look harder at a picture in which it found nothing: dark, hazy, or of faces half in shade.

    It is asked for pictures by themselves, and where all faces of a frame are detected and there is none.
    """

    def detect_faint(self, image: UInt8, smallest_px: float = 0) -> list[Detection]:
        """What ``detect`` does, for more time, finding faces that it overlooks.

        Args:
            image: RGB (H, W, 3).
            smallest_px: longer side of their boxes from which on they are looked for; 0: as ``detect`` does.
        """
        ...


@runtime_checkable
class SettlesPoints(Protocol):
    """A detector with which a detection only confirms the faces that are followed.

    Their points are those of ``follow`` then, and do not jump whenever faces are detected.
    """

    def settle(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Detected faces, as many, with their points where ``follow`` would have them after some frames."""
        ...
