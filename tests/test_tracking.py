"""What the tracker makes of scenes whose people, looks and movements are known: who is half hidden, gone, or alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from affectkit.faces.boxes import iou
from affectkit.faces.changes import ChangeDetector
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.picture import RgbPicture
from affectkit.types import Array, Detection, Frame, UInt8

SIZE = 40
"""Side of a face, px."""

FLAT = np.zeros(0)
"""The look of a face without features, which looks like any other."""


def person(number: int, *, like: float = 0.0, other: int = 0) -> Array:
    """(8, 8, 3) of mean 0: a look, whose correlation with that of another person is ``like``."""
    own = np.random.default_rng(number).normal(size=(8, 8, 3))
    own -= own.mean()
    others = [person(other)] if number != other else []
    for one in others:
        own -= (own * one).sum() / (one * one).sum() * one
    own /= np.sqrt((own * own).mean())
    return like * others[0] + np.sqrt(1 - like * like) * own if others else own


class Shown:
    """A face in a frame."""

    def __init__(self, x: float, y: float, look: Array = FLAT, *, size: int = SIZE) -> None:
        self.x, self.y, self.look, self.size = int(x), int(y), look, size

    @property
    def detection(self) -> Detection:
        points = np.array([[12, 15], [28, 15], [20, 24], [14, 31], [26, 31]], np.float32) * (self.size / SIZE)
        box = float(self.x), float(self.y), float(self.size), float(self.size)
        return Detection(box, 0.99, points + np.float32([self.x, self.y]))


Scene = Callable[[int], list[Shown]]
"""By number of the frame the faces that a detector finds there; the last ones are in front."""


class Seeing:
    """Finds the faces of a scene; ``follow`` answers, as O-Net does, with whatever face is nearest."""

    def __init__(self, scene: Scene, *, width: int = 480, height: int = 200) -> None:
        self._scene, self._shape = scene, (height, width, 3)
        self.now = 0

    def frame(self, number: int) -> Frame:
        image = np.full(self._shape, 90, np.uint8)
        for face in self._scene(number):
            if face.look.size:
                levels = np.clip(128 + 50 * face.look, 0, 255).astype(np.uint8)
                drawn = cv2.resize(levels, (face.size, face.size), interpolation=cv2.INTER_NEAREST)
                image[face.y : face.y + face.size, face.x : face.x + face.size] = drawn
        self.now = number
        return Frame(number, number / 25, RgbPicture(image), "clip")

    def detect(self, image: UInt8) -> list[Detection]:
        return [face.detection for face in self._scene(self.now)]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        now = self.detect(image)
        return [max(now, key=lambda d: iou(d.box, face.box), default=None) for face in faces]

    def close(self) -> None:
        """Nothing to free."""


def ids(scene: Scene, count: int, **settings: float) -> list[dict[int, int]]:
    """Of every frame the ids, by the left side of their boxes."""
    detector = Seeing(scene)
    tracker = Tracker(detector, TrackingConfig(**settings))  # type: ignore[arg-type]
    found = []
    for number in range(count):
        tracked = tracker.update(detector.frame(number))
        found.append({int(face.detection.box[0]): face.track_id for face in tracked.faces})
    return found


def test_a_lost_face_is_expected_further_on() -> None:
    """8 px a frame are 200 px a second; .6 s later it is 99 px, two and a half faces, ahead."""

    def scene(i: int) -> list[Shown]:
        return [Shown(10 + 8 * i, 60)] if i < 15 else [Shown(122 + 99, 60)] if i >= 29 else []

    assert ids(scene, 32)[-1] == {221: 0}


def test_a_lost_face_is_expected_to_slow_down() -> None:
    """2.8 s after, 560 px ahead at the same speed; but people turn and stop."""

    def scene(i: int) -> list[Shown]:
        return [Shown(10 + 8 * i, 60)] if i < 15 else [Shown(122 + 210, 60)] if i >= 84 else []

    assert ids(scene, 86)[-1] == {332: 0}


def test_one_odd_box_is_no_movement() -> None:
    """100 px a second, and in the last frame 6 px back: that alone would be 150 px a second the other way."""

    def scene(i: int) -> list[Shown]:
        x = 10 + 4 * i if i < 20 else 10 + 4 * 19 - 6
        return [Shown(x, 60)] if i <= 20 else [Shown(80 + 85, 60)] if i >= 60 else []

    assert ids(scene, 62)[-1] == {165: 0}


def test_what_is_half_hidden_teaches_no_movement() -> None:
    """While another face is in front of it, the box of what is left runs backwards; then it is hidden altogether."""

    def scene(i: int) -> list[Shown]:
        left = 20 + 4 * i if i < 20 else 96 - 8 * (i - 19)
        hidden = [Shown(left, 60)] if i <= 25 else []
        in_front = Shown(left if 20 <= i <= 25 else 90, 90 + max(0, 10 * (20 - i)))
        if i > 25:
            in_front = Shown(48 + 4 * (i - 25), 90 + 4 * (i - 25))
        return [*hidden, in_front] if i < 41 else [Shown(100, 40), Shown(300, 150)]

    found = ids(scene, 45)
    assert found[10] == {60: 0, 90: 1}
    assert found[-1][100] == 0


def test_what_is_half_hidden_teaches_no_appearance() -> None:
    """Half a second beside another face changes what is seen of a face; afterwards it looks as it did before."""
    own = person(1)
    changed = person(2, like=0.75, other=1)
    stranger = person(3, like=0.5, other=2)

    def scene(i: int) -> list[Shown]:
        beside = Shown(128, 60, person(7)) if 10 <= i < 50 else Shown(300, 120, person(7))
        return [Shown(100, 60, own if i < 10 or i >= 50 else changed), beside]

    found = ids(scene, 80)
    assert found[-1][100] == 0 and len({frame[100] for frame in found if 100 in frame}) == 1
    assert stranger.shape == own.shape


def test_a_look_that_changes_slowly_is_learned() -> None:
    first, last = person(1), person(2, like=-0.3, other=1)

    def scene(i: int) -> list[Shown]:
        share = min(1.0, i / 120)
        return [Shown(100, 60, (1 - share) * first + share * last)]

    assert ids(scene, 140) == [{100: 0}] * 140


def test_a_face_that_is_half_covered_stays_who_it_is() -> None:
    """As by a hand: it looks like no known face for a while, and no other has come."""
    own, covered = person(1), person(2, like=0.3, other=1)
    found = ids(lambda i: [Shown(100, 60, own if i < 12 or i >= 30 else covered)], 40)
    assert found == [{100: 0}] * 40


def test_somebody_who_steps_in_front_is_somebody_else() -> None:
    """At the same place, from one frame to the next."""
    found = ids(lambda i: [Shown(100, 60, person(1) if i < 12 else person(2, other=1))], 40)
    assert found[11] == {100: 0} and found[-1] == {100: 1}
    assert all(0 not in frame.values() for frame in found[12:]), "not even until faces are detected again"


@pytest.mark.parametrize(
    ("x", "like", "same"), [(100, 0.3, False), (100, 0.5, True), (165, 0.5, False), (165, 0.7, True)]
)
def test_who_comes_back_has_to_look_alike_the_more_the_further_away(x: int, like: float, same: bool) -> None:
    """A second later: .4 where it was, .6 beside."""

    def scene(i: int) -> list[Shown]:
        return (
            [Shown(100, 60, person(1))] if i < 12 else [Shown(x, 60, person(2, like=like, other=1))] if i >= 37 else []
        )

    assert ids(scene, 60)[-1] == {x: 0 if same else 1}


def test_nobody_comes_back_far_away_at_once() -> None:
    """Six faces in a fifth of a second, even where all look alike."""
    found = ids(lambda i: [Shown(20, 60)] if i < 10 else [Shown(260, 60)] if i >= 15 else [], 30)
    assert found[-1] == {260: 1}


def test_nobody_grows_to_three_times_the_size_at_once() -> None:
    found = ids(lambda i: [Shown(60, 60)] if i < 10 else [Shown(20, 20, size=120)] if i >= 12 else [], 30)
    assert found[-1] == {20: 1}


def test_of_two_lost_ones_that_look_alike_the_nearer_comes_back() -> None:
    """60 px from the one, 50 from the other."""

    def scene(i: int) -> list[Shown]:
        return [Shown(30, 60), Shown(140, 60)] if i < 10 else [Shown(90, 60)] if i >= 20 else []

    assert ids(scene, 24)[-1] == {90: 1}


def test_two_that_change_places_in_a_moment_are_told_by_their_looks() -> None:
    """Not by where they were: both are within reach, and a little alike."""
    one, two = person(1), person(2, like=0.25, other=1)

    def scene(i: int) -> list[Shown]:
        if 12 <= i < 16:
            return []
        return [Shown(100, 60, one), Shown(130, 100, two)] if i < 12 else [Shown(100, 60, two), Shown(130, 100, one)]

    found = ids(scene, 40)
    assert found[11] == {100: 0, 130: 1} and found[-1] == {100: 1, 130: 0}


def test_a_face_that_shows_again_half_hidden_gets_no_new_id() -> None:
    """Beside another face that may hide a part of it, for .8 s."""
    own, part, front = person(1), person(2, other=1), person(3, other=1)

    def scene(i: int) -> list[Shown]:
        if i < 10:
            return [Shown(100, 60, own), Shown(144, 60, front)]
        look = part if i < 14 + 15 else own
        return [Shown(144, 60, front)] if i < 14 else [Shown(100, 60, look), Shown(144, 60, front)]

    found = ids(scene, 50)
    assert all(set(frame.values()) <= {0, 1} for frame in found)
    assert found[20] == {144: 1} and found[-1] == {100: 0, 144: 1}


def test_two_on_one_face_are_told_apart() -> None:
    """One goes behind the other, and O-Net answers for both with the face in front."""
    front, behind = person(1), person(2, other=1)

    def scene(i: int) -> list[Shown]:
        x = 60 + 6 * i
        hidden = abs(x - 160) < 26
        return [Shown(160, 60, front)] if hidden else [Shown(x, 60, behind), Shown(160, 60, front)]

    found = ids(scene, 40)
    assert len(found[0]) == 2
    own, other = found[0][160], found[0][60]
    assert all(frame[160] == own and len(frame) <= 2 for frame in found)
    assert all(len(frame) == 1 for i, frame in enumerate(found) if abs(6 * i - 100) < 26)
    assert found[-1] == {160: own, 60 + 6 * 39: other}


def test_two_tracks_on_one_face_are_one() -> None:
    """Even where they look alike: the older one stays, and the other is lost until its face shows again."""

    def scene(i: int) -> list[Shown]:
        x = 60 + 6 * i
        return [Shown(160, 60)] if abs(x - 160) < 14 else [Shown(160, 60), Shown(x, 60)]

    detector = Seeing(scene)
    tracker = Tracker(detector)
    counts = [len(tracker.update(detector.frame(i)).faces) for i in range(40)]
    assert all(count == 1 for i, count in enumerate(counts) if len(scene(i)) == 1)
    assert counts[0] == counts[-1] == 2


def test_what_changed_where_a_known_face_was_is_no_news() -> None:
    """The picture is searched against what it was when the face was known to be there."""
    searched = ChangeDetector()
    image = np.full((90, 160, 3), 60, np.uint8)
    searched.changed(RgbPicture(image), [])
    lit = image.copy()
    lit[40:60, 110:130] = 200
    assert searched.changed(RgbPicture(lit), [(105.0, 35.0, 30.0, 30.0)]) is None
    assert searched.changed(RgbPicture(lit), []) is None
    assert searched.changed(RgbPicture(image), []) is not None
