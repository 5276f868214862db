"""Detectors of users: with as little as a method that finds boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affectkit import Predictor
from affectkit.faces.user_detector import OwnDetector
from affectkit.types import Detection, UInt8


class Boxes:
    """Finds one face, by its box; counts how often it is asked."""

    asked = 0
    closed = False

    def detect(self, image: UInt8) -> list[Detection]:
        self.asked += 1
        height, width = image.shape[:2]
        return [Detection((width / 4, height / 4, width / 2, height / 2), 0.95)]


class Everything(Boxes):
    def follow(self, image: UInt8, faces: Any) -> list[Detection | None]:
        return [face for face in self.detect(image) for _ in faces]

    def close(self) -> None:
        self.closed = True


def test_a_detector_that_finds_boxes_is_enough(astronaut: Path, tiny: Path) -> None:
    detector = Boxes()
    with Predictor(tiny, detector=detector) as predictor:
        assert predictor.detector is detector and predictor.describe()["detector"]["detect_every"] == 1
        results = list(predictor.stream(astronaut, end_s=0.4))
        with av.open(str(astronaut)) as container:
            image = next(container.decode(video=0)).to_ndarray(format="rgb24")
        (face,) = predictor.predict_image(image)
        session = predictor.session()
        (pushed,) = session.push(image, 0.0)
    assert [[f.track_id for f in result.faces] for result in results] == [[0]] * 10 and len(pushed.faces) == 1
    assert detector.asked == 12  # once a frame: it cannot follow
    x, y, width, height = face.box
    inside = (face.landmarks - [x, y]) / [width, height]
    assert (inside > 0.2).all() and (inside < 0.8).all() and inside[0, 0] < inside[1, 0] and inside[0, 1] < inside[3, 1]
    with Predictor(tiny, detector=Boxes(), detect_every=5) as predictor:  # then it is followed by finding it again
        assert [len(result.faces) for result in predictor.stream(astronaut, end_s=0.4)] == [1] * 10


def test_points_of_a_box_are_about_where_those_of_a_face_are(astronaut: Path, tiny: Path) -> None:
    with Predictor(tiny) as predictor, av.open(str(astronaut)) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24")
        (found,) = predictor.detector.detect(image)
    made = Detection(found.box, found.score)
    assert np.abs(made.landmarks - found.landmarks).max() < 0.2 * max(found.box[2:])


def test_a_shared_detector_stays_open(tiny: Path, astronaut: Path) -> None:
    detector = Everything()
    with Predictor(tiny, detector=detector) as one, Predictor(tiny, detector=detector) as other:
        one.close()
        assert not detector.closed
        assert len(list(other.stream(astronaut, end_s=0.2))) == 5
    assert not detector.closed  # who made it closes it


@pytest.mark.parametrize("detector", [None, 5, object(), Boxes, lambda image: []])
def test_what_is_no_detector_is_refused_at_once(detector: Any, tiny: Path) -> None:
    with pytest.raises(TypeError, match="detect"):
        Predictor(tiny, detector=detector)


def answering(answer: Callable[[], Any]) -> Any:
    detector = Boxes()
    detector.detect = lambda image: answer()  # type: ignore[method-assign]
    return detector


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda: None, TypeError, "list of Detection"),
        (lambda: [(1, 2, 3, 4)], TypeError, "landmarks may be left out"),
        (lambda: [{"box": (1, 2, 3, 4)}], TypeError, "landmarks may be left out"),
        (lambda: [Detection((1, 2, 0, 4), 1.0)], ValueError, "a box must be"),
        (lambda: [Detection((1, 2, float("nan"), 4), 1.0)], ValueError, "a box must be"),
        (lambda: [Detection((1, 2, 3), 1.0)], ValueError, "unpack"),  # type: ignore[arg-type]
        (lambda: [Detection((1, 2, 3, 4), 1.0, [[1, 2]] * 5)], TypeError, "must be an array"),  # type: ignore[arg-type]
    ],
)
def test_answers_that_are_none(
    answer: Callable[[], Any], error: type[Exception], message: str, tiny: Path, astronaut: Path
) -> None:
    with Predictor(tiny, detector=answering(answer)) as predictor:
        with pytest.raises(error, match=message):
            predictor.predict_image(np.zeros((60, 60, 3), np.uint8))
        with pytest.raises(error, match=message):
            list(predictor.stream(astronaut, end_s=0.2))


def test_the_best_faces_come_first_whatever_the_order(tiny: Path) -> None:
    two = [Detection((5, 5, 20, 20), 0.5), Detection((35, 35, 20, 20), 0.9)]
    with Predictor(tiny, detector=answering(lambda: tuple(two))) as predictor:
        assert [face.score for face in predictor.predict_image(np.zeros((60, 60, 3), np.uint8))] == [0.9, 0.5]


class Former(Boxes):
    """With the former name of ``detect_in``."""

    def look(self, image: UInt8, region: tuple[int, int, int, int]) -> list[Detection]:
        return self.detect(image)


def test_the_former_name_of_a_method_is_understood_and_told() -> None:
    with pytest.warns(DeprecationWarning, match="Former.look is now called detect_in"):
        detector = OwnDetector(Former())
    assert len(detector.detect_in(np.zeros((8, 8, 3), np.uint8), (0, 0, 8, 8))) == 1


def test_points_settle_where_the_detector_says(tiny: Path) -> None:
    class Settling(Boxes):
        def settle(self, picture: Any, faces: Any) -> list[Detection]:
            return [Detection(face.box, face.score, face.landmarks + np.float32(2)) for face in faces]

    class Losing(Boxes):
        def settle(self, picture: Any, faces: Any) -> list[Detection]:
            return []

    image = np.zeros((80, 60, 3), np.uint8)
    with Predictor(tiny, detector=Boxes()) as plain, Predictor(tiny, detector=Settling()) as settling:
        (before,), (after,) = plain.predict_image(image), settling.predict_image(image)
    np.testing.assert_allclose(after.landmarks, before.landmarks + 2)
    with (
        Predictor(tiny, detector=Losing()) as losing,
        pytest.raises(ValueError, match="settle must answer with one entry"),
    ):
        losing.predict_image(image)


def test_points_alone_are_enough(tiny: Path) -> None:
    five = [[40, 50], [60, 50], [50, 62], [42, 72], [58, 72]]

    class Points:
        def detect(self, image: UInt8) -> list[Detection]:
            return [Detection.at(five)]

    image = np.zeros((120, 100, 3), np.uint8)
    with Predictor(tiny, detector=Points()) as predictor:
        (face,), (known,) = predictor.predict_image(image), predictor.predict_image(image, landmarks=np.array([five]))
    assert face.score == known.score == 1 and face.box == known.box and face.landmarks.tolist() == five
    x, y, width, height = face.box
    assert x < 40 and y < 50 and x + width > 60 and y + height > 72 and 40 < width < 60
    with pytest.raises(ValueError, match=r"landmarks must be finite, of shape \(5, 2\)"):
        Detection.at(five[:4])


def test_a_box_alone_is_enough_of_a_detection() -> None:
    assert Detection((0, 0, 10, 10)).score == 1.0
