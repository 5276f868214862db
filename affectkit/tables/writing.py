"""Tables in memory as files, with the same bytes as ``affectkit predict`` writes."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from affectkit.errors import UnknownSuffix, needs
from affectkit.outputs.files import PartialFile, explain_os_error, prepare_bytes
from affectkit.outputs.json_files import json_text
from affectkit.tables.columns import TEXTS, is_integer
from affectkit.types import Array

if TYPE_CHECKING:
    from affectkit.tables.table import Table

SUFFIXES = (".csv", ".jsonl", ".parquet")


def rows_of(table: Table) -> Iterator[tuple[Any, ...]]:
    """The rows as values of Python's, None where there is none."""
    return zip(*(_plain(name, values) for name, values in table.columns.items()), strict=True)


def _plain(name: str, values: Array) -> list[Any]:
    if name in TEXTS or values.dtype == object:
        return list(values)
    if values.dtype.kind in "iu":
        return cast(list[Any], values.tolist())
    kind: Any = int if is_integer(name) else float
    return [None if math.isnan(value) else kind(value) for value in values.tolist()]


def csv_text(table: Table) -> str:
    """Comma separated, one header line, empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(rows_of(table))
    return text.getvalue()


def json_lines(table: Table) -> str:
    """One flat JSON object a line, null where there is no value."""
    names = list(table.columns)
    lines = (
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False) for row in rows_of(table)
    )
    return "".join(line + "\n" for line in lines)


def write_parquet(table: Table, path: Path, *, overwrite: bool) -> PartialFile:
    """Typed columns, null where there is no value, under a temporary name.

    Raises:
        MissingDependency: there is no pyarrow.
        OutputError: it cannot be written.
    """
    with needs("pyarrow", "parquet", "writing Parquet"):
        import pyarrow
        import pyarrow.parquet
    kinds: dict[str, Any] = {
        name: pyarrow.string()
        if name in TEXTS or values.dtype == object
        else pyarrow.int32()
        if is_integer(name)
        else pyarrow.float64()
        for name, values in table.columns.items()
    }
    arrays = [pyarrow.array(_plain(name, values), kinds[name]) for name, values in table.columns.items()]
    partial = PartialFile(path, overwrite=overwrite)
    try:
        whole = pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(list(kinds.items())))
        pyarrow.parquet.write_table(whole, partial.path)
    except OSError as error:
        partial.discard()
        raise explain_os_error(path, error) from error
    return partial


def prepare(table: Table, path: Path, *, overwrite: bool) -> PartialFile:
    """The whole file under a temporary name; the suffix says of which kind.

    Raises:
        OutputError: it cannot be written, or exists and may not be replaced.
        UnknownSuffix: the suffix stands for no format.
        MissingDependency: Parquet without pyarrow.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UnknownSuffix(f"{path}: unknown suffix {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if kind == ".parquet":
        return write_parquet(table, path, overwrite=overwrite)
    text = csv_text(table) if kind == ".csv" else json_lines(table)
    return prepare_bytes(path, text.encode("utf-8", "replace"), overwrite=overwrite)


def save(table: Table, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """The table, and beside it what says how it was made; errors as of :func:`prepare`."""
    path = Path(path)
    partial = prepare(table, path, overwrite=overwrite)
    if table.meta:
        try:
            meta = path.with_name(path.name + ".meta.json")
            prepare_bytes(meta, json_text(table.meta).encode("utf-8", "replace"), overwrite=True).commit()
        except BaseException:
            partial.discard()
            raise
    partial.commit()
