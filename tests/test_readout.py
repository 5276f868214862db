"""Decoding by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from affectkit import models
from affectkit.batch import batched
from affectkit.errors import EngineError
from affectkit.picture import RgbPicture
from affectkit.readout import check_outputs, decode_va, read_out, sigmoid, softmax
from affectkit.spec import ModelSpec
from affectkit.types import CroppedFrame, Frame, TrackedFrame


@pytest.fixture
def spec(tiny: Path) -> ModelSpec:
    return models.read_spec(tiny)


def outputs(members: int, faces: int) -> dict[str, np.ndarray]:
    return {
        "expression": np.zeros((members, faces, 7), np.float32),
        "au": np.zeros((members, faces, 8), np.float32),
        "va": np.zeros((members, faces, 40), np.float32),
    }


def test_softmax_and_sigmoid_do_not_overflow() -> None:
    assert softmax(np.array([1000.0, 1000.0])).tolist() == [0.5, 0.5]
    assert sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid(np.array(1.0)) == pytest.approx(1 / (1 + math.exp(-1)))


def test_va_is_the_expectation_over_the_bin_centres() -> None:
    logits = np.full(40, -50.0)
    logits[19] = 50  # valence: all in the last bin, centre 1
    logits[20 + 9] = logits[20 + 10] = 50  # arousal: half in each of the two middle bins
    assert decode_va(logits, 20) == pytest.approx([1.0, 0.0], abs=1e-9)
    logits[29], logits[30] = -50, -50
    logits[20] = logits[20 + 4] = 3.0
    # bins 0 and 4 have the centres -1 and -1 + 8/19
    assert decode_va(logits, 20)[1] == pytest.approx(-1 + 4 / 19, abs=1e-9)


def test_one_member(spec: ModelSpec) -> None:
    raw = outputs(1, 2)
    raw["expression"][0, 1, 4] = math.log(6)  # 6 to 1 for happiness: 6 / 12
    raw["au"][0, 0] = [-0.01, 0, 0.01, 5, -5, 0, 0, 0]
    first, second = read_out(raw, spec)
    assert first.expression_probabilities == pytest.approx(np.full(7, 1 / 7))
    assert first.expression_entropy == pytest.approx(math.log(7), rel=1e-5)
    assert first.au_active.tolist() == [False, True, True, True, False, True, True, True]
    assert first.au_std is None and first.valence_std is None
    assert second.expression == "happiness" and second.expressions["happiness"] == pytest.approx(0.5)
    assert (second.valence, second.arousal) == pytest.approx((0, 0))
    assert second.action_units["AU12"] == pytest.approx(0.5)


def test_members_are_averaged_as_probabilities(spec: ModelSpec) -> None:
    import dataclasses

    raw = outputs(2, 1)
    raw["au"][:, 0, 0] = [0, math.log(3)]  # .5 and .75
    raw["va"][0, 0, 19], raw["va"][1, 0, 0] = 100, 100  # valence 1 and -1
    (affect,) = read_out(raw, dataclasses.replace(spec, members=2))
    assert affect.au_probabilities[0] == pytest.approx(0.625)
    assert affect.au_std is not None and affect.au_std[0] == pytest.approx(0.125)
    assert affect.valence == pytest.approx(0) and affect.valence_std == pytest.approx(1)
    by_logits = dataclasses.replace(spec, members=2, ensemble="logits")
    (affect,) = read_out(raw, by_logits)
    assert affect.au_probabilities[0] == pytest.approx(1 / (1 + 3**-0.5))


def test_thresholds_are_inclusive(spec: ModelSpec) -> None:
    import dataclasses

    higher = dataclasses.replace(spec, au_thresholds=(0.5,) * 7 + (0.6,))
    (affect,) = read_out(outputs(1, 1), higher)
    assert affect.au_active.tolist() == [True] * 7 + [False]


def test_answers_that_do_not_fit_the_spec(spec: ModelSpec) -> None:
    raw = outputs(1, 3)
    check_outputs(raw, spec, 3)
    with pytest.raises(EngineError, match=r"'expression' should be \(1, 2, 7\), got \(1, 3, 7\)"):
        check_outputs(raw, spec, 2)
    del raw["va"]
    with pytest.raises(EngineError, match="'va' should be"):
        check_outputs(raw, spec, 3)


def frame(index: int, faces: int) -> CroppedFrame:
    picture = RgbPicture(np.zeros((4, 4, 3), np.uint8))
    return CroppedFrame(TrackedFrame(Frame(index, 0.0, picture, ""), ()), np.zeros((faces, 2, 2, 1), np.uint8))


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([1, 1, 1, 1, 1], [[0, 1, 2, 3], [4]]),
        ([3, 2, 2], [[0], [1, 2]]),
        ([9, 1], [[0], [1]]),
        ([0] * 7, [[0, 1, 2, 3, 4, 5], [6]]),
        ([], []),
    ],
)
def test_batches_are_whole_frames(faces: list[int], expected: list[list[int]]) -> None:
    frames = [frame(i, count) for i, count in enumerate(faces)]
    got = [[f.tracked.frame.index for f in batch] for batch in batched(frames, max_faces=4, max_frames=6, max_wait_s=9)]
    assert got == expected


def test_a_batch_that_has_waited_is_handed_on() -> None:
    batches = batched((frame(i, 1) for i in range(3)), max_faces=99, max_frames=99, max_wait_s=0)
    assert [len(batch) for batch in batches] == [1, 1, 1]
