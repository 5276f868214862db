"""Several inputs at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from synthetic import grey_frames, write_clip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clips(tmp_path: Path, astronaut: Path) -> list[Path]:
    """Four videos of one face."""
    paths = [tmp_path / f"clip_{k}.mp4" for k in range(4)]
    for path in paths:
        path.write_bytes(astronaut.read_bytes())
    return paths


def test_processes_write_what_one_does(clips: list[Path], tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    for folder, processes in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        command = ["predict", *clips, "-o", tmp_path / folder, "--model", tiny, "-j", processes]
        code, _, err = run_cli(*command)
        assert code == 0 and err.count("100 frames, 1 face") == 4
    for path in clips:
        name = path.with_suffix(".csv").name
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert (tmp_path / "two" / f"{name}.meta.json").exists()


def test_one_failure_does_not_stop_the_others(clips: list[Path], tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    clips[1].write_bytes(b"nothing that is a video")
    (tmp_path / "out").mkdir()
    code, _, err = run_cli("predict", *clips, "-o", tmp_path / "out", "--model", tiny, "-j", "2")
    assert code == 1 and "1 of 4 inputs failed" in err and "clip_1.mp4: not a video" in err
    assert len(list((tmp_path / "out").glob("*.csv"))) == 3


def test_what_no_process_can_do_is_said_once(clips: list[Path], tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    (tmp_path / "out").mkdir()
    code, _, err = run_cli("predict", *clips, "-o", tmp_path / "out", "--model", tiny, "-j", "2", "--device", "cuda")
    assert code == 1 and err.count("cuda") == 1 and "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="kills a process the Unix way")
def test_a_killed_worker_loses_no_input(tmp_path: Path, tiny: Path) -> None:
    clips = [write_clip(tmp_path / f"c{k}.mp4", grey_frames(400, height=240, width=320)) for k in range(4)]
    (tmp_path / "out").mkdir()
    names = list(map(str, clips))
    command = [sys.executable, "-m", "affectkit", "predict", *names, "-o", str(tmp_path / "out"), "-j", "2"]
    process = subprocess.Popen([*command, "--model", str(tiny)], stderr=subprocess.PIPE, text=True)
    killed = 0
    while process.poll() is None and killed < 1:
        if list((tmp_path / "out").glob(".c*.partial.csv")):
            for child in psutil.Process(process.pid).children(recursive=True):
                if "spawn_main" in " ".join(child.cmdline()) and not killed:
                    child.send_signal(signal.SIGKILL)
                    killed += 1
        time.sleep(0.01)
    _, err = process.communicate(timeout=120)
    assert killed == 1 and process.returncode == 0, err
    assert err.count(": 400 frames,") == 4
    for clip in clips:
        rows = (tmp_path / "out" / f"{clip.stem}.csv").read_text().splitlines()
        assert len(rows) == 401
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]
