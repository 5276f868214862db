"""Bouts: stretches in which a unit is active, or an expression the most probable one."""

from __future__ import annotations

import numpy as np

from affectkit.tables.tracks import Film, Float
from affectkit.types import Array

GAP_S = 0.5
"""Frames in which nothing is told of it end a bout only if they last longer than this."""


def bouts_of(film: Film, frames: Array, active: Float, gap_s: float = GAP_S) -> list[tuple[float, float]]:
    """First and last moment of each bout, s; of an input without times numbers of frames.

    Args:
        frames: (F,) of a face, ascending.
        active: (F,) 1, 0, or NaN where nothing is told.
    """
    told = np.flatnonzero(~np.isnan(active))
    on = active[told] > 0
    if not on.any():
        return []
    places = film.places(frames[told])
    timed = bool(np.isfinite(film.times).all())
    begins = film.times[places] if timed else places.astype(np.float64)
    ends = begins + (film.lasts[places] if timed else 1.0)
    if not np.isfinite(ends).all():  # a single frame: nothing says how long it lasts
        ends = begins
    away = np.append(np.inf, begins[1:] - ends[:-1])
    apart = (away > gap_s + 1e-9) if timed else np.append(True, np.diff(places) > 1)
    first = np.flatnonzero(on & (apart | np.append(True, ~on[:-1])))
    last = np.flatnonzero(on & np.append(apart[1:] | ~on[1:], True))
    return [(float(begins[a]), float(ends[b])) for a, b in zip(first, last, strict=True)]
