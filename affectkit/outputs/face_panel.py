"""The panel of one face: action units and expressions as bars with their numbers, valence and arousal, quality."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from affectkit.face_results import Face
from affectkit.outputs.board import Board, Rect
from affectkit.outputs.drawing import (
    ACTIVE,
    AROUSAL,
    DIM,
    INACTIVE,
    TEXT,
    TRACK,
    VALENCE,
    draw_bar,
    draw_hidden_bar,
    fill,
    filled,
    number,
    of_identity,
    write,
)
from affectkit.outputs.lettering import Colour, shortened, text_width
from affectkit.outputs.panels import Bar, Plan
from affectkit.outputs.strongest import Strongest
from affectkit.outputs.traces import (
    Span,
    Trace,
    draw_chart,
    draw_circle,
    draw_circle_axes,
    draw_time_axis,
    draw_value_axis,
)
from affectkit.spec import ModelSpec
from affectkit.types import AU_TITLES, REGIONS, UInt8, published_au_name


@dataclass(frozen=True, slots=True)
class Shown:
    """One face at one moment."""

    face: Face
    trace: Trace | None
    """None of a model without valence and arousal."""
    span: Span
    time_s: float


class FacePanels:
    """Draws the panels of the faces of one video."""

    def __init__(self, spec: ModelSpec) -> None:
        self._labels = spec.labels
        self._thresholds = spec.label_thresholds
        self._marks: list[float] = np.asarray(self._thresholds).tolist()
        self._seen_from = spec.visibility_thresholds
        self._strongest = Strongest()

    def draw(self, board: Board, top: int, plan: Plan, shown: Shown) -> None:
        """One panel, from ``top`` of the board on."""
        face = shown.face
        self._draw_head(board, top, plan, face)
        affect, labels = face.affect, self._labels
        scores = affect.au_probabilities - self._thresholds
        units = self._strongest.choose(face.track_id, "units", scores, len(plan.units), shown.time_s)
        values, active = affect.au_probabilities.tolist(), affect.au_active.tolist()
        for k, bar in zip(units, plan.units, strict=True):
            self._draw_unit(board, top, bar, k, values[k], active[k])
        scores = affect.expression_probabilities
        words = self._strongest.choose(face.track_id, "words", scores, len(plan.expressions), shown.time_s)
        best, colour = affect.expression, of_identity(face.track_id)
        for k, bar in zip(words, plan.expressions, strict=True):
            name = labels.expressions[k]
            value = float(scores[k]) if best else None
            _draw_name(board, top, bar, (name, ""), bright=name == best)
            _draw_value(board, top, bar, value, None, colour if name == best else INACTIVE, bright=name == best)
        if shown.trace is not None and plan.chart is not None:
            _draw_affect(board, top, plan, shown, shown.trace)

    def hidden(self, face: Face) -> tuple[bool, ...]:
        """Whether brows, eyes and mouth count as hidden; nothing of a model that does not tell."""
        seen = face.affect.visibility
        if seen is None or self._seen_from is None:
            return ()
        return tuple(not share >= least for share, least in zip(seen.tolist(), self._seen_from, strict=True))

    def _draw_head(self, board: Board, top: int, plan: Plan, face: Face) -> None:
        colour, affect, pad = of_identity(face.track_id), face.affect, plan.text
        unsaid = bool(self._labels.expressions) and not affect.expression
        headline, shade = ("not judged", DIM) if unsaid else (affect.expression, colour)
        told = self._told(face, brief=plan.told_base is None)

        def draw(area: UInt8) -> None:
            base, size = plan.head_base, plan.head
            fill(area[:1, pad : plan.width - pad], TRACK)
            fill(area[base - round(0.72 * size) : base, pad : pad + round(0.72 * size)], colour)
            name = f"face {face.track_id}"
            write(area, name, pad + size, base, size, TEXT)
            if plan.told_base is None:
                after, before = pad + 2 * size + text_width(name, size), text_width(headline, size) + size + pad
                write(area, shortened(told, pad, plan.width - after - before), after, base, pad, DIM)
            write(area, headline, plan.width - pad, base, size, shade, right=True)

        board.put(_below((0, 0, plan.width, round(2 * pad)), top), (face.track_id, headline, told), draw)
        if plan.told_base is not None:
            base = plan.told_base - 2 * pad

            def tell(area: UInt8) -> None:
                write(area, shortened(told, pad, plan.width - 2 * pad), pad, base, pad, DIM)

            board.put(_below((0, 2 * pad, plan.width, round(1.4 * pad)), top), told, tell)

    def _told(self, face: Face, *, brief: bool) -> str:
        """How well the face can be seen, in words."""
        told = [] if brief else [f"confidence {number(face.score)}"]
        if face.affect.quality is not None:
            told.append(f"quality {number(face.affect.quality)}")
        hidden = self.hidden(face)
        if hidden:
            names = [name for name, gone in zip(REGIONS, hidden, strict=True) if gone]
            whole = "nothing visible" if all(hidden) else f"{', '.join(names)} not visible"
            told += [whole] if names else [] if brief else ["all visible"]
        return "   ".join(told)

    def _draw_unit(self, board: Board, top: int, bar: Bar, k: int, value: float, active: bool) -> None:
        name = self._labels.action_units[k]
        title = "" if bar.title_x is None else AU_TITLES.get(name, "")
        _draw_name(board, top, bar, (published_au_name(name), title), bright=active)
        told = None if math.isnan(value) else value
        mark = self._marks[k]
        _draw_value(board, top, bar, told, mark, ACTIVE if active else INACTIVE, bright=active)


def _below(rect: Rect, top: int) -> Rect:
    return rect[0], rect[1] + top, rect[2], rect[3]


def _draw_name(board: Board, top: int, bar: Bar, names: tuple[str, str], *, bright: bool) -> None:
    """The label, and its title where there is one."""
    colour, base = TEXT if bright else DIM, bar.base - bar.y

    def draw(area: UInt8) -> None:
        title_x = bar.bar_x if bar.title_x is None else bar.title_x
        write(area, shortened(names[0], bar.text, title_x - bar.name_x), 0, base, bar.text, colour)
        if names[1]:
            write(area, names[1], title_x - bar.name_x, base, bar.text, colour)

    rect = bar.name_x, bar.y, bar.bar_x - bar.name_x, bar.height
    board.put(_below(rect, top), (names, bright), draw)


def _draw_value(
    board: Board, top: int, bar: Bar, value: float | None, mark: float | None, colour: Colour, *, bright: bool
) -> None:
    """The bar and its number; None: what cannot be seen."""
    x, y, width, height = bar.box()
    box, base, shade = (0, y - bar.y, width, height), bar.base - bar.y, TEXT if bright else DIM
    rect = x, bar.y, bar.right - x, bar.height
    told = "-" if value is None else number(value)

    def draw(area: UInt8) -> None:
        if value is None:
            draw_hidden_bar(area, box)
        else:
            draw_bar(area, box, value, colour, mark=mark)
        write(area, told, bar.right - x, base, bar.text, shade, right=True)

    long = None if value is None else filled(width, value)
    board.put(_below(rect, top), (long, told, mark, colour, bright), draw)


def _draw_affect(board: Board, top: int, plan: Plan, shown: Shown, trace: Trace) -> None:
    """Valence and arousal: their numbers, the circle where there is room, the chart."""
    assert plan.chart is not None
    affect, text, span = shown.face.affect, plan.text, shown.span
    left, high, width, height = plan.chart
    apart = len({base for _, base in plan.captions}) == 2
    for (x, base), (name, value, shade) in zip(
        plan.captions, (("valence", affect.valence, VALENCE), ("arousal", affect.arousal, AROUSAL)), strict=True
    ):
        caption, room = f"{name} {number(value, signed=True)}", width if apart else width // 2
        rect = left + width - room if x < 0 else x, base - text, room, text + text // 3
        board.put(_below(rect, top), caption, _caption(caption, room if x < 0 else None, text, shade))
    over, beside = text // 2, text_width("-1", text) + text // 3
    values = left - beside, high - over, beside, height + 2 * over
    board.put(_below(values, top), "values", lambda area: draw_value_axis(area, over, height, text))
    times = left, high + height + text // 4, width, text + text // 2
    ends = span.ends()
    board.put(_below(times, top), ends, lambda area: draw_time_axis(area, ends, text))
    board.put(
        _below(plan.chart, top),
        (shown.face.track_id, trace.drawn(span, shown.time_s, width, height)),
        lambda area: draw_chart(area, trace, span, shown.time_s, max(1, round(text / 10))),
    )
    if plan.circle is not None:
        _draw_circumplex(board, top, plan.circle, text, shown.face.track_id, trace)


def _draw_circumplex(
    board: Board, top: int, circle: tuple[int, int, int], text: int, track_id: int, trace: Trace
) -> None:
    x, y, radius = circle
    aside, over = text_width("-1", text) + text // 2, round(1.4 * text)
    inside = radius + aside, radius + over, radius

    def draw(area: UInt8) -> None:
        draw_circle_axes(area, inside, text)
        draw_circle(area, trace, inside, text, of_identity(track_id))

    around = x - radius - aside, y - radius - over, 2 * (radius + aside), 2 * (radius + over)
    board.put(_below(around, top), (track_id, tuple(trace.tail)), draw)


def _caption(text: str, room: int | None, size: int, colour: Colour) -> Callable[[UInt8], None]:
    """Draws a line, up to ``room`` or, without it, from the left."""
    return lambda area: write(area, text, room or 0, size, size, colour, right=room is not None)
