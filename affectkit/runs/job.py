"""An input, where its outputs go, and what it came to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from affectkit.errors import AffectKitError
from affectkit.outputs.files import real_target, short_stem
from affectkit.sources.base import SourceReport


@dataclass(frozen=True, slots=True)
class Job:
    """An input and where its outputs go."""

    source: str
    table: Path
    video: Path | None = None
    sheet: Path | None = None

    @property
    def meta(self) -> Path:
        """What says how the table was made."""
        return self.table.with_name(self.table.name + ".meta.json")

    @property
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
        meta = json.loads(job.meta.read_text(encoding="utf-8"))
        frames = meta["frames"]
        report = SourceReport(
            frames=int(frames["decoded"]),
            corrupt=int(frames["corrupt"]),
            concealed=int(frames["concealed"]),
            complete=bool(meta["complete"]),
            problem=str(meta["problem"] or ""),
        )
        return Outcome(int(frames["in_table"]), int(meta["faces"]), int(frames["without_face"]), report)
    except (OSError, ValueError, KeyError, TypeError):
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
        return told if job.source in told or str(job.table) in told else f"{job.source}: {told}"
    return f"{job.source}: {type(error).__name__}: {told}"
