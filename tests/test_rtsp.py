"""What is said of RTSP, by a real server: recordings and cameras that end, break off, come back, or fall silent."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rtsp_server import END, RtspServer, Showing
from synthetic import write_clip

from affectkit.sources import gate
from affectkit.sources.live import LiveSource
from affectkit.sources.opening import open_source

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
BROKEN = pytest.mark.parametrize("end", ["bye", "close", "reset"])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames in two seconds, each of several packets of RTP."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(100)]
    return write_clip(tmp_path_factory.mktemp("clip") / "noise.mp4", noise, fps=50)


def live(run_cli: Run, url: str, tiny: Path) -> tuple[int, list[dict[str, Any]], str]:
    code, out, err = run_cli("live", url, "--no-window", "--model", tiny)
    return code, [json.loads(line) for line in out.splitlines()], err


@pytest.mark.parametrize("sound", [False, True])
def test_a_recording_that_is_played_to_its_end(
    clip: Path, tiny: Path, run_cli: Run, tmp_path: Path, sound: bool
) -> None:
    with RtspServer(clip, [Showing()], length_s=2.0, sound=sound) as server:
        code, rows, err = live(run_cli, server.url, tiny)
    assert code == 0 and "of 100 frames shown" in err and "reconnects" not in err and "error" not in err
    assert rows[-1]["frame"] == 99
    assert server.asked == ["OPTIONS", "DESCRIBE", *["SETUP"] * (2 + sound), "PLAY", "TEARDOWN"]
    with RtspServer(clip, [Showing()] * 2, length_s=2.0, sound=sound) as server:  # it is opened twice
        code, _, err = run_cli("predict", server.url, "-o", tmp_path / "t.csv", "--model", tiny)
    meta = json.loads((tmp_path / "t.csv.meta.json").read_text())
    assert code == 0 and meta["complete"] is True and "warning" not in err
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 101


@BROKEN
@pytest.mark.parametrize("sound", [False, True])
def test_a_recording_that_breaks_off_is_not_complete(
    clip: Path, tiny: Path, run_cli: Run, tmp_path: Path, end: END, sound: bool
) -> None:
    """Goodbye in the middle, or none at all: the length that was announced says that something is missing."""
    with RtspServer(clip, [Showing(20, end), Showing()], length_s=2.0, sound=sound) as server:
        code, rows, err = live(run_cli, server.url, tiny)
    assert code == 1 and "of 2.0 s" in err and "reconnects" not in err and rows
    assert server.asked.count("PLAY") == 1  # played again, it would begin at its first frame
    with RtspServer(clip, [Showing(), Showing(20, end)], length_s=2.0, sound=sound) as server:
        code, _, err = run_cli("predict", server.url, "-o", tmp_path / "t.csv", "--model", tiny)
    meta = json.loads((tmp_path / "t.csv.meta.json").read_text())
    assert code == 0 and meta["complete"] is False and "the recording ends early" in err
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 21  # what came is told, as of a damaged file


@BROKEN
def test_a_camera_that_breaks_off_and_comes_back(clip: Path, end: END) -> None:
    with RtspServer(clip, [Showing(30, end), Showing(30, end), Showing(30)], pace=2) as server:
        source = LiveSource(server.url, retry_s=1.0)
        frames = list(source.frames())
    report = source.report
    assert report.frames == 90 and report.reconnects == 2  # the tries after the third led to nothing, and do not count
    assert not report.complete and "did not come back" in report.problem
    times = [frame.time_s for frame in frames]
    assert times == sorted(times) and len(set(times)) == len(times) and frames[-1].index >= 60
    assert server.asked.count("DESCRIBE") > server.asked.count("PLAY") == 3


def test_what_the_command_says_of_a_camera(clip: Path, tiny: Path) -> None:
    with RtspServer(clip, [Showing(30, "close"), Showing(80)], pace=1) as server:
        command = [sys.executable, "-m", "affectkit", "live", server.url, "--no-window", "--model", str(tiny)]
        done = subprocess.run([*command, "--seconds", "1.2"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "1 reconnects" in done.stderr, done.stderr  # it was ended, and ran then
    assert "broke off (ended); trying again" in done.stderr


def test_a_camera_is_no_file(clip: Path, tiny: Path, run_cli: Run, tmp_path: Path) -> None:
    """It announces no end: where one was asked for, that is all; else its end was none of its own."""
    with RtspServer(clip, [Showing()] * 2) as server:
        code, _, err = run_cli("predict", server.url, "-o", tmp_path / "a.csv", "--model", tiny, "--end", "1")
    assert code == 0 and json.loads((tmp_path / "a.csv.meta.json").read_text())["complete"] is True
    with RtspServer(clip, [Showing()] * 2) as server:
        code, _, err = run_cli("predict", server.url, "-o", tmp_path / "b.csv", "--model", tiny)
    assert code == 0 and json.loads((tmp_path / "b.csv.meta.json").read_text())["complete"] is False
    assert "had announced no end" in err


def test_one_that_falls_silent(clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A camera is opened again after some time without an answer; a recording has ended, and is not complete."""
    monkeypatch.setattr(gate, "_READS_IN_S", 1.5)
    with caplog.at_level(logging.WARNING), RtspServer(clip, [Showing(60, "silence"), Showing(60)], pace=2) as server:
        source = LiveSource(server.url, retry_s=0.5, stall_s=0.3)
        assert list(source.frames())
        assert source.report.frames == 120 and source.report.reconnects == 1 and source.report.stalls >= 1
        assert "broke off (no answer in time)" in caplog.text
    with RtspServer(clip, [Showing(60, "silence"), Showing()], length_s=2.4) as server:
        source = LiveSource(server.url, stall_s=0.3)
        assert list(source.frames())
        assert source.report.frames == 60 and source.report.reconnects == 0
        assert not source.report.complete and source.report.problem == "reading stopped: no answer in time"
    with RtspServer(clip, [Showing(), Showing(60, "silence")], length_s=2.4) as server:
        film = open_source(server.url)
        assert len(list(film.frames())) == 60 and not film.report.complete
        assert film.report.problem == "the recording ends early: its last 1.2 s are missing"


def test_nothing_there(clip: Path, tiny: Path, run_cli: Run) -> None:
    with RtspServer(clip, []) as server:
        code, rows, err = live(run_cli, server.url, tiny)
    assert code == 1 and not rows and "cannot be opened (Server returned 404 Not Found)" in err
