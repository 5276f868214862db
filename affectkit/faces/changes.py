"""Where a picture has changed since it was last searched for faces: a new face can appear nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from affectkit.types import Array, Picture, UInt8

Box = tuple[float, float, float, float]
Region = tuple[int, int, int, int]
"""Left, top, right, bottom in px; right and bottom do not belong to it."""

COLUMNS, ROWS = 48, 27
"""Cells that brightness is averaged over: 13 px wide in a picture of 640 px."""

NOTICED = 5
"""Grey levels by which a cell's mean has to change: more than noise and key frames do, less than who comes in."""

KNOWN_MARGIN = 0.25
"""Of a known face's box, on every side, whatever changes is taken for that person moving."""


class ChangeDetector:
    """Brightness of every cell when it was last searched."""

    def __init__(self) -> None:
        self._before: UInt8 | None = None

    def note(self, picture: Picture) -> None:
        """The whole picture has been searched."""
        self._before = picture.brightness(COLUMNS, ROWS)

    def changed(self, picture: Picture, known: Iterable[Box]) -> Region | None:
        """What has to be searched now, and counts as searched from here on; None: nothing.

        Args:
            known: boxes of the faces that are followed; no new ones are looked for there.
        """
        now = picture.brightness(COLUMNS, ROWS)
        height, width = picture.shape
        if self._before is None:
            self._before = now
            return 0, 0, width, height
        # Of cells that are not searched the old brightness is kept: what changes little by little is noticed at last.
        before = self._before.copy()
        cells = np.abs(now.astype(np.int16) - before) >= NOTICED
        for x, y, w, h in known:
            left, right = x - KNOWN_MARGIN * w, x + (1 + KNOWN_MARGIN) * w
            top, bottom = y - KNOWN_MARGIN * h, y + (1 + KNOWN_MARGIN) * h
            across = slice(max(0, int(left / width * COLUMNS)), max(0, math.ceil(right / width * COLUMNS)))
            down = slice(max(0, int(top / height * ROWS)), max(0, math.ceil(bottom / height * ROWS)))
            cells[down, across] = False
            before[down, across] = now[down, across]
        self._before = before
        rows, columns = np.flatnonzero(cells.any(1)), np.flatnonzero(cells.any(0))
        if not len(rows):
            return None
        searched = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        before[searched] = now[searched]
        # A cell more on every side, and half of it: a face's edges may not have changed much.
        row_px, column_px = height / ROWS, width / COLUMNS
        return (
            max(0, int((columns[0] - 1.5) * column_px)),
            max(0, int((rows[0] - 1.5) * row_px)),
            min(width, int((columns[-1] + 2.5) * column_px) + 1),
            min(height, int((rows[-1] + 2.5) * row_px) + 1),
        )

    def state(self) -> Array | None:
        """To resume from."""
        return self._before

    def restore(self, state: Array | None) -> None:
        """Go on from :meth:`state`."""
        self._before = None if state is None else np.asarray(state, np.uint8)
