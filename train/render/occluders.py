"""What hides a face: drawn over the picture in layers whose coverage is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Something before the face."""

    kind: str
    alpha: Array
    """(S, S) float32: what it hides."""
    colour: Array
    """(S, S, 3) float32, 0..255."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where things are in the picture, px."""

    size: int
    landmark5: Array
    """(5, 2)."""
    outline: Array
    """(2 N, 2) the lower face: its left half from the nose to the chin, then the right half."""
    skin: Array
    """(3,) 0..255."""

    @property
    def unit(self) -> float:
        """Distance of the eyes, or of eyes and mouth where the head is turned."""
        eyes, mouth = self.landmark5[:2], self.landmark5[3:].mean(0)
        return max(float(np.linalg.norm(eyes[1] - eyes[0])), 0.9 * float(np.linalg.norm(mouth - eyes.mean(0))), 4.0)


def occluder(rng: np.random.Generator, place: Place, kind: str | None = None) -> Layer:
    """Draw one by lot."""
    name = kind or str(rng.choice(list(KINDS), p=_SHARES))
    alpha, colour = KINDS[name](rng, place)
    return Layer(name, np.clip(alpha, 0, 1).astype(np.float32), np.asarray(colour, np.float32))


def _mask(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    half = len(place.outline) // 2
    left, right = place.outline[:half], place.outline[half:]
    drop = rng.uniform(-0.05, 0.35) * place.unit if rng.random() < 0.4 else 0.0
    ring = np.concatenate([left, right[::-1]]) + rng.normal(0, 0.03 * place.unit, (2 * half, 2))
    middle = ring.mean(0)
    ring = middle + (ring - middle) * rng.uniform(1.0, 1.1)
    ring[[0, -1], 1] += drop
    alpha = _filled(place.size, ring, 0.8)
    if rng.random() < 0.7:
        for corner in (left[3], right[3]):
            out = corner + (corner - middle) * 0.5
            cv2.line(alpha, _px(corner), _px(out), 1.0, max(int(0.03 * place.unit), 1), cv2.LINE_AA)
    tint = rng.choice([0, 1, 2, 3])
    colour = [
        rng.uniform(200, 255, 3),
        np.asarray([150, 190, 220]) + rng.normal(0, 15, 3),
        rng.uniform(0, 60, 3),
        rng.uniform(0, 255, 3),
    ][tint]
    return alpha, _shaded(rng, place.size, colour, folds=rng.random() < 0.6)


def _hand(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """Fingers and a palm."""
    alpha = np.zeros((place.size, place.size), np.float32)
    target = (
        place.landmark5[[0, 1, 2, 3, 4]][int(rng.integers(5))] if rng.random() < 0.4 else place.landmark5[3:].mean(0)
    )
    angle = rng.uniform(-np.pi, np.pi)
    along = np.asarray([np.cos(angle), np.sin(angle)])
    across = np.asarray([-along[1], along[0]])
    thick = place.unit * rng.uniform(0.20, 0.32)
    for k in range(int(rng.integers(1, 5))):
        tip = target + across * thick * (k - 1.3) * 1.05 + along * rng.normal(0, 0.15) * place.unit
        root = tip + along * place.unit * rng.uniform(0.8, 1.4) + across * rng.normal(0, 0.06) * place.unit
        cv2.line(alpha, _px(tip), _px(root), 1.0, max(int(thick), 1), cv2.LINE_AA)
    palm = target + along * place.unit * 1.6
    cv2.ellipse(
        alpha,
        _px(palm),
        (int(place.unit * 0.75), int(place.unit * 0.6)),
        np.degrees(angle),
        0,
        360,
        1.0,
        -1,
        cv2.LINE_AA,
    )
    skin = place.skin * rng.uniform(0.75, 1.25) if rng.random() < 0.8 else rng.uniform(0, 255, 3)
    shade = cv2.GaussianBlur(alpha, (0, 0), max(thick * 0.25, 0.6))[..., None]
    return alpha, np.clip(_shaded(rng, place.size, skin, folds=False) * (0.45 + 0.6 * shade), 0, 255)


def _microphone(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    alpha = np.zeros((place.size, place.size), np.float32)
    radius = place.unit * rng.uniform(0.18, 0.42)
    centre = place.landmark5[3:].mean(0) + rng.normal(0, 0.25, 2) * place.unit + [0, 0.35 * radius]
    foot = centre + np.asarray([rng.normal(0, 0.9), 3]) * place.unit
    cv2.line(alpha, _px(centre), _px(foot), 1.0, max(int(radius * 0.8), 1), cv2.LINE_AA)
    cv2.circle(alpha, _px(centre), max(int(radius), 1), 1.0, -1, cv2.LINE_AA)
    colour = np.full(3, rng.uniform(5, 110)) if rng.random() < 0.7 else rng.uniform(0, 255, 3)
    return alpha, _shaded(rng, place.size, colour, folds=False)


def _strands(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """Hair that hangs into the face."""
    alpha = np.zeros((place.size, place.size), np.float32)
    eye = place.landmark5[int(rng.integers(2))]
    start = eye + np.asarray([rng.normal(0, 0.3), -1.5]) * place.unit
    for _ in range(int(rng.integers(5, 40))):
        bend = rng.normal(0, 0.3, 2) * place.unit
        end = eye + rng.normal(0, 0.25, 2) * place.unit + [0, rng.uniform(0, 1.2) * place.unit]
        points = np.stack([start + rng.normal(0, 0.2, 2) * place.unit, (start + end) / 2 + bend, end])
        t = np.linspace(0, 1, 12)[:, None]
        curve = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
        cv2.polylines(alpha, [np.round(curve).astype(np.int32)], False, 1.0, int(rng.integers(1, 4)), cv2.LINE_AA)
    return alpha, _shaded(rng, place.size, rng.uniform(5, 120) * np.asarray([1, 0.85, 0.7]), folds=False)


def _edge(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """The picture ends in the face."""
    y, x = np.mgrid[0 : place.size, 0 : place.size].astype(np.float32)
    eyes, nose, mouth = place.landmark5[:2].mean(0), place.landmark5[2], place.landmark5[3:].mean(0)
    side = str(rng.choice(["below", "above", "left", "right"], p=[0.5, 0.2, 0.15, 0.15]))
    if side == "below":
        alpha = y > nose[1] + rng.uniform(-0.25, 1.1) * (mouth[1] - nose[1])
    elif side == "above":
        alpha = y < eyes[1] + rng.uniform(-0.55, 0.4) * place.unit
    else:
        sign = 1 if side == "right" else -1
        alpha = sign * (x - nose[0]) > rng.uniform(-0.2, 0.45) * place.unit
    fill = float(rng.choice([0.0, 0.0, 255.0, rng.uniform(0, 255)]))
    return alpha.astype(np.float32), np.full((place.size, place.size, 3), fill)


def _other_head(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """The back or side of another head, out of focus."""
    alpha = np.zeros((place.size, place.size), np.float32)
    centre = place.landmark5.mean(0) + rng.choice([-1, 1]) * np.asarray([rng.uniform(0.7, 1.6), 0]) * place.unit
    centre = centre + np.asarray([0, rng.uniform(-0.2, 1.2)]) * place.unit
    cv2.ellipse(
        alpha,
        _px(centre),
        (int(place.unit * 1.0), int(place.unit * 1.35)),
        rng.uniform(-20, 20),
        0,
        360,
        1.0,
        -1,
        cv2.LINE_AA,
    )
    soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 4)))
    colour = rng.uniform(5, 90, 3) if rng.random() < 0.6 else place.skin * rng.uniform(0.5, 1.2)
    return soft, _shaded(rng, place.size, colour, folds=rng.random() < 0.5)


def _thing(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """A disc, a box, a telephone, a book."""
    alpha = np.zeros((place.size, place.size), np.float32)
    centre = place.landmark5[int(rng.integers(5))] + rng.normal(0, 0.4, 2) * place.unit
    if rng.random() < 0.4:
        cv2.circle(alpha, _px(centre), max(int(place.unit * rng.uniform(0.15, 0.6)), 1), 1.0, -1, cv2.LINE_AA)
    else:
        box = cv2.boxPoints(
            (
                tuple(map(float, centre)),
                tuple(map(float, rng.uniform(0.2, 1.6, 2) * place.unit)),
                float(rng.uniform(0, 90)),
            )
        )
        alpha = _filled(place.size, box, 0.6)
    return alpha, _shaded(rng, place.size, rng.uniform(0, 255, 3), folds=rng.random() < 0.3)


def _scarf(rng: np.random.Generator, place: Place) -> tuple[Array, Array]:
    """Cloth over everything below a wavy line."""
    y, x = np.mgrid[0 : place.size, 0 : place.size].astype(np.float32)
    nose, mouth = place.landmark5[2], place.landmark5[3:].mean(0)
    line = nose[1] + rng.uniform(-0.1, 1.2) * (mouth[1] - nose[1])
    line = line + 0.08 * place.unit * np.sin(x / place.unit * rng.uniform(1, 5) + rng.uniform(0, 6))
    return np.clip(y - line, 0, 1), _shaded(rng, place.size, rng.uniform(0, 255, 3), folds=True)


KINDS: dict[str, Callable[[np.random.Generator, Place], tuple[Array, Array]]] = {
    "mask": _mask,
    "hand": _hand,
    "microphone": _microphone,
    "strands": _strands,
    "edge": _edge,
    "other_head": _other_head,
    "thing": _thing,
    "scarf": _scarf,
}
_SHARES = (0.22, 0.2, 0.11, 0.07, 0.16, 0.07, 0.12, 0.05)


def _filled(size: int, ring: Array, blur: float) -> Array:
    canvas = np.zeros((size, size), np.float32)
    cv2.fillPoly(canvas, [np.round(ring * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=4)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), blur), np.float32)


def _shaded(rng: np.random.Generator, size: int, colour: Array, *, folds: bool) -> Array:
    """A colour that light falls on unevenly."""
    rough = rng.random((5, 5)).astype(np.float32)
    shade = 0.75 + 0.5 * cv2.resize(rough, (size, size), interpolation=cv2.INTER_CUBIC)
    if folds:
        y, x = np.mgrid[0:size, 0:size].astype(np.float32)
        angle = rng.normal(np.pi / 2, 0.4)
        shade = shade * (1 + 0.12 * np.sin((np.cos(angle) * x + np.sin(angle) * y) * rng.uniform(0.25, 1.2)))
    return np.asarray(np.clip(shade[..., None] * np.asarray(colour), 0, 255), np.float32)


def _px(point: Array) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
