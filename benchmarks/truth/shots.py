"""What is shown of each head: a list of shots that depends on the head's number alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from affectkit.train.render.facs import AU_NAMES, DISTRACTORS, VISEMES
from affectkit.train.render.people import rng_of
from affectkit.train.render.sampling import Pair, lids_of, still
from truth.cast import SEED

RANDOM, DRIVEN, NEUTRAL, NEUTRAL_EACH, POSED, HIDDEN = 60, 2, 20, 6, 14, 12
"""Pictures of a head: random combinations, of each unit driven alone, neutral ones, those of a further head, turned
heads, hidden faces."""
LEVELS = (0.25, 0.5, 0.75, 1.0)
POSES = ((0, 0), (0, 15), (0, -15), (0, 30), (0, -30), (0, 45), (0, -45), (18, 0), (-18, 0))
"""Pitch and yaw, degrees."""
HIDERS = ("mask", "hand", "microphone", "sunglasses", "cut", "scarf")
SPOILS = 6
"""How many of a head's random combinations are spoiled in every way."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to be taken."""

    head: int
    part: str
    """random, curve, driven, distractor, neutral, posed, hidden; talk and onset are frames of sequences."""
    index: int
    strengths: Mapping[str, Pair] = field(default_factory=dict)
    subject: str = ""
    """The unit that is driven, the distractor, or what hides the face."""
    level: float = 0.0
    gaze: Pair = (0.0, 0.0)
    pose: Pair | None = None
    """Pitch and yaw, degrees; None: drawn by lot."""
    variant: int = 0
    """Of what is put on: glasses, make-up."""
    setting: int = 0
    """Shots of one setting have the same light, background and camera."""
    clean: bool = True
    """Without flaws of a camera."""

    @property
    def name(self) -> str:
        """Of its picture."""
        return f"{self.head}_{self.part}_{self.index:03d}"


def both(value: float) -> Pair:
    """The same on both sides."""
    return value, value


def shots_of(number: int) -> list[Shot]:
    """All stills of a head."""
    found = [*_random(number), *_curves(number), *_driven(number), *_distractors(number)]
    return [*found, *neutral(number, NEUTRAL), *_posed(number), *_hidden(number)]


def neutral(number: int, count: int) -> list[Shot]:
    """Neutral faces, yaw within 30 degrees."""
    found = []
    for k in range(count):
        rng = rng_of(SEED, "t_still", number, k)
        pose = (float(rng.uniform(-12, 12)), float(np.linspace(-30, 30, count)[k]))
        gaze = (float(rng.normal(0, 3)), float(rng.normal(0, 8)))
        found.append(
            Shot(
                number, "neutral", k, lids_of(gaze), gaze=gaze, pose=pose, variant=k, setting=1000 + k, clean=k % 2 == 0
            )
        )
    return found


def _random(number: int) -> Iterator[Shot]:
    for k in range(RANDOM):
        action = still(rng_of(SEED, "t_rand", number, k), "random")
        yield Shot(
            number, "random", k, action.strengths, gaze=action.gaze, variant=k, setting=2000 + k, clean=k % 2 == 0
        )


def _curves(number: int) -> Iterator[Shot]:
    """Every unit alone in every strength, all in one light, from the front."""
    yield Shot(number, "curve", 0, pose=(0, 0))
    for k, unit in enumerate(AU_NAMES):
        for j, level in enumerate(LEVELS):
            yield Shot(number, "curve", 1 + 4 * k + j, {unit: both(level)}, unit, level, pose=(0, 0))


def _driven(number: int) -> Iterator[Shot]:
    for k, unit in enumerate(AU_NAMES):
        for j in range(DRIVEN):
            level = float(rng_of(SEED, "t_driv", number, k, j).uniform(0.75, 1.0))
            index = DRIVEN * k + j
            yield Shot(
                number,
                "driven",
                index,
                {unit: both(level)},
                unit,
                level,
                variant=index,
                setting=3000 + index,
                clean=j == 0,
            )


def _distractors(number: int) -> Iterator[Shot]:
    movements: list[tuple[str, dict[str, Pair], Pair]] = []
    for name in DISTRACTORS:
        if name.startswith("look"):
            continue
        jaw = {"AU26": both(0.5)} if name in ("tongue", "close_lips") else {}
        movements.append((name, {name: both(1.0), **jaw}, (0.0, 0.0)))
    for name, gaze in {"gaze_down": (18, 0), "gaze_up": (-14, 0), "gaze_left": (0, -22), "gaze_right": (0, 22)}.items():
        movements.append((name, lids_of(gaze), gaze))
    movements += [("blink", {"AU43": both(1.0)}, (0.0, 0.0)), ("half_blink", {"AU43": both(0.5)}, (0.0, 0.0))]
    for name, shape in VISEMES.items():
        if name != "rest":
            movements.append((f"speech_{name}", {k: both(v) for k, v in shape.items() if v}, (0.0, 0.0)))
    for k, (name, strengths, gaze) in enumerate(movements):
        yield Shot(number, "distractor", k, strengths, name, 1.0, gaze, variant=k, setting=4000 + k)


def _posed(number: int) -> Iterator[Shot]:
    for k in range(POSED):
        action = still(rng_of(SEED, "t_pose", number, k), "random")
        pose = POSES[(k + number) % len(POSES)]
        yield Shot(number, "posed", k, action.strengths, gaze=action.gaze, pose=pose, variant=k, setting=5000 + k)


def _hidden(number: int) -> Iterator[Shot]:
    for k in range(HIDDEN):
        kind = HIDERS[k % len(HIDERS)]
        rng = rng_of(SEED, "t_hide", number, k)
        action = still(rng, "prototype" if k >= len(HIDERS) else "neutral")
        yield Shot(
            number, "hidden", k, action.strengths, kind, gaze=action.gaze, variant=k, setting=6000 + k, clean=k % 2 == 0
        )


def with_pose(shot: Shot, pitch: float, yaw: float) -> Shot:
    """The same with the head turned."""
    return replace(shot, pose=(pitch, yaw))
