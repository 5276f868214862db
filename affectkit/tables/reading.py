"""Tables that ``affectkit predict`` wrote, read back with the file that says how they were made."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.errors import SourceError, UnknownSuffix, needs
from affectkit.tables.columns import NEEDED, TEXTS, as_integers, is_integer
from affectkit.tables.table import Table
from affectkit.types import Array

SUFFIXES = (".csv", ".jsonl", ".parquet")

ROWS_AT_ONCE = 4096
"""As lists of Python's; an hour of film as lists would need gigabytes."""

_FORMATS = (
    ("frames_ids", "paper"),
    ("approx_time", "pyfeat"),
    ("AU12_r", "that of OpenFace itself"),
    ("face_id", "openface"),
)
"""A column that tells another format."""


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a table of the native format, ``.csv``, ``.jsonl`` or ``.parquet``.

    ``table.meta`` is what ``PATH.meta.json`` says, and empty where there is no such file.

    Raises:
        UnknownSuffix: the name ends otherwise.
        SourceError: the file is missing, damaged, empty, or a table of another format; the message names the row.
        MissingDependency: Parquet without pyarrow.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UnknownSuffix(f"{path}: is no table; allowed are {', '.join(SUFFIXES)}, as affectkit predict writes them")
    try:
        columns = _parquet(path) if kind == ".parquet" else _text(path, kind)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error
    _check(path, columns)
    return Table(columns, read_meta(path))


def read_meta(path: Path) -> dict[str, Any]:
    """What the file beside a table says of it; empty where there is none.

    Raises:
        SourceError: it is no JSON object.
    """
    beside = path.with_name(path.name + ".meta.json")
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{beside}: cannot be read ({error}); delete it, or write the table again") from error
    if not isinstance(found, dict):
        raise SourceError(f"{beside}: is no meta file of affectkit; delete it, or write the table again")
    return found


def _text(path: Path, kind: str) -> dict[str, Array]:
    number = 1
    parts: dict[str, list[Array]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names, rows = _csv_rows(path, file) if kind == ".csv" else _json_rows(path, file)
            _check_names(path, names)
            parts = {name: [] for name in names}
            while some := list(islice(rows, ROWS_AT_ONCE)):
                for name, values in zip(names, zip(*some, strict=True), strict=True):
                    try:
                        parts[name].append(_column(name, values))
                    except (ValueError, TypeError):
                        at, value = _first_wrong(name, values)
                        raise SourceError(
                            f"{path}: row {number + at}, column {name}: {value!r} is no number; give the table as "
                            "affectkit predict wrote it"
                        ) from None
                number += len(some)
    except (csv.Error, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise SourceError(f"{path}: row {number} or after: cannot be read ({error})") from error
    return {name: _joined(name, some) for name, some in parts.items()}


def _csv_rows(path: Path, file: Iterable[str]) -> tuple[list[str], Iterator[list[Any]]]:
    lines = csv.reader(file, strict=True)
    names = next(lines, [])
    if len(names) == 1 and ";" in names[0]:
        raise SourceError(f"{path}: its values are separated by ';' and not ','; export it from the spreadsheet as CSV")

    def rows() -> Iterator[list[Any]]:
        for k, row in enumerate(lines, 1):
            if len(row) != len(names):
                raise SourceError(f"{path}: row {k} has {len(row)} values, and there are {len(names)} columns")
            yield row

    return names, rows()


def _json_rows(path: Path, file: Iterable[str]) -> tuple[list[str], Iterator[list[Any]]]:
    def documents() -> Iterator[dict[str, Any]]:
        for k, line in enumerate(file, 1):
            try:
                found = json.loads(line)
            except ValueError as error:
                raise SourceError(f"{path}: row {k}: is no JSON ({error})") from error
            if not isinstance(found, dict):
                raise SourceError(f"{path}: row {k}: is no JSON object")
            yield found

    following = documents()
    first = next(following, {})
    names = list(first)

    def rows() -> Iterator[list[Any]]:
        for k, one in enumerate(_chained(first, following), 1):
            if one.keys() != first.keys():
                raise SourceError(f"{path}: row {k}: has other names than the first row")
            yield [one[name] for name in names]

    return names, rows() if first else iter(())


def _chained(first: dict[str, Any], following: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield first
    yield from following


def _parquet(path: Path) -> dict[str, Array]:
    with needs("pyarrow", "parquet", "reading Parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        with pyarrow.parquet.ParquetFile(path) as opened:
            found = opened.read()
    except pyarrow.ArrowException as error:
        raise SourceError(f"{path}: is no Parquet table ({error})") from error
    names = list(found.column_names)
    _check_names(path, names)
    columns: dict[str, Array] = {}
    for name in names:
        values = found.column(name).to_pylist()
        try:
            columns[name] = _joined(name, [_column(name, values)])
        except (ValueError, TypeError):
            at, value = _first_wrong(name, values)
            raise SourceError(f"{path}: row {at + 1}, column {name}: {value!r} is no number") from None
    return columns


def _column(name: str, values: Iterable[Any]) -> Array:
    """Texts as objects, None where there is none; all else as floats, NaN where there is no value."""
    if name in TEXTS:
        texts = [None if value in (None, "") else str(value) for value in values]
        found = np.empty(len(texts), dtype=object)
        found[:] = texts
        return found
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if value is None or value == "":
        return math.nan
    if isinstance(value, str) and "_" in value:  # a way of writing numbers that only Python knows
        raise ValueError(value)
    found = float(value)
    if math.isinf(found):
        raise ValueError(value)
    return found


def _first_wrong(name: str, values: Iterable[Any]) -> tuple[int, Any]:
    for k, value in enumerate(values):
        try:
            _column(name, [value])
        except (ValueError, TypeError):
            return k, value
    return 0, None


def _joined(name: str, parts: list[Array]) -> Array:
    if not parts:
        return np.empty(0, dtype=object if name in TEXTS else np.float64)
    whole = np.concatenate(parts)
    return as_integers(whole) if is_integer(name) else whole


def _check_names(path: Path, names: list[str]) -> None:
    if not names:
        raise SourceError(f"{path}: is empty")
    twice = [name for k, name in enumerate(names) if name in names[:k]]
    if twice:
        raise SourceError(f"{path}: has the column {twice[0]!r} twice")
    lacking = [name for name in NEEDED if name not in names]
    if lacking:
        kind = next((f"; it looks like the format {what}" for mark, what in _FORMATS if mark in names), "")
        raise SourceError(
            f"{path}: has no column {lacking[0]!r}, so it is no table of the format native{kind}; write it in that "
            "format"
        )


def _check(path: Path, columns: dict[str, Array]) -> None:
    """Refuse what no run of affectkit can have written."""
    if not len(columns["frame"]):
        raise SourceError(f"{path}: has columns, but no rows; write it again")
    for name, least in (("frame", 0), ("face_id", -1), ("success", 0)):
        values = columns[name].astype(np.float64)
        wrong = np.flatnonzero(~((values >= least) & (values == np.round(values))))
        if len(wrong):
            raise SourceError(
                f"{path}: row {wrong[0] + 1}, column {name}: {_shown(values[wrong[0]])} is no whole number of at "
                f"least {least}"
            )
        columns[name] = values.astype(np.int64)
    if (nameless := np.flatnonzero(columns["input"] == None)).size:  # noqa: E711 (each element)
        raise SourceError(f"{path}: row {nameless[0] + 1}: names no input")
    for name, values in columns.items():
        if (
            name.startswith("AU")
            and len(values)
            and (np.nanmin(values, initial=0) < 0 or np.nanmax(values, initial=0) > 1)
        ):
            raise SourceError(f"{path}: column {name}: has a value that is not within 0..1")
    _, inputs = np.unique(columns["input"].astype(str), return_inverse=True)
    keys = np.stack([inputs, columns["frame"], columns["face_id"]], axis=1)
    order = np.lexsort(keys.T[::-1])
    same = np.flatnonzero((keys[order][1:] == keys[order][:-1]).all(1))
    if len(same):
        row = order[same[0] + 1]
        face, frame = columns["face_id"][row], columns["frame"][row]
        raise SourceError(f"{path}: row {row + 1}: face {face} is in frame {frame} twice")


def _shown(value: float) -> str:
    return "an empty value" if math.isnan(value) else f"{value:g}"
