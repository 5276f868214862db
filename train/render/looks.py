"""How a person and a picture look: skin, hair, eyes, glasses, light, camera and style, all drawn by lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectkit.train.render.people import Person, allowed, rng_of
from affectkit.types import Array

STYLES = ("photo", "soft", "studio", "matt", "plastic", "harsh", "steps", "painted", "strange")
_STYLE_SHARES = {"photo": 4.0, "strange": 0.35, "painted": 0.35, "steps": 0.6}
LIGHT_RIGS = ("front", "left", "right", "top", "below", "rim", "two", "overcast", "window")
LENSES = ("tele", "normal", "wide")
GLASSES = ("round", "square", "wide", "rimless", "half")
OVER_THE_FACE = ("bob02", "braid01", "short03")
"""Hair that hides a brow."""
HELD_OUT_SETTINGS = 1 / 3
"""Share of styles, light rigs and glasses that only the test part has."""
HELD_OUT_ASSETS = 0.22
"""Share of skins, hair, brows and lashes that only the test part has."""

_PALE, _MIDDLE, _DARK = np.asarray([[0.66, 0.49, 0.41], [0.38, 0.25, 0.17], [0.08, 0.048, 0.034]])


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a person looks like, beside the shape of the head."""

    skin: tuple[str, str]
    """Two skins that are mixed."""
    skin_share: float
    colour: Array
    """(3,) linear colour that the skin's mean is brought to."""
    hair: str
    """"" for none."""
    hair_colour: Array
    brows: str
    brow_colour: Array
    brow_density: float
    lashes: str
    iris: Array
    iris_size: float
    stubble: float
    make_up: float
    glasses: str
    """"" for none."""
    dark_glasses: bool
    uniforms: Mapping[str, Any]
    """Of the skin."""
    eye_uniforms: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Light, lens and style of a picture."""

    style: str
    rig: str
    lens: str
    distance: float
    """Of the camera, dm."""
    lights: Array
    """(3, 3) unit directions towards the lights in camera space."""
    uniforms: Mapping[str, Any]
    """For every shader."""
    skin_uniforms: Mapping[str, Any]
    """On top of the look's."""
    whiteness: Array
    """(3,) gains of the colour channels."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Names to choose from, by kind, for one part of the set."""

    skins: tuple[str, ...]
    hair: tuple[str, ...]
    brows: tuple[str, ...]
    lashes: tuple[str, ...]
    styles: tuple[str, ...]
    rigs: tuple[str, ...]
    glasses: tuple[str, ...]


def choices(
    seed: int, split: str, *, skins: Sequence[str], hair: Sequence[str], brows: Sequence[str], lashes: Sequence[str]
) -> Choices:
    """What a part may use; the test part has what the others never see."""
    assets = {"skins": skins, "hair": hair, "brows": brows, "lashes": lashes}
    found = {kind: allowed(seed, kind, names, HELD_OUT_ASSETS, split) for kind, names in assets.items()}
    settings = {"styles": STYLES[1:], "rigs": LIGHT_RIGS, "glasses": GLASSES}
    found |= {kind: allowed(seed, kind, names, HELD_OUT_SETTINGS, split) for kind, names in settings.items()}
    found["styles"] = ("photo", *found["styles"])
    return Choices(**found)


def look(seed: int, person: Person, variant: int, given: Choices, *, dress_up: bool = True) -> Look:
    """The looks of a person; skin, hair and brows stay from variant to variant, what one puts on does not."""
    own = rng_of(seed, "look", person.number)
    rng = rng_of(seed, "dress", person.number, variant)
    old = float(np.clip((person.years - 40) / 40, 0, 1))
    grey = own.random() < old
    hair_colour = _hair_colour(own, person, grey)
    colour = _skin_colour(own, person)
    man = person.male > 0.5
    stubble = float(own.beta(0.8, 1.2) * (own.random() < 0.6)) if man and person.years > 17 else 0.0
    make_up = 0.0 if not dress_up else float(rng.beta(1, 1.5) * (rng.random() < (0.08 if man else 0.5)))
    bald = own.random() < (0.25 if man else 0.04)
    light = float(np.mean(colour))
    iris = own.dirichlet([1, 1, 1]) * 0.15 if own.random() < 0.2 else _iris(own, person)
    glasses = str(rng.choice(given.glasses)) if dress_up and rng.random() < 0.22 else ""
    lips = _lips(rng, colour, make_up)
    uniforms: dict[str, Any] = {
        "mottle": float(own.uniform(0.0, 0.28)),
        "mottle_scale": float(own.choice([3.0, 8.0, 20.0]) * own.uniform(0.7, 1.4)),
        "freckles": float(own.beta(0.6, 2) * (own.random() < 0.4)),
        "pores": float(own.uniform(0.0, 0.22)),
        "seed": tuple(own.uniform(0, 50, 2).tolist()),
        "lips": lips,
        "shadow": (*(rng.uniform(0.02, 0.5, 3) * light).tolist(), 0.7 * make_up * float(rng.random())),
        "blush": (1.0, 0.55, 0.5, 0.6 * make_up * float(rng.random()) + float(own.uniform(0, 0.2))),
        "stubble": (*(hair_colour * 0.5).tolist(), stubble * 0.85),
        "cloth": tuple(rng.uniform(0.01, 0.7, 3).tolist()),
    }
    eye_uniforms = {
        "iris": tuple(iris.tolist()),
        "iris_rim": tuple((iris * own.uniform(0.1, 0.7)).tolist()),
        "sclera": tuple(
            (own.uniform(0.45, 0.85) * np.asarray([1.0, own.uniform(0.88, 0.98), own.uniform(0.82, 0.98)])).tolist()
        ),
        "pupil": float(rng.uniform(0.25, 0.6)),
        "redness": float(rng.beta(1, 4)),
        "lid_shadow": float(rng.uniform(0.4, 1.0)),
        "catchlight": float(rng.choice([0.0, rng.uniform(0.3, 2.5)], p=[0.25, 0.75])),
    }
    return Look(
        skin=_skins(own, person, given.skins),
        skin_share=float(own.uniform(0, 0.5)),
        colour=colour,
        hair="" if bald else _hair(own, given.hair),
        hair_colour=hair_colour,
        brows=str(own.choice(given.brows)),
        brow_colour=hair_colour * own.uniform(0.35, 1.1),
        brow_density=float(np.clip(own.normal(1.05, 0.3), 0.45, 1.6)),
        lashes=str(own.choice(given.lashes)),
        iris=iris,
        iris_size=float(own.uniform(0.40, 0.49)),
        stubble=stubble,
        make_up=make_up,
        glasses=glasses,
        dark_glasses=bool(glasses) and rng.random() < 0.15,
        uniforms=uniforms,
        eye_uniforms=eye_uniforms,
    )


def setting(rng: np.random.Generator, given: Choices) -> Setting:
    """Light, lens and style."""
    shares = np.asarray([_STYLE_SHARES.get(name, 1.0) for name in given.styles])
    style = str(rng.choice(given.styles, p=shares / shares.sum()))
    rig = str(rng.choice(given.rigs))
    lens = str(rng.choice(LENSES))
    distance = float({"tele": rng.uniform(12, 25), "normal": rng.uniform(6, 12), "wide": rng.uniform(3.6, 6)}[lens])
    lights, colours, ambient = _lights(rng, rig)
    shadow = 0.0 if style in ("soft", "matt") and rng.random() < 0.6 else float(rng.uniform(0.35, 1.0))
    strange = style in ("strange", "painted")
    uniforms: dict[str, Any] = {
        "light_direction": lights,
        "light_colour": colours,
        "sky": tuple((ambient * rng.uniform(0.8, 1.2, 3)).tolist()),
        "ground": tuple((ambient * rng.uniform(0.2, 0.9) * rng.uniform(0.8, 1.2, 3)).tolist()),
        "up": (0.0, 1.0, 0.0),
        "wrap": tuple(
            (rng.uniform(0.0, 0.5 if style == "soft" else 0.25) + np.asarray([0.12, 0.04, 0.0]) * rng.random()).tolist()
        ),
        "gloss": float(rng.uniform(6, 45)),
        "shine": float(rng.uniform(0.0, 0.22) * {"plastic": 3.5, "matt": 0.0, "soft": 0.4}.get(style, 1.0)),
        "rim": float(rng.uniform(0, 0.4)),
        "shadow_strength": shadow,
        "shadow_blur": float(rng.uniform(0.002, 0.02)),
        "shadow_bias": float(rng.uniform(0.006, 0.02)),
        "cavity": float(rng.uniform(0.6, 1.0) if style != "matt" else rng.uniform(0.2, 0.6)),
        "steps": float(rng.integers(3, 6)) if style == "steps" else 0.0,
        "gamma": float(rng.uniform(1.8, 2.6)),
    }
    skin_uniforms: dict[str, Any] = {
        "flatness": float(
            {"matt": rng.uniform(0.6, 1.0), "steps": rng.uniform(0.3, 1.0), "harsh": rng.uniform(-0.6, 0.0)}.get(
                style, rng.uniform(-0.25, 0.4)
            )
        ),
        "fold_depth": float(rng.uniform(0.7, 2.2) * (1.4 if style == "harsh" else 1.0)),
        "fold_stain": float(rng.uniform(0.1, 0.9)),
        "weird": float(rng.uniform(0.2, 0.8)) if strange else 0.0,
    }
    if strange:
        skin_uniforms["mottle"] = float(rng.uniform(0.1, 0.5))
        skin_uniforms["mottle_scale"] = float(rng.uniform(1.0, 14.0))
    return Setting(
        style=style,
        rig=rig,
        lens=lens,
        distance=distance,
        lights=lights,
        uniforms=uniforms,
        skin_uniforms=skin_uniforms,
        whiteness=np.clip(rng.normal(1, 0.08, 3), 0.7, 1.3),
    )


def _lights(rng: np.random.Generator, rig: str) -> tuple[Array, Array, Array]:
    """Directions (3, 3), colours (3, 3) and the ambient light (3,) of a rig."""
    azimuth, elevation = {
        "front": (rng.normal(0, 15), rng.normal(20, 12)),
        "left": (rng.uniform(-80, -30), rng.normal(20, 15)),
        "right": (rng.uniform(30, 80), rng.normal(20, 15)),
        "top": (rng.normal(0, 30), rng.uniform(50, 80)),
        "below": (rng.normal(0, 30), rng.uniform(-50, -15)),
        "rim": (rng.choice([-1, 1]) * rng.uniform(90, 140), rng.uniform(0, 40)),
        "two": (rng.uniform(-70, -20), rng.uniform(0, 40)),
        "overcast": (rng.normal(0, 60), rng.uniform(40, 85)),
        "window": (rng.choice([-1, 1]) * rng.uniform(40, 95), rng.uniform(-5, 25)),
    }[rig]
    key = {"overcast": rng.uniform(0.1, 0.5), "rim": rng.uniform(0.6, 2.2), "window": rng.uniform(1.0, 2.4)}.get(
        rig, rng.uniform(0.5, 1.8)
    )
    fill = {"two": rng.uniform(0.5, 1.6), "window": rng.uniform(0, 0.2)}.get(rig, rng.uniform(0, 0.5))
    places = [
        (azimuth, elevation),
        (-azimuth + rng.normal(0, 20), rng.uniform(-10, 40)),
        (rng.uniform(-180, 180), rng.uniform(-20, 80)),
    ]
    directions = [
        (
            np.sin(np.radians(a)) * np.cos(np.radians(e)),
            np.sin(np.radians(e)),
            np.cos(np.radians(a)) * np.cos(np.radians(e)),
        )
        for a, e in places
    ]
    strengths = np.asarray([key, fill, rng.uniform(0, 0.4)])
    warm = np.exp(rng.normal(0, 0.05, (3, 3)) + np.outer(rng.normal(0, 0.10, 3), [1, 0, -1]))
    if rng.random() < 0.04:
        warm = rng.uniform(0.1, 1.6, (3, 3))
    level = rng.uniform(0.55, 1.1) if rig in ("overcast", "rim") else rng.uniform(0.12, 0.6)
    ambient = level * np.exp(rng.normal(0, 0.08, 3))
    return np.asarray(directions, np.float32), np.asarray(strengths[:, None] * warm, np.float32), ambient


def _skins(rng: np.random.Generator, person: Person, names: Sequence[str]) -> tuple[str, str]:
    """Two skins of about this age, sex and tone, where there are such; mostly."""

    def weight(name: str) -> float:
        score = 1.0
        score *= 5.0 if ("dark" in name) == (person.melanin > 0.45) else 1.0
        score *= 3.0 if ("female" in name) == (person.male < 0.5) else 1.0
        wanted = "old" if person.years > 58 else "middleage" if person.years > 35 else "young"
        return score * (4.0 if wanted in name else 1.0)

    weights = np.asarray([weight(name) for name in names])
    first, second = rng.choice(len(names), 2, p=weights / weights.sum())
    return names[int(first)], names[int(second)]


def _hair(rng: np.random.Generator, names: Sequence[str]) -> str:
    """A style of hair; those that fall over an eye are rarer."""
    shares = np.asarray([0.25 if name in OVER_THE_FACE else 1.0 for name in names])
    return str(rng.choice(names, p=shares / shares.sum()))


def _skin_colour(rng: np.random.Generator, person: Person) -> Array:
    m = person.melanin
    low, high, share = (_PALE, _MIDDLE, m / 0.5) if m < 0.5 else (_MIDDLE, _DARK, (m - 0.5) / 0.5)
    colour = np.exp((1 - share) * np.log(low) + share * np.log(high))
    return np.asarray(colour * np.exp(rng.normal(0, 0.10)) * np.exp(rng.normal(0, 0.05, 3)), np.float32)


def _hair_colour(rng: np.random.Generator, person: Person, grey: bool) -> Array:
    dark = np.asarray([0.018, 0.012, 0.009])
    kinds = [
        dark,
        np.asarray([0.06, 0.03, 0.015]),
        np.asarray([0.16, 0.09, 0.045]),
        np.asarray([0.36, 0.24, 0.12]),
        np.asarray([0.22, 0.06, 0.02]),
    ]
    light = person.ancestry[2] * (1 - person.melanin)
    shares = np.asarray([1.2 - light, 0.8, 0.2 + light, 0.05 + 0.6 * light, 0.02 + 0.25 * light])
    colour = kinds[int(rng.choice(5, p=shares / shares.sum()))]
    if grey:
        colour = colour + rng.uniform(0.3, 1.0) * (np.asarray([0.5, 0.5, 0.5]) - colour)
    if rng.random() < 0.04:
        colour = rng.uniform(0.02, 0.6, 3)
    return np.asarray(colour * np.exp(rng.normal(0, 0.25)), np.float32)


def _iris(rng: np.random.Generator, person: Person) -> Array:
    light = person.ancestry[2] * (1 - person.melanin)
    kinds = np.asarray(
        [[0.045, 0.02, 0.010], [0.10, 0.055, 0.025], [0.11, 0.12, 0.05], [0.08, 0.14, 0.22], [0.16, 0.18, 0.19]]
    )
    shares = np.asarray([1.2 - light, 0.4, 0.1 + 0.4 * light, 0.02 + 0.6 * light, 0.02 + 0.3 * light])
    return np.asarray(kinds[int(rng.choice(5, p=shares / shares.sum()))] * np.exp(rng.normal(0, 0.25, 3)), np.float32)


def _lips(rng: np.random.Generator, skin: Array, make_up: float) -> tuple[float, float, float, float]:
    natural = skin * np.asarray([0.85, 0.5, 0.5]) * rng.uniform(0.7, 1.1)
    stick = np.asarray([rng.uniform(0.1, 0.6), rng.uniform(0.005, 0.15), rng.uniform(0.01, 0.2)])
    worn = make_up > 0.25 and rng.random() < 0.7
    colour, strength = (stick, rng.uniform(0.4, 0.95)) if worn else (natural, rng.uniform(0.0, 0.6))
    return float(colour[0]), float(colour[1]), float(colour[2]), float(strength)
