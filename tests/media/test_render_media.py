"""Annotated videos of sources whose clock or sound is odd."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media.odd_files import odd_avi
from media.odd_pictures import avi_with_sound, joined, number_of, transport_stream

from affectkit.outputs.video import VideoWriter
from affectkit.sources.opening import open_source


def render(source: Path, target: Path, **options: float) -> None:
    """What ``--render`` does, without the panels."""
    opened = open_source(source)
    sound = str(source) if opened.info.has_audio else None
    with VideoWriter(target, fps=opened.info.fps, sound_from=sound) as writer:
        for frame in opened.frames(**options):  # type: ignore[arg-type]
            writer.write(frame.image, frame.time_s)


def pictures(path: Path) -> tuple[list[float], list[int]]:
    """Times and numbers of the frames."""
    frames = list(open_source(path).frames())
    return [f.time_s for f in frames], [number_of(f.image) for f in frames]


def loudness(path: Path) -> np.ndarray:
    """Of every tenth of a second of the sound, as a player would hear it."""
    levels: dict[int, list[float]] = {}
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = frame.to_ndarray().astype(np.float64)
            wave = wave / (32768 if frame.format.name.startswith("s16") else 1)
            levels.setdefault(int((frame.time or 0) * 10), []).append(float(np.abs(wave).mean()))
    return np.array([float(np.mean(levels[k])) if k in levels else 0.0 for k in range(max(levels) + 1)])


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.mkv"])
def test_the_mp3_of_an_avi_comes_along_whole(tmp_path: Path, name: str, layout: str) -> None:
    """Of stereo the times ran backwards, which MP4 refuses: the sound ended after .2 s."""
    render(avi_with_sound(tmp_path / "s.avi", layout=layout), tmp_path / name)
    heard = loudness(tmp_path / name)
    assert 19 <= len(heard) <= 22 and heard[1:19].min() > 0.05


def test_sound_that_is_encoded_anew_lasts(tmp_path: Path) -> None:
    render(transport_stream(tmp_path / "s.ts", 50, start_s=3, sound=True), tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"  # MP2 is not copied
    heard = loudness(tmp_path / "o.mp4")
    assert 18 <= len(heard) <= 22 and heard[2:18].min() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", ["o.mp4", "o.mkv"])
@pytest.mark.parametrize("second_s", [10.4, 200.0, 3.0, 60.0])
def test_pieces_play_one_after_the_other(tmp_path: Path, name: str, second_s: float) -> None:
    """Overlapping, after a pause, and with a clock that went back, by less and by more than FFmpeg believes."""
    first = transport_stream(tmp_path / "a.ts", start_s=100 if second_s == 3 else 10, sound=True)
    second = transport_stream(tmp_path / "b.ts", start_s=second_s, first=25, sound=True)
    source = joined(tmp_path / "j.ts", first, second)
    times, _ = pictures(source)
    render(source, tmp_path / name)
    shown, which = pictures(tmp_path / name)
    assert which == sorted(which) and len(which) == len(times) >= 48
    steps = [b - a for a, b in pairwise(shown)]
    forward = [b - a for a, b in pairwise(times)]
    assert min(steps) > 0.035, "no flash"
    assert sum(step > 0.06 for step in steps) <= sum(step > 0.06 for step in forward)
    if second_s in (3.0, 10.4):  # played at once
        assert shown[-1] == pytest.approx(2, abs=0.15)
        heard = loudness(tmp_path / name)
        assert 17 <= len(heard) <= 23 and np.sort(heard)[3:].min() > 0.03


def test_a_pause_of_a_day_does_not_end_the_run(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "o.mp4", fps=25) as writer:
        for time_s in (0.0, 0.04, 90000.0, 90000.04):
            writer.write(np.full((64, 96, 3), 99, np.uint8), time_s)
    shown, _ = pictures(tmp_path / "o.mp4")
    assert shown == pytest.approx([0, 0.04, 0.08, 0.12], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["back", "slow"])
def test_an_odd_clock_ends_no_run_with_an_annotated_video(
    tmp_path: Path, kind: str, run_cli: Callable[..., tuple[int, str, str]], tiny: Path
) -> None:
    """One that goes back, and one of a frame in three years; both were exit code 1, and no table."""
    path = tmp_path / "j.ts"
    if kind == "back":
        parts = transport_stream(tmp_path / "a.ts", start_s=200), transport_stream(tmp_path / "b.ts", start_s=10)
        joined(path, *parts)
    else:
        path = odd_avi(tmp_path / "s.avi", scale=2**31 - 1)
    outputs = ["-o", tmp_path / "t.csv", "--render", tmp_path / "r.mp4"]
    code, _, err = run_cli("predict", path, *outputs, "--model", tiny, "-q")
    assert code == 0, err
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert len(rows) - 1 == len(pictures(tmp_path / "r.mp4")[0]) >= 5


def test_a_frame_that_is_late_by_a_little_is_no_piece(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "o.mkv", fps=25) as writer:
        for time_s in (0.0, 0.08, 0.04, 0.12, 0.16):
            writer.write(np.full((64, 96, 3), 99, np.uint8), time_s)
    shown, _ = pictures(tmp_path / "o.mkv")
    assert shown[-1] == pytest.approx(0.16, abs=2e-3)


def test_the_sound_of_a_later_part(tmp_path: Path) -> None:
    render(avi_with_sound(tmp_path / "s.avi"), tmp_path / "o.mp4", start_s=1.0)
    heard = loudness(tmp_path / "o.mp4")
    assert 8 <= len(heard) <= 12 and heard[1:8].min() > 0.05
