"""Groups of clips, and how they differ; each identity of each clip counts once, however long it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from affectkit.report.material import Clip
from affectkit.tables.tracks import Float

RESAMPLES = 2000

LEAST_SECONDS = 1.0
"""Identities that are seen for less do not count."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """A condition with its levels, and which clips belong to each."""

    name: str
    levels: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of each level, and the patterns of its clips."""

    def level_of(self, clip: Clip) -> str | None:
        """Of a clip, by the names of its table and its input; None: it is in no group.

        Raises:
            ValueError: in two.
        """
        names = (clip.path.name, clip.path.stem, clip.name, str(clip.path), clip.film.input)
        found = [level for level, patterns in self.levels if any(fnmatchcase(n, p) for n in names for p in patterns)]
        if len(found) > 1:
            raise ValueError(f"--group {self.name}: {clip.path} belongs to {' and to '.join(found)}")
        return found[0] if found else None


def parse_grouping(text: str) -> Grouping:
    """``condition=A:pat*,B:other*``; several patterns of a level are joined by ``|``.

    Raises:
        ValueError: it cannot be understood.
    """
    name, sign, rest = text.partition("=")
    levels: list[tuple[str, tuple[str, ...]]] = []
    for part in rest.split(",") if sign else []:
        level, colon, patterns = part.partition(":")
        if not (colon and level.strip() and patterns.strip()):
            break
        levels.append((level.strip(), tuple(p.strip() for p in patterns.split("|") if p.strip())))
    else:
        if name.strip() and len(levels) >= 2 and len({level for level, _ in levels}) == len(levels):
            return Grouping(name.strip(), tuple(levels))
    raise ValueError(f"--group {text}: should look like condition=A:a*,B:b*, with two levels or more, each once")


@dataclass(frozen=True, slots=True)
class Compared:
    """One measure in all levels."""

    name: str
    what: str
    """``mean`` or ``share``."""
    values: tuple[tuple[float, ...], ...]
    """Of each level, of each identity of each clip."""
    difference: float | None = None
    """Of two levels: the first one's mean minus the second one's."""
    interval: tuple[float, float] | None = None
    """Its 95 % interval, by the bootstrap over identities; None with fewer than 3 in a level."""
    effect: float | None = None
    """Hedges' g; None with fewer than 3, or where nothing varies."""


def compared(grouping: Grouping, clips: Sequence[Clip]) -> tuple[list[Compared], list[str]]:
    """Every measure, those that differ most first, and what did not count.

    Raises:
        ValueError: a level has no clip, or a clip is in two.
    """
    members: dict[str, list[object]] = {level: [] for level, _ in grouping.levels}
    people: dict[str, list[dict[str, tuple[str, float]]]] = {level: [] for level, _ in grouping.levels}
    remarks = []
    for clip in clips:
        level = grouping.level_of(clip)
        if level is None:
            remarks.append(f"{clip.path.name} is in no group.")
            continue
        members[level].append(clip)
        for person in clip.people:
            if (person.group.seconds or math.inf) < LEAST_SECONDS:
                remarks.append(f"{person.name} of {clip.path.name} is seen for less than {LEAST_SECONDS:g} s.")
                continue
            told: dict[str, tuple[str, float]] = {}
            for name, one in person.group.measures.items():
                value = one.share if one.share is not None else one.mean
                if value is not None:
                    told[name] = ("share" if one.share is not None else "mean", value)
            people[level].append(told)
    for level, found in members.items():
        if not found:
            raise ValueError(f"--group {grouping.name}: no table belongs to {level}")
    names = dict.fromkeys(name for some in people.values() for told in some for name in told)
    rows = []
    for name in names:
        values = tuple(tuple(told[name][1] for told in some if name in told) for some in people.values())
        what = next(told[name][0] for some in people.values() for told in some if name in told)
        if all(values):
            rows.append(_compared(name, what, values))
    rows.sort(key=lambda one: -abs(one.effect or 0.0))
    return rows, remarks


def _compared(name: str, what: str, values: tuple[tuple[float, ...], ...]) -> Compared:
    if len(values) != 2:
        return Compared(name, what, values)
    a, b = (np.array(one) for one in values)
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 3:
        return Compared(name, what, values, difference)
    rng = np.random.default_rng(0)
    draws = [rng.choice(one, (RESAMPLES, len(one))).mean(1) for one in (a, b)]
    low, high = np.percentile(draws[0] - draws[1], (2.5, 97.5))
    return Compared(name, what, values, difference, (float(low), float(high)), _hedges(a, b))


def _hedges(a: Float, b: Float) -> float | None:
    """Standardised difference of means, corrected for small samples (Hedges 1981)."""
    freedom = len(a) + len(b) - 2
    pooled = math.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / freedom)
    if pooled < 1e-9:
        return None
    return float((a.mean() - b.mean()) / pooled * (1 - 3 / (4 * freedom - 1)))
