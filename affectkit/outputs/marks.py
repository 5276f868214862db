"""What is drawn onto a face in the picture: its box, its points and who it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from affectkit.face_results import Face
from affectkit.outputs.canvas import Canvas
from affectkit.outputs.drawing import BACKGROUND, number, of_identity
from affectkit.outputs.lettering import LEAST_PX, Colour, sprite

INK: Colour = (0, 0, 0)
"""Of letters on an identity's colour."""

DASH = 5
"""Length of a dash of a broken line, in thicknesses of the line."""

POINT_REGIONS = (1, 1, None, 2, 2)
"""Where each of the five points lies, by number among brows, eyes and mouth; the nose lies in none of them."""


def mark_face(canvas: Canvas, face: Face, hidden: Sequence[bool], scale: float, unit: float) -> None:
    """The box of a face, broken where nothing is said of it; its points, rings where they are hidden; its label.

    Args:
        hidden: whether brows, eyes and mouth cannot be seen; empty: not known.
        scale: from the pixels that the box is in to those of the canvas.
        unit: how much larger than 720 pixels high the whole is.
    """
    colour = of_identity(face.track_id)
    unsaid = bool(face.affect.labels.expressions) and not face.affect.expression
    x, y, width, height = (side * scale for side in face.box)
    thick = 2 * max(1, round(0.75 * unit))
    left, top, right, bottom = (even(side) for side in (x, y, x + width, y + height))
    for place, long, upright in (
        ((left, top), right + thick - left, False),
        ((left, bottom), right + thick - left, False),
        ((left, top), bottom + thick - top, True),
        ((right, top), bottom + thick - top, True),
    ):
        _line(canvas, place, long, thick, colour, upright=upright, broken=unsaid)
    radius = max(2, round(2.2 * unit))
    for point, region in zip(face.landmarks, POINT_REGIONS, strict=True):
        if np.isfinite(point).all():
            px, py = (point * scale).tolist()
            canvas.disc(px, py, radius, colour)
            if region is not None and hidden and hidden[region]:
                canvas.disc(px, py, radius - 1, BACKGROUND)
    _label(canvas, face, (left, top, bottom), unit, colour)


def _line(
    canvas: Canvas, place: tuple[int, int], long: int, thick: int, colour: Colour, *, upright: bool, broken: bool
) -> None:
    x, y = place
    dash, step = (DASH * thick, 2 * DASH * thick) if broken else (long, max(1, long))
    for start in range(0, long, step):
        end = min(start + dash, long)
        if upright:
            canvas.fill(x, y + start, x + thick, y + end, colour)
        else:
            canvas.fill(x + start, y, x + end, y + thick, colour)


def _label(canvas: Canvas, face: Face, box: tuple[int, int, int], unit: float, colour: Colour) -> None:
    """Number, expression and its probability, over the box, or below it, and always in the picture."""
    left, top, bottom = box
    affect = face.affect
    text = str(face.track_id)
    if affect.expression:
        text += f" {affect.expression} {number(float(affect.expression_probabilities.max()))}"
    size = max(LEAST_PX + 2, round(15 * unit))
    letters = sprite(text, size, INK, colour)
    pad = even(size / 3)
    across, high = even(letters.shape[1] + 2 * pad + 1), even(letters.shape[0] + 1)  # rounded up
    width, height = canvas.size
    y = top - high if top >= high else bottom + 2 * max(1, round(0.75 * unit))
    y, x = max(0, min(y, even(height - high))), max(0, min(left, even(width - across)))
    canvas.fill(x, y, x + across, y + high, colour)
    canvas.stamp(letters, x + pad, y)


def even(value: float) -> int:
    """The first of the two pixels that share a colour, and one of which holds this place."""
    return 2 * math.floor(value / 2)
