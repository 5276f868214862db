"""``affectkit train status``: what it says of runs in every state, and that it never stumbles over half a file."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from patterns import config, faces_with_a_pattern
from written_run import epoch_line, write_run

from affectkit.train.journal import draw_curves
from affectkit.train.loop import train
from affectkit.train.run_folder import in_words, now, process_began, process_lives, read_json, read_run, runs_in
from affectkit.train.status import command_lines, describe

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gone() -> int:
    """The number of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.slow
def test_a_finished_run(run_cli: Cli, tmp_path: Path) -> None:
    code, out, err = run_cli("train", "status", write_run(tmp_path / "run"))
    assert code == 0 and err == ""
    said = " ".join(out.split())
    assert f"{tmp_path}/run: teacher, lite, 16 px grey" in said
    assert "state finished; last update" in said
    assert "progress 3 of 3 epochs, step 30 of 30, 100% labels" in said and " left" not in said
    assert "3 expressions (neutral, happiness, contempt); 2 action units (AU01, AU12); valence and arousal" in said
    assert "48 to train on (expression 40, action units 30, valence/arousal 20)" in said
    assert "6 to choose by (expression 5, action units 5, valence/arousal 4)" in said
    assert "sets a.csv" in said
    assert "expression accuracy 0.800 (epoch 2)" in said and "valence CCC 0.430 (epoch 3)" in said
    assert "best.pt is that of epoch 2" in said
    assert "command affectkit train teacher -o 'my run' --labels a.csv" in said
    assert f"affectkit export {tmp_path}/run -o MODEL" in said and "--resume" not in said


def test_json_is_one_object_with_every_run(run_cli: Cli, tmp_path: Path) -> None:
    lines = [epoch_line(1), {**epoch_line(2), "score": float("nan")}]
    first = write_run(tmp_path / "a", best_score=float("nan"), lines=lines)
    code, out, _ = run_cli("train", "status", "--json", first, write_run(tmp_path / "b"))
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["runs"]
    assert code == 0 and [Path(one["run"]).name for one in found] == ["a", "b"]
    assert found[1]["state"] == "finished" and found[1]["done"] == 1 and found[1]["left_s"] is None
    assert found[1]["best"]["expression"]["expression accuracy"] == {"value": 0.8, "epoch": 2}
    assert set(found[1]["best"]) == {"expression", "au", "va"}
    assert found[1]["labels"]["action_units"] == ["AU01", "AU12"] and found[1]["label_counts"]["dev"]["va"] == 4


def test_a_running_run_has_a_pace_and_time_left(run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", state="running", step=30, steps=90, updated=now().isoformat())
    monkeypatch.setattr("affectkit.train.status.process_began", lambda pid: now().timestamp() - 101)
    about = json.loads((run / "run.json").read_text())
    about["started"] = (now() - timedelta(seconds=100)).isoformat()
    (run / "run.json").write_text(json.dumps(about))
    found = describe(read_run(run))
    assert found["state"] == "running" and found["life"] == f"running (process {os.getpid()})"
    assert found["steps_per_s"] == pytest.approx(0.3, rel=0.01) and found["left_s"] == pytest.approx(200, rel=0.01)
    _, out, _ = run_cli("train", "status", run)
    assert "33%, 3.3 s a step, about 3 min left" in out and "export" not in out


def test_the_pace_of_a_resumed_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", state="running", step=30, steps=40, updated=now().isoformat())
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "started": (now() - timedelta(days=3)).isoformat()}))
    assert describe(read_run(run))["steps_per_s"] is None, "this process is younger, and the pause is in no file"
    at = json.loads((run / "progress.json").read_text())
    began = (now() - timedelta(seconds=10)).isoformat()
    (run / "progress.json").write_text(json.dumps({**at, "began": began, "began_step": 20}))
    assert describe(read_run(run))["steps_per_s"] == pytest.approx(1, rel=0.05)


def test_a_run_whose_process_is_gone(run_cli: Cli, tmp_path: Path, gone: int) -> None:
    run = write_run(tmp_path / "run", state="running", step=12, pid=gone, updated=now().isoformat())
    code, out, _ = run_cli("train", "status", run)
    assert code == 0 and f"no sign of life: its process {gone} is gone" in out
    assert "it may run on another machine" in out
    assert "affectkit train teacher -o 'my run' --labels a.csv --resume" in out
    here = write_run(tmp_path / "here", state="running", pid=gone, host=os.uname().nodename)
    assert describe(read_run(here))["life"] == f"no sign of life: its process {gone} is gone"


def test_a_number_that_was_given_to_another_process(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", state="running", updated="2001-01-01T00:00:00+00:00")
    assert describe(read_run(run))["state"] == "lost"
    assert process_lives(os.getpid(), updated_s=now().timestamp()) is True
    began = process_began(os.getpid())
    assert began is None or abs(began - now().timestamp()) < 24 * 3600


def test_another_host_is_not_judged(tmp_path: Path, gone: int) -> None:
    run = write_run(tmp_path / "run", state="running", pid=gone, host="node17.cluster")
    found = describe(read_run(run))
    assert found["state"] == "elsewhere" and "node17.cluster when last heard of" in found["life"]


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_what_stopped_can_be_resumed(tmp_path: Path, state: str) -> None:
    found = describe(read_run(write_run(tmp_path / "run", state=state, message="no space left")))
    assert found["life"] == f"{state}: no space left" and found["next"][0].endswith("--resume")


def test_while_the_files_are_being_written(run_cli: Cli, tmp_path: Path) -> None:
    whole = {name: (write_run(tmp_path / "run") / name).read_text() for name in ("metrics.jsonl", "progress.json")}
    whole["run.json"] = (tmp_path / "run" / "run.json").read_text()
    for name, written in whole.items():
        for length in (0, 1, len(written) // 2, len(written) - 2):
            (tmp_path / "run" / name).write_text(written[:length])
            assert run_cli("train", "status", tmp_path / "run")[0] == 0, (name, length)
            assert run_cli("train", "status", "--json", tmp_path / "run")[0] == 0, (name, length)
        (tmp_path / "run" / name).write_text(written)
    (tmp_path / "run" / "metrics.jsonl").write_text(whole["metrics.jsonl"][:-30])
    assert len(read_run(tmp_path / "run").lines) == 2
    (tmp_path / "run" / "progress.json").write_bytes(b"\xff[1]")
    assert read_json(tmp_path / "run" / "progress.json") == {}


@pytest.mark.slow
def test_an_older_run_says_what_it_can(run_cli: Cli, tmp_path: Path) -> None:
    train(config(epochs=1), faces_with_a_pattern(48), faces_with_a_pattern(16, seed=1), tmp_path / "run")
    for name in ("run.json", "progress.json", "dev.npz"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    code, out, _ = run_cli("train", "status", tmp_path / "run")
    assert code == 0 and "teacher, lite, 16 px grey" in out and "no progress.json" in out
    assert "16 to choose by" in out and "expression accuracy" in out and "1 of 1 epochs" in out
    for name in ("metrics.jsonl", "last.pt"):
        (tmp_path / "run" / name).unlink()  # an average has a checkpoint alone
    code, out, _ = run_cli("train", "status", tmp_path / "run")
    assert code == 0 and "average, lite" in out and "expression accuracy" in out


@pytest.mark.parametrize("command", [("status",), ("report", "-o", "page.html")])
def test_what_is_no_run_is_one_line(run_cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "notes.txt").write_text("not a run")
    for folder, why in ((tmp_path, "is no run"), (tmp_path / "nowhere", "no such folder")):
        code, out, err = run_cli("train", *command, folder)
        assert code == 1 and out == "" and err.count("\n") == 1 and why in err and str(folder) in err


def test_a_folder_of_students(run_cli: Cli, tmp_path: Path) -> None:
    for k in (0, 2, 10):
        write_run(tmp_path / "students" / f"student_{k}")
    assert [run.name for run in runs_in(tmp_path / "students")] == ["student_0", "student_2", "student_10"]
    _, out, _ = run_cli("train", "status", tmp_path / "students")
    assert out.count("state     finished") == 3 and "student_10" in out


def test_the_command_over_several_lines_is_the_same_command(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    about = json.loads((run / "run.json").read_text())
    words = ["affectkit", "train", "teacher", "--learning-rate", "-1", "-o", "a b"]
    words += [word for k in range(9) for word in ("--manifest", f"set {k}.csv")]
    (run / "run.json").write_text(json.dumps({**about, "command": words}))
    written = command_lines(read_run(run), width=60)
    assert written is not None and written.count("\n") > 3
    assert max(map(len, written.split("\n"))) < 66
    assert shlex.split(written.replace("\\\n", " ")) == words


def test_durations() -> None:
    assert [in_words(s) for s in (-3, 45, 720, 3600, 12000, 190800)] == [
        "0 s",
        "45 s",
        "12 min",
        "1 h",
        "3 h 20 min",
        "2 d 5 h",
    ]


@pytest.mark.slow
def test_curves_of_losses_that_a_logarithmic_axis_cannot_show(tmp_path: Path) -> None:
    """Warnings are errors here: matplotlib's of a logarithmic axis and of an empty legend reached users."""
    line = epoch_line(1)
    draw_curves([line, epoch_line(2)], tmp_path / "some.png")
    nothing = {**line, "loss": {"au": 0.0, "total": 0.0}, "dev": {"expression": None, "au": None, "va": None}}
    draw_curves([nothing], tmp_path / "nothing.png")
    assert np.fromfile(tmp_path / "nothing.png", np.uint8)[1:4].tobytes() == b"PNG"
