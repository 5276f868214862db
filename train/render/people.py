"""Who is drawn: everything about a person that is drawn by lot, from the seed and the person's number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from affectkit.train.render.facs import ACTION_UNITS, DISTRACTORS, FAMILIES, Recipe
from affectkit.types import Array

SPLITS = ("train", "dev", "test")
SPLIT_SHARES = (0.8, 0.08, 0.12)

SCALES = {"asym": 0.55, "l-ear": 0.5, "r-ear": 0.5, "mouth": 0.38, "l-eye": 0.36, "r-eye": 0.36, "neck": 0.4}
"""Spread of local shapes by the beginning of their names; .42 elsewhere; 1 is MakeHuman's slider at its end."""
SMALLER = {
    "mouth-angles": 0.2,
    "mouth-trans": 0.25,
    "mouth-scale-vert": 0.25,
    "mouth-upperlip-middle": 0.15,
    "mouth-lowerlip-middle": 0.15,
    "mouth-upperlip-ext": 0.15,
    "mouth-lowerlip-ext": 0.15,
    "chin-jaw-drop": 0.2,
    "eye-push": 0.15,
    "eye-height": 0.3,
    "eye-scale": 0.3,
    "eye-trans": 0.25,
    "head-age": 0.3,
    "asym-mouth": 0.18,
    "asym-jaw": 0.25,
    "asym-cheek": 0.3,
    "asym-eye": 0.3,
    "eyebrows": 0.25,
}
"""Shapes that would look like an expression, or open the lips, if they went further."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitStyle:
    """How a person does one unit."""

    families: tuple[float, float, float]
    """Shares of FAMILIES; sum 1."""
    gain: float
    """Of the unit's reach."""
    bend: float
    """The geometry follows intensity ** bend."""
    sides: tuple[float, float]
    """Further gains, left and right; 1 on average."""
    turn: float
    """Radians by which the movement is turned in front view, mirrored on the right."""
    warp_seed: int
    warp: float
    """How unevenly the movement is spread, 0 to .4."""
    neighbour: str
    """Another unit that is mixed in ..."""
    neighbour_share: float
    """... and how much."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One identity."""

    number: int
    split: str
    years: float
    male: float
    """0 (female) to 1 (male)."""
    muscle: float
    weight: float
    ancestry: tuple[float, float, float]
    """Shares of shapes.ANCESTRIES."""
    local: dict[str, float]
    """Local shapes, -1 to 1."""
    styles: dict[str, UnitStyle]
    bump_seed: int
    """Of a smooth field that makes this head unlike any other."""
    bump: float
    """Its height, dm."""
    melanin: float
    """0 (palest) to 1 (darkest) skin."""
    fold_gain: float
    """How deeply this skin folds when it moves."""
    fold_rest: float
    """How deep its folds are at rest."""


def rng_of(seed: int, *key: int | str) -> np.random.Generator:
    """A generator that depends on the seed and a key alone."""
    words = [seed & 0xFFFFFFFF]
    for part in key:
        words.append(part if isinstance(part, int) else int.from_bytes(part.encode()[:8].ljust(8, b"\0"), "little"))
    return np.random.default_rng([word & 0xFFFFFFFFFFFFFFFF for word in words])


def split_of(seed: int, number: int) -> str:
    """The part that an identity belongs to."""
    return str(rng_of(seed, "split", number).choice(SPLITS, p=SPLIT_SHARES))


def held_out(seed: int, kind: str, names: Sequence[str], share: float) -> tuple[str, ...]:
    """The names of a kind (skins, hair, light ...) that only the test part has; of women's and men's in turn."""
    ordered = [names[k] for k in rng_of(seed, "held", kind).permutation(len(names))]
    women = [name for name in ordered if "female" in name]
    others = [name for name in ordered if "female" not in name]
    turns = [name for pair in zip_longest(women, others) for name in pair if name is not None]
    return tuple(sorted(turns[: round(len(names) * share)]))


def allowed(seed: int, kind: str, names: Sequence[str], share: float, split: str) -> tuple[str, ...]:
    """What a part may use of a kind: the test part what is held out, the others the rest."""
    kept = held_out(seed, kind, names, share)
    found = tuple(name for name in names if (name in kept) == (split == "test"))
    return found or tuple(names)


def person(seed: int, number: int, local_names: Sequence[str], attempt: int = 0) -> Person:
    """Draw an identity by lot; another ``attempt`` gives another person for the same number."""
    rng = rng_of(seed, "person", number, attempt)
    years = float(
        np.clip(rng.choice([rng.uniform(9, 18), rng.uniform(18, 45), rng.uniform(40, 86)], p=[0.1, 0.55, 0.35]), 9, 86)
    )
    ancestry = rng.dirichlet([0.35, 0.35, 0.35])
    male = float(np.clip(rng.choice([0.0, 1.0]) + rng.normal(0, 0.18), 0, 1))
    melanin = float(np.clip(0.15 + 0.6 * ancestry[0] + 0.12 * ancestry[1] + rng.normal(0, 0.15), 0, 1))
    if rng.random() < 0.1:
        melanin = float(rng.random())
    old = np.clip((years - 25) / 50, 0, 1)
    return Person(
        number=number,
        split=split_of(seed, number),
        years=years,
        male=male,
        muscle=float(np.clip(rng.normal(0.5, 0.2), 0, 1)),
        weight=float(np.clip(rng.normal(0.5, 0.25), 0, 1)),
        ancestry=(float(ancestry[0]), float(ancestry[1]), float(ancestry[2])),
        local=_local(rng, local_names),
        styles={name: _style(rng, name, recipe) for name, recipe in {**ACTION_UNITS, **DISTRACTORS}.items()},
        bump_seed=int(rng.integers(2**31)),
        bump=float(rng.uniform(0.0, 0.03)),
        melanin=melanin,
        fold_gain=float(rng.uniform(0.2, 1.0) * (0.7 + 0.5 * old)),
        fold_rest=float(np.clip(rng.beta(1.2, 3) * 0.35 + old * rng.uniform(0, 0.6), 0, 1)),
    )


def _local(rng: np.random.Generator, names: Sequence[str]) -> dict[str, float]:
    """Both sides alike, but for a little."""
    values: dict[str, float] = {}
    strength = rng.uniform(0.4, 1.1)
    for name in sorted(names):
        if name.startswith("r-"):
            continue
        value = rng.normal(0, _scale(name)) * strength
        if rng.random() < 0.35:
            value = 0.0
        values[name] = float(np.clip(value, -1, 1))
        if name.startswith("l-"):
            values["r-" + name[2:]] = float(np.clip(value + rng.normal(0, 0.08), -1, 1))
    return values


def _scale(name: str) -> float:
    for part, scale in SMALLER.items():
        if part in name:
            return scale
    return next((scale for start, scale in SCALES.items() if name.startswith(start)), 0.42)


def _style(rng: np.random.Generator, name: str, recipe: Recipe) -> UnitStyle:
    present = np.asarray([bool(getattr(recipe, family)) for family in FAMILIES], float)
    shares = rng.dirichlet([0.7, 0.7, 0.7]) * present
    shares = shares / shares.sum() if shares.sum() > 1e-6 else present / present.sum()
    lean = float(np.clip(rng.normal(0, 0.09), -0.3, 0.3)) if recipe.sided else 0.0
    fixed = name in ("AU43", "close_lips")
    return UnitStyle(
        families=(float(shares[0]), float(shares[1]), float(shares[2])),
        gain=1.0 if fixed else float(np.clip(rng.lognormal(0, 0.16), 0.7, 1.4)),
        bend=1.0 if fixed else float(np.clip(rng.lognormal(0, 0.16), 0.7, 1.4)),
        sides=(1.0, 1.0) if fixed else (1 + lean, 1 - lean),
        turn=0.0 if fixed else float(rng.normal(0, 0.12)),
        warp_seed=int(rng.integers(2**31)),
        warp=0.0 if fixed else float(rng.uniform(0, 0.4)),
        neighbour=str(rng.choice(NEIGHBOURS.get(name, (name,)))),
        neighbour_share=float(rng.uniform(0, 0.12)) if name in NEIGHBOURS else 0.0,
    )


NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "AU1": ("AU2",),
    "AU2": ("AU1",),
    "AU5": ("AU2",),
    "AU6": ("AU7", "AU12"),
    "AU9": ("AU10", "AU4"),
    "AU10": ("AU9",),
    "AU12": ("AU6", "AU14"),
    "AU14": ("AU12", "AU24"),
    "AU15": ("AU17", "AU20"),
    "AU17": ("AU15", "AU24"),
    "AU18": ("AU23",),
    "AU20": ("AU14", "AU15"),
    "AU23": ("AU24", "AU18"),
    "AU24": ("AU23", "AU17"),
}
"""What may be mixed into a unit, since no two faces have the same muscles."""


def smooth_field(seed: int, points: Array, *, scale: float, terms: int = 6) -> Array:
    """A smooth field (N,), about -1 to 1, on points (N, 3) in dm; ``scale`` is the length of its waves."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(0, 1, (terms, points.shape[1])) * 2 * np.pi / scale / np.sqrt(3)
    phases = rng.uniform(0, 2 * np.pi, terms)
    return np.asarray(np.cos(points @ waves.T + phases).sum(axis=1) * 0.5 * np.sqrt(2 / terms), np.float32)
