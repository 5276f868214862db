"""Tables with a baseline: the values told relative to each face's neutral, the raw ones beside.

Where a face is neutral is known when all of the input has been seen. So the rows are kept as lines of JSON beside the
table, as Parquet's are, each with what a finder of neutral values asks for; at the end they are read twice, once for
the baselines and once to be corrected. An interrupted run is taken up from them like any other.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.baseline.finders import FromFile, all_of
from affectkit.baseline.from_file import Finder
from affectkit.baseline.neutral import Baselines, Float, Neutral, Seen, timed
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.outputs.files import explain_os_error
from affectkit.outputs.layouts import Layout, Value
from affectkit.outputs.table import Table, columns_of
from affectkit.outputs.writers import CsvWriter, JsonLinesWriter, ParquetWriter, _TableWriter, check_suffix, open_rows
from affectkit.types import Array, published_au_name

ROWS_AT_ONCE = 1024

Head = list[Any]
"""What a finder asks for beside a row: index, time, face (None: there is none), cut, neutral, quality."""


def with_raw(table: Layout) -> Layout:
    """A layout with the columns that a baseline adds, the last ones: ``baseline``, 1 where the values are told relative
    to it and 0 where they are raw, then ``AUxx_raw`` of every unit, and ``AUxx_i_raw`` where the model tells."""
    names = _raw_columns(table)

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        if face is None:
            return [*table.row(result, None), None, *([None] * len(names))]
        affect = face.affect
        raw = _plain(affect.au_probabilities if affect.au_raw is None else affect.au_raw)
        if table.labels.intensity:
            told = affect.au_intensities if affect.au_intensities_raw is None else affect.au_intensities_raw
            raw += [None] * len(raw) if told is None else _plain(told)
        return [*table.row(result, face), int(affect.au_raw is not None), *raw]

    columns = (*table.columns, "baseline", *names)
    return dataclasses.replace(table, columns=columns, integers=table.integers | {"baseline"}, row=row)


def _raw_columns(table: Layout) -> tuple[str, ...]:
    units = table.labels.action_units
    return (*(f"{u}_raw" for u in units), *(f"{u}_i_raw" for u in units if table.labels.intensity))


def _plain(values: Array) -> list[Value]:
    """As the other columns have them: six digits, None of what is hidden."""
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


class Corrector:
    """Turns raw rows of a layout of :func:`with_raw` into corrected ones."""

    def __init__(self, table: Layout, thresholds: Array) -> None:
        """Find the columns.

        Args:
            thresholds: (A,) of the model's action units.
        """
        place = {name: k for k, name in enumerate(table.columns)}
        units = table.labels.action_units
        self.raw = [place[name] for name in _raw_columns(table)]
        self._mark = place["baseline"]
        strengths = [f"{name}_i" for name in units] if table.labels.intensity else []
        # In the format paper a decision has the name of the probability.
        self._values = [
            place[name] if name in place and name not in table.integers else None for name in (*units, *strengths)
        ]
        decided = [f"{name}_c" if f"{name}_c" in place else published_au_name(name) for name in units]
        self._decisions = [place[name] if name in table.integers else None for name in decided]
        self._thresholds = np.asarray(thresholds, np.float64).tolist()

    def values(self, row: list[Value]) -> Float:
        """(V,) raw values of a row of a face, NaN of what is hidden."""
        return np.array([row[k] for k in self.raw], np.float64)  # None becomes NaN

    def correct(self, row: list[Value], neutral: Neutral) -> None:
        """Tell a raw row relative to a neutral face, in place."""
        corrected = _plain(neutral.relative(self.values(row)))
        row[self._mark] = 1
        for place, value in zip(self._values, corrected, strict=True):
            if place is not None:
                row[place] = value
        known = (~np.isnan(neutral.values)).tolist()
        units = zip(self._decisions, corrected, self._thresholds, known, strict=False)
        for place, value, threshold, has in units:
            if place is not None and has:  # without a baseline the decision stays too
                row[place] = None if value is None else int(float(value) >= threshold)


def head_of(result: FrameResult, face: Face | None) -> Head:
    """What a finder asks for beside a row."""
    if face is None:
        return [result.index, None, None, False, None, None]
    time_s = None if np.isnan(result.time_s) else result.time_s
    affect = face.affect
    neutral = affect.expressions.get("neutral")
    neutral = None if neutral is None or np.isnan(neutral) else neutral
    return [result.index, time_s, face.track_id, result.cut, neutral, affect.quality]


def seen_of(head: Head, values: Float) -> Seen:
    """What a finder is given of a face."""
    index, time_s, track, cut, neutral, quality = head
    return Seen(index, time_s, track, values, cut, neutral, quality)


class CorrectedTable(_TableWriter):
    """What the writers of corrected tables share. Rows are appended to a file beside the table, which is written at the
    end."""

    def set_up(self, finder: Finder, thresholds: Array) -> None:
        """Say what finds the neutral values. To be called before the first row."""
        self._finder, self._corrector = finder, Corrector(self._layout, thresholds)
        self._found: Baselines | None = None

    def _rows_file(self, partial: Path) -> Path:
        return partial.with_name(partial.name + ".rows")

    def _partial_of(self, rows: Path) -> Path:
        return rows.with_name(rows.name.removesuffix(".rows"))

    def _begin(self) -> None:
        pass  # the rows have no header

    def write(self, result: FrameResult) -> None:
        """See :class:`affectkit.outputs.sinks.Sink`.

        Raises:
            SourceError: the input has no times, and its seconds were asked for.
        """
        if result.faces and not isinstance(self._finder, FromFile):
            timed(result.time_s)  # said now, not when all of it has been computed
        rows = zip(result.faces or (None,), self._layout.rows(result), strict=True)
        lines = [json.dumps([head_of(result, face), row], ensure_ascii=False, allow_nan=False) for face, row in rows]
        try:
            self._file.write("\n".join(lines) + "\n")
        except OSError as error:
            raise explain_os_error(self._path, error) from error

    def baselines(self) -> Baselines:
        """All rows are written: the neutral values of each face.

        Raises:
            OutputError: the disk is full.
        """
        if self._found is None:
            try:
                self._file.flush()
            except OSError as error:
                raise explain_os_error(self._path, error) from error
            corrector = self._corrector
            faces = ((head, row) for head, row in self._kept() if head[2] is not None)
            self._found = all_of(self._finder, (seen_of(head, corrector.values(row)) for head, row in faces))
        return self._found

    def _kept(self) -> Iterator[tuple[Head, list[Value]]]:
        with self._rows_path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                head, row = json.loads(line)
                yield head, row

    def _corrected(self) -> Iterator[list[Value]]:
        found = self.baselines().found
        for head, row in self._kept():
            if head[2] in found:
                self._corrector.correct(row, found[head[2]])
            yield row

    def _finish(self) -> None:
        self.baselines()
        self._file.close()
        self._write_table(self._corrected())

    def _write_table(self, rows: Iterator[list[Value]]) -> None:
        raise NotImplementedError


class _Csv(CorrectedTable, CsvWriter):
    def _write_table(self, rows: Iterator[list[Value]]) -> None:
        with open_rows(self._partial.path, "w") as self._file:
            CsvWriter._begin(self)
            while some := list(islice(rows, ROWS_AT_ONCE)):
                self._write_rows(some)


class _JsonLines(CorrectedTable, JsonLinesWriter):
    def _write_table(self, rows: Iterator[list[Value]]) -> None:
        with open_rows(self._partial.path, "w") as self._file:
            while some := list(islice(rows, ROWS_AT_ONCE)):
                self._write_rows(some)


class _Parquet(CorrectedTable, ParquetWriter):
    def _write_table(self, rows: Iterator[list[Value]]) -> None:
        ParquetWriter._write_table(self, rows)


def open_corrected(
    path: Path,
    table: Layout,
    finder: Finder,
    thresholds: Array,
    *,
    overwrite: bool = False,
    resume_from: tuple[Path, int] | None = None,
    at: Path | None = None,
) -> CorrectedTable:
    """The writer that the suffix asks for, as :func:`affectkit.outputs.writers.open_table`.

    Args:
        table: the columns, without those of :func:`with_raw`, which are added.
        thresholds: (A,) of the model's action units.

    Raises:
        OutputError: unknown suffix, or the target cannot be written.
        MissingDependency: Parquet without pyarrow.
    """
    check_suffix(path)
    kinds: dict[str, type[CorrectedTable]] = {".csv": _Csv, ".jsonl": _JsonLines, ".parquet": _Parquet}
    sink = kinds[path.suffix.lower()](path, with_raw(table), overwrite=overwrite, resume_from=resume_from, at=at)
    sink.set_up(finder, thresholds)
    return sink


def corrected_table(results: Iterable[FrameResult], table: Layout, finder: Finder, thresholds: Array) -> Table:
    """Results as columns in memory, told relative to each face's neutral; arguments as of :func:`open_corrected`."""
    table = with_raw(table)
    corrector = Corrector(table, thresholds)
    kept: list[tuple[int | None, list[Value]]] = []
    for result in results:
        for face, row in zip(result.faces or (None,), table.rows(result), strict=True):
            kept.append((None if face is None else face.track_id, row))
            if face is not None:
                finder.add(seen_of(head_of(result, face), corrector.values(row)))
    found = finder.result().found
    for track, row in kept:
        if track in found:
            corrector.correct(row, found[track])
    return columns_of(table, [row for _, row in kept])


def relative_affect(affect: Affect, values: Float, neutral: Neutral, thresholds: Array) -> Affect:
    """An answer told relative to a neutral face, with its raw values beside; ``values`` (V,) are those that it has."""
    units = len(affect.au_probabilities)
    told = neutral.relative(values).astype(np.float32)
    known = ~np.isnan(neutral.values[:units])
    decided = np.where(known, told[:units] >= thresholds, affect.au_active)
    strengths = affect.au_intensities
    return dataclasses.replace(
        affect,
        au_probabilities=told[:units],
        au_active=decided,
        au_intensities=None if strengths is None else told[units:],
        au_raw=affect.au_probabilities,
        au_intensities_raw=strengths,
    )
