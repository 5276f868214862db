"""One reading of labels, for every reader, manifest and CSV: what a value may be, and what an error says.

A blank label is a missing one. Anything else is what it should be, or an error that names the file, the line, the
column, the value, and what is allowed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectkit.errors import SourceError
from affectkit.types import EXPRESSION_NAMES, published_au_name

KNOWN_EXPRESSIONS = (*EXPRESSION_NAMES, "contempt", "other")
"""What an expression may be called where a caller does not say otherwise: a typing error is no ninth class."""

SPLITS = ("train", "dev", "valid", "test")

POINT_NAMES = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""Left as seen in the picture."""

POINT_COLUMNS = tuple(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")

LARGEST_INTENSITY = 5.0

POINT_RANGE = -10_000.0, 100_000.0
"""px; a point may lie beyond the picture, but not anywhere."""

VA_TOLERANCE = 1e-3
"""Aff-Wild2 has a valence of 1.0002: a step beyond the range that is no larger than this is clipped."""

Values = npt.NDArray[np.float64]


class BadLabel(ValueError):
    """A value that no label may have; :func:`located` says where it stands."""


@contextmanager
def located(path: Path, *, line: int | None = None, column: str | None = None, place: str = "line") -> Iterator[None]:
    """Turn a :class:`BadLabel` into a SourceError that names the place.

    Raises:
        SourceError: in place of the BadLabel.
    """
    try:
        yield
    except BadLabel as error:
        parts = [f"{place} {line}"] if line is not None else []
        parts += [f"column {column!r}"] if column is not None else []
        raise SourceError(
            ": ".join([str(path), ", ".join(parts), str(error)] if parts else [str(path), str(error)])
        ) from (error)


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value is pd.NA or value != value


def number(value: object, low: float, high: float, *, allowed: str | None = None) -> float:
    """A finite number from ``low`` to ``high``; NaN where it is blank.

    Raises:
        BadLabel: it is something else.
    """
    if _is_blank(value):
        return math.nan
    allowed = allowed or f"{low:g} to {high:g}, or blank"
    try:
        if isinstance(value, str) and "_" in value:
            raise ValueError(value)
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise BadLabel(f"{value!r} is not a number; allowed: {allowed}") from error
    if not math.isfinite(result):
        raise BadLabel(f"{value!r} is not a finite number; allowed: {allowed}")
    if not low <= result <= high:
        raise BadLabel(f"{_shown(value)} is out of range; allowed: {allowed}")
    return result


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def au_value(value: object, *, au_at: float | None = None) -> float:
    """An action unit from 0 to 1; with ``au_at`` an intensity from 0 to 5 made 0 or 1 (present from ``au_at`` on).

    Raises:
        BadLabel: it is something else.
    """
    intensity = number(value, 0, LARGEST_INTENSITY, allowed="0 to 5, or blank") if au_at is not None else math.nan
    if au_at is not None:
        return intensity if math.isnan(intensity) else float(intensity >= au_at)
    try:
        return number(value, 0, 1)
    except BadLabel as error:
        try:
            number(value, 0, LARGEST_INTENSITY)
        except BadLabel:
            raise error from None
        raise BadLabel(f"{error}; for intensities of 0 to 5 give --au-at 2 (present from 2 on)") from None


def va_value(value: object, *, tolerance: float = 0.0) -> float:
    """Valence or arousal from -1 to 1; what lies beyond by no more than ``tolerance`` is clipped.

    Raises:
        BadLabel: it is something else.
    """
    result = number(value, -1 - tolerance, 1 + tolerance, allowed="-1 to 1, or blank")
    return result if math.isnan(result) else min(1.0, max(-1.0, result))


def expression_name(value: object, allowed: Sequence[str] | None = None) -> str | None:
    """The name of an expression; None where it is blank.

    Args:
        allowed: default: :data:`KNOWN_EXPRESSIONS`.

    Raises:
        BadLabel: it is something else.
    """
    if _is_blank(value):
        return None
    allowed = KNOWN_EXPRESSIONS if allowed is None else allowed
    if value not in allowed:
        raise BadLabel(f"unknown expression {value!r}; allowed: {', '.join(allowed)}, or blank")
    return str(value)


def vote_value(value: object) -> float:
    """A number of votes, 0 or more.

    Raises:
        BadLabel: it is something else.
    """
    return number(value, 0, 1e9, allowed="0 or more, or blank")


def frame_value(value: object) -> float:
    """The number of a frame, a whole one from 0.

    Raises:
        BadLabel: it is something else.
    """
    result = number(value, 0, 1e12, allowed="a whole number from 0, or blank")
    if not math.isnan(result) and result != int(result):
        raise BadLabel(f"{_shown(value)} is not a whole number; allowed: a whole number from 0, or blank")
    return result


def point_value(value: object) -> float:
    """A coordinate of a point, px.

    Raises:
        BadLabel: it is something else.
    """
    return number(value, *POINT_RANGE, allowed="px of the picture, or blank")


def class_index(value: object, count: int) -> int:
    """The index of one of ``count`` classes, or -1.

    Raises:
        BadLabel: it is something else.
    """
    allowed = f"a class from 0 to {count - 1}, or -1"
    result = number(value, -1, count - 1, allowed=allowed)
    if math.isnan(result) or result != int(result):
        raise BadLabel(f"{value!r} is no class; allowed: {allowed}")
    return int(result)


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
    for name in [name for name in checker.table.columns if str(name).startswith("votes_")]:
        checker.numbers(name, vote_value, 1e9, 0.0)
    checker.numbers("frame", frame_value, 1e12, 0.0)
    for name in POINT_COLUMNS:
        checker.numbers(name, point_value, POINT_RANGE[1], POINT_RANGE[0])
    checker.texts("expression", lambda value: expression_name(value, expressions))
    checker.texts("split", _split)
    checker.together(("valence", "arousal"), "valence and arousal come together")
    checker.together(POINT_COLUMNS, "the five points come together")
    checker.eyes()
    return checker.table


def _split(value: object) -> None:
    if not _is_blank(value) and value not in SPLITS:
        raise BadLabel(f"unknown split {value!r}; allowed: {', '.join(SPLITS)}")


def _renamed(table: pd.DataFrame, where: Path) -> pd.DataFrame:
    """A copy with ``AU1`` for ``AU01``."""
    names = [
        published_au_name(f"AU{name[2:]}") if re.fullmatch(r"[Aa][Uu]\d{1,3}", str(name)) else str(name)
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
    values = np.full(len(column), np.nan)
    texts = column.astype(object).to_numpy()
    rows = [i for i, value in enumerate(texts) if not _is_blank(value)]
    known = [texts[i] for i in rows]
    if any(isinstance(value, str) and "_" in value for value in known):
        raise ValueError("an underscore is no part of a number here")
    values[rows] = [float(value) for value in known]
    if not np.isfinite(values[rows]).all():
        raise ValueError("not finite")
    return values
