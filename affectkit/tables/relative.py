"""Action units of a table told relative to each person's neutral, as ``affectkit predict --baseline`` does."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.baseline.neutral import TABLES, Baselines, Float, Rule, Seen, parse_rule
from affectkit.tables.columns import action_units, as_integers, labels_of
from affectkit.tables.filtering import noted
from affectkit.tables.tracks import Film, films_of
from affectkit.types import Array

if TYPE_CHECKING:
    from affectkit.baseline.from_file import Finder
    from affectkit.tables.table import Table


def relative_to(table: Table, baseline: str | os.PathLike[str] | Sequence[float]) -> Table:
    """See :meth:`affectkit.Table.baseline`."""
    units = action_units(table.columns)
    if not units:
        raise ValueError("baseline: the table has no action units")
    if "baseline" in table.columns:
        raise ValueError("baseline: the table is told relative to a baseline already; begin with the raw one")
    limits = thresholds(table.meta, units)
    rule = parse_rule(baseline)
    names = [*units, *(name for unit in units if (name := f"{unit}_i") in table.columns)]
    values = np.stack([table.columns[name].astype(np.float64) for name in names], axis=1)
    told, marks = values.copy(), np.full(len(table), np.nan)
    marks[table.columns["face_id"] >= 0] = 0
    decisions = {f"{u}_c": table.columns[f"{u}_c"].astype(np.float64) for u in units if f"{u}_c" in table.columns}
    described = []
    for film in films_of(table.columns):
        found = _found(_finder(table, rule), table.columns, film, values)
        described.append({"input": film.input, **found.described(units)})
        for face, neutral in found.found.items():
            rows = film.rows[table.columns["face_id"][film.rows] == face]
            told[rows], marks[rows] = np.round(neutral.relative(values[rows]), 6), 1
            for k, unit in enumerate(units):
                if f"{unit}_c" in decisions and not np.isnan(neutral.values[k]):
                    new = told[rows, k]
                    decisions[f"{unit}_c"][rows] = np.where(np.isnan(new), np.nan, new >= limits[k])
    whole = {name: as_integers(values) for name, values in decisions.items()}
    changed = _corrected(table, names, told, marks, whole)
    meta = {**changed.meta, "baseline": described[0] if len(described) == 1 else described}
    return noted(dataclasses.replace(changed, meta=meta), {"baseline": str(rule)})


def thresholds(meta: Mapping[str, Any], units: Sequence[str]) -> list[float]:
    """At which probability each unit counts as active.

    Raises:
        ValueError: the meta data do not say.
    """
    known = meta.get("au_thresholds")
    if not isinstance(known, Mapping) or not all(isinstance(known.get(unit), int | float) for unit in units):
        raise ValueError(
            "the thresholds of the action units are not known: the file TABLE.meta.json is missing, or of another table"
        )
    return [float(known[unit]) for unit in units]


def _finder(table: Table, rule: Rule) -> Finder:
    from affectkit.baseline.calmest import CalmestSeconds
    from affectkit.baseline.finders import FromFile, FromSeconds
    from affectkit.baseline.from_file import _of_table

    if rule.kind == "auto":
        return CalmestSeconds(action_units(table.columns))
    if rule.kind == "seconds":
        return FromSeconds(rule)
    if Path(rule.file).suffix.lower() not in TABLES:
        raise ValueError(
            f"baseline {rule.file}: a table knows no network to look at it with; give a table of it, or predict with "
            "baseline="
        )
    return FromFile(rule, _of_table(Path(rule.file), labels_of(table.columns)))


def _found(finder: Finder, columns: Mapping[str, Array], film: Film, values: Float) -> Baselines:
    for seen in _seen(columns, film, values):
        finder.add(seen)
    return finder.result()


def _seen(columns: Mapping[str, Array], film: Film, values: Float) -> Iterator[Seen]:
    """Rows with a face, in the order of frames and ids. Cuts are not in a table."""
    rows = film.rows[columns["face_id"][film.rows] >= 0]
    for row in rows[np.lexsort((columns["face_id"][rows], columns["frame"][rows]))]:
        neutral, quality = (_value(columns, name, row) for name in ("neutral", "quality"))
        at = int(columns["frame"][row]), _value(columns, "timestamp", row)
        yield Seen(*at, int(columns["face_id"][row]), values[row], False, neutral, quality)


def _value(columns: Mapping[str, Array], name: str, row: int) -> float | None:
    found = float(columns[name][row]) if name in columns else float("nan")
    return None if np.isnan(found) else found


def _corrected(table: Table, names: Sequence[str], told: Float, marks: Float, decisions: Mapping[str, Array]) -> Table:
    """The columns of :func:`affectkit.baseline.corrected.with_raw`."""
    columns = {name: decisions.get(name, values) for name, values in table.columns.items()}
    columns |= {name: told[:, k] for k, name in enumerate(names)}
    columns["baseline"] = as_integers(marks)
    columns |= {f"{name}_raw": table.columns[name] for name in names}
    return dataclasses.replace(table, columns=columns)
