"""One input from beginning to end: its table, annotated video, contact sheet and meta file; and going on with one that
was interrupted."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectkit import __version__
from affectkit.errors import OutputError, SourceError
from affectkit.gate import MAX_PIXELS, printable
from affectkit.overlay import Overlay, VideoWriter, check_video_suffix
from affectkit.people import ContactSheet, check_sheet_suffix
from affectkit.predictor import Predictor
from affectkit.results import ResultStream
from affectkit.sinks import (
    PartialFile,
    TableFormat,
    TableSink,
    check_suffix,
    check_target,
    explain_os_error,
    layout,
    open_table,
    short_stem,
    write_json,
)
from affectkit.state import pack, unpack
from affectkit.types import FrameResult
from affectkit.video import IMAGE_SUFFIXES, Source, SourceReport, open_source

log = logging.getLogger(__name__)

CHECKPOINT_S = 10.0
"""Time from one note of how far a run is to the next: what a crash loses at most."""

Watch = Callable[[Iterator[FrameResult], Source], Iterator[FrameResult]]
"""Passes results on, and shows how far they are."""


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
        """What says how far an unfinished run is."""
        return self.table.with_name(f".{short_stem(self.table)}{self.table.suffix}.resume")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to."""

    read: int
    """Frames in the table."""
    faces: int
    without_face: int
    report: SourceReport
    resumed_at: int | None = None
    """Frame that an interrupted run was gone on with."""


@dataclass(slots=True)
class _Counts:
    read: int = 0
    without_face: int = 0
    rows: int = 0
    tracks: set[int] = dataclasses.field(default_factory=set)

    def add(self, result: FrameResult) -> None:
        self.read += 1
        self.rows += max(1, len(result.faces))
        self.without_face += not result.faces
        self.tracks.update(face.track_id for face in result.faces)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or the end of the process was asked for, with something left to go on with."""


def check_job(job: Job, *, overwrite: bool, resume: bool = False) -> None:
    """Refuse what cannot be written before anything is computed.

    With ``resume`` everything but the table may be there: an interrupted run wrote it.

    Raises:
        OutputError: a target's suffix is unknown, or it cannot be written or must not be replaced.
    """
    check_suffix(job.table)
    if job.video is not None:
        check_video_suffix(job.video)
    if job.sheet is not None:
        check_sheet_suffix(job.sheet)
    for path in (job.table, job.meta, job.video, job.sheet):
        if path is None:
            continue
        check_target(path, overwrite=overwrite or (resume and path != job.table))
        if path.exists() and Path(job.source).exists() and path.samefile(job.source):
            raise OutputError(f"{path}: is the input itself; give the output another name")


def run_job(
    predictor: Predictor,
    job: Job,
    options: dict[str, Any],
    *,
    table_format: TableFormat = "native",
    uncertainty: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    decode_on: str = "cpu",
    input_format: str | None = None,
    max_pixels: int = MAX_PIXELS,
    watch: Watch = lambda results, _: results,
) -> Outcome:
    """Predict one input and write all of its outputs.

    While it runs, a note beside the unfinished table says from time to time how far it is. Where the process is killed,
    or interrupted with a note written, both stay, and a call with ``resume`` goes on to the same table as if nothing
    had happened.

    Args:
        options: of :meth:`affectkit.Predictor.stream`.
        resume: go on with an interrupted run, where there is one.
        decode_on, input_format, max_pixels: as for :func:`affectkit.open_source`.

    Raises:
        AffectKitError: as :meth:`affectkit.Predictor.stream` and the sinks raise.
        ValueError: the interrupted run was begun with another input, model or options.
        Interrupted: instead of KeyboardInterrupt, where the run can be gone on with.
    """
    if resume and job.video is not None:
        raise ValueError("an annotated video cannot be gone on with; leave out --render, or --resume")
    opening: dict[str, Any] = {"decode_on": decode_on, "input_format": input_format, "max_pixels": max_pixels}
    source = open_source(job.source, **opening)
    begun_by = _fingerprint(predictor, job, {**options, **opening}, table_format, uncertainty)
    stored = _read_note(job, begun_by) if resume else None
    counts, sheet = _Counts(), ContactSheet() if job.sheet is not None else None
    begun = None
    if stored is None:
        _forget(job)
    else:
        begun = (job.table.with_name(stored["rows_file"]), stored["length"])
        read, without_face, rows, tracks = stored["counts"]
        counts = _Counts(read, without_face, rows, set(tracks))
        if sheet is not None:
            sheet.restore(stored["sheet"])
        _forget(job, keep=stored)
    with ExitStack() as stack:
        table = layout(table_format, uncertainty=uncertainty, labels=predictor.spec.labels)
        sink = open_table(job.table, table, overwrite=overwrite, begun=begun)
        keeper = _Keeper(job, sink, begun_by, counts, sheet)
        stack.push(keeper)
        if stored is not None:  # the rows have a new name by now
            keeper.note(stored["stream"])
        drawing = _drawing(stack, predictor, source, job, options, overwrite=overwrite)
        results = predictor.stream(
            source,
            keep_images=job.video is not None,
            resume=None if stored is None else stored["stream"],
            on_tracked=None if sheet is None else sheet.add,
            **options,
        )
        for result in watch(results, source):
            sink.write(result)
            drawing(result)
            counts.add(result)
            if job.video is None:
                keeper.maybe_note(results)
        # Before the table has its name, so that where it has, everything is there.
        write_json(
            job.meta,
            _meta(predictor, source, job, {**options, **opening}, counts, table_format, uncertainty),
        )
        if job.sheet is not None and sheet is not None and counts.tracks:
            sheet.write(job.sheet, overwrite=overwrite or resume)
    report = source.report
    return Outcome(
        counts.read,
        len(counts.tracks),
        counts.without_face,
        report,
        None if stored is None else stored["stream"]["last"] + 1,
    )


class _Keeper:
    """Completes the table, or leaves it as something to go on with, or nothing."""

    def __init__(
        self,
        job: Job,
        sink: TableSink,
        begun_by: dict[str, Any],
        counts: _Counts,
        sheet: ContactSheet | None,
    ) -> None:
        self._job, self._sink, self._begun_by, self._counts, self._sheet = job, sink, begun_by, counts, sheet
        self._noted_at = time.monotonic()
        self._noted = False

    def maybe_note(self, results: ResultStream) -> None:
        """Note how far the run is, if that is long ago and this is a place to go on from."""
        if time.monotonic() - self._noted_at < CHECKPOINT_S:
            return
        state = results.checkpoint()
        if state is not None:
            self.note(state)

    def note(self, stream: dict[str, Any]) -> None:
        """Write down how far the run is."""
        rows_file, length = self._sink.position()
        counts = self._counts
        document = {
            "begun_by": self._begun_by,
            "rows_file": rows_file.name,
            "length": length,
            "counts": [counts.read, counts.without_face, counts.rows, sorted(counts.tracks)],
            "sheet": None if self._sheet is None else self._sheet.state(),
            "stream": stream,
        }
        partial = PartialFile(self._job.note, overwrite=True)
        try:
            partial.path.write_bytes(pack(document))
        except OSError as error:
            partial.discard()
            raise explain_os_error(self._job.note, error) from error
        except BaseException:
            partial.discard()
            raise
        partial.commit()
        self._noted, self._noted_at = True, time.monotonic()

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is None:
            self._sink.close()
            self._job.note.unlink(missing_ok=True)
        elif self._noted and not issubclass(kind, OutputError):  # on a full disk nothing is left
            self._sink.suspend()
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted from error
            if issubclass(kind, Exception):
                log.warning("%s: what was done is kept; --resume goes on with it", self._job.table)
        else:
            self._sink.abort()
            self._job.note.unlink(missing_ok=True)


def _drawing(
    stack: ExitStack, predictor: Predictor, source: Source, job: Job, options: dict[str, Any], *, overwrite: bool
) -> Callable[[FrameResult], None]:
    """Writes the annotated video of one input, or nothing."""
    if job.video is None:
        return lambda _: None
    fps = source.info.fps / options.get("every", 1) if source.info.fps else None
    sound = source.info.name if source.info.has_audio else None
    writer = stack.enter_context(VideoWriter(job.video, fps=fps, sound_from=sound, overwrite=overwrite))
    overlay = Overlay(predictor.spec)
    return lambda result: writer.write(overlay.draw(result), result.time_s)


def _fingerprint(
    predictor: Predictor, job: Job, options: dict[str, Any], table_format: TableFormat, uncertainty: bool
) -> dict[str, Any]:
    """All that decides the rows of a table."""
    path = Path(job.source)
    there = path.exists()
    described = predictor.describe()
    return {
        "input": printable(str(path.resolve()) if there else job.source),
        "contents of the input": _contents(job.source),
        "model": described["model"]["sha256"],
        "labels": described["labels"],
        "prior": described["prior"],
        "min_quality": described["min_quality"],
        "device": described["device"],
        "temporal": described["temporal"],
        "detector": described["detector"],
        "options": {name: str(value) for name, value in sorted(options.items())},
        "format": table_format,
        "uncertainty": uncertainty,
        "contact sheet": job.sheet is not None,
        "version": __version__,
    }


def _contents(source: str) -> Any:
    """What tells one input from another of the same name."""
    path = Path(source)
    if path.is_file():
        return [path.stat().st_size, path.stat().st_mtime_ns]
    if path.is_dir():  # its own time changes with everything that is written there
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        facts = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in pictures]
        return hashlib.sha256(repr(facts).encode()).hexdigest()
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()  # a URL may hold a token


def _read_note(job: Job, begun_by: dict[str, Any]) -> dict[str, Any] | None:
    """What an interrupted run left; None where there is nothing to go on with."""
    try:
        data = job.note.read_bytes()
    except FileNotFoundError:
        return None
    stored: dict[str, Any] = unpack(data, job.note)
    try:
        before = stored["begun_by"]
        rows = job.table.with_name(Path(stored["rows_file"]).name)
        whole = rows.is_file() and rows.stat().st_size >= stored["length"]
    except (KeyError, TypeError) as error:
        raise SourceError(f"{job.note}: is no note of affectkit; delete it, and begin anew without --resume") from error
    other = [name for name, value in begun_by.items() if before.get(name) != value]
    if other:
        raise ValueError(
            f"{job.table}: the interrupted run was begun with another {other[0]} "
            f"({before.get(other[0])}, now {begun_by[other[0]]}); repeat it, or begin anew without --resume"
        )
    return stored if whole else None


def _forget(job: Job, keep: dict[str, Any] | None = None) -> None:
    """Remove what interrupted runs of this table left, but for what the note ``keep`` goes on with."""
    if keep is None:
        job.note.unlink(missing_ok=True)
    for path in (job.table, job.video, job.note, job.meta, job.sheet):
        if path is None:
            continue
        begin, end = f".{short_stem(path)}.", f".partial{path.suffix}"
        with suppress(OSError):
            for left in list(path.parent.iterdir()):
                number = left.name.removeprefix(begin).partition(end)[0]
                ours = left.name.startswith(begin) and end in left.name and number.isdecimal()
                kept = keep is not None and left.name == keep["rows_file"]
                if ours and not kept and not _is_running(int(number)):
                    left.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process, which writes a partial file, is alive."""
    if os.name == "nt":  # asking there would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _meta(
    predictor: Predictor,
    source: Source,
    job: Job,
    options: dict[str, Any],
    counts: _Counts,
    table_format: TableFormat,
    uncertainty: bool,
) -> dict[str, Any]:
    report, made_by = source.report, predictor.describe()
    if options.get("aligned"):
        made_by["detector"] = None
    given = {name: None if value in (math.inf, -math.inf) else value for name, value in options.items()}
    return {
        "input": printable(job.source),
        **made_by,
        "options": {**given, "format": table_format, "uncertainty": uncertainty},
        "film": None if source.info.film is None else dataclasses.asdict(source.info.film),
        "rotation_deg": source.info.rotation_deg,
        "mirrored": source.info.mirrored,
        "frames": {
            "decoded": report.frames,
            "in_table": counts.read,
            "without_face": counts.without_face,
            "corrupt": report.corrupt,
            "concealed": report.concealed,
        },
        "faces": len(counts.tracks),
        "rows": counts.rows,
        "complete": report.complete,
        "problem": report.problem or None,
    }
