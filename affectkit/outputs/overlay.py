"""What is drawn onto every frame of an annotated video: boxes, and beside the picture a panel for each face."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from affectkit.answers import Face, FrameResult
from affectkit.outputs.drawing import (
    ACTIVE,
    BACKGROUND,
    DIM,
    FONT,
    IDENTITIES,
    INACTIVE,
    TEXT,
    draw_bar,
    draw_hidden_bar,
    draw_text,
    fitting,
    px,
)
from affectkit.outputs.panels import ALONE, CROWD, TWO, PanelLayout, bars
from affectkit.outputs.traces import TRACE_S, Points, draw_circle, draw_trace
from affectkit.spec import ModelSpec
from affectkit.types import AU_TITLES, UInt8, published_au_name

MIN_HEIGHT = 720
"""Smaller videos are enlarged by a whole number until they are about this high, or the text could not be read."""

MIN_PANEL_HEIGHT = 360
"""Lower pictures are drawn on a canvas of this height."""

MAX_SIZE = (3840, 2160)
"""Width and height of the picture part at most; larger ones are shrunk, or encoders and players would refuse them."""

MAX_PANELS = 6
"""More would be too small to read; further faces keep their box, id and expression."""


@dataclass(slots=True)
class _Trace:
    points: Points = field(default_factory=deque)
    """The last TRACE_S seconds."""


class Overlay:
    """Draws results onto their pictures; remembers the traces of valence and arousal."""

    def __init__(self, spec: ModelSpec) -> None:
        self._labels = spec.labels
        self._thresholds = spec.label_thresholds.tolist()
        self._traces: dict[int, _Trace] = {}
        self._geometry: tuple[int, int] | None = None

    def draw(self, result: FrameResult) -> UInt8:
        """The picture with boxes, enlarged where it is small, and the panels to its right.

        All pictures of one video come out in the size that the first one gave; others are fitted in.

        Raises:
            ValueError: the result holds no picture; stream with ``keep_images=True``.
        """
        if result.image is None:
            raise ValueError("the result holds no image; call stream(..., keep_images=True)")
        height, width = result.image.shape[:2]
        if self._geometry is None:
            most = min(MAX_SIZE[0] / width, MAX_SIZE[1] / height)
            enlarge = min(max(1, round(MIN_HEIGHT / height)), max(1, int(most))) if most >= 1 else most
            out_height = max(MIN_PANEL_HEIGHT, round(height * enlarge))
            self._geometry = (_even(out_height), _even(max(1, round(width * enlarge))))
        out_height, out_width = self._geometry
        panel_width = _even(round(out_height * 0.62))
        canvas = np.empty((out_height, out_width + panel_width, 3), np.uint8)
        canvas[:] = BACKGROUND
        scale = min(out_height / height, out_width / width)
        size = min(out_width, round(width * scale)), min(out_height, round(height * scale))
        picture = canvas[: size[1], : size[0]]
        cv2.resize(result.image, size, dst=picture, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
        time_s = result.time_s if math.isfinite(result.time_s) else result.index / 25
        self._remember(result, time_s)
        for face in result.faces:
            _draw_box(picture, face, scale / result.reduced, out_height / 720)
        self._draw_panels(canvas[:, out_width:], result, time_s)
        return canvas

    def _remember(self, result: FrameResult, time_s: float) -> None:
        for trace in self._traces.values():  # times that run backwards start again
            while trace.points and trace.points[-1][0] > time_s:
                trace.points.pop()
        for face in result.faces:
            trace = self._traces.setdefault(face.track_id, _Trace())
            trace.points.append((time_s, face.affect.valence, face.affect.arousal))  # NaN: a gap in the curves
        for track_id, trace in list(self._traces.items()):
            while trace.points and trace.points[0][0] < time_s - TRACE_S:
                trace.points.popleft()
            if not trace.points:
                del self._traces[track_id]

    def _draw_panels(self, area: UInt8, result: FrameResult, time_s: float) -> None:
        unit = area.shape[0] / 720
        clock = f"frame {result.index}"
        if math.isfinite(result.time_s):
            clock += f"   {result.time_s:.2f} s"
        draw_text(area, clock, 14 * unit, 22 * unit, 0.5 * unit, DIM)
        if not result.faces:
            draw_text(area, "no face", 14 * unit, 60 * unit, 0.8 * unit, DIM)
            return
        faces = sorted(result.faces, key=lambda face: -face.box[2] * face.box[3])
        shown = sorted(faces[:MAX_PANELS], key=lambda face: face.track_id)
        plan = {1: ALONE, 2: TWO}.get(len(shown), CROWD)
        top = round(32 * unit)
        cell = (area.shape[0] - top) // len(shown)
        for k, face in enumerate(shown):
            self._draw_panel(area[top + k * cell : top + (k + 1) * cell], face, time_s, plan)
        hidden = len(result.faces) - len(shown)
        if hidden:
            note = f"+ {hidden} smaller"
            draw_text(area, note, area.shape[1] - 14 * unit, 22 * unit, 0.5 * unit, DIM, right=True)

    def _draw_panel(self, area: UInt8, face: Face, time_s: float, plan: PanelLayout) -> None:
        """One face: action units and expressions as bars, valence and arousal below."""
        u = min(area.shape[1] / plan.width, area.shape[0] / plan.height)
        affect = face.affect
        colour = IDENTITIES[face.track_id % len(IDENTITIES)]
        title, title_end = plan.title
        cv2.rectangle(area, px(14 * u, 22 * u - 30 * title * u), px(20 * u, 24 * u), colour, -1)
        draw_text(area, f"face {face.track_id}", 28 * u, 22 * u, title * u, TEXT)
        unsaid = bool(self._labels.expressions) and not affect.expression
        headline, shade = ("not judged", DIM) if unsaid else (affect.expression, colour)
        draw_text(area, headline, title_end * u, 22 * u, title * u, shade, right=True)
        units, expressions = bars(plan, self._labels)
        for k, (name, place) in enumerate(zip(self._labels.action_units, units, strict=True)):
            active, hidden = bool(affect.au_active[k]), bool(affect.au_hidden[k])
            label, base, size = TEXT if active else DIM, (place.y + place.height) * u, place.text * u
            draw_text(area, published_au_name(name), place.name_x * u, base, size, label)
            if place.title_x is not None:
                draw_text(area, AU_TITLES.get(name, ""), place.title_x * u, base, size * 0.94, label)
            if hidden:
                draw_hidden_bar(area, place.box(u))
                continue
            probability = float(affect.au_probabilities[k])
            draw_bar(area, place.box(u), probability, ACTIVE if active else INACTIVE, mark=self._thresholds[k])
        for name, place in zip(self._labels.expressions, expressions, strict=True):
            best = name == affect.expression
            size = fitting(name, place.text, place.bar_x - place.name_x) * u
            draw_text(area, name, place.name_x * u, (place.y + place.height) * u, size, TEXT if best else DIM)
            if affect.expression:
                draw_bar(area, place.box(u), affect.expressions[name], colour if best else INACTIVE)
            else:
                draw_hidden_bar(area, place.box(u))
        if self._labels.valence_arousal:
            points = self._traces[face.track_id].points
            draw_circle(area, points, plan, u, colour)
            draw_trace(area, points, plan, u, time_s)


def _even(value: int) -> int:
    return value + value % 2  # yuv420p halves both sides


def _draw_box(picture: UInt8, face: Face, scale: float, unit: float) -> None:
    colour = IDENTITIES[face.track_id % len(IDENTITIES)]
    x, y, width, height = (side * scale for side in face.box)
    thickness = max(1, round(2 * unit))
    cv2.rectangle(picture, px(x, y), px(x + width, y + height), colour, thickness)
    for point in face.landmarks:
        if np.isfinite(point).all():
            cv2.circle(picture, px(*(point * scale)), max(1, round(2 * unit)), colour, -1, cv2.LINE_AA)
    label = f"{face.track_id} {face.affect.expression}".rstrip()
    size = 0.55 * unit
    (text_width, text_height), _ = cv2.getTextSize(label, FONT, size, max(1, round(size * 1.6)))
    base = y - 4 * unit if y - text_height - 12 * unit > 0 else y + height + text_height + 10 * unit
    base = min(max(base, text_height + 6 * unit), picture.shape[0] - 6 * unit)  # close-ups leave no room above or below
    x = min(max(x, 0), picture.shape[1] - text_width - 8 * unit)
    corner, opposite = (x, base - text_height - 4 * unit), (x + text_width + 8 * unit, base + 4 * unit)
    cv2.rectangle(picture, px(*corner), px(*opposite), colour, -1)
    draw_text(picture, label, x + 4 * unit, base, size, (0, 0, 0))
