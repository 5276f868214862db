"""Runs that something disturbs, seen from outside: another run, a disk without room, a killed process, many inputs."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stopping import has_stopped

Cli = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of Unix")

OFTEN = "import affectkit.runs.run as j; j.CHECKPOINT_S = 0; from affectkit.cli import main; main()"
"""The command, which notes how far it is after every few frames."""


STOPS = """
import os, signal
import affectkit.runs.checkpointer as c
write_note, noted = c.write_note, []
def stop_after_the_first(*arguments):
    write_note(*arguments)
    if not noted:
        noted.append(True)
        os.kill(os.getpid(), signal.SIGSTOP)
c.write_note = stop_after_the_first
"""
"""Before OFTEN: the run stops by itself when it has noted for the first time how far it is."""


def command(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-P", "-c", code, "predict", *map(str, arguments)]


@pytest.fixture
def whole(astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Cli) -> bytes:
    """The table of a run that nothing disturbs."""
    out = tmp_path / "whole" / "out.csv"
    out.parent.mkdir()
    assert run_cli("predict", astronaut, "-o", out, "--model", tiny, "-q")[0] == 0
    return out.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--resume"], ["--overwrite"]])
def test_a_second_run_takes_nothing_from_a_living_one(
    more: list[str], astronaut: Path, tmp_path: Path, tiny: Path, whole: bytes
) -> None:
    """With --resume it took the first one's rows: frames twice, with exit code 0, or an end of the first one."""
    out, note = tmp_path / "out.csv", tmp_path / ".out.csv.resume"
    arguments = [astronaut, "-o", out, "--model", tiny, "-q"]
    first = subprocess.Popen(command(STOPS + OFTEN, *arguments), stderr=subprocess.PIPE, text=True)
    assert has_stopped(first) and note.exists()  # it lives, however slow the second one is
    second = subprocess.run(command(OFTEN, *arguments, *more), capture_output=True, text=True, timeout=120)
    first.send_signal(signal.SIGCONT)
    _, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert second.returncode == 1 and second.stderr.count("\n") == 1 and "another run" in second.stderr
    assert out.read_bytes() == whole


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))
"""
"""Files can be 15 kB long and no longer, as on a disk without room."""


@pytest.mark.slow
def test_what_a_full_disk_ends_can_be_gone_on_with(astronaut: Path, tmp_path: Path, tiny: Path, whole: bytes) -> None:
    """Ten hours of rows and their note were deleted."""
    out = tmp_path / "out.csv"
    assert len(whole) > 20_000
    arguments = [astronaut, "-o", out, "--model", tiny]
    full = subprocess.run(command(FULL + OFTEN, *arguments), capture_output=True, text=True, timeout=120)
    assert full.returncode == 1 and full.stderr.count("\n") == 1 and "--resume" in full.stderr
    assert not out.exists() and (tmp_path / ".out.csv.resume").exists()
    again = subprocess.run(command(OFTEN, *arguments, "--resume"), capture_output=True, text=True, timeout=120)
    assert again.returncode == 0 and "resumed at frame" in again.stderr
    assert out.read_bytes() == whole


DIES = """
import multiprocessing.connection as c, os, signal, sys, time
worker = "--multiprocessing-fork" in sys.argv
send, recv = c.Connection.send, c.Connection.recv
def send_and_die(self, answer):
    send(self, answer)
    if worker and type(answer).__name__ == "Ended":
        try:
            os.close(os.open(os.environ["DIED"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
def recv_late(self):
    answer = recv(self)
    if not worker:
        time.sleep(0.5)
    return answer
c.Connection.send, c.Connection.recv = send_and_die, recv_late
"""
"""For sitecustomize: a worker is gone when it has answered, before it can be given the next input."""


@pytest.mark.slow
def test_a_worker_that_is_gone_after_its_answer_ends_nothing(tmp_path: Path, astronaut: Path, tiny: Path) -> None:
    """The whole run ended with exit code 1, without a word, and four of six inputs were not done."""
    clips = [tmp_path / f"c{k}.mp4" for k in range(6)]
    for clip in clips:
        clip.symlink_to(astronaut)
    for folder in ("out", "path"):
        (tmp_path / folder).mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(DIES)
    paths = [str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "DIED": str(tmp_path / "died")}
    arguments = [*map(str, clips), "-o", str(tmp_path / "out"), "-j", "2", "--end", "0.2", "--model", str(tiny)]
    run = [sys.executable, "-P", "-m", "affectkit", "predict", *arguments]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, timeout=120)
    assert (tmp_path / "died").exists()
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.csv"))) == 6 and "died" in done.stderr
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_what_is_asked_of_many_inputs_grows_as_they_do(
    tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --resume, of twice as many inputs that are done twice as much; it was four times."""
    (tmp_path / "out").mkdir()
    compared = 0
    equal = pathlib.PurePath.__eq__

    def counted(self: pathlib.PurePath, other: object) -> bool:
        nonlocal compared
        compared += 1
        return equal(self, other)

    counts = []
    for many in (150, 300):
        inputs = [tmp_path / f"c{k}.mp4" for k in range(many)]
        for name in inputs:
            name.touch()
            (tmp_path / "out" / f"{name.stem}.csv").touch()
        compared = 0
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.PurePath, "__eq__", counted)
            # None of these tables says how it was made, so each is refused in its own line.
            assert run_cli("predict", *inputs, "--output-dir", tmp_path / "out", "--resume", "-q")[0] == 3
        counts.append(compared)
    assert counts[1] <= 2.5 * counts[0] + 1000, counts
