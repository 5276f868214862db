"""Notes of how far an unfinished run is, and what killed runs leave behind."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectkit import __version__
from affectkit.baseline.neutral import parse_rule
from affectkit.errors import SourceError
from affectkit.options import OutputOptions, StreamOptions, fields_of
from affectkit.outputs.files import hidden_stem, real_target, write_whole
from affectkit.runs.job import Job
from affectkit.runs.locks import OutputLocks
from affectkit.runs.state import pack, unpack
from affectkit.sources.limits import Opening
from affectkit.sources.names import printable
from affectkit.sources.opening import IMAGE_SUFFIXES

log = logging.getLogger(__name__)

STRANGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What a note raises that another program wrote."""


def made_with(asked: StreamOptions, outputs: OutputOptions, opening: Opening) -> dict[str, Any]:
    """All options that decide a table, as its meta file tells them; what becomes of older outputs is none.

    Without a beginning or an end of the span there is None.
    """
    return {
        **{name: None if value in (math.inf, -math.inf) else value for name, value in fields_of(asked).items()},
        "decode_on": opening.decode_on,
        "input_format": opening.input_format,
        "max_pixels": opening.max_pixels,
        "deinterlace": opening.deinterlace,
        "fps": opening.fps,
        "baseline": None if outputs.baseline is None else str(parse_rule(outputs.baseline)),
        "format": outputs.table_format,
        "uncertainty": outputs.uncertainty,
    }


def fingerprint(
    described: dict[str, Any],
    job: Job,
    contents: Any,
    asked: StreamOptions,
    outputs: OutputOptions,
    opening: Opening,
) -> dict[str, Any]:
    """All that decides the rows of a table.

    Args:
        described: what the predictor says of itself.
        contents: what :func:`contents_of` said of the input when the run began.
    """
    options = made_with(asked, outputs, opening)
    for name in ("format", "uncertainty"):  # entries of their own
        del options[name]
    if outputs.baseline is not None:
        options["baseline"] = parse_rule(outputs.baseline).mark()
    path = Path(job.source)
    there = path.exists()
    return {
        "input": printable(str(path.resolve()) if there else job.source),
        "contents of the input": contents,
        "model": described["model"]["sha256"],
        "labels": described["labels"],
        "au_thresholds": described["au_thresholds"],
        "prior": described["prior"],
        "min_quality": described["min_quality"],
        "device": described["device"],
        "temporal": described["temporal"],
        "detector": described["detector"],
        "options": {name: str(value) for name, value in sorted(options.items())},
        "format": outputs.table_format,
        "uncertainty": outputs.uncertainty,
        "contact sheet": job.sheet is not None,
        "version": __version__,
    }


def contents_of(source: str) -> Any:
    """What tells one input from another of the same name."""
    path = Path(source)
    try:
        info = path.stat()
    except (OSError, ValueError):  # a URL, for one
        info = None
    if info is not None and stat.S_ISREG(info.st_mode):
        return [info.st_size, info.st_mtime_ns]
    if info is not None and stat.S_ISDIR(info.st_mode):  # its own time changes with everything that is written there
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in {*IMAGE_SUFFIXES, ".gif"})
        facts = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in pictures]
        return hashlib.sha256(repr(facts).encode()).hexdigest()
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()  # a URL may hold a token


def write_note(job: Job, document: dict[str, Any]) -> None:
    """Write down how far a run is. Until that is done the note before stands.

    Raises:
        OutputError: the disk is full, or the folder cannot be written to any more.
    """
    write_whole(job.note, pack(document))


def rows_of(job: Job, stored: dict[str, Any]) -> Path:
    """The file that the rows of an interrupted run are in."""
    return real_target(job.table).with_name(stored["rows_file"])


def read_note(job: Job, started_by: dict[str, Any]) -> dict[str, Any] | None:
    """What an interrupted run left; None where there is nothing to continue.

    Raises:
        SourceError: the note is damaged, or none that affectkit wrote for this table.
        ValueError: the run was started with another input, model or options.
    """
    try:
        data = job.note.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(job, f"cannot be read ({error.strerror})") from error
    stored = unpack(data, job.note)
    try:
        before = _checked(job, stored)
        rows = rows_of(job, stored)
        whole = rows.is_file() and not rows.is_symlink() and rows.stat().st_size >= stored["length"]
    except STRANGE as error:
        raise _refused(job, "is no note of affectkit") from error
    other = [name for name, value in started_by.items() if before.get(name) != value]
    if other:
        raise ValueError(
            f"{job.table}: the interrupted run was started with another {other[0]} "
            f"({before.get(other[0])}, now {started_by[other[0]]}); repeat it, or start again without --resume"
        )
    if not whole:
        log.warning("warning: %s: the rows of the interrupted run are gone; it is done from the first frame", job.table)
    return stored if whole else None


def refuse(job: Job) -> SourceError:
    """The error for a note that looks right, and does not fit."""
    return _refused(job, "is no note of affectkit")


def _refused(job: Job, what: str) -> SourceError:
    return SourceError(f"{job.note}: {what}; delete it, and start again without --resume")


def _checked(job: Job, stored: Any) -> dict[str, Any]:
    """What the run of a note was started with, if the note has the form that it should have.

    A note says which file is cut off and appended to: only one that this table's rows can be in will do.
    """
    real = real_target(job.table)
    of_a_run = {f"{hidden_stem(real)}{real.suffix}{more}" for more in ("", ".rows")}  # which is locked
    if stored["rows_file"] not in of_a_run and not _of_a_process(job.table).fullmatch(stored["rows_file"]):
        raise ValueError("rows_file")
    numbers = [stored["length"], *stored["counts"][:3], *stored["counts"][3], stored["stream"]["last"]]
    if len(stored["counts"]) != 4 or any(type(number) is not int for number in numbers):
        raise ValueError("counts")
    if min(stored["length"], *stored["counts"][:3], stored["stream"]["last"]) < 0:
        raise ValueError("counts")
    before = stored["begun_by"]
    if not isinstance(before, dict):
        raise TypeError("begun_by")
    if (stored["sheet"] is None) == bool(before.get("contact sheet")):
        raise ValueError("sheet")
    return before


def forget(job: Job, locks: OutputLocks, keep: dict[str, Any] | None = None) -> None:
    """Remove what interrupted runs of this table left, but for what the note ``keep`` refers to.

    The folder, which may be a large one, is read only where there is something: a killed run leaves its lock, and one
    that was interrupted its note.
    """
    note = job.note
    noted = os.path.lexists(note)
    if keep is None and noted:
        note.unlink(missing_ok=True)
    if not (noted or locks.after_a_death):
        return
    kept_rows = None if keep is None else keep["rows_file"]
    unfinished = locks.unfinished
    if unfinished is not None:
        with suppress(OSError):
            if kept_rows != unfinished.name:  # not removed: it is what is locked
                os.truncate(unfinished, 0)
            rows = unfinished.with_name(f"{unfinished.name}.rows")
            if kept_rows != rows.name:
                rows.unlink(missing_ok=True)
    for path in (job.table, job.video, job.note, job.meta, job.sheet):
        if path is None:
            continue
        of_a_process = _of_a_process(path)
        with suppress(OSError):
            for left in list(real_target(path).parent.iterdir()):
                found = of_a_process.fullmatch(left.name)
                if found is None or left.name == kept_rows:
                    continue
                # With the lock nothing else can be writing it, whatever process has that number by now.
                if locks.held or not _is_running(int(found[1])):
                    left.unlink(missing_ok=True)


def _of_a_process(path: Path) -> re.Pattern[str]:
    """What matches the names that :class:`affectkit.outputs.files.PartialFile` gives an output, and its rows'."""
    return re.compile(rf"{re.escape(hidden_stem(real_target(path)))}\.([0-9]+){re.escape(path.suffix)}(?:\.rows)?")


def _is_running(process: int) -> bool:
    """Whether a process, which writes a partial file, is alive."""
    if os.name == "nt":  # asking there would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
