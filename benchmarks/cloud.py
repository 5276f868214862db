"""Many clips from one bucket to tables in another, with everything that goes wrong.

    python benchmarks/cloud.py [--clips 20000] [--broken 50] [--ray]

A real S3 server (moto's, in a process of its own) on loopback holds one-second clips in nested folders, some of them
broken. Two processes, each with a shard, write Parquet to another bucket. Twice all connections break, and none can be
made for some seconds; one process is killed and started again. With --ray two workers of a local cluster do all of
it, and one of them is killed. Then every table that should be there is looked for, once, whole and value for value what
an undisturbed run makes; run.jsonl is held against the bucket; memory is told over the run, and which share of the
time was bookkeeping (benchmarks/shares.py).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

SAMPLE = Path(__file__).parent.parent / "samples" / "astronaut.mp4"
CUT_S = 4.0
TELLS_EVERY_S = 120.0
AT_ONCE = 256
"""Objects that are put or read at once before and after the run."""


def main() -> None:
    """Set up, run, break, and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--size", type=int, default=160, help="pixels, width and height")
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2, help="each with its shard")
    parser.add_argument("--faults-each", type=float, default=0.2, help="share of the inputs from one fault to the next")
    parser.add_argument("--stop-after", type=float, help="seconds; what is there by then is checked")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--model", default="lite")
    given = parser.parse_args()
    given.stopped = False
    with tempfile.TemporaryDirectory() as name:
        clip = _clip(Path(name), given)
        objects, good = _objects(clip, given)
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("s3_server.py")), str(objects)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            _run(clip, server, good, given)
        finally:
            server.kill()


def _run(clip: Path, server: subprocess.Popen[str], good: dict[str, str], given: argparse.Namespace) -> None:
    import s3fs

    assert server.stdin is not None and server.stdout is not None
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(keys)
    folder, began = clip.parent, time.monotonic()
    endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
    store = s3fs.S3FileSystem(endpoint_url=endpoint, use_listings_cache=False)
    store.mkdir("target")
    _undisturbed(clip, folder, given)
    print(f"{given.clips} clips of {clip.stat().st_size} bytes are there after {time.monotonic() - began:.0f} s")
    runs = _Runs(folder, given, {**os.environ, "AWS_ENDPOINT_URL": endpoint, "OMP_NUM_THREADS": "1"})
    events, told = ["cut", "kill", "cut"], 0.0
    while runs.at_work():
        done = runs.done()
        if events and done >= given.clips * given.faults_each * (4 - len(events)):
            event = events.pop(0)
            print(f"{runs.seconds():6.0f} s, {done} tables: {event}", flush=True)
            if event == "cut":
                print(CUT_S, file=server.stdin, flush=True)
            else:
                runs.kill()
        if given.stop_after is not None and runs.seconds() > given.stop_after:
            runs.stop()
            events, given.stop_after = [], None
            given.stopped = True
        if runs.seconds() - told > TELLS_EVERY_S:
            told = runs.seconds()
            print(f"{told:6.0f} s, {done} tables", flush=True)
        time.sleep(1.0)
    seconds = runs.seconds()
    print(f"{given.clips} inputs in {seconds:.0f} s of {given.processes} processes; faults left undone: {len(events)}")
    runs.tell()
    _check(store, good, given, _columns((folder / "alone.parquet").read_bytes())[1])
    assert given.stopped or (not events and {3} <= set(runs.codes.values()) <= {0, 3}), runs.codes


class _Runs:
    """The processes, and how they are."""

    def __init__(self, folder: Path, given: argparse.Namespace, environment: dict[str, str]) -> None:
        """Start them."""
        self._folder, self._environment, self._ray = folder, environment, given.ray
        shared = ["predict", "s3://source/", "-r", "--output-dir", "s3://target/t", "--keep-tree"]
        shared += ["--output-type", "parquet", "--model", given.model, "-q"]
        of = given.processes
        self._commands = [
            [*shared, "--shard", f"{k}/{of}", "--scratch", str(folder / f"s{k}")] for k in range(1, of + 1)
        ]
        if self._ray:
            self._commands = [[*shared, "--ray", "local", "-j", "2", "--scratch", str(folder / "s1")]]
        self._started = [0] * len(self._commands)
        self.codes: dict[int, int] = {}
        self._memory: dict[str, list[float]] = {}
        self._since = time.monotonic()
        self._processes = [self._start(k) for k in range(len(self._commands))]

    def _start(self, k: int) -> subprocess.Popen[bytes]:
        self._started[k] += 1
        shares = self._folder / f"shares-{k}-{self._started[k]}.json"
        measured = [] if self._ray else [str(Path(__file__).with_name("shares.py")), str(shares)]
        program = measured or ["-m", "affectkit"]
        with (self._folder / f"{k}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *program, *self._commands[k]], env=self._environment, stderr=log, stdout=log
            )

    def seconds(self) -> float:
        """Since they were started."""
        return time.monotonic() - self._since

    def done(self) -> int:
        """Inputs that are done, by the records on this machine: asking the store would be work for it."""
        return sum(path.read_bytes().count(b'"status": "done"') for path in self._records())

    def _records(self) -> list[Path]:
        return [path for path in self._folder.glob("s*/outputs-*/run*.jsonl") if path.is_file()]

    def kill(self) -> None:
        """End one process as a machine does that has no memory left, and start it again; of Ray, a worker."""
        if self._ray:
            name, worker = next(iter(self._workers()))
            print(f"{name} (process {worker.pid}) is killed", flush=True)
            worker.kill()
            return
        self._processes[1].send_signal(signal.SIGKILL)
        self._processes[1].wait()
        self._processes[1] = self._start(1)

    def stop(self) -> None:
        """End them as Ctrl-C does."""
        print(f"{self.seconds():6.0f} s, {self.done()} tables: stopped", flush=True)
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    def _workers(self) -> Iterator[tuple[str, psutil.Process]]:
        for child in psutil.Process(self._processes[0].pid).children(recursive=True):
            try:
                if any("MapWorker" in part for part in child.cmdline()):
                    yield f"worker {child.pid}", child
            except psutil.Error:
                continue

    def at_work(self) -> bool:
        """Whether any of them is; and note how much memory they have."""
        living: list[tuple[str, Any]] = []
        for k, process in enumerate(self._processes):
            if process.poll() is not None:
                self.codes[k] = process.returncode
            else:
                name = "driver" if self._ray else f"shard {k + 1}, start {self._started[k]}"
                living.append((name, psutil.Process(process.pid)))
        if self._ray and living:
            living += self._workers()
        for name, process in living:
            try:
                self._memory.setdefault(name, []).append(process.memory_info().rss / 1e6)
            except psutil.Error:
                continue
        return len(self.codes) < len(self._processes)

    def tell(self) -> None:
        """What they said, their memory, and where their time went."""
        said = [(self._folder / f"{k}.log").read_text() for k in range(len(self._commands))]
        print(f"exit codes {self.codes}; tracebacks: {sum(text.count('Traceback') for text in said)}")
        for text in said:
            lines = [line for line in text.splitlines() if "not a video" not in line]
            print("\n".join(["said besides broken inputs:", *lines[:20]]))
        for name, seen in self._memory.items():
            parts = [f"{seen[min(len(seen) - 1, len(seen) * k // 4)]:.0f} MB at {k}/4" for k in (1, 2, 3, 4)]
            print(f"memory of {name}: {', '.join(parts)}, {max(seen[len(seen) // 10 :]):.0f} at most after 1/10")
        for path in sorted(self._folder.glob("shares-*.json")):
            _tell_shares(path)


def _tell_shares(path: Path) -> None:
    """Where the time of one process went."""
    found = json.loads(path.read_text())
    spent, inputs = found["seconds"], max(1, found["inputs"])
    parts = ("frames", "tables", "transfer", "bookkeeping")
    whole = sum(spent.get(part, [0, 0])[0] for part in parts)
    print(f"{path.stem}: {inputs} inputs, {1000 * whole / inputs:.2f} ms each (start: {spent['start'][0]:.1f} s)")
    for part in parts:
        passed, cpu = spent.get(part, [0.0, 0.0])
        share = 100 * passed / max(whole, 1e-9)
        print(f"  {part:12} {share:5.2f} %, {1000 * passed / inputs:.3f} ms an input, {1000 * cpu / inputs:.3f} of CPU")


def _clip(folder: Path, given: argparse.Namespace) -> Path:
    """One second of the sample: the square in its middle."""
    import cv2

    from affectkit.outputs.video import VideoWriter
    from affectkit.sources.opening import open_source

    clip = folder / "clip.mp4"
    with VideoWriter(clip, fps=given.fps) as writer:
        for k, frame in enumerate(open_source(SAMPLE).frames()):
            if k == given.fps:
                break
            side = min(frame.image.shape[:2])
            top, left = ((length - side) // 2 for length in frame.image.shape[:2])
            square = frame.image[top : top + side, left : left + side]
            small = cv2.resize(square, (given.size, given.size), interpolation=cv2.INTER_AREA)
            writer.write(small, k / given.fps)
    return clip


def _objects(clip: Path, given: argparse.Namespace) -> tuple[Path, dict[str, str]]:
    """What the source bucket holds, clips in nested folders; the tables that are to come of them, and of which input
    each.
    """
    broken, good, lines = clip.with_name("broken.mp4"), dict[str, str](), list[str]()
    broken.write_bytes(b"broken")
    every = max(1, given.clips // max(1, given.broken))
    for k in range(given.clips):
        name = f"site{k % 3}/day{k % 7}/c{k:06}"
        is_broken = k % every == 0 and k // every < given.broken
        lines.append(f"source/{name}.mp4 {broken if is_broken else clip}\n")
        if not is_broken:
            good[f"target/t/{name}.parquet"] = f"s3://source/{name}.mp4"
    listed = clip.with_name("objects.txt")
    listed.write_text("".join(lines))
    return listed, good


def _undisturbed(clip: Path, folder: Path, given: argparse.Namespace) -> None:
    """The table that the clip makes by itself."""
    command = ["predict", str(clip), "-o", str(folder / "alone.parquet"), "-q", "--model", given.model]
    subprocess.run([sys.executable, "-m", "affectkit", *command], check=True)


def _columns(data: bytes) -> tuple[set[str], Any]:
    """Of a table the inputs that it names, and all other columns."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    return set(table.column("input").to_pylist()), table.drop_columns("input")


def _check(store: Any, good: dict[str, str], given: argparse.Namespace, alone: Any) -> None:
    """Every table once, whole, and with its meta file; run.jsonl true."""
    objects = store.find("target/t")
    there = {name for name in objects if name.endswith(".parquet")}
    broken = given.clips - len(good)
    print(f"{len(there)} tables of {len(good)}, {len(there - good.keys())} that should not be")
    others = sorted(set(objects) - there - {f"{name}.meta.json" for name in there})
    print(
        f"tables without a meta file: {len({f'{name}.meta.json' for name in there} - set(objects))}; beside: {others}"
    )
    other = 0
    for name, data in _read(store, sorted(there)):
        inputs, rest = _columns(data)
        other += inputs != {good.get(name)} or not rest.equals(alone)
    print(f"tables that are not, value for value, as of an undisturbed run: {other}")
    last: dict[str, dict[str, Any]] = {}
    done = 0
    for name in sorted(name for name in objects if name.endswith(".jsonl")):
        for line in map(json.loads, store.cat_file(name).splitlines()):
            if "input" in line:
                done += line["status"] == "done"
                last[line["input"]] = line
    recorded = {f"target/t/{line['table']}" for line in last.values() if line["status"] != "failed"}
    failed = {line["input"] for line in last.values() if line["status"] == "failed"}
    true = recorded == there and failed.isdisjoint(good.values())
    print(f"run.jsonl: {len(last)} inputs, {done} done, {len(failed)} failed of {broken} broken; as the bucket: {true}")
    whole = there == good.keys() and len(last) == given.clips and len(failed) == broken
    assert true and not other and (whole or given.stopped)
    assert len(objects) == 2 * len(there) + len(others) and all(name.endswith(".jsonl") for name in others)


def _read(store: Any, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for k in range(0, len(names), AT_ONCE):
        found = store.cat(list(names[k : k + AT_ONCE]), on_error="omit")
        yield from found.items()


if __name__ == "__main__":
    main()
