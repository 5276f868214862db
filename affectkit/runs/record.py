"""``run.jsonl``, beside the outputs of many inputs: a line for each input that ended, and for each run.

Lines are only ever appended, each by one call of the system, under a lock. What a full disk cut short is taken away
again, and written with the next line that there is room for. The last line may be torn, by a power cut, or by a kill
while the system copies it from one page of memory to the next: it is not counted, and closed off by the next run.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectkit import __version__
from affectkit.errors import SourceError
from affectkit.outputs.files import explain_os_error, write_whole
from affectkit.runs.brought import make_staging, stores
from affectkit.runs.inputs import Shard
from affectkit.runs.job import Ended, Outcome

if sys.platform != "win32":
    import fcntl

PREFIX, SUFFIX = "run", ".jsonl"

UPLOADS_EVERY_S = 30.0
"""To a store."""

LEAVES_IN_S = 5.0
"""Time that an upload is given to end when a run breaks off."""


def record_name(shard: Shard | None) -> str:
    """The file's name; every shard has one of its own, since file systems of several machines append as they like."""
    return f"{PREFIX}{SUFFIX}" if shard is None else f"{PREFIX}.{shard.number}-of-{shard.of}{SUFFIX}"


@dataclass(slots=True)
class Totals:
    """How far a run is."""

    inputs: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    frames: int = 0

    @property
    def ended(self) -> int:
        """Inputs of which it is known what became of them."""
        return self.done + self.failed + self.skipped

    def add(self, status: str, frames: int) -> None:
        """One more input."""
        setattr(self, status, getattr(self, status) + 1)
        self.frames += frames if status == "done" else 0

    def told(self, seconds: float) -> str:
        """How far it is after so many seconds, in words."""
        rate = self.ended / max(seconds, 1e-6)
        left_s = (self.inputs - self.ended) / rate if rate else math.inf
        return (
            f"{self.ended} of {self.inputs} inputs, {self.failed} failed, {self.skipped} there already; "
            f"{rate:.3g} inputs and {self.frames / max(seconds, 1e-6):.0f} frames a second, {time_left(left_s)} left"
        )


def time_left(seconds: float) -> str:
    """In words."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}" if seconds < math.inf else "unknown time"
    return f"{seconds:.0f} seconds"


_ENCODE = json.JSONEncoder(allow_nan=False).encode


class Record:
    """Appends to one ``run.jsonl``."""

    def __init__(self, path: Path, inputs: int, url: str | None = None) -> None:
        """Name the file; nothing is written yet.

        Args:
            inputs: how many there are.
            url: where it is uploaded from time to time, whole, for a store: nothing can be appended there.
        """
        self.path, self.totals, self._url = path, Totals(inputs), url
        self._folder = os.path.join(path.parent, "")
        """What the paths of most outputs begin with."""
        self._host, self._waiting, self._uploaded_at = platform.node(), b"", time.monotonic()
        self._uploading: threading.Thread | None = None

    def begin(self, *, shard: Shard | None, given: dict[str, Any], retried: bool = False) -> None:
        """Note that a run starts.

        Args:
            given: the options that decide what comes out.
            retried: whether its inputs are those that failed in one before.

        Raises:
            OutputError: the file cannot be written.
            SourceError: the store does not answer.
        """
        if self._url is not None:
            make_staging(self.path.parent)
            self._merge(stores().read(self._url))
        self._close_off()
        self._write(
            {
                "status": "run",
                "inputs": self.totals.inputs,
                "shard": None if shard is None else str(shard),
                "retried": retried,
                "given": given,
                "process": os.getpid(),
                "affectkit": __version__,
            },
            must=True,
        )

    def add(self, ended: Ended) -> None:
        """Note what became of an input. On a full disk it waits for the next line, or :meth:`end`."""
        outcome, job = ended.outcome, ended.job
        name = job.name
        line: dict[str, Any] = {"status": ended.status, "input": name}
        if name != job.source:
            line["secret"] = True
        if isinstance(outcome, Outcome):
            line |= {"frames": outcome.read, "faces": outcome.faces, "complete": outcome.report.complete}
            line |= {"transfer_s": round(outcome.transfer_s, 3)} if outcome.transfer_s else {}
        else:
            line |= {"reason": outcome}
        line["table"] = self._beside(job.table)
        for kind, path, url in (("video", job.video, job.urls[1]), ("sheet", job.sheet, job.urls[2])):
            line |= {} if path is None else {kind: url or self._beside(path)}
        line |= {"seconds": round(ended.seconds, 3), "model": ended.model, "device": ended.device, "host": ended.host}
        self._write(line)
        self.totals.add(ended.status, outcome.read if isinstance(outcome, Outcome) else 0)
        self._upload()

    def end(self) -> None:
        """Note that the run is over.

        Raises:
            OutputError: lines are missing, since the disk is full.
        """
        counts = {name: getattr(self.totals, name) for name in ("done", "failed", "skipped", "frames")}
        self._write({"status": "ended", **counts}, must=True)
        if self._url is not None:
            if self._uploading is not None:
                self._uploading.join()  # what it has is older
            stores().put(self.path, self._url)

    def leave(self) -> None:
        """The run breaks off: bring what is recorded to its store, if that answers."""
        if self._url is not None and self.path.exists():
            if self._uploading is not None:
                self._uploading.join(LEAVES_IN_S)
                if self._uploading.is_alive():  # it does not answer
                    return
            with suppress(SourceError):
                stores().put(self.path, self._url)

    def _merge(self, there: bytes | None) -> None:
        """Take over the lines that a run on another machine uploaded."""
        here = self.path.read_bytes() if self.path.exists() else b""
        lines = dict.fromkeys((*(there or b"").splitlines(), *here.splitlines()))
        if there is not None and len(lines) != here.count(b"\n"):
            write_whole(self.path, b"".join(line + b"\n" for line in sorted(lines, key=_time_of)))

    def _upload(self) -> None:
        """Bring the file to its store, if that is long ago, while the next inputs are worked on: of a large run it has
        megabytes. A store that does not answer is asked the next time.
        """
        if self._url is None or time.monotonic() - self._uploaded_at <= UPLOADS_EVERY_S:
            return
        if self._uploading is None or not self._uploading.is_alive():
            self._uploaded_at = time.monotonic()
            # A store's client may wait for minutes, which the end of the process does not.
            self._uploading = threading.Thread(target=self._bring, args=(self._url,), daemon=True)
            self._uploading.start()

    def _bring(self, url: str) -> None:
        with suppress(SourceError, OSError):
            with _Locked(self.path):  # no half line
                data = self.path.read_bytes()
            stores().write(data, url)

    def _beside(self, path: Path) -> str:
        """A path as seen from the file's folder, where it is below it."""
        name = str(path)
        if name.startswith(self._folder):
            return name[len(self._folder) :].replace(os.sep, "/")
        with suppress(ValueError):
            return path.relative_to(self.path.parent).as_posix()
        return str(path.absolute())

    def _write(self, line: dict[str, Any], *, must: bool = False) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": now, **line}
        if line["status"] == "run":
            line["host"] = self._host
        self._waiting += (_ENCODE(line) + "\n").encode()
        try:
            with _Locked(self.path) as file:
                before = os.fstat(file).st_size
                try:
                    whole = os.write(file, self._waiting) == len(self._waiting)
                    if not whole:  # a second try says why
                        os.write(file, self._waiting[-1:])
                except OSError:
                    os.ftruncate(file, before)
                    raise
                if not whole:
                    os.ftruncate(file, before)
                    raise OSError(28, os.strerror(28))
            self._waiting = b""
        except OSError as error:
            if must:
                raise explain_os_error(self.path, error) from error

    def _close_off(self) -> None:
        """End a line that a power cut tore, so that the next one stands by itself."""
        with suppress(OSError), self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                self._waiting = b"\n" if file.read(1) != b"\n" else b""


def _time_of(line: bytes) -> str:
    """By which lines are sorted; they begin with it."""
    with suppress(ValueError):
        document = json.loads(line)
        if isinstance(document, dict):
            return str(document.get("time"))
    return ""


class _Locked:
    """A file that is open for appending, and locked: a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
