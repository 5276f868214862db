"""Shapes of our own: eyeballs and glasses."""

from __future__ import annotations

import numpy as np

from affectkit.train.render.gpu import Mesh
from affectkit.types import Array

RIM_STEPS, TUBE_STEPS = 28, 5
OUTLINES = {
    "round": (0.215, 0.20, 2.0, 0.012),
    "square": (0.25, 0.165, 5.0, 0.020),
    "wide": (0.265, 0.15, 3.2, 0.026),
    "rimless": (0.235, 0.15, 2.8, 0.005),
    "half": (0.25, 0.14, 3.6, 0.014),
}
"""Half width, half height, squareness and thickness of a lens, dm."""


def ball(rows: int = 14, columns: int = 20) -> tuple[Mesh, Array]:
    """A unit sphere: its mesh, and its points (R, 3), which are its normals."""
    tilt, turn = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    points = np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)], -1).reshape(-1, 3)
    texture = np.stack([turn / (2 * np.pi), tilt / np.pi], -1).reshape(-1, 2)
    return Mesh(texture.astype(np.float32), _grid(rows, columns)), points.astype(np.float32)


def glasses_meshes() -> tuple[Mesh, Mesh]:
    """Frame (two rims, a bridge, two temples) and lenses; the points come from ``glasses_points``."""
    rim = _grid(RIM_STEPS + 1, TUBE_STEPS + 1)
    tube = _grid(2, TUBE_STEPS + 1)
    count, triangles = 0, []
    for part, points in [(rim, (RIM_STEPS + 1) * (TUBE_STEPS + 1))] * 2 + [(tube, 2 * (TUBE_STEPS + 1))] * 3:
        triangles.append(part + count)
        count += points
    fan = np.asarray([[0, k + 1, k + 2] for k in range(RIM_STEPS)], np.int32)
    lenses = np.concatenate([fan, fan + RIM_STEPS + 2])
    return (
        Mesh(np.zeros((count, 2), np.float32), np.concatenate(triangles).astype(np.int32)),
        Mesh(np.zeros((2 * (RIM_STEPS + 2), 2), np.float32), lenses),
    )


def glasses_points(
    kind: str, eyes: tuple[Array, Array], plane: float, low: float, stretch: float
) -> tuple[Array, Array, Array, Array]:
    """Points and normals of frame and lenses.

    Args:
        kind: of OUTLINES.
        eyes: centres of the left and right eye, (3,) each.
        plane: z of the lenses, dm.
        low: how far they have slid down, dm.
        stretch: of the lenses' size.
    """
    half_width, half_height, power, thick = OUTLINES[kind]
    angle = np.linspace(0, 2 * np.pi, RIM_STEPS + 1)
    cos, sin = np.cos(angle), np.sin(angle)
    outline = np.stack(
        [
            half_width * stretch * np.sign(cos) * np.abs(cos) ** (2 / power),
            half_height * stretch * np.sign(sin) * np.abs(sin) ** (2 / power),
            -0.10 * half_width * cos**2,
        ],
        1,
    )
    points, normals, lenses = [], [], []
    centres = [np.asarray([eye[0] * 1.04, eye[1] - low, plane]) for eye in eyes]
    for centre in centres:
        ring, out = _tube(outline + centre, thick)
        points.append(ring)
        normals.append(out)
        lenses.append(np.concatenate([centre[None] + [[0, 0, 0.01]], outline + centre]))
    left, right = centres
    inner = half_width * stretch
    across, hinge = np.asarray([inner, 0, 0]), np.asarray([0, 0.05, -0.01])
    behind = [np.asarray([eye[0] + out, eye[1] + 0.02, plane - 1.25]) for eye, out in ((left, 0.46), (right, -0.46))]
    pairs = [
        (left - across + [0, 0.04, 0], right + across + [0, 0.04, 0]),
        (left + across + hinge, behind[0]),
        (right - across + hinge, behind[1]),
    ]
    for pair in pairs:
        ring, out = _tube(np.asarray(pair), max(thick * 0.8, 0.008))
        points.append(ring)
        normals.append(out)
    glass = np.concatenate(lenses).astype(np.float32)
    facing = np.tile(np.asarray([[0, 0, 1]], np.float32), (len(glass), 1))
    return np.concatenate(points).astype(np.float32), np.concatenate(normals).astype(np.float32), glass, facing


def _tube(path: Array, radius: float) -> tuple[Array, Array]:
    """Points and normals of a tube around a path (N, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    first = np.cross(along, [0.13, 0.21, 0.97] if abs(along[0, 2]) < 0.8 else [0.1, 1, 0])
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    turn = np.linspace(0, 2 * np.pi, TUBE_STEPS + 1)
    out = first[:, None] * np.cos(turn)[None, :, None] + second[:, None] * np.sin(turn)[None, :, None]
    return (path[:, None] + radius * out).reshape(-1, 3), out.reshape(-1, 3)


def _grid(rows: int, columns: int) -> Array:
    """Triangles of a grid of points."""
    k = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    quads = np.stack([k, k + 1, k + columns + 1, k + columns], 1)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
