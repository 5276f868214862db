"""Which labels of a face are shown where there is no room for all: the strongest of the last second, without haste."""

from __future__ import annotations

import math

import numpy as np

from affectkit.types import Array

SETTLES_S = 1.0
"""Time constant of the mean that decides."""

STAYS = 0.1
"""By how much another label has to be stronger than one that is shown, or rows would change places all the time."""

MOST_FACES = 256
"""Remembered at once; those that were not seen for the longest time are forgotten."""


class Strongest:
    """Remembers how strong each label of each face has been."""

    def __init__(self) -> None:
        self._faces: dict[tuple[int, str], tuple[float, Array, frozenset[int]]] = {}

    def choose(self, track_id: int, what: str, scores: Array, count: int, time_s: float) -> list[int]:
        """The places of the strongest labels, in their order.

        Args:
            what: of which labels, as each face has several kinds.
            scores: (N,) how strong each is in this frame; NaN of what cannot be seen, which stays as strong as it was.
            count: how many there is room for.
        """
        if count >= len(scores):
            return list(range(len(scores)))
        given = np.asarray(scores, np.float64)
        before = self._faces.pop((track_id, what), None)
        if before is None:
            mean, shown = np.nan_to_num(given, nan=-1.0), frozenset[int]()
        else:
            then_s, mean, shown = before
            share = 1 - math.exp(-max(0.0, time_s - then_s) / SETTLES_S)
            mean = np.where(np.isnan(given), mean, mean + share * (given - mean))
        ahead = mean + STAYS * np.isin(np.arange(len(mean)), sorted(shown))
        chosen = np.sort(np.argsort(-ahead, kind="stable")[:count]).tolist()
        self._faces[track_id, what] = time_s, mean, frozenset(chosen)
        if len(self._faces) > MOST_FACES:
            self._faces.pop(next(iter(self._faces)))
        return [int(place) for place in chosen]
