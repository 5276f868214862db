"""Inputs from object stores and web servers, outputs to stores, and networks that break."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from synthetic import grey_frames, write_clip

from affectkit.errors import SourceError
from affectkit.outputs.spare_files import machine_mark
from affectkit.runs import fetch
from affectkit.runs.schemes import PACKAGES
from affectkit.sources.names import STORE_SCHEMES

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A short video."""
    return write_clip(tmp_path_factory.mktemp("clip") / "c.mp4", grey_frames(4)).read_bytes()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_WAIT_S", 0.01)


@pytest.fixture
def memory() -> Iterator[Any]:
    """fsspec's store in this process."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'affectkit[cloud]'")
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


def put(store: Any, path: str, data: bytes) -> None:
    with store.open(path, "wb") as file:
        file.write(data)


def test_from_one_store_to_another(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, tmp_path: Path
) -> None:
    """Folders, a broken input, what is there already, what was made otherwise, the record, and nothing left behind."""
    for name in ("a/x.mp4", "b/x.mp4", "notes.txt"):
        put(memory, f"/in/{name}", clip)
    put(memory, "/in/b/bad.mp4", b"no video")
    scratch = tmp_path / "scratch"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    scratch.mkdir()
    left_by_killed_runs = [scratch / f"input-{gone.pid}-{machine_mark()}-1-x.mp4", scratch / f"input-{gone.pid}-older"]
    left_by_killed_runs[0].write_bytes(clip)
    left_by_killed_runs[1].mkdir()
    os.utime(left_by_killed_runs[1], (0, 0))
    another_machines = scratch / f"input-{gone.pid}-12345678-1-x.mp4"
    another_machines.write_bytes(clip)
    command = ["predict", "memory://in/", "-r", "-d", "memory://out", "--keep-tree", "--scratch", scratch]
    command += ["--output-type", "parquet", "--model", tiny]
    code, _, err = run_cli(*command)
    assert code == 3 and "memory://out/a/x.parquet [tiny, cpu]" in err, err
    assert "memory://in/b/bad.mp4: not a video" in err and str(scratch) not in err
    assert not any(path.exists() for path in left_by_killed_runs) and another_machines.exists()
    another_machines.unlink()
    there = sorted(memory.find("/out"))
    tables = ["/out/a/x.parquet", "/out/b/x.parquet"]
    assert there == sorted([*tables, *(f"{name}.meta.json" for name in tables), "/out/run.jsonl"])
    meta = json.loads(memory.cat_file("/out/a/x.parquet.meta.json"))
    assert meta["input"] == "memory://in/a/x.mp4" and meta["contents"][0] == len(clip)
    left = [path for path in scratch.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["run.jsonl"]
    put(memory, "/in/b/bad.mp4", clip)
    code, _, err = run_cli("predict", "--retry-failed", "memory://out", "--scratch", scratch, "--model", tiny)
    assert code == 0 and memory.exists("/out/b/bad.parquet"), err
    code, out, _ = run_cli("runs", "status", "memory://out")
    assert code == 0 and "3 of 3 inputs are done, 0 failed" in out
    code, _, err = run_cli(*command)
    assert code == 0 and err.count("memory://out/") == err.count("is there already") == 3
    code, _, err = run_cli(*command, "--every", "2")
    assert code == 3 and err.count("made with --every 1, now --every 2") == 3
    put(memory, "/in/a/x.mp4", clip + b"\0")
    code, _, err = run_cli(*command, "--resume", "--overwrite")
    assert code == 0 and err.count("is there already") == 2


def test_each_output_goes_where_it_was_sent_and_is_asked_for_there(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run
) -> None:
    """A video on the disk beside a table in a store, and the other way round; and one that is missing is said to be."""
    put(memory, "/in/x.mp4", clip)
    put(memory, "/in/y.mp4", clip)
    more = ["--scratch", "s", "-q", "--model", tiny]
    code, _, err = run_cli("predict", "memory://in/", "-d", "memory://out", "--render", "videos/", *more)
    assert (code, err) == (0, "") and sorted(path.name for path in Path("videos").iterdir()) == ["x.mp4", "y.mp4"]
    assert memory.exists("/out/x.csv") and not memory.exists("/out/x.mp4")
    code, _, err = run_cli("predict", "memory://in/", "-d", "tables", "--render", "memory://shown/", *more)
    assert (code, err) == (0, "") and memory.exists("/shown/y.mp4") and Path("tables/y.csv").exists()
    assert not list(Path("s").rglob("*.mp4"))
    code, _, err = run_cli("predict", "memory://in/", "-d", "tables", "--render", "memory://shown/", *more)
    assert (code, err) == (0, "")
    for table in ("memory://out", "tables"):
        code, _, err = run_cli("predict", "memory://in/", "-d", table, "--render", "memory://more/", *more)
        assert code == 3 and err.count("exists already, and memory://more/x.mp4 does not; give --overwrite") == 1, err
        assert "/s/" not in err
    code, _, err = run_cli("predict", "memory://in/", "-d", "memory://out", "--every", "2", *more)
    assert code == 3 and err.count("memory://out/x.csv: exists already, made with --every 1") == 1, err


def test_a_killed_run_s_video_is_brought_away_by_the_next(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table on the disk has its name before the video is in the store."""
    from affectkit.runs import anywhere

    put(memory, "/in/x.mp4", clip)
    command = ["predict", "memory://in/x.mp4", "-d", "tables", "--render", "memory://shown/", "--scratch", "s"]
    upload = anywhere.upload

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(anywhere, "upload", killed)
    code, _, _ = run_cli(*command, "--model", tiny)
    assert code != 0 and Path("tables/x.csv").exists() and not memory.exists("/shown/x.mp4")
    monkeypatch.setattr(anywhere, "upload", upload)
    code, _, err = run_cli(*command, "--model", tiny)
    assert code == 0 and "is there already" in err and memory.exists("/shown/x.mp4")


def test_the_record_is_brought_to_its_store_beside_the_work(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large run it has megabytes. What is older never comes last, and no half line comes."""
    from affectkit.runs import record as records
    from affectkit.runs import stores
    from affectkit.runs.job import Ended, Job

    monkeypatch.setattr(records, "UPLOADS_EVERY_S", 0.0)
    under_way, goes_on, brought = threading.Event(), threading.Event(), list[bytes]()
    write, put_file = stores.write, stores.put

    def slowly(data: bytes, url: str) -> None:
        under_way.set()
        assert goes_on.wait(20)
        brought.append(data)
        write(data, url)

    monkeypatch.setattr(stores, "write", slowly)
    monkeypatch.setattr(stores, "put", lambda path, url: (brought.append(b"whole"), put_file(path, url)))
    record = records.Record(tmp_path / "run.jsonl", 3, "memory://out/run.jsonl")
    record.begin(shard=None, given={})
    record.add(Ended(Job("a.mp4", tmp_path / "a.csv"), "why"))
    assert under_way.wait(20)
    for name in "bc":  # nothing waits for it
        record.add(Ended(Job(f"{name}.mp4", tmp_path / f"{name}.csv"), "why"))
    assert brought == []
    goes_on.set()
    record.end()
    assert brought[-1] == b"whole" and all(data.endswith(b"}\n") for data in brought[:-1])
    assert memory.cat_file("/out/run.jsonl") == (tmp_path / "run.jsonl").read_bytes()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_small_table_for_a_store_is_never_a_file_here(
    suffix: str,
    memory: Any,
    clip: bytes,
    in_an_empty_folder: Path,
    tiny: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of inputs would make and remove three files each. A longer one is a file, locked and noted."""
    from affectkit.outputs.rows import LateRows
    from affectkit.runs import stores

    for name in ("x", "y"):
        put(memory, f"/in/{name}.mp4", clip)
    Path("y.mp4").write_bytes(clip)
    command = ["predict", "memory://in/x.mp4", "-d", f"memory://out-{suffix}", "--output-type", suffix]
    more = ["--scratch", "s", "-q", "--model", tiny]
    files: list[list[str]] = []
    write, put_file = stores.write, stores.put

    def looked(_: Any, url: str) -> None:
        files.append(sorted(path.name for path in Path("s").glob("outputs-*/*") if path.is_file()))

    monkeypatch.setattr(stores, "write", lambda data, url: (looked(data, url), write(data, url)))
    monkeypatch.setattr(stores, "put", lambda path, url: (looked(path, url), put_file(path, url)))
    assert run_cli(*command, *more) == (0, "", "")
    assert files == [[], []]
    small = memory.cat_file(f"/out-{suffix}/x.{suffix}")
    monkeypatch.setattr(LateRows, "MOST", 10)
    memory.rm("/", recursive=True)
    put(memory, "/in/x.mp4", clip)
    assert run_cli(*command, *more) == (0, "", "")
    assert files[2:] == [[f"x.{suffix}", f"x.{suffix}.meta.json"]] * 2
    assert memory.cat_file(f"/out-{suffix}/x.{suffix}") == small
    assert [path for path in Path("s").rglob("*") if path.is_file()] == []


def test_rows_that_are_read_again_have_their_folder(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run
) -> None:
    """Those of a table with a baseline are on the disk until it is made: of one input, and deep in a tree."""
    for name in ("x.mp4", "deep/er/y.mp4"):
        put(memory, f"/in/{name}", clip)
    more = ["--baseline", "auto", "--scratch", "s", "-q", "--model", tiny]
    code, _, err = run_cli("predict", "memory://in/x.mp4", "-o", "memory://one/t.csv", *more)
    assert (code, err) == (0, "") and memory.exists("/one/t.csv.meta.json")
    code, _, err = run_cli("predict", "memory://in/", "-r", "-d", "memory://all", "--keep-tree", *more)
    assert (code, err) == (0, "") and memory.exists("/all/deep/er/y.csv")
    assert [path.name for path in Path("s").rglob("*") if path.is_file()] == ["run.jsonl"]


@pytest.mark.parametrize("where", ["input", "record"])
def test_a_disk_that_takes_nothing_is_said_with_what_mends_it(
    where: str,
    memory: Any,
    clip: bytes,
    in_an_empty_folder: Path,
    tiny: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(memory, "/in/x.mp4", clip)
    real_open, real_mkdir = os.open, os.mkdir

    def refuse(path: Any, *arguments: Any, **more: Any) -> Any:
        if Path(os.fspath(path)).parent.name == "s":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return (real_mkdir if where == "record" else real_open)(path, *arguments, **more)

    Path("s").mkdir()
    monkeypatch.setattr(os, "mkdir" if where == "record" else "open", refuse)
    places = (
        ["memory://in/", "-d", "memory://out"] if where == "record" else ["memory://in/x.mp4", "-o", "memory://o.csv"]
    )
    code, _, err = run_cli("predict", *places, "--scratch", "s", "--model", tiny)
    assert code == 1 and err.count("\n") == 1 and "Read-only file system" in err and "--scratch" in err, err
    assert where == "record" or "memory://in/x.mp4: cannot be kept in s" in err


def test_what_could_not_be_uploaded_nor_kept_is_said_to_be_not_uploaded(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the store, not the disk that is full besides."""
    from affectkit.runs import anywhere

    put(memory, "/in/x.mp4", clip)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refused(*_: Any, **__: Any) -> None:
        raise SourceError("memory://o.csv: access is denied")

    monkeypatch.setattr(anywhere, "upload", refused)
    monkeypatch.setattr(anywhere, "write_whole", full)
    code, _, err = run_cli("predict", "memory://in/x.mp4", "-o", "memory://o.csv", "--scratch", "s", "--model", tiny)
    assert code == 1 and err == "affectkit: error: memory://o.csv: access is denied\n"


def test_objects_are_called_as_they_are(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run
) -> None:
    """In a store ``#`` and ``?`` are letters like others, which begin no fragment and no query; so are line breaks."""
    assert set(PACKAGES) == STORE_SCHEMES
    names = ["take #1", "take #2", "who?", "who?token=1", "two\nlines"]
    for name in names:
        put(memory, f"/in/{name}.mp4", clip)
    put(memory, "/in/bad #3.mp4", b"no video")
    more = ["--scratch", "s", "--model", tiny]
    code, _, err = run_cli("predict", "memory://in/", "-d", "memory://out", *more)
    assert (
        code == 3 and "error: memory://in/bad #3.mp4: not a video" in err and "memory://in/take #2.mp4: 4 frames" in err
    )
    for name in names:
        assert json.loads(memory.cat_file(f"/out/{name}.csv.meta.json"))["input"] == f"memory://in/{name}.mp4"
    put(memory, "/in/bad #3.mp4", clip)
    code, _, err = run_cli("predict", "--retry-failed", "memory://out", *more)
    assert code == 0 and memory.exists("/out/bad #3.csv"), err
    code, _, err = run_cli("predict", "memory://in/who?.mp4", "-d", "memory://named", "--keep-tree", *more)
    assert code == 0 and memory.exists("/named/in/who?.csv"), err


def test_what_could_not_be_uploaded_is_brought_there_by_the_next_run(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectkit.predictor import Predictor
    from affectkit.runs import stores

    put(memory, "/in/x.mp4", clip)
    command = ["predict", "memory://in/", "-d", "memory://out", "--scratch", "s", "-q", "--model", tiny]

    def gone(*_: Any) -> None:
        raise SourceError("memory://out/x.csv: the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(stores, "write", gone)
        code, _, err = run_cli(*command)
        assert code == 3 and "the network is gone" in err and not memory.exists("/out/x.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "stream", lambda *_, **__: pytest.fail("it is computed again"))
        assert run_cli(*command) == (0, "", "")
    assert memory.exists("/out/x.csv") and memory.exists("/out/x.csv.meta.json")
    assert [path.name for path in Path("s").rglob("*") if path.is_file()] == ["run.jsonl"]


def test_inputs_are_brought_into_the_files_of_those_before(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their lengths; and none is left."""
    from affectkit.runs import anywhere

    longer = clip + b"\0" * 70_000
    for name, data in (("a", clip), ("b", longer), ("c", clip), ("d", longer), ("e", b"no video"), ("f", clip)):
        put(memory, f"/in/{name}.mp4", data)
    seen: list[tuple[int, bytes]] = []
    run = anywhere.run_in_way

    def looked(*given: Any, **more: Any) -> Any:
        path = Path(more["fetched"].path)
        seen.append((path.stat().st_ino, path.read_bytes()))
        return run(*given, **more)

    monkeypatch.setattr(anywhere, "run_in_way", looked)
    code, _, err = run_cli("predict", "memory://in/", "-d", "out", "--scratch", "s", "-q", "--model", tiny)
    assert code == 3 and err.count("not a video") == 1
    assert [data for _, data in seen] == [clip, longer, clip, longer, b"no video", clip]
    assert len({file for file, _ in seen[:5]}) == 1 and list(Path("s").glob("input-*")) == []
    assert len(list(Path("out").glob("*.csv"))) == 5


def test_a_run_that_breaks_off_brings_its_record_to_the_store(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectkit.runs import anywhere

    put(memory, "/in/x.mp4", clip)
    put(memory, "/in/y.mp4", clip)
    real = anywhere.run_in_way

    def interrupted(predictor: Any, job: Any, *given: Any, **more: Any) -> Any:
        if job.source.endswith("y.mp4"):
            raise KeyboardInterrupt
        return real(predictor, job, *given, **more)

    monkeypatch.setattr(anywhere, "run_in_way", interrupted)
    code, _, _ = run_cli("predict", "memory://in/", "-d", "memory://out", "--scratch", "s", "--model", tiny)
    assert code != 0 and b'"status": "done", "input": "memory://in/x.mp4"' in memory.cat_file("/out/run.jsonl")


def test_a_name_that_is_too_long_for_a_disk(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run
) -> None:
    name = f"{'long' * 60}.{'mp4' * 30}"
    put(memory, f"/in/{name}", clip)
    code, _, err = run_cli("predict", f"memory://in/{name}", "-o", "x.csv", "--scratch", "s", "--model", tiny)
    assert code == 0 and f"memory://in/{name}: 4 frames" in err
    assert not list(Path("s").iterdir())


def test_what_decides_a_table_is_worked_out_once(
    memory: Any, clip: bytes, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And compared only where there is a table; an input is brought to a file, for which no folder is made."""
    from affectkit.predictor import Predictor
    from affectkit.runs import made, way
    from affectkit.runs.anywhere import run_anywhere
    from affectkit.runs.brought import Transfer
    from affectkit.runs.job import Job
    from affectkit.runs.work import Work

    put(memory, "/in/x.mp4", clip)
    calls = {"describe": 0, "facts_of": 0}
    scratch = tmp_path / "scratch"
    folders: list[int] = []

    def counted(owner: Any, name: str, real: Any) -> None:
        def count(*given: Any, **more: Any) -> Any:
            calls[name] += 1
            folders.append(sum(path.is_dir() for path in scratch.iterdir()))
            return real(*given, **more)

        monkeypatch.setattr(owner, name, count)

    counted(Predictor, "describe", Predictor.describe)
    counted(way, "facts_of", made.facts_of)
    job = Job("memory://in/x.mp4", tmp_path / "t.csv", urls=("memory://out/x.csv", None, None))
    work = Work(transfer=Transfer(str(scratch)))
    scratch.mkdir()
    with Predictor(tiny, device="cpu") as predictor:
        assert not run_anywhere(predictor, job, work, work.outputs).skipped
        assert calls == {"describe": 1, "facts_of": 0}
        assert run_anywhere(predictor, job, work, work.outputs).skipped
        assert calls == {"describe": 1, "facts_of": 1}
    assert not any(folders) and not list(scratch.iterdir())


def test_a_network_that_breaks_costs_no_input(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectkit.runs import stores

    monkeypatch.setattr(stores, "PART_BYTES", 400)
    put(memory, "/in/x.mp4", clip)
    calls = {"cat_file": 0, "put_file": 0}
    for name in calls:
        real = getattr(memory, name)

        def breaks(*given: Any, name: str = name, real: Any = real, **more: Any) -> Any:
            calls[name] += 1
            if calls[name] % 2:
                raise OSError("Connection reset by peer")
            return real(*given, **more)

        monkeypatch.setattr(memory, name, breaks)
    code, _, err = run_cli(
        "predict", "memory://in/x.mp4", "-d", "memory://out", "--scratch", "s", "-q", "--model", tiny
    )
    assert (code, err) == (0, "") and calls["cat_file"] > 4
    monkeypatch.undo()
    assert memory.cat_file("/out/x.csv").count(b"\n") == 5


def test_what_cannot_be_had_is_said_in_one_line(
    memory: Any, clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run
) -> None:
    put(memory, "/in/x.mp4", clip)
    for name, reason in {
        "memory://in/gone.mp4": "there is no such file",
        "memory://in": "is a folder",
        "memory://nowhere/": "holds no videos",
    }.items():
        code, _, err = run_cli("predict", name, "--model", tiny)
        assert code == 1 and err.count("\n") == 1 and reason in err, err
    code, _, err = run_cli("predict", "memory://in/x.mp4", "--max-download", "0.0000001", "--model", tiny)
    assert code == 1 and "more than --max-download allows" in err
    code, _, err = run_cli("predict", "memory://in/x.mp4", "-d", "memory://out", "--min-track", "1", "--model", tiny)
    assert code == 2 and "has to be on this machine" in err
    code, _, err = run_cli("predict", "gs://bucket/x.mp4", "--model", tiny)
    if code == 1 and "gcsfs" in err:
        assert "pip install 'affectkit[gcs]'" in err


class Server(BaseHTTPRequestHandler):
    """Gives a file, in whole or in parts, with breaks and refusals as it is told."""

    data: ClassVar[bytes] = b""
    ranges: ClassVar[bool] = False
    breaks: ClassVar[int] = 0
    """How often the connection ends in the middle."""
    refusals: ClassVar[list[int]] = []
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        """Answer."""
        if self.refusals:
            self.send_error(self.refusals.pop(0))
            return
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        begin, end = 0, len(self.data)
        if wanted and self.ranges:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(end, int(last) + 1) if last else end
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(self.data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("ETag", '"one"')
        self.end_headers()
        part = self.data[begin:end]
        if type(self).breaks and len(part) > 1:
            type(self).breaks -= 1
            part = part[: len(part) // 2]
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(clip: bytes) -> Iterator[str]:
    Server.data, Server.ranges, Server.breaks, Server.refusals, Server.asked = clip, False, 0, [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("ranges", [False, True])
def test_a_web_server_with_and_without_ranges(
    server: str, ranges: bool, in_an_empty_folder: Path, tiny: Path, run_cli: Run
) -> None:
    """Its connection breaks twice; where the server can do it only the rest is fetched."""
    Server.ranges, Server.breaks, Server.refusals = ranges, 2, [503]
    code, _, err = run_cli("predict", f"{server}/x.mp4?token=secret", "-q", "--scratch", "s", "--model", tiny)
    assert (code, err) == (0, "") and Path("x.csv").read_text().count("\n") == 5
    assert "secret" not in Path("x.csv").read_text() + Path("x.csv.meta.json").read_text()
    rest = [one for one in Server.asked if one is not None and one != "bytes=0-0"]
    # Without ranges the first question is answered with the whole file already, which breaks off too.
    assert (len(rest), len(Server.asked)) == ((2, 4) if ranges else (0, 3))
    assert not [path for path in Path("s").rglob("*") if path.is_file()]
    code, _, err = run_cli("predict", f"{server}/x.mp4?token=secret", "--scratch", "s", "--model", tiny)
    assert code == 0 and "is there already" in err and len(Server.asked) == (5 if ranges else 4)


@pytest.mark.slow
def test_a_web_server_that_says_no(server: str, in_an_empty_folder: Path, tiny: Path, run_cli: Run) -> None:
    Server.refusals = [404]
    code, _, err = run_cli("predict", f"{server}/x.mp4", "--model", tiny)
    assert code == 1 and "the server says 404" in err and err.count("\n") == 1
    Server.refusals = [500] * 20
    code, _, err = run_cli("predict", f"{server}/x.mp4", "--model", tiny)
    assert code == 1 and f"not to be had in {fetch.TRIES} tries" in err and len(Server.refusals) == 20 - fetch.TRIES


def test_waits_grow_and_errors_for_good_are_not_tried_again() -> None:
    waits: list[float] = []

    def fails() -> None:
        raise TimeoutError("timed out")

    with pytest.raises(SourceError, match=r"x: not to be had in 4 tries \(timed out\)"):
        fetch.patiently(fails, "x", tries=4, wait=waits.append)
    assert len(waits) == 3 and waits[0] < waits[1] < waits[2]

    class NoCredentialsError(Exception):
        pass

    def denied() -> None:
        raise NoCredentialsError("Unable to locate credentials")

    with pytest.raises(SourceError, match="Unable to locate credentials"):
        fetch.patiently(denied, "x", wait=waits.append)
    assert len(waits) == 3


@pytest.mark.slow
def test_a_real_s3_server(
    clip: bytes, in_an_empty_folder: Path, tiny: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moto's, on loopback."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'affectkit[cloud]'")
    pytest.importorskip("moto", reason="moto is not installed: pip install 'affectkit[dev]'")
    pytest.importorskip("flask_cors", reason="moto's server needs flask and flask-cors")
    import s3fs
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem()
        store.mkdir("source")
        store.mkdir("target")
        for name in ("a/x.mp4", "b/x.mp4"):
            store.pipe_file(f"source/{name}", clip)
        command = ["predict", "s3://source/", "-r", "-d", "s3://target/t", "--keep-tree", "--output-type", "parquet"]
        command += ["--scratch", "s", "--model", tiny]
        code, _, err = run_cli(*command)
        assert code == 0, err
        there = sorted(name.removeprefix("target/t/") for name in store.find("target/t"))
        assert [name for name in there if name.endswith(".parquet")] == ["a/x.parquet", "b/x.parquet"]
        code, _, err = run_cli(*command)
        assert code == 0 and err.count("is there already") == 2
        assert "2 of 2 inputs are done" in run_cli("runs", "status", "s3://target/t/")[1]
    finally:
        moto.stop()
