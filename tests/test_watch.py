"""Lost faces, and any where none is known, are looked for without a search of the whole picture in each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from affectkit.faces.boxes import iou
from affectkit.faces.opening import OpenedMtcnn
from affectkit.faces.schedule import EMPTY
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.faces.watch import SMALLEST_SHARE, Watch, smallest_px
from affectkit.picture import RgbPicture
from affectkit.runs.state import pack, unpack
from affectkit.sources.opening import open_source
from affectkit.types import Detection, Frame, UInt8

Place = tuple[float, float, float]
"""x, y, side, px."""

Region = tuple[int, int, int, int]

WIDTH, HEIGHT = 640, 360


class Seen:
    """A detector of squares that a function of the frame's number gives; it notes what it was asked."""

    def __init__(self, places: Callable[[int], list[Place]]) -> None:
        self._places = places
        self.detections: list[int] = []
        self.parts: list[tuple[int, Region]] = []
        """Frames and regions of searches for new faces."""
        self.looks: list[tuple[int, Region, float]] = []

    def _all(self, image: UInt8) -> list[Detection]:
        return [
            Detection((x, y, side, side), 0.99, np.full((5, 2), (x + side / 2, y + side / 2), np.float32))
            for x, y, side in self._places(int(image[0, 0, 0]))
        ]

    def detect(self, image: UInt8) -> list[Detection]:
        self.detections.append(int(image[0, 0, 0]))
        return self._all(image)

    def detect_in(self, image: UInt8, region: Region) -> list[Detection]:
        self.parts.append((int(image[0, 0, 0]), region))
        return self._in(image, region, 0)

    def detect_large_in(self, image: UInt8, region: Region, smallest_px: float) -> list[Detection]:
        self.looks.append((int(image[0, 0, 0]), region, smallest_px))
        return self._in(image, region, smallest_px)

    def _in(self, image: UInt8, region: Region, smallest_px: float) -> list[Detection]:
        left, top, right, bottom = region
        return [
            face
            for face in self._all(image)
            if left <= face.box[0] and face.box[0] + face.box[2] <= right
            if top <= face.box[1] and face.box[1] + face.box[3] <= bottom
            if face.box[2] >= smallest_px
        ]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        now = self._all(image)
        return [next((face for face in now if iou(face.box, old.box) > 0.3), None) for old in faces]

    def close(self) -> None:
        pass


def frame(number: int, places: Sequence[Place] = (), level: int = 60) -> Frame:
    """A picture with its number in the first pixel, and something where the faces are."""
    image = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    for k, (x, y, side) in enumerate(places):
        part = image[int(y) : int(y + side), int(x) : int(x + side)]
        part[:] = (np.arange(part.shape[1]) * (7 + 4 * k) % 120 + 80).astype(np.uint8)[None, :, None]
    image[0, 0] = number
    return Frame(number, number / 25, RgbPicture(image), "clip")


def run(detector: Seen, frames: range, tracker: Tracker | None = None, **settings: object) -> list[list[int]]:
    tracker = tracker or Tracker(detector, TrackingConfig(**settings))  # type: ignore[arg-type]
    return [[f.track_id for f in tracker.update(frame(i, detector._places(i))).faces] for i in frames]


def test_a_face_that_turns_away_is_looked_for_where_it_was() -> None:
    other, turning = (80.0, 90.0, 60.0), (400.0, 120.0, 80.0)
    detector = Seen(lambda i: [other] if 40 <= i < 70 else [other, turning])
    seen = run(detector, range(100))
    assert seen[39] == [0, 1] and seen[40] == [0] and seen[69] == [0]
    assert seen[71] == [0, 1], "found again two frames later at most"
    assert [i for i in detector.detections if 40 <= i < 71] == [], "and the whole picture is not searched for it"
    looks = [(i, region) for i, region, smallest in detector.looks if smallest == 40.0]
    assert [i for i, _ in looks] == list(range(40, 71, 2))
    assert {region for _, region in looks} == {(320, 40, 561, 281)}, "a face more on every side"


def test_faces_are_looked_for_whatever_numbers_the_frames_have() -> None:
    """Every second frame of a file, from an odd one on."""
    other, turning = (80.0, 90.0, 60.0), (400.0, 120.0, 80.0)
    detector = Seen(lambda i: [other] if 41 <= i < 71 else [other, turning])
    seen = run(detector, range(1, 101, 2))
    assert seen[20] == [0] and seen[36] == [0, 1]
    assert [i for i, _, smallest in detector.looks if smallest == 40.0] == list(range(41, 72, 2))


def test_while_no_face_is_known_only_large_ones_are_looked_for_in_each_frame() -> None:
    """And only where the picture has changed; it is searched for all every six frames, then every half second."""
    walks_in = (300.0, 100.0, 60.0)
    detector = Seen(lambda i: [walks_in] if i >= 90 else [])
    seen = run(detector, range(100))
    assert seen[89] == [] and seen[90] == [0], "at once"
    still = [(i, region) for i, region, _ in detector.looks if 2 <= i < 90]
    # The first pixel, which counts frames, makes its cell change now and then.
    assert all(region[2] <= 40 and region[3] <= 40 for _, region in still)
    often = [i for i in detector.detections if i < 90]
    assert often[: EMPTY + 1] == [0, 6, 12, 18] and len(often) == EMPTY + 1
    assert [i for i, _ in detector.parts] == [70], "the whole picture, two seconds after the last detection"


def test_a_small_face_is_found_by_the_next_detection() -> None:
    small = (300.0, 100.0, 22.0)
    assert smallest_px((0, 0, WIDTH, HEIGHT)) == pytest.approx(28, abs=0.3)
    assert smallest_px((0, 0, 1280, 720)) == pytest.approx(56, abs=0.6)
    detector = Seen(lambda i: [small] if i >= 8 else [])
    tracker = Tracker(detector)
    # The whole picture changes from frame to frame, as where the camera pans.
    seen = [
        [f.track_id for f in tracker.update(frame(i, detector._places(i), 60 + 8 * (i % 2))).faces] for i in range(14)
    ]
    assert seen[8:12] == [[]] * 4 and seen[12] == [0]
    wanted = SMALLEST_SHARE * np.sqrt(WIDTH * HEIGHT)
    assert {round(smallest, 6) for i, _, smallest in detector.looks if i} == {round(float(wanted), 6)}


@pytest.mark.parametrize("every", [1, 6])
def test_who_asks_for_detections_gets_them(every: int) -> None:
    """While a face is lost in so many frames, and while none is known in each."""
    other, turning = (80.0, 90.0, 60.0), (400.0, 120.0, 80.0)
    detector = Seen(lambda i: [] if i < 5 else [other, turning] if i < 20 else [other])
    run(detector, range(60), detect_every=every, settled_s=0)
    assert detector.detections[:6] == list(range(6)) and not detector.looks
    assert [i for i in detector.detections if i > 20] == list(range(20 + every, 60, every))


def test_what_is_known_is_not_found_again() -> None:
    known, come = (300.0, 100.0, 60.0), (345.0, 150.0, 60.0)
    detector = Seen(lambda i: [known, come])
    watch, boxes = Watch(TrackingConfig(), detector), [(300.0, 100.0, 60.0, 60.0)]
    look = watch.look(frame(0, [known, come]).picture, 0, 0.0, boxes, [(340.0, 100.0, 60.0, 60.0)])
    assert look is not None and [face.box for face in look.found()] == [(345.0, 150.0, 60.0, 60.0)]
    assert watch.look(frame(1, [known]).picture, 1, 0.04, boxes, []) is None, "not in this frame"


def test_no_more_faces_are_looked_for_where_there_are_enough() -> None:
    large, other = (80.0, 90.0, 90.0), (400.0, 120.0, 60.0)
    detector = Seen(lambda i: [large, other] if i < 30 else [large])
    seen = run(detector, range(60), max_faces=1)
    assert seen == [[0]] * 60
    assert not detector.looks


def test_who_may_be_a_lost_face_is_looked_at_again() -> None:
    """A face beside where one was lost, half hidden, gets an id of its own after a moment, and no whole search."""
    one = (300.0, 100.0, 80.0)
    beside = (360.0, 110.0, 80.0)
    detector = Seen(lambda i: [one] if i < 30 else [beside])
    tracker = Tracker(detector)
    seen = []
    for i in range(60):
        # Two thirds of the second look otherwise than the first did.
        image = frame(i, detector._places(i)).image.copy()
        if i >= 30:
            image[110:164, 360:440] = image[110:190, 360:414].transpose(1, 0, 2)
        seen.append([f.track_id for f in tracker.update(Frame(i, i / 25, RgbPicture(image), "clip")).faces])
    assert seen[29] == [0] and seen[-1] == [1]
    first = seen.index([1])
    assert 30 < first <= 30 + 0.8 * 25 + 2
    assert len([i for i in detector.detections if i >= 30]) <= 1 + (first - 30) // 6 + 3


def test_a_doubtful_face_that_is_gone_is_not_looked_for_any_more() -> None:
    """One that is tentative is looked at again; when it has gone only the lost face's own place is."""
    one, beside = (300.0, 100.0, 80.0), (360.0, 110.0, 80.0)
    detector = Seen(lambda i: [one] if i < 30 else [beside] if i < 33 else [])
    tracker = Tracker(detector)
    for i in range(60):
        image = frame(i, detector._places(i)).image.copy()
        if 30 <= i < 33:
            image[110:164, 360:440] = image[110:190, 360:414].transpose(1, 0, 2)
        tracker.update(Frame(i, i / 25, RgbPicture(image), "clip"))
    at = (280, 30, 521, 271)  # around the doubtful one, a face more on every side
    assert {i for i, region, _ in detector.looks if region == at} == {32, 33}, "31 was searched whole"


def test_watching_goes_on_from_its_state() -> None:
    walks_in, other = (300.0, 100.0, 60.0), (80.0, 90.0, 60.0)
    detector = Seen(lambda i: ([walks_in] if 30 <= i < 60 or i >= 80 else []) + ([other] if 50 <= i < 90 else []))
    whole = run(detector, range(110))
    for stop in (10, 29, 65, 95):
        first, second = Tracker(detector), Tracker(detector)
        start = run(detector, range(stop + 1), first)
        state = first.state_at(stop)
        assert state is not None
        second.restore(unpack(pack(state), "here"))
        before = len(detector.looks)
        assert start + run(detector, range(stop + 1, 110), second) == whole
        again = detector.looks[before:]
        reference = Seen(detector._places)
        run(reference, range(110))
        assert again == [look for look in reference.looks if look[0] > stop], "looked at the same places"


@pytest.mark.slow
def test_a_real_face_is_found_again(astronaut: Path) -> None:
    """One that appears, and one that is covered for a second: seen at once, and few searches of the whole picture."""
    searched: list[int] = []

    class Counted(OpenedMtcnn):
        def detect(self, image: UInt8) -> list[Detection]:
            searched.append(1)
            return super().detect(image)

    detector = Counted()
    try:
        shown = next(open_source(astronaut).frames()).image
        ((x, y, w, h),) = (face.box for face in detector.detect(shown))
        covered = shown.copy()
        covered[max(0, int(y - 0.3 * h)) : int(y + 1.3 * h), max(0, int(x - 0.3 * w)) : int(x + 1.3 * w)] = 90
        assert not detector.detect(covered)
        searched.clear()
        tracker = Tracker(detector)
        pictures = [RgbPicture(covered if i < 20 or 40 <= i < 60 else shown) for i in range(75)]
        seen = [len(tracker.update(Frame(i, i / 25, one, "clip")).faces) for i, one in enumerate(pictures)]
    finally:
        detector.close()
    assert not any(seen[:20]) and all(seen[20:40]) and not any(seen[40:60]) and all(seen[60:])
    assert len(searched) <= 12
