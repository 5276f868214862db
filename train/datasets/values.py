"""What a single label may be, and what an error says of one that is something else.

A blank label is a missing one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from affectkit.errors import SourceError
from affectkit.types import EXPRESSION_NAMES

KNOWN_EXPRESSIONS = (*EXPRESSION_NAMES, "contempt", "other")
"""What an expression may be called where a caller does not say otherwise: a typing error is no ninth class."""

SPLITS = ("train", "dev", "valid", "test")

POINT_NAMES = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""Left as seen in the picture."""

POINT_COLUMNS = tuple(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")

VISIBLE_COLUMNS = ("visible_brows", "visible_eyes", "visible_mouth")
"""Visible share of what a face alone would show of a region, 0..1."""

POSE_COLUMNS = ("pitch", "yaw", "roll")
"""Of the head in the picture, degrees: down, to the picture's right, counter-clockwise as seen."""


def intensity_column(unit: str) -> str:
    """Column of the intensity 0..1 of ``AU1`` ...: the share of the person's own full movement."""
    return f"{unit}_i"


LARGEST_INTENSITY = 5.0

POINT_RANGE = -10_000.0, 100_000.0
"""px; a point may lie beyond the picture, but not anywhere."""

VA_TOLERANCE = 1e-3
"""Aff-Wild2 has a valence of 1.0002: a step beyond the range that is no larger than this is clipped."""


class BadLabel(ValueError):
    """A value that no label may have; :func:`located` says where it stands."""


@contextmanager
def located(path: Path, *, line: int | None = None, column: str | None = None, place: str = "line") -> Iterator[None]:
    """Turn a :class:`BadLabel` into a SourceError that names the place.

    Raises:
        SourceError: in place of the BadLabel.
    """
    try:
        yield
    except BadLabel as error:
        parts = [f"{place} {line}"] if line is not None else []
        parts += [f"column {column!r}"] if column is not None else []
        raise SourceError(
            ": ".join([str(path), ", ".join(parts), str(error)] if parts else [str(path), str(error)])
        ) from (error)


def is_blank(value: object) -> bool:
    """Whether a label is missing."""
    return value is None or (isinstance(value, str) and not value.strip()) or value is pd.NA or value != value


def number(value: object, low: float, high: float, *, allowed: str | None = None) -> float:
    """A finite number from ``low`` to ``high``; NaN where it is blank.

    Raises:
        BadLabel: it is something else.
    """
    if is_blank(value):
        return math.nan
    allowed = allowed or f"{low:g} to {high:g}, or blank"
    try:
        if isinstance(value, str) and "_" in value:
            raise ValueError(value)
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise BadLabel(f"{value!r} is not a number; allowed: {allowed}") from error
    if not math.isfinite(result):
        raise BadLabel(f"{value!r} is not a finite number; allowed: {allowed}")
    if not low <= result <= high:
        raise BadLabel(f"{_shown(value)} is out of range; allowed: {allowed}")
    return result


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def au_value(value: object, *, au_at: float | None = None) -> float:
    """An action unit from 0 to 1; with ``au_at`` an intensity from 0 to 5 made 0 or 1 (present from ``au_at`` on).

    Raises:
        BadLabel: it is something else.
    """
    intensity = number(value, 0, LARGEST_INTENSITY, allowed="0 to 5, or blank") if au_at is not None else math.nan
    if au_at is not None:
        return intensity if math.isnan(intensity) else float(intensity >= au_at)
    try:
        return number(value, 0, 1)
    except BadLabel as error:
        try:
            number(value, 0, LARGEST_INTENSITY)
        except BadLabel:
            raise error from None
        raise BadLabel(f"{error}; for intensities of 0 to 5 give --au-at 2 (present from 2 on)") from None


def va_value(value: object, *, tolerance: float = 0.0) -> float:
    """Valence or arousal from -1 to 1; what lies beyond by no more than ``tolerance`` is clipped.

    Raises:
        BadLabel: it is something else.
    """
    result = number(value, -1 - tolerance, 1 + tolerance, allowed="-1 to 1, or blank")
    return result if math.isnan(result) else min(1.0, max(-1.0, result))


def expression_name(value: object, allowed: Sequence[str] | None = None) -> str | None:
    """The name of an expression; None where it is blank.

    Args:
        allowed: default: :data:`KNOWN_EXPRESSIONS`.

    Raises:
        BadLabel: it is something else.
    """
    if is_blank(value):
        return None
    allowed = KNOWN_EXPRESSIONS if allowed is None else allowed
    if value not in allowed:
        raise BadLabel(f"unknown expression {value!r}; allowed: {', '.join(allowed)}, or blank")
    return str(value)


def vote_value(value: object) -> float:
    """A number of votes, 0 or more.

    Raises:
        BadLabel: it is something else.
    """
    return number(value, 0, 1e9, allowed="0 or more, or blank")


def frame_value(value: object) -> float:
    """The number of a frame, a whole one from 0.

    Raises:
        BadLabel: it is something else.
    """
    result = number(value, 0, 1e12, allowed="a whole number from 0, or blank")
    if not math.isnan(result) and result != int(result):
        raise BadLabel(f"{_shown(value)} is not a whole number; allowed: a whole number from 0, or blank")
    return result


def share_value(value: object) -> float:
    """A share of a whole.

    Raises:
        BadLabel: it is something else.
    """
    return number(value, 0, 1)


def angle_value(value: object) -> float:
    """An angle of the head, degrees.

    Raises:
        BadLabel: it is something else.
    """
    return number(value, -180, 180, allowed="degrees from -180 to 180, or blank")


def point_value(value: object) -> float:
    """A coordinate of a point, px.

    Raises:
        BadLabel: it is something else.
    """
    return number(value, *POINT_RANGE, allowed="px of the picture, or blank")


def class_index(value: object, count: int) -> int:
    """The index of one of ``count`` classes, or -1.

    Raises:
        BadLabel: it is something else.
    """
    allowed = f"a class from 0 to {count - 1}, or -1"
    result = number(value, -1, count - 1, allowed=allowed)
    if math.isnan(result) or result != int(result):
        raise BadLabel(f"{value!r} is no class; allowed: {allowed}")
    return int(result)


def check_split(value: object) -> None:
    """Refuse a split of another name; blank is none.

    Raises:
        BadLabel: it has another name.
    """
    if not is_blank(value) and value not in SPLITS:
        raise BadLabel(f"unknown split {value!r}; allowed: {', '.join(SPLITS)}")
