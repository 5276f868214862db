"""Smoothing, against hand-computed means."""

from __future__ import annotations

import math

import numpy as np
import pytest

from affectkit.errors import SourceError
from affectkit.smooth import Smoother
from affectkit.state import pack, unpack
from affectkit.types import Affect, Face, FrameResult


def result(index: int, time_s: float, values: dict[int, float], *, cut: bool = False) -> FrameResult:
    faces = []
    for track, value in values.items():
        expression = np.zeros(7, np.float32)
        expression[0], expression[4] = 1 - value, value
        au = np.full(8, value, np.float32)
        affect = Affect(expression, au, au >= 0.5, value, -value)
        faces.append(Face(track, (0.0, 0.0, 1.0, 1.0), 1.0, np.zeros((5, 2), np.float32), affect))
    return FrameResult(index, time_s, tuple(faces), "clip", cut=cut)


def valences(results: list[FrameResult], track: int = 0) -> list[float]:
    return [face.affect.valence for r in results for face in r.faces if face.track_id == track]


def run(smoother: Smoother, results: list[FrameResult]) -> list[FrameResult]:
    ready = [r for one in results for r in smoother.push([one])]
    ready += smoother.flush()
    assert [r.index for r in ready] == [r.index for r in results]
    return ready


def test_the_centred_mean_goes_by_real_time() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 1.0, 1.05]
    out = run(Smoother(0.2, np.full(8, 0.5)), [result(i, t, {0: 0.1 * i}) for i, t in enumerate(times)])
    assert valences(out) == pytest.approx([0.05, 0.1, 0.2, 0.25, 0.45, 0.45])
    affect = out[5].faces[0].affect
    assert affect.arousal == pytest.approx(-0.45) and affect.au_probabilities == pytest.approx(0.45)
    assert affect.expression_probabilities.sum() == pytest.approx(1)


def test_decisions_follow_from_the_means() -> None:
    out = run(Smoother(1.0, np.full(8, 0.5)), [result(i, 0.1 * i, {0: v}) for i, v in enumerate([0.9, 0.9, 0.0])])
    assert [bool(r.faces[0].affect.au_active[0]) for r in out] == [True] * 3
    assert [r.faces[0].affect.expression for r in out] == ["happiness"] * 3


def test_live_is_an_exponential_average_of_the_past() -> None:
    out = run(Smoother(0.5, np.full(8, 0.5), live=True), [result(0, 0.0, {0: 0.0}), result(1, 0.5, {0: 1.0})])
    assert valences(out) == pytest.approx([0.0, 1 - math.exp(-1)])
    first = Smoother(0.5, np.full(8, 0.5), live=True)
    assert valences(first.push([result(0, 0.0, {0: 0.3})])) == pytest.approx([0.3])  # at once


@pytest.mark.parametrize("live", [False, True])
def test_nothing_is_averaged_over_a_cut_or_between_people(live: bool) -> None:
    frames = [result(0, 0.0, {0: 0.0, 1: 1.0}), result(1, 0.1, {0: 0.0, 1: 1.0}), result(2, 0.2, {0: 1.0}, cut=True)]
    out = run(Smoother(5.0, np.full(8, 0.5), live=live), frames)
    assert valences(out) == [0.0, 0.0, 1.0] and valences(out, 1) == [1.0, 1.0]


def test_what_has_no_times_is_refused() -> None:
    with pytest.raises(SourceError, match="no times"):
        Smoother(0.2, np.full(8, 0.5)).push([result(0, math.nan, {0: 0.0})])
    with pytest.raises(ValueError, match="positive"):
        Smoother(0.0, np.full(8, 0.5))


@pytest.mark.parametrize("live", [False, True])
def test_goes_on_from_its_state(live: bool) -> None:
    rng = np.random.default_rng(0)
    frames = [result(i, i / 25, {0: float(rng.random()), 1: float(rng.random())}) for i in range(40)]
    whole = run(Smoother(0.3, np.full(8, 0.5), live=live), frames)
    before = Smoother(0.3, np.full(8, 0.5), live=live)
    ready = before.push(frames[:17])
    after = Smoother(0.3, np.full(8, 0.5), live=live)
    after.restore(unpack(pack(before.state()), "here"))
    ready += after.push(frames[17:]) + after.flush()
    assert valences(ready) == valences(whole) and valences(ready, 1) == valences(whole, 1)
    assert len(before.state()["held"]) <= 12


def test_little_is_held() -> None:
    smoother = Smoother(0.4, np.full(8, 0.5))
    for i in range(1000):
        smoother.push([result(i, i / 25, {0: 0.5})])
        assert len(smoother.state()["held"]) <= 12
