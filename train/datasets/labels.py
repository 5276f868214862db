"""One reading of labels, for every reader, manifest and CSV: a table of them as numbers, or an error.

The error names the file, the line, the column, the value, and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectkit.errors import SourceError
from affectkit.train.datasets.values import (
    LARGEST_INTENSITY,
    POINT_COLUMNS,
    POINT_RANGE,
    POSE_COLUMNS,
    VISIBLE_COLUMNS,
    BadLabel,
    angle_value,
    au_value,
    check_split,
    expression_name,
    frame_value,
    intensity_column,
    located,
    point_value,
    share_value,
    va_value,
    vote_value,
)
from affectkit.types import published_au_name

__all__ = ["POINT_COLUMNS", "au_columns", "check_table", "read_csv"]

Values = npt.NDArray[np.float64]


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as texts, NaN where blank; rows that are wholly blank are left out and the index still counts them.

    ``nan``, ``NA`` and the like stay texts, so that :func:`check_table` can say what it thinks of them.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=[""], skip_blank_lines=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read as CSV ({error})") from error
    table.columns = [str(name).strip() for name in table.columns]
    return table.dropna(how="all")


def au_columns(names: Iterable[Any]) -> list[str]:
    """Those of some names, or of a table's columns, that are ``AU<n>``, by number."""
    found = [str(name) for name in names if re.fullmatch(r"AU[1-9]\d{0,2}", str(name))]
    return sorted(found, key=lambda name: int(name[2:]))


def check_table(
    table: pd.DataFrame,
    where: Path,
    *,
    key: str,
    au_at: float | None = None,
    first_line: int = 2,
    expressions: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The table with numbers for labels, or an error that names the first bad value.

    Checks every column it knows: ``AU<n>`` (``AU01`` is renamed), ``expression``, ``valence``, ``arousal``,
    ``votes_*``, ``split``, ``frame`` and the ten of the points; others are left as they are.

    Args:
        table: texts or numbers; its index counts the lines of the file from 0.
        key: the column that names the picture: never blank, and once only (within a split, if there is one).
        au_at: AUs are intensities of 0 to 5; from this one on the unit is present.
        first_line: that of the row with index 0.
        expressions: what may stand in ``expression``; default: :data:`KNOWN_EXPRESSIONS`.

    Raises:
        SourceError: a value is not what it should be.
    """
    if au_at is not None and not 0 < au_at <= LARGEST_INTENSITY:
        raise SourceError(f"--au-at {au_at:g} is out of range; allowed: over 0 to 5")
    checker = _Checker(_renamed(table, where), where, first_line)
    checker.keys(key)
    for name in au_columns(checker.table):
        checker.numbers(name, lambda value: au_value(value, au_at=au_at), LARGEST_INTENSITY if au_at else 1.0, 0.0)
        if au_at is not None:
            values = checker.table[name]
            checker.table[name] = (values >= au_at).astype(np.float64).where(values.notna())
    for name in ("valence", "arousal"):
        checker.numbers(name, va_value, 1.0, -1.0)
    for name in (*(intensity_column(unit) for unit in au_columns(checker.table)), *VISIBLE_COLUMNS):
        checker.numbers(name, share_value, 1.0, 0.0)
    for name in POSE_COLUMNS:
        checker.numbers(name, angle_value, 180.0, -180.0)
    for name in [name for name in checker.table.columns if str(name).startswith("votes_")]:
        checker.numbers(name, vote_value, 1e9, 0.0)
    checker.numbers("frame", frame_value, 1e12, 0.0)
    for name in POINT_COLUMNS:
        checker.numbers(name, point_value, POINT_RANGE[1], POINT_RANGE[0])
    checker.texts("expression", lambda value: expression_name(value, expressions))
    checker.texts("split", check_split)
    checker.together(("valence", "arousal"), "valence and arousal come together")
    checker.together(POINT_COLUMNS, "the five points come together")
    checker.eyes()
    return checker.table


def _renamed(table: pd.DataFrame, where: Path) -> pd.DataFrame:
    """A copy with ``AU1`` for ``AU01``."""
    names = [
        published_au_name(f"AU{given[1]}") + (given[2] or "")
        if (given := re.fullmatch(r"[Aa][Uu](\d{1,3})(_i)?", str(name)))
        else str(name)
        for name in table.columns
    ]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise SourceError(f"{where}: has two columns {twice[0]!r}")
    copy = table.copy()
    copy.columns = pd.Index(names)
    return copy


class _Checker:
    """Goes through the columns of one table; quick for good ones, exact about the first bad value."""

    def __init__(self, table: pd.DataFrame, where: Path, first_line: int) -> None:
        self.table = table
        self._where = where
        counts = pd.api.types.is_integer_dtype(table.index.dtype)
        self._lines = (table.index.to_numpy() if counts else np.arange(len(table))) + first_line
        self._place = "row" if where.suffix == ".parquet" else "line"
        if where.suffix == ".parquet":
            self._lines = self._lines - first_line + 1

    def fail(self, i: int, column: str, message: str) -> None:
        """Raise for a row."""
        with located(self._where, line=int(self._lines[i]), column=column, place=self._place):
            raise BadLabel(message)

    def keys(self, key: str) -> None:
        """None blank, none twice."""
        if key not in self.table.columns:
            raise SourceError(f"{self._where}: has no column {key!r}")
        names = self.table[key]
        blank = names.isna().to_numpy() | (names.astype(str).str.strip() == "").to_numpy()
        if blank.any():
            self.fail(int(np.argmax(blank)), key, "is blank; every picture needs a name")
        within = [key, "split"] if "split" in self.table.columns else [key]
        again = self.table.duplicated(within).to_numpy()
        if again.any():
            i = int(np.argmax(again))
            same = (self.table[within] == self.table[within].iloc[i]).all(axis=1).to_numpy()
            first = int(self._lines[int(np.argmax(same))])
            split = f" in split {self.table['split'].iloc[i]}" if "split" in within else ""
            self.fail(i, key, f"{names.iloc[i]!r} comes a second time{split}, after {self._place} {first}")

    def numbers(self, column: str, check: Callable[[object], float], high: float, low: float) -> None:
        """Make a column numbers from ``low`` to ``high``; ``check`` says of the first bad one what is wrong."""
        if column not in self.table.columns:
            return
        given = self.table[column]
        try:
            values = _as_numbers(given)
            bad = ~(np.isnan(values) | ((values >= low) & (values <= high)))
            fine = not bad.any() and (column != "frame" or not (np.nan_to_num(values) % 1).any())
        except ValueError:
            fine = False
        if not fine:
            for i, value in enumerate(given):
                with located(self._where, line=int(self._lines[i]), column=column, place=self._place):
                    check(value)
        self.table[column] = values

    def texts(self, column: str, check: Callable[[object], Any]) -> None:
        """Check each different text of a column."""
        if column not in self.table.columns:
            return
        given = self.table[column].astype(object)
        given = given.where(given.notna() & (given.astype(str).str.strip() != ""), np.nan)
        for value in given.dropna().unique():
            i = int(np.argmax((given == value).to_numpy()))
            with located(self._where, line=int(self._lines[i]), column=column, place=self._place):
                check(value)
        self.table[column] = given

    def together(self, columns: Sequence[str], what: str) -> None:
        """All of some columns are known, or none."""
        present = [name for name in columns if name in self.table.columns]
        if not present:
            return
        known = np.stack([self.table[name].notna().to_numpy() for name in present])
        some = known.any(0) & (~known.all(0) | (len(present) < len(columns)))
        if some.any():
            i = int(np.argmax(some))
            missing = next(
                name for name in columns if name not in self.table.columns or pd.isna(self.table[name].iloc[i])
            )
            self.fail(
                i,
                missing,
                f"is blank, but {', '.join(n for n, k in zip(present, known[:, i], strict=True) if k)} "
                f"is not; {what}, or all are blank",
            )

    def eyes(self) -> None:
        """The eyes are apart."""
        if not set(POINT_COLUMNS) <= set(self.table.columns):
            return
        left, right = (
            self.table[[f"eye_{side}_x", f"eye_{side}_y"]].to_numpy(np.float64) for side in ("left", "right")
        )
        close = np.hypot(*(right - left).T) < 1e-3
        if close.any():
            self.fail(int(np.argmax(close)), "eye_right_x", "both eyes are at the same place; leave the points blank")


def _as_numbers(column: pd.Series[Any]) -> Values:
    """A column as numbers, exactly as written (pandas' own parser may be off in the last digit).

    Raises:
        ValueError: something is none, or a text ``nan``.
    """
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(np.float64, na_value=np.nan)
    texts = column.to_numpy(object)
    values = np.full(len(column), np.nan)
    known = np.flatnonzero(~pd.isna(texts))
    if len(known) and isinstance(texts[known[0]], str):
        blank = [i for i, text in zip(known, texts[known], strict=True) if isinstance(text, str) and not text.strip()]
        known = np.setdiff1d(known, blank) if blank else known
        if "_" in " ".join(map(str, texts[known])):
            raise ValueError("an underscore is no part of a number here")
    values[known] = texts[known].astype(np.float64)
    if not np.isfinite(values[known]).all():
        raise ValueError("not finite")
    return values
