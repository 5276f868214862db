"""Folds of the skin: grooves painted in front view, each deepened by the units that fold it.

The map covers x from -1 to 1 and y from 6 to 8 dm of the base head. Of a brow that is drawn together a network reads
the furrow more than the few millimetres; so the furrows come with the units, differently on each face, and are also
there at rest on the old, where they must not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.train.render.people import Person
from affectkit.types import Array, UInt8

MAP_PX = 256
_SCALE = MAP_PX / 2.0


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines on the person's left (x > 0), or across the middle."""

    lines: tuple[tuple[tuple[float, float], ...], ...]
    by: Mapping[str, float]
    """Unit -> depth at full strength."""
    width: float = 0.016
    """dm."""
    sided: bool = True
    rest: float = 0.5
    """How much of it the old have at rest."""


def _fan(x: float, y: float, reach: float, angles: tuple[float, ...]) -> tuple[tuple[tuple[float, float], ...], ...]:
    lines = []
    for angle in angles:
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        lines.append(tuple((x + r * c, y + r * s - 0.25 * r * r) for r in (0.0, reach / 2, reach)))
    return tuple(lines)


FOLDS: dict[str, Fold] = {
    "forehead_middle": Fold(
        (
            ((-0.24, 7.66), (0, 7.63), (0.24, 7.66)),
            ((-0.26, 7.76), (0, 7.73), (0.26, 7.76)),
            ((-0.22, 7.86), (0, 7.84), (0.22, 7.86)),
        ),
        {"AU1": 0.8, "AU2": 0.25},
        sided=False,
        rest=0.8,
    ),
    "forehead_side": Fold(
        (
            ((0.2, 7.66), (0.38, 7.68), (0.56, 7.62)),
            ((0.22, 7.76), (0.4, 7.78), (0.58, 7.72)),
            ((0.24, 7.86), (0.44, 7.86)),
        ),
        {"AU2": 0.9, "AU1": 0.15},
        rest=0.6,
    ),
    "brow_furrow": Fold(
        (((0.045, 7.33), (0.06, 7.42), (0.055, 7.52)), ((0.11, 7.38), (0.105, 7.46))),
        {"AU4": 1.0, "AU9": 0.25},
        width=0.014,
        rest=0.7,
    ),
    "brow_oblique": Fold(
        (((0.12, 7.50), (0.22, 7.56), (0.34, 7.57)),), {"AU1+AU4": 0.7, "AU4": 0.15}, width=0.014, rest=0.1
    ),
    "nose_root": Fold(
        (((-0.08, 7.27), (0, 7.255), (0.08, 7.27)), ((-0.07, 7.21), (0, 7.20), (0.07, 7.21))),
        {"AU9": 0.9, "AU4": 0.25},
        sided=False,
        rest=0.3,
    ),
    "nose_side": Fold(
        (((0.05, 7.15), (0.10, 7.10), (0.14, 7.03)), ((0.06, 7.21), (0.13, 7.17), (0.18, 7.11))),
        {"AU9": 1.0},
        rest=0.15,
    ),
    "crows_feet": Fold(
        _fan(0.475, 7.28, 0.13, (35, 8, -18, -42)), {"AU6": 1.0, "AU7": 0.15, "AU43": 0.1}, width=0.012, rest=0.7
    ),
    "under_eye": Fold(
        (((0.17, 7.215), (0.29, 7.175), (0.43, 7.205)), ((0.2, 7.175), (0.31, 7.135), (0.44, 7.16))),
        {"AU6": 0.7, "AU7": 0.7},
        width=0.013,
        rest=0.7,
    ),
    "cheek": Fold((((0.2, 7.06), (0.32, 6.98), (0.46, 7.02), (0.55, 7.1)),), {"AU6": 0.6}, width=0.035, rest=0.25),
    "nasolabial": Fold(
        (((0.15, 6.93), (0.21, 6.83), (0.28, 6.72), (0.31, 6.6)),),
        {"AU12": 1.0, "AU6": 0.2, "AU10": 0.5, "AU20": 0.2, "AU9": 0.3, "AU15": 0.15},
        width=0.02,
        rest=0.9,
    ),
    "nasolabial_top": Fold(
        (((0.13, 6.98), (0.18, 6.91), (0.23, 6.80)),), {"AU10": 1.0, "AU9": 0.9}, width=0.02, rest=0.2
    ),
    "corner_arc": Fold(
        (((0.28, 6.68), (0.315, 6.62), (0.30, 6.55)),), {"AU14": 1.0, "AU12": 0.5, "AU20": 0.35}, rest=0.2
    ),
    "marionette": Fold((((0.235, 6.57), (0.265, 6.48), (0.255, 6.39)),), {"AU15": 1.0, "AU17": 0.2}, rest=0.7),
    "chin_line": Fold(
        (((-0.14, 6.43), (0, 6.46), (0.14, 6.43)),), {"AU17": 1.0, "AU15": 0.3}, width=0.022, sided=False, rest=0.4
    ),
    "chin_pits": Fold((), {"AU17": 1.0}, sided=False, rest=0.1),
    "lip_lines": Fold(
        tuple(((x, 6.70), (x * 1.15, 6.76)) for x in (-0.12, -0.07, -0.02, 0.03, 0.08, 0.13))
        + tuple(((x, 6.47), (x * 1.1, 6.42)) for x in (-0.09, -0.03, 0.03, 0.09)),
        {"AU18": 0.9, "AU23": 0.6, "AU24": 0.4},
        width=0.01,
        sided=False,
        rest=0.5,
    ),
    "lip_edge": Fold(
        (((-0.2, 6.70), (0, 6.735), (0.2, 6.70)), ((-0.17, 6.47), (0, 6.445), (0.17, 6.47))),
        {"AU24": 0.8, "AU23": 0.5},
        width=0.02,
        sided=False,
        rest=0.05,
    ),
    "stretch": Fold(
        (((0.30, 6.66), (0.36, 6.56), (0.35, 6.44)), ((0.39, 6.6), (0.41, 6.48))), {"AU20": 0.9}, width=0.018, rest=0.2
    ),
}


def fold_maps(person: Person) -> dict[str, Array]:
    """The person's grooves: (MAP_PX, MAP_PX) float32 heights, negative in the groove, by fold and side."""
    rng = np.random.default_rng([person.bump_seed, 7])
    maps: dict[str, Array] = {}
    for name, fold in FOLDS.items():
        lines = [_wavered(rng, line) for line in fold.lines if rng.random() > 0.15] or [
            list(line) for line in fold.lines[:1]
        ]
        width, depth = fold.width * rng.uniform(0.6, 1.7), rng.uniform(0.4, 1.3)
        if name == "chin_pits":
            maps[name] = _pits(rng) * np.float32(depth)
        elif not fold.sided:
            maps[name] = _groove(lines, width) * np.float32(depth)
        else:
            maps[f"{name}_left"] = _groove(lines, width) * np.float32(depth)
            own = [_wavered(rng, tuple(line), 0.006) for line in lines]
            maps[f"{name}_right"] = _groove(own, width)[:, ::-1] * np.float32(depth * rng.uniform(0.7, 1.3))
    return maps


def fold_depths(person: Person, strengths: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """How deep each of ``fold_maps`` is at these strengths (left, right)."""
    found = {}
    for name, fold in FOLDS.items():
        depths = []
        for k in (0, 1):
            pulled = 0.0
            for unit, depth in fold.by.items():
                pulled += depth * min(strengths.get(part, (0.0, 0.0))[k] for part in unit.split("+"))
            depths.append(person.fold_gain * min(pulled, 1.3) ** 1.2 + 0.8 * person.fold_rest * fold.rest)
        if fold.sided:
            found[f"{name}_left"], found[f"{name}_right"] = depths
        else:
            found[name] = max(depths)
    return found


def fold_picture(maps: Mapping[str, Array], depths: Mapping[str, float]) -> UInt8:
    """RGBA: slope along x and y, and height, about 128."""
    height = np.zeros((MAP_PX, MAP_PX), np.float32)
    for name, field in maps.items():
        if depths[name] > 0.01:
            height += np.float32(depths[name]) * field
    down, across = np.gradient(height)
    out = np.empty((MAP_PX, MAP_PX, 4), np.uint8)
    for k, layer in enumerate((across * 1.6, -down * 1.6, height * 0.5)):
        out[..., k] = np.clip(127.5 + 127.5 * layer, 0, 255)
    out[..., 3] = 255
    return out


def to_map(points: Array) -> Array:
    """Pixels (N, 2) of the map of places (N, 2+) in dm."""
    return np.stack([(points[:, 0] + 1) * _SCALE, (8 - points[:, 1]) * _SCALE], 1)


def _wavered(
    rng: np.random.Generator, line: tuple[tuple[float, float], ...], by: float = 0.018
) -> list[tuple[float, float]]:
    shift = rng.normal(0, by, 2)
    return [(x + shift[0] + rng.normal(0, by / 3), y + shift[1] + rng.normal(0, by / 3)) for x, y in line]


def _groove(lines: list[list[tuple[float, float]]], width: float) -> Array:
    """A groove with a low wall on both sides."""
    sigma = max(width * _SCALE * 0.5, 0.5)
    curves = [to_map(_curve(np.asarray(line))) for line in lines]
    margin = int(8 * sigma) + 3
    low = np.clip(np.floor(np.concatenate(curves).min(0)).astype(int) - margin, 0, MAP_PX - 1)
    high = np.clip(np.ceil(np.concatenate(curves).max(0)).astype(int) + margin, 1, MAP_PX)
    canvas = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    for curve in curves:
        cv2.polylines(canvas, [np.round((curve - low) * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, shift=4)
    drawn = canvas.astype(np.float32) / 255
    narrow, wide = (cv2.GaussianBlur(drawn, (0, 0), s) for s in (sigma, 2.6 * sigma))
    peak = 1 / (np.sqrt(2 * np.pi) * sigma)
    groove = np.zeros((MAP_PX, MAP_PX), np.float32)
    groove[low[1] : high[1], low[0] : high[0]] = (-narrow + 0.9 * wide) / peak
    return groove


def _pits(rng: np.random.Generator) -> Array:
    y, x = np.mgrid[0:MAP_PX, 0:MAP_PX].astype(np.float32)
    place = to_map(np.asarray([[0.0, 6.35]]))[0]
    near = np.exp(-0.5 * (((x - place[0]) / (0.12 * _SCALE)) ** 2 + ((y - place[1]) / (0.09 * _SCALE)) ** 2))
    rough = cv2.GaussianBlur(rng.normal(0, 1, (MAP_PX, MAP_PX)).astype(np.float32), (0, 0), rng.uniform(1.6, 2.6))
    return np.asarray(near * rough / rough.std() * 0.3, np.float32)


def _curve(points: Array) -> Array:
    """A smooth line through up to four points."""
    if len(points) < 3:
        return points
    t = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, 16)
    degree = len(points) - 1
    return np.stack([np.polyval(np.polyfit(t, points[:, k], degree), fine) for k in (0, 1)], 1)
