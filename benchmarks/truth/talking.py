"""Moving faces: neutral ones that talk, and units that come on at a known frame."""

from __future__ import annotations

import numpy as np

from affectkit.train.render.people import rng_of
from affectkit.train.render.sampling import Pair, blinks, glances, lids_of, speech, sway
from truth.cast import SEED
from truth.shots import Shot, both

TALKS, ONSETS = 16, 12
FRAMES, ONSET_FRAMES, FPS = 50, 40, 25
ONSET_AT, RISE = 15, 5
"""Frame at which a unit begins to move, and frames until it is there."""
EVENTS: tuple[tuple[str, ...], ...] = (
    ("AU6", "AU12"),
    ("AU1", "AU2", "AU5", "AU26"),
    ("AU4",),
    ("AU1", "AU4", "AU15"),
    ("AU25", "AU26"),
    ("AU20", "AU25"),
)


def talk(number: int, which: int) -> list[Shot]:
    """A neutral face that talks, blinks, looks about and moves a little."""
    rng = rng_of(SEED, "t_talk", number, which)
    said, lids = speech(rng, FRAMES), blinks(rng, FRAMES)
    moving: list[dict[str, Pair]] = [
        {name: both(float(course[t])) for name, course in {**said, **lids}.items() if course[t] > 0.005}
        for t in range(FRAMES)
    ]
    return _frames("talk", number, which, moving, rng)


def onset(number: int, which: int) -> list[Shot]:
    """A neutral face on which units come on and stay."""
    rng = rng_of(SEED, "t_onset", number, which)
    units = EVENTS[which % len(EVENTS)]
    course = course_of_onset(ONSET_FRAMES)
    level = float(rng.uniform(0.75, 1.0))
    moving = [{unit: both(level * float(value)) for unit in units if value > 0} for value in course]
    return _frames("onset", number, which, moving, rng, "+".join(units))


def course_of_onset(frames: int) -> np.ndarray:
    """(frames,) 0 before ONSET_AT, 1 from RISE frames later, smooth between."""
    raw = np.clip((np.arange(frames) - ONSET_AT) / RISE, 0, 1)
    return np.asarray(raw * raw * (3 - 2 * raw))


def _frames(
    part: str, number: int, which: int, moving: list[dict[str, Pair]], rng: np.random.Generator, subject: str = ""
) -> list[Shot]:
    count = len(moving)
    gaze = glances(rng, count) * 0.6
    pitch, yaw = sway(rng, count, 1.5) + rng.normal(0, 4), sway(rng, count, 2.5) + rng.normal(0, 8)
    found = []
    for t in range(count):
        look = (float(gaze[t, 0]), float(gaze[t, 1]))
        strengths = {**moving[t], **lids_of(look)}
        pose = (float(pitch[t]), float(yaw[t]))
        found.append(Shot(number, part, 100 * which + t, strengths, subject, 1.0, look, pose, setting=7000 + which))
    return found
