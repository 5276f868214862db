"""Thumbnails of the identities of a table, cut out of its inputs, where these are still there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from affectkit.errors import AffectKitError
from affectkit.tables.tracks import Film, Track, tracks_of
from affectkit.types import Array, UInt8

if TYPE_CHECKING:
    from affectkit.tables.table import Table

SIZE_PX = 128

MOST = 24
"""Identities of an input that get one: those seen most."""

FRAMES_READ = 30_000
"""Of an input: the first ones, some minutes' work at most. Who comes later has no thumbnail."""


def located(name: str, *folders: str | os.PathLike[str]) -> Path | None:
    """The file of an input: where its name says, or beside the table; None where it is not there."""
    path = Path(name)
    for found in (
        path,
        *(Path(folder) / path for folder in folders),
        *(Path(folder) / path.name for folder in folders),
    ):
        try:
            if found.is_file():
                return found
        except (OSError, ValueError):
            continue
    return None


def portraits(table: Table, film: Film, path: Path, *, size_px: int = SIZE_PX) -> dict[int, UInt8]:
    """RGB thumbnails (S, S, 3) by identity, each from the frame that shows it best.

    Nothing is raised: an input that cannot be read any more has fewer, or none.
    """
    wanted = {}
    for track in _most_seen(table, film):
        rows = track.rows[table.columns["frame"][track.rows] < FRAMES_READ]
        if len(rows):
            wanted[track.face] = best_row(table, rows)
    found: dict[int, UInt8] = {}
    by_frame: dict[int, list[tuple[int, int]]] = {}
    for face, row in wanted.items():
        by_frame.setdefault(int(table.columns["frame"][row]), []).append((face, row))
    try:
        for index, image in frames_at(path, sorted(by_frame)):
            for face, row in by_frame[index]:
                found[face] = _cut(image, [float(table.columns[f"FaceRect{side}"][row]) for side in _SIDES], size_px)
    except (AffectKitError, OSError, ValueError):  # what was found until then is shown
        pass
    return found


_SIDES = ("X", "Y", "Width", "Height")


def _most_seen(table: Table, film: Film) -> list[Track]:
    tracks = tracks_of(table.columns, film)
    return sorted(tracks, key=lambda track: -len(track.rows))[:MOST]


def best_row(table: Table, rows: Array) -> int:
    """The row of a face that is sure, large and clear."""
    worth = np.ones(len(rows))
    for name in ("confidence", "quality"):
        if name in table.columns:
            worth *= np.nan_to_num(table.columns[name][rows].astype(np.float64), nan=0.1) + 1e-3
    if "FaceRectWidth" in table.columns:
        worth *= np.sqrt(np.nan_to_num(table.columns["FaceRectWidth"][rows].astype(np.float64), nan=1.0))
    return int(rows[int(np.argmax(worth))])


def frames_at(path: Path, wanted: list[int]) -> Iterable[tuple[int, UInt8]]:
    from affectkit import open_source

    opened = open_source(path)
    if opened.info.frames == 1 and len(wanted) == 1:  # a picture, which may have been the tenth of its folder
        yield wanted[0], next(iter(opened.frames())).image
        return
    following = iter(wanted)
    index = next(following, None)
    frames = opened.frames()
    try:
        for frame in frames:
            if index is None:
                return
            if frame.index == index:
                yield index, frame.image
                index = next(following, None)
    finally:
        close = getattr(frames, "close", None)
        if close is not None:
            close()


def _cut(image: UInt8, box: list[float], size_px: int) -> UInt8:
    """A square around the face, 1.4 times as wide as its box."""
    import cv2

    x, y, width, height = box
    half = max(1.0, 0.7 * max(width, height))
    scale = size_px / (2 * half)
    matrix = np.array([[scale, 0, -(x + width / 2 - half) * scale], [0, scale, -(y + height / 2 - half) * scale]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(image, matrix, (size_px, size_px), flags=flags, borderValue=(24, 24, 24)), np.uint8
    )


def jpeg(image: UInt8) -> bytes:
    """The bytes of a JPEG file."""
    import cv2

    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1])
