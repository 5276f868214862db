"""Leaving out of a table what should not count, and saying who is who. Each returns a new table, which notes it.

A row of a face that is left out goes; a frame that has no face then keeps one empty row, as frames without a face have.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.tables.columns import as_integers, is_integer, values_of_faces
from affectkit.tables.tracks import films_of, seconds_of, tracks_of
from affectkit.types import Array

if TYPE_CHECKING:
    from affectkit.tables.table import Table


def filtered(
    table: Table,
    *,
    min_confidence: float | None = None,
    min_track_s: float | None = None,
    min_quality: float | None = None,
) -> Table:
    """See :meth:`affectkit.Table.filter`."""
    for name, value, most in (
        ("min_confidence", min_confidence, 1.0),
        ("min_quality", min_quality, 1.0),
        ("min_track_s", min_track_s, math.inf),
    ):
        if value is not None and not 0 <= value <= most:
            raise ValueError(f"{name} must be 0 {'to 1' if most == 1 else 'or more seconds'}, got {value}")
    found = table
    if min_confidence is not None:
        _needs(table, "confidence", "min_confidence")
        low = found.columns["confidence"] < min_confidence
        found = without_rows(found, low, {"min_confidence": min_confidence})
    if min_track_s is not None:
        found = without_rows(found, _short(found, min_track_s), {"min_track_s": min_track_s})
    if min_quality is not None:
        _needs(table, "quality", "min_quality")
        found = _emptied(found, found.columns["quality"] < min_quality, {"min_quality": min_quality})
    return found


def _needs(table: Table, column: str, what: str) -> None:
    if column not in table.columns:
        raise ValueError(f"{what}: the table has no column {column!r}; its model does not tell")


def _short(table: Table, least_s: float) -> Array:
    """Which rows are of identities that are seen for less."""
    short = np.zeros(len(table), bool)
    for film in films_of(table.columns):
        if not np.isfinite(film.lasts).any():
            raise ValueError(f"min_track_s: {film.input} has no times, so it is not known how long a face is seen")
        for track in tracks_of(table.columns, film):
            if seconds_of(table.columns, film, track) < least_s - 1e-9:
                short[track.rows] = True
    return short


def without_rows(table: Table, which: Array, why: Mapping[str, Any]) -> Table:
    """The table without these rows of faces; ``why`` is kept in its meta data with what has gone."""
    which = np.asarray(which, bool) & (table.columns["face_id"] >= 0)
    if not which.any():
        return noted(table, {**why, "rows": 0, "faces": []})
    keys = [table.columns["input"].astype(str), table.columns["frame"]]
    _, frame = np.unique(np.stack([np.unique(keys[0], return_inverse=True)[1], keys[1]]), axis=1, return_inverse=True)
    frame = frame.reshape(-1)
    left = np.zeros(int(frame.max()) + 1, np.int64)
    np.add.at(left, frame[~which], 1)
    emptied = np.flatnonzero(which & (left[frame] == 0))
    stays_empty = emptied[np.unique(frame[emptied], return_index=True)[1]]  # one row of each frame
    keep = ~which
    keep[stays_empty] = True
    columns = {}
    for name, values in table.columns.items():
        if name in ("input", "frame", "timestamp"):
            columns[name] = values[keep]
        else:
            columns[name] = _blank(name, values, stays_empty)[keep]
    gone = _faces(table.columns, which) - _faces(columns, columns["face_id"] >= 0)
    note = {**why, "rows": int(which.sum()), "faces": [list(one) for one in sorted(gone)]}
    return noted(dataclasses.replace(table, columns=columns), note)


def _faces(columns: Mapping[str, Array], which: Array) -> set[tuple[str, int]]:
    pairs = zip(columns["input"][which].tolist(), columns["face_id"][which].tolist(), strict=True)
    return {(str(name), int(face)) for name, face in pairs}


def _blank(name: str, values: Array, rows: Array) -> Array:
    """A column with these rows as those of frames without a face."""
    if name == "face_id" or name == "success":
        changed = values.copy()
        changed[rows] = -1 if name == "face_id" else 0
        return changed
    changed = values.copy() if values.dtype == object else values.astype(np.float64)
    changed[rows] = None if values.dtype == object else np.nan
    return as_integers(changed) if is_integer(name) else changed


def _emptied(table: Table, which: Array, why: Mapping[str, Any]) -> Table:
    """The table with nothing said of the faces of these rows, as ``--min-quality`` does."""
    names = set(values_of_faces(table.columns))
    rows = np.flatnonzero(np.asarray(which, bool) & (table.columns["face_id"] >= 0))
    columns = {name: _blank(name, v, rows) if name in names else v for name, v in table.columns.items()}
    return noted(dataclasses.replace(table, columns=columns), {**why, "rows": len(rows), "faces": []})


def noted(table: Table, step: Mapping[str, Any]) -> Table:
    """The table with one more step in what its meta data say of changes, the counts made true."""
    meta = dict(table.meta)
    before = meta.get("changed", [])
    meta["changed"] = [*(before if isinstance(before, list) else []), dict(step)]
    changed = dataclasses.replace(table, meta=meta)
    frames = meta.get("frames")
    if isinstance(frames, Mapping):
        meta["frames"] = {**frames, "without_face": int((changed.columns["face_id"] < 0).sum())}
    if "faces" in meta:
        meta["faces"] = len(_faces(changed.columns, changed.columns["face_id"] >= 0))
    if "rows" in meta:
        meta["rows"] = len(changed)
    return changed


def _inputs(table: Table, of: str | None, what: str) -> Array:
    """Which rows are of the input that is meant."""
    names = table.columns["input"].astype(str)
    all_names = list(dict.fromkeys(names.tolist()))
    if of is None:
        if len(all_names) > 1:
            raise ValueError(
                f"{what}: the table has {len(all_names)} inputs, in each of which ids mean others; name one (input=)"
            )
        return np.ones(len(table), bool)
    if of not in all_names:
        raise ValueError(f"{what}: the table has no input {of!r}; it has {', '.join(all_names[:5])}")
    return np.asarray(names == of)


def _known(table: Table, of: Array, faces: Iterable[int], what: str) -> None:
    there = sorted({int(face) for face in np.unique(table.columns["face_id"][of]) if face >= 0})
    for face in faces:
        if face not in there:
            known = ", ".join(map(str, there[:20])) or "none"
            raise ValueError(f"{what}: there is no face {face}; the table has {known}")


def merged(table: Table, same: Mapping[int, int], *, input: str | None = None) -> Table:
    """See :meth:`affectkit.Table.merge`."""
    of = _inputs(table, input, "merge")
    _known(table, of, [*same, *same.values()], "merge")
    goal: dict[int, int] = {}
    for face in same:
        way = [face]
        while way[-1] in same:
            if same[way[-1]] in way:
                raise ValueError(f"merge: {way[-1]} = {same[way[-1]]} leads in a circle")
            way.append(same[way[-1]])
        goal[face] = way[-1]
    faces = table.columns["face_id"].copy()
    for face, into in goal.items():
        faces[of & (table.columns["face_id"] == face)] = into
    keys = np.stack([table.columns["frame"][of], faces[of]], axis=1)
    keys = keys[keys[:, 1] >= 0]
    unique, counts = np.unique(keys, axis=0, return_counts=True)
    if (counts > 1).any():
        frame, into = unique[counts > 1][0]
        both = ", ".join(str(face) for face, to in sorted(goal.items()) if to == into)
        raise ValueError(
            f"merge: {both} and {into} are seen together in {int((counts > 1).sum())} frames, first in frame {frame}: "
            "they are not the same person"
        )
    changed = dataclasses.replace(table, columns={**table.columns, "face_id": faces})
    return noted(_names_spread(changed, of), {"merge": {str(face): into for face, into in goal.items()}})


def _names_spread(table: Table, of: Array) -> Table:
    """The name of one part of an identity holds for all of it."""
    if "face_name" not in table.columns:
        return table
    names = table.columns["face_name"].copy()
    for face in np.unique(table.columns["face_id"][of]):
        rows = np.flatnonzero(of & (table.columns["face_id"] == face))
        known = [name for name in dict.fromkeys(names[rows].tolist()) if name is not None]
        if face >= 0 and known:
            names[rows] = known[0]
    return dataclasses.replace(table, columns={**table.columns, "face_name": names})


def dropped(table: Table, faces: Iterable[int], *, input: str | None = None) -> Table:
    """See :meth:`affectkit.Table.drop`."""
    of, faces = _inputs(table, input, "drop"), list(faces)
    _known(table, of, faces, "drop")
    return without_rows(table, of & np.isin(table.columns["face_id"], faces), {"drop": faces})


def named(table: Table, names: Mapping[int, str], *, input: str | None = None) -> Table:
    """See :meth:`affectkit.Table.name`."""
    of = _inputs(table, input, "name")
    _known(table, of, names, "name")
    column = table.columns.get("face_name")
    values = np.full(len(table), None, dtype=object) if column is None else column.copy()
    for face, name in names.items():
        if not name.strip() or not name.isprintable():
            raise ValueError(f"name: {name!r} is no name for face {face}")
        values[of & (table.columns["face_id"] == face)] = name
    columns: dict[str, Array] = {}
    for key, column in table.columns.items():
        if key != "face_name":
            columns[key] = column
        if key == "face_id":
            columns["face_name"] = values
    return noted(dataclasses.replace(table, columns=columns), {"name": {str(k): v for k, v in names.items()}})
