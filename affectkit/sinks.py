"""Tables: one row a frame and face, as CSV, JSON lines, Parquet or columns in memory.

A file is written beside its target under a temporary name and renamed when it is complete, so that nothing half done
ever stands under the final name and nothing that stood there is lost.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TextIO, get_args

import numpy as np

from affectkit.errors import MissingDependency, UnknownSuffix
from affectkit.targets import PartialFile as PartialFile
from affectkit.targets import check_target as check_target
from affectkit.targets import explain_os_error as explain_os_error
from affectkit.targets import prepare_bytes as prepare_bytes
from affectkit.targets import short_stem as short_stem
from affectkit.types import Affect, Array, Face, FrameResult, LabelSet, published_au_name

if TYPE_CHECKING:
    import pandas

TableFormat = Literal["native", "openface", "pyfeat", "paper"]
Value = int | float | str | None

SUFFIXES = (".csv", ".jsonl", ".parquet")

PYFEAT_EMOTIONS = {
    "neutral": "Neutral",
    "happiness": "Happy",
    "sadness": "Sad",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "anger": "Anger",
}
"""Names of py-feat 2's emotion columns; it has none for other expressions, whose own names are capitalised."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a table, and how a face becomes a row."""

    columns: tuple[str, ...]
    integers: frozenset[str]
    texts: frozenset[str]
    row: Callable[[FrameResult, Face | None], list[Value]]
    labels: LabelSet
    """What the columns are made for; what a model does not answer has no column."""

    def rows(self, result: FrameResult) -> list[list[Value]]:
        """One row a face; one row for a frame without a face. Values that are not there are None, never 0.

        Raises:
            ValueError: the faces are of a model with other labels than the table.
        """
        for face in result.faces:
            if face.affect.labels is not self.labels and not face.affect.labels.same_columns(self.labels):
                raise ValueError(
                    f"{result.name}: a result of a model that answers {_listed(face.affect.labels)} does not fit "
                    f"into a table for {_listed(self.labels)}; write the results of each model into a table of its own"
                )
        return [self.row(result, face) for face in result.faces or (None,)]


def _listed(labels: LabelSet) -> str:
    va = ("valence", "arousal") if labels.valence_arousal else ()
    return ", ".join((*labels.expressions, *labels.action_units, *va, *_seen_columns(labels)))


def _number(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


def _decisions(affect: Affect) -> list[Value]:
    """1 or 0 for each action unit; none for one that is hidden."""
    hidden = affect.au_hidden
    if not hidden.any():
        return [int(active) for active in affect.au_active]
    return [None if gone else int(active) for active, gone in zip(affect.au_active, hidden, strict=True)]


def _intensities(labels: LabelSet) -> tuple[str, ...]:
    return tuple(f"{name}_i" for name in labels.action_units) if labels.intensity else ()


def _seen_columns(labels: LabelSet) -> tuple[str, ...]:
    """Columns of how the face is seen: of models that tell, the same in every format."""
    pose = ("pitch", "yaw", "roll") if labels.pose else ()
    return (*pose, *(("visible_upper", "visible_lower", "quality") if labels.visibility else ()))


def _seen(affect: Affect) -> list[Value]:
    """Values of :func:`_seen_columns`."""
    values: list[Value] = []
    if affect.labels.pose:
        values += [None] * 3 if affect.pose is None else [_number(angle, 2) for angle in affect.pose]
    if affect.labels.visibility:
        values += map(_number, (affect.visible_upper, affect.visible_lower, affect.quality))
    return values


def _strengths(affect: Affect) -> list[Value]:
    """Values of :func:`_intensities`."""
    if not affect.labels.intensity:
        return []
    units = affect.labels.action_units
    return [None] * len(units) if affect.au_intensities is None else [_number(v) for v in affect.au_intensities]


def _time(result: FrameResult) -> float | None:
    """Nine digits after the point: a time base of 1/90000 s survives, float noise does not."""
    return _number(result.time_s, 9)


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, which may run programs; also in their wide forms."""


def _input(name: str) -> str:
    """An input's name as a cell: a file name that would be a formula is written as the same file's path."""
    return f"./{name}" if name.startswith(_FORMULA) else name


def _native(labels: LabelSet, uncertainty: bool) -> Layout:
    units, expressions, has_va = labels.action_units, labels.expressions, labels.valence_arousal
    columns = [
        "input",
        "frame",
        "face_id",
        "timestamp",
        "confidence",
        "success",
        "FaceRectX",
        "FaceRectY",
        "FaceRectWidth",
        "FaceRectHeight",
        *_seen_columns(labels),
        *units,
        *(f"{name}_c" for name in units),
        *_intensities(labels),
        *expressions,
        *(("expression",) if expressions else ()),
        *(("valence", "arousal") if has_va else ()),
    ]
    if uncertainty:
        columns += [f"{name}_std" for name in units]
        columns += ["expression_entropy"] if expressions else []
        columns += ["valence_std", "arousal_std"] if has_va else []

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        head: list[Value] = [_input(result.name), result.index]
        if face is None:
            head += [-1, _time(result), None, 0]
            return head + [None] * (len(columns) - len(head))
        a = face.affect
        values: list[Value] = [
            *head,
            face.track_id,
            _time(result),
            _number(face.score),
            1,
            *(_number(side, 2) for side in face.box),
            *_seen(a),
            *map(_number, a.au_probabilities),
            *_decisions(a),
            *_strengths(a),
            *map(_number, a.expression_probabilities),
        ]
        if expressions:
            values.append(a.expression or None)
        if has_va:
            values += [_number(a.valence), _number(a.arousal)]
        if uncertainty:
            values += [None] * len(units) if a.au_std is None else map(_number, a.au_std)
            if expressions:
                values.append(_number(a.expression_entropy))
            if has_va:
                values += map(_number, (a.valence_std, a.arousal_std))
        return values

    integers = {"frame", "face_id", "success", *(f"{name}_c" for name in units)}
    return Layout(tuple(columns), frozenset(integers), frozenset({"input", "expression"}), row, labels)


def _openface(labels: LabelSet) -> Layout:
    decisions = tuple(f"{name}_c" for name in labels.action_units)
    head = ("frame", "face_id", "timestamp", "confidence", "success")
    columns = (*head, *_seen_columns(labels), *decisions, *_intensities(labels))

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        if face is None:
            return [result.index + 1, -1, _time(result), 0.0, 0, *([None] * (len(columns) - len(head)))]
        a = face.affect
        first: list[Value] = [result.index + 1, face.track_id, _time(result), _number(face.score), 1]
        return [*first, *_seen(a), *_decisions(a), *_strengths(a)]

    return Layout(columns, frozenset({"frame", "face_id", "success", *decisions}), frozenset(), row, labels)


def _pyfeat(labels: LabelSet) -> Layout:
    known = [name for name in PYFEAT_EMOTIONS if name in labels.expressions]
    shown = known + [name for name in labels.expressions if name not in PYFEAT_EMOTIONS]
    emotions = tuple(PYFEAT_EMOTIONS.get(name, name.capitalize()) for name in shown)
    places = [labels.expressions.index(name) for name in shown]
    va = ("valence", "arousal") if labels.valence_arousal else ()
    boxes = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
    before, after = _seen_columns(labels), _intensities(labels)
    columns = ("input", "frame", "approx_time", *boxes, *before, *labels.action_units, *after, *emotions, *va)

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        time_s = result.time_s
        clock = f"{int(time_s) // 60:02d}:{int(time_s) % 60:02d}" if math.isfinite(time_s) else None
        head: list[Value] = [_input(result.name), result.index, clock]
        if face is None:
            return head + [None] * (len(columns) - len(head))
        a = face.affect
        return [
            *head,
            *(_number(side, 2) for side in face.box),
            _number(face.score),
            *_seen(a),
            *map(_number, a.au_probabilities),
            *_strengths(a),
            *(_number(a.expression_probabilities[place]) for place in places),
            *((_number(a.valence), _number(a.arousal)) if va else ()),
        ]

    return Layout(columns, frozenset({"frame"}), frozenset({"input", "approx_time"}), row, labels)


def _paper(labels: LabelSet) -> Layout:
    published = tuple(published_au_name(name) for name in labels.action_units)
    expression = ("EXPR",) if labels.expressions else ()
    va = ("valence", "arousal") if labels.valence_arousal else ()
    # The published columns first, as its readers expect them.
    columns = ("frames_ids", *published, *expression, *va, *_intensities(labels), *_seen_columns(labels))

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        if face is None:
            return [result.index, *([None] * (len(columns) - 1))]
        a = face.affect
        return [
            result.index,
            *_decisions(a),
            *((labels.expressions.index(a.expression) if a.expression else None,) if expression else ()),
            *((_number(a.valence), _number(a.arousal)) if va else ()),
            *_strengths(a),
            *_seen(a),
        ]

    return Layout(columns, frozenset({"frames_ids", "EXPR", *published}), frozenset(), row, labels)


def check_format(table_format: TableFormat, *, uncertainty: bool = False) -> None:
    """Refuse what does not go together, before anything is loaded.

    Raises:
        ValueError: unknown format, or one that has no place for the uncertainty columns.
    """
    if table_format not in get_args(TableFormat):
        raise ValueError(f"format must be one of {', '.join(get_args(TableFormat))}, got {table_format!r}")
    if uncertainty and table_format != "native":
        raise ValueError(f"the format {table_format!r} has no columns for uncertainty; use 'native'")


def layout(
    table_format: TableFormat = "native", *, uncertainty: bool = False, labels: LabelSet | None = None
) -> Layout:
    """The columns of a format.

    Args:
        labels: what the model answers (``predictor.spec.labels``); None: as the shipped models do.

    Raises:
        ValueError: unknown format, or one that has no place for the uncertainty columns.
    """
    check_format(table_format, uncertainty=uncertainty)
    labels = labels or LabelSet()
    if table_format == "native":
        return _native(labels, uncertainty)
    return {"openface": _openface, "pyfeat": _pyfeat, "paper": _paper}[table_format](labels)


class Sink(Protocol):
    """Where results go. Used as a context manager: completed on success, undone when an exception passes."""

    def write(self, result: FrameResult) -> None:
        """Take the next frame's result."""
        ...

    def close(self) -> None:
        """Complete the output and give it its final name."""
        ...

    def abort(self) -> None:
        """Remove what was written; whatever stood under the final name stays."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TableSink(Sink, Protocol):
    """A sink whose output can be gone on with when the run was interrupted."""

    def position(self) -> tuple[Path, int]:
        """The file that rows are appended to, and its length so far, all of which is on the disk by then."""
        ...

    def suspend(self) -> None:
        """Let go of the file and leave it, to be gone on with."""
        ...

    def prepare(self) -> None:
        """Write all that is missing, so that nothing but the final name is. Where that fails the rows are left."""
        ...

    def commit(self) -> None:
        """Give what was prepared its final name. Where that fails the rows are left."""
        ...


class Completed:
    """A context that completes an output on success, and undoes it when an exception passes."""

    def close(self) -> None:
        """Complete the output and give it its final name."""
        raise NotImplementedError

    def abort(self) -> None:
        """Remove what was written; whatever stood under the final name stays."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class _TableWriter(Completed):
    """What the three writers share: rows are appended to a file, which becomes the table at the end.

    The file is one that an interrupted run can be gone on with: see :meth:`position` and ``begun``.
    """

    def __init__(
        self, path: Path, table: Layout, *, overwrite: bool = False, begun: tuple[Path, int] | None = None
    ) -> None:
        self._layout = table
        if begun is None:
            self._partial = PartialFile(path, overwrite=overwrite)
            self._rows_path = self._rows_file(self._partial.path)
            length = None
        else:  # the rows stay where they are: the note of the interrupted run is true until the next one is written
            self._rows_path, length = begun
            self._partial = PartialFile(path, overwrite=overwrite, path=self._partial_of(self._rows_path))
        try:
            if length is None:
                self._file = open_rows(self._rows_path, "w")
                self._begin()
            else:
                os.truncate(self._rows_path, length)
                self._file = open_rows(self._rows_path, "a")
        except OSError as error:
            if begun is None:
                self._discard()
            raise explain_os_error(path, error) from error

    def _rows_file(self, partial: Path) -> Path:
        """Where rows are appended to."""
        return partial

    def _partial_of(self, rows: Path) -> Path:
        """Undo :meth:`_rows_file`."""
        return rows

    def _begin(self) -> None:
        """Write what comes before the first row."""

    def _write_rows(self, rows: list[list[Value]]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        """Close the file, and make the table of it."""
        self._file.close()

    def write(self, result: FrameResult) -> None:
        """See :class:`Sink`."""
        try:
            self._write_rows(self._layout.rows(result))
        except OSError as error:
            raise explain_os_error(self._partial.target, error) from error

    def position(self) -> tuple[Path, int]:
        """The file that rows are appended to, and its length so far, all of which is on the disk by then."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise explain_os_error(self._partial.target, error) from error
        return self._rows_path, self._rows_path.stat().st_size

    def prepare(self) -> None:
        """See :class:`TableSink`."""
        try:
            self._finish()
        except OSError as error:
            raise explain_os_error(self._partial.target, error) from error

    def commit(self) -> None:
        """See :class:`TableSink`."""
        self._partial.commit(keep=True)
        if self._rows_path != self._partial.path:
            with suppress(OSError):
                self._rows_path.unlink(missing_ok=True)

    def close(self) -> None:
        """See :class:`Sink`."""
        try:
            self.prepare()
            self.commit()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """See :class:`Sink`."""
        self.suspend()
        self._discard()

    def suspend(self) -> None:
        """See :class:`TableSink`."""
        with suppress(OSError):  # a full disk cannot even be flushed to
            self._file.close()
        if self._rows_path != self._partial.path:
            self._partial.discard()  # of the table itself, which is made again from all rows

    def _discard(self) -> None:
        self._partial.discard()
        with suppress(OSError):
            self._rows_path.unlink(missing_ok=True)


def open_rows(path: Path, mode: Literal["w", "a"]) -> TextIO:
    """The file of a table's rows."""
    return path.open(mode, encoding="utf-8", newline="")


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


class ParquetWriter(_TableWriter):
    """Apache Parquet, typed columns, null where there is no value; needs the extra ``parquet``.

    A Parquet file cannot be read, nor gone on with, before it is complete. So the rows are kept as lines of JSON beside
    it, and become the table at the end.
    """

    ROWS_A_GROUP = 8192

    def __init__(
        self, path: Path, table: Layout, *, overwrite: bool = False, begun: tuple[Path, int] | None = None
    ) -> None:
        try:
            import pyarrow.parquet  # noqa: F401  (before anything is computed)
        except ModuleNotFoundError as error:
            if error.name != "pyarrow":
                raise
            raise MissingDependency("pyarrow", "parquet", "writing Parquet") from error
        super().__init__(path, table, overwrite=overwrite, begun=begun)

    def _rows_file(self, partial: Path) -> Path:
        return partial.with_name(partial.name + ".rows")

    def _partial_of(self, rows: Path) -> Path:
        return rows.with_name(rows.name.removesuffix(".rows"))

    def _write_rows(self, rows: list[list[Value]]) -> None:
        for row in rows:
            self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

    def _finish(self) -> None:
        super()._finish()
        with self._rows_path.open(encoding="utf-8", newline="\n") as lines:
            self._write_table(map(json.loads, lines))

    def _write_table(self, rows: Iterator[list[Value]]) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {
            name: pyarrow.string()
            if name in self._layout.texts
            else pyarrow.int32()
            if name in self._layout.integers
            else pyarrow.float64()
            for name in self._layout.columns
        }
        schema = pyarrow.schema(list(kinds.items()))
        with pyarrow.parquet.ParquetWriter(self._partial.path, schema) as writer:
            while group := list(islice(rows, self.ROWS_A_GROUP)):
                columns = zip(*group, strict=True)
                arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, kinds.values(), strict=True)]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def check_suffix(path: Path, allowed: tuple[str, ...] = SUFFIXES, *, what: str = "") -> None:
    """Refuse a suffix that names no format we write; tables' unless ``allowed`` says otherwise.

    Raises:
        UnknownSuffix: the message lists the known ones.
    """
    if path.suffix.lower() not in allowed:
        raise UnknownSuffix(f"{path}: unknown suffix {path.suffix!r}{what}; allowed: {', '.join(allowed)}")


def open_table(
    path: Path, table: Layout, *, overwrite: bool = False, begun: tuple[Path, int] | None = None
) -> TableSink:
    """The writer that the suffix asks for: ``.csv``, ``.jsonl`` or ``.parquet``.

    Args:
        begun: what :meth:`TableSink.position` of an interrupted run gave: its rows are taken over.

    Raises:
        OutputError: unknown suffix, or the target cannot be written.
        MissingDependency: Parquet without pyarrow.
    """
    check_suffix(path)
    writer = {".csv": CsvWriter, ".jsonl": JsonLinesWriter, ".parquet": ParquetWriter}[path.suffix.lower()]
    return writer(path, table, overwrite=overwrite, begun=begun)


def json_text(document: dict[str, Any]) -> str:
    """A JSON file's text: that of ``json.dumps(document, indent=2)``, which takes five times as long."""
    return _indented(document, "\n") + "\n"


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def _indented(value: Any, line: str) -> str:
    """A value of JSON, whose lines begin with ``line``."""
    inner = line + "  "
    if isinstance(value, dict) and value:
        parts = [f"{_ENCODE(str(name))}: {_indented(part, inner)}" for name, part in value.items()]
        return "{" + inner + ("," + inner).join(parts) + line + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + inner + ("," + inner).join([_indented(part, inner) for part in value]) + line + "]"
    return _ENCODE(value)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file by the same rule: complete or not at all; an older one is replaced."""
    write_text(path, json_text(document))


def write_text(path: Path, text: str) -> None:
    """Write a text file, complete or not at all; an older one is replaced."""
    prepare_bytes(path, text.encode("utf-8", "replace"), overwrite=True).commit()


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Results as columns in memory."""

    columns: dict[str, Array]
    """By name: integers as int64, numbers as float64 with NaN where there is no value, texts as objects with None.

    Integer columns that have gaps (``AU01_c`` ... in frames without a face, or of hidden faces) are float64 for that
    reason.
    """

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Array:
        """The column of that name."""
        return self.columns[name]

    def to_pandas(self) -> pandas.DataFrame:
        """As a data frame; needs the extra ``pandas``."""
        try:
            import pandas
        except ModuleNotFoundError as error:
            if error.name != "pandas":
                raise
            raise MissingDependency("pandas", "pandas", "Table.to_pandas") from error
        return pandas.DataFrame(self.columns)


def table_of(results: Iterable[FrameResult], table: Layout | None = None) -> Table:
    """Collect results as columns.

    Args:
        table: the columns; None: the native ones of what the first face's model answers.
    """
    if table is None:
        table, results = _layout_for(results)
    return columns_of(table, [row for result in results for row in table.rows(result)])


def columns_of(table: Layout, rows: list[list[Value]]) -> Table:
    """Rows of a layout as columns."""
    columns: dict[str, Array] = {}
    for k, name in enumerate(table.columns):
        values = [row[k] for row in rows]
        if name in table.texts:
            columns[name] = np.array(values, dtype=object)
        elif name in table.integers and None not in values:
            columns[name] = np.array(values, dtype=np.int64)
        else:
            columns[name] = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    return Table(columns)


def _layout_for(results: Iterable[FrameResult]) -> tuple[Layout, Iterable[FrameResult]]:
    """The native layout that the first face asks for, and all of the results."""
    following, before = iter(results), list[FrameResult]()
    for result in following:
        before.append(dataclasses.replace(result, image=None))  # pictures are large, and no column needs them
        if result.faces:
            return layout(labels=result.faces[0].affect.labels), chain(before, following)
    return layout(), before
