"""Pictures of one face on which labels show: every label is drawn where a small network learns it in seconds.

The face is that of samples/astronaut.mp4 (NASA, public domain), which the packaged detector finds whatever is drawn on
it. All labels show at once and do not touch each other, so a network that was trained on one set's labels can be
measured on any other's. What is drawn is symmetric about the middle of the face, as training mirrors it.

========================= ===========================================================================================
action unit               a soft dark or bright spot, or a pair of them, at a place of its own; stronger where it is
expression                three bands of the forehead, each dark or bright: eight classes
valence                   brightness beside the cheeks
arousal                   brightness beside the jaw
========================= ===========================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from affectkit.align import similarity
from affectkit.sources.opening import open_source
from affectkit.spec import InputSpec
from affectkit.types import EXPRESSION_NAMES, Array, Float32, UInt8

SAMPLES = Path(__file__).parent.parent / "samples"
BASE_FRAME = 50
"""Where the face is largest: 65 px from eye to eye."""

CANVAS_PX = 208
EYES_PX = 46.0
"""From eye to eye on the canvas, the unit of every place below; (0, 0) is the middle between the eyes."""
MIDDLE_PX = (CANVAS_PX / 2, 80.0)

EIGHTH = ("other", "contempt")
"""Sets that have an eighth expression call it so; both look the same."""

Colour = tuple[float, float]
"""How much of the skin a spot hides, and its level."""
DARK, BRIGHT, OPEN = (0.45, 10.0), (0.85, 255.0), (0.6, 10.0)

SPOTS: dict[str, tuple[float, float, Colour]] = {
    "AU1": (0.20, -0.30, DARK),
    "AU2": (0.62, -0.32, BRIGHT),
    "AU4": (0.00, -0.05, DARK),
    "AU5": (0.96, -0.28, BRIGHT),
    "AU6": (0.62, 0.38, BRIGHT),
    "AU7": (0.96, 0.08, BRIGHT),
    "AU9": (0.00, 0.22, BRIGHT),
    "AU10": (0.26, 0.82, DARK),
    "AU12": (0.58, 0.80, DARK),
    "AU15": (0.46, 1.26, DARK),
    "AU17": (0.37, 0.57, DARK),
    "AU20": (0.66, 1.06, BRIGHT),
    "AU23": (0.00, 0.80, BRIGHT),
    "AU24": (0.00, 1.30, OPEN),
    "AU25": (0.00, 1.08, OPEN),
    "AU26": (0.25, 1.37, BRIGHT),
}
"""Right half of the face: x, y in distances of the eyes, and colour."""

SPOT_SIGMA = 0.09
FOREHEAD = ((0.0, 0.36), (0.36, 0.72), (0.72, 1.12))
"""x of the three bands; y is from -0.95 to -0.5."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a face shows."""

    au: Mapping[str, float] = field(default_factory=dict)
    """By label-file name (``AU1``), how much of it shows, 0 to 1; those not named do not."""
    expression: int = 0
    """0 to 7: EXPRESSION_NAMES, then :data:`EIGHTH`."""
    valence: float = 0.0
    arousal: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture and where its face is."""

    image: UInt8
    """RGB (H, W, 3)."""
    points: Float32
    """(5, 2) px: eyes, nose tip, mouth corners, left to right."""
    look: Look

    def points68(self) -> Float32:
        """(68, 2) px, in the usual order, of which the five points are: eyes 36-47, nose tip 30, mouth 48-67."""
        return _sixty_eight(self.points)


def random_look(rng: np.random.Generator, *, active: float = 0.3, expressions: int = 8) -> Look:
    """Every label drawn by itself, so that none says anything of another."""
    au = {name: float(rng.random() < active) for name in SPOTS}
    valence, arousal = rng.uniform(-1, 1, 2).round(3).tolist()
    return Look(au, int(rng.integers(expressions)), valence, arousal)


def expression_name(index: int, eighth: str = "other") -> str:
    """Name of an expression of a :class:`Look`."""
    return (*EXPRESSION_NAMES, eighth)[index]


def show(
    look: Look,
    rng: np.random.Generator,
    *,
    width: int = 176,
    height: int = 176,
    eyes_px: float = 34.0,
    aligned: InputSpec | None = None,
) -> Shown:
    """One picture of a face with this look, somewhere near the middle, a little turned, larger or smaller.

    Args:
        rng: decides what no label is about: place, size, angle, light, noise, and the shape of the face.
        eyes_px: from eye to eye, about.
        aligned: cut as this says instead, as sets do that give out aligned crops.
    """
    bend = _bend(rng)
    points = np.array([_forward(point, bend) for point in canvas_points()])
    if aligned is not None:
        width = height = aligned.size
        matrix = np.asarray(similarity(points, aligned.template_px()), np.float64)  # canvas -> picture
    else:
        scale = eyes_px / EYES_PX * float(np.exp(rng.uniform(-0.1, 0.1)))
        angle = float(np.deg2rad(rng.uniform(-8, 8)))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.array([(width - 1) / 2, (height - 1) / 2]) + rng.uniform(-0.25, 0.25, 2) * eyes_px
        # The middle of what a network sees is half an eye distance under the eyes.
        matrix = np.column_stack([turn, centre - turn @ (MIDDLE_PX[0], MIDDLE_PX[1] + 0.5 * EYES_PX)])
    image = _remapped(_painted(look), matrix, bend, width, height)
    return Shown(_light(image, rng), (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32), look)


@cache
def _base() -> tuple[UInt8, Float32]:
    """The upright face on the canvas, and its five points there."""
    landmarks = json.loads((SAMPLES / "astronaut.json").read_text())["landmarks"]
    points = np.array(landmarks[BASE_FRAME], np.float64)
    frame = next(frame for frame in open_source(SAMPLES / "astronaut.mp4").frames() if frame.index == BASE_FRAME)
    across = points[1] - points[0]
    distance = float(np.hypot(*across))
    cosine, sine = across / distance
    turn = EYES_PX / distance * np.array([[cosine, sine], [-sine, cosine]])
    matrix = np.column_stack([turn, np.array(MIDDLE_PX) - turn @ points[:2].mean(0)])
    image = cv2.warpAffine(
        frame.image, matrix, (CANVAS_PX, CANVAS_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    darker = 4 + 0.78 * image  # so that what is brighter than skin shows as well as what is darker
    return darker.astype(np.uint8), (points @ turn.T + matrix[:, 2]).astype(np.float32)


def canvas_points() -> Float32:
    """The five points of the face on the canvas."""
    return _base()[1]


@cache
def _masks() -> dict[str, Float32]:
    """How much of each label's colour lies over each pixel of the canvas, (C, C) in 0..1."""
    y, x = np.mgrid[:CANVAS_PX, :CANVAS_PX]
    x, y = np.abs(x - MIDDLE_PX[0]) / EYES_PX, (y - MIDDLE_PX[1]) / EYES_PX
    masks = {
        name: np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * SPOT_SIGMA**2))
        for name, (at_x, at_y, _) in SPOTS.items()
    }
    for k, (left, right) in enumerate(FOREHEAD):
        masks[f"forehead {k}"] = _box(x, y, left, right, -0.95, -0.5)
    masks["valence"] = _box(x, y, 0.84, 1.22, 0.25, 0.78)
    masks["arousal"] = _box(x, y, 0.84, 1.22, 0.95, 1.48)
    return {name: mask.astype(np.float32) for name, mask in masks.items()}


def _box(x: Array, y: Array, left: float, right: float, top: float, bottom: float, soft: float = 0.04) -> Array:
    def between(values: Array, low: float, high: float) -> Array:
        return 1 / (1 + np.exp(-(values - low) / soft)) / (1 + np.exp((values - high) / soft))

    return between(x, left if left else -9.0, right) * between(y, top, bottom)


def _painted(look: Look) -> UInt8:
    """The canvas with everything that the look shows."""
    drawn: dict[str, tuple[float, float]] = {}
    for name, strength in look.au.items():
        cover, level = SPOTS[name][2]
        drawn[name] = cover * strength, level
    for k in range(3):
        drawn[f"forehead {k}"] = (0.6, 205 if look.expression >> k & 1 else 50)
    drawn["valence"] = (0.7, 128 + 105 * look.valence)
    drawn["arousal"] = (0.7, 128 + 105 * look.arousal)
    masks = _masks()
    hidden = np.zeros((CANVAS_PX, CANVAS_PX), np.float32)
    colour = np.zeros_like(hidden)
    for name, (strength, level) in drawn.items():
        part = np.float32(strength) * masks[name]
        hidden += part
        colour += part * np.float32(level)
    image = _base()[0] * (1 - np.minimum(hidden, 1))[..., None] + colour[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def _bend(rng: np.random.Generator) -> Float32:
    """(C, C, 2) px: how the canvas is bent to another face, smooth and at most about 2 px."""
    coarse = rng.normal(0, 1.1, (4, 4, 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (CANVAS_PX, CANVAS_PX), interpolation=cv2.INTER_CUBIC), np.float32)


def _forward(point: Array, bend: Float32) -> Array:
    """Where a point of the painted canvas lies on the bent one: q with q + bend(q) = point."""
    at = np.asarray(point, np.float64)
    for _ in range(4):
        column, row = np.clip(np.round(at), 0, CANVAS_PX - 1).astype(int)
        at = point - bend[row, column]
    return at


def _remapped(canvas: UInt8, matrix: Array, bend: Float32, width: int, height: int) -> UInt8:
    inverse = cv2.invertAffineTransform(matrix)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at_x = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]).astype(np.float32)
    at_y = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]).astype(np.float32)
    bent = cv2.remap(bend, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(
        cv2.remap(canvas, at_x + bent[..., 0], at_y + bent[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


def _light(image: UInt8, rng: np.random.Generator) -> UInt8:
    """Another brightness, contrast and noise."""
    contrast, brightness = rng.uniform(0.85, 1.1), rng.uniform(-12, 20)
    noise = rng.normal(0, 3, image.shape[:2]).astype(np.float32)[..., None]
    return np.clip(
        (image - np.float32(128)) * np.float32(contrast) + np.float32(128 + brightness) + noise, 0, 255
    ).astype(np.uint8)


def _sixty_eight(five: Float32) -> Float32:
    """The 68 points of which these are the five: on circles around the eyes, and on an ellipse around the mouth."""
    left, right, nose, *mouth = np.asarray(five, np.float64)
    across = right - left
    down = np.array([-across[1], across[0]])  # as far as the eyes are apart
    points = np.zeros((68, 2))
    turn = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    for first, eye in ((36, left), (42, right)):
        points[first : first + 6] = eye - np.outer(np.cos(turn), across) * 0.15 - np.outer(np.sin(turn), down) * 0.06
    middle, half = (mouth[0] + mouth[1]) / 2, (mouth[1] - mouth[0]) / 2
    for first, count, size in ((48, 12, 1.0), (60, 8, 0.8)):
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
        points[first : first + count] = (
            middle - np.outer(np.cos(turn), half) * size - np.outer(np.sin(turn), down) * 0.12 * size
        )
    points[27:31] = np.linspace((left + right) / 2, nose, 4)
    points[31:36] = nose + 0.08 * down + np.outer(np.linspace(-0.15, 0.15, 5), across)
    for first, eye in ((17, left), (22, right)):
        points[first : first + 5] = eye - 0.3 * down + np.outer(np.linspace(-0.3, 0.3, 5), across)
    jaw = np.linspace(np.pi, 0, 17)
    eyes = (left + right) / 2
    points[:17] = eyes + np.outer(np.cos(jaw), across) * 1.1 + np.outer(np.sin(jaw), down) * 1.65
    return points.astype(np.float32)
