"""The studio: puts a person together, moves the face and takes its picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from affectkit.train.render.assets import SKIN_FROM, Assets, Piece, mixed_skin, read_picture
from affectkit.train.render.camera import Camera, light_matrix, project, projection_matrix, rotation, view_matrix
from affectkit.train.render.folds import fold_depths, fold_picture
from affectkit.train.render.geometry import LEFT_EYE_CORNERS, MOUTH_CORNERS, Library, Measures, Rig, pose
from affectkit.train.render.gpu import PARTS, Draw, Mesh, Renderer, Shot
from affectkit.train.render.head import POINTS
from affectkit.train.render.looks import Look, Setting
from affectkit.train.render.paint import paint_map, region_map
from affectkit.train.render.wear import ball, glasses_meshes, glasses_points
from affectkit.types import Array, UInt8

Strengths = Mapping[str, tuple[float, float]]
TEETH_SHOW = 0.008
"""Lip gap over the distance of the eyes from which teeth and tongue are drawn at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A person who has come to the studio."""

    rig: Rig
    look: Look
    folds: Mapping[str, Array]
    worn: tuple[Draw, ...]
    """Hair and glasses, which do not move with the face."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A picture of a person, before it is put before a background."""

    shot: Shot
    measures: Measures
    landmark5: Array
    """(5, 2) px: eye centres, nose tip, mouth corners; left as seen in the picture first."""
    outline: Array
    """(N, 2) px of the places in ``OUTLINE``."""


OUTLINE = ((0.0, 7.10), (0.3, 7.02), (0.52, 7.0), (0.66, 6.85), (0.58, 6.5), (0.34, 6.22), (0.0, 6.14))
"""Places on the left half of the lower face, from the nose down to the chin, that a mask is cut from."""


class Studio:
    """Draws people; one a process."""

    def __init__(self, library: Library, assets: Assets, size: int) -> None:
        self.library = library
        self.assets = assets
        self.renderer = Renderer(size)
        self._skins: dict[str, UInt8] = {}
        self._hung: tuple[tuple[str, str, float], Array] = (("", "", 0.0), np.zeros(3, np.float32))
        head = library.head
        self._ball_mesh, self._ball = ball()
        across = (head.skin.texture - [SKIN_FROM, 0]) / [1 - SKIN_FROM, 1]
        self.renderer.add_mesh("skin", Mesh(across, head.skin.triangles, head.coarse))
        for name in ("eye_left", "eye_right"):
            self.renderer.add_mesh(name, self._ball_mesh)
        frame, lens = glasses_meshes()
        self.renderer.add_mesh("frame", frame)
        self.renderer.add_mesh("lens", lens)
        self.renderer.add_picture("paint", paint_map(), mipmaps=False)
        self.renderer.add_picture("regions", region_map(), mipmaps=False)
        self.renderer.nearest("regions")
        self._rest = self._rest_of_skin()
        self._outline = _nearest_on_front(head.base, np.asarray([(s * x, y) for s in (1, -1) for x, y in OUTLINE]))

    def invite(self, rig: Rig, look: Look, folds: Mapping[str, Array]) -> Model:
        """Dress a person; ``folds`` are fold_maps of the person."""
        worn = []
        if look.hair:
            uniforms = {
                "tint": tuple(look.hair_colour.tolist()),
                "as_part": PARTS["hair"],
                "density": 1.3,
                "threshold": 0.3,
            }
            hair = self._card(self.assets.hair[look.hair], rig.neutral, {**uniforms, "shine": 0.18, "gloss": 18.0})
            worn.append(replace(hair, worn=True, casts_shadow=True))
        if look.glasses:
            worn += self._glasses(rig, look)
        return Model(rig, look, folds, tuple(worn))

    def take(
        self, model: Model, setting: Setting, camera: Camera, strengths: Strengths, gaze: tuple[float, float]
    ) -> Take:
        """Take a picture.

        Args:
            model: the person.
            setting: light and style.
            camera: where from.
            strengths: units and distractors, 0..1, left and right side.
            gaze: pitch and yaw of the eyes in the head, degrees, signs as the camera's.
        """
        rig = model.rig
        vertices, measures = pose(self.library, rig, strengths)
        middle = (rig.eyes[0][0] + rig.eyes[1][0]) / 2
        pivot = np.asarray([0, middle[1] - 0.34, middle[2] - 0.35])
        view, projection = view_matrix(camera, pivot), projection_matrix(camera, rig.eye_distance)
        lights = light_matrix(setting.lights[0], np.asarray([0, 0, -camera.distance]))
        uniforms = {**setting.uniforms, "view": view, "projection": projection, "light_view": lights}
        uniforms |= {"glossy": 0.0, "seed": (0.0, 0.0)}
        draws = [self._skin(model, setting, vertices, strengths), *self._eyes(model, camera, gaze)]
        draws += self._cards(model, vertices)
        if measures.lip_gap > TEETH_SHOW:
            draws += self._mouth(model, vertices)
        shot = self.renderer.draw([*draws, *model.worn], uniforms)
        size = self.renderer.size
        points = project(self._points(vertices), view, projection, size)
        return Take(shot, measures, points, project(vertices[self._outline], view, projection, size))

    def _skin(self, model: Model, setting: Setting, vertices: Array, strengths: Strengths) -> Draw:
        positions, normals = self.library.head.skin.place(vertices)
        picture = fold_picture(model.folds, fold_depths(model.rig.person, strengths))
        self.renderer.add_picture("folds", picture, mipmaps=False)
        look = model.look
        uniforms = {
            "tone": np.diag(look.colour / self._hang_skin(look)),
            "tone_offset": (0.0, 0.0, 0.0),
            "flat_colour": tuple(look.colour.tolist()),
            **look.uniforms,
            **setting.skin_uniforms,
        }
        textures = {
            "skin": "skin",
            "folds": "folds",
            "paint": "paint",
            "regions": "regions",
        }
        return Draw("skin", "skin", positions, normals, self._rest, uniforms, textures, casts_shadow=True)

    def _hang_skin(self, look: Look) -> Array:
        """Give the renderer the skin of a look, where it has another one, and say the mean colour of it."""
        key = (*look.skin, look.skin_share)
        if key != self._hung[0]:
            for name in look.skin:
                if name not in self._skins:
                    self._skins[name] = read_picture(self.assets.skins[name])
            picture, mean = mixed_skin(self._skins[look.skin[0]], self._skins[look.skin[1]], look.skin_share)
            self.renderer.add_picture("skin", picture)
            self._hung = (key, mean)
        return self._hung[1]

    def _eyes(self, model: Model, camera: Camera, gaze: tuple[float, float]) -> list[Draw]:
        turned = rotation(camera.pitch, camera.yaw, camera.roll)
        ahead = turned @ rotation(gaze[0], gaze[1], 0) @ [0, 0, 1]
        draws = []
        for name, (centre, radius) in zip(("eye_left", "eye_right"), model.rig.eyes, strict=True):
            positions = centre + np.float32(radius * 0.975) * self._ball
            uniforms = {
                "gaze": tuple(ahead),
                "eye_up": tuple(turned @ [0, 1, 0]),
                "iris_size": model.look.iris_size,
                **model.look.eye_uniforms,
            }
            draws.append(Draw("eye", name, positions, self._ball, _plain_rest(positions), uniforms))
        return draws

    def _cards(self, model: Model, vertices: Array) -> list[Draw]:
        """Brows and lashes."""
        look = model.look
        brow = {
            "tint": tuple(look.brow_colour.tolist()),
            "as_part": PARTS["brows"],
            "density": look.brow_density,
            "threshold": 0.08,
            "shine": 0.02,
        }
        lash = {
            "tint": (0.01, 0.008, 0.008),
            "as_part": PARTS["eyes"],
            "density": 0.8 + 0.5 * look.make_up,
            "threshold": 0.08,
            "shine": 0.0,
        }
        return [
            self._card(self.assets.brows[look.brows], vertices, brow, lift=0.006, soften=True),
            self._card(self.assets.lashes[look.lashes], vertices, lash, soften=True),
        ]

    def _mouth(self, model: Model, vertices: Array) -> list[Draw]:
        lips = float(vertices[[POINTS["upper_lip"], POINTS["lower_lip"]], 2].mean())
        draws = []
        for piece, tint in ((self.assets.teeth, (0.85, 0.8, 0.7)), (self.assets.tongue, (0.8, 0.5, 0.5))):
            uniforms = {
                "tint": tint,
                "as_part": PARTS["mouth"],
                "opacity": 1.0,
                "depth_dim": 2.2,
                "mouth_plane": (lips, 0.0, 0.0),
                "keep_texture": 1.0,
                "gloss": 40.0,
                "shine": 0.15,
            }
            draws.append(replace(self._card(piece, vertices, uniforms), shader="plain"))
        return draws

    def _card(
        self, piece: Piece, vertices: Array, uniforms: Mapping[str, Any], lift: float = 0.0, *, soften: bool = False
    ) -> Draw:
        name = f"{piece.mesh.parent.parent.name}:{piece.name}"
        if not self.renderer.has_picture(name):
            self.renderer.add_mesh(name, Mesh(piece.surface.texture, piece.surface.triangles))
            self.renderer.add_picture(name, piece.picture)
        positions, normals = piece.surface.place(piece.attachment.place(vertices))
        if lift:
            positions = positions + np.float32(lift) * np.sign(normals[:, 2:]) * normals
        all_uniforms = {"keep_texture": 0.0, "seed": (3.0, 5.0), "gloss": 20.0, "soften": float(soften), **uniforms}
        return Draw(
            "card",
            name,
            positions,
            normals,
            _plain_rest(positions),
            all_uniforms,
            {"picture": name},
            see_through=soften,
        )

    def _glasses(self, rig: Rig, look: Look) -> list[Draw]:
        rng = np.random.default_rng([rig.person.bump_seed, 11])
        root = rig.neutral[POINTS["nose_root"]]
        plane = max(float(root[2]) + 0.03, float(rig.eyes[0][0][2]) + 0.24)
        centres = (rig.eyes[0][0], rig.eyes[1][0])
        points, normals, glass, facing = glasses_points(
            look.glasses, centres, plane, rng.uniform(0.0, 0.07), rng.uniform(0.85, 1.15)
        )
        tint = rng.uniform(0.01, 0.5, 3) if rng.random() < 0.4 else np.full(3, rng.uniform(0.005, 0.1))
        common = {"keep_texture": 0.0, "depth_dim": 0.0, "gloss": 60.0, "mouth_plane": (0.0, 0.0, 0.0)}
        frame = {**common, "tint": tuple(tint.tolist()), "as_part": PARTS["glasses"], "opacity": 1.0, "shine": 0.5}
        clear = rng.uniform(0.02, 0.12)
        lens = {
            **common,
            "tint": (0.02, 0.02, 0.025) if look.dark_glasses else (0.6, 0.65, 0.7),
            "as_part": PARTS["lens"],
            "opacity": rng.uniform(0.7, 0.97) if look.dark_glasses else clear,
            "shine": 0.3,
        }
        texture = {"picture": "paint"}
        return [
            Draw("plain", "frame", points, normals, _plain_rest(points), frame, texture, worn=True, casts_shadow=True),
            Draw("plain", "lens", glass, facing, _plain_rest(glass), lens, texture, worn=True, see_through=True),
        ]

    def _points(self, vertices: Array) -> Array:
        """Eye centres, nose tip, mouth corners (5, 3), the person's right first."""
        left = vertices[list(LEFT_EYE_CORNERS)].mean(0)
        right = vertices[[self.library.mirrored[vertex] for vertex in LEFT_EYE_CORNERS]].mean(0)
        corners = [vertices[list(pair)].mean(0) for pair in MOUTH_CORNERS]
        return np.stack([right, left, vertices[POINTS["nose_tip"]], *corners])

    def _rest_of_skin(self) -> Array:
        """(R, 4): the base mesh's places, and the share of directions from which each of them is seen."""
        skin = self.library.head.skin
        positions, normals = skin.place(self.library.head.base)
        seen, total = np.zeros(len(positions)), np.zeros(len(positions))
        for direction in _directions(64):
            facing = np.maximum(normals @ direction, 0)
            matrix = light_matrix(direction, np.asarray([0.0, 6.9, 0.4]))
            depths = self.renderer.depth_from("skin", positions, matrix)
            placed = (np.concatenate([positions, np.ones((len(positions), 1))], 1) @ matrix.T)[:, :3] * 0.5 + 0.5
            pixel = np.clip(placed[:, :2] * len(depths), 0, len(depths) - 1).astype(int)
            seen += facing * (placed[:, 2] <= depths[pixel[:, 1], pixel[:, 0]] + 0.006)
            total += facing
        return np.concatenate([positions, (seen / np.maximum(total, 1e-6))[:, None]], 1).astype(np.float32)


def _plain_rest(positions: Array) -> Array:
    return np.concatenate([positions, np.ones((len(positions), 1), np.float32)], 1).astype(np.float32)


def _directions(count: int) -> Array:
    """Directions (count, 3) spread evenly over the sphere."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], 1)


def _nearest_on_front(base: Array, places: Array) -> Array:
    """The vertices nearest to places (N, 2) in front view, of the front of the head."""
    front = np.flatnonzero((base[:13380, 2] > 0.35) & (base[:13380, 1] > 5.9))
    found = []
    for x, y in places:
        off = np.hypot(base[front, 0] - x, base[front, 1] - y)
        near = front[off < off.min() + 0.02]
        found.append(int(near[np.argmax(base[near, 2])]))
    return np.asarray(found)
