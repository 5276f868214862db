"""What each face does: drawn by lot, one sample from (seed, number) alone. Nothing here knows of meshes or pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from affectkit.train.render.facs import ACTION_UNITS, AU_NAMES, DISTRACTORS, MEASURED, PAIRS, PROTOTYPES, VISEMES

Pair = tuple[float, float]

KINDS = {
    "neutral": 0.08,
    "single": 0.14,
    "pair": 0.12,
    "prototype": 0.14,
    "random": 0.36,  # the one kind in which nothing tells of anything else, and every unit is as frequent as the others
    "speech": 0.09,
    "distractor": 0.07,
}
"""Shares of what a still shows."""
SEQUENCE_KINDS = {"events": 0.36, "talk": 0.30, "talk_events": 0.18, "rest": 0.16}
"""Shares of what a sequence shows: units that come and go, speech on a neutral face, both, and nothing but blinks,
looks and movements of the head."""
NAMED_FROM = 0.3
"""Strength from which a prototype is called by its name."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a face does at one moment."""

    kind: str
    strengths: Mapping[str, Pair] = field(default_factory=dict)
    """Unit or distractor -> 0..1 on the person's left and right."""
    expression: str = ""
    """Of the seven, where a prototype or nothing at all is shown; else empty."""
    expression_strength: float = 0.0
    gaze: Pair = (0.0, 0.0)
    """Pitch and yaw, degrees."""

    def driven(self) -> dict[str, float]:
        """Intensities of the units that are told as they are driven: the stronger side."""
        return {name: max(self.strengths.get(name, (0.0, 0.0))) for name in AU_NAMES if name not in MEASURED}


def still(rng: np.random.Generator, kind: str | None = None) -> Action:
    """What a still shows."""
    kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
    strengths, expression, level = _strengths(rng, kind)
    gaze = (float(rng.normal(0, 6)), float(rng.normal(0, 10))) if rng.random() < 0.6 else (0.0, 0.0)
    sided = {name: _sides(rng, name, value) for name, value in strengths.items()}
    if kind != "neutral" and rng.random() < 0.05 and "AU43" not in sided and "AU5" not in sided:
        closing = float(rng.uniform(0.2, 1.0))
        sided["AU43"] = (closing, closing)
    return Action(kind, _compatible({**sided, **lids_of(gaze)}), expression, level, gaze)


def lids_of(gaze: Pair) -> dict[str, Pair]:
    """How the lids follow the eyes up and down."""
    down = float(np.clip(gaze[0] / 25, -1, 1))
    return {"look_down": (down, down)} if down > 0 else {"look_up": (-down, -down)} if down < 0 else {}


def sequence(rng: np.random.Generator, frames: int, kind: str | None = None) -> list[Action]:
    """What a sequence of frames at some 25 a second shows."""
    kind = kind or str(rng.choice(list(SEQUENCE_KINDS), p=list(SEQUENCE_KINDS.values())))
    total: dict[str, np.ndarray] = {}
    expression, level = ("neutral" if kind in ("talk", "rest") else ""), np.zeros(frames)
    if "events" in kind:
        for _ in range(int(rng.integers(1, 3))):
            strengths, name, _ = _strengths(rng, str(rng.choice(["single", "pair", "prototype", "prototype"])))
            course = envelope(rng, frames)
            for unit, value in strengths.items():
                late = int(rng.integers(-1, 2)) if rng.random() < 0.5 else 0
                course_of_unit = np.pad(course, 1, mode="edge")[1 - late : frames + 1 - late]
                pair = np.asarray(_sides(rng, unit, value))
                total[unit] = np.maximum(total.get(unit, np.zeros((frames, 2))), course_of_unit[:, None] * pair)
            if name and not expression:
                expression, level = name, course * max(strengths.values())
    if "talk" in kind:
        for unit, course in speech(rng, frames).items():
            total[unit] = np.maximum(total.get(unit, np.zeros((frames, 2))), course[:, None])
    for unit, course in blinks(rng, frames).items():
        total[unit] = np.maximum(total.get(unit, np.zeros((frames, 2))), course[:, None])
    gaze = glances(rng, frames)
    found = []
    for t in range(frames):
        moment = {
            unit: (float(course[t, 0]), float(course[t, 1]))
            for unit, course in total.items()
            if course[t].max() > 0.005
        }
        look = (float(gaze[t, 0]), float(gaze[t, 1]))
        named = expression if expression == "neutral" or level[t] >= NAMED_FROM else ""
        found.append(Action(kind, _while_closing({**moment, **lids_of(look)}), named, float(level[t]), look))
    return found


def envelope(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Onset, apex and offset (frames,), 0..1; it may begin before the sequence or end after it."""
    onset, offset = rng.integers(3, 13), rng.integers(5, 18)
    start = rng.integers(-8, max(frames - 8, 1))
    apex = rng.integers(2, max(frames // 2, 4))
    places = [start, start + onset, start + onset + apex, start + onset + apex + offset]
    raw = np.interp(np.arange(frames), places, [0, 1, rng.uniform(0.75, 1.0), 0])
    return np.asarray(raw * raw * (3 - 2 * raw))


def speech(rng: np.random.Generator, frames: int) -> dict[str, np.ndarray]:
    """Visemes that run into each other (frames,) by movement, with pauses."""
    names = list(VISEMES)
    units = sorted({unit for shape in VISEMES.values() for unit in shape})
    keys, t = [0], 0
    while t < frames:
        t += int(rng.integers(2, 6))
        keys.append(t)
    loud = rng.uniform(0.35, 1.0)
    shapes = [VISEMES[str(rng.choice(names))] for _ in keys]
    found = {}
    for unit in units:
        values = [loud * shape.get(unit, 0.0) * rng.uniform(0.7, 1.25) for shape in shapes]
        course = np.interp(np.arange(frames), keys, np.clip(values, 0, 1))
        if course.max() > 0:
            found[unit] = np.convolve(np.pad(course, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return found


def blinks(rng: np.random.Generator, frames: int) -> dict[str, np.ndarray]:
    """Now and then the lids close for some frames."""
    course = np.zeros(frames)
    for _ in range(int(rng.poisson(0.6))):
        at, shut = int(rng.integers(0, frames)), int(rng.integers(1, 4))
        places = [at - 2, at, at + shut, at + shut + int(rng.integers(3, 6))]
        course = np.maximum(course, np.interp(np.arange(frames), places, [0, 1, 1, 0]))
    return {"AU43": course} if course.max() > 0 else {}


def glances(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Gaze (frames, 2), pitch and yaw in degrees, that jumps."""
    out, t = np.zeros((frames, 2)), 0
    while t < frames:
        held = int(rng.integers(5, 30))
        out[t : t + held] = rng.normal(0, (5, 9)) if rng.random() < 0.7 else 0
        t += held
    return out


def sway(rng: np.random.Generator, frames: int, spread: float) -> np.ndarray:
    """A smooth wandering (frames,) about 0."""
    t = np.arange(frames)
    waves = [
        rng.normal(0, spread) * np.sin(2 * np.pi * t / rng.uniform(18, 90) + rng.uniform(0, 6.3)) for _ in range(3)
    ]
    return np.asarray(np.sum(waves, axis=0) / np.sqrt(1.5))


def _strengths(rng: np.random.Generator, kind: str) -> tuple[dict[str, float], str, float]:
    """Strengths by movement, the expression's name, and its strength."""
    if kind == "neutral":
        return {}, "neutral", 0.0
    if kind == "single":
        return {str(rng.choice(AU_NAMES)): _level(rng)}, "", 0.0
    if kind == "pair":
        pair = PAIRS[int(rng.integers(len(PAIRS)))]
        return {("funnel" if unit == "AU22" else unit): _level(rng) for unit in pair}, "", 0.0
    if kind == "prototype":
        return _prototype(rng)
    if kind == "random":
        units = rng.choice(AU_NAMES, int(rng.integers(2, 6)), replace=False)
        return {str(unit): _level(rng) for unit in units}, "", 0.0
    if kind == "speech":
        found = _speaking(rng)
        # A mouth that only speaks shows no emotion; one moment of it, seen alone, is easily taken for joy or surprise.
        return found, "" if found.keys() & {"AU1", "AU2", "AU4"} else "neutral", 0.0
    names = [name for name in DISTRACTORS if not name.startswith("look")]
    chosen = rng.choice(names, int(rng.integers(1, 3)), replace=False)
    found = {str(name): _level(rng) for name in chosen}
    if "tongue" in found or "close_lips" in found:
        found["AU26"] = float(rng.uniform(0.3, 0.8))
    return found, "", 0.0


def _prototype(rng: np.random.Generator) -> tuple[dict[str, float], str, float]:
    names = sorted({prototype.expression for prototype in PROTOTYPES})
    name = str(rng.choice(names))
    options = [prototype for prototype in PROTOTYPES if prototype.expression == name]
    prototype = options[int(rng.integers(len(options)))]
    level = float(rng.uniform(0.15, 1.0))
    units = [*prototype.needed, *(unit for unit in prototype.possible if rng.random() < 0.35)]
    strengths = {unit: float(np.clip(level * rng.uniform(0.65, 1.2), 0.05, 1)) for unit in units}
    return strengths, name if level >= NAMED_FROM else "", level


def _speaking(rng: np.random.Generator) -> dict[str, float]:
    """Two visemes mixed, now and then with brows that move."""
    first, second = (VISEMES[str(name)] for name in rng.choice(list(VISEMES), 2))
    share, loud = rng.random(), rng.uniform(0.4, 1.1)
    found = {
        unit: float(np.clip(loud * (share * first.get(unit, 0.0) + (1 - share) * second.get(unit, 0.0)), 0, 1))
        for unit in {*first, *second}
    }
    if rng.random() < 0.3:
        for unit in rng.choice(["AU1", "AU2", "AU4"], int(rng.integers(1, 3)), replace=False):
            found[str(unit)] = _level(rng)
    return {unit: value for unit, value in sorted(found.items()) if value > 0.01}


def _level(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.1, 1.0))


def _sides(rng: np.random.Generator, name: str, value: float) -> Pair:
    """Left and right: mostly nearly alike, now and then quite different."""
    recipe = ACTION_UNITS.get(name) or DISTRACTORS[name]
    if not recipe.sided:
        return value, value
    weaker = float(rng.uniform(0, 1)) if rng.random() < 0.15 else float(np.clip(1 - abs(rng.normal(0, 0.07)), 0, 1))
    return (value, value * weaker) if rng.random() < 0.5 else (value * weaker, value)


def _compatible(strengths: Mapping[str, Pair]) -> dict[str, Pair]:
    """Without what closed eyes cannot do, so that what is told is also there."""
    closing = max(strengths.get("AU43", (0.0, 0.0)))
    lost = {"AU5", "AU7"} if closing > 0.3 else set[str]()
    return {name: value for name, value in strengths.items() if name not in lost and max(value) > 0}


def _while_closing(strengths: Mapping[str, Pair]) -> dict[str, Pair]:
    """The same for lids on their way: what cannot be done fades as they close."""
    left = float(np.clip((0.45 - max(strengths.get("AU43", (0.0, 0.0)))) / 0.3, 0, 1))
    faded = {name: (a * left, b * left) if name in ("AU5", "AU7") else (a, b) for name, (a, b) in strengths.items()}
    return {name: value for name, value in faded.items() if max(value) > 0.002}
