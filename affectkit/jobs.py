"""One input from beginning to end: its table, annotated video, contact sheet and meta file; and going on with one that
was interrupted."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from affectkit.baseline import check_rule, parse_rule
from affectkit.baseline_file import finder_of
from affectkit.corrected import CorrectedTable, open_corrected
from affectkit.errors import AffectKitError, OutputError
from affectkit.folder import told_in_full
from affectkit.gate import Opening, opens_by_itself, printable
from affectkit.job import Job as Job
from affectkit.job import Outcome as Outcome
from affectkit.kept import KeptPictures
from affectkit.locks import OutputLocks
from affectkit.notes import STRANGE, fingerprint, forget, made_with, read_note, refuse, rows_of, write_note
from affectkit.options import OutputOptions, StreamOptions, fields_of
from affectkit.overlay import MAX_SIZE, Overlay, VideoWriter, check_video_suffix
from affectkit.people import ContactSheet, check_sheet_suffix
from affectkit.predictor import Predictor
from affectkit.results import ResultStream
from affectkit.sinks import TableSink, check_suffix, explain_os_error, json_text, layout, open_table
from affectkit.targets import PartialFile, check_target, prepare_bytes, real_target
from affectkit.types import FrameResult, TrackedFrame
from affectkit.video import Source, open_source

log = logging.getLogger(__name__)

CHECKPOINT_S = 10.0
"""Time from one note of how far a run is to the next: what a crash loses at most."""

Watch = Callable[[Iterator[FrameResult], Source], Iterator[FrameResult]]
"""Passes results on, and shows how far they are."""


@dataclasses.dataclass(slots=True)
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


def _still_kept(kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
    """Ctrl-C before an interrupted run is under way again."""
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
        raise Interrupted from error


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
        if path is not None:
            check_target(path, overwrite=overwrite or (resume and path != job.table))


def run_job(
    predictor: Predictor,
    job: Job,
    asked: StreamOptions | None = None,
    outputs: OutputOptions | None = None,
    opening: Opening | None = None,
    *,
    patience_s: float = 0.0,
    watch: Watch = lambda results, _: results,
) -> Outcome:
    """Predict one input and write all of its outputs.

    While it runs, its outputs are locked, and a note beside the unfinished table says from time to time how far it is.
    Where the process is killed, or interrupted or out of disk space with a note written, rows and note stay, and a call
    with ``resume`` goes on to the same table as if nothing had happened.

    Args:
        asked: how the input is gone through; None: as :meth:`affectkit.Predictor.stream` does by itself.
        outputs: what is written; None: the native table.
        opening: how the input is opened; None: as :func:`affectkit.open_source` does by itself.
        patience_s: how long to wait for another run on the same outputs to end.

    Raises:
        AffectKitError: as :meth:`affectkit.Predictor.stream` and the sinks raise.
        OutputError: another run is writing one of the outputs.
        ValueError: the interrupted run was begun with another input, model or options.
        Interrupted: instead of KeyboardInterrupt, where the run can be gone on with.
    """
    asked, outputs, opening = asked or StreamOptions(), outputs or OutputOptions(), opening or Opening()
    if outputs.resume and job.video is not None:
        raise ValueError("an annotated video cannot be gone on with; leave out --render, or --resume")
    finder, rule = None, None if outputs.baseline is None else parse_rule(outputs.baseline)
    if rule is not None:
        check_rule(rule, start_s=asked.start_s, end_s=asked.end_s, rendered=job.video is not None)
        finder = finder_of(rule, predictor, asked)
    source = open_source(job.source, **fields_of(opening))
    with ExitStack() as stack:
        locks = stack.enter_context(OutputLocks(job.table, job.video, job.sheet, patience_s=patience_s))
        described = predictor.describe()
        begun_by = fingerprint(described, job, asked, outputs, opening)
        stored = read_note(job, begun_by) if outputs.resume else None
        counts, sheet = _Counts(), ContactSheet() if job.sheet is not None else None
        begun = None
        if stored is not None:
            stack.push(_still_kept)
            begun = (rows_of(job, stored), stored["length"])
            read, without_face, rows, tracks = stored["counts"]
            counts = _Counts(read, without_face, rows, set(tracks))
        forget(job, locks, keep=stored)

        pictures = None if job.video is None else KeptPictures(real_target(job.video).parent, MAX_SIZE)
        if pictures is not None:
            stack.callback(pictures.close)
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
            results = stream()
        else:
            try:
                if sheet is not None:
                    sheet.restore(stored["sheet"])
                results = stream()
            except STRANGE as error:
                raise refuse(job) from error
        table = layout(outputs.table_format, uncertainty=outputs.uncertainty, labels=predictor.spec.labels)
        sink: TableSink
        if finder is None:
            sink = open_table(job.table, table, overwrite=outputs.overwrite, begun=begun)
        else:
            thresholds = predictor.spec.label_thresholds
            sink = open_corrected(job.table, table, finder, thresholds, overwrite=outputs.overwrite, begun=begun)
        keeper = _Keeper(job, sink, begun_by, counts, sheet, noted=stored is not None)
        stack.push(keeper)
        drawing = _drawing(stack, predictor, source, job, pictures, every=asked.every, overwrite=outputs.overwrite)
        for result in watch(results, source):
            sink.write(result)
            drawing(result)
            counts.add(result)
            if job.video is None:
                keeper.maybe_note(results)
        meta = _meta(described, source, job, counts, made_with(asked, outputs, opening))
        remarks: list[str] = []
        if isinstance(sink, CorrectedTable):
            found = sink.baselines()
            meta["baseline"] = found.described(predictor.spec.au_labels)
            remarks = found.remarks()
        keeper.prepare(meta, overwrite=outputs.overwrite or outputs.resume)
    report = source.report
    return Outcome(
        counts.read,
        len(counts.tracks),
        counts.without_face,
        report,
        None if stored is None else stored["stream"]["last"] + 1,
        tuple(remarks),
    )


class _Keeper:
    """Gives the outputs their names, or leaves what can be gone on with, or nothing."""

    def __init__(
        self,
        job: Job,
        sink: TableSink,
        begun_by: dict[str, Any],
        counts: _Counts,
        sheet: ContactSheet | None,
        *,
        noted: bool,
    ) -> None:
        self._job, self._sink, self._begun_by, self._counts, self._sheet = job, sink, begun_by, counts, sheet
        self._noted_at = time.monotonic()
        self._noted = noted
        self._prepared: list[PartialFile] = []

    def maybe_note(self, results: ResultStream) -> None:
        """Note how far the run is, if that is long ago and this is a place to go on from."""
        if time.monotonic() - self._noted_at < CHECKPOINT_S:
            return
        state = results.checkpoint()
        if state is not None:
            self._note(state)

    def _note(self, stream: dict[str, Any]) -> None:
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
        write_note(self._job, document)
        self._noted, self._noted_at = True, time.monotonic()

    def prepare(self, meta: dict[str, Any], *, overwrite: bool) -> None:
        """Write all outputs under their temporary names, so that only renaming is left, which needs no space.

        Raises:
            OutputError: the disk is full.
        """
        self._sink.prepare()
        text = json_text(meta).encode("utf-8", "replace")
        self._prepared.append(prepare_bytes(self._job.meta, text, overwrite=True))
        if self._job.sheet is not None and self._sheet is not None and self._counts.tracks:
            self._prepared.append(self._sheet.prepare(self._job.sheet, overwrite=overwrite))

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            self._leave(error)
            return
        try:
            # The table last, so that where it has its name, everything is there.
            for partial in self._prepared:
                partial.commit(keep=True)
            self._sink.commit()
        except BaseException as failure:
            self._leave(failure)
            raise
        if self._noted:
            self._job.note.unlink(missing_ok=True)

    def _leave(self, error: BaseException) -> None:
        """Leave what a note says how to go on with, and nothing where there is none."""
        for partial in self._prepared:
            partial.discard()
        if not self._noted:
            self._sink.abort()
            told = "nothing unfinished was left behind" if isinstance(error, OutputError) else ""
        else:
            self._sink.suspend()
            told = "what was done is kept: --resume goes on with it"
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted from error
        if told and isinstance(error, AffectKitError) and len(error.args) == 1:
            error.args = (f"{error.args[0]}; {told}",)  # so that it is said in the same line
        elif told and isinstance(error, Exception):
            log.warning("%s: %s", self._job.table, told)


def _drawing(
    stack: ExitStack,
    predictor: Predictor,
    source: Source,
    job: Job,
    pictures: KeptPictures | None,
    *,
    every: int,
    overwrite: bool,
) -> Callable[[FrameResult], None]:
    """Writes the annotated video of one input, or nothing."""
    if job.video is None or pictures is None:
        return lambda _: None
    fps = source.info.fps / every if source.info.fps else None
    sound, film = (source.info.name if source.info.has_audio else None), source.info.film
    if sound is not None and film is not None and not opens_by_itself(sound, film.format):
        log.warning("%s: the sound of what needs --input-format is not taken along", job.video)
        sound = None
    writer = stack.enter_context(VideoWriter(job.video, fps=fps, sound_from=sound, overwrite=overwrite))
    overlay = Overlay(predictor.spec)

    def draw(result: FrameResult) -> None:
        image, reduced = pictures.take(result.index)
        drawn = overlay.draw(dataclasses.replace(result, image=image, reduced=result.reduced * reduced))
        writer.write(drawn, result.time_s)

    return draw


def _meta(
    described: dict[str, Any], source: Source, job: Job, counts: _Counts, options: dict[str, Any]
) -> dict[str, Any]:
    report, made_by = source.report, dict(described)
    if options["aligned"]:
        made_by["detector"] = None
    given = {name: None if value in (math.inf, -math.inf) else value for name, value in options.items()}
    return {
        "input": printable(job.source),
        **made_by,
        "options": given,
        "film": None if source.info.film is None else dataclasses.asdict(source.info.film),
        "rotation_deg": source.info.rotation_deg,
        "mirrored": source.info.mirrored,
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
    }
