"""One step of Catmull and Clark's subdivision as a sparse matrix, since the same mesh is refined again and again."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from affectkit.types import Array


def refine(faces: Array, count: int) -> tuple[Any, Array]:
    """Subdivision of a mesh of quads.

    Args:
        faces: (F, 4) vertex indices below ``count``; a triangle repeats a corner and stays crooked, which is fine.
        count: number of vertices.

    Returns:
        A sparse matrix (N, count) that turns old positions into new ones, the moved old vertices first, and the new
        quads (4 F, 4).
    """
    quads = len(faces)
    edges, of_face = _edges(faces)
    middle = sparse.csr_matrix(
        (np.full(4 * quads, 0.25), (np.repeat(np.arange(quads), 4), faces.ravel())), (quads, count)
    )
    touching = sparse.csr_matrix(
        (np.ones(4 * quads), (of_face.ravel(), np.repeat(np.arange(quads), 4))), (len(edges), quads)
    )
    shared = np.asarray(touching.sum(1)).ravel()
    ends = sparse.csr_matrix(
        (np.full(2 * len(edges), 0.5), (np.repeat(np.arange(len(edges)), 2), edges.ravel())), (len(edges), count)
    )
    inner = sparse.diags((shared == 2).astype(float))
    border = sparse.diags((shared != 2).astype(float))
    split = border @ ends + inner @ (0.5 * ends + 0.25 * (touching @ middle))
    moved = _moved(faces, edges, shared, middle, ends, count)
    corner = count + len(edges) + np.arange(quads)
    after = count + of_face  # (F, 4) the edge from corner k to corner k + 1
    parts = [np.stack([faces[:, k], after[:, k], corner, after[:, k - 1]], 1) for k in range(4)]
    matrix = sparse.vstack([moved, split, middle]).tocsr().astype(np.float32)
    return matrix, np.concatenate(parts).astype(np.int32)


def _edges(faces: Array) -> tuple[Array, Array]:
    """All edges (E, 2) and, for each face, the edge (F, 4) after each corner."""
    pairs = np.stack([faces, np.roll(faces, -1, axis=1)], 2).reshape(-1, 2)
    edges, index = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    return edges, np.asarray(index).reshape(faces.shape)


def _moved(faces: Array, edges: Array, shared: Array, middle: Any, ends: Any, count: int) -> Any:
    """The matrix (count, count) that moves the old vertices; those on a border follow the border alone."""
    around = sparse.csr_matrix((np.ones(faces.size), (faces.ravel(), np.repeat(np.arange(len(faces)), 4))))
    around.resize((count, len(faces)))
    meeting = sparse.csr_matrix((np.ones(edges.size), (edges.ravel(), np.repeat(np.arange(len(edges)), 2))))
    meeting.resize((count, len(edges)))
    outline = meeting @ sparse.diags((shared != 2).astype(float))
    degree = np.maximum(np.asarray(meeting.sum(1)).ravel(), 1)
    faces_met = np.maximum(np.asarray(around.sum(1)).ravel(), 1)
    on_border = np.asarray(outline.sum(1)).ravel() > 0
    loose = np.asarray(meeting.sum(1)).ravel() == 0
    one = sparse.identity(count)
    rounded = (
        sparse.diags(1 / (faces_met * degree)) @ around @ middle
        + sparse.diags(2 / degree**2) @ meeting @ ends
        + sparse.diags((degree - 3) / degree) @ one
    )
    along = 0.5 * one + sparse.diags(0.5 / np.maximum(np.asarray(outline.sum(1)).ravel(), 1)) @ outline @ ends
    pick = [sparse.diags(chosen.astype(float)) for chosen in (~on_border & ~loose, on_border & ~loose, loose)]
    return pick[0] @ rounded + pick[1] @ along + pick[2] @ one
