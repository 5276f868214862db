"""Which columns a table has, and what each of them holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from affectkit.types import EXPRESSION_NAMES, Array, LabelSet

NEEDED = ("input", "frame", "face_id", "timestamp", "success")
"""Columns that every table of the native format has."""

TEXTS = frozenset(("input", "expression", "face_name"))
INTEGERS = frozenset(("frame", "face_id", "success", "baseline"))

FACE = frozenset((*NEEDED, "confidence", "FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "face_name"))
"""Columns of which face it is, and where."""

SEEN = frozenset(("pitch", "yaw", "roll", "visible_upper", "visible_lower", "quality"))
"""Columns of how the face is seen."""

_UNIT = re.compile(r"AU\d{2,3}")
_NOT_EXPRESSIONS = FACE | SEEN | TEXTS | {"valence", "arousal", "baseline", "expression_entropy"}


def is_integer(name: str) -> bool:
    """Whether a column of the native format holds whole numbers, even where gaps have made floats of them."""
    return name in INTEGERS or (name.endswith("_c") and _UNIT.fullmatch(name[:-2]) is not None)


def action_units(columns: Iterable[str]) -> tuple[str, ...]:
    """The action units of which there is a probability."""
    return tuple(name for name in columns if _UNIT.fullmatch(name))


def expressions(columns: Mapping[str, Array]) -> tuple[str, ...]:
    """The expressions: the columns between the action units and ``expression``."""
    names = list(columns)
    if "expression" not in names:
        return ()
    found: list[str] = []
    for name in reversed(names[: names.index("expression")]):
        if name in _NOT_EXPRESSIONS or name.startswith("AU") or columns[name].dtype == object:
            break
        found.append(name)
    return tuple(reversed(found))


def labels_of(columns: Mapping[str, Array]) -> LabelSet:
    """What the model of a table answers, as its columns tell.

    Raises:
        ValueError: nothing.
    """
    units = action_units(columns)
    return LabelSet(
        expressions(columns),
        units,
        "valence" in columns,
        intensity=bool(units) and f"{units[0]}_i" in columns,
        visibility="quality" in columns,
        pose="pitch" in columns,
    )


def measured(columns: Mapping[str, Array]) -> tuple[str, ...]:
    """Everything that is predicted of a face, as numbers: units, intensities, expressions, valence, arousal."""
    units = action_units(columns)
    strengths = tuple(name for unit in units if (name := f"{unit}_i") in columns)
    va = tuple(name for name in ("valence", "arousal") if name in columns)
    return (*units, *strengths, *expressions(columns), *va)


def values_of_faces(columns: Mapping[str, Array]) -> tuple[str, ...]:
    """Columns that are empty where nothing is said of a face, though it was found."""
    return tuple(name for name in columns if name not in FACE | SEEN)


def as_integers(values: Array) -> Array:
    """Whole numbers without gaps as such; all else as it is."""
    return values.astype(np.int64) if len(values) and (values == np.round(values)).all() else values


def usual_order(names: Iterable[str]) -> list[str]:
    """Expressions in the usual order, others behind."""
    place = {name: k for k, name in enumerate(EXPRESSION_NAMES)}
    return sorted(names, key=lambda name: place.get(name, len(place)))
