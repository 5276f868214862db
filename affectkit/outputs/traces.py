"""Valence and arousal of one face: the point in the circumplex, and their curves over the last seconds."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

import cv2
import numpy as np

from affectkit.outputs.drawing import DIM, TEXT, TRACK, Colour, draw_text, px
from affectkit.outputs.panels import CROWD, PanelLayout
from affectkit.types import UInt8

VALENCE: Colour = (94, 206, 150)
AROUSAL: Colour = (255, 122, 102)

TRACE_S = 16.0
"""Length of the moving trace of valence and arousal."""

Points = deque[tuple[float, float, float]]
"""Time in seconds, valence, arousal."""


def draw_circle(area: UInt8, points: Points, plan: PanelLayout, u: float, colour: Colour) -> None:
    """The point in the circumplex: valence to the right, arousal up."""
    x, y, radius = (side * u for side in plan.circle)
    cv2.circle(area, px(x, y), round(radius), TRACK, -1, cv2.LINE_AA)
    line = max(1, round(u))
    cv2.line(area, px(x - radius, y), px(x + radius, y), DIM, line, cv2.LINE_AA)
    cv2.line(area, px(x, y - radius), px(x, y + radius), DIM, line, cv2.LINE_AA)
    places = [
        None if math.isnan(valence) else px(x + valence * radius, y - arousal * radius)
        for _, valence, arousal in list(points)[-25:]
    ]
    for before, after in pairwise(places):
        if before is not None and after is not None:
            cv2.line(area, before, after, colour, line, cv2.LINE_AA)
    if places[-1] is None:  # nothing is said of this frame
        return
    dot = max(2, round(radius / 11))
    cv2.circle(area, places[-1], dot, colour, -1, cv2.LINE_AA)
    cv2.circle(area, places[-1], dot, TEXT, line, cv2.LINE_AA)


def draw_trace(area: UInt8, points: Points, plan: PanelLayout, u: float, time_s: float) -> None:
    """Valence and arousal over the last seconds, now at the right edge."""
    left, top, width, height = (side * u for side in plan.trace)
    cv2.rectangle(area, px(left, top), px(left + width, top + height), TRACK, -1)
    cv2.line(area, px(left, top + height / 2), px(left + width, top + height / 2), DIM, 1)
    size = plan.text * u
    above = 16 * u if plan is CROWD else 0.0  # one over the other where there is no room side by side
    names = ("val", "aro") if plan is CROWD else ("valence", "arousal")
    told = [f"{name} -" if math.isnan(v) else f"{name} {v:+.2f}" for name, v in zip(names, points[-1][1:], strict=True)]
    draw_text(area, told[0], left, top - 5 * u - above * 0.75, size, VALENCE)
    x = left if plan is CROWD else left + width
    draw_text(area, told[1], x, top - 5 * u, size, AROUSAL, right=plan is not CROWD)
    for run in _runs(points):
        for index, colour in ((1, VALENCE), (2, AROUSAL)):
            line = [px(left + width * (1 - (time_s - p[0]) / TRACE_S), top + height * (1 - p[index]) / 2) for p in run]
            cv2.polylines(area, [np.array(line, np.int32)], False, colour, max(1, round(1.4 * u)), cv2.LINE_AA)
    draw_text(area, f"-{TRACE_S:.0f} s", left, top + height + 13 * u, size * 0.85, DIM)
    draw_text(area, "now", left + width, top + height + 13 * u, size * 0.85, DIM, right=True)


def _runs(points: Points) -> list[list[tuple[float, float, float]]]:
    """The points without those of which nothing is said, in stretches that follow each other."""
    found: list[list[tuple[float, float, float]]] = []
    before = False
    for point in points:
        there = not math.isnan(point[1])
        if there and not before:
            found.append([])
        if there:
            found[-1].append(point)
        before = there
    return found
