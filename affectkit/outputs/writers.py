"""Tables as files: CSV, JSON lines and Parquet, each written beside its name and renamed when it is complete."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Literal, TextIO

from affectkit.errors import UnknownSuffix, needs
from affectkit.face_results import FrameResult
from affectkit.outputs.files import PartialFile, explain_os_error, opened_empty
from affectkit.outputs.layouts import Layout, Value
from affectkit.outputs.rows import LateRows
from affectkit.outputs.sinks import Completed, TableSink

SUFFIXES = (".csv", ".jsonl", ".parquet")


class _TableWriter(Completed):
    """What the three writers share: rows are appended to a file, which becomes the table at the end.

    A later run can continue the file of an interrupted one: see :meth:`position` and ``resume_from``. A table that goes
    to a store stays in memory while it is small (``in_memory``), and then has no file at all.
    """

    def __init__(
        self,
        path: Path,
        table: Layout,
        *,
        overwrite: bool = False,
        resume_from: tuple[Path, int] | None = None,
        at: Path | None = None,
        in_memory: Callable[[], Path | None] | None = None,
    ) -> None:
        self._check_library()
        self._path, self._overwrite, self._layout = path, overwrite, table
        self._in_memory = in_memory if resume_from is None else None
        self._is_placed = False
        """Whether it has a file."""
        self._late: LateRows | None = None
        self.held: bytes | None = None
        if self._in_memory is not None:
            self._file = self._open("w")
            self._begin()
            return
        if resume_from is None:
            self._place(at)
            length = None
        else:  # the rows stay where they are: the note of the interrupted run is true until the next one is written
            rows, length = resume_from
            self._place(self._partial_of(rows), rows)
        try:
            if length is None:
                self._file = self._open("w")
                self._begin()
            else:
                os.truncate(self._rows_path, length)
                self._file = self._open("a")
        except OSError as error:
            if resume_from is None:
                self._discard()
            raise explain_os_error(path, error) from error

    def _place(self, at: Path | None, rows: Path | None = None) -> None:
        """Say which files the table and its rows are until it is finished."""
        self._partial = PartialFile(self._path, overwrite=self._overwrite, path=at)
        self._rows_path = self._rows_file(self._partial.path) if rows is None else rows
        self._is_placed = True

    def _check_library(self) -> None:
        """Refuse what cannot be written here, before anything is computed."""

    def _rows_file(self, partial: Path) -> Path:
        """Where rows are appended to."""
        return partial

    def _partial_of(self, rows: Path) -> Path:
        """Undo :meth:`_rows_file`."""
        return rows

    def _open(self, mode: Literal["w", "a"]) -> TextIO | LateRows:
        """The file of rows."""
        return open_rows(self._rows_path, mode) if self._in_memory is None else self._open_late(mode)

    def _open_late(self, mode: Literal["w", "a"]) -> LateRows:
        def made() -> TextIO:
            if self._in_memory is not None:
                self._place(self._in_memory())
            return open_rows(self._rows_path, mode)

        self._late = LateRows(made, at_once=mode == "a")
        return self._late

    def _begin(self) -> None:
        """Write what comes before the first row."""

    def _write_rows(self, rows: list[list[Value]]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """Close the file, and make the table of it."""
        self._file.close()
        if self._late is not None and self._stays_in_memory:
            self.held = "".join(self._late.lines()).encode()

    @property
    def _stays_in_memory(self) -> bool:
        """Whether the table does, as all of its rows did."""
        return self._in_memory is not None and self._late is not None and self._late.is_none

    def write(self, result: FrameResult) -> None:
        """See :class:`affectkit.outputs.sinks.Sink`."""
        try:
            self._write_rows(self._layout.rows(result))
        except OSError as error:
            raise explain_os_error(self._path, error) from error

    def position(self) -> tuple[Path, int]:
        """The file that rows are appended to, and its length so far, all of which is on the disk by then."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise explain_os_error(self._path, error) from error
        return self._rows_path, self._rows_path.stat().st_size

    def prepare(self) -> None:
        """See :class:`affectkit.outputs.sinks.TableSink`."""
        try:
            self._finish()
        except OSError as error:
            raise explain_os_error(self._path, error) from error

    def check(self) -> None:
        """See :class:`affectkit.outputs.sinks.TableSink`."""
        if self.held is None:
            self._partial.check()

    def commit(self) -> None:
        """See :class:`affectkit.outputs.sinks.TableSink`."""
        if self.held is not None:
            return
        self._partial.commit(keep=True)
        if self._rows_path != self._partial.path and not (self._late is not None and self._late.is_none):
            with suppress(OSError):
                self._rows_path.unlink(missing_ok=True)

    def close(self) -> None:
        """See :class:`affectkit.outputs.sinks.Sink`."""
        try:
            self.prepare()
            self.commit()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """See :class:`affectkit.outputs.sinks.Sink`."""
        self.suspend()
        self._discard()

    def suspend(self) -> None:
        """See :class:`affectkit.outputs.sinks.TableSink`."""
        with suppress(OSError):  # a full disk cannot even be flushed to
            self._file.close()
        if self._is_placed and self._rows_path != self._partial.path:
            self._partial.discard()  # of the table itself, which is made again from all rows

    def _discard(self) -> None:
        if not self._is_placed:
            return
        self._partial.discard()
        with suppress(OSError):
            self._rows_path.unlink(missing_ok=True)


def open_rows(path: Path, mode: Literal["w", "a"]) -> TextIO:
    """The file of a table's rows."""
    return open(path, mode, encoding="utf-8", newline="", opener=opened_empty)


class CsvWriter(_TableWriter):
    """Comma separated, one header line, empty where there is no value."""

    def _begin(self) -> None:
        csv.writer(self._file, lineterminator="\n").writerow(self._layout.columns)

    def _write_rows(self, rows: list[list[Value]]) -> None:
        csv.writer(self._file, lineterminator="\n").writerows(rows)


class JsonLinesWriter(_TableWriter):
    """One flat JSON object a line, null where there is no value."""

    def _write_rows(self, rows: list[list[Value]]) -> None:
        for row in rows:
            document = dict(zip(self._layout.columns, row, strict=True))
            self._file.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class ParquetWriter(_TableWriter):
    """Apache Parquet, typed columns, null where there is no value; needs the extra ``parquet``.

    A Parquet file cannot be read, nor continued, before it is complete. So the rows are kept as lines of JSON beside
    it, and become the table at the end.
    """

    ROWS_A_GROUP = 8192
    BUFFER_BYTES = 1 << 18

    def _check_library(self) -> None:
        _parquet()

    def _rows_file(self, partial: Path) -> Path:
        return partial.with_name(partial.name + ".rows")

    def _partial_of(self, rows: Path) -> Path:
        return rows.with_name(rows.name.removesuffix(".rows"))

    def _open(self, mode: Literal["w", "a"]) -> LateRows:
        return self._open_late(mode)

    def _write_rows(self, rows: list[list[Value]]) -> None:
        for row in rows:
            self._file.write(_LINE(row) + "\n")

    def _finish(self) -> None:
        self._file.close()
        assert self._late is not None  # as of every Parquet
        self._write_table(map(json.loads, self._late.lines()))

    def _write_table(self, rows: Iterator[list[Value]]) -> None:
        pyarrow = _parquet()
        kinds = {
            name: pyarrow.string()
            if name in self._layout.texts
            else pyarrow.int32()
            if name in self._layout.integers
            else pyarrow.float64()
            for name in self._layout.columns
        }
        schema = pyarrow.schema(list(kinds.items()))
        memory = pyarrow.BufferOutputStream() if self._stays_in_memory else None
        with ExitStack() as stack:
            file = memory
            if file is None:
                # By itself it would write each part of a column apart, several hundred for a table of a few rows.
                bare = stack.enter_context(open(self._partial.path, "wb", buffering=0, opener=opened_empty))
                file = stack.enter_context(pyarrow.output_stream(bare, compression=None, buffer_size=self.BUFFER_BYTES))
            writer = stack.enter_context(pyarrow.parquet.ParquetWriter(file, schema))
            while group := list(islice(rows, self.ROWS_A_GROUP)):
                columns = zip(*group, strict=True)
                arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, kinds.values(), strict=True)]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
        if memory is not None:
            self.held = memory.getvalue().to_pybytes()


@cache
def _parquet() -> ModuleType:
    """What writes Parquet.

    Raises:
        MissingDependency: it is not installed.
    """
    with needs("pyarrow", "parquet", "writing Parquet"):
        import pyarrow
        import pyarrow.parquet
    found: ModuleType = pyarrow
    return found


def check_suffix(path: Path, allowed: tuple[str, ...] = SUFFIXES, *, what: str = "") -> None:
    """Refuse a suffix that names no format we write; tables' unless ``allowed`` says otherwise.

    Raises:
        UnknownSuffix: the message lists the known ones.
    """
    if path.suffix.lower() not in allowed:
        raise UnknownSuffix(f"{path}: unknown suffix {path.suffix!r}{what}; allowed: {', '.join(allowed)}")


def open_table(
    path: Path,
    table: Layout,
    *,
    overwrite: bool = False,
    resume_from: tuple[Path, int] | None = None,
    at: Path | None = None,
    in_memory: Callable[[], Path | None] | None = None,
) -> TableSink:
    """The writer that the suffix asks for: ``.csv``, ``.jsonl`` or ``.parquet``.

    Args:
        resume_from: what ``position`` of an interrupted run's gave: its rows are taken over.
        at: the unfinished table's own name; None: one of this process.
        in_memory: a small one needs no file (``held``); before one is made this says where, as ``at``.

    Raises:
        OutputError: unknown suffix, or the target cannot be written.
        MissingDependency: Parquet without pyarrow.
    """
    check_suffix(path)
    writer = {".csv": CsvWriter, ".jsonl": JsonLinesWriter, ".parquet": ParquetWriter}[path.suffix.lower()]
    return writer(path, table, overwrite=overwrite, resume_from=resume_from, at=at, in_memory=in_memory)
