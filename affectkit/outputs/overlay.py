"""What is drawn onto every frame of an annotated video: boxes, and beside the picture a panel for each face."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.face_results import FrameResult
from affectkit.outputs.board import Board
from affectkit.outputs.canvas import PlanesCanvas, RgbCanvas, Sides, planes_of_rgb
from affectkit.outputs.drawing import DIM, TEXT, draw_hidden_bar, fill, write
from affectkit.outputs.face_panel import FacePanels, Shown
from affectkit.outputs.lettering import LEAST_PX, text_width
from affectkit.outputs.marks import even, mark_face
from affectkit.outputs.panels import least_height, plan_panel
from affectkit.outputs.traces import BINS, FRAMES_A_SECOND, WINDOW_S, Span, Trace, clock
from affectkit.picture import SIDES_BT709, YuvPicture
from affectkit.spec import ModelSpec
from affectkit.types import Picture, UInt8

MIN_HEIGHT = 720
"""Smaller videos are enlarged by a whole number until they are about this high, or the text could not be read."""

MIN_PANEL_HEIGHT = 360
"""Lower pictures are drawn on a canvas of this height."""

MIN_PANEL_WIDTH = 352
"""Narrower panels have no room for names, bars and numbers."""

PANEL_WIDTH = 0.62
"""Width of the panels, in heights of the picture; of upright pictures in UPRIGHT widths of it at most."""

UPRIGHT = 1.15

MAX_SIZE = (3840, 2160)
"""Width and height of the picture part at most; larger ones are shrunk, or encoders and players would refuse them."""

MAX_PANELS = 6
"""More would be too small to read; further faces keep their box, id and expression."""

TYPE = 13 / 446
"""Size of the type, in widths of the panel."""


@dataclass(frozen=True, slots=True)
class DrawnPlanes:
    """A drawn frame as encoders take it: Y (H, W), Cb and Cr (H / 2, W / 2), 16..235."""

    planes: tuple[UInt8, UInt8, UInt8]
    sides: Sides
    """Shares of red and blue in its brightness (ITU-T H.273)."""


Planes = tuple[UInt8, UInt8, UInt8]


def own_planes(height: int, width: int) -> Planes:
    """Black Y (height, width), Cb and Cr (height / 2, width / 2)."""
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    return np.full((height, width), 16, np.uint8), grey, grey.copy()


class Overlay:
    """Draws results onto their pictures; remembers the curves of valence and arousal."""

    def __init__(self, spec: ModelSpec, *, length_s: float | None = None) -> None:
        """Set up.

        Args:
            spec: of the model whose results are drawn: its labels and thresholds.
            length_s: of the source, from the first result to the last, s: the charts are as long. None: not known,
                they show the last 16 s.
        """
        self._labels = spec.labels
        self._length_s = length_s if length_s is not None and math.isfinite(length_s) and length_s > 0 else None
        self._start_s: float | None = None
        self._traces: dict[int, Trace] = {}
        self._panels = FacePanels(spec)
        self._board: Board | None = None
        self._geometry = (0, 0)
        self._panel_planes: Planes | None = None
        self._sides: Sides = SIDES_BT709

    def draw(self, result: FrameResult) -> UInt8:
        """The picture with boxes, enlarged where it is small, and the panels to its right; RGB (H, W, 3), even sides.

        All pictures of one video come out in the size that the first one gave; others are fitted in.

        Raises:
            ValueError: the result holds no picture; stream with ``keep_images=True``.
        """
        if result.image is None:
            raise ValueError("the result holds no image; call stream(..., keep_images=True)")
        board = self._drawn_board(result, result.image.shape[0], result.image.shape[1])
        out_height, out_width = self._geometry
        canvas = np.zeros((out_height, out_width + board.image.shape[1], 3), np.uint8)
        canvas[:, out_width:] = board.image
        size, scale = self._fitted(result.image.shape[0], result.image.shape[1])
        picture = canvas[: size[1], : size[0]]
        _resized(result.image, picture)
        for face in result.faces:
            hidden = self._panels.hidden(face)
            mark_face(RgbCanvas(picture), face, hidden, scale / result.reduced, out_height / 720)
        return canvas

    def draw_planes(
        self, result: FrameResult, picture: Picture, onto: Callable[[int, int], Planes] = own_planes
    ) -> DrawnPlanes:
        """The same as :meth:`draw` of a picture as it was decoded, for an encoder: nothing is turned into RGB.

        Only what differs from the frame before is drawn in the panels. The result's own image is not looked at.

        Args:
            onto: gives the planes to draw on, of a height and a width; whatever was in them is drawn over.
        """
        height, width = picture.shape
        board = self._drawn_board(result, height, width)
        if self._panel_planes is None and isinstance(picture, YuvPicture):
            self._sides = picture.colours.sides
        panel = self._drawn_panel(board)
        out_height, out_width = self._geometry
        planes = onto(out_height, out_width + board.image.shape[1])
        for plane, part, small in zip(planes, panel, (1, 2, 2), strict=True):
            plane[:, out_width // small :] = part
        size, scale = self._fitted(height, width)
        shown = self._show(picture, (even(size[0]), even(size[1])), planes)
        for face in result.faces:
            hidden = self._panels.hidden(face)
            mark_face(PlanesCanvas(shown, self._sides), face, hidden, scale / result.reduced, out_height / 720)
        return DrawnPlanes(planes, self._sides)

    def _drawn_panel(self, board: Board) -> Planes:
        """The panels in planes, of which only that is made which has changed."""
        changed = board.changed()
        if self._panel_planes is None:
            self._panel_planes = planes_of_rgb(board.image, self._sides)
            return self._panel_planes
        for x, y, across, down in changed:
            left, top = x - x % 2, y - y % 2
            right, bottom = x + across + (x + across) % 2, y + down + (y + down) % 2
            fresh = planes_of_rgb(board.image[top:bottom, left:right], self._sides)
            for plane, part, small in zip(self._panel_planes, fresh, (1, 2, 2), strict=True):
                at_x, at_y = left // small, top // small
                plane[at_y : at_y + part.shape[0], at_x : at_x + part.shape[1]] = part
        return self._panel_planes

    def _show(self, picture: Picture, size: tuple[int, int], planes: Planes) -> list[UInt8]:
        """Put a picture into planes; the parts of them that hold it."""
        out_height, out_width = self._geometry
        usable = isinstance(picture, YuvPicture) and picture.colours.sides == self._sides
        if usable and isinstance(picture, YuvPicture) and not picture.colours.full_range:
            parts = picture.planes
        else:
            parts = planes_of_rgb(picture.rgb(), self._sides)
        found = []
        for plane, part, small, black in zip(planes, parts, (1, 2, 2), (16, 128, 128), strict=True):
            if size != (out_width, out_height):
                plane[:, : out_width // small] = black
            place = plane[: size[1] // small, : size[0] // small]
            _resized(part, place)
            found.append(place)
        return found

    def _fitted(self, height: int, width: int) -> tuple[tuple[int, int], float]:
        """Width and height that a picture is drawn in, and how many times its size that is."""
        out_height, out_width = self._geometry
        scale = min(out_height / height, out_width / width)
        return (
            min(out_width, max(2, round(width * scale))),
            min(out_height, max(2, round(height * scale))),
        ), scale

    def _drawn_board(self, result: FrameResult, height: int, width: int) -> Board:
        """The panels."""
        if self._board is None:
            most = min(MAX_SIZE[0] / width, MAX_SIZE[1] / height)
            enlarge = min(max(1, round(MIN_HEIGHT / height)), max(1, int(most))) if most >= 1 else most
            out_height = _up_to_even(max(MIN_PANEL_HEIGHT, round(height * enlarge)))
            out_width = _up_to_even(max(2, round(width * enlarge)))
            across = PANEL_WIDTH * min(out_height, UPRIGHT * out_width)
            if out_width >= out_height:
                across = PANEL_WIDTH * out_height
            self._geometry = out_height, out_width
            self._board = Board(out_height, _up_to_even(max(MIN_PANEL_WIDTH, round(across))))
        timed = math.isfinite(result.time_s)
        time_s = result.time_s if timed else result.index / FRAMES_A_SECOND
        span = self._span(time_s, timed=timed)
        self._remember(result, time_s, span)
        self._draw_panels(self._board, result, time_s, span)
        return self._board

    def _span(self, time_s: float, *, timed: bool) -> Span:
        """What the charts show at this moment."""
        if self._start_s is None:
            self._start_s = time_s
        if self._length_s is None:
            return Span(time_s - WINDOW_S, WINDOW_S, moves=True, timed=timed)
        self._start_s = min(self._start_s, time_s)  # clocks go back
        self._length_s = max(self._length_s, time_s - self._start_s)  # containers are wrong
        return Span(self._start_s, self._length_s, moves=False, timed=timed)

    def _remember(self, result: FrameResult, time_s: float, span: Span) -> None:
        for trace in self._traces.values():  # times that run backwards start again
            trace.forget(after_s=time_s)
        for face in result.faces:
            trace = self._traces.setdefault(face.track_id, Trace())
            trace.add(time_s, face.affect.valence, face.affect.arousal, span.length_s / BINS)
        if span.moves:
            for track_id, trace in list(self._traces.items()):
                trace.forget(before_s=span.start_s)
                if not trace.points:
                    del self._traces[track_id]

    def _draw_panels(self, board: Board, result: FrameResult, time_s: float, span: Span) -> None:
        height, width = board.image.shape[:2]
        text = max(LEAST_PX, round(TYPE * width))
        top, legend = round(2.2 * text), round(2.0 * text)
        room = height - top - legend
        faces = sorted(result.faces, key=lambda face: -face.box[2] * face.box[3])
        faces = sorted(faces[: min(MAX_PANELS, room // least_height(text))], key=lambda face: face.track_id)
        board.arrange(len(faces))
        told = [f"frame {result.index}"]
        if span.timed:
            told.append(clock(time_s) if span.moves else f"{clock(time_s)} of {clock(span.length_s)}")
        more = len(result.faces) - len(faces)
        note = f"+ {more} smaller" if more else ""

        def head(area: UInt8) -> None:
            write(area, "   ".join(told), text, 1.5 * text, text, DIM)
            write(area, note, width - text, 1.5 * text, text, DIM, right=True)

        board.put((0, 0, width, top), (*told, note), head)
        if not faces:
            board.put((0, top, width, 3 * text), "", lambda area: write(area, "no face", text, 2 * text, text + 4, DIM))
            return
        cell = room // len(faces)
        plan = plan_panel(self._labels, width, cell, text)
        for k, face in enumerate(faces):
            y = top + k * cell
            trace = self._traces.get(face.track_id) if self._labels.valence_arousal else None
            self._panels.draw(board, y, plan, Shown(face, trace, span, time_s))
        board.put((0, height - legend, width, legend), "legend", lambda area: self._legend(area, text))

    def _legend(self, area: UInt8, text: int) -> None:
        """What bars, lines and dashes mean."""
        base, x = round(1.3 * text), text
        high, thick = round(0.72 * text), max(1, text // 8)
        if self._labels.action_units:
            fill(area[base - high - 1 : base + 2, x : x + thick], TEXT)
            x += text // 2
            write(area, "threshold", x, base, text, DIM)
            x += text_width("threshold", text) + text
            write(area, "bright: active", x, base, text, TEXT)
            x += text_width("bright: active", text) + text
        draw_hidden_bar(area, (x, base - high, 2 * text, high))
        write(area, "not visible", x + 2 * text + text // 2, base, text, DIM)


def _up_to_even(value: int) -> int:
    return value + value % 2  # yuv420p halves both sides


def _resized(image: UInt8, place: UInt8) -> None:
    """Into a part of a picture: blended where it is enlarged, averaged where it is shrunk."""
    size = place.shape[1], place.shape[0]
    if image.shape[:2] == place.shape[:2]:
        place[:] = image
        return
    way = cv2.INTER_LINEAR if size[0] > image.shape[1] else cv2.INTER_AREA
    cv2.resize(image, size, dst=place, interpolation=way)
