"""The head that every identity shares: what is kept of MakeHuman's body, refined once, with its named points.

Coordinates: decimetres, x to the person's left, y up, z to the front. "Vertex" is a vertex of the unrefined mesh,
numbered as in MakeHuman; nothing is renumbered, so that attachments can be read as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.train.render.makehuman import read_obj
from affectkit.types import Array

CUT_Y = 5.2
"""Height at which the body is cut away, below the collar bones."""

POINTS = {
    "upper_lip": 474,
    "lower_lip": 493,
    "nose_tip": 297,
    "nose_base": 343,
    "nose_root": 131,
    "brow_middle": 136,
    "chin": 5211,
    "jaw_edge": 747,
}
"""Vertices on the middle line."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Triangles to draw, and how their corners follow the vertices."""

    matrix: Any
    """Sparse (N, V): refined positions from the vertices; None where the surface is not refined."""
    quads: Array
    """(Q, 4) int32, of refined positions."""
    corner: Array
    """(R,) refined position of each drawn corner: one with a seam of the texture through it is drawn twice."""
    texture: Array
    """(R, 2) float32."""
    triangles: Array
    """(T, 3) int32 indices of drawn corners."""
    around: Array
    """(N, K) int32: the quads around each refined position, padded with Q, for normals."""

    def place(self, vertices: Array) -> tuple[Array, Array]:
        """Positions and unit normals (R, 3), float32, of the drawn corners."""
        points = vertices if self.matrix is None else self.matrix @ vertices
        return points[self.corner], self.normals(points)[self.corner]

    def normals(self, points: Array) -> Array:
        """Unit normals (N, 3) of refined positions, weighted by area."""
        a, b, c, d = (points[self.quads[:, k]] for k in range(4))
        u, v = c - a, d - b
        faces = np.zeros((len(self.quads) + 1, 3), np.float32)
        faces[:-1, 0] = u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1]
        faces[:-1, 1] = u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2]
        faces[:-1, 2] = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        total = faces[self.around[:, 0]]
        for k in range(1, self.around.shape[1]):
            total += faces[self.around[:, k]]
        return np.asarray(total / np.maximum(np.sqrt(np.einsum("nk,nk->n", total, total)), 1e-12)[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Everything about the head that does not depend on who it is."""

    base: Array
    """(V, 3) float32 vertices of MakeHuman's mesh: the base head, which is no one in particular."""
    skin: Surface
    """The refined head without its eyes."""
    coarse: Array
    """(T, 3) int32: triangles of the unrefined head on the same drawn corners, for shadows."""
    left_eye: Array
    """Vertices of the left eyeball, on the person's left; x > 0."""
    right_eye: Array


def surface(faces: Array, texture_faces: Array, texture: Array, count: int, *, refined: bool) -> Surface:
    """Build a surface of quads (F, 4) whose corners have texture coordinates (F, 4) of ``texture``."""
    matrix, quads = None, faces
    if refined:
        from affectkit.train.render.subdivision import refine  # needs scipy, which attachments do without

        matrix, quads = refine(faces, count)
        texture, texture_quads = _refine_texture(texture_faces, texture)
    else:
        texture_quads = texture_faces
    pairs = np.stack([quads.ravel(), texture_quads.ravel()], 1)
    unique, index = np.unique(pairs, axis=0, return_inverse=True)
    drawn = np.asarray(index).reshape(-1, 4)
    triangles = np.concatenate([drawn[:, [0, 1, 2]], drawn[:, [0, 2, 3]]])
    flat = (triangles[:, 0] == triangles[:, 1]) | (triangles[:, 1] == triangles[:, 2])
    flat |= triangles[:, 0] == triangles[:, 2]
    used = count if matrix is None else matrix.shape[0]
    triangles = triangles[~flat]
    return Surface(
        matrix,
        quads,
        unique[:, 0].astype(np.int32),
        texture[unique[:, 1]].astype(np.float32),
        triangles.astype(np.int32),
        _around(quads, used),
    )


def read_head(data: Path) -> Head:
    """Read MakeHuman's body mesh and keep its head."""
    mesh = read_obj(data / "mpfb2" / "3dobjs" / "base.obj")
    count = len(mesh.vertices)
    kept = (mesh.groups == "body") & (mesh.vertices[mesh.faces][:, :, 1].min(axis=1) > CUT_Y)
    skin = surface(mesh.faces[kept], mesh.texture_faces[kept], mesh.texture, count, refined=True)
    depth = (skin.matrix @ mesh.vertices)[skin.corner][skin.triangles][:, :, 2].mean(axis=1)
    skin = replace(skin, triangles=skin.triangles[np.argsort(-depth)])  # the front first: what it hides is not shaded
    drawn = np.zeros(len(mesh.vertices), np.int64)
    old = np.flatnonzero(skin.corner < count)
    drawn[skin.corner[old]] = old
    quads = drawn[mesh.faces[kept]]
    coarse = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Head(
        mesh.vertices,
        skin,
        coarse.astype(np.int32),
        np.unique(mesh.faces[mesh.groups == "helper-l-eye"]),
        np.unique(mesh.faces[mesh.groups == "helper-r-eye"]),
    )


def _refine_texture(faces: Array, texture: Array) -> tuple[Array, Array]:
    """Texture coordinates of the refined mesh: edges and faces are halved, old corners stay."""
    pairs = np.stack([faces, np.roll(faces, -1, axis=1)], 2).reshape(-1, 2)
    edges, index = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    after = len(texture) + np.asarray(index).reshape(faces.shape)
    corner = len(texture) + len(edges) + np.arange(len(faces))
    coordinates = np.concatenate([texture, texture[edges].mean(axis=1), texture[faces].mean(axis=1)])
    parts = [np.stack([faces[:, k], after[:, k], corner, after[:, k - 1]], 1) for k in range(4)]
    return coordinates, np.concatenate(parts)


def _around(quads: Array, count: int) -> Array:
    """The faces around each position (count, K), padded with the number of faces."""
    owner = quads.ravel()
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=count)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    table = np.full((count, max(int(sizes.max()), 1)), len(quads), np.int32)
    rank = np.arange(len(owner)) - np.repeat(first, sizes)
    table[owner[order], rank] = order // 4
    return table
