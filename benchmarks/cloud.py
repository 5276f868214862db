"""Many clips from one bucket to tables in another, with everything that goes wrong.

    python benchmarks/cloud.py [--clips 400] [--broken 50] [--ray]

A real S3 server (moto's) on loopback holds one-second clips in nested folders, some of them broken. Two processes, each
with a shard, write Parquet to another bucket through a proxy that drops all connections twice for some seconds; one
process is killed and started again. With --ray two workers of a local cluster do all of it, and one of them is killed.
Then every table that should be there is looked for, once and whole, and run.jsonl is held against the bucket.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

SAMPLE = Path(__file__).parent.parent / "samples" / "astronaut.mp4"


class Proxy:
    """Passes TCP connections on, or drops them all."""

    def __init__(self, port: int) -> None:
        self._to, self.cut, self._open = port, False, set[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def drop(self, seconds: float) -> None:
        """Cut the network for a while."""
        self.cut = True
        for one in list(self._open):
            one.close()
        time.sleep(seconds)
        self.cut = False

    def _accept(self) -> None:
        while True:
            ours, _ = self._server.accept()
            if self.cut:
                ours.close()
                continue
            theirs = socket.create_connection(("127.0.0.1", self._to))
            for a, b in ((ours, theirs), (theirs, ours)):
                self._open.add(a)
                threading.Thread(target=self._pass, args=(a, b), daemon=True).start()

    def _pass(self, a: socket.socket, b: socket.socket) -> None:
        try:
            while (data := a.recv(1 << 16)) and not self.cut:
                b.sendall(data)
        except OSError:
            pass
        finally:
            for one in (a, b):
                self._open.discard(one)
                one.close()


def main() -> None:
    """Set up, run, break, and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--model", default="lite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            _run(folder, port, given)
        finally:
            server.kill()


_SERVER = (
    "from moto.server import ThreadedMotoServer; import time\n"
    "s = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False); s.start()\n"
    "print(s.get_host_and_port()[1], flush=True); time.sleep(1e6)"
)


def _run(folder: Path, port: int, given: argparse.Namespace) -> None:
    import s3fs

    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(keys)
    store = s3fs.S3FileSystem(endpoint_url=f"http://127.0.0.1:{port}", use_listings_cache=False)
    good = _fill(store, folder, given)
    proxy = Proxy(port)
    environment = {**os.environ, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}", "OMP_NUM_THREADS": "1"}
    shared = [
        "predict",
        "s3://source/",
        "-r",
        "--output-dir",
        "s3://target/t",
        "--keep-tree",
        "--output-type",
        "parquet",
    ]
    shared += ["--model", given.model, "-q"]
    commands = [[*shared, "--shard", f"{k}/2", "--scratch", str(folder / f"s{k}")] for k in (1, 2)]
    if given.ray:
        commands = [[*shared, "--ray", "local", "-j", "2", "--scratch", str(folder / "s")]]
    began = time.monotonic()
    processes = [_start(command, environment, folder / f"{k}.log") for k, command in enumerate(commands)]
    peaks = [list[float]() for _ in commands]
    events, codes = ["cut", "kill", "cut"], dict[int, int]()
    while len(codes) < len(processes):
        done = sum(name.endswith(".parquet") for name in store.find("target/t"))
        if events and done >= given.clips * (4 - len(events)) // 5:
            event = events.pop(0)
            print(f"{time.monotonic() - began:6.0f} s, {done} tables: {event}", flush=True)
            if event == "cut":
                proxy.drop(4.0)
            elif given.ray:
                _kill_a_worker(processes[0])
            else:
                processes[1].send_signal(signal.SIGKILL)
                processes[1].wait()
                processes[1] = _start(commands[1], environment, folder / "1.log")
        for k, process in enumerate(processes):
            if process.poll() is not None:
                codes[k] = process.returncode
            else:
                peaks[k].append(_memory(process))
        time.sleep(1.0)
    seconds = time.monotonic() - began
    _check(store, good, given, codes, [(folder / f"{k}.log").read_text() for k in range(len(commands))])
    for k, seen in enumerate(peaks):
        half = seen[len(seen) // 2 :]
        print(f"process {k}: memory {seen[len(seen) // 4]:.0f} MB after a quarter, {max(half):.0f} at most later")
    print(f"{given.clips} inputs in {seconds:.0f} s")


def _fill(store: object, folder: Path, given: argparse.Namespace) -> set[str]:
    """Clips in nested folders; the names of the tables that are to come of them."""
    from affectkit.outputs.video import VideoWriter
    from affectkit.sources.opening import open_source

    clip = folder / "clip.mp4"
    with VideoWriter(clip, fps=25) as writer:
        for frame in open_source(SAMPLE).frames(end_s=1.0):
            writer.write(frame.image, frame.time_s)
    data, good = clip.read_bytes(), set()
    store.mkdir("source")  # type: ignore[attr-defined]
    store.mkdir("target")  # type: ignore[attr-defined]
    every = max(1, given.clips // max(1, given.broken))
    for k in range(given.clips):
        name = f"site{k % 3}/day{k % 7}/c{k:06}"
        broken = k % every == 0 and k // every < given.broken
        store.pipe_file(f"source/{name}.mp4", b"broken" if broken else data)  # type: ignore[attr-defined]
        if not broken:
            good.add(f"target/t/{name}.parquet")
    return good


def _start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "affectkit", *command], env=environment, stderr=file)


def _kill_a_worker(process: subprocess.Popen[bytes]) -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        if any("MapWorker" in part for part in child.cmdline()):
            child.kill()
            return


def _memory(process: subprocess.Popen[bytes]) -> float:
    try:
        return float(psutil.Process(process.pid).memory_info().rss) / 1e6
    except psutil.Error:
        return 0.0


def _check(store: object, good: set[str], given: argparse.Namespace, codes: dict[int, int], said: list[str]) -> None:
    """Every table once and whole; run.jsonl true."""
    import pyarrow.parquet as pq

    there = {name for name in store.find("target/t") if name.endswith(".parquet")}  # type: ignore[attr-defined]
    broken = given.clips - len(good)
    print(f"exit codes {codes}; {len(there)} tables of {len(good)}, {len(there - good)} that should not be")
    print(f"tracebacks: {sum(text.count('Traceback') for text in said)}")
    rows = Counter(
        pq.read_table(io.BytesIO(store.cat_file(name))).num_rows  # type: ignore[attr-defined]
        for name in there
    )
    print(f"rows by table: {dict(rows)}")
    last: dict[str, dict[str, object]] = {}
    spent = transfer = 0.0
    for name in store.find("target/t"):  # type: ignore[attr-defined]
        if name.endswith(".jsonl"):
            for line in map(json.loads, store.cat_file(name).splitlines()):  # type: ignore[attr-defined]
                if "input" in line:
                    last[line["input"]] = line
                    spent += line["seconds"]
                    transfer += line.get("transfer_s", 0.0)
    told = {f"target/t/{line['table']}" for line in last.values() if line["status"] != "failed"}
    failed = sum(line["status"] == "failed" for line in last.values())
    print(f"run.jsonl: {len(last)} inputs, {failed} failed of {broken} broken; as the bucket: {told == there}")
    print(f"seconds in inputs {spent:.0f}, of them transfers {transfer:.0f}")
    assert there == good == told and failed == broken and len(last) == given.clips


if __name__ == "__main__":
    main()
