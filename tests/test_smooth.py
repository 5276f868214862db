"""Smoothing, against hand-computed means."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref

import numpy as np
import pytest

from affectkit.errors import SourceError
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.runs.state import pack, unpack
from affectkit.smooth import Smoother


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


def gap(index: int, time_s: float, value: float, *, hidden: bool = False, nothing: bool = False) -> FrameResult:
    """A face whose first unit is hidden, or of which nothing can be seen; of a model that tells intensities."""
    (face,) = result(index, time_s, {0: value}).faces
    a = face.affect
    units = np.array([hidden or nothing] + [nothing] * 7)
    au = np.where(units, np.float32(np.nan), a.au_probabilities)
    affect = dataclasses.replace(a, au_probabilities=au, au_active=a.au_active & ~units, au_intensities=au / 2)
    if nothing:
        lost = np.full(7, np.nan, np.float32)
        affect = dataclasses.replace(affect, expression_probabilities=lost, valence=math.nan, arousal=math.nan)
    return FrameResult(index, time_s, (dataclasses.replace(face, affect=affect),), "clip")


@pytest.mark.parametrize("live", [False, True])
def test_hidden_units_stay_empty_and_count_for_no_other_frame(live: bool) -> None:
    values = [0.2, 0.9, 0.9, 0.2, 0.2]
    frames = [gap(i, 0.1 * i, v, hidden=i in (1, 2)) for i, v in enumerate(values)]
    smoother = Smoother(0.41, np.full(8, 0.5), live=live)
    affects = [r.faces[0].affect for r in run(smoother, frames)]
    assert [bool(a.au_hidden[0]) for a in affects] == [False, True, True, False, False]
    assert not any(a.au_hidden[1:].any() for a in affects)
    for affect in affects:
        if not affect.au_hidden[0]:
            assert affect.au_probabilities[0] == pytest.approx(0.2)  # of the frames that show it
            assert not affect.au_active[0]
        assert affect.au_intensities is not None
        np.testing.assert_allclose(affect.au_intensities, affect.au_probabilities / 2, rtol=1e-6)
    assert affects[2].au_probabilities[1] > 0.4  # the others are averaged as ever


@pytest.mark.parametrize("live", [False, True])
def test_a_face_that_is_seen_again_is_averaged_again(live: bool) -> None:
    frames = [gap(i, 0.1 * i, v, nothing=i == 2) for i, v in enumerate([0.0, 0.0, 0.5, 1.0, 1.0])]
    affects = [r.faces[0].affect for r in run(Smoother(0.3, np.full(8, 0.5), live=live), frames)]
    assert [a.expression == "" for a in affects] == [False, False, True, False, False]
    assert math.isnan(affects[2].valence) and affects[2].au_hidden.all()
    for affect in affects[3:]:
        assert 0 < affect.valence <= 1 and np.isfinite(affect.au_probabilities).all()
        assert affect.expression_probabilities.sum() == pytest.approx(1)
    if live:  # two tenths of a second later, whatever lay between
        assert affects[3].valence == pytest.approx(-math.expm1(-0.2 / 0.3))


def test_live_hidden_from_the_first_frame_on() -> None:
    frames = [gap(i, 0.1 * i, 0.4, hidden=i < 2) for i in range(4)]
    affects = [r.faces[0].affect for r in run(Smoother(0.3, np.full(8, 0.5), live=True), frames)]
    assert [bool(a.au_hidden[0]) for a in affects] == [True, True, False, False]
    assert affects[3].au_probabilities[0] == pytest.approx(0.4)


def test_live_forgets_who_is_gone() -> None:
    """A camera in a corridor sees a new face every second, for weeks."""
    smoother = Smoother(0.5, np.full(8, 0.5), live=True)
    for i in range(1000):
        smoother.push([result(i, float(i), {i: 0.5})])
        assert len(smoother.state()["last"]) <= 6
    assert smoother.push([result(1000, 999.5, {999: 1.0})])[0].faces[0].affect.valence > 0.5  # not yet


def test_frames_of_one_time_are_averaged() -> None:
    """Clocks of milliseconds give two frames of a fast camera the same time."""
    frames = [result(i, t, {0: v}) for i, (t, v) in enumerate([(0.0, 0.0), (0.1, 0.2), (0.1, 0.4), (0.2, 1.0)])]
    assert valences(run(Smoother(0.2, np.full(8, 0.5)), frames)) == pytest.approx([0.2, 0.4, 0.4, 1.6 / 3])
    live = valences(run(Smoother(0.2, np.full(8, 0.5), live=True), frames))
    assert live[2] == pytest.approx(live[1]) and live[3] > live[2]  # no time has passed between them


def test_what_waits_for_its_means_keeps_no_pictures() -> None:
    """Pictures are large; those that were given back belong to their receiver alone."""
    smoother, alive = Smoother(0.4, np.full(8, 0.5)), []
    given = 0
    for i in range(50):
        image = np.zeros((4, 4, 3), np.uint8)
        alive.append(weakref.ref(image))
        done = smoother.push([dataclasses.replace(result(i, i / 25, {0: 0.5}), image=image)])
        del image
        assert all(r.image is not None for r in done)
        given += len(done)
        del done
    gc.collect()
    assert given > 40 and sum(ref() is not None for ref in alive) == 50 - given
