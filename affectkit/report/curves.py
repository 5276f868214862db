"""What the page's script draws: curves of a clip, thinned so that every peak stays, as JSON."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from affectkit.report.material import MOST_FACES, Clip, Person
from affectkit.tables.colours import of_expressions, of_identity
from affectkit.tables.columns import action_units, expressions
from affectkit.tables.tracks import Float, Rows
from affectkit.types import AU_TITLES

BINS = 600
"""Of a longer curve: each becomes its lowest and its highest value."""

MOST_GAPS = 200


def curves_of(clip: Clip, key: str) -> dict[str, Any]:
    """Everything about a clip that the script needs."""
    x = clip.film.times if clip.timed else clip.film.frames.astype(np.float64)
    bins = _bins(len(x))
    return {
        "id": key,
        "timed": clip.timed,
        "x": _rounded(_ends(x, bins)),
        "range": _rounded(np.array([x[0], x[-1] + (np.nan_to_num(clip.film.lasts[-1]) if clip.timed else 1)])),
        "faces": [_face(clip, person, x, bins) for person in clip.people[:MOST_FACES]],
    }


def _face(clip: Clip, person: Person, x: Float, bins: Rows) -> dict[str, Any]:
    columns = clip.table.columns
    places = clip.film.places(columns["frame"][person.rows])

    def values(name: str) -> Float:
        whole = np.full(len(x), np.nan)
        whole[places] = columns[name][person.rows]
        return whole

    limits = clip.table.meta.get("au_thresholds")
    limits = limits if isinstance(limits, dict) else {}
    shown: list[str] = []
    idle: list[str] = []
    for unit in action_units(columns):
        one = person.group.measures.get(unit)
        (shown if one is not None and (one.bouts or one.share is None) else idle).append(unit)
    names = expressions(columns)
    colours = of_expressions(names)
    there = np.zeros(len(x), bool)
    there[places] = True
    return {
        "face": person.face,
        "name": person.name,
        "colour": of_identity(person.face),
        "units": [
            {
                "name": unit,
                "title": AU_TITLES.get(unit, ""),
                "limit": limits.get(unit) if isinstance(limits.get(unit), int | float) else None,
                "share": None if (one := person.group.measures.get(unit)) is None else one.share,
                "y": _rounded(_extremes(values(unit), bins)),
            }
            for unit in shown
        ],
        "idle": idle,
        "expressions": [
            {"name": name, "colour": colours[name], "y": _rounded(_means(values(name), bins))} for name in names
        ],
        "va": {n: _rounded(_means(values(n), bins)) for n in ("valence", "arousal") if n in columns},
        "quality": _rounded(_extremes(values("quality"), bins)) if "quality" in columns else None,
        "gaps": _gaps(x, there, clip),
    }


def _bins(count: int) -> Rows:
    """First place of each bin, and behind the last one the number of all."""
    return np.linspace(0, count, min(count, BINS) + 1).astype(np.intp)


def _ends(x: Float, bins: Rows) -> Float:
    """The x of every point: of bins of a single frame its own, of others two."""
    if len(bins) == len(x) + 1:
        return x
    starts = x[bins[:-1]]
    middles = x[(bins[:-1] + bins[1:] - 1) // 2 + ((bins[1:] - bins[:-1]) > 1)]
    return np.stack([starts, middles], axis=1).reshape(-1)


def _extremes(values: Float, bins: Rows) -> Float:
    """The lowest and the highest value of each bin, in the order in which they come."""
    if len(bins) == len(values) + 1:
        return values
    found = []
    for begin, end in pairwise(bins.tolist()):
        some = values[begin:end]
        if np.isnan(some).all():
            found += [math.nan, math.nan]
            continue
        low, high = int(np.nanargmin(some)), int(np.nanargmax(some))
        found += [some[low], some[high]] if low <= high else [some[high], some[low]]
    return np.array(found)


def _means(values: Float, bins: Rows) -> Float:
    """The mean of each bin, for both of its points."""
    if len(bins) == len(values) + 1:
        return values
    sums = np.add.reduceat(np.nan_to_num(values), bins[:-1])
    counts = np.add.reduceat((~np.isnan(values)).astype(np.float64), bins[:-1])
    means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return np.repeat(means, 2)


def _rounded(values: Float) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 3) for value in values.tolist()]


def _gaps(x: Float, there: np.ndarray[Any, Any], clip: Clip) -> list[list[float]]:
    """Stretches in which a face is not seen, the longest ones, in order."""
    change = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]]).astype(np.int8)))
    pairs = change.reshape(-1, 2)
    end = float(x[-1] + (np.nan_to_num(clip.film.lasts[-1]) if clip.timed else 1))
    found = [[float(x[begin]), float(x[stop]) if stop < len(x) else end] for begin, stop in pairs]
    longest = sorted(found, key=lambda one: one[0] - one[1])[:MOST_GAPS]
    return [[round(side, 3) for side in one] for one in sorted(longest)]
