"""Faces that are not upright in their crop, of a network that sees faces with a mark at their top."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from make_tiny_model import SIZE
from test_visible import Where, as_it_is, crop

from affectkit import FakeEngine, Predictor, models
from affectkit.types import REGIONS, Array, UInt8


def roll(image: UInt8, folder: Path, **options: float) -> tuple[float, bool, int]:
    """The roll in the picture, whether anything is said, and how many crops the network was asked about."""
    with Predictor(folder) as real:
        engine = FakeEngine(lambda inputs: real.logits(inputs["faces"]))  # type: ignore[arg-type]
        detector = as_it_is(folder)
        detector.score = options.get("score", 0.99)
        with Predictor(folder, detector=detector, engine=engine, threads=1) as predictor:
            (face,) = predictor.predict_image(image)
    pose = face.affect.pose
    assert pose is not None
    return float(pose[2]), face.affect.expression != "", sum(len(call["faces"]) for call in engine.calls)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_faces_are_turned_upright(quarters: int, tiny_seen: Path) -> None:
    """The picture turned counter-clockwise by quarters: so is the face in it, of which the network says 10 degrees."""
    image = np.ascontiguousarray(np.rot90(crop(*REGIONS), quarters))
    turned, said, asked = roll(image, tiny_seen)
    assert said and turned == pytest.approx((90 * quarters + 10 + 180) % 360 - 180, abs=1e-3)
    assert asked == (1 if quarters == 0 else 4)


def test_what_is_seen_of_an_upright_face_counts(tiny_seen: Path) -> None:
    turned, said, asked = roll(crop("mouth"), tiny_seen)
    assert said and turned == pytest.approx(10) and asked == 1


def test_where_no_way_shows_a_face_nothing_is_said(tiny_seen: Path) -> None:
    turned, said, asked = roll(crop(mark=False), tiny_seen)
    assert not said and math.isnan(turned) and asked == 4


def test_doubtful_faces_are_not_turned(tiny_seen: Path) -> None:
    image = np.ascontiguousarray(np.rot90(crop(*REGIONS), 2))
    turned, said, asked = roll(image, tiny_seen, score=0.4)
    assert not said and math.isnan(turned) and asked == 1


def test_a_way_in_which_only_a_part_is_seen_does_not_count(tiny_seen: Path) -> None:
    """Three tries at what is no face easily show something like a part of one."""
    for quarters in (1, 2, 3):
        turned, said, asked = roll(np.ascontiguousarray(np.rot90(crop("brows", "eyes"), quarters)), tiny_seen)
        assert not said and math.isnan(turned) and asked == 4


def test_the_way_in_which_most_is_seen_counts(tiny_seen: Path) -> None:
    """A network that sees a face in every way but the upright, by its brightest edge."""
    spec = models.read_spec(tiny_seen)
    shares = np.array([-9.0, 1.0, 2.0, 3.0])  # logits, by the edge of the picture that has the mark
    edges = {"top": (0, 8), "left": (8, 0), "bottom": (15, 8), "right": (8, 15)}

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        said = FakeEngine.of(spec).run(inputs)
        bright = np.stack([inputs["faces"][:, y, x, 0] for y, x in edges.values()], 1).argmax(1)
        return said | {"visibility": np.repeat(shares[bright][None, :, None], 3, 2).astype(np.float32)}

    image = np.full((SIZE, SIZE, 3), 40, np.uint8)
    image[0, 8] = 255  # turned by 180, 90 and 270 degrees the edge is at the bottom, the left and the right
    with Predictor(tiny_seen, engine=FakeEngine(answer), detector=as_it_is(tiny_seen)) as predictor:
        (face,) = predictor.predict_image(image)
    assert face.affect.visible_lower == pytest.approx(1 / (1 + math.exp(-3)))
    assert face.affect.pose is not None and face.affect.pose[2] == pytest.approx(90)  # turned by three quarters


def test_aligned_faces_and_known_points_are_not_turned(tiny_seen: Path) -> None:
    image = np.ascontiguousarray(np.rot90(crop(*REGIONS), 2))
    points = models.read_spec(tiny_seen).input.template_px()
    with Predictor(tiny_seen) as predictor:
        (known,) = predictor.predict_image(image, landmarks=points[None])
        (aligned,) = predictor.predict_aligned(image[None])
        (streamed,) = predictor.stream(image[None], fps=25, aligned=True)
    for affect in (known.affect, aligned, streamed.faces[0].affect):
        assert affect.au_hidden.all() and affect.expression == ""


@pytest.mark.parametrize("name", ["tiny_seen", "tiny_seen_temporal"])
def test_only_the_faces_of_a_batch_that_need_it(name: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(name)
    upright, down = crop(*REGIONS), np.ascontiguousarray(np.rot90(crop(*REGIONS), 2))
    frames = np.stack([upright, down, upright, crop(mark=False), down])
    with Predictor(folder, detector=as_it_is(folder)) as predictor:
        found = [result.faces[0].affect for result in predictor.stream(frames, fps=25)]
        session = predictor.session()
        live = [r.faces[0].affect for i, frame in enumerate(frames) for r in session.push(frame, i / 25)]
    want = [10, -170, 10, math.nan, -170]
    for affects in (found, live):
        rolls = [float(affect.pose[2]) for affect in affects if affect.pose is not None]
        assert rolls == pytest.approx(want, abs=1e-3, nan_ok=True)
        assert [affect.expression == "" for affect in affects] == [False, False, False, True, False]


def test_points_and_box_stay(tiny_seen: Path) -> None:
    image = np.ascontiguousarray(np.rot90(crop(*REGIONS), 1))
    points: Array = models.read_spec(tiny_seen).input.template_px()
    with Predictor(tiny_seen, detector=Where(points)) as predictor:
        (face,) = predictor.predict_image(image)
    assert face.box == (0.0, 0.0, SIZE, SIZE) and np.array_equal(face.landmarks, points)
