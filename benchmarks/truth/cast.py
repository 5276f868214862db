"""Who is measured: heads of the renderer's test part that no set of training renderings holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from affectkit.train.render.geometry import Library, Rig, build_rig, problems
from affectkit.train.render.people import Person, person, split_of

SEED = 0
"""Of the training renderings, so that skins, hair, lights, styles and glasses of the test part are those held out."""
FIRST = 100_000
"""The first number looked at; sets for training count their people from 0 and have some thousands."""
HEADS = 24
"""Measured in everything; three of each cell, one of each in every eight."""
QUICK_HEADS = 8
NEUTRAL_HEADS = 40
"""Further ones, of whom nothing but neutral faces is shown."""
ATTEMPTS = 12
OLD_FROM, DARK_FROM = 45.0, 0.4
"""Years; share of melanin."""


def cell(who: Person) -> tuple[bool, bool, bool]:
    """Man, old, dark."""
    return who.male >= 0.5, who.years >= OLD_FROM, who.melanin >= DARK_FROM


def rig_of(library: Library, number: int) -> Rig | None:
    """The person of a number as the renderer casts him or her: the first draw whose neutral face is neutral."""
    names = tuple(library.shapes.local)
    for attempt in range(ATTEMPTS):
        rig = build_rig(library, person(SEED, number, names, attempt))
        if not problems(rig):
            return rig
    return None


def numbers(names: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """The numbers of the heads, and of the further neutral ones.

    The rule: numbers from FIRST upwards whose part is "test" are gone through in order; of each cell (sex, age, skin
    tone) the first three are heads, the first of every cell before the second ones; the further ones are the next
    NEUTRAL_HEADS after the last head, whoever they are. ``names`` are the local shapes of the renderer's library.
    """
    found: dict[tuple[bool, bool, bool], list[int]] = {}
    each = HEADS // 8
    tests = _test_numbers()
    while len(found) < 8 or min(map(len, found.values())) < each:
        number = next(tests)
        found.setdefault(cell(person(SEED, number, names)), []).append(number)
    heads = [found[kind][k] for k in range(each) for kind in sorted(found)]
    others: list[int] = []
    for number in tests:
        if len(others) == NEUTRAL_HEADS:
            break
        others.append(number)
    return heads, others


def _test_numbers() -> Iterator[int]:
    return (number for number in count(FIRST) if split_of(SEED, number) == "test")
