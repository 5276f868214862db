"""Valence and arousal of one face: the point in the circumplex, and their curves over the clip."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np

from affectkit.outputs.drawing import AROUSAL, DIM, TEXT, TRACK, VALENCE, fill, write
from affectkit.outputs.lettering import Colour, text_width
from affectkit.types import Array, UInt8

WINDOW_S = 16.0
"""What a chart shows of a source whose length is not known: the last seconds."""

BINS = 480
"""Moments of a chart that are told apart; of more than one frame in one of them the chart has the mean."""

GAP_S = 0.5
"""A longer time without the face is a gap in the curves."""

TAIL = 25
"""Frames that the point in the circle draws behind it."""


@dataclass(frozen=True, slots=True)
class Span:
    """What the charts of a video show, in its own time."""

    start_s: float
    length_s: float
    moves: bool
    """Whether it ends with now: the length of the source is not known."""
    timed: bool = True
    """False: there are no times, and the chart counts frames, ``FRAMES_A_SECOND`` to a second."""

    def ends(self) -> tuple[str, str]:
        """In words, when it begins and ends."""
        if self.moves:
            return f"-{self.told(self.length_s)}", "now"
        return self.told(self.start_s), self.told(self.start_s + self.length_s)

    def told(self, time_s: float) -> str:
        """A moment, or a length, in words."""
        return clock(time_s) if self.timed else f"frame {round(time_s * FRAMES_A_SECOND)}"


FRAMES_A_SECOND = 25
"""Of pictures without times."""


def clock(time_s: float) -> str:
    """``4.2 s``; from a minute on ``1:04``, from an hour on ``1:02:03``."""
    if abs(time_s) < 59.95:
        text = f"{time_s:.1f}"
        return f"{'0' if text in ('-0.0', '0.0') else text} s"
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@dataclass(slots=True)
class Trace:
    """What was said of one face so far, in as many points as a chart shows."""

    points: deque[list[float]] = field(default_factory=deque)
    """Time in seconds, valence, arousal, number of frames that they are the mean of. NaN: a gap."""
    tail: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=TAIL))
    """Valence and arousal of the last frames."""

    def add(self, time_s: float, valence: float, arousal: float, bin_s: float) -> None:
        """One more frame; ``bin_s`` is what a chart cannot tell apart."""
        self.tail.append((valence, arousal))
        last = self.points[-1] if self.points else None
        if last is not None and time_s - last[0] > max(GAP_S, 2.5 * bin_s):
            self.points.append([last[0], math.nan, math.nan, 1])
            last = None
        if last is not None and time_s - last[0] < bin_s and math.isnan(last[1]) == math.isnan(valence):
            count = last[3] + 1
            last[1:] = [last[1] + (valence - last[1]) / count, last[2] + (arousal - last[2]) / count, count]
        else:
            self.points.append([time_s, valence, arousal, 1])

    def drawn(self, span: Span, now_s: float, width: int, height: int) -> tuple[object, ...]:
        """All that its chart of this size depends on, as far as its pixels show it."""
        last = self.points[-1] if self.points else [now_s, math.nan, math.nan, 1]
        places = [None if math.isnan(value) else round(value * height / 2) for value in last[1:3]]
        at = round(width * (now_s - span.start_s) / span.length_s)
        return span, at, len(self.points), *places

    def forget(self, *, before_s: float = -math.inf, after_s: float = math.inf) -> None:
        """Leave out what lies before or after a time."""
        while self.points and self.points[0][0] < before_s:
            self.points.popleft()
        while self.points and self.points[-1][0] > after_s:
            self.points.pop()


def _px(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)


def draw_circle(area: UInt8, trace: Trace, circle: tuple[int, int, int], text: int, colour: Colour) -> None:
    """The point in the circumplex: valence to the right, arousal up."""
    x, y, radius = circle
    cv2.circle(area, (x, y), radius, TRACK, -1, cv2.LINE_AA)
    line = max(1, round(text / 13))
    cv2.line(area, (x - radius, y), (x + radius, y), DIM, line)
    cv2.line(area, (x, y - radius), (x, y + radius), DIM, line)
    places = [
        None if math.isnan(valence) else _px(x + valence * radius, y - arousal * radius)
        for valence, arousal in trace.tail
    ]
    for before, after in pairwise(places):
        if before is not None and after is not None:
            cv2.line(area, before, after, colour, line, cv2.LINE_AA)
    if not places or places[-1] is None:  # nothing is said of this frame
        return
    dot = max(3, round(radius / 11))
    cv2.circle(area, places[-1], dot, colour, -1, cv2.LINE_AA)
    cv2.circle(area, places[-1], dot, TEXT, line, cv2.LINE_AA)


def draw_circle_axes(area: UInt8, circle: tuple[int, int, int], text: int) -> None:
    """What the axes of the circle are, around it."""
    x, y, radius = circle
    base = y + round(0.36 * text)
    write(area, "-1", x - radius - text // 4, base, text, DIM, right=True)
    write(area, "1", x + radius + text // 4, base, text, DIM)
    write(area, "arousal", x - text_width("arousal", text) / 2, y - radius - text // 3, text, AROUSAL)
    write(area, "valence", x - text_width("valence", text) / 2, y + radius + round(1.1 * text), text, VALENCE)


def draw_value_axis(area: UInt8, top: int, height: int, text: int) -> None:
    """1, 0 and -1 at the right of ``area``, for a chart from ``top`` on."""
    for value, share in (("1", 0.0), ("0", 0.5), ("-1", 1.0)):
        write(area, value, area.shape[1] - text // 4, top + height * share + 0.36 * text, text, DIM, right=True)


def draw_time_axis(area: UInt8, ends: tuple[str, str], text: int) -> None:
    """When the chart begins and ends."""
    write(area, ends[0], 0, text, text, DIM)
    write(area, ends[1], area.shape[1], text, text, DIM, right=True)


def draw_chart(area: UInt8, trace: Trace, span: Span, now_s: float, thick: int) -> None:
    """Valence and arousal over the clip, in all of ``area``, with a line at now."""
    height, width = area.shape[:2]
    fill(area, TRACK)
    fill(area[height // 2 : height // 2 + 1], DIM)
    if not span.moves:
        at = min(width - 1, max(0, round(width * (now_s - span.start_s) / span.length_s)))
        fill(area[:, at : at + 1], DIM)
    points = np.array(trace.points, np.float64).reshape(-1, 4)
    for run in _runs(points):
        x = (run[:, 0] - span.start_s) * (width - 1) / span.length_s
        for index, colour in ((2, AROUSAL), (1, VALENCE)):
            y = (height - 1) * (1 - run[:, index]) / 2
            line = np.rint(np.column_stack([x, y])).astype(np.int32)
            cv2.polylines(area, [line], False, colour, thick, cv2.LINE_AA)


def _runs(points: Array) -> list[Array]:
    """The points without those of which nothing is said, in stretches that follow each other."""
    there = ~np.isnan(points[:, 1])
    changes = np.flatnonzero(np.diff(there)) + 1
    return [run for run in np.split(points, changes) if len(run) and not np.isnan(run[0, 1])]
