"""Any CSV with a row a picture: ``--map COLUMN=LABEL`` says what its columns are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from affectkit.errors import SourceError
from affectkit.train.datasets.labels import POINT_COLUMNS, BadLabel, au_columns, check_table, located, number, read_csv
from affectkit.train.datasets.manifest import Points, Prepared, Row, relative
from affectkit.train.datasets.points import FindPoints, of_picture
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.types import au_name, published_au_name

LABELS = ("path", "set", "split", "video", "frame", "person", "expression", "valence", "arousal")
PICTURES_A_UNIT = 500


def read(file: Path, target: Path, *, find: FindPoints | None = None, **options: object) -> Prepared:
    """All of :func:`units`."""
    return collect(units(file, target, find=find, **options))  # type: ignore[arg-type]


def units(
    file: Path,
    target: Path,
    *,
    pictures: Path,
    columns: Mapping[str, str],
    find: FindPoints | None = None,
    expressions: Mapping[str, str] | None = None,
    au_at: float | None = None,
    va_range: tuple[float, float] = (-1.0, 1.0),
) -> list[Unit]:
    """A unit some hundred pictures, which stay in their place.

    Args:
        pictures: the folder that the column ``path`` is relative to.
        columns: label by column; a column that is called like a label need not be named.
        find: finds points where the file has none; None: the whole picture is the crop.
        expressions: name by value; a blank name makes it unlabelled.
        au_at: intensities become 0 or 1: present from this one on.
        va_range: what valence and arousal lie between in the file.
    """
    table, original = _mapped(read_csv(file), columns, file)
    if expressions is not None:
        _name_expressions(table, expressions, file, original)
    for name in ("valence", "arousal"):
        if va_range != (-1.0, 1.0) and name in table.columns:
            _scale(table, name, va_range, file, original)
    allowed = None if expressions is None else [name for name in dict.fromkeys(expressions.values()) if name]
    try:
        table = check_table(table, file, key="path", au_at=au_at, expressions=allowed)
    except SourceError as error:
        raise SourceError(_in_their_words(str(error), original)) from error

    def part(some: Sequence[Mapping[str, object]]) -> Prepared:
        prepared = Prepared()
        for cells in some:
            _picture(cells, pictures, target, find, prepared)
        return prepared

    records = [
        {str(name): value for name, value in record.items() if not pd.isna(value)}
        for record in table.to_dict(orient="records")
    ]
    return [Unit(name, partial(part, some)) for name, some in chunks(records, PICTURES_A_UNIT)]


def _label_name(name: str) -> str | None:
    """What a column stands for, ``AU1`` for ``AU01``; None for no label."""
    if name in LABELS or name in POINT_COLUMNS or name.startswith("votes_"):
        return name
    return published_au_name(au_name(name)) if re.fullmatch(r"AU\d{1,3}", name, re.IGNORECASE) else None


def _mapped(table: pd.DataFrame, columns: Mapping[str, str], file: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns that are labels, by their label's name, and what each is called in the file."""
    original: dict[str, str] = {}
    for column, given in columns.items():
        label = _label_name(given)
        if label is None:
            raise SourceError(f"--map {column}={given}: no label {given!r}; allowed: {', '.join(LABELS)}, AU1, AU2 ...")
        if column not in table.columns:
            raise SourceError(f"{file}: has no column {column!r}; it has: {', '.join(table.columns)}")
        if label in original:
            raise SourceError(f"--map: two columns, {original[label]!r} and {column!r}, are {label!r}")
        original[label] = column
    for column in table.columns:
        label = _label_name(column)
        if label is not None and label not in original and column not in columns:
            original[label] = column
    if "path" not in original:
        raise SourceError(
            f"{file}: no column is 'path'; give --map COLUMN=path for the one that names the pictures, "
            f"of: {', '.join(table.columns)}"
        )
    return pd.DataFrame({label: table[column] for label, column in original.items()}), original


def _name_expressions(table: pd.DataFrame, names: Mapping[str, str], file: Path, original: Mapping[str, str]) -> None:
    if "expression" not in table.columns:
        raise SourceError("--expression-names: no column is 'expression'; give --map COLUMN=expression")
    for i, value in table["expression"].dropna().items():
        key = str(value).strip().removesuffix(".0")
        with located(file, line=int(str(i)) + 2, column=original["expression"]):
            if key not in names:
                raise BadLabel(f"{value!r} has no name; --expression-names knows {', '.join(names)}")
        table.loc[i, "expression"] = names[key] or np.nan


def _scale(
    table: pd.DataFrame, name: str, limits: tuple[float, float], file: Path, original: Mapping[str, str]
) -> None:
    low, high = limits
    scaled = []
    for i, value in table[name].items():
        with located(file, line=int(str(i)) + 2, column=original[name]):
            scaled.append(2 * (number(value, low, high) - low) / (high - low) - 1)
    table[name] = scaled


def _in_their_words(message: str, original: Mapping[str, str]) -> str:
    """A message of :func:`check_table` with the file's own name for the column."""
    found = re.search(r"column '([^']*)'", message)
    column = original.get(found[1]) if found else None
    if found is None or column is None or column == found[1]:
        return message
    return message.replace(found[0], f"column {column!r} ({found[1]})", 1)


def _picture(
    cells: Mapping[str, object], pictures: Path, target: Path, find: FindPoints | None, prepared: Prepared
) -> None:
    path = pictures / str(cells["path"])
    points: Points | None = None
    if POINT_COLUMNS[0] in cells:
        numbers = [float(str(cells[name])) for name in POINT_COLUMNS]
        points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    good, found = of_picture(path, None if points else find, prepared)
    if not good:
        return
    texts = {name: str(cells[name]) for name in ("video", "person", "expression") if name in cells}
    votes = {name.removeprefix("votes_"): int(float(str(cells[name]))) for name in cells if name.startswith("votes_")}
    values = {name: float(str(cells[name])) for name in ("valence", "arousal") if name in cells}
    prepared.rows.append(
        Row(
            relative(path, target),
            str(cells.get("set", "csv")),
            str(cells.get("split", "train")),
            texts.get("video"),
            int(float(str(cells["frame"]))) if "frame" in cells else None,
            texts.get("person"),
            {name: float(str(cells[name])) for name in au_columns(cells)},
            texts.get("expression"),
            votes or None,
            values.get("valence"),
            values.get("arousal"),
            points or found,
        )
    )
