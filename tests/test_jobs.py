"""Many inputs in one command: folders, lists, shards, where outputs go, what is left as it is, and run.jsonl."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from synthetic import grey_frames, write_clip

from affectkit.errors import OutputError, SourceError
from affectkit.options import PredictorConfig
from affectkit.runs import record as records
from affectkit.runs.gpus import Measured, Room, in_worker, room_for, share_of
from affectkit.runs.inputs import Input, Shard, find_inputs, parse_shard, read_list
from affectkit.runs.job import Ended, Job
from affectkit.runs.record import Record
from affectkit.runs.record_reading import read_record
from affectkit.runs.status import status_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A short video."""
    return write_clip(tmp_path_factory.mktemp("clip") / "c.mp4", grey_frames(4)).read_bytes()


@pytest.fixture
def tree(in_an_empty_folder: Path, clip: bytes) -> Path:
    """Videos in nested folders, two of them of one name, and what is no video."""
    for name in ("a/x.mp4", "b/x.mp4", "b/c/y.mov", ".hidden/z.mp4"):
        path = in_an_empty_folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip)
    (in_an_empty_folder / "in" / "notes.txt").write_text("no video")
    return in_an_empty_folder


def lines(path: str, *statuses: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [line for line in found if not statuses or line["status"] in statuses]


def tables(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.csv"))


@pytest.mark.slow
def test_a_tree_of_videos_is_mirrored(tree: Path, tiny: Path, run_cli: Run) -> None:
    """Also: what is there already is left, what was made otherwise is refused by name, or made again."""
    command = ["predict", "in", "-r", "--output-dir", "out", "--keep-tree", "--model", tiny]
    code, _, err = run_cli(*command)
    assert code == 0 and "left out of the folders: files of other kinds: 1" in err, err
    assert "[tiny, cpu]" in err  # the model that ran
    assert tables("out") == ["a/x.csv", "b/c/y.csv", "b/x.csv"]
    done = lines("out/run.jsonl", "done")
    assert [line["table"] for line in done] == ["a/x.csv", "b/c/y.csv", "b/x.csv"]
    assert all(line["frames"] == 4 and line["host"] and line["seconds"] > 0 for line in done)
    before = {name: (Path("out") / name).stat().st_mtime_ns for name in tables("out")}
    code, _, err = run_cli(*command)
    assert code == 0 and err.count("is there already, made of the same input in the same way") == 3
    code, _, err = run_cli(*command, "--every", "2")
    assert code == 3 and err.count("exists already, made with --every 1, now --every 2; give --overwrite") == 3
    assert before == {name: (Path("out") / name).stat().st_mtime_ns for name in tables("out")}
    (tree / "in" / "b" / "x.mp4").write_bytes((tree / "in" / "a" / "x.mp4").read_bytes() + b"\0")
    code, _, err = run_cli(*command, "--resume", "--overwrite")
    assert code == 0 and err.count("is there already") == 2
    assert before["b/x.csv"] != Path("out/b/x.csv").stat().st_mtime_ns
    statuses = [line["status"] for line in lines("out/run.jsonl", "done", "failed", "skipped")]
    assert statuses == ["done"] * 3 + ["skipped"] * 3 + ["failed"] * 3 + ["skipped", "skipped", "done"]


def test_two_of_one_name_need_their_tree(tree: Path, tiny: Path, run_cli: Run) -> None:
    code, _, err = run_cli("predict", "in/a/x.mp4", "in/b/x.mp4", "--output-dir", "out", "--model", tiny)
    assert code == 2 and "give --output-dir DIR --keep-tree" in err and not Path("out").exists()
    code, _, err = run_cli("predict", "in/a/x.mp4", "in/b/x.mp4", "-d", "out", "--keep-tree", "-q", "--model", tiny)
    assert (code, err) == (0, "") and tables("out") == ["in/a/x.csv", "in/b/x.csv"]
    assert run_cli("predict", "in/a/x.mp4", "--keep-tree", "--model", tiny)[0] == 2
    (tree / "in" / "a" / "x.mov").write_bytes(b"")
    code, _, err = run_cli("predict", "in", "-r", "-d", "tables", "--keep-tree", "--model", tiny)
    assert code == 2 and "rename one of them" in err


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\0"])
def test_a_list_of_inputs(
    tree: Path, tiny: Path, run_cli: Run, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = separator.join(["in/b/c/y.mov", "in/a/x.mp4", "in/gone.mp4"]).encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    code, _, err = run_cli("predict", "--inputs", "-", "-d", "out", "--output-type", "jsonl", "--model", tiny)
    assert code == 3 and "1 of 3 inputs failed; why: affectkit runs status out/run.jsonl" in err
    assert {path.name for path in Path("out").glob("*.jsonl")} == {"x.jsonl", "y.jsonl", "run.jsonl"}
    monkeypatch.undo()


def test_lists_that_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("\n  \n")
    with pytest.raises(SourceError, match="names no input"):
        find_inputs([], [str(tmp_path / "list")], recursive=False)
    with pytest.raises(SourceError, match="cannot be read"):
        list(read_list(str(tmp_path / "gone")))
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbfa b.mp4\r\n\xff.mp4\n")
    assert [os.fsencode(name) for name in read_list(str(tmp_path / "list"))] == [b"a b.mp4", b"\xff.mp4"]


def test_a_folder_of_pictures_stays_one_input(tree: Path, tiny: Path, run_cli: Run) -> None:
    import cv2

    cv2.imwrite("in/a/one.png", np.full((32, 32, 3), 90, np.uint8))
    assert find_inputs(["in/a"], [], recursive=False).inputs == [Input("in/a")]
    assert find_inputs(["in/b"], [], recursive=False).inputs == [Input("in/b/x.mp4", 5)]
    found = find_inputs(["in"], [], recursive=True)
    assert len(found.inputs) == 3 and found.told().startswith("files of other kinds: 1, pictures")
    assert find_inputs(["in"], [], recursive=False).inputs == [Input("in")]  # which says that it has no pictures
    Path("in/a/x.mp4").unlink()
    with pytest.raises(SourceError, match="holds no videos"):
        find_inputs(["in/a"], [], recursive=True)


def test_a_mirrored_name_stays_below(tmp_path: Path) -> None:
    for name, mirrored in {
        "/data/a/x.mp4": "data/a/x.mp4",
        "../../x.mp4": "x.mp4",
        "a/../../b/x.mp4": "b/x.mp4",
        "./a/x.mp4": "a/x.mp4",
        "s3://bucket/a/x.mp4": "bucket/a/x.mp4",
        "https://me:secret@host:80/a/x.mp4?token=1": "host_80/a/x.mp4",
    }.items():
        assert Input(name).mirrored == mirrored


def test_shards_are_parts_of_the_whole_whatever_the_order(tree: Path, tiny: Path, run_cli: Run) -> None:
    names = [f"/d/{k}.mp4" for k in range(300)]
    parts = [{name for name in names if Shard(k, 4).holds(name)} for k in (1, 2, 3, 4)]
    assert set.union(*parts) == set(names) and sum(map(len, parts)) == 300 and min(map(len, parts)) > 50
    task = {"SLURM_ARRAY_TASK_ID": "14", "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_COUNT": "3"}
    assert parse_shard("auto", {**task, "SLURM_ARRAY_TASK_STEP": "2"}) == Shard(3, 3)
    assert parse_shard("auto", {}) is None and parse_shard("2/5") == Shard(2, 5)
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(ValueError, match="--shard"):
            parse_shard(wrong)
    for shard in ("1/2", "2/2"):
        assert (
            run_cli("predict", "in", "-r", "-d", "out", "--keep-tree", "--shard", shard, "-q", "--model", tiny)[0] == 0
        )
    assert len(tables("out")) == 3
    status = status_of("out")
    assert status.inputs == status.done == 3 and not status.running


def test_what_failed_is_tried_again(tree: Path, tiny: Path, run_cli: Run, clip: bytes) -> None:
    bad = Path("in/a/bad.mp4")
    bad.write_bytes(b"no video")
    command = ["predict", "in", "-r", "-d", "out", "--keep-tree", "-q", "--model", tiny]
    assert run_cli(*command)[0] == 3
    code, out, _ = run_cli("runs", "status", "out")
    assert code == 0 and "3 of 4 inputs are done, 1 failed, 0 are left" in out
    assert "not a video that FFmpeg can open" in out and "(as in/a/bad.mp4)" in out
    bad.write_bytes(clip)
    code, _, err = run_cli("predict", "--retry-failed", "out", "--model", tiny, "--every", "2")
    assert code == 1 and "that run had --every 1, now --every 2" in err
    assert run_cli("predict", "in", "--retry-failed", "out", "--model", tiny)[0] == 2
    assert run_cli("predict", "--retry-failed", "out", "-q", "--model", tiny) == (0, "", "")
    assert "a/bad.csv" in tables("out")
    code, out, _ = run_cli("runs", "status", "out/run.jsonl", "--json")
    status = json.loads(out)
    assert (status["inputs"], status["done"], status["failed"], status["frames"]) == (4, 4, 0, 16)
    code, _, err = run_cli("predict", "--retry-failed", "out", "--model", tiny)
    assert code == 0 and "nothing failed there" in err
    assert run_cli("runs", "status", "in")[0] == 1


def test_a_folder_is_no_file(tree: Path, tiny: Path, run_cli: Run) -> None:
    code, _, err = run_cli("predict", "in/a/x.mp4", "-o", "out/", "--model", tiny)
    assert code == 0 and tables("out") == ["x.csv"] and "for a folder give --output-dir out" in err
    assert run_cli("predict", "in/a/x.mp4", "-o", "a.csv", "-d", "out", "--model", tiny)[0] == 2
    assert run_cli("predict", "in/a/x.mp4", "--output-type", "csv", "--model", tiny)[0] == 2
    assert run_cli("predict", "--model", tiny)[0] == 2


def test_a_table_without_its_meta_file_is_never_replaced(tree: Path, tiny: Path, run_cli: Run) -> None:
    Path("x.csv").write_text("precious")
    for more in ([], ["--resume"]):
        code, _, err = run_cli("predict", "in/a/x.mp4", "--model", tiny, *more)
        assert code == 1 and "exists already" in err and Path("x.csv").read_text() == "precious"


def test_another_model_of_the_same_name_is_noticed(tree: Path, tiny: Path, tiny_labels: Path, run_cli: Run) -> None:
    assert run_cli("predict", "in/a/x.mp4", "--model", tiny, "-q")[0] == 0
    code, _, err = run_cli("predict", "in/a/x.mp4", "--model", tiny_labels, "--resume")
    assert code == 1 and "made with the model tiny (" in err and "now tiny-labels (" in err


def test_a_folder_called_like_an_embedded_model_is_told_of(tree: Path, run_cli: Run) -> None:
    Path("lite-int8").mkdir()
    Path("lite-int8/model.json").write_text("{}")
    code, _, err = run_cli("predict", "in/a/x.mp4", "--model", "lite-int8")
    assert code == 0 and "--model lite-int8: the embedded model; the folder of this name is ./lite-int8" in err
    assert "[lite-int8, cpu]" in err


def ended(name: str, outcome: str = "no reason") -> Ended:
    return Ended(Job(name, Path("out") / f"{name}.csv"), outcome, host="here")


def test_a_record_outlives_a_full_disk_and_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    record = Record(path, 3)
    record.begin(shard=None, given={})
    write, room = os.write, [100]

    def full(file: int, data: bytes) -> int:
        if room[0] is None:
            return write(file, data)
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(file, data[: room[0]])
        room[0] = 0
        return written

    monkeypatch.setattr(records.os, "write", full)
    record.add(ended("a"))
    assert [line["status"] for line in read_record(path)] == ["run"] and path.read_bytes().endswith(b"\n")
    with pytest.raises(OutputError, match="the disk is full"):
        record.end()
    room[0] = None  # type: ignore[call-overload]
    record.add(ended("b"))
    assert [line.get("input") for line in read_record(path)] == [None, "a", None, "b"]
    with path.open("ab") as file:
        file.write(b'{"status": "done", "inp')
    again = Record(path, 1)
    again.begin(shard=None, given={})
    assert [line["status"] for line in read_record(path)] == ["run", "failed", "ended", "failed", "run"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills a process the Unix way")
def test_a_killed_run_leaves_whole_lines_but_perhaps_the_last(tmp_path: Path) -> None:
    code = (
        "import sys, os, threading; from pathlib import Path; from affectkit.runs.record import Record\n"
        "from affectkit.runs.job import Ended, Job\n"
        "r = Record(Path(sys.argv[1]), 9); r.begin(shard=None, given={})\n"
        "threading.Timer(.3, lambda: os.kill(os.getpid(), 9)).start()\n"
        "while True: r.add(Ended(Job('x' * 5000, Path('x.csv')), 'reason'))\n"
    )
    path = tmp_path / "run.jsonl"
    run = subprocess.run([sys.executable, "-P", "-c", code, str(path)])
    assert run.returncode == -9
    *whole, last = path.read_bytes().splitlines(keepends=True)
    assert len(whole) > 3 and all(json.loads(line) for line in whole)
    if not last.endswith(b"\n"):  # the system stopped between two pages of memory
        last = b""
    Record(path, 9).begin(shard=None, given={})
    assert len(list(read_record(path))) == len(whole) + bool(last) + 1


def test_status_adds_up_shards_and_tells_the_time_left(tmp_path: Path) -> None:
    def line(second: int, **values: Any) -> str:
        return json.dumps({"time": f"2026-01-01T00:00:{second:02}+00:00", **values}) + "\n"

    for k in (1, 2):
        told = line(0, status="run", inputs=20) + "".join(
            line(4 * n, status="done", input=f"{k}-{n}", frames=25, seconds=n, host=f"h{k}") for n in range(1, 6)
        )
        (tmp_path / f"run.{k}-of-2.jsonl").write_text(
            told + line(20, status="failed", input=f"{k}-f", reason="p: why", host=f"h{k}")
        )
    (tmp_path / "run.jsonl.tmp").write_text("not one of them")
    status = status_of(tmp_path, now=1767225620.0 + 60)
    assert (status.inputs, status.done, status.failed, status.running, status.frames) == (40, 10, 2, 2, 250)
    assert status.inputs_per_s == pytest.approx(0.6) and status.left_s == pytest.approx(28 / 0.6)
    assert status.slowest[0][1] == 5 and status.reasons == (("why", 2, "1-f"),) and status.hosts == {"h1": 6, "h2": 6}
    assert "28 are left" in status.lines()[0] and "about 47 seconds left" in "\n".join(status.lines())


def test_room_on_a_cluster_with_gpus() -> None:
    """By measured memory, and no more workers than there are cores; the cluster says which GPU."""
    cuda, facts = PredictorConfig(device="cuda:1"), {"CPU": 64.0, "GPU": 4.0}
    measured = Measured("cuda", 900.0, 16000.0)
    assert room_for(cuda, facts, lambda _: measured) == Room(56, 0.0714, "cuda")
    assert share_of(Measured("cuda", 100.0, 80000.0), cpus=16, gpus=2) == 0.125
    assert share_of(Measured("cuda", float("nan"), float("nan")), cpus=16, gpus=1) == 1.0
    assert share_of(Measured("cuda", 15000.0, 16000.0), cpus=16, gpus=1) == 1.0
    asked: list[PredictorConfig] = []
    room_for(cuda, facts, lambda config: (asked.append(config), measured)[1])
    assert asked[0].device == "cuda"
    auto = PredictorConfig(device="auto")
    assert room_for(auto, facts, lambda _: measured).gpus == 0.0714
    assert room_for(auto, facts, lambda _: Measured("cpu", 0.0, 16000.0)) == Room(64)
    assert room_for(auto, {"CPU": 3.0}, lambda _: pytest.fail("no GPU")) == Room(3, device="auto")
    assert room_for(PredictorConfig(device="cpu"), facts, lambda _: pytest.fail("no GPU")) == Room(64)
    assert in_worker("tensorrt:3") == "tensorrt" and in_worker("cpu") == "cpu"
