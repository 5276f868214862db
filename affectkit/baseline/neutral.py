"""A person's neutral face: what is told of it, and action units relative to it.

A resting face has values of its own: high brows look like AU01 for ever. With a baseline every value is told relative
to the median ``b`` of the same person's neutral frames, by Abbott's formula (1925; the correction for guessing of
psychometrics): where a reading comes about by the face's build with probability ``b``, or by the movement that is asked
for with probability ``x``, it comes about with ``p = b + (1 - b) x``, so that ::

    x = max(0, (p - b) / (1 - b))

It rises with ``p``, never leaves 0..1, is 0 at the baseline and below (the usual level of a neutral face), 1 at 1, and
never more than ``p``; of an intensity it is the share of the way that was left from the resting face to the full
movement. The median, since a blink or a word among the neutral frames must not count.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from affectkit.errors import SourceError
from affectkit.sources.names import is_url, printable

Float = npt.NDArray[np.float64]

MOST = 0.99
"""A larger baseline counts as this, or the formula would divide by next to nothing."""

LEAST_FRAMES = 5
"""Neutral frames in which a unit has to be seen, of seconds that are named; else it stays as it is."""

MOST_FRAMES = 10_000
"""Neutral frames that are looked at of each face; those after them change a median little."""

FORMULA = f"max(0, (raw - b) / (1 - b)), b the median over the neutral frames, at most {MOST}"

TABLES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Rule:
    """Where neutral values come from."""

    kind: Literal["auto", "seconds", "file"]
    start_s: float = math.nan
    end_s: float = math.nan
    file: str = ""

    def mark(self) -> str:
        """Tells it from other rules, and a file from another of the same name."""
        path = Path(self.file)
        if self.kind != "file" or not path.exists():
            return str(self)
        return f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}"

    def __str__(self) -> str:
        return {"auto": "auto", "seconds": f"{self.start_s:g}-{self.end_s:g}", "file": printable(self.file)}[self.kind]


def parse_rule(given: Rule | str | os.PathLike[str] | Sequence[float]) -> Rule:
    """What ``--baseline`` or ``baseline=`` says.

    Args:
        given: ``auto``; ``START-END`` or two numbers, seconds; or the path of a table, picture or video, or a URL. A
            file that is called like a range is given as ``./0-3``.

    Raises:
        ValueError: END is not after START, or it is none of these.
        SourceError: there is no such file.
    """
    if isinstance(given, Rule):
        return given
    if not isinstance(given, str | os.PathLike):
        if len(given) != 2:
            raise ValueError(f"a baseline takes two times in seconds, START and END, got {len(given)} numbers")
        return _seconds(float(given[0]), float(given[1]), f"{given[0]}-{given[1]}")
    text = os.fspath(given)
    if text == "auto":
        return Rule("auto")
    number = r"(\d+(?:\.\d*)?|\.\d+)"
    if isinstance(given, str) and (found := re.fullmatch(f"{number}-{number}", text)):
        return _seconds(float(found[1]), float(found[2]), text)
    if not text or not (is_url(text) or Path(text).exists()):
        raise SourceError(f"{text}: is neither auto, nor START-END in seconds (0-3), nor a file or folder that exists")
    return Rule("file", file=text)


def _seconds(start_s: float, end_s: float, text: str) -> Rule:
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        raise ValueError(f"baseline={text!r}: START must be before END, in seconds of the input, such as 0-3")
    return Rule("seconds", start_s, end_s)


def check_rule(rule: Rule, *, start_s: float = -math.inf, end_s: float = math.inf, rendered: bool = False) -> None:
    """Refuse what does not go together, before anything is computed.

    Args:
        start_s: the input's frames before this time are left out, as those from ``end_s`` on.
        rendered: whether an annotated video is asked for.

    Raises:
        ValueError: it says what to leave out.
    """
    if rendered:
        raise ValueError(
            "an annotated video draws each frame at once, baseline= needs all of the input first; leave out one of them"
        )
    if rule.kind == "seconds" and not (rule.start_s < end_s and rule.end_s > start_s):
        raise ValueError(
            f"baseline={str(rule)!r}: the input is read from {start_s:g} to {end_s:g} s only; nothing is left"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Neutral:
    """The neutral values of one face."""

    values: Float
    """(V,) medians: the probabilities of the action units, behind them their intensities where the model tells; NaN of
    a unit that was not seen often enough."""
    frames: int
    """Neutral frames that they come from."""
    seconds: tuple[tuple[float, float], ...] = ()
    """First and last time of the stretches that these lie in."""

    def relative(self, values: Float) -> Float:
        """(..., V) values told relative to these; as they are where there is no baseline, NaN where they are NaN."""
        base = np.minimum(self.values, MOST)
        known = ~np.isnan(base)
        base = np.where(known, base, 0.0)
        return np.asarray(np.where(known, np.maximum(0.0, (values - base) / (1.0 - base)), values))


def median_of(rows: Sequence[Float] | Float, least: int) -> Float:
    """(V,) medians of the rows (F, V), of what is there; NaN of values that are there in fewer than ``least``."""
    stacked = np.sort(np.asarray(rows, np.float64), axis=0)  # NaN comes last
    there = (~np.isnan(stacked)).sum(0)
    columns = np.arange(stacked.shape[1])
    middle = stacked[np.maximum(0, there - 1) // 2, columns] / 2 + stacked[there // 2 % len(stacked), columns] / 2
    return np.asarray(np.where(there >= max(1, least), middle, np.nan))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a row of a table says of one face in one frame."""

    index: int
    time_s: float | None
    track: int
    values: Float
    """(V,) as :attr:`Neutral.values`, not corrected; NaN of what is hidden."""
    cut: bool = False
    neutral: float | None = None
    """Probability of the expression ``neutral``; None of a model that does not know it."""
    quality: float | None = None
    """None of a model that does not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Baselines:
    """The neutral values of all faces of an input, and why others have none."""

    rule: Rule
    found: dict[int, Neutral]
    """By face id."""
    without: dict[int, str]
    """By face id, the reason. Their values stay as they are."""
    remark: str = ""
    """What the user should know of all of it."""

    def remarks(self) -> list[str]:
        """Lines for the user: who has no baseline, and why."""
        lines = [self.remark] if self.remark else []
        if self.without:
            shown = [f"face {track}: {reason}" for track, reason in sorted(self.without.items())[:3]]
            more = ["..."] if len(self.without) > len(shown) else []
            count = f"{len(self.without)} of {len(self.without) + len(self.found)} faces"
            keep = "keeps its" if len(self.without) == 1 else "keep their"
            lines.append(f"no baseline for {count}, which {keep} raw values ({'; '.join(shown + more)})")
        return lines

    def described(self, units: Sequence[str]) -> dict[str, Any]:
        """For the meta file; ``units`` are the names of the A action units."""
        return {
            "given": str(self.rule),
            "rule": _IN_WORDS[self.rule.kind],
            "formula": FORMULA,
            "faces": {
                str(track): {
                    "frames": neutral.frames,
                    "seconds": [[round(side, 6) for side in stretch] for stretch in neutral.seconds],
                    "values": _named(units, neutral.values[: len(units)]),
                    **(
                        {"intensities": _named(units, neutral.values[len(units) :])}
                        if len(neutral.values) > len(units)
                        else {}
                    ),
                }
                for track, neutral in sorted(self.found.items())
            },
            "faces_without": {str(track): reason for track, reason in sorted(self.without.items())},
            **({"remark": self.remark} if self.remark else {}),
        }


def _named(units: Sequence[str], values: Float) -> dict[str, float | None]:
    pairs = zip(units, values.tolist(), strict=True)
    return {name: None if math.isnan(value) else round(value, 6) for name, value in pairs}


def timed(time_s: float | None) -> float:
    """The time of a frame, seconds.

    Raises:
        SourceError: it has none.
    """
    if time_s is None or math.isnan(time_s):
        raise SourceError("the input has no times to find neutral seconds by; give baseline= a file, or leave it out")
    return time_s


_IN_WORDS = {
    "auto": "the calmest seconds of each face (affectkit.baseline.calmest)",
    "seconds": f"frames of these seconds of the input, at least {LEAST_FRAMES} of each face",
    "file": "all frames of this file; of one face: for all, or, where several are seen at once, for the face "
    "seen most; of several: by face id",
}
