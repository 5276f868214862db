"""Which files a set of a size consists of, and what each holds."""

from __future__ import annotations

from truth import cast, shots, talking
from truth.shots import Shot


def files_of(heads: list[int], others: list[int], count: int) -> dict[str, tuple[str, int, int]]:
    """Names of the files of a set with this many heads, in the order in which they are made: kind, head, number.

    With fewer heads than half there are a third of the neutral ones and of the sequences; the latter are of the first
    eight heads, so that sets of all sizes share theirs.
    """
    share = 3 if count < cast.HEADS // 2 else 1
    found = {f"head_{number}": ("head", number, 0) for number in heads[: min(count, 8)]}
    found |= {f"talk_{k:02d}": ("talk", heads[k % 8], k) for k in range(talking.TALKS // share)}
    found |= {f"onset_{k:02d}": ("onset", heads[k % 8], k) for k in range(talking.ONSETS // share)}
    found |= {f"neutral_{number}": ("neutral", number, 0) for number in others[: len(others) // share]}
    return found | {f"head_{number}": ("head", number, 0) for number in heads[:count]}


def shots_in(kind: str, number: int, which: int) -> list[Shot]:
    """What a file holds."""
    if kind == "neutral":
        return shots.neutral(number, shots.NEUTRAL_EACH)
    if kind == "head":
        return shots.shots_of(number)
    return talking.talk(number, which) if kind == "talk" else talking.onset(number, which)
