"""`affectkit` with the time of its parts added up: where the time of a command with many inputs goes.

    python benchmarks/shares.py shares.json predict clips/ -r --output-dir tables -q

The main thread's time from the end of the first input on, with which much is loaded: `frames` (opening, decoding,
faces, networks, and what is done with each frame, from the first one asked for to the last one answered: between two
the main thread waits for the others, wherever it is), `tables` (rows laid out, and made into a file), `transfer`
(requests to stores and web servers, with their waits), and `bookkeeping`, which is all else: the plan, checks, what
decides a table, locks, temporary files and their names, meta files, run.jsonl, messages. Seconds as they passed and of
CPU are written to the file every second and at the end. Of inputs in other processes (-j, --ray) nothing is known.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITTEN_EVERY_S = 1.0


class Shares:
    """Divides the time of one thread among the parts of its work: at any moment it is in one of them."""

    def __init__(self, path: Path) -> None:
        self.inputs, self._path, self._written = 0, path, 0.0
        self._spent: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._part, self._sealed = "start", False
        self._passed, self._cpu = time.perf_counter(), time.thread_time()
        self._thread = threading.get_ident()

    def go_to(self, part: str) -> str:
        """Another part begins; the one before."""
        passed, cpu, before = time.perf_counter(), time.thread_time(), self._part
        spent = self._spent[before]
        spent[0] += passed - self._passed
        spent[1] += cpu - self._cpu
        self._part, self._passed, self._cpu = part, passed, cpu
        return before

    def count(self, part: str, owner: Any, name: str, *, sealed: bool = False) -> None:
        """What a function does belongs to a part; ``sealed``: whatever it calls."""
        function = getattr(owner, name)
        go_to, thread, this_thread = self.go_to, self._thread, threading.get_ident

        @functools.wraps(function)
        def timed(*given: Any, **more: Any) -> Any:  # as little as can be: what it takes is taken for bookkeeping
            if self._sealed or self._part == "start" or this_thread() != thread:
                return function(*given, **more)
            before, self._sealed = go_to(part), sealed
            try:
                return function(*given, **more)
            finally:
                self._sealed = False
                go_to(before)

        setattr(owner, name, timed)

    def between(self, part: str, owner: Any, name: str) -> None:
        """From an iterator's first item to its end all that is not of another part belongs to this one."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*given: Any, **more: Any) -> Any:
            counted = not self._sealed and self._part != "start" and threading.get_ident() == self._thread
            if counted:
                self.go_to(part)
            try:
                return function(*given, **more)
            except BaseException:
                if counted:
                    self.go_to("bookkeeping")
                raise

        setattr(owner, name, timed)

    def after(self, owner: Any, name: str, then: Callable[[], None]) -> None:
        """Do something after each call of a function."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def followed(*given: Any, **more: Any) -> Any:
            try:
                return function(*given, **more)
            finally:
                then()

        setattr(owner, name, followed)

    def one_more(self) -> None:
        """An input has ended."""
        if self._part == "start":
            self.go_to("bookkeeping")
            return
        self.inputs += 1
        if time.monotonic() - self._written > WRITTEN_EVERY_S:
            self.write()

    def write(self) -> None:
        """Put it into the file."""
        before = self.go_to("measuring")
        self._written = time.monotonic()
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"inputs": self.inputs, "seconds": self._spent}))
        fresh.replace(self._path)
        self.go_to(before)


def main() -> None:
    """Run the command."""
    from affectkit import cli
    from affectkit.outputs.writers import ParquetWriter, _TableWriter
    from affectkit.predictor import Predictor
    from affectkit.result_stream import ResultStream
    from affectkit.runs import anywhere, brought, run
    from affectkit.runs.record import Record

    shares = Shares(Path(sys.argv.pop(1)))
    parts: dict[str, list[tuple[Any, str]]] = {
        "frames": [(ResultStream, "close"), (Predictor, "stream"), (run, "open_source")],
        "tables": [(_TableWriter, "write"), (ParquetWriter, "prepare")],
        "transfer": [(brought, "http_facts"), (brought, "fetch_http"), (anywhere, "facts_of_input")],
    }
    parts["frames"] += [(brought.Fetched, "open")]
    parts["transfer"] += [(brought.stores(), name) for name in ("facts", "fetch", "put", "write", "read", "exists")]
    for part, functions in parts.items():
        for owner, name in functions:
            shares.count(part, owner, name)
    shares.between("frames", ResultStream, "__next__")
    shares.count("bookkeeping", Record, "_upload", sealed=True)
    shares.count("bookkeeping", Record, "end", sealed=True)
    shares.after(Record, "add", shares.one_more)
    shares.after(Record, "end", shares.write)
    cli.main()


if __name__ == "__main__":
    main()
