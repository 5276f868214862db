"""MTCNN's arithmetic, worked out by hand for networks whose answers are given; and what it says of a real face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from affectkit.engines import open_engine
from affectkit.faces.mtcnn import Mtcnn
from affectkit.faces.opening import WEIGHTS as FACE_WEIGHTS
from affectkit.sources.opening import open_source
from affectkit.types import Array, Detection, UInt8

HEIGHT, WIDTH = 60, 100

Hit = tuple[int, int, float, tuple[float, float, float, float]]
"""Row and column of a cell, its score, and the offsets of its box."""


class Cascade:
    """Three networks: P-Net finds what lies in the tables of ``hits``, R-Net and O-Net answer all boxes alike."""

    def __init__(self, hits: dict[int, list[Hit]] | None = None) -> None:
        """By width of the level, what P-Net finds there."""
        self.hits = hits or {}
        self.levels: list[tuple[int, int]] = []
        self.rnet_saw: list[UInt8] = []
        self.onet_saw: list[UInt8] = []
        self.rnet_score = self.onet_score = 0.95
        self.rnet_scores: list[float] = []
        self.onet_scores: list[float] = []
        self.rnet_offsets = self.onet_offsets = (0.0, 0.0, 0.0, 0.0)
        self.points = [0.25, 0.75, 0.5, 0.25, 0.75, 0.25, 0.25, 0.5, 0.75, 0.75]

    def detector(self, **options: float) -> Mtcnn:
        return Mtcnn(self._pnet, self._rnet, self._onet, min_face_px=12, **options)  # type: ignore[arg-type]

    def _pnet(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        _, height, width, _ = inputs["images"].shape
        self.levels.append((height, width))
        cells = (height - 11) // 2 + 1, (width - 11) // 2 + 1
        probability, offsets = np.zeros((1, *cells), np.float32), np.zeros((1, 4, *cells), np.float32)
        for row, column, score, shifts in self.hits.get(width, []):
            probability[0, row, column] = score
            offsets[0, :, row, column] = shifts
        return {"probability": probability, "offsets": offsets}

    def _rnet(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        images = np.asarray(inputs["images"], np.uint8)
        self.rnet_saw += list(images)
        scores = self.rnet_scores or [self.rnet_score] * len(images)
        return {"probability": np.float32(scores)[: len(images)], "offsets": self._all(self.rnet_offsets, images)}

    def _onet(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        images = np.asarray(inputs["images"], np.uint8)
        self.onet_saw += list(images)
        scores = self.onet_scores or [self.onet_score] * len(images)
        return {
            "probability": np.float32(scores)[: len(images)],
            "offsets": self._all(self.onet_offsets, images),
            "points": self._all(self.points, images),
        }

    @staticmethod
    def _all(values: object, images: Array) -> Array:
        return np.repeat(np.float32(values)[None], len(images), axis=0)


NONE = (0.0, 0.0, 0.0, 0.0)
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def found(cascade: Cascade, image: UInt8 = GREY) -> list[Detection]:
    return cascade.detector().detect(image)


def test_levels_shrink_by_the_papers_factor() -> None:
    cascade = Cascade()
    assert found(cascade) == []
    # 60 px and 12: ln(5) / ln(1 / .709) - 1 = 3.7, so four levels.
    assert cascade.levels == [(60, 100), (42, 70), (30, 50), (21, 35)]


def test_a_cell_of_pnet_is_a_window_of_the_picture() -> None:
    """Cell (10, 35) begins at (70, 20), counted from 1 as the authors' Matlab does, and is 12 px wide."""
    (face,) = found(Cascade({100: [(10, 35, 0.9, NONE)]}))
    assert face.box == pytest.approx((71, 21, 11, 11), abs=1e-4)
    assert face.score == pytest.approx(0.95)


def test_a_cell_of_a_smaller_level() -> None:
    (face,) = found(Cascade({70: [(5, 20, 0.9, NONE)]}))
    assert face.box == pytest.approx((41 / 0.709, 11 / 0.709, 11 / 0.709, 11 / 0.709), abs=1e-4)


@pytest.mark.parametrize(("score", "count"), [(0.59, 0), (0.61, 1)])
def test_pnets_threshold(score: float, count: int) -> None:
    assert len(found(Cascade({100: [(10, 35, score, NONE)]}))) == count


def test_pnets_offsets_are_in_windows_and_its_boxes_become_squares() -> None:
    """Window 71..82, 21..32 of 11 px: 72.1, 18.8, 85.3, 36.4; that is 13.2 x 17.6 px, squared around (78.7, 27.6)."""
    (face,) = found(Cascade({100: [(10, 35, 0.9, (0.1, -0.2, 0.3, 0.4))]}))
    assert face.box == pytest.approx((78.7 - 8.8, 18.8, 17.6, 17.6), abs=1e-3)


def test_rnets_offsets_are_in_sides_and_its_boxes_become_squares() -> None:
    """Of 12 px, since the last pixel belongs to the box: 72.2, 18.6, 85.6, 36.8; 13.4 x 18.2 around (78.9, 27.7)."""
    cascade = Cascade({100: [(10, 35, 0.9, NONE)]})
    cascade.rnet_offsets = (0.1, -0.2, 0.3, 0.4)
    (face,) = found(cascade)
    assert face.box == pytest.approx((78.9 - 9.1, 18.6, 18.2, 18.2), abs=1e-3)


def test_onets_offsets_and_points() -> None:
    """Of 12 px; its box stays as it is. Points count from 1, too: 71 + .25 * 12 - 1."""
    cascade = Cascade({100: [(10, 35, 0.9, NONE)]})
    cascade.onet_offsets = (0.1, -0.2, 0.3, 0.4)
    (face,) = found(cascade)
    assert face.box == pytest.approx((72.2, 18.6, 13.4, 18.2), abs=1e-3)
    expected = [(73, 23), (79, 23), (76, 26), (73, 29), (79, 29)]
    np.testing.assert_allclose(face.landmarks, expected, atol=1e-3)


@pytest.mark.parametrize(("rnet", "onet", "count"), [(0.69, 0.95, 0), (0.71, 0.79, 0), (0.71, 0.81, 1)])
def test_thresholds_of_rnet_and_onet(rnet: float, onet: float, count: int) -> None:
    cascade = Cascade({100: [(10, 35, 0.9, NONE)]})
    cascade.rnet_score, cascade.onet_score = rnet, onet
    assert len(found(cascade)) == count
    assert len(cascade.onet_saw) == (rnet >= 0.7)


def test_windows_of_one_level_are_suppressed_at_half() -> None:
    """Two px right and down of 12: 100 of 188 px are shared, .53; four px right: 96 of 192, .5, which is not more."""
    cascade = Cascade({100: [(10, 35, 0.9, NONE), (11, 36, 0.8, NONE), (10, 37, 0.7, NONE)]})
    found(cascade)
    assert len(cascade.rnet_saw) == 2


def test_boxes_of_several_levels_are_suppressed_at_seven_tenths() -> None:
    """The window of the second level is 16.5 px wide, and shares 144 of 272 px with one in its middle: .53.

    With offsets that make the first as large as the second, one of them is enough.
    """
    cascade = Cascade({100: [(6, 30, 0.9, NONE)], 70: [(4, 20, 0.8, NONE)]})
    found(cascade)
    assert len(cascade.rnet_saw) == 2
    # 61..72, 13..24 becomes 57.8..73.3, 12.7..28.2 as the other one.
    wider = (-3.17 / 11, -0.31 / 11, 1.34 / 11, 4.21 / 11)
    cascade = Cascade({100: [(6, 30, 0.9, wider)], 70: [(4, 20, 0.8, NONE)]})
    found(cascade)
    assert len(cascade.rnet_saw) == 1


def test_a_face_within_a_face_is_dropped_at_the_end() -> None:
    """By the share of the smaller one; R-Net, which goes by the union, lets both pass."""
    cascade = Cascade({100: [(6, 30, 0.9, NONE)], 70: [(4, 20, 0.8, NONE)]})
    cascade.onet_scores = [0.85, 0.95]
    (face,) = found(cascade)
    assert len(cascade.onet_saw) == 2 and face.score == pytest.approx(0.95)


def test_faces_that_onet_shrinks_are_too_small() -> None:
    cascade = Cascade({100: [(10, 35, 0.9, NONE)]})
    cascade.onet_offsets = (0.1, 0.1, 0.0, 0.0)  # 12 px become 10.8
    assert found(cascade) == []
    cascade.onet_offsets = (0.1, 0.0, 0.0, 0.0)  # the longer side counts
    assert len(found(cascade)) == 1


def ramp(*, down: bool) -> UInt8:
    """Six levels a px, from where the windows of these tests begin."""
    along = np.arange(HEIGHT)[:, None] - 10 if down else np.arange(WIDTH)[None] - 55
    levels = np.clip(6 * along, 0, 255).astype(np.uint8)
    return np.repeat(np.broadcast_to(levels, (HEIGHT, WIDTH))[..., None], 3, axis=2).copy()


@pytest.mark.parametrize("down", [False, True])
def test_crops_of_rnet_and_onet_are_where_their_boxes_are(down: bool) -> None:
    """As TensorFlow cuts them: box times (side - 1) / side, its first and last px those of the crop."""
    cascade = Cascade({100: [(10, 35, 0.9, (0.1, -0.2, 0.3, 0.4))]})
    cascade.rnet_offsets = (0.05, 0.05, 0.05, 0.05)
    found(cascade, ramp(down=down))
    first, last, begin, side = (18.8, 36.4, 10, HEIGHT) if down else (69.9, 87.5, 55, WIDTH)
    for crop, size in ((cascade.rnet_saw[0], 24), (cascade.onet_saw[0], 48)):
        places = np.linspace(first, last, size) * (side - 1) / side
        line = crop[size // 2, :, 0] if not down else crop[:, size // 2, 0]
        np.testing.assert_allclose(line, 6 * (places - begin), atol=0.8)
        first, last = first + 0.05 * 18.6, last + 0.05 * 18.6


def test_followed_faces_need_onets_word() -> None:
    cascade = Cascade()
    points = np.array([(73, 23), (79, 23), (76, 26), (73, 29), (79, 29)], np.float32)
    face = Detection((71.0, 21.0, 11.0, 11.0), 0.9, points)
    for score, stays in ((0.71, True), (0.69, False)):
        cascade.onet_score = score
        (again,) = cascade.detector().follow(GREY, [face])
        assert (again is not None) == stays
        (again,) = cascade.detector(follow_threshold=0.6).follow(GREY, [face])
        assert again is not None
    assert cascade.levels == [] and cascade.rnet_saw == []


BOX = (271.6, 105.6, 95.3, 124.8)
POINTS = [(297.3, 151.0), (343.8, 153.9), (319.2, 181.3), (293.8, 193.0), (342.8, 195.1)]
SETTLED = [(297.9, 151.2), (343.8, 153.6), (320.3, 181.6), (294.6, 192.8), (342.4, 194.8)]


def test_a_real_face_is_where_it_was_recorded(astronaut: Path) -> None:
    """To a quarter of a pixel: whatever changes an answer of the cascade by more is no rounding."""
    networks = (open_engine(FACE_WEIGHTS / f"{n}.onnx", device="cpu", threads=1).run for n in ("pnet", "rnet", "onet"))
    mtcnn = Mtcnn(*networks)
    frame = next(iter(open_source(astronaut).frames()))
    (face,) = mtcnn.detect(frame.image)
    np.testing.assert_allclose(face.box, BOX, atol=0.25)
    np.testing.assert_allclose(face.landmarks, POINTS, atol=0.25)
    (settled,) = mtcnn.settle(frame.picture, [face])
    np.testing.assert_allclose(settled.landmarks, SETTLED, atol=0.25)
