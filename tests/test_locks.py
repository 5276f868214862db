"""One run at a time on an output, and what is left when it dies, or when the disk is full."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affectkit.errors import OutputError
from affectkit.outputs import writers
from affectkit.outputs.files import check_target, short_stem
from affectkit.runs import run as jobs
from affectkit.runs.job import Job
from affectkit.runs.locks import OutputLock
from affectkit.runs.state import pack, unpack

Run = Callable[..., tuple[int, str, str]]


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture
def interrupted(
    astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, list[Any]]:
    """A table whose run was interrupted after 60 of 100 frames, and the arguments of that run."""
    out = tmp_path / "out.csv"
    arguments = ["predict", astronaut, "-o", out, "--model", tiny]
    interrupt_it(arguments, run_cli, monkeypatch)
    return out, arguments


def interrupt_it(arguments: list[Any], run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until there are 60 frames and a note."""
    add = jobs.Counts.add

    def interrupt(self: jobs.Counts, result: Any) -> None:
        add(self, result)
        if self.read == 60:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "CHECKPOINT_S", 0)
        patch.setattr(jobs.Counts, "add", interrupt)
        assert run_cli(*arguments)[0] == 130


@pytest.fixture(scope="module")
def whole(astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], bytes]:
    """The table of an undisturbed run."""
    from affectkit.predictor import Predictor

    made: dict[str, bytes] = {}

    def table(suffix: str, tiny: Path) -> bytes:
        if suffix not in made:
            path = tmp_path_factory.mktemp("whole") / f"whole{suffix}"
            with Predictor(tiny) as predictor:
                jobs.run_job(predictor, Job(str(astronaut), path))
            made[suffix] = path.read_bytes()
        return made[suffix]

    return table


def test_a_lock_is_held_by_one_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    with OutputLock(target) as lock:
        assert lock.held and not lock.after_a_death
        if sys.platform == "linux":  # a file with something in it takes some disks milliseconds to remove
            assert lock.path.stat().st_size == 0
        with (
            pytest.raises(OutputError, match=rf"another run is writing it \(process {os.getpid()}\)"),
            OutputLock(target),
        ):
            pass
        with OutputLock(tmp_path / "t.jsonl"):  # another output
            pass
    assert hidden(tmp_path) == []
    with OutputLock(target) as lock:
        assert not lock.after_a_death


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the lock is a file of its own")
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_unfinished_table_is_what_is_locked(
    suffix: str, astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of inputs would make and remove a file more each."""
    files: list[tuple[list[str], int]] = []
    add = jobs.Counts.add

    def looked(self: jobs.Counts, result: Any) -> None:
        files.append((hidden(tmp_path), (tmp_path / f".t.partial{suffix}").stat().st_ino))
        with pytest.raises(OutputError, match="another run is writing it"), OutputLock(tmp_path / f"t{suffix}"):
            pass
        add(self, result)

    monkeypatch.setattr(jobs.Counts, "add", looked)
    out = tmp_path / f"t{suffix}"
    assert run_cli("predict", astronaut, "-o", out, "--end", 0.1, "-q", "--model", tiny) == (0, "", "")
    assert files and all(file == ([f".t.partial{suffix}"], out.stat().st_ino) for file in files)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("in_place", [True, False])
def test_what_a_killed_run_left_is_taken_over(
    in_place: bool, astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is in it, and where locks are files of their own too."""
    if in_place and sys.platform != "linux":
        pytest.skip("locks are files of their own here")
    monkeypatch.setattr("affectkit.runs.locks._IN_PLACE", in_place)
    arguments = ["-q", "--end", 0.1, "--model", tiny]
    assert run_cli("predict", astronaut, "-o", tmp_path / "whole.csv", *arguments) == (0, "", "")
    for name in (".t.partial.csv", ".t.csv.lock", ".t.partial.4000000.csv"):
        (tmp_path / name).write_text("what a killed run wrote\n" * 10_000)
    assert run_cli("predict", astronaut, "-o", tmp_path / "t.csv", *arguments) == (0, "", "")
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert hidden(tmp_path) == ([".t.csv.lock"] if in_place else [".t.partial.csv"])  # that of the other way
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / ".bad.partial.csv").write_text("what a killed run wrote\n")
    assert run_cli("predict", tmp_path / "bad.mp4", "-o", tmp_path / "bad.csv", *arguments)[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="kills a process the Unix way")
def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    code = (
        "import sys, time; from pathlib import Path; from affectkit.runs.locks import OutputLock\n"
        "with OutputLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-P", "-c", code, str(target)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match=f"process {process.pid}"), OutputLock(target):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert hidden(tmp_path) == [".t.partial.csv" if sys.platform == "linux" else ".t.csv.lock"]
    with OutputLock(target, patience_s=5) as lock:
        assert lock.held and lock.after_a_death
    assert hidden(tmp_path) == []


def test_a_file_system_without_locks_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("affectkit.runs.locks._lock", fails)
    with OutputLock(tmp_path / "t.csv") as lock:
        assert not lock.held
    assert "has no locks" in caplog.text and hidden(tmp_path) == []


def test_long_and_odd_names_have_files_of_their_own() -> None:
    names = ["a" * 220 + end for end in ("1.csv", "2.csv")] + [os.fsdecode(b"caf\xe9.csv"), "caf.csv"]
    stems = [short_stem(Path(name)) for name in names]
    assert len(set(stems)) == 4 and all(len(stem.encode()) <= 200 for stem in stems) and stems[3] == "caf"


@pytest.mark.slow
def test_a_run_beside_a_living_one_is_refused(
    interrupted: tuple[Path, list[Any]], tmp_path: Path, tiny: Path, run_cli: Run, whole: Callable[[str, Path], bytes]
) -> None:
    """Both --resume and a new run; neither touches what the living run has."""
    out, arguments = interrupted
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with OutputLock(out):  # the first run lives
        for more in (["--resume"], ["--overwrite"], []):
            code, _, err = run_cli(*arguments, *more)
            assert code == 1 and err.count("\n") == 1 and "another run is writing it (process" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    code, _, err = run_cli(*arguments, "--resume")
    assert code == 0 and "resumed at frame" in err
    assert out.read_bytes() == whole(".csv", tiny)
    assert hidden(tmp_path) == []


@pytest.mark.slow
def test_two_runs_at_once_make_one_table(
    astronaut: Path, tmp_path: Path, tiny: Path, whole: Callable[[str, Path], bytes]
) -> None:
    out = tmp_path / "out.csv"
    command = [
        sys.executable,
        "-P",
        "-m",
        "affectkit",
        "predict",
        str(astronaut),
        "-o",
        str(out),
        "-q",
        "--model",
        str(tiny),
    ]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=120)[1] for run in runs]
    # The second one finds it at work, or, where the machine is busy, done already.
    codes, told = sorted(run.returncode for run in runs), "".join(said)
    assert (codes == [0, 1] and "another run is writing it" in told) or (codes == [0, 0] and not told)
    assert out.read_bytes() == whole(".csv", tiny) and hidden(tmp_path) == []


class _Full(io.FileIO):
    """A file on a disk with little room."""

    room = 0

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > _Full.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def small_buffer(path: Path, mode: Any) -> Any:
    return io.TextIOWrapper(io.BufferedWriter(_Full(path, mode), 512), encoding="utf-8", newline="")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_full_disk_keeps_what_can_be_gone_on_with(
    suffix: str,
    astronaut: Path,
    tmp_path: Path,
    tiny: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
    whole: Callable[[str, Path], bytes],
) -> None:
    """The disk fills up at a random moment, and has room again after that; then once more."""
    dice = random.Random(suffix)
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0)
    out = tmp_path / f"out{suffix}"
    arguments = ["predict", astronaut, "-o", out, "--model", tiny]
    size = len(whole(".csv" if suffix == ".parquet" else suffix, tiny))  # notes are written after 32, 64, 96 frames
    with monkeypatch.context() as patch:
        patch.setattr(writers, "open_rows", small_buffer)
        for part, more in ((dice.uniform(0.4, 0.6), []), (dice.uniform(0.7, 0.9), ["--resume"])):
            _Full.room = int(part * size)
            code, _, err = run_cli(*arguments, *more)
            assert code == 1 and err.count("\n") == 1
            assert "the disk is full" in err and "what was done is kept: --resume continues it" in err
            assert not out.exists() and (tmp_path / f".out{suffix}.resume").exists()
    code, _, err = run_cli(*arguments, "--resume")
    assert code == 0 and "resumed at frame" in err
    assert out.read_bytes() == whole(suffix, tiny) or suffix == ".parquet"
    if suffix == ".parquet":
        import pyarrow.parquet

        expected = pyarrow.parquet.read_table(io.BytesIO(whole(suffix, tiny)))
        assert pyarrow.parquet.read_table(out).equals(expected)
    assert hidden(tmp_path) == []


def test_a_disk_that_is_full_at_the_start_is_left_as_it_was(
    astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "open_rows", small_buffer)
    _Full.room = 3000
    code, _, err = run_cli("predict", astronaut, "-o", tmp_path / "out.csv", "--model", tiny)
    assert code == 1 and "the disk is full" in err and "nothing unfinished was left behind" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", [".resume", ".meta.json", "table"])
def test_a_disk_that_is_full_when_something_else_is_written(
    what: str,
    interrupted: tuple[Path, list[Any]],
    tmp_path: Path,
    tiny: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
    whole: Callable[[str, Path], bytes],
) -> None:
    """The note, the meta file, or a table that cannot have its name: the rows stay, and the older note holds."""
    out, arguments = interrupted
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "CHECKPOINT_S", 0)
        if what == "table":
            replace = os.replace

            def refuse(source: Any, target: Any) -> None:
                if target == out:
                    raise OSError(errno.EIO, "Input/output error")
                replace(source, target)

            patch.setattr(os, "replace", refuse)
        else:
            open_file = Path.open

            def full(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
                if "w" in mode and (what in self.name or (what == ".meta.json" and ".meta." in self.name)):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return open_file(self, mode, *arguments, **options)

            patch.setattr(Path, "open", full)
        code, _, err = run_cli(*arguments, "--resume")
    assert code == 1 and "kept: --resume continues it" in err
    assert not out.exists() and (tmp_path / ".out.csv.resume").exists()
    assert run_cli(*arguments, "--resume", "-q") == (0, "", "")
    assert out.read_bytes() == whole(".csv", tiny) and hidden(tmp_path) == []


@pytest.mark.slow
def test_notes_that_were_edited_are_refused(
    interrupted: tuple[Path, list[Any]], tmp_path: Path, run_cli: Run, tiny: Path, whole: Callable[[str, Path], bytes]
) -> None:
    """Byte by byte, and with the checksum made to fit; what the note names is never touched."""
    out, arguments = interrupted
    note = tmp_path / ".out.csv.resume"
    good = note.read_bytes()
    (tmp_path / "precious.csv").write_text("precious\n")
    document = unpack(good, "here")

    def without(*path: str) -> dict[str, Any]:
        changed = json.loads(json.dumps(document, default=lambda array: ["array", array.tolist()]))
        inner = changed
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        return dict(changed)

    edited = [
        document | {"rows_file": "precious.csv"},
        document | {"rows_file": "../precious.csv"},
        document | {"rows_file": ["x"]},
        document | {"rows_file": ".out.csv.lock"},
        document | {"rows_file": ".out.csv.partial"},
        document | {"length": -5},
        document | {"length": "many"},
        document | {"length": 1e400},
        document | {"counts": [1, 2]},
        document | {"counts": None},
        document | {"counts": [1, 2, 3, ["x"]]},
        document | {"stream": {"last": 30}},
        document | {"stream": None},
        document | {"sheet": [1]},
        without("stream", "tracker", next(iter(document["stream"]["tracker"]))),
        without("stream", "finisher"),
        {"begun_by": []},
        [],
        None,
    ]
    damaged = [good[:-1], good[: len(good) // 2], good.replace(b"length", b"lenghh", 1), b"", good + b"x"]
    damaged[2] = good[:100] + bytes([good[100] ^ 1]) + good[101:]
    for data in (*damaged, *map(pack, edited)):
        note.write_bytes(data)
        code, _, err = run_cli(*arguments, "--resume")
        assert code == 1 and err.count("\n") == 1 and "delete it" in err, (data[:60], err)
    assert (tmp_path / "precious.csv").read_text() == "precious\n"
    note.write_bytes(good)
    assert run_cli(*arguments, "--resume", "-q")[0] == 0 and out.read_bytes() == whole(".csv", tiny)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of Unix")
def test_a_link_is_followed_and_a_pipe_refused(
    astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, whole: Callable[[str, Path], bytes]
) -> None:
    (tmp_path / "far").mkdir()
    link, real = tmp_path / "link.csv", tmp_path / "far" / "real.csv"
    link.symlink_to(real)
    arguments = ["predict", astronaut, "-o", link, "-q", "--model", tiny]
    assert run_cli(*arguments)[0] == 0
    assert link.is_symlink() and real.read_bytes() == whole(".csv", tiny)
    made = real.stat().st_mtime_ns
    assert run_cli(*arguments)[0] == 0 and real.stat().st_mtime_ns == made  # it is the one that would be written
    assert run_cli(*arguments, "--overwrite")[0] == 0 and link.is_symlink() and hidden(tmp_path / "far") == []
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "circle.csv").symlink_to(tmp_path / "circle.csv")
    (tmp_path / "device.csv").symlink_to("/dev/null")
    for name, reason in (("pipe", "is a pipe or a device"), ("circle", "is a link"), ("device", "a pipe or a device")):
        with pytest.raises(OutputError, match=reason):
            check_target(tmp_path / f"{name}.csv", overwrite=True)
    assert (tmp_path / "pipe.csv").is_fifo()


@pytest.mark.skipif(os.name == "nt", reason="links of Unix")
def test_a_link_to_a_name_of_another_kind_is_gone_on_with(
    astronaut: Path,
    tmp_path: Path,
    run_cli: Run,
    tiny: Path,
    whole: Callable[[str, Path], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The unfinished table lies beside what the link leads to, and has its suffix."""
    out = tmp_path / "out.csv"
    out.symlink_to("real.bin")
    arguments = ["predict", astronaut, "-o", out, "--model", tiny]
    interrupt_it(arguments, run_cli, monkeypatch)
    code, _, err = run_cli(*arguments, "--resume")
    assert code == 0 and "resumed at frame" in err
    assert out.is_symlink() and out.read_bytes() == whole(".csv", tiny) and hidden(tmp_path) == []


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_nothing_is_taken_from_a_table_whose_name_goes_on_with_a_number(
    suffix: str, astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run
) -> None:
    """``take.csv`` removes what is left of it, and nothing of ``take.2.csv``, which another run may be writing."""
    arguments = ["predict", astronaut, "-o", tmp_path / f"take{suffix}", "--end", 0.1, "-q", "--model", tiny]
    with OutputLock(tmp_path / f"take{suffix}") as killed:
        left = killed.path
    left.write_text("what a killed run left\n")
    with OutputLock(tmp_path / f"take.2{suffix}") as lock:
        rows = lock.path.with_name(f"{lock.path.name}.rows")
        for path in (lock.path, rows):
            path.write_text("precious\n")
        assert run_cli(*arguments) == (0, "", "") and not left.exists()
        assert lock.path.read_text() == rows.read_text() == "precious\n"


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of Unix")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_in_the_way_of_an_unfinished_table_is_named(
    kind: str, astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run
) -> None:
    """A pipe would take the rows, and become the table."""
    path = OutputLock(tmp_path / "t.csv").path
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link": lambda: path.symlink_to("precious")}[kind]()
    (tmp_path / "precious").write_text("precious")
    code, _, err = run_cli("predict", astronaut, "-o", tmp_path / "t.csv", "--end", 0.1, "-q", "--model", tiny)
    assert code == 1 and err.count("\n") == 1 and f"{path} is in its way" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "precious"]
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("name", ["t.csv", "t.jpg"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_name_that_is_taken_meanwhile_gets_no_meta_file(
    resume: bool, name: str, astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would tell of another one's table how it was made, and a later run would take it for its own."""
    add, meta = jobs.Counts.add, tmp_path / "t.csv.meta.json"

    def taken(self: jobs.Counts, result: Any) -> None:
        add(self, result)
        (tmp_path / name).write_text("theirs")
        meta.write_text("theirs too")

    monkeypatch.setattr(jobs.Counts, "add", taken)
    arguments = ["predict", astronaut, "-o", tmp_path / "t.csv", "--end", 0.1, "-q", "--model", tiny]
    arguments += ["--resume"] if resume else []
    code, _, err = run_cli(*arguments, "--contact-sheet", tmp_path / "t.jpg")
    if resume and name == "t.jpg":  # that of the interrupted run
        assert code == 0 and hidden(tmp_path) == []
        return
    assert code == 1 and f"{name}: exists already" in err and err.count("\n") == 1
    assert (tmp_path / name).read_text() == "theirs" and meta.read_text() == "theirs too"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, meta.name])


def test_many_inputs_do_not_read_their_folder(
    astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bookkeeping takes the same time for every input, however many tables there are."""
    names = [tmp_path / f"c{k}.mp4" for k in range(5)]
    for name in names:
        name.symlink_to(astronaut)
    read: list[Path] = []
    for method in ("iterdir", "glob"):
        real = getattr(Path, method)
        monkeypatch.setattr(Path, method, lambda self, *a, real=real, **k: (read.append(self), real(self, *a, **k))[1])
    (tmp_path / "out").mkdir()
    assert run_cli("predict", *names, "-o", tmp_path / "out", "--end", 0.1, "-q", "--model", tiny)[0] == 0
    assert len(list((tmp_path / "out").iterdir())) == 11 and read.count(tmp_path / "out") == 1  # this one


def test_a_stale_note_of_a_finished_table_is_removed(astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    """Killed between the table's renaming and the removal of its note."""
    assert run_cli("predict", astronaut, "-o", tmp_path / "out.csv", "--end", 0.1, "-q", "--model", tiny)[0] == 0
    (tmp_path / ".out.csv.resume").write_bytes(pack({}))
    again = "predict", astronaut, "-o", tmp_path / "out.csv", "--end", 0.1, "--resume", "--model", tiny
    code, _, err = run_cli(*again)
    assert code == 0 and "is there already" in err and hidden(tmp_path) == []
