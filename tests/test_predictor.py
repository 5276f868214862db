from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from make_tiny_model import expected
from synthetic import grey_frames, write_clip

from affectkit import FakeEngine, Predictor, open_source
from affectkit.align import crop_face
from affectkit.errors import EngineError, ModelError, SourceError
from affectkit.face_results import FrameResult
from affectkit.models import resolve
from affectkit.types import Array, Detection, UInt8


class OneFace:
    """A detector that sees one face in the middle of every picture."""

    def detect(self, image: UInt8) -> list[Detection]:
        height, width = image.shape[:2]
        points = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]]) * [width, height]
        return [Detection((width / 4, height / 4, width / 2, height / 2), 0.99, points.astype(np.float32))]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        return list(self.detect(image))

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def predictor(tiny: Path) -> Iterator[Predictor]:
    with Predictor(tiny, detector=OneFace(), batch_size=8) as made:
        yield made


def test_stream_gives_every_frame_in_order_with_known_answers(predictor: Predictor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(37))
    results = list(predictor.stream(clip))
    assert [r.index for r in results] == list(range(37))
    assert [r.time_s for r in results] == pytest.approx([i / 25 for i in range(37)])
    for i, result in enumerate(results):
        (face,) = result.faces
        m = (20 + 2 * i) / 255
        assert face.affect.action_units["AU01"] == pytest.approx(1 / (1 + math.exp(-4 * m)), abs=0.01)
        assert face.track_id == 0 and result.image is None and result.name == str(clip)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["clip", "folder"])
def test_side_by_side_gives_what_one_after_the_other_gives(
    tiny: Path, astronaut: Path, tmp_path: Path, source: str
) -> None:
    """One thread is the plain way: every stage asks the one before, and nothing is computed ahead."""
    path = astronaut
    if source == "folder":
        for frame in open_source(astronaut).frames(every=9):
            cv2.imwrite(str(tmp_path / f"{frame.index}.png"), frame.image[:, :, ::-1])
        path = tmp_path
    answers = []
    for threads in (1, 2, 4):
        with Predictor(tiny, threads=threads, batch_size=16) as predictor:
            answers.append(predictor.predict(path))
    for other in answers[1:]:
        assert other.columns.keys() == answers[0].columns.keys()
        for name, values in answers[0].columns.items():
            np.testing.assert_array_equal(other.columns[name], values)


def test_a_stream_that_is_let_go_leaves_no_threads(tiny: Path, astronaut: Path) -> None:
    with Predictor(tiny, threads=2, batch_size=4) as predictor:
        results = predictor.stream(astronaut)
        assert next(results).index == 0
        del results
        gc.collect()
        for _ in range(200):
            if not any(thread.name == "affectkit ahead" for thread in threading.enumerate()):
                return
            time.sleep(0.01)
    raise AssertionError("threads go on")


@pytest.mark.parametrize(
    ("precision", "device", "fast", "cuda", "taken"),
    [
        ("auto", "auto", True, False, "lite-int8"),
        ("auto", "cpu", True, True, "lite-int8"),
        ("auto", "auto", True, True, "lite"),
        ("auto", "cuda", True, True, "lite"),
        ("auto", "cpu", False, False, "lite"),
        ("fp32", "cpu", True, False, "lite"),
        ("int8", "cpu", False, False, "lite-int8"),
    ],
)
def test_int8_where_the_cpu_is_made_for_it(
    monkeypatch: pytest.MonkeyPatch, precision: str, device: str, fast: bool, cuda: bool, taken: str
) -> None:
    monkeypatch.setattr("affectkit.engines.cpu.multiplies_bytes_fast", lambda: fast)
    monkeypatch.setattr("affectkit.engines.may_use_cuda", lambda: cuda)
    assert resolve("lite", precision=precision, device=device).name == taken


def test_precisions_that_are_not_there(tiny: Path) -> None:
    assert resolve(tiny, precision="auto", device="cpu").name == str(tiny)
    assert resolve(tiny, precision="fp32", device="cpu").name == str(tiny)
    with pytest.raises(ModelError, match=r"computes in fp32, and has no int8 copy; .*--precision int8"):
        Predictor(tiny, precision="int8")
    with pytest.raises(ModelError, match="lite-int8: computes in int8, and has no fp32 copy"):
        Predictor("lite-int8", precision="fp32")
    with pytest.raises(ValueError, match="auto, fp32, fp16, int8, got 'int4'"):
        Predictor(tiny, precision="int4")


def test_the_int8_copy_decides_as_the_original(astronaut: Path) -> None:
    tables = []
    for precision in ("fp32", "int8"):
        with Predictor(precision=precision) as predictor:
            assert predictor.describe()["model"]["precision"] == precision
            tables.append(predictor.predict(astronaut).columns)
    one, other = tables
    agree = np.mean([a == b for a, b in zip(one["expression"], other["expression"], strict=True)])
    assert agree >= 0.97
    for name in ("AU12", "AU25", "happiness", "valence", "arousal"):
        np.testing.assert_allclose(np.asarray(other[name], float), np.asarray(one[name], float), atol=0.12)


def test_stream_is_lazy(predictor: Predictor) -> None:
    asked = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal asked
        while True:
            asked += 1
            yield np.zeros((48, 64, 3), np.uint8)

    stream = predictor.stream(endless())
    assert asked == 0
    for _ in range(3):
        next(stream)
    assert asked <= 8


def test_a_closed_stream_lets_go_of_its_source(predictor: Predictor, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(200))

    def reading() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "affectkit ahead"]

    with predictor.stream(clip) as results:
        assert next(results).index == 0 and reading()
    assert not reading()
    assert list(results) == [] and results.checkpoint() is None
    results.close()  # twice is once
    untouched = predictor.stream(clip)
    untouched.close()
    assert list(untouched) == []


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_results_do_not_depend_on_the_batch(tiny: Path, tmp_path: Path, batch_size: int) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(10))
    with Predictor(tiny, detector=OneFace(), batch_size=batch_size) as p, Predictor(tiny, detector=OneFace()) as q:
        assert p.predict(clip)["valence"] == pytest.approx(q.predict(clip)["valence"], abs=1e-6)


def test_streams_can_be_interleaved(predictor: Predictor) -> None:
    first, second = predictor.stream(np.stack(grey_frames(20))), predictor.stream(np.stack(grey_frames(20)))
    pairs = list(zip(first, second, strict=True))
    assert all(a.faces[0].track_id == b.faces[0].track_id == 0 for a, b in pairs)


def test_keep_images_and_aligned(predictor: Predictor) -> None:
    (result,) = predictor.stream(np.full((1, 32, 24, 3), 51, np.uint8), aligned=True, keep_images=True)
    assert result.image is not None and result.image.shape == (32, 24, 3)
    (face,) = result.faces
    assert face.box == (0, 0, 24, 32) and face.track_id == 0
    assert face.affect.action_units["AU01"] == pytest.approx(1 / (1 + math.exp(-0.8)), abs=1e-3)


def test_predict_aligned_and_its_logits(tiny_ensemble: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1)).astype(np.uint8)
    with Predictor(tiny_ensemble, batch_size=2) as predictor:
        affects, logits = predictor.predict_aligned(crops, return_logits=True)
        assert len(affects) == 5 and len(predictor.predict_aligned(crops)) == 5
    for name, want in expected(crops, 3).items():
        assert logits[name] == pytest.approx(want, abs=1e-4)
    spread = affects[0].au_std
    assert spread is not None and spread[0] > 0 and affects[0].valence_std == pytest.approx(0, abs=1e-6)


def test_predict_aligned_of_nothing(predictor: Predictor) -> None:
    assert predictor.predict_aligned(np.zeros((0, 16, 16, 1), np.uint8)) == []


@pytest.mark.parametrize(
    ("crops", "error"),
    [
        (np.zeros((2, 16, 16), np.uint8), ValueError),
        (np.zeros((2, 16, 16, 4), np.uint8), ValueError),
        (np.zeros((2, 16, 16, 1), np.float32), TypeError),
        ([1, 2], TypeError),
    ],
)
def test_predict_aligned_refuses(predictor: Predictor, crops: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="crops must"):
        predictor.predict_aligned(crops)  # type: ignore[call-overload]


def test_known_landmarks_skip_detection(predictor: Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    points = np.array([OneFace().detect(image)[0].landmarks, OneFace().detect(image)[0].landmarks + 9])
    faces = predictor.predict_image(image, landmarks=points)
    assert [f.track_id for f in faces] == [0, 1]
    for face, five in zip(faces, points, strict=True):
        crop = crop_face(image, five, predictor.spec.input)
        (affect,) = predictor.predict_aligned(crop[None])
        assert face.affect.au_probabilities == pytest.approx(affect.au_probabilities)
        x, y, width, height = face.box
        assert ((five > (x, y)) & (five < (x + width, y + height))).all()
    assert predictor.predict_image(image, landmarks=np.empty((0, 5, 2))) == []
    with pytest.raises(ValueError, match=r"\(N, 5, 2\)"):
        predictor.predict_image(image, landmarks=points[0])
    with pytest.raises(ValueError, match="finite"):
        predictor.predict_image(image, landmarks=points * np.nan)


def test_an_engine_of_ones_own(tiny: Path) -> None:
    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return expected(inputs["faces"], 1)

    engine = FakeEngine(answer)
    with Predictor(tiny, engine=engine, detector=OneFace()) as predictor:
        assert predictor.device == "fake"
        list(predictor.stream(np.stack(grey_frames(3))))
    assert engine.closed and len(engine.calls[0]["faces"]) == 3


def test_an_engine_that_does_not_fit(tiny: Path) -> None:
    engine = FakeEngine(lambda inputs: {"expression": np.zeros((1, 1, 7))})
    with Predictor(tiny, engine=engine) as predictor, pytest.raises(EngineError, match="'au' should be"):
        predictor.predict_aligned(np.zeros((1, 16, 16, 1), np.uint8))


def test_bad_arguments(tiny: Path, predictor: Predictor) -> None:
    for options in (
        {"batch_size": 0},
        {"detect_every": 0},
        {"device": "tpu"},
        {"detector": "magic"},
        {"min_face_px": 3},
    ):
        with pytest.raises(ValueError, match="must be"):
            Predictor(tiny, **options)  # type: ignore[arg-type]
    for options in ({"every": 0}, {"start_s": 2.0, "end_s": 1.0}, {"max_faces": 0}):
        with pytest.raises(ValueError, match="must be"):
            predictor.stream(np.zeros((1, 9, 9, 3), np.uint8), **options)  # type: ignore[arg-type]


def test_the_default_model_on_a_real_face(astronaut: Path, astronaut_points: np.ndarray) -> None:
    """One smiling woman: one identity throughout, happiness, lips apart, and points where they are."""
    source = open_source(astronaut)
    with Predictor() as predictor:
        table = predictor.predict(source)
        results = list(predictor.stream(source, every=10))
    assert source.report.complete and len(table) == 100
    assert set(table["face_id"]) == {0} and table["success"].all()
    assert (table["expression"] == "happiness").mean() > 0.95
    assert np.median(table["AU12"]) > 0.8 and np.median(table["AU25"]) > 0.8 and np.median(table["AU04"]) < 0.4
    assert np.median(table["valence"]) > 0.5
    for result in results:
        truth = astronaut_points[result.index]
        error = np.linalg.norm(result.faces[0].landmarks - truth, axis=1).mean()
        assert error < 0.08 * np.linalg.norm(truth[1] - truth[0])


def test_real_clip_with_one_person(shared: Path) -> None:
    with Predictor() as predictor:
        table = predictor.predict(shared / "clips" / "utterance_1.mp4")
    assert sorted(set(table["frame"])) == list(range(309))
    assert (table["face_id"] == 0).sum() >= 0.99 * 309 and set(table["face_id"]) <= {0, -1}


def test_warming_up_changes_nothing(tiny: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1)).astype(np.uint8)
    with Predictor(tiny) as predictor:
        before = predictor.predict_aligned(crops)
        predictor.warm_up()
        predictor.warm_up(faces=3)
        after = predictor.predict_aligned(crops)
    assert [a.valence for a in before] == [a.valence for a in after]


# --- models that look at sequences ------------------------------------------------------------------------------------


def curves(results: Iterable[FrameResult]) -> dict[int, list[float]]:
    return {
        r.index: [v for f in r.faces for v in (*f.affect.au_probabilities, *f.affect.expression_probabilities)]
        for r in results
    }


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"window": "paper"}, {"window": "live", "lookahead": 3}, {"smooth_s": 0.3}])
def test_batches_and_threads_do_not_change_a_result(
    astronaut: Path, tiny_temporal: Path, options: dict[str, Any]
) -> None:
    found = []
    for batch_size, threads in ((1, 1), (7, 2), (32, 1)):
        with Predictor(tiny_temporal, batch_size=batch_size, threads=threads, device="cpu") as predictor:
            found.append(curves(predictor.stream(astronaut, **options)))
    assert list(found[0]) == list(range(100))
    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for index, values in found[0].items():
            assert values == pytest.approx(other[index], abs=1e-5)


@pytest.mark.parametrize("count", [1, 5, 7, 8, 9, 100])
def test_a_clip_of_any_length_has_a_result_a_frame(astronaut: Path, tiny_temporal: Path, count: int) -> None:
    with Predictor(tiny_temporal, device="cpu") as predictor:
        results = list(predictor.stream(astronaut, end_s=(count - 0.5) / 25))
    assert [r.index for r in results] == list(range(count)) and all(len(r.faces) == 1 for r in results)


def test_over_time_is_not_frame_by_frame(astronaut: Path, tiny_temporal: Path, tiny: Path) -> None:
    """tiny-temporal's expressions go by the mean of the window, its action units by the frame."""
    with Predictor(tiny_temporal, device="cpu") as over_time, Predictor(tiny, device="cpu") as single:
        assert over_time.temporal and not single.temporal
        steady = np.array(list(curves(over_time.stream(astronaut, window="paper")).values()))
        alone = np.array(list(curves(single.stream(astronaut)).values()))
    np.testing.assert_allclose(steady[:, :8], alone[:, :8], atol=1e-5)
    windows = steady[:96, 8:].reshape(12, 8, 7)
    assert np.ptp(windows, axis=1).max() < 1e-6 < np.ptp(alone[:8, 8:], axis=0).max()
    np.testing.assert_allclose(windows.mean(1), alone[:96, 8:].reshape(12, 8, 7).mean(1), atol=1e-3)


def test_frame_by_frame_of_a_temporal_model_is_its_frame_model(
    astronaut: Path, tiny_temporal: Path, tiny: Path
) -> None:
    with Predictor(tiny_temporal, temporal=False, device="cpu") as predictor:
        assert predictor.spec.name == "tiny" and not predictor.temporal
    with Predictor(tiny, temporal=True, device="cpu") as predictor:
        assert predictor.spec.name == "tiny-temporal" and predictor.temporal
    with pytest.raises(ModelError, match="no temporal part"):
        Predictor(tiny.parent / "tiny-ensemble", temporal=True)


def test_iterators_of_pictures_have_sequences_too(tiny_temporal: Path) -> None:
    pictures = (np.full((20, 20, 3), level, np.uint8) for level in range(0, 200, 10))
    with Predictor(tiny_temporal, device="cpu") as predictor:
        results = list(predictor.stream(pictures, aligned=True))
        assert len(results) == 20 and all(r.faces for r in results)
        with pytest.raises(SourceError, match="no times"):
            list(predictor.stream(np.zeros((3, 20, 20, 3), np.uint8), aligned=True, smooth_s=0.5))
