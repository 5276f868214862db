"""Drawing meshes without a screen, by OpenGL on whatever EGL gives: a graphics card, or Mesa's llvmpipe on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import moderngl
import numpy as np

from affectkit.errors import DeviceUnavailable
from affectkit.train.render import shaders
from affectkit.types import Array, UInt8

PARTS = {"background": 0, "head": 1, "brows": 2, "eyes": 3, "mouth": 4, "hair": 5, "glasses": 6, "lens": 7}
"""What a pixel shows; brows, eyes and mouth are the regions of the head whose visibility is told."""

_SHADERS = {"skin": shaders.SKIN, "eye": shaders.EYE, "card": shaders.CARD, "plain": shaders.PLAIN}
_SHADOW_PX = 192
_HEADLESS: dict[str, Any] = {"standalone": True, "backend": "egl"}
_MATRICES = ("view", "projection", "light_view", "tone")


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """The part of a mesh that stays."""

    texture: Array
    """(R, 2) float32."""
    triangles: Array
    """(T, 3) int32."""
    coarse: Array | None = None
    """(T', 3) int32: fewer triangles, for shadows."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One mesh to draw."""

    shader: str
    mesh: str
    """Name under which it was added."""
    positions: Array
    """(R, 3) float32, dm, in the head's space."""
    normals: Array
    """(R, 3) float32."""
    rest: Array
    """(R, 4) float32: the place on the base head, and how much of the sky is seen from it."""
    uniforms: Mapping[str, Any] = field(default_factory=dict)
    textures: Mapping[str, str] = field(default_factory=dict)
    """Sampler -> name of a picture that was added."""
    worn: bool = False
    """Drawn after the head itself was looked at: hair, glasses."""
    casts_shadow: bool = False
    see_through: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """What the camera sees."""

    picture: UInt8
    """(S, S, 3) RGB; black where nothing is."""
    parts: UInt8
    """(S, S), see PARTS."""
    bare_parts: UInt8
    """The same without what is worn."""


class Renderer:
    """Draws scenes of ``size`` x ``size`` pixels; one a process."""

    def __init__(self, size: int, threads: int = 1) -> None:
        os.environ.setdefault("LP_NUM_THREADS", str(threads))
        try:
            self._context = moderngl.create_context(**_HEADLESS)
        except Exception as error:  # moderngl raises whatever its backend does
            raise DeviceUnavailable(
                f"no OpenGL without a screen here (EGL: {error}); on Debian: apt-get install libegl1"
            ) from error
        self.size = size
        context = self._context
        self._programs = {
            name: context.program(vertex_shader=shaders.VERTEX, fragment_shader=source)
            for name, source in _SHADERS.items()
        }
        self._shadow_program = context.program(
            vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT
        )
        self._target = context.framebuffer(
            [context.texture((size, size), 4), context.texture((size, size), 1)],
            context.depth_renderbuffer((size, size)),
        )
        self._shadow_map = context.depth_texture((_SHADOW_PX, _SHADOW_PX))
        self._shadow_map.compare_func = ""
        self._shadow_target = context.framebuffer([], self._shadow_map)
        self._meshes: dict[str, dict[str, Any]] = {}
        self._pictures: dict[str, Any] = {}
        self._grain = context.texture((256, 256), 4, _grain().tobytes())
        self._grain.build_mipmaps()

    @property
    def device(self) -> str:
        """What OpenGL says it is."""
        return str(self._context.info["GL_RENDERER"])

    def add_mesh(self, name: str, mesh: Mesh) -> None:
        """Keep what stays of a mesh."""
        context, count = self._context, len(mesh.texture)
        buffers = {
            "moving": context.buffer(reserve=count * 24, dynamic=True),
            "rest": context.buffer(reserve=count * 16, dynamic=True),
            "texture": context.buffer(np.ascontiguousarray(mesh.texture, np.float32).tobytes()),
            "index": context.buffer(np.ascontiguousarray(mesh.triangles, np.int32).tobytes()),
        }
        content = [
            (buffers["moving"], "3f 3f", "in_position", "in_normal"),
            (buffers["texture"], "2f", "in_texture"),
            (buffers["rest"], "4f", "in_rest"),
        ]
        arrays = {
            key: context.vertex_array(program, content, buffers["index"], skip_errors=True)
            for key, program in self._programs.items()
        }
        if mesh.coarse is not None:
            buffers["coarse"] = context.buffer(np.ascontiguousarray(mesh.coarse, np.int32).tobytes())
        shadow = context.vertex_array(
            self._shadow_program,
            [(buffers["moving"], "3f 12x", "in_position")],
            buffers["index" if mesh.coarse is None else "coarse"],
        )
        self._meshes[name] = {"buffers": buffers, "arrays": arrays, "shadow": shadow, "rest": None}

    def has_picture(self, name: str) -> bool:
        """Whether a picture of this name was added."""
        return name in self._pictures

    def add_picture(self, name: str, picture: UInt8, *, mipmaps: bool = True) -> None:
        """Keep a picture (H, W, C), first row on top; one of the same name and size is replaced."""
        height, width, channels = picture.shape
        data = np.ascontiguousarray(picture[::-1]).tobytes()
        kept = self._pictures.get(name)
        if kept is not None and kept.size == (width, height) and kept.components == channels:
            kept.write(data)
        else:
            kept = self._context.texture((width, height), channels, data, alignment=1)
            self._pictures[name] = kept
        if mipmaps:
            kept.build_mipmaps()
            kept.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        else:
            kept.filter = (moderngl.LINEAR, moderngl.LINEAR)

    def nearest(self, name: str) -> None:
        """Never mix the pixels of this picture."""
        self._pictures[name].filter = (moderngl.NEAREST, moderngl.NEAREST)

    def depth_from(self, mesh: str, positions: Array, light_view: Array) -> Array:
        """Depths (P, P), 0..1, that a light sees on a mesh; row 0 at the bottom."""
        self._meshes[mesh]["buffers"]["moving"].write(
            np.concatenate([positions, positions], axis=1).astype(np.float32).tobytes()
        )
        self._shadow_target.use()
        self._context.viewport = (0, 0, _SHADOW_PX, _SHADOW_PX)
        self._context.enable(moderngl.DEPTH_TEST)
        self._shadow_target.clear(depth=1)
        _set(self._shadow_program, {"view": np.eye(4), "light_view": light_view})
        self._meshes[mesh]["shadow"].render()
        return np.frombuffer(self._shadow_map.read(alignment=1), np.float32).reshape(_SHADOW_PX, _SHADOW_PX)

    def draw(self, draws: Sequence[Draw], uniforms: Mapping[str, Any]) -> Shot:
        """Draw in the order given, what is worn last."""
        for draw in draws:
            self._update(draw)
        self._draw_shadow(draws, uniforms)
        self._target.use()
        self._context.viewport = (0, 0, self.size, self.size)
        self._context.enable(moderngl.DEPTH_TEST)
        self._context.disable(moderngl.CULL_FACE)
        self._target.clear(0, 0, 0, 0, depth=1)
        for draw in (draw for draw in draws if not draw.worn):
            self._draw_one(draw, uniforms)
        bare = self._read(1)
        for draw in (draw for draw in draws if draw.worn):
            self._draw_one(draw, uniforms)
        return Shot(self._read(0)[..., :3], self._read(1)[..., 0], bare[..., 0])

    def _update(self, draw: Draw) -> None:
        mesh = self._meshes[draw.mesh]
        moving = np.concatenate([draw.positions, draw.normals], axis=1).astype(np.float32, copy=False)
        mesh["buffers"]["moving"].write(moving.tobytes())
        if mesh["rest"] is not draw.rest:
            mesh["buffers"]["rest"].write(np.ascontiguousarray(draw.rest, np.float32).tobytes())
            mesh["rest"] = draw.rest

    def _draw_shadow(self, draws: Sequence[Draw], uniforms: Mapping[str, Any]) -> None:
        self._shadow_target.use()
        self._context.viewport = (0, 0, _SHADOW_PX, _SHADOW_PX)
        self._context.enable(moderngl.DEPTH_TEST)
        self._shadow_target.clear(depth=1)
        if uniforms["shadow_strength"] <= 0:
            return
        _set(self._shadow_program, uniforms)
        for draw in draws:
            if draw.casts_shadow:
                self._meshes[draw.mesh]["shadow"].render()

    def _draw_one(self, draw: Draw, uniforms: Mapping[str, Any]) -> None:
        program = self._programs[draw.shader]
        _set(program, uniforms)
        _set(program, draw.uniforms)
        self._shadow_map.use(0)
        if "shadow_map" in program:
            program["shadow_map"] = 0
        self._grain.use(1)
        if "grain" in program:
            program["grain"] = 1
        for unit, (sampler, name) in enumerate(draw.textures.items(), start=2):
            if sampler in program:
                self._pictures[name].use(unit)
                program[sampler] = unit
        if draw.shader == "skin":
            self._context.enable(moderngl.CULL_FACE)
        else:
            self._context.disable(moderngl.CULL_FACE)
        if draw.see_through:
            self._context.enable(moderngl.BLEND)
        self._meshes[draw.mesh]["arrays"][draw.shader].render()
        if draw.see_through:
            self._context.disable(moderngl.BLEND)

    def _read(self, attachment: int) -> UInt8:
        channels = 4 if attachment == 0 else 1
        data = self._target.read(components=channels, attachment=attachment, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(self.size, self.size, channels)[::-1]


def _grain() -> UInt8:
    """(256, 256, 4) smooth noise that repeats, four values a cell of four pixels."""
    rough = np.random.default_rng(5).random((64, 64, 4))
    rough = (rough - rough.min()) / np.ptp(rough)
    fine = rough.repeat(4, axis=0).repeat(4, axis=1)
    for axis in (0, 1):
        fine = (np.roll(fine, 1, axis) + fine + np.roll(fine, -1, axis) + np.roll(fine, 2, axis)) / 4
    return np.asarray(np.clip((fine - 0.5) * 1.25 + 0.5, 0, 1) * 255, np.uint8)


def _set(program: Any, uniforms: Mapping[str, Any]) -> None:
    """Give a program the uniforms that it has; matrices (as numpy has them) are turned into OpenGL's order."""
    for name, value in uniforms.items():
        if name not in program:
            continue
        if isinstance(value, np.ndarray):
            turned = value.T if name in _MATRICES else value
            program[name].write(np.ascontiguousarray(turned, np.float32).tobytes())
        else:
            program[name].value = value
