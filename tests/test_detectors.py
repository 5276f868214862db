"""What every face detector promises (affectkit/faces/base.py), whoever wrote it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectkit import Predictor
from affectkit.faces.boxes import iou
from affectkit.faces.user_detector import OwnDetector
from affectkit.picture import RgbPicture
from affectkit.sources.opening import open_source
from affectkit.types import Detection, UInt8

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

SQUARE_PX = 64
"""Side of the bright square that stands for a face, where no face will do."""


class Squares:
    """A user's detector that finds the bounding box of what is bright, and nothing else."""

    def detect(self, image: UInt8) -> list[Detection]:
        rows, columns = (np.flatnonzero(image.max((axis, 2)) > 200) for axis in (1, 0))
        if not len(rows):
            return []
        box = (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
        return [Detection(tuple(map(float, box)), 0.95)]  # type: ignore[arg-type]


class CapableSquares(Squares):
    """The same with every optional method."""

    min_score = 0.5

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        found = self.detect(image)
        return [next((one for one in found if iou(one.box, face.box) > 0.3), None) for face in faces]

    def detect_in(self, image: UInt8, region: tuple[int, int, int, int]) -> list[Detection]:
        left, top, right, bottom = region
        seen = np.zeros_like(image)
        seen[top:bottom, left:right] = image[top:bottom, left:right]
        return self.detect(seen)

    def detect_large_in(self, image: UInt8, region: tuple[int, int, int, int], smallest_px: float) -> list[Detection]:
        return [face for face in self.detect_in(image, region) if max(face.box[2:]) >= smallest_px]

    def detect_faint(self, image: UInt8, smallest_px: float = 0) -> list[Detection]:
        return [face for face in self.detect(image) if max(face.box[2:]) >= smallest_px]

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Case:
    """A detector, and a picture with one face for it."""

    detector: Any
    image: UInt8
    box: tuple[float, float, float, float]
    """Where the face is: x, y, width, height."""
    following: UInt8 | None = None
    """The picture after it, where the same one will not do."""
    tolerance: float = 0.6
    """IoU with the box that will do."""

    @property
    def next_image(self) -> UInt8:
        """In which the face is followed."""
        return self.image if self.following is None else self.following


def _square(corner: int = 256, side: int = SQUARE_PX) -> UInt8:
    image = np.zeros((640, 640, 3), np.uint8)
    image[corner : corner + side, corner : corner + side] = 255
    return image


def _mtcnn(tmp: Path, tiny: Path, astronaut: Path) -> Iterator[Case]:
    image = next(iter(open_source(astronaut).frames())).image
    with Predictor(tiny, detector="mtcnn", threads=1) as predictor:
        yield Case(predictor.detector, image, (271.6, 105.6, 95.3, 124.8))


def _insightface(tmp: Path, tiny: Path, astronaut: Path) -> Iterator[Case]:
    pytest.importorskip("insightface", reason="pip install --no-deps insightface")
    from make_tiny_scrfd import write

    write(tmp / "det_squares.onnx")
    with Predictor(tiny, detector=f"insightface:{tmp}", threads=1) as predictor:
        # It takes a bright cell of 32 px for the upper left part of a face.
        # A followed face's surroundings are seen smaller, and the network knows one size only.
        yield Case(predictor.detector, _square(side=32), (256 - 64, 256 - 64, 128, 160), _square(224, 128))


def _users(tmp: Path, tiny: Path, astronaut: Path) -> Iterator[Case]:
    yield Case(OwnDetector(Squares()), _square(), (256, 256, SQUARE_PX, SQUARE_PX))


def _users_capable(tmp: Path, tiny: Path, astronaut: Path) -> Iterator[Case]:
    yield Case(OwnDetector(CapableSquares()), _square(), (256, 256, SQUARE_PX, SQUARE_PX))


DETECTORS: dict[str, Callable[[Path, Path, Path], Iterator[Case]]] = {
    "mtcnn": _mtcnn,
    "insightface": _insightface,
    "a user's": _users,
    "a user's with all methods": _users_capable,
}


@pytest.fixture(scope="module", params=list(DETECTORS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Iterator[Case]:
    tiny = Path(__file__).parent / "data" / "tiny"
    yield from DETECTORS[request.param](tmp_path_factory.mktemp("detector"), tiny, astronaut)


def same(a: Sequence[Detection], b: Sequence[Detection]) -> bool:
    return len(a) == len(b) and all(
        x.box == y.box and x.score == y.score and np.array_equal(x.landmarks, y.landmarks)
        for x, y in zip(a, b, strict=True)
    )


def test_the_face_is_found_with_its_points_inside(case: Case) -> None:
    before = case.image.copy()
    (face,) = case.detector.detect(case.image)
    assert iou(face.box, case.box) >= case.tolerance and 0 <= face.score <= 1
    assert face.landmarks.shape == (5, 2) and face.landmarks.dtype == np.float32
    x, y, width, height = face.box
    inside = (face.landmarks - [x, y]) / [width, height]
    assert (inside > 0).all() and (inside < 1).all()
    left, right, nose, mouth_left, mouth_right = inside
    assert left[0] < right[0] and mouth_left[0] < mouth_right[0], "left is where it is seen on the left"
    assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
    assert np.array_equal(case.image, before), "the picture is the caller's"


def test_no_face_is_no_detection(case: Case) -> None:
    blank = np.zeros_like(case.image)
    assert case.detector.detect(blank) == [] and case.detector.follow(blank, []) == []


def test_nothing_is_kept_from_one_picture_to_the_next(case: Case) -> None:
    first = case.detector.detect(case.image)
    moved = np.roll(case.image, (8, 16), (0, 1))
    case.detector.detect(moved)
    case.detector.follow(moved, first)
    case.detector.detect(np.zeros_like(case.image))
    assert same(case.detector.detect(case.image), first)


def test_every_face_is_found_in_falling_order_of_score(case: Case) -> None:
    (face,) = case.detector.detect(case.image)
    beside = np.concatenate([case.image, case.image], axis=1)
    found = case.detector.detect(beside)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    if len(found) == 2:  # the user's of this file finds one thing in all
        ends = sorted(one.box[0] + one.box[2] / 2 for one in found)
        assert ends[1] - ends[0] == pytest.approx(case.image.shape[1], abs=face.box[2] / 2)


def test_a_face_is_followed_or_lost_and_each_has_its_entry(case: Case) -> None:
    (face,) = case.detector.detect(case.image)
    (again,) = case.detector.follow(case.next_image, [face])
    assert again is not None and iou(again.box, face.box) > 0.3
    assert again.landmarks.shape == (5, 2) and np.isfinite(again.landmarks).all()
    away = Detection((5000.0, 5000.0, 60.0, 60.0), 0.9)
    entries = case.detector.follow(case.next_image, [away, face])
    assert len(entries) == 2 and entries[0] is None and entries[1] is not None
    assert case.detector.follow(np.zeros_like(case.image), [face, face]) == [None, None]


def test_it_may_be_asked_in_another_thread(case: Case) -> None:
    found: list[list[Detection]] = []
    thread = threading.Thread(target=lambda: found.append(case.detector.detect(case.image)))
    thread.start()
    thread.join()
    assert same(found[0], case.detector.detect(case.image))


def test_a_part_of_the_picture_is_searched_as_the_whole_is(case: Case) -> None:
    if not hasattr(case.detector, "detect_in"):
        pytest.skip("this detector searches whole pictures only")
    height, width = case.image.shape[:2]
    (whole,) = case.detector.detect_in(case.image, (0, 0, width, height))
    assert iou(whole.box, case.box) >= case.tolerance
    x, y, side_x, side_y = case.box
    region = tuple(int(v) for v in (max(0, x - side_x), max(0, y - side_y), x + 2 * side_x, y + 2 * side_y))
    (part,) = case.detector.detect_in(case.image, region)
    assert iou(part.box, case.box) >= case.tolerance, "in pixels of the picture, not of the part"
    assert case.detector.detect_in(case.image, (0, 0, max(1, int(x)), height)) == []


def test_small_faces_are_left_out_of_a_search_for_large_ones(case: Case) -> None:
    if not hasattr(case.detector, "detect_large_in"):
        pytest.skip("this detector does not search for large faces alone")
    height, width = case.image.shape[:2]
    side = max(case.box[2:])
    (face,) = case.detector.detect_large_in(case.image, (0, 0, width, height), 0.5 * side)
    assert iou(face.box, case.box) >= case.tolerance
    assert case.detector.detect_large_in(case.image, (0, 0, width, height), 3 * side) == []


def test_a_second_look_finds_what_the_first_one_does(case: Case) -> None:
    if not hasattr(case.detector, "detect_faint"):
        pytest.skip("this detector has one way to look at a picture")
    (face,) = case.detector.detect_faint(case.image)
    assert iou(face.box, case.box) >= case.tolerance
    side = max(case.box[2:])
    (large,) = case.detector.detect_faint(case.image, 0.5 * side)
    assert iou(large.box, case.box) >= case.tolerance
    assert case.detector.detect_faint(case.image, 3 * side) == []
    assert case.detector.detect_faint(np.zeros_like(case.image)) == []


def test_a_picture_is_followed_in_as_its_pixels_are(case: Case) -> None:
    if not hasattr(case.detector, "follow_picture"):
        pytest.skip("this detector follows in RGB only")
    (face,) = case.detector.detect(case.image)
    of_picture = case.detector.follow_picture(RgbPicture(case.image), [face])
    assert same(of_picture, case.detector.follow(case.image, [face]))


def test_detected_points_settle_where_following_has_them(case: Case) -> None:
    if not hasattr(case.detector, "settle"):
        pytest.skip("this detector's points need no settling")
    (face,) = case.detector.detect(case.image)
    assert case.detector.settle(RgbPicture(case.image), []) == []
    (settled,) = case.detector.settle(RgbPicture(case.image), [face])
    followed = face
    for _ in range(10):
        (followed,) = case.detector.follow(case.image, [followed])
    eyes = float(np.linalg.norm(face.landmarks[1] - face.landmarks[0]))
    assert np.abs(settled.landmarks - followed.landmarks).max() < 0.03 * eyes


def test_a_still_face_keeps_one_identity(case: Case, tiny: Path) -> None:
    with Predictor(tiny, detector=case.detector, threads=1) as predictor:
        results = list(predictor.stream([case.image] * 6, fps=25))
    assert [[face.track_id for face in result.faces] for result in results] == [[0]] * 6
