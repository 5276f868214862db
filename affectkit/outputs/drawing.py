"""Colours, texts and bars, drawn into pictures with OpenCV."""

from __future__ import annotations

from functools import lru_cache

import cv2

from affectkit.types import UInt8

Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 30)
TEXT: Colour = (232, 232, 232)
DIM: Colour = (140, 146, 154)
TRACK: Colour = (52, 56, 64)
ACTIVE: Colour = (255, 176, 59)
INACTIVE: Colour = (120, 130, 145)
IDENTITIES: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (120, 170, 255),
    (170, 220, 120),
)
"""By track id, in turn; the palette of Okabe & Ito, which colour-blind people can tell apart."""

FONT = cv2.FONT_HERSHEY_SIMPLEX


def px(x: float, y: float) -> tuple[int, int]:
    """The pixel that holds a point."""
    return round(x), round(y)


def draw_text(area: UInt8, text: str, x: float, y: float, size: float, colour: Colour, *, right: bool = False) -> None:
    """One line from ``x`` on, or up to it with ``right``; ``y`` is its base line, ``size`` OpenCV's font scale."""
    thickness = max(1, round(size * 1.6))
    if right:
        (width, _), _ = cv2.getTextSize(text, FONT, size, thickness)
        x -= width
    cv2.putText(area, text, px(x, y), FONT, size, colour, thickness, cv2.LINE_AA)


@lru_cache(maxsize=256)
def fitting(text: str, size: float, width: float) -> float:
    """The size at which a text is no wider than ``width``, at most ``size``."""
    (needed, _), _ = cv2.getTextSize(text, FONT, 1.0, 1)
    return min(size, width / max(1, needed))


def draw_bar(
    area: UInt8,
    box: tuple[float, float, float, float],
    value: float,
    colour: Colour,
    *,
    mark: float | None = None,
) -> None:
    """A value of 0..1 in a box of x, y, width, height, px, with a line at ``mark``."""
    x, y, width, height = box
    cv2.rectangle(area, px(x, y), px(x + width, y + height), TRACK, -1)
    if value > 0.005:
        cv2.rectangle(area, px(x, y), px(x + width * min(value, 1.0), y + height), colour, -1)
    if mark is not None:
        place = x + width * mark
        cv2.line(area, px(place, y - height / 4), px(place, y + height * 1.25), TEXT, max(1, round(height / 9)))


def draw_hidden_bar(area: UInt8, box: tuple[float, float, float, float]) -> None:
    """In place of the bar of what cannot be seen: a dashed line, no value."""
    x, y, width, height = box
    dash = max(2.0, width / 25)
    for k in range(0, int(width / dash), 2):
        start = x + k * dash
        cv2.line(area, px(start, y + height / 2), px(start + dash / 2, y + height / 2), DIM, max(1, round(height / 9)))
