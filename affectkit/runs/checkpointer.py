"""Keeps what a run has done: its outputs get their names at the end, and until then a note says how to continue."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from affectkit.errors import AffectKitError, OutputError
from affectkit.face_results import FrameResult
from affectkit.outputs.contact_sheet import ContactSheet
from affectkit.outputs.files import PartialFile, prepare_bytes
from affectkit.outputs.json_files import LaidOut, json_text
from affectkit.outputs.sinks import TableSink
from affectkit.result_stream import ResultStream
from affectkit.runs.job import Job
from affectkit.runs.resume_notes import write_note

log = logging.getLogger(__name__)


@dataclasses.dataclass(slots=True)
class Counts:
    """What the rows so far hold."""

    read: int = 0
    without_face: int = 0
    rows: int = 0
    tracks: set[int] = dataclasses.field(default_factory=set)

    @classmethod
    def restored(cls, stored: list[Any]) -> Self:
        """What a note holds of them (:meth:`stored`)."""
        read, without_face, rows, tracks = stored
        return cls(read, without_face, rows, set(tracks))

    def stored(self) -> list[Any]:
        """For a note."""
        return [self.read, self.without_face, self.rows, sorted(self.tracks)]

    def add(self, result: FrameResult) -> None:
        """One more frame."""
        self.read += 1
        self.rows += max(1, len(result.faces))
        self.without_face += not result.faces
        for face in result.faces:
            self.tracks.add(face.track_id)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or the end of the process was asked for, and a later run can continue this one."""


def still_kept(kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
    """Ctrl-C before an interrupted run is under way again."""
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
        raise Interrupted from error


class Checkpointer:
    """Gives the outputs their names, or leaves what a later run can continue, or nothing."""

    def __init__(
        self,
        job: Job,
        sink: TableSink,
        started_by: Callable[[], dict[str, Any]],
        counts: Counts,
        sheet: ContactSheet | None,
        *,
        every_s: float,
        noted: bool,
        held: dict[Path, bytes] | None = None,
    ) -> None:
        """Set up.

        Args:
            started_by: tells what the run was started with (:func:`affectkit.runs.resume_notes.fingerprint`).
            every_s: time from one note to the next.
            noted: whether there is a note already, of the run that this one continues.
            held: is given what needs no file, where the table needs none.
        """
        self._job, self._sink, self._started_by, self._counts, self._sheet = job, sink, started_by, counts, sheet
        self._every_s, self._noted_at, self._noted = every_s, time.monotonic(), noted
        self._prepared, self._held = list[PartialFile](), held

    def maybe_note(self, results: ResultStream) -> None:
        """Note how far the run is, if that is long ago and the run can be continued from here."""
        if time.monotonic() - self._noted_at < self._every_s:
            return
        state = results.checkpoint()
        if state is not None:
            self._note(state)

    def _note(self, stream: dict[str, Any]) -> None:
        rows_file, length = self._sink.position()
        document = {
            "begun_by": self._started_by(),
            "rows_file": rows_file.name,
            "length": length,
            "counts": self._counts.stored(),
            "sheet": None if self._sheet is None else self._sheet.state(),
            "stream": stream,
        }
        write_note(self._job, document)
        self._noted, self._noted_at = True, time.monotonic()

    def prepare(self, *meta: dict[str, Any] | LaidOut, overwrite: bool) -> None:
        """Write all outputs under their temporary names, so that only renaming is left, which needs no space.

        Args:
            meta: the parts of the meta file.

        Raises:
            OutputError: the disk is full.
        """
        self._sink.prepare()
        text = json_text(*meta).encode("utf-8", "replace")
        if self._held is not None and self._sink.held is not None:
            self._held.update({self._job.meta: text, self._job.table: self._sink.held})
            return
        self._prepared.append(prepare_bytes(self._job.meta, text, overwrite=True))
        if self._job.sheet is not None and self._sheet is not None and self._counts.tracks:
            self._prepared.append(self._sheet.prepare(self._job.sheet, overwrite=overwrite))

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            self._leave(error)
            return
        try:
            # None where one cannot: a meta file tells how the table beside it was made, whoever made it.
            self._sink.check()
            for partial in self._prepared:
                partial.check()
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
        """Leave what a note says how to continue, and nothing where there is none."""
        for partial in self._prepared:
            partial.discard()
        if not self._noted:
            self._sink.abort()
            told = "nothing unfinished was left behind" if isinstance(error, OutputError) else ""
        else:
            self._sink.suspend()
            told = "what was done is kept: --resume continues it"
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted from error
        if told and isinstance(error, AffectKitError) and len(error.args) == 1:
            error.args = (f"{error.args[0]}; {told}",)  # so that it is said in the same line
        elif told and isinstance(error, Exception):
            log.warning("%s: %s", self._job.table, told)
