"""A picture made of pieces, each of which is drawn only when it shows something else than before."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from affectkit.outputs.drawing import BACKGROUND, fill
from affectkit.types import UInt8

Rect = tuple[int, int, int, int]
"""Left, top, width and height, px."""

FEW = 6
"""Pieces that are told one by one; to look at more of them costs more than all that lies between."""


class Board:
    """RGB (H, W, 3) that remembers what each of its pieces shows."""

    def __init__(self, height: int, width: int) -> None:
        self.image: UInt8 = np.empty((height, width, 3), np.uint8)
        self._shown: dict[Rect, Hashable] = {}
        self._changed: set[Rect] = set()
        self._plan: Hashable = None
        self.arrange(())

    def arrange(self, plan: Hashable) -> None:
        """Begin with nothing where the pieces lie differently from now on, as ``plan`` tells."""
        if plan != self._plan:
            self._plan = plan
            self._shown.clear()
            fill(self.image, BACKGROUND)
            self._changed = {(0, 0, self.image.shape[1], self.image.shape[0])}

    def put(self, rect: Rect, shows: Hashable, draw: Callable[[UInt8], None]) -> None:
        """Draw a piece, unless it shows the same already.

        Args:
            shows: all that its look depends on.
            draw: is given its part of the picture, which is empty.
        """
        if self._shown.get(rect) == shows:
            return
        x, y, width, height = rect
        area = self.image[y : y + height, x : x + width]
        fill(area, BACKGROUND)
        draw(area)
        self._shown[rect] = shows
        self._changed.add(rect)

    def changed(self) -> list[Rect]:
        """What was drawn since this was last asked: piece by piece, or of many what they all lie in."""
        changed, self._changed = list(self._changed), set()
        if len(changed) <= FEW:
            return changed
        left, top = min(x for x, _, _, _ in changed), min(y for _, y, _, _ in changed)
        right, bottom = max(x + width for x, _, width, _ in changed), max(y + height for _, y, _, height in changed)
        return [(left, top, right - left, bottom - top)]
