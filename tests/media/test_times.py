"""Times that are not there, not right, or not in order."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from media.odd_files import broken_time_base
from media.odd_pictures import (
    avi_with_sound,
    copied_with_decoding_times,
    joined,
    number_of,
    raw_stream,
    transport_stream,
    without_first_times,
)
from synthetic import grey_frames, write_clip

from affectkit.sources.base import Source
from affectkit.sources.opening import open_source
from affectkit.sources.timing import Clock


def read(path: Path, **options: float) -> tuple[Source, list[float], list[int]]:
    """The source, the times of its frames, and which of the grey frames they are."""
    source = open_source(path)
    frames = list(source.frames(**options))  # type: ignore[arg-type]
    return source, [f.time_s for f in frames], [number_of(f.image) for f in frames]


@pytest.mark.parametrize(("name", "codec"), [("c.h264", "libx264"), ("c.m2v", "mpeg2video")])
def test_a_raw_stream_has_the_rate_that_it_names(tmp_path: Path, name: str, codec: str) -> None:
    source, times, _ = read(raw_stream(tmp_path / name, codec=codec))
    assert source.info.fps == pytest.approx(30)
    assert [b - a for a, b in pairwise(times)] == pytest.approx([1 / 30] * 11)


def test_a_raw_stream_tells_that_its_times_are_made_up(tmp_path: Path) -> None:
    path = raw_stream(tmp_path / "c.h264")
    source, _, _ = read(path)
    assert source.report.times == {"from": "made up", "made_up": 12, "rate": 30, "rate_from": "the stream"}
    source = open_source(path, fps=60)
    assert [f.time_s for f in source.frames()] == pytest.approx([i / 60 for i in range(12)])
    assert source.report.times == {"from": "made up", "made_up": 12, "rate": 60, "rate_from": "as given"}
    assert source.info.fps == 60


@pytest.mark.parametrize("bf", [0, 2])
def test_an_avi_with_frames_that_were_never_recorded(tmp_path: Path, bf: int) -> None:
    gone = (5, 6, 7, 20, 44)
    source, times, which = read(avi_with_sound(tmp_path / "d.avi", left_out=gone, bf=bf))
    kept = [i for i in range(50) if i not in gone]
    assert which == kept
    # FFmpeg leaves one more out behind the first, where the sound begins before the pictures.
    steps = [b - a for a, b in pairwise(times)][1:]
    assert steps == pytest.approx([(b - a) / 25 for a, b in pairwise(kept)][1:])
    assert source.report.complete and not source.report.problem
    assert source.report.times is not None and "AVI" in source.report.times["from"]


def test_an_avi_that_was_cut_is_told(tmp_path: Path) -> None:
    path = avi_with_sound(tmp_path / "d.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    source, times, _ = read(path)
    assert 15 < len(times) < 45 and not source.report.complete and "ends early" in source.report.problem


def test_decoding_times_that_were_copied_as_presentation_times(tmp_path: Path) -> None:
    source, times, which = read(copied_with_decoding_times(tmp_path / "x.mp4"))
    assert which == list(range(40))
    assert times == pytest.approx([i / 25 for i in range(40)], abs=1e-3)
    assert source.report.times is not None and "decoding times" in source.report.times["from"]


def test_pictures_without_a_time_come_before_the_first_that_has_one(tmp_path: Path) -> None:
    path = without_first_times(transport_stream(tmp_path / "t.ts", 20, start_s=10), 6)
    source, times, which = read(path)
    assert which == list(range(20))
    assert all(a < b for a, b in pairwise(times))
    assert [b - a for a, b in pairwise(times)] == pytest.approx([1 / 25] * 19, abs=1e-3)
    _, late, which = read(path, start_s=times[8])
    assert which == list(range(8, 20)) and late == times[8:]
    assert source.report.complete


def test_a_clock_that_goes_back_is_no_pause_of_a_day(tmp_path: Path) -> None:
    """FFmpeg takes it for one that has come round after 26.5 hours."""
    first = transport_stream(tmp_path / "a.ts", start_s=200)
    second = transport_stream(tmp_path / "b.ts", start_s=10, first=25)
    source, times, which = read(joined(tmp_path / "j.ts", first, second))
    assert which[:20] == list(range(20)) and len(times) >= 48
    assert max(times) < 300 and sum(b < a for a, b in pairwise(times)) == 1
    assert "ends early" not in source.report.problem


def times_of(clip: Path, given: list[float | None]) -> list[float]:
    """The clock's times for frames that say these times themselves, or none."""
    with av.open(str(clip)) as container:
        clock, times = Clock(container, container.streams.video[0]), []
        for time_s in given:
            frame = av.VideoFrame(16, 16, "gray")
            frame.time_base, frame.dts = Fraction(1, 1000), None
            frame.pts = None if time_s is None else round(1000 * time_s)
            times.append(clock.time_of(frame))
    return times


def test_a_made_up_time_that_went_too_far_by_rounding_shifts_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(3))  # 25 a second
    assert times_of(clip, [0, 0.04, None, 0.12, 0.16]) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    # Less than a step behind what was made up: it comes right after that, and the clock is as it was.
    assert times_of(clip, [0, 0.04, None, 0.07, 0.12]) == pytest.approx([0, 0.04, 0.08, 0.08004, 0.12])
    # A step and more: the file's clock begins there, and stays behind by as much.
    assert times_of(clip, [0, 0.04, None, 0.03, 0.07]) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_an_array_has_no_times_to_tell_of() -> None:
    import numpy as np

    source = open_source(np.zeros((2, 8, 8, 3), np.uint8))
    assert all(math.isnan(f.time_s) for f in source.frames()) and source.report.times is None


def test_an_edit_list_that_leaves_pictures_out_is_told(tmp_path: Path) -> None:
    """With broken clocks it shows 200 s of five pictures that lie 640 s apart: one, which FFmpeg hands over."""
    source = open_source(broken_time_base(tmp_path / "c.mp4", 1))
    assert [f.time_s for f in source.frames()] == [0]
    assert source.report.complete and source.report.times is not None
    assert source.report.times["left_out_by_edit_list"] == 4
    whole = open_source(write_clip(tmp_path / "w.mp4", grey_frames(5)))
    assert len(list(whole.frames())) == 5 and "left_out_by_edit_list" not in (whole.report.times or {})
