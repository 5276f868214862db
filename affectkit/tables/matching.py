"""The same person in two tables, by what the faces look like: a proposal with a score, never a certainty.

A face is described by the directions of its edges in a grid over the aligned crop (a histogram of oriented gradients),
averaged over some of its clearest moments. That needs no trained weights, and is far from a face recognition network:
``benchmarks/match.py`` measures how far (docs/how-to/match.md has its numbers). Within one recording day, light, camera
and hair are the same and it tells people apart; across occasions it does not, so that pairs under :data:`SURE` are only
shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from affectkit.align import crop_face
from affectkit.errors import SourceError
from affectkit.faces.base import DetectsFaces, SettlesPoints
from affectkit.faces.opening import open_detector
from affectkit.picture import RgbPicture
from affectkit.spec import InputSpec
from affectkit.tables.portraits import best_row, frames_at, located
from affectkit.tables.tracks import Film, Track, films_of, tracks_of
from affectkit.types import Detection, Float32, UInt8

if TYPE_CHECKING:
    from affectkit.tables.table import Table

SURE = 0.7
"""Score from which a pair counts as the same person."""

DOUBTFUL = 0.3
"""Score from which a pair is worth a look: two of a hundred pairs of two people have it."""

MOMENTS = 9
"""Pictures of an identity that are looked at, spread over the time that it is seen."""

CROP = InputSpec(96, 1, "tight")
CELLS, DIRECTIONS = 8, 8
_COMMON, _SPREAD = 0.714, 0.286
"""Mean cosine of the descriptors of two people, measured, and what is left to 1: scores are 0 and 1 there."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two identities that may be one person."""

    face: int
    """Of the one table."""
    other: int
    """Of the other one."""
    score: float
    """About 0 for two people, 1 for one picture and itself."""

    @property
    def sure(self) -> bool:
        """Whether it is taken as the same person."""
        return self.score >= SURE


def described(image: UInt8, landmarks: Float32) -> Float32:
    """(CELLS * CELLS * DIRECTIONS,) of length 1: how strong edges of each direction are in each part of the face.

    Args:
        image: RGB (H, W, 3).
        landmarks: (5, 2) px.
    """
    grey = crop_face(image, landmarks, CROP)[:, :, 0]
    smooth = cv2.GaussianBlur(grey, (0, 0), 1).astype(np.float32)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    direction = (np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi) * DIRECTIONS).astype(np.int64) % DIRECTIONS
    cell = np.arange(CROP.size) * CELLS // CROP.size
    place = (cell[:, None] * CELLS + cell[None, :]) * DIRECTIONS + direction
    summed = np.bincount(place.ravel(), strength.ravel(), CELLS * CELLS * DIRECTIONS).reshape(-1, DIRECTIONS)
    evened = summed / (np.linalg.norm(summed, axis=1, keepdims=True) + 20)  # light differs from cell to cell
    return _unit(np.sqrt(evened).ravel().astype(np.float32))


def score_of(one: Float32, other: Float32) -> float:
    """How alike two descriptors are: about 0 for two people, 1 for the same picture."""
    return (float(one @ other) - _COMMON) / _SPREAD


def matched(
    table: Table,
    other: Table,
    *,
    input: str | None = None,
    folders: Sequence[Path] = (),
    least: float = DOUBTFUL,
) -> list[Pair]:
    """Which identities of two tables look like the same person, one to one, the likeliest first.

    Args:
        table: its inputs and the other one's are read again.
        input: the one of ``table`` that is meant, where it has several.
        folders: where inputs may lie besides where their names say.
        least: score under which a pair is left out.

    Raises:
        SourceError: an input is not there any more, or cannot be read.
        ValueError: a table has several inputs, or no boxes.
    """
    mine, theirs = (people_of(t, of, folders) for t, of in ((table, input), (other, None)))
    pairs = [Pair(a, b, score_of(x, y)) for a, x in mine.items() for b, y in theirs.items()]
    found: list[Pair] = []
    for pair in sorted(pairs, key=lambda pair: -pair.score):
        taken = any(pair.face == one.face or pair.other == one.other for one in found)
        if pair.score >= least and not taken:
            found.append(pair)
    return found


def names_of(pairs: Sequence[Pair], other: Table, label: str) -> dict[int, str]:
    """What the faces of sure pairs are called: as in the other table, or by its ``label`` and their number there."""
    known: Mapping[int, str] = {}
    if "face_name" in other.columns:
        rows = zip(other.columns["face_id"].tolist(), other.columns["face_name"].tolist(), strict=True)
        known = {face: name for face, name in rows if name is not None}
    return {pair.face: known.get(pair.other, f"{label} {pair.other}") for pair in pairs if pair.sure}


def people_of(table: Table, of: str | None, folders: Sequence[Path]) -> dict[int, Float32]:
    """The descriptor of each identity of one input; errors as of :func:`matched`."""
    films = [film for film in films_of(table.columns) if of in (None, film.input)]
    if len(films) != 1:
        what = f"no input {of!r}" if of is not None else f"{len(films)} inputs, in each of which ids mean others"
        raise ValueError(f"match: a table has {what}; name one (input=), or give a table of one")
    if "FaceRectX" not in table.columns:
        raise ValueError("match: a table has no boxes of faces (FaceRectX ...), so they cannot be found again")
    (film,) = films
    path = located(film.input, *folders)
    if path is None:
        raise SourceError(f"{film.input}: is not there any more, and faces are compared by its pictures")
    detector = open_detector("mtcnn")
    try:
        return _described_in(table, film, path, detector)
    finally:
        detector.close()


def _described_in(table: Table, film: Film, path: Path, detector: DetectsFaces) -> dict[int, Float32]:
    """The mean descriptor of each identity."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for track in tracks_of(table.columns, film):
        for row in _moments(table, track):
            wanted.setdefault(int(table.columns["frame"][row]), []).append((track.face, row))
    seen: dict[int, list[Float32]] = {}
    for index, image in frames_at(path, sorted(wanted)):
        for face, row in wanted[index]:
            x, y, width, height = (float(table.columns[f"FaceRect{s}"][row]) for s in ("X", "Y", "Width", "Height"))
            found = [Detection((x, y, width, height))]
            if isinstance(detector, SettlesPoints):
                found = detector.settle(RgbPicture(image), found)
            seen.setdefault(face, []).append(described(image, found[0].landmarks))
    return {face: _unit(np.mean(parts, axis=0)) for face, parts in seen.items()}


def _moments(table: Table, track: Track) -> list[int]:
    """Rows of an identity, the best of each part of its time."""
    parts = np.array_split(track.rows, min(MOMENTS, len(track.rows)))
    return [best_row(table, part) for part in parts if len(part)]


def _unit(values: Float32) -> Float32:
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-9), np.float32)
