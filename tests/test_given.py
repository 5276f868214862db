"""Pictures as users have them, times as apps give them, and an engine that answers what it is told."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import affectkit
from affectkit import FakeEngine, Predictor
from affectkit.errors import SourceError
from affectkit.timestamps import Clock
from affectkit.types import Detection


@pytest.fixture(scope="module")
def picture(astronaut: Path) -> np.ndarray:
    return np.ascontiguousarray(next(iter(affectkit.open_source(astronaut).frames())).image)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.mark.slow
def test_a_picture_may_be_a_path_pillow_or_opencv(predictor: Predictor, picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "p.png")
    (wanted,) = predictor.predict_image(picture)
    for found in (
        predictor.predict_image(tmp_path / "p.png"),
        predictor.predict_image(str(tmp_path / "p.png")),
        predictor.predict_image(Image.fromarray(picture)),
        predictor.predict_image(cv2.imread(str(tmp_path / "p.png")), bgr=True),
    ):
        assert found[0].to_dict() == wanted.to_dict()
    both = predictor.predict_image([picture, np.zeros((64, 64, 3), np.uint8)])
    assert [len(faces) for faces in both] == [1, 0] and both[0][0].to_dict() == wanted.to_dict()


def test_a_pillow_image_is_turned_as_its_file_would_be(
    predictor: Predictor, picture: np.ndarray, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).rotate(90, expand=True).save(tmp_path / "p.png", exif=exif)
    with Image.open(tmp_path / "p.png") as opened:
        of_pillow = predictor.predict_image(opened)
    assert of_pillow[0].to_dict() == predictor.predict_image(tmp_path / "p.png")[0].to_dict()
    assert of_pillow[0].box == predictor.predict_image(picture)[0].box


def test_known_boxes_are_taken(predictor: Predictor, picture: np.ndarray) -> None:
    (wanted,) = predictor.predict_image(picture)
    x, y, width, height = wanted.box
    (found,) = predictor.predict_image(picture, boxes=np.array([[x - 6, y + 5, width + 8, height - 4]]))
    assert found.box == (x - 6, y + 5, width + 8, height - 4) and found.score == 1
    assert np.abs(found.landmarks - wanted.landmarks).max() < 0.08 * width  # the detector found the points in it
    assert predictor.predict_image(picture, boxes=np.empty((0, 4))) == []


class BoxesOnly:
    def detect(self, image: np.ndarray) -> list[Detection]:
        raise AssertionError("nothing is to be detected")


def test_known_boxes_of_a_detector_that_cannot_follow(picture: np.ndarray) -> None:
    with Predictor(detector=BoxesOnly(), engine=FakeEngine.constant(happiness=0.9)) as predictor:
        (face,) = predictor.predict_image(picture, boxes=[[100, 100, 50, 60]])  # type: ignore[arg-type]
    assert face.landmarks[2].tolist() == pytest.approx([125, 100 + 0.59 * 60])


@pytest.mark.parametrize(
    ("given", "options", "kind", "told"),
    [
        (None, {}, TypeError, "cv2.imread"),
        ("gone.jpg", {}, SourceError, "gone.jpg"),
        (Path(), {}, SourceError, "is a folder"),
        ("gone.jpg", {"bgr": True}, ValueError, "for arrays"),
        (Image.new("I;16", (8, 8)), {}, ValueError, "I;16"),
        ([1], {}, TypeError, "numpy array"),
        (np.zeros((8, 8, 3), np.uint8), {"boxes": [[0, 0, 4]]}, ValueError, "shape"),
        (np.zeros((8, 8, 3), np.uint8), {"boxes": [[0, 0, 4, 0]]}, ValueError, "over 0"),
        (
            np.zeros((8, 8, 3), np.uint8),
            {"boxes": [[0, 0, 4, 4]], "landmarks": np.zeros((1, 5, 2))},
            ValueError,
            "not both",
        ),
        ([np.zeros((8, 8, 3), np.uint8)], {"boxes": [[0, 0, 4, 4]]}, ValueError, "one by one"),
    ],
)
def test_pictures_that_are_none(
    predictor: Predictor, given: object, options: dict[str, object], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        predictor.predict_image(given, **options)  # type: ignore[call-overload]


def test_an_engine_says_what_it_is_told(picture: np.ndarray) -> None:
    engine = FakeEngine.constant(happiness=0.9, AU12=0.8, AU12_i=0.4, valence=0.37, arousal=-0.5, yaw=20)
    with Predictor(engine=engine) as predictor:
        (face,) = predictor.predict_image(picture)
    affect = face.affect
    assert affect.expressions["happiness"] == pytest.approx(0.9) and affect.expressions["fear"] == pytest.approx(
        0.1 / 6
    )
    assert affect.action_units["AU12"] == pytest.approx(0.8) and affect.action_units["AU04"] < 1e-5
    assert affect.intensities["AU12"] == pytest.approx(0.4) and affect.pose is not None
    assert (affect.valence, affect.arousal) == pytest.approx((0.37, -0.5)) and affect.pose[1] == 20
    for values, told in (
        ({"joy": 0.5}, "no label 'joy'"),
        ({"AU12": 2}, "must be 0 to 1"),
        ({"fear": 0.6, "anger": 0.6}, "add up"),
    ):
        with pytest.raises(ValueError, match=told):
            FakeEngine.constant(**values)


def test_times_have_to_increase(picture: np.ndarray) -> None:
    with Predictor(engine=FakeEngine.constant()) as predictor, predictor.session() as session:
        assert len(session.push(picture, 1.0)) == 1
        for wrong, told in ((math.nan, "number of seconds"), (1.0, "must increase"), (0.5, "must increase")):
            with pytest.raises(ValueError, match=told):
                session.push(picture, wrong)
        (result,) = session.push(picture, 1.04)
        assert result.index == 1
        session.reset()
        assert session.push(picture, 0.0)[0].index == 0
        with session:
            session.push(picture, 1.0)
        assert session.push(picture, 0.0)[0].index == 0  # leaving forgets


def test_errors_say_what_they_are_about(tmp_path: Path) -> None:
    odd = tmp_path / "a: b.csv"
    odd.write_text("")
    for error, path, reason in (
        (SourceError(f"{odd}: is empty: nothing"), str(odd), "is empty: nothing"),
        (SourceError("gone.csv: cannot be read"), "gone.csv", "cannot be read"),
        (SourceError("rtsp://x/y: is silent"), "rtsp://x/y", "is silent"),
        (SourceError("baseline of what is gone: no"), None, "baseline of what is gone: no"),
        (SourceError("there is nothing"), None, "there is nothing"),
    ):
        assert (error.path, error.reason) == (path, reason)
    with pytest.raises(SourceError) as raised:
        affectkit.open_source(tmp_path / "gone.mp4")
    assert raised.value.path == str(tmp_path / "gone.mp4") and raised.value.reason


def test_milliseconds_are_suspected(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.WARNING):
        for k in range(4):
            clock.check(40.0 * k)
        assert not caplog.records
        for k in range(4, 20):
            clock.check(40.0 * k)
        assert len(caplog.records) == 1 and "not milliseconds" in caplog.text
        slow = Clock()
        for time_s in (0, 0.04, 100, 200, 300, 400, 500, 600):
            slow.check(time_s)
    assert len(caplog.records) == 1
