"""The annotated video: the frames, and beside them what the model says about each face."""

from __future__ import annotations

import math
import os
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from affectkit.errors import OutputError
from affectkit.outputs.writers import Completed, check_suffix
from affectkit.soundtrack import LONGEST_PAUSE_S, Soundtrack, Timeline
from affectkit.spec import ModelSpec
from affectkit.targets import PartialFile, explain_os_error
from affectkit.types import AU_TITLES, Face, FrameResult, LabelSet, UInt8, published_au_name

SUFFIXES = (".mp4", ".mov", ".mkv")

Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 30)
TEXT: Colour = (232, 232, 232)
DIM: Colour = (140, 146, 154)
TRACK: Colour = (52, 56, 64)
ACTIVE: Colour = (255, 176, 59)
INACTIVE: Colour = (120, 130, 145)
VALENCE: Colour = (94, 206, 150)
AROUSAL: Colour = (255, 122, 102)
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

TRACE_S = 16.0
"""Length of the moving trace of valence and arousal."""

MIN_HEIGHT = 720
"""Smaller videos are enlarged by a whole number until they are about this high, or the text could not be read."""

MIN_PANEL_HEIGHT = 360
"""Lower pictures are drawn on a canvas of this height."""

MAX_SIZE = (3840, 2160)
"""Width and height of the picture part at most; larger ones are shrunk, or encoders and players would refuse them."""


@dataclass(frozen=True, slots=True)
class _PanelLayout:
    """Where the parts of one face's panel lie, in units of which ``width`` x ``height`` fill it."""

    width: int
    height: int
    text: float
    """Size of the labels, in OpenCV's font scale."""
    title: tuple[float, int]
    """Size of the headline, and where its right part ends."""
    row: int
    """Height of a row of bars; less where a model has so many labels that there is no room for it."""
    units: tuple[int, int, int, int, int]
    """Action units: x of the number, of the name, of the bar, width of the bar, y of the first row."""
    expressions: tuple[int, int, int, int]
    """x of the name, of the bar, width of the bar, y of the first row."""
    circle: tuple[int, int, int]
    """Centre and radius of the circle of valence and arousal."""
    trace: tuple[int, int, int, int]
    """Left, top, width and height of their moving trace."""
    bottom: tuple[int, int]
    """Where the last bar has to end: above valence and arousal, and without them."""
    stacked: bool
    """Whether the expressions stand below the action units, not beside them."""


_ALONE = _PanelLayout(
    440,
    688,
    0.5,
    (0.56, 426),
    27,
    (14, 62, 226, 200, 40),
    (14, 226, 200, 276),
    (76, 580, 62),
    (166, 526, 260, 112),
    (492, 676),
    True,
)
_TWO = _PanelLayout(
    440,
    340,
    0.4,
    (0.56, 426),
    21,
    (14, 52, 178, 72, 36),
    (268, 344, 82, 36),
    (72, 274, 50),
    (146, 238, 280, 82),
    (212, 330),
    False,
)
_CROWD = _PanelLayout(
    440,
    136,
    0.33,
    (0.44, 302),
    13,
    (8, 36, 124, 54, 28),
    (188, 248, 54, 28),
    (332, 76, 24),
    (364, 46, 68, 62),
    (132, 132),
    False,
)

LEAST_ROW = 12
"""Lower rows could not be read: the action units stand in two or three columns then, without their titles."""

MOST_COLUMNS = 3

TEXT_A_ROW = 0.024
"""Size of the text for a height of a row of 1."""

GAP = 20
"""Between action units and the expressions below them, in units of a panel."""

MAX_PANELS = 6
"""More would be too small to read; further faces keep their box, id and expression."""

LARGE_PIXELS = 4_000_000
"""Of annotated frames, with their panels; those of 1080p have 2.8 million."""

FEW_FRAMES = "rc-lookahead=2:bframes=0:sync-lookahead=0:sliced-threads=1"
"""For x264, so that it keeps few frames that are large: by itself it looks ten ahead, and works on one in each thread,
each with its filtered copies. Of 5180 x 2160 pixels that took 0.9 GB, and takes 0.4 GB; on any number of cores."""

BT709 = 1
"""Number of ITU-R BT.709 in ISO/IEC 23091-2, for primaries as for the transfer curve."""

TICKS_A_SECOND = 90_000
"""Time base of annotated videos, fine enough for any source's times."""

Points = deque[tuple[float, float, float]]
"""Time in seconds, valence, arousal."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class _Bar:
    """Where one label's row lies, in units of its panel."""

    y: float
    height: float
    text: float
    name_x: int
    title_x: int | None
    """None: there is no room for a title."""
    bar_x: float
    bar_width: float

    def box(self, u: float) -> tuple[float, float, float, float]:
        """x, y, width and height of the bar, px; ``u`` px are a unit."""
        return self.bar_x * u, self.y * u, self.bar_width * u, self.height * u


@lru_cache(maxsize=64)
def _bars(plan: _PanelLayout, labels: LabelSet) -> tuple[list[_Bar], list[_Bar]]:
    """The rows of the action units and of the expressions."""
    number_x, title_x, bar_x, bar_width, top = plan.units
    units, expressions = len(labels.action_units), len(labels.expressions)
    below = expressions if plan.stacked else 0
    room = plan.bottom[not labels.valence_arousal] - top - (GAP if units and below else 0)
    columns = 1
    while columns < MOST_COLUMNS and (-(-units // columns) + below) * LEAST_ROW > room:
        columns += 1
    in_column = -(-units // columns)
    row = min(plan.row, room / max(1, in_column + below))
    if columns == 1:
        found = [_bar_at(plan, top, row, k, number_x, title_x, bar_x, bar_width) for k in range(units)]
    else:
        width = (bar_x + bar_width - number_x) // columns
        number_width = title_x - number_x
        found = []
        for k in range(units):
            x = number_x + (k // in_column) * width
            bar = x + number_width, width - number_width - 8
            found.append(_bar_at(plan, top, row, k % in_column, x, None, *bar))
    name_x, bar_x, bar_width, _ = plan.expressions
    if plan.stacked:
        top += round(row * in_column) + GAP if units else 0
    else:
        row = min(plan.row, room / max(1, expressions))
        if not units:  # they have the place to themselves
            name_x, _, bar_x, bar_width, _ = plan.units
    return found, [_bar_at(plan, top, row, k, name_x, None, bar_x, bar_width) for k in range(expressions)]


def _bar_at(
    plan: _PanelLayout, top: float, row: float, k: int, name_x: int, title_x: int | None, bar_x: float, width: float
) -> _Bar:
    text = plan.text if row == plan.row else min(plan.text, TEXT_A_ROW * row)
    return _Bar(top + row * k, row * 0.55, text, name_x, title_x, bar_x, width)


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
        _text(area, clock, 14 * unit, 22 * unit, 0.5 * unit, DIM)
        if not result.faces:
            _text(area, "no face", 14 * unit, 60 * unit, 0.8 * unit, DIM)
            return
        faces = sorted(result.faces, key=lambda face: -face.box[2] * face.box[3])
        shown = sorted(faces[:MAX_PANELS], key=lambda face: face.track_id)
        plan = {1: _ALONE, 2: _TWO}.get(len(shown), _CROWD)
        top = round(32 * unit)
        cell = (area.shape[0] - top) // len(shown)
        for k, face in enumerate(shown):
            self._draw_panel(area[top + k * cell : top + (k + 1) * cell], face, time_s, plan)
        hidden = len(result.faces) - len(shown)
        if hidden:
            note = f"+ {hidden} smaller"
            _text(area, note, area.shape[1] - 14 * unit, 22 * unit, 0.5 * unit, DIM, right=True)

    def _draw_panel(self, area: UInt8, face: Face, time_s: float, plan: _PanelLayout) -> None:
        """One face: action units and expressions as bars, valence and arousal below."""
        u = min(area.shape[1] / plan.width, area.shape[0] / plan.height)
        affect = face.affect
        colour = IDENTITIES[face.track_id % len(IDENTITIES)]
        title, title_end = plan.title
        cv2.rectangle(area, _p(14 * u, 22 * u - 30 * title * u), _p(20 * u, 24 * u), colour, -1)
        _text(area, f"face {face.track_id}", 28 * u, 22 * u, title * u, TEXT)
        unsaid = bool(self._labels.expressions) and not affect.expression
        headline, shade = ("not judged", DIM) if unsaid else (affect.expression, colour)
        _text(area, headline, title_end * u, 22 * u, title * u, shade, right=True)
        units, expressions = _bars(plan, self._labels)
        for k, (name, place) in enumerate(zip(self._labels.action_units, units, strict=True)):
            active, hidden = bool(affect.au_active[k]), bool(affect.au_hidden[k])
            label, base, size = TEXT if active else DIM, (place.y + place.height) * u, place.text * u
            _text(area, published_au_name(name), place.name_x * u, base, size, label)
            if place.title_x is not None:
                _text(area, AU_TITLES.get(name, ""), place.title_x * u, base, size * 0.94, label)
            if hidden:
                _hidden_bar(area, place.box(u))
                continue
            probability = float(affect.au_probabilities[k])
            _bar(area, place.box(u), probability, ACTIVE if active else INACTIVE, mark=self._thresholds[k])
        for name, place in zip(self._labels.expressions, expressions, strict=True):
            best = name == affect.expression
            size = _fitting(name, place.text, place.bar_x - place.name_x) * u
            _text(area, name, place.name_x * u, (place.y + place.height) * u, size, TEXT if best else DIM)
            if affect.expression:
                _bar(area, place.box(u), affect.expressions[name], colour if best else INACTIVE)
            else:
                _hidden_bar(area, place.box(u))
        if self._labels.valence_arousal:
            points = self._traces[face.track_id].points
            _draw_circle(area, points, plan, u, colour)
            _draw_trace(area, points, plan, u, time_s)


def _draw_circle(area: UInt8, points: Points, plan: _PanelLayout, u: float, colour: Colour) -> None:
    """The point in the circumplex: valence to the right, arousal up."""
    x, y, radius = (side * u for side in plan.circle)
    cv2.circle(area, _p(x, y), round(radius), TRACK, -1, cv2.LINE_AA)
    line = max(1, round(u))
    cv2.line(area, _p(x - radius, y), _p(x + radius, y), DIM, line, cv2.LINE_AA)
    cv2.line(area, _p(x, y - radius), _p(x, y + radius), DIM, line, cv2.LINE_AA)
    places = [
        None if math.isnan(valence) else _p(x + valence * radius, y - arousal * radius)
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


def _draw_trace(area: UInt8, points: Points, plan: _PanelLayout, u: float, time_s: float) -> None:
    """Valence and arousal over the last seconds, now at the right edge."""
    left, top, width, height = (side * u for side in plan.trace)
    cv2.rectangle(area, _p(left, top), _p(left + width, top + height), TRACK, -1)
    cv2.line(area, _p(left, top + height / 2), _p(left + width, top + height / 2), DIM, 1)
    size = plan.text * u
    above = 16 * u if plan is _CROWD else 0.0  # one over the other where there is no room side by side
    names = ("val", "aro") if plan is _CROWD else ("valence", "arousal")
    told = [f"{name} -" if math.isnan(v) else f"{name} {v:+.2f}" for name, v in zip(names, points[-1][1:], strict=True)]
    _text(area, told[0], left, top - 5 * u - above * 0.75, size, VALENCE)
    x = left if plan is _CROWD else left + width
    _text(area, told[1], x, top - 5 * u, size, AROUSAL, right=plan is not _CROWD)
    for run in _runs(points):
        for index, colour in ((1, VALENCE), (2, AROUSAL)):
            line = [_p(left + width * (1 - (time_s - p[0]) / TRACE_S), top + height * (1 - p[index]) / 2) for p in run]
            cv2.polylines(area, [np.array(line, np.int32)], False, colour, max(1, round(1.4 * u)), cv2.LINE_AA)
    _text(area, f"-{TRACE_S:.0f} s", left, top + height + 13 * u, size * 0.85, DIM)
    _text(area, "now", left + width, top + height + 13 * u, size * 0.85, DIM, right=True)


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


def _even(value: int) -> int:
    return value + value % 2  # yuv420p halves both sides


def _p(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)


def _text(area: UInt8, text: str, x: float, y: float, size: float, colour: Colour, *, right: bool = False) -> None:
    thickness = max(1, round(size * 1.6))
    if right:
        (width, _), _ = cv2.getTextSize(text, _FONT, size, thickness)
        x -= width
    cv2.putText(area, text, _p(x, y), _FONT, size, colour, thickness, cv2.LINE_AA)


@lru_cache(maxsize=256)
def _fitting(text: str, size: float, width: float) -> float:
    """The size at which a text is no wider than ``width``, at most ``size``."""
    (needed, _), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    return min(size, width / max(1, needed))


def _bar(
    area: UInt8,
    box: tuple[float, float, float, float],
    value: float,
    colour: Colour,
    *,
    mark: float | None = None,
) -> None:
    x, y, width, height = box
    cv2.rectangle(area, _p(x, y), _p(x + width, y + height), TRACK, -1)
    if value > 0.005:
        cv2.rectangle(area, _p(x, y), _p(x + width * min(value, 1.0), y + height), colour, -1)
    if mark is not None:
        place = x + width * mark
        cv2.line(area, _p(place, y - height / 4), _p(place, y + height * 1.25), TEXT, max(1, round(height / 9)))


def _hidden_bar(area: UInt8, box: tuple[float, float, float, float]) -> None:
    """In place of the bar of what cannot be seen: a dashed line, no value."""
    x, y, width, height = box
    dash = max(2.0, width / 25)
    for k in range(0, int(width / dash), 2):
        start = x + k * dash
        cv2.line(area, _p(start, y + height / 2), _p(start + dash / 2, y + height / 2), DIM, max(1, round(height / 9)))


def _draw_box(picture: UInt8, face: Face, scale: float, unit: float) -> None:
    colour = IDENTITIES[face.track_id % len(IDENTITIES)]
    x, y, width, height = (side * scale for side in face.box)
    thickness = max(1, round(2 * unit))
    cv2.rectangle(picture, _p(x, y), _p(x + width, y + height), colour, thickness)
    for point in face.landmarks:
        if np.isfinite(point).all():
            cv2.circle(picture, _p(*(point * scale)), max(1, round(2 * unit)), colour, -1, cv2.LINE_AA)
    label = f"{face.track_id} {face.affect.expression}".rstrip()
    size = 0.55 * unit
    (text_width, text_height), _ = cv2.getTextSize(label, _FONT, size, max(1, round(size * 1.6)))
    base = y - 4 * unit if y - text_height - 12 * unit > 0 else y + height + text_height + 10 * unit
    base = min(max(base, text_height + 6 * unit), picture.shape[0] - 6 * unit)  # close-ups leave no room above or below
    x = min(max(x, 0), picture.shape[1] - text_width - 8 * unit)
    corner, opposite = (x, base - text_height - 4 * unit), (x + text_width + 8 * unit, base + 4 * unit)
    cv2.rectangle(picture, _p(*corner), _p(*opposite), colour, -1)
    _text(picture, label, x + 4 * unit, base, size, (0, 0, 0))


class VideoWriter(Completed):
    """Encodes annotated frames with their own times, and the sound of the source.

    Like every output it is written beside the target and renamed at the end. Use as a context manager.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: float | None,
        sound_from: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Open the target.

        Args:
            path: ``.mp4``, ``.mov`` or ``.mkv``.
            fps: average rate, for frames without a time of their own.
            sound_from: file whose sound is taken along; None: silent.

        Raises:
            OutputError: unknown suffix, or the target cannot be written.
        """
        check_video_suffix(path)
        # A rate of a frame in years is that of a file with a broken clock, whose frames would be that far apart.
        self._fps = fps if fps and fps >= 1 / LONGEST_PAUSE_S else 25.0
        self._sound_from = sound_from
        self._partial = PartialFile(path, overwrite=overwrite)
        self._output: av.container.OutputContainer | None = None
        self._video: av.VideoStream | None = None
        self._sound: Soundtrack | None = None
        self._last_pts = -1
        self._timeline = Timeline(1 / self._fps)
        self._frames = 0

    def write(self, image: UInt8, time_s: float) -> None:
        """Append a picture (H, W, 3) RGB shown at ``time_s``; NaN: one frame after the one before."""
        try:
            if not math.isfinite(time_s):
                time_s = self._frames / self._fps
            out_s, piece = self._timeline.place(time_s)
            if self._video is None:
                self._begin(image, time_s)
            elif piece and self._sound is not None:
                self._sound.begin_piece(time_s, out_s)
            assert self._video is not None and self._output is not None  # set by _begin
            base = self._video.codec_context.time_base
            pts = max(self._last_pts + 1, round(out_s / base))
            self._last_pts = pts
            self._frames += 1
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            frame.pts, frame.time_base = pts, base
            self._output.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.copy_until(out_s)
        except (av.error.FFmpegError, OSError) as error:
            raise explain_os_error(self._partial.target, error) from error

    def _begin(self, image: UInt8, offset_s: float) -> None:
        # An absolute path, because FFmpeg takes a name like 12:30.mp4 for a protocol.
        path = os.path.abspath(self._partial.path)
        options = {} if self._partial.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self._output = av.open(path, "w", options=options)
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = self._output.add_stream(codec, rate=Fraction(self._fps).limit_denominator(65535))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        # Tagged, or players would guess from the height how to turn the numbers back into colours.
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc = BT709
        stream.codec_context.color_range = ColorRange.MPEG
        if codec == "libx264":
            stream.options = {"crf": "21", "preset": "veryfast"}
            if stream.width * stream.height > LARGE_PIXELS:
                stream.options |= {"x264-params": FEW_FRAMES}
        else:
            stream.bit_rate = 8_000_000
        self._video = stream
        if self._sound_from is not None:
            self._sound = Soundtrack.open(self._sound_from, self._output, self._partial.path.suffix.lower(), offset_s)

    def close(self) -> None:
        """Complete the file and give it its final name."""
        if self._video is None:
            self.abort()
            raise OutputError(f"{self._partial.target}: there was no frame to draw, so no video was written")
        assert self._output is not None
        try:
            self._output.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.copy_until(self._last_pts / TICKS_A_SECOND + 1 / self._fps)
                self._sound.close()
            self._output.close()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise explain_os_error(self._partial.target, error) from error
        self._partial.commit()

    def abort(self) -> None:
        """Remove what was written; whatever stood under the final name stays."""
        try:
            if self._sound is not None:
                self._sound.close()
            if self._output is not None:
                self._output.close()
        except (av.error.FFmpegError, OSError):
            pass  # a file that goes need not be complete
        finally:
            self._partial.discard()


def check_video_suffix(path: Path) -> None:
    """Refuse a suffix that names no container we write.

    Raises:
        OutputError: unknown suffix; the message lists the known ones.
    """
    check_suffix(path, SUFFIXES, what=" for a video")
