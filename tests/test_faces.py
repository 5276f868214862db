"""MTCNN and the tracker."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectkit.engines import open_engine
from affectkit.faces.boxes import iou
from affectkit.faces.changes import ChangeDetector
from affectkit.faces.mtcnn import GREY, Mtcnn, cut_patches, nms
from affectkit.faces.opening import WEIGHTS as FACE_WEIGHTS
from affectkit.faces.tiled_search import pyramid
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.picture import RgbPicture
from affectkit.runs.state import pack, unpack
from affectkit.sources.opening import open_source
from affectkit.sources.stills import read_image
from affectkit.types import Detection, Frame, UInt8


@pytest.fixture(scope="module")
def mtcnn() -> Mtcnn:
    return Mtcnn(*(open_engine(FACE_WEIGHTS / f"{n}.onnx", device="cpu").run for n in ("pnet", "rnet", "onet")))


def test_finds_the_face_and_its_points(mtcnn: Mtcnn, astronaut: Path, astronaut_points: np.ndarray) -> None:
    for frame in open_source(astronaut).frames(every=20):
        truth = astronaut_points[frame.index]
        (face,) = mtcnn.detect(frame.image)
        distance = np.linalg.norm(truth[1] - truth[0])
        assert np.linalg.norm(face.landmarks - truth, axis=1).mean() < 0.06 * distance
        x, y, width, height = face.box
        assert ((truth > (x, y)) & (truth < (x + width, y + height))).all()
        assert face.score > 0.95


def test_follow_refines_a_shifted_box(mtcnn: Mtcnn, astronaut: Path) -> None:
    frames = list(open_source(astronaut).frames())
    (before,) = mtcnn.detect(frames[40].image)
    (after,) = mtcnn.follow(frames[42].image, [before])
    (fresh,) = mtcnn.detect(frames[42].image)
    assert after is not None and iou(after.box, fresh.box) > 0.7
    assert np.linalg.norm(after.landmarks - fresh.landmarks, axis=1).mean() < 0.04 * fresh.box[2]
    away = Detection((500.0, 250.0, 90.0, 110.0), 1.0, before.landmarks)
    assert mtcnn.follow(frames[42].image, [away]) == [None]
    assert mtcnn.follow(frames[42].image, []) == []


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (19, 19), (64, 64), (30, 2000)])
def test_pictures_without_faces_and_of_odd_sizes(mtcnn: Mtcnn, shape: tuple[int, int]) -> None:
    assert mtcnn.detect(np.full((*shape, 3), 120, np.uint8)) == []


def test_face_over_the_border_of_the_picture(mtcnn: Mtcnn, astronaut: Path) -> None:
    image = next(iter(open_source(astronaut).frames())).image
    (whole,) = mtcnn.detect(image)
    cut = np.ascontiguousarray(image[:, int(whole.box[0]) + 12 :])
    (found,) = mtcnn.detect(cut)
    assert found.box[0] < 5


def test_pyramid_counts_scales_as_the_original_does() -> None:
    # ln(360 / 12) / ln(1 / .709) - 1 = 8.89
    assert pyramid(360, 640, 20) == pytest.approx([0.6 * 0.709**i for i in range(9)])
    assert pyramid(10, 640, 20) == []
    for smallest in (12, 20, 24, 40, 100, 300):  # every level holds at least one window
        for side in range(smallest, 1100, 7):
            assert all(int(side * scale) >= 12 for scale in pyramid(side, side, smallest))


@pytest.mark.parametrize("smallest", [12, 24, 60, 90])
def test_any_smallest_face(smallest: int, astronaut: Path) -> None:
    networks = (open_engine(FACE_WEIGHTS / f"{n}.onnx", device="cpu").run for n in ("pnet", "rnet", "onet"))
    detector = Mtcnn(*networks, min_face_px=smallest)
    image = next(iter(open_source(astronaut).frames())).image
    assert len(detector.detect(image)) == 1
    assert detector.detect(image[:100, :100]) == []


def test_nms_by_hand() -> None:
    boxes = np.array([[0, 0, 9, 9], [5, 0, 14, 9], [0, 0, 4, 4], [100, 100, 109, 109]], float)
    scores = np.array([0.8, 0.9, 0.7, 0.1])
    # 0 and 1 share 50 of 150 px; 2 lies within 0, sharing 25 of 100
    assert nms(boxes, scores, 0.5).tolist() == [1, 0, 2, 3]
    assert nms(boxes, scores, 0.3).tolist() == [1, 2, 3]
    assert nms(boxes, scores, 0.5, over_smaller=True).tolist() == [1, 0, 3]
    assert nms(np.empty((0, 4)), np.empty(0), 0.5).tolist() == []


def test_patches_are_grey_outside_the_picture() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    patch = cut_patches(RgbPicture(image), np.array([[-24.0, -24.0, 23.0, 23.0]]), 48)[0]
    assert (patch[:20, :20] == GREY).all() and (patch[30:, 30:] == 0).all()


@pytest.mark.slow
def test_agrees_with_the_original(mtcnn: Mtcnn, shared: Path) -> None:
    """At least 97 % of the original's faces at IoU >= .8 with points within 4 %; at most 2 that neither knows."""
    expected = json.loads((shared / "clips" / "expected.json").read_text())
    wanted = good = unknown = 0
    for name, answers in expected.items():
        if name.endswith((".jpg", ".png")):
            pictures = {"0": read_image(shared / "clips" / name)}
            answers = {"0": answers}
        else:
            frames = open_source(shared / "clips" / name).frames(every=12)
            pictures = {str(f.index): f.image for f in frames if str(f.index) in answers}
        for key, image in pictures.items():
            found = mtcnn.detect(image)
            known = [tuple(e["box_xywh"]) for e in answers[key]["mtcnn"]]
            for x0, y0, x1, y1 in (e["box"] for e in answers[key].get("mesh", [])):
                known.append((x0, y0, x1 - x0, y1 - y0))
            for want in answers[key]["mtcnn"]:
                if want["score"] < 0.95:
                    continue
                wanted += 1
                best = max(found, key=lambda d: iou(d.box, tuple(want["box_xywh"])), default=None)
                if best is not None:
                    error = np.linalg.norm(best.landmarks - np.array(want["landmark5"]), axis=1).mean()
                    overlap = iou(best.box, tuple(want["box_xywh"]))
                    good += overlap >= 0.8 and error <= 0.04 * want["box_xywh"][2]
            unknown += sum(all(iou(d.box, k) < 0.4 for k in known) for d in found)
    assert wanted >= 40
    assert good >= 0.97 * wanted
    assert unknown <= 2


class Scripted:
    """A detector whose faces are given by a function of the frame's number, which the first pixel holds."""

    def __init__(self, faces: Callable[[int], list[tuple[float, float]]], *, follows: bool = True) -> None:
        self._faces, self._follows = faces, follows
        self.detections: list[int] = []

    def _all(self, image: UInt8) -> list[Detection]:
        return [detection(*place) for place in self._faces(int(image[0, 0, 0]))]

    def detect(self, image: UInt8) -> list[Detection]:
        self.detections.append(int(image[0, 0, 0]))
        return self._all(image)

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        now = self._all(image) if self._follows else []
        return [next((d for d in now if iou(d.box, face.box) > 0.3), None) for face in faces]

    def close(self) -> None:
        """Nothing to free."""


def detection(x: float, y: float, score: float = 0.99, size: float = 40) -> Detection:
    return Detection((x, y, size, size), score, np.zeros((5, 2), np.float32))


def picture(number: int, level: int = 0) -> Frame:
    image = np.full((90, 160, 3), level, np.uint8)
    image[0, 0] = number
    return Frame(number, number / 25, RgbPicture(image), "clip")


def ids(tracker: Tracker, count: int, level: Callable[[int], int] = lambda _: 0) -> list[list[int]]:
    return [[f.track_id for f in tracker.update(picture(i, level(i))).faces] for i in range(count)]


def test_detects_every_kth_frame_and_follows_in_between() -> None:
    detector = Scripted(lambda i: [(10 + i, 10)])
    assert ids(Tracker(detector, TrackingConfig(detect_every=6, settled_s=0)), 20) == [[0]] * 20
    assert detector.detections == [0, 6, 12, 18]


def test_detects_seldom_while_nothing_happens_and_often_when_something_does() -> None:
    """25 pictures a second, and half a second is 12.5 of them."""
    detector = Scripted(lambda i: [(10, 10)] if i < 60 else [(10, 10), (110, 40)] if i < 75 else [(10, 10)])
    seen = ids(Tracker(detector, TrackingConfig(detect_every=6)), 100)
    assert detector.detections[:6] == [0, 6, 19, 32, 45, 58]
    assert seen[70] == [0] and seen[71] == [0, 1], "who comes in is seen half a second later at most"
    assert detector.detections[6:8] == [71, 75], "at once when a face is gone"
    after = [b - a for a, b in zip(detector.detections[7:], detector.detections[8:], strict=False)]
    assert set(after) <= {1, 6}, "who is gone may come back"


class Looking(Scripted):
    """Notes which parts it was asked to look at."""

    def __init__(self, faces: Callable[[int], list[tuple[float, float]]]) -> None:
        super().__init__(faces)
        self.looks: list[tuple[int, tuple[int, int, int, int]]] = []

    def detect_in(self, image: UInt8, region: tuple[int, int, int, int]) -> list[Detection]:
        self.looks.append((int(image[0, 0, 0]), region))
        left, top, right, bottom = region
        return [d for d in self._all(image) if left <= d.box[0] <= right and top <= d.box[1] <= bottom]


def test_while_nothing_happens_only_what_has_changed_is_searched() -> None:
    """25 pictures a second: a look every 13, the whole picture after 50. Nothing moves."""
    detector = Looking(lambda i: [(30, 10)])
    assert ids(Tracker(detector, TrackingConfig(detect_every=6)), 111) == [[0]] * 111
    assert detector.detections == [0, 6]
    whole = (0, 0, 160, 90)
    # The pixel that counts frames has changed enough for its cell by then.
    assert detector.looks == [(58, whole), (71, (0, 0, 9, 9)), (110, whole)]


def test_somebody_who_comes_in_is_found_by_the_change() -> None:
    detector = Looking(lambda i: [(10, 10)] if i < 30 else [(10, 10), (110, 40)])
    tracker = Tracker(detector, TrackingConfig(detect_every=6))
    seen = []
    for i in range(60):
        image = np.full((90, 160, 3), 60, np.uint8)
        if i >= 30:
            image[40:80, 110:150] = 160
        image[0, 0] = i
        seen.append([f.track_id for f in tracker.update(Frame(i, i / 25, RgbPicture(image), "clip")).faces])
    assert seen[37] == [0] and seen[38] == [0, 1], "six frames after the search that saw a face"
    ((number, (left, top, right, bottom)),) = detector.looks[:1]
    assert number == 32 and 90 < left < 110 < 150 < right <= 160 and 25 < top < 40 < 80 < bottom <= 90
    assert 38 in detector.detections, "then the whole picture is searched"


def test_somebody_who_fades_in_is_noticed_in_the_end() -> None:
    """Two grey levels a look are less than counts as a change; what they come to is not."""
    searched, seen = ChangeDetector(), []
    for step in range(6):
        image = np.full((90, 160, 3), 60, np.uint8)
        image[40:80, 110:150] += 2 * step
        seen.append(searched.changed(RgbPicture(image), []))
    assert seen[0] == (0, 0, 160, 90) and seen[1:3] == [None, None]
    (region,) = [region for region in seen[3:] if region is not None]
    left, top, right, bottom = region
    assert left < 110 < 150 < right and top < 40 < 80 < bottom
    moved = np.full((90, 160, 3), 60, np.uint8)
    moved[40:80, 110:150] = 200
    assert searched.changed(RgbPicture(moved), [(105.0, 35.0, 50.0, 50.0)]) is None, "a known face may move"


@pytest.mark.slow
def test_a_look_sees_the_picture_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app may put every frame into the same memory."""
    slow = threading.Event()

    class Late(Looking):
        def detect_in(self, image: UInt8, region: tuple[int, int, int, int]) -> list[Detection]:
            slow.wait(10)
            return super().detect_in(image, region)

    def run(pool: ThreadPoolExecutor | None) -> list[tuple[int, tuple[int, int, int, int]]]:
        detector = Late(lambda i: [(30, 10)])
        tracker = Tracker(detector, TrackingConfig(detect_every=6), pool=pool)
        image = np.full((90, 160, 3), 60, np.uint8)
        for i in range(75):
            if i == 69:
                slow.set()
            image[60:80] = 60 + i
            image[0, 0] = i
            tracker.update(Frame(i, i / 25, RgbPicture(image), "camera"))
        if pool is not None:
            pool.shutdown()  # the last search is not waited for
        return detector.looks

    slow.set()
    plain = run(None)
    slow.clear()
    with ThreadPoolExecutor(1) as pool:
        releases = threading.Timer(2, slow.set)
        releases.start()
        assert run(pool) == plain and plain
        releases.cancel()


def test_detects_at_once_when_a_face_is_lost_or_none_is_there() -> None:
    detector = Scripted(lambda i: [] if i < 3 else [(10, 10)] if i < 8 else [(80, 40)])
    assert ids(Tracker(detector, TrackingConfig(detect_every=6)), 12) == [[]] * 3 + [[0]] * 5 + [[1]] * 4
    assert detector.detections[:4] == [0, 1, 2, 3] and 8 in detector.detections


def test_frames_left_out_count_as_distance() -> None:
    detector = Scripted(lambda i: [(10 + i, 10)])
    tracker = Tracker(detector, TrackingConfig(detect_every=6, settled_s=0))
    assert [[f.track_id for f in tracker.update(picture(i)).faces] for i in range(0, 60, 4)] == [[0]] * 15
    assert detector.detections == [0, 8, 16, 24, 32, 40, 48, 56]


def test_two_faces_passing_keep_their_ids() -> None:
    detector = Scripted(lambda i: [(5 + 3 * i, 5), (110 - 3 * i, 48)])
    found = ids(Tracker(detector), 30)
    assert all(sorted(frame) == [0, 1] for frame in found)


def test_a_face_comes_back_under_its_id_but_not_for_ever() -> None:
    def faces(i: int) -> list[tuple[float, float]]:
        return [] if 5 <= i < 10 or 20 <= i < 60 else [(30, 30)]

    found = ids(Tracker(Scripted(faces), TrackingConfig(max_lost_s=0.6)), 70)
    assert found[12] == [0] and found[65] == [1]


def test_a_cut_begins_new_identities() -> None:
    detector = Scripted(lambda i: [(30, 30)])
    found = ids(Tracker(detector), 10, level=lambda i: 0 if i < 5 else 200)
    assert found == [[0]] * 5 + [[1]] * 5
    assert 5 in detector.detections


def test_faint_faces_do_not_begin_a_track() -> None:
    class Faint(Scripted):
        def _all(self, image: UInt8) -> list[Detection]:
            return [detection(10, 10, score=0.85)]

    assert ids(Tracker(Faint(lambda i: [])), 5) == [[]] * 5


def test_max_faces_keeps_the_largest() -> None:
    class Sizes(Scripted):
        def _all(self, image: UInt8) -> list[Detection]:
            return [detection(0, 0, size=20), detection(60, 10, size=60), detection(120, 60, size=25)]

    found = ids(Tracker(Sizes(lambda i: []), TrackingConfig(max_faces=2)), 8)
    assert found == [[1, 2]] * 8


def test_reset_forgets_everything() -> None:
    tracker = Tracker(Scripted(lambda i: [(10 + i, 10)]))
    first = ids(tracker, 5)
    tracker.reset()
    assert ids(tracker, 5) == first


Places = Callable[[int], dict[int, tuple[float, float]]]
"""Frame -> person -> corner of the face; the last ones are in front."""


class Painted(Scripted):
    """Faces with looks of their own; one that is mostly hidden by another in front is not found.

    ``follow`` answers, as O-Net does, with whatever face is nearest.
    """

    def __init__(self, people: Places) -> None:
        super().__init__(lambda i: [])
        self._people = people

    def frame(self, i: int) -> Frame:
        image = np.full((160, 320, 3), 90, np.uint8)
        for person, (x, y) in self._people(i).items():
            texture = np.random.default_rng(person).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            face = cv2.resize(texture, (40, 40), interpolation=cv2.INTER_CUBIC)
            image[int(y) : int(y) + 40, int(x) : int(x) + 40] = face
        image[0, 0] = i % 256
        return Frame(i, i / 25, RgbPicture(image), "clip")

    def _all(self, image: UInt8) -> list[Detection]:
        people = list(self._people(int(image[0, 0, 0])).values())
        boxes = [(x, y, 40.0, 40.0) for x, y in people]
        return [
            detection(*place)
            for k, place in enumerate(people)
            if not any(iou(boxes[k], front) > 0.3 for front in boxes[k + 1 :])
        ]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        now = self._all(image)
        return [max(now, key=lambda d: iou(d.box, face.box), default=None) for face in faces]


def who(people: Places, count: int, **settings: float) -> dict[int, set[int]]:
    """Person -> ids that its faces had."""
    detector = Painted(people)
    tracker = Tracker(detector, TrackingConfig(**settings))  # type: ignore[arg-type]
    found: dict[int, set[int]] = {}
    for i in range(count):
        for face in tracker.update(detector.frame(i)).faces:
            x, y = face.detection.box[:2]
            person = min(people(i), key=lambda p: abs(people(i)[p][0] - x) + abs(people(i)[p][1] - y))
            found.setdefault(person, set()).add(face.track_id)
    return found


def test_faces_that_cross_keep_their_ids() -> None:
    assert who(lambda i: {1: (20 + 3 * i, 60), 2: (260 - 3 * i, 62)}, 80) == {1: {0}, 2: {1}}


def test_faces_that_meet_and_turn_back_keep_their_ids() -> None:
    def people(i: int) -> dict[int, tuple[float, float]]:
        away = abs(40 - i)
        return {1: (140 - 3 * away, 60), 2: (146 + 3 * away, 60)}

    assert who(people, 80) == {1: {0}, 2: {1}}


def test_a_face_that_is_hidden_while_it_moves_keeps_its_id() -> None:
    found = who(lambda i: {} if 20 <= i < 45 else {3: (20 + 3 * i, 60)}, 80)
    assert found == {3: {0}}


def test_somebody_else_in_the_same_place_has_another_id() -> None:
    found = who(lambda i: {1: (100, 60)} if i < 20 else {} if i < 30 else {2: (100, 60)}, 80)
    assert found == {1: {0}, 2: {1}}


def test_a_cut_back_to_the_same_shot_brings_the_ids_back() -> None:
    def people(i: int) -> dict[int, tuple[float, float]]:
        return {5: (120, 50)} if 20 <= i < 40 else {1: (30, 60), 2: (200, 70)}

    class Shots(Painted):
        def frame(self, i: int) -> Frame:
            frame = super().frame(i)
            if 20 <= i < 40:
                image = frame.image.copy()
                image[image == 90] = 240
                return Frame(i, i / 25, RgbPicture(image), "clip")
            return frame

    detector = Shots(people)
    tracker = Tracker(detector)
    found = [tracker.update(detector.frame(i)) for i in range(60)]
    assert [frame.frame.index for frame in found if frame.cut] == [20, 40]
    assert [{f.track_id for f in found[i].faces} for i in (10, 30, 50)] == [{0, 1}, {2}, {0, 1}]
    by_place = {f.track_id: f.detection.box[0] for f in found[50].faces}
    assert by_place == {0: 30, 1: 200}


def test_the_shot_that_comes_back_is_found_among_others() -> None:
    def level(i: int) -> int:
        return (10, 90, 170, 250)[i // 5 % 4]

    tracker = Tracker(Scripted(lambda i: [(10 + 30 * (i // 5 % 4), 30)]))
    found = [tracker.update(picture(i, level(i))) for i in range(60)]
    assert [frame.frame.index for frame in found if frame.cut] == list(range(5, 60, 5))
    assert [frame.faces[0].track_id for frame in found] == [i // 5 % 4 for i in range(60)]


def test_time_that_runs_backwards_is_a_cut() -> None:
    tracker = Tracker(Scripted(lambda i: [(10, 10)]))
    assert [tracker.update(picture(i)).cut for i in range(5)] == [False] * 5
    assert tracker.update(picture(2)).cut and not tracker.update(picture(3)).cut


def test_pictures_of_a_folder_are_each_looked_at() -> None:
    """The same backdrop, and another person beside from the second one on."""
    detector = Scripted(lambda i: [(10, 10)] if i == 0 else [(10, 10), (90, 40)])
    tracker = Tracker(detector)
    frames = [Frame(i, math.nan, picture(i).picture, f"{i}.png") for i in range(5)]
    assert [len(tracker.update(frame).faces) for frame in frames] == [1, 2, 2, 2, 2]


def test_a_new_size_is_a_new_shot() -> None:
    tracker = Tracker(Scripted(lambda i: [(10, 10)]))
    tracker.update(picture(0))
    large = Frame(1, 0.04, RgbPicture(np.full((180, 320, 3), 0, np.uint8)), "clip")
    assert tracker.update(large).cut


def test_tracking_goes_on_from_its_state() -> None:
    def people(i: int) -> dict[int, tuple[float, float]]:
        return {1: (20 + 3 * i, 60)} | ({} if 25 <= i < 45 else {2: (260 - 3 * i, 62)})

    detector = Painted(people)

    def ids_of(tracker: Tracker, frames: range) -> list[list[int]]:
        return [[f.track_id for f in tracker.update(detector.frame(i)).faces] for i in frames]

    whole = ids_of(Tracker(detector), range(80))
    for stop in (7, 26, 41):
        first, second = Tracker(detector), Tracker(detector)
        began = ids_of(first, range(stop + 1))
        state = first.state_at(stop)
        assert state is not None and first.state_at(stop - 30) is None
        second.restore(unpack(pack(state), "here"))
        assert began + ids_of(second, range(stop + 1, 80)) == whole


def test_iou_by_hand() -> None:
    assert iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert iou((0, 0, 10, 10), (20, 0, 10, 10)) == 0
    assert math.isclose(iou((1, 2, 3, 4), (1, 2, 3, 4)), 1)


@pytest.mark.slow
def test_real_clips_have_faces_where_they_are(mtcnn: Mtcnn, shared: Path) -> None:
    tracker = Tracker(mtcnn)
    found = {f.index: len(tracker.update(f).faces) for f in open_source(shared / "clips/noface_face.mov").frames()}
    assert not any(found[i] for i in range(96))
    assert sum(found[i] > 0 for i in range(100, 161)) >= 0.95 * 61


def test_detection_checks_its_points() -> None:
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        Detection((0, 0, 1, 1), 1.0, np.zeros((4, 2), np.float32))


def test_grey_pictures_are_refused(mtcnn: Mtcnn) -> None:
    grey = cv2.cvtColor(np.zeros((50, 50, 3), np.uint8), cv2.COLOR_RGB2GRAY)
    with pytest.raises(ValueError, match="repeat a grey image"):
        mtcnn.detect(np.asarray(grey, np.uint8))
