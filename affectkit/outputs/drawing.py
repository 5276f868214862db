"""Colours, numbers and bars of annotated videos."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from affectkit.outputs.lettering import Colour, put_text
from affectkit.types import UInt8

BACKGROUND: Colour = (24, 26, 30)
TEXT: Colour = (232, 232, 232)
DIM: Colour = (158, 164, 172)
TRACK: Colour = (52, 56, 64)
ACTIVE: Colour = (255, 255, 255)
INACTIVE: Colour = (120, 130, 145)

VALENCE: Colour = (86, 180, 233)
AROUSAL: Colour = (213, 94, 0)
"""Sky blue and vermilion of Okabe & Ito (2008): the two that stay farthest apart for the colour-blind."""

IDENTITIES: tuple[Colour, ...] = (
    (240, 228, 66),
    (204, 121, 167),
    (0, 158, 115),
    (130, 120, 255),
    (255, 190, 215),
    (150, 215, 90),
    (150, 240, 205),
    (190, 150, 110),
)
"""By track id, in turn: Okabe & Ito's yellow, purple and green first. None is like those of valence and
arousal, for the colour-blind neither; ``tests/test_overlay.py`` works that out."""


def of_identity(track_id: int) -> Colour:
    """The colour of a face."""
    return IDENTITIES[track_id % len(IDENTITIES)]


def fill(area: UInt8, colour: Colour) -> None:
    """All of an area RGB (h, w, 3), in a tenth of the time that NumPy takes to repeat three numbers."""
    width = area.shape[1]
    area[:] = _row(colour, width + -width % 256)[:, :width]


@lru_cache(maxsize=256)
def _row(colour: Colour, width: int) -> UInt8:
    """One row (1, width, 3); not to be written to."""
    return np.full((1, width, 3), colour, np.uint8)


def number(value: float, *, signed: bool = False) -> str:
    """A value with two decimals, so that columns stay in line; but ``0`` and ``1``, and ``-`` of NaN.

    Args:
        signed: whether what is over 0 has a ``+``.
    """
    if math.isnan(value):
        return "-"
    text = f"{value:.2f}"
    text = {"0.00": "0", "-0.00": "0", "1.00": "1", "-1.00": "-1"}.get(text, text)
    return f"+{text}" if signed and value > 0 and text != "0" else text


def draw_bar(
    area: UInt8, box: tuple[int, int, int, int], value: float, colour: Colour, *, mark: float | None = None
) -> None:
    """A value of 0..1 in a box of x, y, width, height, px, with a line at ``mark``.

    The line stands out over and under the bar, and is dark where it crosses it.
    """
    x, y, width, height = box
    fill(area[y : y + height, x : x + width], TRACK)
    long = x + filled(width, value)
    fill(area[y : y + height, x:long], colour)
    if mark is not None:
        at, thick = x + min(width - 1, round(width * mark)), max(1, height // 6)
        over = max(2, height // 4)
        fill(area[max(0, y - over) : y + height + over, at : at + thick], TEXT)
        if at + thick <= long:
            fill(area[y : y + height, at : at + thick], BACKGROUND)


def filled(width: int, value: float) -> int:
    """How many of a bar's pixels a value of 0..1 fills; at least one of what is not told as 0."""
    return 0 if value < 0.005 else max(1, round(width * min(value, 1.0)))


def draw_hidden_bar(area: UInt8, box: tuple[int, int, int, int]) -> None:
    """In place of the bar of what cannot be seen: a dashed line, no value."""
    x, y, width, height = box
    dash, thick = max(3, height // 2), max(1, height // 6)
    top = y + (height - thick) // 2
    for start in range(x, x + width, 2 * dash):
        fill(area[top : top + thick, start : min(start + dash, x + width)], DIM)


def write(area: UInt8, text: str, x: float, y: float, size: int, colour: Colour, *, right: bool = False) -> None:
    """One line of text on the background of a panel; see :func:`affectkit.outputs.lettering.put_text`."""
    put_text(area, text, x, y, size, colour, BACKGROUND, right=right)
