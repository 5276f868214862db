"""Which rows of a table are whose, in the order of time, and how long each of them lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affectkit.types import Array

Rows = npt.NDArray[np.intp]
Float = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One identity of one input."""

    input: str
    face: int
    rows: Rows
    """(F,) of the table, by frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """The frames of one input."""

    input: str
    rows: Rows
    """All rows of it."""
    frames: Array
    """(N,) numbers of its frames, ascending."""
    times: Float
    """(N,) s; NaN where the input has no times."""
    lasts: Float
    """(N,) s to the next frame of the table, of the last one the median; NaN without times."""

    def places(self, frames: Array) -> Rows:
        """(F,) places of frames among all."""
        return np.searchsorted(self.frames, frames)


def films_of(columns: Mapping[str, Array]) -> Iterator[Film]:
    """Every input, in the order in which they first occur."""
    for name, rows in _by_input(columns):
        frames, first = np.unique(columns["frame"][rows], return_index=True)
        times = columns["timestamp"][rows][first].astype(np.float64)
        steps = np.diff(times)
        usual = float(np.median(steps)) if len(steps) and np.isfinite(steps).any() else float("nan")
        lasts = np.append(steps, usual)
        lasts = np.where(lasts > 0, lasts, usual)  # times that stand still or run backwards
        yield Film(name, rows, frames, times, lasts)


def _by_input(columns: Mapping[str, Array]) -> Iterator[tuple[str, Rows]]:
    names, first, inverse = np.unique(columns["input"].astype(str), return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    cuts = np.searchsorted(inverse[order], np.arange(len(names) + 1))
    for k in np.argsort(first):
        yield str(names[k]), order[cuts[k] : cuts[k + 1]]


def tracks_of(columns: Mapping[str, Array], film: Film) -> list[Track]:
    """Every identity of an input, by number; rows without a face belong to none."""
    faces = columns["face_id"][film.rows]
    found = []
    for face in np.unique(faces[faces >= 0]):
        rows = film.rows[faces == face]
        found.append(Track(film.input, int(face), rows[np.argsort(columns["frame"][rows], kind="stable")]))
    return found


def seconds_of(columns: Mapping[str, Array], film: Film, track: Track) -> float:
    """How long an identity is seen, s; NaN of an input without times."""
    return float(film.lasts[film.places(columns["frame"][track.rows])].sum())
