"""Faces in dark or hazy pictures, which a first search overlooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from affectkit import Predictor, open_source
from affectkit.faces.boxes import iou
from affectkit.faces.faint import PIXELS, in_evened_copy
from affectkit.faces.opening import OpenedMtcnn
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.picture import RgbPicture
from affectkit.types import Detection, Frame, UInt8

DARK, HAZY = (0.08, 0), (0.12, 100)
"""What is left of the range of grey levels, and from which one on."""


@pytest.fixture(scope="module")
def mtcnn() -> Iterator[OpenedMtcnn]:
    found = OpenedMtcnn()
    yield found
    found.close()


@pytest.fixture(scope="module")
def frames(astronaut: Path) -> list[UInt8]:
    return [frame.picture.rgb() for frame in open_source(astronaut).frames()]


def faint(image: UInt8, share: float, lift: int) -> UInt8:
    return np.asarray(image * share + lift, np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "lift"), [DARK, HAZY])
def test_faces_that_are_overlooked_are_found_where_they_are(
    mtcnn: OpenedMtcnn, frames: list[UInt8], share: float, lift: int
) -> None:
    found = 0
    for clear in frames[::10]:
        image = faint(clear, share, lift)
        if mtcnn.detect(image):
            continue
        (face,), truth = mtcnn.detect_faint(image), mtcnn.detect(clear)[0]
        assert iou(face.box, truth.box) > 0.7
        assert np.abs(face.landmarks - truth.landmarks).max() < 0.1 * truth.box[2]
        found += 1
    assert found >= 6, "the first search overlooks most of these"


def test_pictures_and_films_that_are_dark(frames: list[UInt8]) -> None:
    dark = [faint(image, *DARK) for image in frames]
    with Predictor("lite", device="cpu", threads=1) as predictor:
        assert [len(predictor.predict_image(image)) for image in dark[::10]] == [1] * 10
        results = list(predictor.stream(np.stack(dark), fps=25))
    seen = [[face.track_id for face in result.faces] for result in results]
    assert seen[0] == [0]
    assert sum(ids == [0] for ids in seen) >= 0.9 * len(seen), "the others: lost for a moment, found again"
    assert all(ids in ([], [0]) for ids in seen)


def test_what_finds_nothing_in_clear_pictures_finds_nothing_in_faint_ones(mtcnn: OpenedMtcnn) -> None:
    rng = np.random.default_rng(4)
    ramp = np.broadcast_to(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], (240, 320, 3))
    for image in (ramp, rng.integers(90, 102, (240, 320, 3), np.uint8), np.full((240, 320, 3), 7, np.uint8)):
        assert mtcnn.detect_faint(np.ascontiguousarray(image)) == []


class Counts:
    """A detector that never finds anything, and tells how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def detect(self, image: UInt8) -> list[Detection]:
        self.asked.append("detect")
        return []

    def detect_faint(self, image: UInt8, smallest_px: float = 0) -> list[Detection]:
        self.asked.append(f"faint from {smallest_px:.1f} px")
        return []

    def follow(self, image: UInt8, faces: object) -> list[Detection | None]:
        return []

    def close(self) -> None:
        pass


def test_who_asks_for_a_detection_every_so_many_frames_gets_just_that() -> None:
    picture = RgbPicture(np.zeros((60, 80, 3), np.uint8))
    plain, harder = Counts(), Counts()
    Tracker(plain, TrackingConfig(detect_every=1, settled_s=0)).update(Frame(0, 0.0, picture, ""))
    Tracker(harder).update(Frame(0, 0.0, picture, ""))
    assert plain.asked == ["detect"]
    assert harder.asked == ["detect", "faint from 4.1 px"], "1/17 of the side of a square as large as the picture"


def test_a_large_picture_is_searched_in_a_smaller_copy() -> None:
    seen: list[tuple[float, ...]] = []

    def search(copy: UInt8, scale: float) -> list[Detection]:
        seen.append((*copy.shape, scale))
        points = np.array([[9.5, 19.5]] * 5, np.float32)
        return [Detection((10.0, 20.0, 30.0, 40.0), 0.9, points)]

    (face,) = in_evened_copy(np.zeros((2160, 3840, 3), np.uint8), search)
    assert seen == [(1080, 1920, 3, 0.5)]
    assert PIXELS == 1080 * 1920
    assert face.box == (20.0, 40.0, 60.0, 80.0)
    assert face.landmarks[0].tolist() == [19.5, 39.5], "the middle of a pixel is at .5 of it in both"


def test_a_picture_without_a_face_is_still_none() -> None:
    with Predictor("lite", device="cpu", threads=1) as predictor:
        assert predictor.predict_image(np.full((120, 160, 3), 90, np.uint8)) == []
