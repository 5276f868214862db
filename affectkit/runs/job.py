"""An input, where its outputs go, and what it came to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from affectkit.errors import AffectKitError
from affectkit.outputs.files import real_target, short_stem
from affectkit.sources.base import SourceReport
from affectkit.sources.names import is_url, printable


@dataclass(frozen=True)
class Job:
    """An input and where its outputs go."""

    source: str
    table: Path
    video: Path | None = None
    sheet: Path | None = None
    urls: tuple[str | None, str | None, str | None] = (None, None, None)
    """Of table, video and sheet, where they go to an object store; the paths are then those of this machine's copies,
    which go when they are uploaded."""
    absent: bool = False
    """Whether a listing says that there is no such table in the store."""

    @property
    def name(self) -> str:
        """The input as records and messages name it: without passwords and tokens."""
        return printable(self.source) if is_url(self.source) else self.source

    @property
    def places(self) -> tuple[Path | str | None, ...]:
        """Where table, video and sheet are in the end, those that are asked for: paths, or URLs of a store."""
        return tuple(url or path for path, url in zip((self.table, self.video, self.sheet), self.urls, strict=True))

    @property
    def outputs(self) -> tuple[Path | str | None, ...]:
        """The same, as messages name them."""
        return tuple(printable(place) if isinstance(place, str) else place for place in self.places)

    @property
    def is_stored_table(self) -> bool:
        """Whether its only output is a table that goes to a store; while that is small it needs no file here."""
        return self.urls[0] is not None and self.video is None and self.sheet is None

    @cached_property
    def meta(self) -> Path:
        """What says how the table was made."""
        return self.table.with_name(self.table.name + ".meta.json")

    @cached_property
    def note(self) -> Path:
        """What says how far an unfinished run is; it lies beside its rows."""
        real = real_target(self.table)
        return real.with_name(f".{short_stem(real)}{real.suffix}.resume")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to."""

    read: int
    """Frames in the table."""
    faces: int
    without_face: int
    report: SourceReport
    resumed_at: int | None = None
    """Frame at which an interrupted run was resumed."""
    remarks: tuple[str, ...] = ()
    """What else the user should know."""
    transfer_s: float = 0.0
    """Time for bringing the input here and the outputs away, where they are elsewhere."""
    skipped: bool = False
    """Whether the table was there already, made of the same input in the same way."""

    def after_transfer(self, seconds: float, *, away: bool) -> Outcome:
        """The same, when the outputs are where they go.

        Args:
            away: whether that is in a store; then a table that was here already was not there yet: its run was killed.
        """
        known = self.read, self.faces, self.without_face, self.report, self.resumed_at, self.remarks
        return Outcome(*known, transfer_s=seconds, skipped=self.skipped and not away)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one of several inputs."""

    job: Job
    outcome: Outcome | str
    """Or the error, in one line."""
    device: str = ""
    """Empty: it never came to one."""
    model: str = ""
    """The name of the model that answered, which may be the int8 copy of the one that was asked for."""
    seconds: float = 0.0
    host: str = ""

    @property
    def status(self) -> Literal["done", "failed", "skipped"]:
        """In one word."""
        if isinstance(self.outcome, str):
            return "failed"
        return "skipped" if self.outcome.skipped else "done"

    @property
    def ran(self) -> str:
        """Model and device, for a line."""
        return ", ".join(part for part in (self.model, self.device) if part)


Mark = tuple[int, int, int] | None
"""Tells a file from another one of its name; None: there is none."""


def mark_of(path: Path) -> Mark:
    """Which file has this name now."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns)


def finished(job: Job) -> Outcome | None:
    """What the run that wrote a job's table came to, by its meta file; None where that does not tell."""
    try:
        return outcome_of(json.loads(job.meta.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def outcome_of(meta: dict[str, Any]) -> Outcome | None:
    """What a run came to, by its meta file; None where that does not tell."""
    try:
        frames = meta["frames"]
        report = SourceReport(
            frames=int(frames["decoded"]),
            corrupt=int(frames["corrupt"]),
            concealed=int(frames["concealed"]),
            complete=bool(meta["complete"]),
            problem=str(meta["problem"] or ""),
        )
        return Outcome(int(frames["in_table"]), int(meta["faces"]), int(frames["without_face"]), report)
    except (ValueError, KeyError, TypeError):
        return None


def failure_line(job: Job, error: Exception) -> str:
    """What became of an input that failed, in one line that names it.

    What affectkit raises on purpose says what it is about. A ValueError is misuse: the input is named where the message
    does not. Whatever else comes is no message for people, so that its kind is told too.
    """
    told = " ".join(str(error).split("\n"))
    if isinstance(error, AffectKitError):
        return told
    if isinstance(error, ValueError):
        return told if job.source in told or str(job.table) in told else f"{job.name}: {told}"
    return f"{job.name}: {type(error).__name__}: {told}"
