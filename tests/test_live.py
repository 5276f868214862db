"""Sources that go on by themselves, and what is made of their frames."""

from __future__ import annotations

import http.server
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from synthetic import grey_frames, write_clip

from affectkit import Predictor
from affectkit.errors import SourceError
from affectkit.face_results import FrameResult
from affectkit.sources.live import LiveSource, _Shown
from affectkit.sources.opening import open_source

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 frames in half a second."""
    return write_clip(tmp_path_factory.mktemp("clip") / "short.ts", grey_frames(25), fps=50)


def level(image: np.ndarray) -> int:
    """Number of a frame of grey_frames."""
    return round((float(image.mean()) - 20) / 2)


def test_a_file_is_shown_at_its_own_pace(clip: Path) -> None:
    source = LiveSource(clip)
    began = time.monotonic()
    frames = list(source.frames())
    assert time.monotonic() - began > 0.4
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert all(abs(level(frame.image) - frame.index) <= 1 for frame in frames)
    assert all(frame.time_s == pytest.approx(frame.index / 50, abs=0.002) for frame in frames)
    assert source.report.frames == 25 and source.report.dropped == 25 - len(frames)


def test_the_newest_frame_wins_and_the_others_are_counted(clip: Path) -> None:
    source = LiveSource(clip)
    taken = []
    for frame in source.frames():
        taken.append(frame.index)
        time.sleep(0.1)
    assert len(taken) <= 8 and taken == sorted(taken)
    assert source.report.dropped == 25 - len(taken) >= 15


def test_a_pipe(clip: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()))
    writer.start()
    source = LiveSource(pipe)
    indices = [frame.index for frame in source.frames()]
    writer.join()
    assert indices and source.report.frames == 25 and source.report.complete


class Flaky(http.server.BaseHTTPRequestHandler):
    """Serves each of ``parts`` to one connection, then only errors."""

    parts: list[bytes] = []  # noqa: RUF012  (set by the test)

    def do_GET(self) -> None:
        if not self.parts:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        self.wfile.write(self.parts.pop(0))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Flaky) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/stream.ts"
        running.shutdown()
        thread.join()


def test_a_stream_that_breaks_off_is_opened_again(clip: Path, server: str) -> None:
    Flaky.parts = [clip.read_bytes(), clip.read_bytes()]
    source = LiveSource(server, retry_s=1.0)
    frames = list(source.frames())
    report = source.report
    assert report.frames == 50 and report.reconnects == 1  # it came back once; the tries after that led to nothing
    assert not report.complete and "did not come back" in report.problem
    times = [frame.time_s for frame in frames]
    assert times == sorted(times) and frames[-1].index > 24 and times[-1] > 0.2


@pytest.mark.slow
def test_a_recording_that_breaks_off_is_not_complete(tmp_path: Path, tiny: Path, run_cli: Callable[..., Any]) -> None:
    """Played as it would be by a server: it says how long it is, and ends long before."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(100)]
    whole = write_clip(tmp_path / "whole.mp4", noise, fps=50)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 4])
    for path, complete in ((whole, True), (cut, False)):
        source = LiveSource(path)
        assert list(source.frames()) and source.report.complete is complete, source.report
    assert "of 2.0 s" in source.report.problem
    code, _, err = run_cli("live", cut, "--no-window", "--model", tiny)
    assert code == 1 and "ended after" in err


def test_a_stream_that_never_opens_is_an_error_at_once(server: str) -> None:
    Flaky.parts = []
    with pytest.raises(SourceError, match="cannot be opened"):
        list(LiveSource(server).frames())
    with pytest.raises(SourceError, match="no such file"):
        LiveSource("nowhere.mp4")


def test_a_picture_that_changes_its_size(tmp_path: Path, tiny: Path) -> None:
    small = write_clip(tmp_path / "a.ts", grey_frames(20), fps=50).read_bytes()
    large = write_clip(tmp_path / "b.ts", grey_frames(20, height=128, width=192), fps=50).read_bytes()
    (tmp_path / "both.ts").write_bytes(small + large)
    source = LiveSource(tmp_path / "both.ts")
    sizes = {frame.image.shape for frame in source.frames()}
    assert sizes == {(64, 96, 3), (128, 192, 3)} and source.report.resized == 1


def test_a_silent_source_is_reported_and_can_be_left(
    tmp_path: Path, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held = threading.Event()

    def write() -> None:
        with pipe.open("wb") as file:
            file.write(clip.read_bytes() * 3)
            file.flush()
            held.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    source = LiveSource(pipe, stall_s=0.3)
    ender = threading.Timer(2.0, source.close)
    with caplog.at_level(logging.WARNING):
        ender.start()
        frames = list(source.frames())
    held.set()
    writer.join()
    ender.join()
    assert frames and source.report.stalls == 1 and "no picture for" in caplog.text


def test_a_camera(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cv2.VideoCapture
    opened: list[int] = []

    def capture(number: int) -> cv2.VideoCapture:
        opened.append(number)
        return real(str(clip)) if len(opened) == 1 else real("/nowhere")

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    source = LiveSource("0", retry_s=0.1)
    frames = list(source.frames())
    assert set(opened) == {0} and source.report.frames == 25
    assert all(abs(level(frame.image) - frame.index) <= 1 for frame in frames)
    assert source.info.name == "camera 0" and "did not come back" in source.report.problem


def values(results: list[FrameResult]) -> list[tuple[int, list[float]]]:
    return [(r.index, [v for f in r.faces for v in (*f.affect.au_probabilities, f.affect.valence)]) for r in results]


@pytest.mark.parametrize("lookahead", [0, 5])
def test_live_and_a_file_in_live_mode_give_the_same_numbers(
    astronaut: Path, tiny_temporal: Path, lookahead: int
) -> None:
    with Predictor(tiny_temporal, device="cpu") as predictor:
        session, other = (predictor.session(lookahead=lookahead, smooth_s=0.2) for _ in range(2))
        taken: list[FrameResult] = []
        pushed: list[FrameResult] = []
        for frame in open_source(astronaut).frames():
            ready = session.take(frame)
            assert len(ready) == (frame.index >= lookahead)
            taken += ready
            pushed += other.push(frame.image, frame.time_s)
        taken += session.flush()
        pushed += other.flush()
        streamed = list(predictor.stream(astronaut, window="live", lookahead=lookahead, smooth_s=0.2))
    assert len(taken) == 100 and [r.lookahead for r in taken] == [lookahead] * 100
    for (i, a), (j, b), (k, c) in zip(values(taken), values(streamed), values(pushed), strict=True):
        assert i == j == k and a == pytest.approx(b, abs=1e-5)
        assert c == pytest.approx(a, abs=0.02), (
            "faces cut from RGB are rounded otherwise than those cut from the planes"
        )


def test_push_remembers_from_call_to_call(astronaut: Path, tiny: Path) -> None:
    with Predictor(tiny, device="cpu") as predictor:
        results = [r for f in open_source(astronaut).frames() for r in predictor.push(f.image, f.time_s)]
        assert len(results) == 100 and {f.track_id for r in results for f in r.faces} == {0}
        with pytest.raises(TypeError, match="uint8"):
            predictor.push(np.zeros((10, 10, 3)), 0.0)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="single frames"):
            predictor.session(lookahead=3)


def test_live_prints_json_lines(astronaut: Path, tiny_temporal: Path, run_cli: Run) -> None:
    code, out, err = run_cli("live", astronaut, "--no-window", "--model", tiny_temporal, "--lookahead", "2")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and "frames shown" in err
    assert len(rows) > 10 and rows[-1]["frame"] == 99 and {row["lookahead"] for row in rows} == {2}
    assert rows[-1]["dropped"] == 100 - len(rows)


def test_live_shows_a_window(astronaut: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run_cli("live", astronaut, "--model", tiny)
    assert code == 1 and "affectkit[live]" in err and "--no-window" in err  # headless OpenCV has no windows
    shown: list[np.ndarray] = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q") if len(shown) >= 5 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    assert run_cli("live", astronaut, "--model", tiny)[0] == 0
    assert len(shown) == 5 and shown[0].shape[1] > 600


def test_standard_input(clip: Path, tiny: Path) -> None:
    command = [sys.executable, "-m", "affectkit", "live", "-", "--no-window", "--model", str(tiny)]
    done = subprocess.run(command, input=clip.read_bytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(json.loads(line)["success"] == 0 for line in done.stdout.splitlines()) and b"stdin: " in done.stderr


def test_a_clock_that_jumps_goes_on_from_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Back to 0 in the middle of a connection, and an hour ahead: neither stops the time nor is believed."""
    (tmp_path / "pipe").touch()
    source = LiveSource(tmp_path / "pipe")
    source._paces = False
    clock = [1000.0, 1000.04, 1000.08, 0.0, 0.04, 3600.0, 3600.04]

    def pictures(_: object) -> Iterator[_Shown]:
        for time_s in clock:
            yield _Shown(time_s, np.zeros((4, 4, 3), np.uint8))
            time.sleep(0.05)

    monkeypatch.setattr(source, "_stream_pictures", pictures)
    times = [frame.time_s for frame in source.frames()]
    steps = np.diff(times)
    assert (steps > 0.01).all() and times[-1] < 5


def test_a_clock_that_stands_still_is_no_jump(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two pictures of one time: the second is hardly later, however long it took to come."""
    (tmp_path / "pipe").touch()
    source = LiveSource(tmp_path / "pipe")
    source._paces = False

    def pictures(_: object) -> Iterator[_Shown]:
        for time_s in (10.0, 10.04, 10.04, 10.08):
            yield _Shown(time_s, np.zeros((4, 4, 3), np.uint8))
            time.sleep(0.2)

    monkeypatch.setattr(source, "_stream_pictures", pictures)
    times = [frame.time_s for frame in source.frames()]
    assert np.subtract(times, times[0]) == pytest.approx([0, 0.04, 0.04, 0.08], abs=1e-3)
    assert times[2] > times[1]


def test_an_ended_run_does_not_come_back(clip: Path) -> None:
    source = LiveSource(clip)
    first = source.frames()
    next(first)
    source.close()
    assert not list(first)
    assert next(source.frames()).index == 0
