"""How far several inputs are that are worked on side by side."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from affectkit.cli import many_progress
from affectkit.cli.many_progress import ManyWatch, in_words
from affectkit.runs.job import Job
from affectkit.runs.told import Told, expected_frames

JOBS = [Job(f"clips/{name}.mp4", Path(f"{name}.csv")) for name in "abcd"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only place."""
    now = [100.0]
    monkeypatch.setattr(many_progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_plain_lines_at_intervals(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ManyWatch(4, quiet=False) as watch:
        for second in range(1, 101):
            clock[0] = 100.0 + second
            watch.told(JOBS[0], Told(10 * second, 1000))
            watch.told(JOBS[1], Told(5 * second, None))  # a stream, whose length is not known
        watch.ended(JOBS[0], failed=False, frames=1000)
        clock[0] += 30
        watch.ended(JOBS[1], failed=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "affectkit: 0 of 4 inputs, 14 fps, 6 min left",
        "affectkit: 0 of 4 inputs, 15 fps, 6 min left",
        "affectkit: 0 of 4 inputs, 15 fps, 5 min left",
        "affectkit: 2 of 4 inputs, 1 failed, 8 fps, 2 min left",
    ]


def test_nothing_is_said_quietly_or_too_early(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, seconds in ((True, 1000), (False, 20)):
        with ManyWatch(2, quiet=quiet) as watch:
            clock[0] += seconds
            watch.told(JOBS[0], Told(10, 20))
            watch.ended(JOBS[0], failed=False, frames=20)
    assert capsys.readouterr().err == ""


def test_times_in_words() -> None:
    told = {0.4: "0 s", 40.2: "40 s", 99.0: "99 s", 720.0: "12 min", 5999.0: "1 h 40 min", 12_000.0: "3 h 20 min"}
    assert {seconds: in_words(seconds) for seconds in told} == told


def test_expected_frames() -> None:
    def info(frames: int | None, fps: float | None) -> SimpleNamespace:
        return SimpleNamespace(frames=frames, fps=fps)

    inputs = [(100, 25.0, float("inf")), (100, 25.0, 2.0), (100, None, 2.0), (None, 25.0, 2.0)]
    assert [expected_frames(info(frames, fps), end) for frames, fps, end in inputs] == [100, 50, 100, None]  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_a_terminal_shows_a_line_a_worker_and_the_whole(astronaut: Path, tiny: Path, tmp_path: Path) -> None:
    clips = [tmp_path / f"{name}.mp4" for name in ("first", "second", "third")]
    for clip in clips:
        clip.write_bytes(astronaut.read_bytes())
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "affectkit", "predict", *map(str, clips), "-o", f"{tmp_path}/t/", "-j", "2"]
    process = subprocess.Popen(
        [*command, "--model", str(tiny)],
        stdin=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(theirs)
    parts: list[bytes] = []

    def read() -> None:
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                part = b""
            if not part:
                return
            parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert process.wait(120) == 0
    finally:
        process.kill()
        reader.join(10)
        os.close(ours)
    shown = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", b"".join(parts)).decode()
    # The third is at work for a while after the first has ended; the second may end with either.
    assert "0 of 3 inputs" in shown and re.search(r"\b[12] of 3 inputs", shown)
    for name in ("first", "second", "third"):
        assert re.search(rf"{name}\.mp4 .*\d+/100  \d+ fps", shown), shown
    assert re.search(r"of 3 inputs .* fps  \d+ s left", shown)
    assert len(re.findall(r"\.mp4: 100 frames", shown)) == 3  # summaries stand above
