"""The temporal part by itself: windows over features, with a network whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from affectkit.runs.state import pack, unpack
from affectkit.temporal import TemporalBuffer
from affectkit.types import Array
from affectkit.windows import WindowConfig, paper_windows, run_sequence, taper

LENGTH = 8


def network(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Answers with the frame's own number, the first and last number of its window, and the window's length."""
    features = inputs["features"]
    assert features.dtype == np.float32 and features.flags.c_contiguous
    own = features[:, :, :, 0, 0]
    first, last = (np.broadcast_to(own[:, :, [at]], own.shape) for at in (0, -1))
    return {"expression": np.stack([own, first, last], -1), "au": own[..., None], "va": own[..., None] * 2}


@pytest.mark.parametrize("count", [1, 5, 31, 32, 33, 70])
def test_paper_windows_answer_every_frame_once(count: int) -> None:
    features = np.zeros((2, count, 3, 4))
    features[:, :, 0, 0] = np.arange(count)
    logits = run_sequence(network, features, 32)
    assert logits["au"][..., 0].tolist() == [list(range(count))] * 2
    starts = [0] * min(count, 32) + [1] * (count == 33) + ([32] * 32 + [38] * 6 if count == 70 else [])
    assert logits["expression"][0, :, 1].tolist() == starts


Seen = tuple[int, float, bool, dict[int, float]]
"""Item, time, whether a cut precedes it, value of the features of each track."""


def go(
    frames: Sequence[Seen], config: WindowConfig, *, batch: int = 5, interrupted: int | None = None
) -> dict[int, dict[int, Array]]:
    """Item -> track -> (own, first, last) of the answer; asserts that frames come back once and in order."""
    buffer = TemporalBuffer[int](network, config)
    answers: dict[int, dict[int, Array]] = {}
    order: list[int] = []

    def take(ready: list[tuple[int, list[dict[str, Array]]]]) -> None:
        for item, logits in ready:
            order.append(item)
            tracks = next(f for f in frames if f[0] == item)[3]
            assert len(logits) == len(tracks)
            answers[item] = {track: one["expression"][0] for track, one in zip(tracks, logits, strict=True)}
            for track, one in zip(tracks, logits, strict=True):
                assert one["va"][0, 0] == pytest.approx(2 * tracks[track], abs=1e-4)

    for start in range(0, len(frames), batch):
        part = frames[start : start + batch]
        take(buffer.push((item, time_s, cut, list(tracks), _features(tracks)) for item, time_s, cut, tracks in part))
        if interrupted is not None and start <= interrupted < start + batch:
            state = unpack(pack(buffer.state()), "here")
            buffer = TemporalBuffer[int](network, config)
            buffer.restore(state)
    take(buffer.flush())
    assert order == [item for item, *_ in frames]
    return answers


def _features(tracks: dict[int, float]) -> Array:
    values = np.array(list(tracks.values()), np.float32).reshape(1, -1, 1, 1)
    return np.broadcast_to(values, (1, len(tracks), 3, 2))


def one_face(count: int, *, fps: float = 25) -> list[Seen]:
    return [(i, i / fps, False, {0: float(i)}) for i in range(count)]


def overlapping(count: int, length: int) -> np.ndarray:
    """(N, 3) what the rule in affectkit.temporal says, written down frame by frame."""
    if count < length:
        return np.array([[i, 0, count - 1] for i in range(count)], float)
    hop = length // 2
    starts = list(range(0, count - length + 1, hop))
    total, weight = np.zeros((count, 3)), np.zeros(count)
    for start in starts:
        for t, w in enumerate(taper(length)):
            total[start + t] += w * np.array([start + t, start, start + length - 1])
            weight[start + t] += w
    complete = starts[-1] + hop  # frames before it have been in all regular windows
    if starts[-1] + length < count:
        for t, w in enumerate(taper(length)):
            i = count - length + t
            if i >= complete:
                total[i] += w * np.array([i, count - length, count - 1])
                weight[i] += w
    return total / weight[:, None]


@pytest.mark.parametrize("count", [1, 5, 7, 8, 9, 11, 12, 13, 31, 32, 33, 1000])
@pytest.mark.parametrize("batch", [1, 7])
def test_overlapping_windows_are_averaged_with_a_taper(count: int, batch: int) -> None:
    answers = go(one_face(count), WindowConfig(LENGTH), batch=batch)
    got = np.array([answers[i][0] for i in range(count)])
    np.testing.assert_allclose(got, overlapping(count, LENGTH), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("count", [1, 5, 8, 9, 15, 16, 17, 33])
def test_paper_mode_is_run_sequence(count: int) -> None:
    answers = go(one_face(count), WindowConfig(LENGTH, "paper"))
    features = np.zeros((1, count, 3, 2))
    features[:, :, 0, 0] = np.arange(count)
    want = run_sequence(network, features, LENGTH)["expression"][0]
    np.testing.assert_array_equal([answers[i][0] for i in range(count)], want)
    assert paper_windows(17, 8) == [(0, 8), (8, 16), (9, 17)]


@pytest.mark.parametrize("lookahead", [0, 3, 7])
@pytest.mark.parametrize("batch", [1, 6])
def test_live_answers_from_the_last_frames_that_are_known(lookahead: int, batch: int) -> None:
    count = 30
    answers = go(one_face(count), WindowConfig(LENGTH, "live", lookahead), batch=batch)
    for i in range(count):
        last = min(i + lookahead, count - 1)
        assert answers[i][0].tolist() == [i, max(0, last - LENGTH + 1), last]


def test_live_gives_a_frame_back_as_soon_as_it_may() -> None:
    buffer = TemporalBuffer[int](network, WindowConfig(LENGTH, "live", 2))
    delays = []
    for item, time_s, cut, tracks in one_face(10):
        ready = buffer.push([(item, time_s, cut, list(tracks), _features(tracks))])
        delays += [item - done for done, _ in ready]
    assert delays == [2] * 8
    assert [item for item, _ in buffer.flush()] == [8, 9]


@pytest.mark.parametrize("mode", ["overlap", "paper", "live"])
def test_short_gaps_are_closed_and_long_ones_begin_anew(mode: str) -> None:
    def frames(missing: range) -> list[Seen]:
        return [(i, i / 10, False, {} if i in missing else {0: float(i)}) for i in range(24)]

    config = WindowConfig(LENGTH, mode, max_gap_s=0.5)  # type: ignore[arg-type]
    bridged = go(frames(range(4, 9)), config)  # missing from .4 to .8 s: seen again after .5 s
    assert bridged[9][0][1] < 4 and 4 not in bridged[4]
    again = go(frames(range(4, 10)), config)
    assert again[10][0][1] == 10 and again[3][0][2] == 3


def test_a_cut_and_a_stalled_source_begin_anew() -> None:
    cut = [(i, i / 25, i == 6, {0: float(i)}) for i in range(12)]
    answers = go(cut, WindowConfig(LENGTH))
    assert answers[5][0].tolist() == [5, 0, 5] and answers[6][0].tolist() == [6, 6, 11]
    stalled = [(i, i / 25 + 3 * (i >= 6), False, {0: float(i)}) for i in range(12)]
    assert go(stalled, WindowConfig(LENGTH))[6][0].tolist() == [6, 6, 11]
    backwards = [(i, (i % 6) / 25, False, {0: float(i)}) for i in range(12)]
    assert go(backwards, WindowConfig(LENGTH))[6][0].tolist() == [6, 6, 11]


def test_frames_far_apart_by_choice_are_no_gap() -> None:
    answers = go(one_face(6, fps=0.5), WindowConfig(LENGTH, max_gap_s=0.5))
    assert answers[0][0].tolist() == [0, 0, 5]


def test_a_source_that_became_slow_for_good_is_a_sequence_again() -> None:
    times = [i / 25 for i in range(5)] + [0.2 + 0.6 * i for i in range(1, 9)]
    answers = go([(i, t, False, {0: float(i)}) for i, t in enumerate(times)], WindowConfig(LENGTH))
    assert answers[4][0].tolist() == [4, 0, 4] and answers[5][0].tolist() == [5, 5, 12]


def test_pictures_without_times_are_a_sequence() -> None:
    frames: list[Seen] = [(i, math.nan, False, {0: float(i)}) for i in range(6)]
    assert go(frames, WindowConfig(LENGTH))[0][0].tolist() == [0, 0, 5]


def crowd(count: int) -> list[Seen]:
    """Three tracks that come and go."""
    return [
        (
            i,
            i / 25,
            False,
            {t: float(100 * t + i) for t in range(3) if not (t == 1 and 10 <= i < 14) and not (t == 2 and i < 17)},
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("mode", ["overlap", "paper", "live"])
def test_tracks_do_not_mix_and_batches_do_not_matter(mode: str) -> None:
    config = WindowConfig(LENGTH, mode, 3 if mode == "live" else 0)  # type: ignore[arg-type]
    frames = crowd(60)
    together = go(frames, config, batch=60)
    for batch in (1, 7, 32):
        apart = go(frames, config, batch=batch)
        for item, tracks in together.items():
            for track, answer in tracks.items():
                np.testing.assert_allclose(apart[item][track], answer, atol=1e-4)
                assert answer[0] == pytest.approx(100 * track + item, abs=1e-3)


@pytest.mark.parametrize("mode", ["overlap", "paper", "live"])
@pytest.mark.parametrize("interrupted", [0, 12, 29, 47])
def test_goes_on_from_its_state_to_the_same_numbers(mode: str, interrupted: int) -> None:
    config = WindowConfig(LENGTH, mode, 3 if mode == "live" else 0)  # type: ignore[arg-type]
    whole, again = (go(crowd(60), config, interrupted=at) for at in (None, interrupted))
    for item, tracks in whole.items():
        for track, answer in tracks.items():
            np.testing.assert_array_equal(again[item][track], answer)


@pytest.mark.parametrize("mode", ["overlap", "paper", "live"])
def test_what_is_kept_is_bounded(mode: str) -> None:
    buffer = TemporalBuffer[int](network, WindowConfig(LENGTH, mode))  # type: ignore[arg-type]
    for item, time_s, cut, tracks in one_face(2000):
        buffer.push([(item, time_s, cut, list(tracks), _features(tracks))])
        state = buffer.state()
        assert len(state["pending"]) <= 2 * LENGTH
        assert sum(len(entries) for *_, entries in state["sequences"]) <= 2 * LENGTH


def test_impossible_windows_are_refused() -> None:
    for wrong in ({"mode": "other"}, {"lookahead": 1}, {"mode": "live", "lookahead": 8}, {"max_gap_s": -1}):
        with pytest.raises(ValueError):
            WindowConfig(LENGTH, **wrong)  # type: ignore[arg-type]


def test_the_taper_by_hand() -> None:
    assert taper(8).tolist() == [1, 2, 3, 4, 4, 3, 2, 1]
    assert taper(5).tolist() == [1, 2, 3, 2, 1] and taper(1).tolist() == [1]


def test_a_frame_of_two_windows_by_hand() -> None:
    """Frame 5 is the sixth of the window 0 .. 7, weight 3, and the second of 4 .. 11, weight 2."""
    answer = go(one_face(12), WindowConfig(LENGTH))[5][0]
    assert answer.tolist() == pytest.approx([5, (3 * 0 + 2 * 4) / 5, (3 * 7 + 2 * 11) / 5])
