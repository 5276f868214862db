"""A person's head: what it looks like at rest, how it moves, and what can be measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.train.render.facs import ACTION_UNITS, DISTRACTORS, FAMILIES, Recipe, settle
from affectkit.train.render.head import Head, read_head
from affectkit.train.render.makehuman import data_folder
from affectkit.train.render.muscles import muscles
from affectkit.train.render.people import Person, UnitStyle, smooth_field
from affectkit.train.render.shapes import ANCESTRIES, Shapes, macro_weights, read_shapes
from affectkit.types import Array

LIP_COLUMNS = ((481, 5362), (487, 472), (493, 474), (7242, 7228), (7236, 11964))
"""Lower and upper lip, from the person's right to the left, where they meet in front."""
LIP_COLUMNS_BEHIND = ((535, 5359), (534, 514), (540, 520), (7279, 7261), (7280, 11961))
"""The same a little further inside: the lips are closed where they touch at either place."""
MOUTH_CORNERS = ((525, 421), (7270, 7181))
"""Right and left of the person."""
LEFT_LIDS = (7747, 7760)
"""Upper and lower lid of the left eye, in its middle."""
LEFT_EYE_CORNERS = (7796, 7755)
"""Inner and outer."""
LOWER_TEETH = (14992, 15060)
"""Helper vertices of the lower teeth, which follow the jaw."""

GAP_OF_FULL_25 = 0.14
"""Lip gap over the distance of the eyes at which AU25 is 1; half of it is .5, as in FER+'s machine-made labels."""
DROP_OF_FULL_26 = 0.15
"""Drop of the lower teeth over the distance of the eyes at which AU26 is 1."""
CLOSURE_OF_43 = (0.5, 0.95)
"""Share of the lids' aperture that is gone where AU43 begins and where it is 1."""
OPEN_AT_REST = 0.012
"""Lip gap over the distance of the eyes that a neutral face may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """What is read once."""

    head: Head
    shapes: Shapes
    fields: Mapping[str, Array]
    """(M, 3) of the moving vertices by shape name, with those of our own."""
    rest: Array
    """(M, 3) of the moving vertices on the base mesh."""
    mirrored: Mapping[int, int]
    """Named vertices of the left eye -> those of the right."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What the geometry shows."""

    lip_gap: float
    """Over the distance of the eyes, beyond what the neutral face has; never negative."""
    jaw_drop: float
    """Of the lower teeth, over the distance of the eyes."""
    lid_closure: tuple[float, float]
    """Left and right: share of the neutral aperture that is gone."""

    def labels(self) -> dict[str, float]:
        """AU25, AU26 and AU43, 0..1."""
        low, high = CLOSURE_OF_43
        closed = max(self.lid_closure)
        return {
            "AU25": _clip(self.lip_gap / GAP_OF_FULL_25),
            "AU26": _clip(self.jaw_drop / DROP_OF_FULL_26),
            "AU43": _clip((closed - low) / (high - low)),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """A person's head, ready to move."""

    person: Person
    neutral: Array
    """(V, 3) dm; the point between the eyes' centres is the origin of nothing: MakeHuman's coordinates stay."""
    units: Mapping[str, Array]
    """(M, 3) at full strength by unit and side: "AU1_left", "AU17", "look_down_right"."""
    eyes: tuple[tuple[Array, float], tuple[Array, float]]
    """Centre and radius of the left and of the right eyeball."""
    eye_distance: float
    """dm."""
    gap: float
    """Lip gap at rest, over the distance of the eyes."""
    apertures: tuple[float, float]
    """Lid apertures at rest, dm; left, right."""


def load_library() -> Library:
    """Read the package's data, which takes some seconds."""
    data: Path = data_folder()
    head = read_head(data)
    shapes = read_shapes(data, head.base)
    moving = shapes.moving
    jaw = np.zeros_like(head.base)
    jaw[moving] = shapes.actions["fu:jawOpen"]
    on_skin = np.zeros(len(head.base), bool)
    on_skin[:13380] = True
    own = {name: (field * on_skin[:, None])[moving] for name, field in muscles(head.base, jaw).items()}
    mirrored = {vertex: _mirrored(head.base, vertex) for vertex in (*LEFT_LIDS, *LEFT_EYE_CORNERS)}
    return Library(head, shapes, {**shapes.actions, **own}, head.base[moving], mirrored)


def build_rig(library: Library, person: Person) -> Rig:
    """Build the head of a person.

    The lips are closed where local shapes opened them.
    """
    base, shapes = library.head.base, library.shapes
    vertices = base.copy()
    weights = macro_weights(
        years=person.years, male=person.male, muscle=person.muscle, weight=person.weight, ancestry=person.ancestry
    )
    for name, value in weights.items():
        vertices += np.float32(value) * shapes.macro[name]
    for name, value in person.local.items():
        if value:
            minus, plus = shapes.local[name]
            vertices += np.float32(abs(value)) * (plus if value > 0 else minus)
    vertices = _normalised(vertices, base, library.head)
    vertices += _bumps(library, person)
    vertices = _closed(vertices)
    eyes = (_ball(vertices[library.head.left_eye]), _ball(vertices[library.head.right_eye]))
    distance = float(np.linalg.norm(eyes[0][0] - eyes[1][0]))
    units = _units(library, person)
    apertures = (_aperture(library, vertices, 0), _aperture(library, vertices, 1))
    for k, side in enumerate(("left", "right")):
        closed = vertices.copy()
        closed[shapes.moving] += units[f"AU43_{side}"]
        gone = 1 - _aperture(library, closed, k) / apertures[k]
        units[f"AU43_{side}"] = units[f"AU43_{side}"] * np.float32(np.clip(1.02 / max(gone, 0.1), 0.8, 1.8))
    return Rig(person, vertices, units, eyes, distance, _gap(vertices) / distance, apertures)


def problems(rig: Rig) -> list[str]:
    """Why a neutral face cannot be used; empty: it can."""
    found = []
    if rig.gap > OPEN_AT_REST:
        found.append(f"lips {rig.gap:.3f} apart at rest")
    if min(rig.apertures) < 0.045 or max(rig.apertures) > 0.16:
        found.append(f"lids {rig.apertures[0]:.3f}, {rig.apertures[1]:.3f} dm apart at rest")
    if not 0.5 < rig.eye_distance < 0.75:
        found.append(f"eyes {rig.eye_distance:.2f} dm apart")
    return found


def pose(library: Library, rig: Rig, strengths: Mapping[str, tuple[float, float]]) -> tuple[Array, Measures]:
    """Move a face.

    Args:
        library: what is read once.
        rig: the person.
        strengths: unit or distractor -> strength 0..1 of the left and right side.

    Returns:
        Vertices (V, 3) and what can be measured on them.
    """
    weights: dict[str, float] = {}
    sides = [settle({name: value[k] for name, value in strengths.items()}) for k in (0, 1)]
    for k, side in enumerate(("left", "right")):
        for name, value in sides[k].items():
            key = f"{name}_{side}" if f"{name}_{side}" in rig.units else name
            if key in rig.units:
                share = 1.0 if key != name else 0.5
                style = rig.person.styles.get(name.split("_")[0] if name.startswith("AU") else name)
                bend = style.bend if style else 1.0
                weights[key] = weights.get(key, 0.0) + share * value**bend
    vertices = rig.neutral.copy()
    moving = library.shapes.moving
    for key, weight in weights.items():
        vertices[moving] += np.float32(weight) * rig.units[key]
    return vertices, measure(library, rig, vertices)


def measure(library: Library, rig: Rig, vertices: Array) -> Measures:
    """What can be measured on a moved face."""
    gap = _gap(vertices) / rig.eye_distance - max(rig.gap, 0.0)
    teeth = slice(*LOWER_TEETH)
    drop = float((rig.neutral[teeth, 1] - vertices[teeth, 1]).mean()) / rig.eye_distance
    closure = [1 - _aperture(library, vertices, k) / rig.apertures[k] for k in (0, 1)]
    return Measures(max(gap, 0.0), max(drop, 0.0), (closure[0], closure[1]))


def _units(library: Library, person: Person) -> dict[str, Array]:
    """Every unit's field for this person, by side."""
    waves = _waves(library, person)
    found: dict[str, Array] = {}
    for name, recipe in {**ACTION_UNITS, **DISTRACTORS}.items():
        for side in ("left", "right") if recipe.sided else ("",):
            for part, field in _unit(library, person, name, side).items():
                key = "_".join(word for word in (name, part, side) if word)
                mirrored = side == "right"
                found[key] = _warped(person.styles[name], field, waves[int(mirrored)], mirrored=mirrored)
    return found


def _unit(library: Library, person: Person, name: str, side: str) -> dict[str, Array]:
    """The parts of a unit on one side, at the person's size, with some of a neighbour mixed in."""
    recipe, style = {**ACTION_UNITS, **DISTRACTORS}[name], person.styles[name]
    parts = _mixed(library, person, recipe, style, side)
    if style.neighbour_share:
        mixed = _mixed(library, person, ACTION_UNITS[style.neighbour], person.styles[style.neighbour], side or "both")
        parts = {"": _sum(parts) + np.float32(style.neighbour_share) * _sum(mixed)}
    scale = style.gain * (recipe.reach_mm / 100 / _size(_sum(parts)) if recipe.reach_mm else 1.0)
    if recipe.sided:
        scale *= style.sides[0 if side == "left" else 1]
    return {part: np.float32(scale) * field for part, field in parts.items()}


def _mixed(library: Library, person: Person, recipe: Recipe, style: UnitStyle, side: str) -> dict[str, Array]:
    """The families' shapes, each family at the same size; AU4's two parts are kept apart."""
    total: dict[str, Array] = {}
    for family, share in zip(FAMILIES, style.families, strict=True):
        shapes: Mapping[str, float] = getattr(recipe, family)
        if share < 0.02 or not shapes:
            continue
        parts = {name: np.float32(weight) * _shape(library, person, name, side) for name, weight in shapes.items()}
        unit = _size(_sum(parts)) if recipe.reach_mm else 1.0
        for name, field in parts.items():
            part = "together" if "brow_together" in name else "down" if "own:brow_together_{side}" in shapes else ""
            total[part] = total.get(part, np.float32(0)) + np.float32(share / unit) * field
    return total


def _sum(parts: Mapping[str, Array]) -> Array:
    return np.asarray(sum(parts.values()))


def _size(field: Array) -> float:
    """How far the fastest fiftieth of what moves goes, dm."""
    lengths = np.linalg.norm(field, axis=1)
    return float(np.percentile(lengths[lengths > 1e-4], 98))


def _shape(library: Library, person: Person, name: str, side: str) -> Array:
    """A shape on one side; ``side`` "" or "both": both."""
    if side in ("", "both") and ("{" in name or name.endswith("|")):
        return _shape(library, person, name, "left") + _shape(library, person, name, "right")
    halved = name.endswith("|")
    name = name.rstrip("|").format(side=side, Side=side.capitalize())
    if name.startswith("mh:"):
        shares = zip(ANCESTRIES, person.ancestry, strict=True)
        field: Array = np.asarray(sum(np.float32(share) * library.fields[f"{name}:{who}"] for who, share in shares))
    else:
        field = library.fields[name]
    if halved:
        across = library.rest[:, :1] * (1 if side == "left" else -1)
        field = field / (1 + np.exp(-across / 0.04))
    return np.asarray(field, np.float32)


def _waves(library: Library, person: Person) -> tuple[Array, Array]:
    """Smooth fields (8, M) that a person's unevenness is mixed from, and the same mirrored."""
    seeds = [person.bump_seed + 100 + k for k in range(8)]
    sides = (library.rest, library.rest * np.asarray([-1, 1, 1], np.float32))
    left, right = (np.stack([smooth_field(seed, places, scale=0.9) for seed in seeds]) for places in sides)
    return left, right


def _warped(style: UnitStyle, field: Array, waves: Array, *, mirrored: bool) -> Array:
    """A field turned in front view and spread unevenly; both sides in the same way."""
    shares = np.random.default_rng(style.warp_seed).normal(0, 1 / np.sqrt(len(waves)), len(waves)).astype(np.float32)
    uneven = 1 + np.float32(style.warp) * np.clip(1.6 * shares @ waves, -1, 1)
    angle = -style.turn if mirrored else style.turn
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    turned = np.stack([cos * field[:, 0] - sin * field[:, 1], sin * field[:, 0] + cos * field[:, 1], field[:, 2]], 1)
    return np.asarray(turned * uneven[:, None], np.float32)


def _bumps(library: Library, person: Person) -> Array:
    """A smooth field over the whole head, nearly the same on both sides; vanishing at lips and lids."""
    base = library.head.base
    half = base * np.asarray([0, 1, 1], np.float32) + np.abs(base) * np.asarray([1, 0, 0], np.float32)
    moved = np.stack([smooth_field(person.bump_seed + k, half, scale=1.3) for k in range(3)], 1)
    moved += 0.25 * np.stack([smooth_field(person.bump_seed + 3 + k, base, scale=1.5) for k in range(3)], 1)
    moved[:, 0] *= np.tanh(base[:, 0] / 0.2)
    return np.asarray(person.bump * moved, np.float32)


def _normalised(vertices: Array, base: Array, head: Head) -> Array:
    """The head brought back to where, and as large as, the base mesh is, by its eyes."""
    now = np.stack([vertices[head.left_eye].mean(0), vertices[head.right_eye].mean(0)])
    was = np.stack([base[head.left_eye].mean(0), base[head.right_eye].mean(0)])
    scale = np.linalg.norm(was[0] - was[1]) / np.linalg.norm(now[0] - now[1])
    return np.asarray((vertices - now.mean(0)) * np.float32(scale) + was.mean(0), np.float32)


def _gap(vertices: Array) -> float:
    """The largest opening of the lips, dm; negative where they overlap everywhere."""
    gaps = []
    for (low, up), (low_behind, up_behind) in zip(LIP_COLUMNS, LIP_COLUMNS_BEHIND, strict=True):
        front = float(vertices[up, 1] - vertices[low, 1]) - 0.007
        behind = float(vertices[up_behind, 1] - vertices[low_behind, 1]) - 0.013
        gaps.append(min(front, behind))
    return max(gaps)


def _closed(vertices: Array) -> Array:
    """The vertices with lips that close: each column's lips meet halfway, and the skin around them follows."""
    vertices = vertices.copy()
    columns = [vertices[list(pair)] for pair in LIP_COLUMNS]
    centres = np.asarray([pair.mean(0) for pair in columns])
    openings = np.asarray([pair[1, 1] - pair[0, 1] - 0.007 for pair in columns], np.float32)
    openings = np.maximum(openings, 0)
    if openings.max() < 0.002:
        return vertices
    x, y, z = vertices[:, 0], vertices[:, 1], vertices[:, 2]
    order = np.argsort(centres[:, 0])
    opening = np.interp(x, centres[order, 0], openings[order], left=0, right=0)
    line = np.interp(x, centres[order, 0], centres[order, 1])
    near = (z > centres[:, 2].min() - 0.14) & (np.abs(y - line) < 0.3)
    upper = y >= line
    reach = np.exp(-np.maximum(np.abs(y - line) - 0.02, 0) / 0.06)
    by = np.where(upper, -0.5, 0.5) * opening * reach
    vertices[near, 1] += by[near].astype(np.float32)
    return vertices


def _aperture(library: Library, vertices: Array, eye: int) -> float:
    """Distance of the lids in the middle of the left (0) or right (1) eye, dm; negative where they overlap."""
    up, low = LEFT_LIDS if eye == 0 else (library.mirrored[vertex] for vertex in LEFT_LIDS)
    return float(vertices[up, 1] - vertices[low, 1])


def _ball(points: Array) -> tuple[Array, float]:
    centre = (points.min(0) + points.max(0)) / 2
    return centre.astype(np.float32), float(np.ptp(points, axis=0)[:2].mean() / 2)


def _mirrored(base: Array, vertex: int) -> int:
    """The vertex at the mirrored place."""
    return int(np.argmin(np.linalg.norm(base - base[vertex] * np.asarray([-1, 1, 1], np.float32), axis=1)))


def _clip(value: float) -> float:
    return float(min(max(value, 0.0), 1.0))
