"""Runs that are killed and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from stopping import kill_when_stopped
from synthetic import write_clip

from affectkit.errors import SourceError
from affectkit.runs import run as jobs
from affectkit.runs.state import pack, seal, unpack

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Path:
    """300 frames: the astronaut, black frames without a face, and the astronaut again."""
    with av.open(str(astronaut)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    black = [np.zeros_like(frames[0])] * 30
    return write_clip(tmp_path_factory.mktemp("clip") / "long.mp4", [*frames, *black, *frames[::-1], *frames[:70]])


STOPS = """
import os, signal, sys
import affectkit.runs.checkpointer, affectkit.runs.run as run
from pathlib import Path
run.CHECKPOINT_S = 0
maybe_note = affectkit.runs.checkpointer.Checkpointer.maybe_note
def stop_when_so_far(self, results):
    out = Path(sys.argv[sys.argv.index("-o") + 1])
    written = [path.stat().st_size for path in out.parent.glob(f".{out.stem}.*partial*")]
    if self._noted and max(written, default=0) >= AFTER_BYTES:
        os.kill(os.getpid(), signal.SIGSTOP)
    maybe_note(self, results)
affectkit.runs.checkpointer.Checkpointer.maybe_note = stop_when_so_far
from affectkit.cli import main
main()
"""
"""A run that notes its progress after every batch, and stops, rows ahead of its last note, at so many bytes."""


def killed(clip: Path, out: Path, after_bytes: int, *options: str) -> bool:
    """Run, noting progress after every batch, and kill -9 once so much is in the partial table; False: it was done."""
    code = STOPS.replace("AFTER_BYTES", str(after_bytes))
    command = [sys.executable, "-P", "-c", code, "predict", str(clip), "-o", str(out), "-q", *options]
    return kill_when_stopped(subprocess.Popen(command))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_killed_run_is_gone_on_with_to_the_same_table(
    suffix: str, clip: Path, tmp_path: Path, tiny_temporal: Path, run_cli: Run
) -> None:
    options = ("--model", str(tiny_temporal), "--smooth", "0.2", "--device", "cpu")
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert run_cli("predict", clip, "-o", whole, "-q", *options)[0] == 0
    size = whole.stat().st_size if suffix != ".parquet" else 60_000
    kills = 0
    for part in (0.15, 0.4, 0.75):
        kills += killed(clip, out, int(part * size), *options, *(["--resume"] if kills else []))
        assert not out.exists()
    assert kills == 3
    code, _, err = run_cli("predict", clip, "-o", out, "--resume", *options)
    assert code == 0 and "resumed at frame" in err
    if suffix == ".parquet":
        import pyarrow.parquet

        assert pyarrow.parquet.read_table(out).equals(pyarrow.parquet.read_table(whole))
    else:
        assert out.read_bytes() == whole.read_bytes()
    meta = {json.loads((tmp_path / f"{n}{suffix}.meta.json").read_text())["rows"] for n in ("out", "whole")}
    assert len(meta) == 1
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.slow
def test_ctrl_c_keeps_what_can_be_gone_on_with(
    clip: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0)
    out = tmp_path / "out.csv"
    add = jobs.Counts.add

    def interrupt(self: jobs.Counts, result: object) -> None:
        add(self, result)  # type: ignore[arg-type]
        if self.read == 150:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Counts, "add", interrupt)
        code, _, err = run_cli("predict", clip, "-o", out, "-q", "--model", tiny)
    assert code == 130 and "--resume continues it" in err and not out.exists()
    assert (tmp_path / ".out.csv.resume").exists()
    code, _, err = run_cli("predict", clip, "-o", out, "--resume", "--model", tiny, "--every", "2")
    assert code == 2 and "another options" in err
    assert run_cli("predict", clip, "-o", out, "--resume", "--model", tiny, "-q")[0] == 0
    assert run_cli("predict", clip, "-o", tmp_path / "whole.csv", "--model", tiny, "-q")[0] == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    code, _, err = run_cli("predict", clip, "-o", out, "--resume", "--model", tiny)
    assert code == 0 and "is there already" in err


@pytest.mark.slow
def test_beginning_anew_removes_what_was_left(
    clip: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    assert killed(clip, out, 10_000, "--model", str(tiny))
    assert len([p for p in tmp_path.iterdir() if p.name.startswith(".")]) >= 2
    assert run_cli("predict", clip, "-o", out, "-q", "--model", tiny)[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.csv.meta.json"]


@pytest.mark.slow
def test_a_contact_sheet_goes_on_too(clip: Path, tmp_path: Path, tiny_temporal: Path, run_cli: Run) -> None:
    options = ("--model", str(tiny_temporal), "--smooth", "1", "--contact-sheet")
    assert run_cli("predict", clip, "-o", tmp_path / "whole.csv", "-q", *options, tmp_path / "whole.png")[0] == 0
    assert killed(clip, tmp_path / "out.csv", 20_000, *options, str(tmp_path / "out.png"))
    rest = ["predict", clip, "-o", tmp_path / "out.csv", "-q", "--resume", *options, tmp_path / "out.png"]
    assert run_cli(*rest)[0] == 0
    for name in ("csv", "png"):
        assert (tmp_path / f"out.{name}").read_bytes() == (tmp_path / f"whole.{name}").read_bytes()


@pytest.mark.slow
def test_an_error_keeps_what_can_be_gone_on_with(
    clip: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0)
    add = jobs.Counts.add

    def fail(self: jobs.Counts, result: object) -> None:
        add(self, result)  # type: ignore[arg-type]
        if self.read == 150:
            raise SourceError("the network share has gone")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Counts, "add", fail)
        assert run_cli("predict", clip, "-o", tmp_path / "out.csv", "-q", "--model", tiny)[0] == 1
    assert (tmp_path / ".out.csv.resume").exists()
    code, _, err = run_cli("predict", clip, "-o", tmp_path / "out.csv", "--resume", "--model", tiny)
    assert code == 0 and "resumed at frame" in err


def test_without_something_to_go_on_with_resume_begins(clip: Path, tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    code, _, err = run_cli("predict", clip, "-o", tmp_path / "out.csv", "--resume", "--model", tiny)
    assert code == 0 and "resumed" not in err


def test_a_damaged_note_is_refused(clip: Path, tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    (tmp_path / ".out.csv.resume").write_bytes(b"nonsense")
    code, _, err = run_cli("predict", clip, "-o", tmp_path / "out.csv", "--resume", "--model", tiny)
    assert code == 1 and "delete it" in err
    (tmp_path / ".out.csv.resume").write_bytes(pack({"other": 1}))
    code, _, err = run_cli("predict", clip, "-o", tmp_path / "out.csv", "--resume", "--model", tiny)
    assert code == 1 and "no note of affectkit" in err


def test_options_that_do_not_go_together(clip: Path, tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    more = ["--resume", "--render", tmp_path / "x.mp4"]
    assert run_cli("predict", clip, "-o", tmp_path / "out.csv", "--model", tiny, *more)[0] == 2


def test_state_files_cannot_run_code(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path / 'hit'}",)

    np.savez(tmp_path / "bomb.npz", document=np.array([Bomb()], dtype=object))
    with pytest.raises(SourceError):
        unpack(seal((tmp_path / "bomb.npz").read_bytes()), "bomb")
    assert not (tmp_path / "hit").exists()


def test_state_survives_packing() -> None:
    value = {"a": [1, 2.5, None, "x", [float("nan")]], "b": {"c": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    back = unpack(pack(value), "here")
    assert back["a"][:4] == [1, 2.5, None, "x"] and np.isnan(back["a"][4][0])
    assert back["b"]["c"].dtype == np.float32 and (back["b"]["c"] == value["b"]["c"]).all()  # type: ignore[call-overload,index]
