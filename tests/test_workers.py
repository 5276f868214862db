"""Several inputs at once."""

from __future__ import annotations

import itertools
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

from affectkit.errors import EngineError
from affectkit.options import PredictorConfig, StreamOptions
from affectkit.runs import memory
from affectkit.runs import pool as workers
from affectkit.runs.job import Job, finished, mark_of
from affectkit.runs.pool import Work, run_jobs

pytestmark = pytest.mark.slow

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
    assert code == 3 and "1 of 4 inputs failed" in err and "clip_1.mp4: not a video" in err
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
        if list((tmp_path / "out").glob(".c*partial.csv")):
            for child in psutil.Process(process.pid).children(recursive=True):
                busy = any(".partial.csv" in file.path for file in child.open_files())
                if "spawn_main" in " ".join(child.cmdline()) and busy and not killed:
                    child.send_signal(signal.SIGKILL)
                    killed += 1
        time.sleep(0.01)
    _, err = process.communicate(timeout=120)
    assert killed == 1 and process.returncode == 0, err
    assert err.count(": 400 frames,") == 4
    assert "its process died (SIGKILL, as when memory runs out); another one continues" in err
    assert "1 process died and was replaced" in err
    for clip in clips:
        rows = (tmp_path / "out" / f"{clip.stem}.csv").read_text().splitlines()
        assert len(rows) == 401
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


@pytest.mark.skipif(os.name == "nt", reason="kills a process the Unix way")
def test_a_worker_that_is_killed_between_two_inputs_is_replaced(
    clips: list[Path], tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has answered, and is gone when it is given the next one."""
    jobs = [Job(str(clip), tmp_path / f"{clip.stem}.csv") for clip in clips]
    given = []

    def kill_first(path: Path) -> object:
        given.append(path)
        if len(given) == 3:  # both workers have had one; neither has the third yet
            for child in psutil.Process().children():
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    child.wait()
        return mark_of(path)

    monkeypatch.setattr(workers, "mark_of", kill_first)
    work = Work(PredictorConfig(model=tiny, device="cpu"), StreamOptions(end_s=0.2))
    ended = {one.job: one.outcome for one in run_jobs(jobs, work, 2)}
    assert all(not isinstance(ended[job], str) and ended[job].read == 5 for job in jobs), ended  # type: ignore[union-attr]
    assert "a process died between two inputs" in caplog.text and "2 processes died and were replaced" in caplog.text
    tables = {job.table.read_text().replace(job.source, "x") for job in jobs}
    assert len(tables) == 1 and not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_worker_that_dies_after_its_table_is_answered_from_the_meta_file(
    clips: list[Path], tmp_path: Path, tiny: Path, run_cli: Run, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(str(clips[0]), tmp_path / "out.csv")
    assert run_cli("predict", clips[0], "-o", job.table, "--model", tiny, "-q", "--end", 0.2)[0] == 0
    job.note.write_bytes(b"of the run that has just ended")

    class Dead:
        exitcode = -9

        def join(self) -> None:
            """It is."""

        def close(self) -> None:
            """Of its pipe."""

    pool = workers._Pool([], Work(), 2)
    dead = workers._Worker(Dead(), Dead(), ready=True, job=job)  # type: ignore[arg-type]
    pool._workers.append(dead)
    outcome = next(pool._died(dead)).outcome
    assert not isinstance(outcome, str) and outcome.read == 5 and outcome == finished(job)
    assert "died when the table was written" in caplog.text and not job.note.exists()
    again = workers._Worker(Dead(), Dead(), ready=True, job=job, table_before=mark_of(job.table))  # type: ignore[arg-type]
    pool._workers.append(again)
    pool._tries[job] = 3  # the table is the one of before
    outcome = next(pool._died(again)).outcome
    assert isinstance(outcome, str) and "died 3 times" in outcome


def test_processes_that_cannot_begin_are_not_begun_for_ever(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_serve", print)  # ends at once
    jobs = [Job(str(clip), tmp_path / f"{clip.stem}.csv") for clip in clips]
    with pytest.raises(EngineError, match="before it has loaded the model"):
        list(run_jobs(jobs, Work(), 2))


FINALISED = """
import signal, sys, time, weakref
from affectkit.runs.pool import heed_signals
heed_signals()
class Thing: pass
thing = Thing()
watched = weakref.ref(thing, lambda _: signal.raise_signal(getattr(signal, sys.argv[1])))
try:
    del thing
    time.sleep(10)
    print("went on")
finally:
    print("unwound")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", -2)])
def test_a_signal_while_something_is_finalised_is_not_lost(name: str, code: int) -> None:
    """It gave "Exception ignored in", a traceback, and the process went on."""
    run = subprocess.run([sys.executable, "-P", "-c", FINALISED, name], capture_output=True, text=True, timeout=60)
    assert run.stdout == "unwound\n" and "Exception ignored" not in run.stderr, run.stderr
    assert run.returncode == code


def test_memory_that_inputs_leave_is_given_back(
    clips: list[Path], tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From time to time, not after each; of inputs that fail too."""
    given: list[int] = []
    monkeypatch.setattr(memory, "EVERY", 2)
    monkeypatch.setattr(memory, "give_back", lambda: given.append(len(list((tmp_path / "out").glob("*.csv")))))
    monkeypatch.setattr(memory, "_ended", itertools.count(1))
    clips[3].write_bytes(b"nothing that is a video")
    (tmp_path / "out").mkdir()
    code, _, _ = run_cli("predict", *clips, "-o", tmp_path / "out", "--model", tiny)
    assert code == 3 and given == [2, 3]


@pytest.mark.skipif(not memory.is_known(), reason="only glibc can be told to give memory back")
def test_pages_between_what_is_held_are_given_back() -> None:
    """As threads leave them: freed, and between pieces that are still in use."""
    code = """if True:
        import threading, psutil
        from affectkit.runs.memory import give_back

        def rss():
            return psutil.Process().memory_info().rss / 1e6

        held = []

        def work():
            pieces = [bytes(3000) for _ in range(10_000)]
            held.extend(pieces[::100])

        for _ in range(2):
            threads = [threading.Thread(target=work) for _ in range(2)]
            [one.start() for one in threads]
            [one.join() for one in threads]
        held.append(bytes(3000))
        before = rss()
        give_back()
        print(before - rss())
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(ran.stdout) > 15, ran.stdout
