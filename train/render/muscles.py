"""Simple muscles of our own: smooth displacements of the base head, in front view.

Each is a sum of bumps: a place, a width, and where the skin goes. Places in dm on MakeHuman's base mesh, given for the
person's left (x > 0); the right is its mirror image. They follow what the FACS manual says is seen, not any mesh.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectkit.types import Array

Bump = tuple[tuple[float, float], tuple[float, float], tuple[float, float, float]]
"""Place (x, y), widths (x, y), displacement (x, y, z), all dm."""

SIDED: dict[str, tuple[Bump, ...]] = {
    "inner_brow_up": (
        ((0.13, 7.43), (0.11, 0.12), (0.006, 0.06, 0.006)),
        ((0.10, 7.62), (0.14, 0.12), (0, 0.03, 0.004)),
    ),
    "outer_brow_up": (((0.42, 7.45), (0.15, 0.12), (0.004, 0.06, 0.0)), ((0.40, 7.65), (0.16, 0.13), (0, 0.03, 0.0))),
    "brow_together": (((0.17, 7.40), (0.10, 0.09), (-0.045, 0.0, 0.006)), ((0.05, 7.40), (0.05, 0.09), (0, 0, 0.022))),
    "brow_down": (
        ((0.17, 7.42), (0.15, 0.10), (-0.01, -0.06, 0.012)),
        ((0.36, 7.45), (0.14, 0.09), (-0.006, -0.035, 0.006)),
    ),
    "brow_middle_down": (((0.07, 7.38), (0.10, 0.10), (-0.008, -0.05, 0.01)),),
    "cheek_up": (
        ((0.34, 7.02), (0.17, 0.13), (0.0, 0.05, 0.025)),
        ((0.50, 7.17), (0.11, 0.12), (-0.02, 0.03, 0.012)),
        ((0.31, 7.20), (0.12, 0.05), (0.0, 0.02, 0.012)),
    ),
    "lower_lid_up": (
        ((0.31, 7.22), (0.12, 0.05), (-0.004, 0.03, 0.008)),
        ((0.44, 7.26), (0.06, 0.06), (-0.008, 0.0, 0.004)),
    ),
    "nose_wrinkle": (
        ((0.10, 7.10), (0.08, 0.12), (0.0, 0.035, 0.008)),
        ((0.14, 6.92), (0.08, 0.09), (0.012, 0.045, 0.0)),
        ((0.13, 6.74), (0.10, 0.07), (0.004, 0.018, 0.004)),
        ((0.07, 7.38), (0.10, 0.09), (-0.008, -0.028, 0.008)),
    ),
    "upper_lip_up": (
        ((0.12, 6.68), (0.09, 0.06), (0.006, 0.05, 0.006)),
        ((0.18, 6.84), (0.09, 0.10), (0.006, 0.032, 0.012)),
    ),
    "corner_pull": (
        ((0.24, 6.62), (0.10, 0.09), (0.065, 0.075, -0.05)),
        ((0.13, 6.62), (0.08, 0.06), (0.025, 0.012, -0.012)),
        ((0.36, 6.86), (0.15, 0.13), (0.012, 0.035, 0.035)),
    ),
    "corner_tight": (
        ((0.25, 6.61), (0.07, 0.07), (0.012, 0.008, -0.05)),
        ((0.32, 6.61), (0.06, 0.10), (-0.02, 0.0, 0.022)),
    ),
    "corner_down": (
        ((0.23, 6.60), (0.09, 0.08), (0.008, -0.06, -0.004)),
        ((0.24, 6.46), (0.09, 0.10), (0.006, -0.03, 0.006)),
        ((0.12, 6.62), (0.08, 0.05), (0.006, -0.015, 0.0)),
    ),
    "corner_back": (
        ((0.24, 6.60), (0.11, 0.09), (0.07, -0.012, -0.045)),
        ((0.13, 6.60), (0.09, 0.08), (0.032, -0.004, -0.012)),
        ((0.34, 6.50), (0.14, 0.16), (0.02, -0.02, 0.0)),
    ),
}

MIDDLE: dict[str, tuple[Bump, ...]] = {
    "chin_up": (
        ((0.0, 6.36), (0.16, 0.11), (0.0, 0.05, 0.012)),
        ((0.0, 6.53), (0.14, 0.07), (0.0, 0.045, 0.016)),
        ((0.0, 6.63), (0.16, 0.05), (0.0, 0.030, 0.008)),
    ),
    "lips_up": (((0.0, 6.64), (0.18, 0.09), (0.0, 0.05, 0.006)),),
}

LIP_Y = 6.606
"""Where the lips of the base mesh meet."""


def muscles(base: Array, jaw_open: Array) -> dict[str, Array]:
    """All of them on the vertices (V, 3): "own:corner_down_left", "own:chin_up", ...

    Args:
        base: (V, 3).
        jaw_open: (V, 3) what opens the mouth; it says which lip a vertex is of.
    """
    found: dict[str, Array] = {}
    for name, bumps in SIDED.items():
        left = _bumps(base, bumps)
        mirrored = _bumps(base * np.asarray([-1, 1, 1], np.float32), bumps) * np.asarray([-1, 1, 1], np.float32)
        found[f"own:{name}_left"], found[f"own:{name}_right"] = left, mirrored
    for name, bumps in MIDDLE.items():
        found[f"own:{name}"] = _bumps(base, bumps)
    found["own:lips_tight"] = _squeezed(base, height=0.45, width=0.12, back=0.022, roll=0.0)
    found["own:lips_pressed"] = _squeezed(base, height=0.62, width=-0.02, back=0.03, roll=0.016)
    found["own:lips_apart"] = _apart(base, jaw_open)
    return found


def _bumps(points: Array, bumps: Sequence[Bump]) -> Array:
    total = np.zeros_like(points)
    front = 1 / (1 + np.exp(-(points[:, 2] - 0.75) / 0.08))
    for (x, y), (wide, high), by in bumps:
        near = np.exp(-0.5 * (((points[:, 0] - x) / wide) ** 2 + ((points[:, 1] - y) / high) ** 2)) * front
        total += near[:, None].astype(np.float32) * np.asarray(by, np.float32)
    return total


def _squeezed(points: Array, *, height: float, width: float, back: float, roll: float) -> Array:
    """Lips made lower and narrower, and rolled in; the skin around them bulges by ``roll``."""
    x, y, z = points[:, 0], points[:, 1] - LIP_Y, points[:, 2]
    front = 1 / (1 + np.exp(-(z - 1.3) / 0.04))
    lips = np.exp(-((np.abs(x) / 0.24) ** 4)) * np.exp(-((np.abs(y) / 0.10) ** 4)) * front
    around = np.exp(-((x / 0.22) ** 2)) * (np.exp(-(((y - 0.15) / 0.05) ** 2)) + np.exp(-(((y + 0.16) / 0.05) ** 2)))
    by = np.stack([-width * x * lips, -height * y * lips, -back * lips + roll * around * front], 1)
    return by.astype(np.float32)


def _apart(points: Array, jaw_open: Array) -> Array:
    """The lips leave each other, the lower one more."""
    x, y, z = points[:, 0], points[:, 1] - LIP_Y, points[:, 2]
    front = 1 / (1 + np.exp(-(z - 1.35) / 0.03))
    across = np.exp(-((np.abs(x) / 0.16) ** 3)) * front
    lower = np.clip(-jaw_open[:, 1] / 0.3, 0, 1)
    down = -0.055 * lower * np.exp(-np.maximum(-y - 0.05, 0) / 0.08)
    up = 0.03 * (1 - lower) * np.exp(-np.maximum(y - 0.05, 0) / 0.08)
    return np.stack([0 * x, across * (down + up), 0 * x], 1).astype(np.float32)
