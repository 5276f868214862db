"""One input from beginning to end: its table, annotated video, contact sheet and meta file; and continuing one that
was interrupted."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from affectkit.baseline.corrected import CorrectedTable, open_corrected
from affectkit.baseline.from_file import Finder, finder_of
from affectkit.baseline.neutral import check_rule, parse_rule
from affectkit.face_results import FrameResult
from affectkit.options import OutputOptions, StreamOptions, fields_of
from affectkit.outputs.contact_sheet import ContactSheet, check_sheet_suffix
from affectkit.outputs.files import check_target, explain_os_error
from affectkit.outputs.layouts import remarks
from affectkit.outputs.picture_buffer import KeptPictures
from affectkit.outputs.sinks import TableSink
from affectkit.outputs.video import check_video_suffix
from affectkit.outputs.writers import check_suffix, open_table
from affectkit.predictor import Predictor
from affectkit.result_stream import ResultStream
from affectkit.runs.annotated import drawing_of, kept_pictures
from affectkit.runs.brought import Fetched, make_staging
from affectkit.runs.checkpointer import Checkpointer, Counts, still_kept
from affectkit.runs.checkpointer import Interrupted as Interrupted
from affectkit.runs.job import Job as Job
from affectkit.runs.job import Outcome as Outcome
from affectkit.runs.locks import OutputLocks
from affectkit.runs.made import made_here
from affectkit.runs.resume_notes import STRANGE, contents_of, fingerprint, forget, read_note, refuse, rows_of
from affectkit.runs.way import Way, way_of
from affectkit.sources.base import Source
from affectkit.sources.folder import told_in_full
from affectkit.sources.limits import Opening
from affectkit.sources.names import is_url, printable
from affectkit.sources.opening import open_source
from affectkit.types import TrackedFrame

log = logging.getLogger(__name__)

CHECKPOINT_S = 10.0
"""Time from one note of how far a run is to the next: what a crash loses at most."""

Watch = Callable[[Iterator[FrameResult], Source], Iterator[FrameResult]]
"""Passes results on, and shows how far they are."""


def unwatched(results: Iterator[FrameResult], _: Source) -> Iterator[FrameResult]:
    """Passes results on."""
    return results


def check_job(job: Job, *, overwrite: bool, resume: bool = False) -> None:
    """Refuse what cannot be written before anything is computed.

    With ``resume`` everything but the table may be there: an interrupted run wrote it. Where the table is there, it is
    decided later whether it is the one that would be written (:func:`affectkit.runs.made.made_alike`).

    Raises:
        OutputError: a target's suffix is unknown, or it cannot be written or must not be replaced.
    """
    check_suffix(job.table)
    if job.video is not None:
        check_video_suffix(job.video)
    if job.sheet is not None:
        check_sheet_suffix(job.sheet)
    if job.is_stored_table:  # here it is a file only when it is large, and its folder is made then
        return
    there = overwrite or os.path.lexists(job.table)
    for path in (job.table, job.meta, job.video, job.sheet):
        if path is not None:
            check_target(path, overwrite=there or (resume and path != job.table))


def run_job(
    predictor: Predictor,
    job: Job,
    asked: StreamOptions | None = None,
    outputs: OutputOptions | None = None,
    opening: Opening | None = None,
    *,
    patience_s: float = 0.0,
    watch: Watch = unwatched,
) -> Outcome:
    """Predict one input and write all of its outputs.

    While it runs, its outputs are locked, and a note beside the unfinished table says from time to time how far it is.
    Where the process is killed, or interrupted or out of disk space with a note written, rows and note stay, and a call
    with ``resume`` continues to the same table as if nothing had happened. A table that is there already, made of the
    same input with the same model and options, is left as it is; so it is with ``resume`` and ``overwrite`` together,
    which make again what was made otherwise.

    Args:
        asked: how the input is gone through; None: as :meth:`affectkit.Predictor.stream` does by itself.
        outputs: what is written; None: the native table.
        opening: how the input is opened; None: as :func:`affectkit.open_source` does by itself.
        patience_s: how long to wait for another run on the same outputs to end.

    Raises:
        AffectKitError: as :meth:`affectkit.Predictor.stream` and the sinks raise.
        OutputError: another run is writing one of the outputs, or the table is there and was made otherwise.
        ValueError: the interrupted run was started with another input, model or options.
        Interrupted: instead of KeyboardInterrupt, where the run can be resumed.
    """
    asked, outputs, opening = asked or StreamOptions(), outputs or OutputOptions(), opening or Opening()
    way = way_of(predictor, asked, outputs, opening, contents_of(job.source))
    return run_in_way(predictor, job, way, patience_s=patience_s, watch=watch)


def run_in_way(
    predictor: Predictor,
    job: Job,
    way: Way,
    *,
    patience_s: float = 0.0,
    watch: Watch = unwatched,
    fetched: Fetched | None = None,
    held: dict[Path, bytes] | None = None,
) -> Outcome:
    """:func:`run_job`, where it is known already what decides the outcome.

    Args:
        fetched: the input, where it was brought here from elsewhere.
        held: is given a small table, and its meta file, in place of the disk; for a table that goes to a store.

    Raises:
        AffectKitError: as :func:`run_job`, with which it has the rest in common.
    """
    asked, outputs, opening = way.asked, way.outputs, way.opening
    check_job(job, overwrite=outputs.overwrite, resume=outputs.resume)
    fresh = held is not None and not os.path.isdir(job.table.parent)  # nothing of it was ever on the disk
    there = None if fresh else made_here(job, way.facts, outputs)
    if there is not None:
        return there
    finder = _finder(predictor, job, asked, outputs)
    source = open_source(job.source, **fields_of(opening)) if fetched is None else fetched.open(opening)
    locks = OutputLocks(job.table, job.video, job.sheet, patience_s=patience_s)
    with ExitStack() as stack:
        stack.push(locks)
        if held is not None and finder is not None:  # the rows of such a table are read again from the disk
            _on_the_disk(job, locks)
        elif held is None or (not fresh and (locks.left or os.path.lexists(job.note))):
            locks.take()  # else when something is put on the disk
        return _written(predictor, job, way, locks, finder, source, watch, held)


def _written(
    predictor: Predictor,
    job: Job,
    way: Way,
    locks: OutputLocks,
    finder: Finder | None,
    source: Source,
    watch: Watch,
    held: dict[Path, bytes] | None,
) -> Outcome:
    """Go through the source, and write all outputs; see :func:`run_job`."""
    asked, outputs = way.asked, way.outputs
    with ExitStack() as stack:
        # Not worked out until there is something to note: most inputs are short.
        started_by = partial(fingerprint, way.described, job, way.contents, asked, outputs, way.opening)
        stored = read_note(job, started_by()) if outputs.resume else None
        counts, sheet, resume_from = Counts(), _sheet(job), None
        if stored is not None:
            stack.push(still_kept)
            resume_from = (rows_of(job, stored), stored["length"])
            counts = Counts.restored(stored["counts"])
        if locks.taken:
            forget(job, locks, keep=stored)
        pictures = kept_pictures(stack, job)
        results = _results(predictor, source, job, asked, sheet, pictures, stored)
        sink = _sink(predictor, job, way, finder, resume_from, locks, in_memory=held is not None)
        noted = stored is not None
        keeper = Checkpointer(job, sink, started_by, counts, sheet, every_s=CHECKPOINT_S, noted=noted, held=held)
        stack.push(keeper)
        drawing = drawing_of(stack, predictor, source, job, pictures, asked, overwrite=outputs.overwrite)
        stack.callback(results.close)  # first of all: nothing works on while the outputs are put away
        judge = None if sheet is None else sheet.judge
        takers = [taker for taker in (sink.write, drawing, counts.add, judge) if taker is not None]
        for result in watch(results, source):
            for take in takers:
                take(result)
            if job.video is None:
                keeper.maybe_note(results)
        told, said = _told(sink, predictor, outputs)
        shown, meta = {"input": printable(job.source)}, _meta(way, source, counts)
        keeper.prepare(shown, way.told, meta, told, overwrite=outputs.overwrite or outputs.resume)
    resumed_at = None if stored is None else stored["stream"]["last"] + 1
    return Outcome(counts.read, len(counts.tracks), counts.without_face, source.report, resumed_at, said)


def _finder(predictor: Predictor, job: Job, asked: StreamOptions, outputs: OutputOptions) -> Finder | None:
    """What finds the neutral values, where action units are told relative to them.

    Raises:
        ValueError: what is asked for does not go together.
    """
    if outputs.resume and job.video is not None:
        raise ValueError("an annotated video cannot be resumed; leave out --render, or --resume")
    if outputs.baseline is None:
        return None
    rule = parse_rule(outputs.baseline)
    check_rule(rule, start_s=asked.start_s, end_s=asked.end_s, rendered=job.video is not None)
    return finder_of(rule, predictor, asked)


def _sheet(job: Job) -> ContactSheet | None:
    """The contact sheet, where one is asked for."""
    if job.sheet is None:
        return None
    shown = printable(job.source)
    return ContactSheet(shown if is_url(job.source) else Path(shown).name or shown)


def _results(
    predictor: Predictor,
    source: Source,
    job: Job,
    asked: StreamOptions,
    sheet: ContactSheet | None,
    pictures: KeptPictures | None,
    stored: dict[str, Any] | None,
) -> ResultStream:
    """Of the whole input, or of what comes after a stored note."""
    shown = [one.add for one in (sheet, pictures) if one is not None]

    def show(tracked: TrackedFrame) -> None:
        try:
            for add in shown:
                add(tracked)
        except OSError as error:  # of pictures that wait on the disk
            raise explain_os_error(job.video or job.table, error) from error

    def stream() -> ResultStream:
        return predictor.stream(
            source,
            resume=None if stored is None else stored["stream"],
            on_tracked=show if shown else None,
            **asked.keywords(),
        )

    if stored is None:
        return stream()
    try:
        if sheet is not None:
            sheet.restore(stored["sheet"])
        return stream()
    except STRANGE as error:
        raise refuse(job) from error


def _sink(
    predictor: Predictor,
    job: Job,
    way: Way,
    finder: Finder | None,
    resume_from: tuple[Path, int] | None,
    locks: OutputLocks,
    *,
    in_memory: bool,
) -> TableSink:
    """The table, after the rows that there are already."""
    table, overwrite = way.layout, way.outputs.overwrite
    at = locks.unfinished if locks.taken else None
    if finder is None:
        late = partial(_on_the_disk, job, locks) if in_memory and not locks.taken else None
        return open_table(job.table, table, overwrite=overwrite, resume_from=resume_from, at=at, in_memory=late)
    thresholds = predictor.spec.label_thresholds
    return open_corrected(job.table, table, finder, thresholds, overwrite=overwrite, resume_from=resume_from, at=at)


def _on_the_disk(job: Job, locks: OutputLocks) -> Path | None:
    """A table that goes to a store needs a file until then, as one does that has become long: which."""
    make_staging(job.table.parent)
    locks.take()
    return locks.unfinished


def _told(sink: TableSink, predictor: Predictor, outputs: OutputOptions) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the meta file says of the neutral values, and what the user should know of them and of the table."""
    lacking = remarks(outputs.table_format, predictor.spec.labels)
    if not isinstance(sink, CorrectedTable):
        return {}, lacking
    found = sink.baselines()
    return {"baseline": found.described(predictor.spec.au_labels)}, (*found.remarks(), *lacking)


def _meta(way: Way, source: Source, counts: Counts) -> dict[str, Any]:
    """What the meta file says of one input."""
    report, info = source.report, source.info
    return {
        "film": None if info.film is None else fields_of(info.film),
        "rotation_deg": info.rotation_deg,
        "mirrored": info.mirrored,
        "times": report.times,
        "left_out": told_in_full(report.left_out),
        "frames": {
            "decoded": report.frames,
            "in_table": counts.read,
            "without_face": counts.without_face,
            "corrupt": report.corrupt,
            "concealed": report.concealed,
            "deinterlaced": report.deinterlaced,
            "reduced": report.reduced,
        },
        "faces": len(counts.tracks),
        "rows": counts.rows,
        "complete": report.complete,
        "problem": report.problem or None,
        "contents": way.contents,
    }
