"""What a table comes to: means, shares, bouts and frames left out, of each identity of each file, or otherwise."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.documented import fields_shown
from affectkit.errors import needs
from affectkit.outputs.files import prepare_bytes
from affectkit.tables.bouts import GAP_S, bouts_of
from affectkit.tables.columns import action_units, expressions, measured
from affectkit.tables.tracks import Film, Float, Rows, films_of, tracks_of
from affectkit.types import Array

if TYPE_CHECKING:
    import pandas

    from affectkit.tables.table import Table

Value = str | int | float | None


@fields_shown
@dataclass(frozen=True, slots=True)
class Measure:
    """One column over the frames of a group. None: nothing is told, or it has no such number."""

    kind: str
    """``action unit``, ``intensity``, ``expression`` or ``dimension``."""
    mean: float | None
    sd: float | None
    """Standard deviation over frames (n - 1)."""
    share: float | None
    """0..1, frames in which the unit is active, or the expression the most probable, of those with a value."""
    bouts: int | None
    """How many stretches of such frames there are; .5 s without a value do not end one."""
    bout_s: float | None
    """Their mean length, s."""
    told: int
    """Frames with a value."""
    left_out: int
    """Frames in which the face was found, and nothing is told: hidden, or of too low a quality."""


@fields_shown
@dataclass(frozen=True, slots=True)
class Group:
    """What the rows of one identity, or whatever else is summed up, come to."""

    key: Mapping[str, Value]
    """Columns that it is grouped by, and what they hold; ``face_name`` where the identity has one."""
    file_frames: int
    """Frames in the table of all of its inputs."""
    frames: int
    """Rows with a face."""
    seconds: float | None
    """How long that is; None of inputs without times."""
    left_out: int
    """Of these, rows in which nothing at all is told."""
    confidence: float | None
    """Mean."""
    quality: float | None
    """Mean; None of a model that does not tell."""
    measures: Mapping[str, Measure]

    def record(self) -> dict[str, Value]:
        """Everything but the measures."""
        names = ("file_frames", "frames", "seconds", "left_out", "confidence", "quality")
        return {**self.key, **{name: getattr(self, name) for name in names}}


@fields_shown
@dataclass(frozen=True, slots=True)
class Summary:
    """Groups of a table, by :meth:`affectkit.Table.summary`; printed, a short table of them."""

    by: tuple[str, ...]
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __add__(self, other: Summary) -> Summary:
        """Those of both."""
        if self.by != other.by:
            raise ValueError(f"one is by {', '.join(self.by)}, the other by {', '.join(other.by)}")
        return Summary(self.by, self.groups + other.groups)

    def records(self, *, wide: bool = False) -> list[dict[str, Value]]:
        """A row for each group and measure; ``wide``: a row for each group, with columns such as ``AU12_mean``."""
        if wide:
            return self._aligned([{**group.record(), **_wide(group)} for group in self.groups])
        rows = []
        for group in self.groups:
            for name, one in group.measures.items() or [("", None)]:
                rows.append({**group.record(), "measure": name, **_told(one)})
        return self._aligned(rows)

    def _aligned(self, rows: list[dict[str, Value]]) -> list[dict[str, Value]]:
        """Every row with all names, in one order."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        first = [name for name in ("table", *self.by, "face_name") if name in names]
        names = [*dict.fromkeys((*first, *names))]
        return [{name: row.get(name) for name in names} for row in rows]

    def to_csv(self, path: str | os.PathLike[str] | None = None, *, wide: bool = False, overwrite: bool = False) -> str:
        """As CSV text, which is written into a file where one is named."""
        rows = self.records(wide=wide)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows[0] if rows else self.by)
        writer.writerows(row.values() for row in rows)
        return _kept(path, text.getvalue(), overwrite)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> str:
        """As JSON text, a list of groups with their measures, which is written into a file where one is named."""
        document = [
            {**group.record(), "measures": {name: _told(one) for name, one in group.measures.items()}}
            for group in self.groups
        ]
        return _kept(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", overwrite)

    def to_pandas(self, *, wide: bool = False) -> pandas.DataFrame:
        """As a data frame; needs the extra ``pandas``."""
        with needs("pandas", "pandas", "Summary.to_pandas"):
            import pandas
        return pandas.DataFrame(self.records(wide=wide))

    def __str__(self) -> str:
        from affectkit.tables.display import summary_text

        return summary_text(self)

    def __repr__(self) -> str:
        return f"<Summary by {', '.join(self.by) or 'nothing'}: {len(self)} groups>"

    def _repr_html_(self) -> str:
        from affectkit.tables.display import summary_html

        return summary_html(self)


def _kept(path: str | os.PathLike[str] | None, text: str, overwrite: bool) -> str:
    if path is not None:
        prepare_bytes(Path(path), text.encode("utf-8", "replace"), overwrite=overwrite).commit()
    return text


def _told(one: Measure | None) -> dict[str, Value]:
    names = ("kind", "mean", "sd", "share", "bouts", "bout_s", "told", "left_out")
    told = {name: None if one is None else getattr(one, name) for name in names}
    told["frames_told"], told["frames_left_out"] = told.pop("told"), told.pop("left_out")
    return told


def _wide(group: Group) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, one in group.measures.items():
        for what in (
            ("mean", "share", "bouts", "bout_s") if one.share is not None or one.bouts is not None else ("mean",)
        ):
            found[f"{name}_{what}"] = getattr(one, what)
    return found


def summarised(table: Table, by: str | Sequence[str], *, gap_s: float = GAP_S) -> Summary:
    """See :meth:`affectkit.Table.summary`."""
    by = (by,) if isinstance(by, str) else tuple(by)
    for name in by:
        if name not in table.columns:
            raise ValueError(f"summary by {name!r}: there is no such column; the table has {', '.join(table.columns)}")
        if name not in ("input", "face_id", "face_name") and table.columns[name].dtype == np.float64:
            raise ValueError(f"summary by {name!r}: it holds measured numbers, which make no groups")
    if not 0 <= gap_s < float("inf"):
        raise ValueError(f"gap_s must be 0 or more seconds, got {gap_s}")
    films = list(films_of(table.columns))
    stretches = [one for film in films for one in _stretches(table, film, by)]
    stretches.sort(key=lambda one: one.order)
    groups = [_group(table, by, key, list(some), gap_s) for key, some in groupby(stretches, key=lambda one: one.key)]
    return Summary(by, tuple(groups))


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Rows of one identity of one input that belong to one group; of a film without faces none."""

    key: tuple[Value, ...]
    order: tuple[Any, ...]
    film: Film
    rows: Rows


def _stretches(table: Table, film: Film, by: tuple[str, ...]) -> Iterator[_Stretch]:
    """The identities of an input, each in the parts that the groups cut it into."""
    tracks = tracks_of(table.columns, film)
    if not tracks:
        nothing: dict[str, Value] = {"input": film.input, "face_id": -1}
        yield _stretch(by, nothing, film, np.empty(0, np.intp))
    for track in tracks:
        others = [name for name in by if name not in ("input", "face_id")]
        values = [tuple(table.columns[name][row] for name in others) for row in track.rows] if others else []
        for cut in dict.fromkeys(values) if others else [()]:
            rows = track.rows[[value == cut for value in values]] if others else track.rows
            known: dict[str, Value] = {"input": film.input, "face_id": track.face}
            known |= {name: _simple(value) for name, value in zip(others, cut, strict=True)}
            yield _stretch(by, known, film, rows)


def _stretch(by: tuple[str, ...], known: Mapping[str, Value], film: Film, rows: Rows) -> _Stretch:
    key = tuple(known.get(name) for name in by)
    return _Stretch(key, _order(key), film, rows)


def _simple(value: Any) -> Value:
    """A cell as a value of Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _order(key: tuple[Value, ...]) -> tuple[Any, ...]:
    """Numbers as numbers, texts as texts, what is missing last."""
    return tuple((value is None, isinstance(value, str), value if value is not None else 0) for value in key)


def _group(table: Table, by: tuple[str, ...], key: tuple[Value, ...], some: list[_Stretch], gap_s: float) -> Group:
    columns = table.columns
    rows = np.concatenate([one.rows for one in some])
    films = {id(one.film): one.film for one in some}.values()
    told = measured(columns)
    nothing = np.ones(len(rows), bool)
    for name in told:
        nothing &= np.isnan(columns[name][rows].astype(np.float64))
    seconds = sum(float(one.film.lasts[one.film.places(columns["frame"][one.rows])].sum()) for one in some)
    named = dict(zip(by, key, strict=True))
    if "face_id" in by and "face_name" in columns and "face_name" not in by:
        names = [name for name in dict.fromkeys(columns["face_name"][rows].tolist()) if name is not None]
        named["face_name"] = names[0] if names else None
    measures = {name: _measure(columns, name, rows, some, gap_s) for name in told} if len(rows) else {}
    return Group(
        named,
        sum(len(film.frames) for film in films),
        len(rows),
        _rounded(seconds),
        int(nothing.sum()),
        _mean(columns, "confidence", rows),
        _mean(columns, "quality", rows),
        measures,
    )


def _mean(columns: Mapping[str, Array], name: str, rows: Rows) -> float | None:
    if name not in columns:
        return None
    values = columns[name][rows].astype(np.float64)
    values = values[~np.isnan(values)]
    return _rounded(float(values.mean())) if len(values) else None


def _rounded(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def _measure(columns: Mapping[str, Array], name: str, rows: Rows, some: Iterable[_Stretch], gap_s: float) -> Measure:
    values = columns[name][rows].astype(np.float64)
    there = values[~np.isnan(values)]
    share = bouts = length = None
    if (active := active_rows(columns, name)) is not None:
        decided = active[rows]
        decided = decided[~np.isnan(decided)]
        share = _rounded(float(decided.mean())) if len(decided) else None
        found = [bout for one in some for bout in _bouts(columns, one, active, gap_s)]
        bouts = len(found)
        timed = all(np.isfinite(one.film.times).all() for one in some)
        length = _rounded(float(np.mean([end - begin for begin, end in found]))) if found and timed else None
    mean = _rounded(float(there.mean())) if len(there) else None
    sd = _rounded(float(there.std(ddof=1))) if len(there) > 1 else None
    return Measure(_kind(columns, name), mean, sd, share, bouts, length, len(there), len(values) - len(there))


def _bouts(columns: Mapping[str, Array], one: _Stretch, active: Float, gap_s: float) -> list[tuple[float, float]]:
    return bouts_of(one.film, columns["frame"][one.rows], active[one.rows], gap_s)


def active_rows(columns: Mapping[str, Array], name: str) -> Float | None:
    """Whether a unit is active or an expression the most probable, 1 or 0 a row, NaN where nothing is told."""
    if f"{name}_c" in columns:
        return columns[f"{name}_c"].astype(np.float64)
    if name in expressions(columns):
        told = columns["expression"]
        return np.where(told == None, np.nan, (told == name).astype(np.float64))  # noqa: E711 (each element)
    return None


def _kind(columns: Mapping[str, Array], name: str) -> str:
    if name in action_units(columns):
        return "action unit"
    if name.endswith("_i"):
        return "intensity"
    return "expression" if name in expressions(columns) else "dimension"
