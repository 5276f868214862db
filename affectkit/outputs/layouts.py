"""The columns of a table: what each format has, and the rows that a frame's result becomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from affectkit.face_results import Affect, Face, FrameResult
from affectkit.types import LabelSet, published_au_name

TableFormat = Literal["native", "openface", "pyfeat", "paper"]

Value = int | float | str | None

PYFEAT_EMOTIONS = {
    "neutral": "Neutral",
    "happiness": "Happy",
    "sadness": "Sad",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "anger": "Anger",
}
"""Names of py-feat 2's emotion columns; it has none for other expressions, whose own names are capitalised."""


OPENFACE_UNITS = {"AU43": "AU45"}
"""What OpenFace has of closed eyes is the blink."""

OPENFACE_SCALE = 5.0
"""Its intensities, ``AUxx_r``, go from 0 to 5."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of a table, and how a face becomes a row."""

    columns: tuple[str, ...]
    integers: frozenset[str]
    texts: frozenset[str]
    row: Callable[[FrameResult, Face | None], list[Value]]
    labels: LabelSet
    """What the columns are made for; what a model does not answer has no column."""

    def rows(self, result: FrameResult) -> list[list[Value]]:
        """One row a face; one row for a frame without a face. Values that are not there are None, never 0.

        Raises:
            ValueError: the faces are of a model with other labels than the table.
        """
        for face in result.faces:
            if face.affect.labels is not self.labels and not face.affect.labels.same_columns(self.labels):
                raise ValueError(
                    f"{result.name}: a result of a model that answers {_listed(face.affect.labels)} does not fit "
                    f"into a table for {_listed(self.labels)}; write the results of each model into a table of its own"
                )
        return [self.row(result, face) for face in result.faces or (None,)]


def _listed(labels: LabelSet) -> str:
    va = ("valence", "arousal") if labels.valence_arousal else ()
    return ", ".join((*labels.expressions, *labels.action_units, *va, *_seen_columns(labels)))


def _number(value: float | None, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


def _decisions(affect: Affect) -> list[Value]:
    """1 or 0 for each action unit; none for one that is hidden."""
    hidden = affect.au_hidden
    if not hidden.any():
        return [int(active) for active in affect.au_active]
    return [None if gone else int(active) for active, gone in zip(affect.au_active, hidden, strict=True)]


def _intensities(labels: LabelSet) -> tuple[str, ...]:
    return tuple(f"{name}_i" for name in labels.action_units) if labels.intensity else ()


def _seen_columns(labels: LabelSet) -> tuple[str, ...]:
    """Columns of how the face is seen: of models that tell, the same in every format."""
    pose = ("pitch", "yaw", "roll") if labels.pose else ()
    return (*pose, *(("visible_upper", "visible_lower", "quality") if labels.visibility else ()))


def _seen(affect: Affect) -> list[Value]:
    """Values of :func:`_seen_columns`."""
    values: list[Value] = []
    if affect.labels.pose:
        values += [None] * 3 if affect.pose is None else [_number(angle, 2) for angle in affect.pose]
    if affect.labels.visibility:
        values += map(_number, (affect.visible_upper, affect.visible_lower, affect.quality))
    return values


def _strengths(affect: Affect, scale: float = 1.0) -> list[Value]:
    """Values of :func:`_intensities`, times ``scale``."""
    if not affect.labels.intensity:
        return []
    units = affect.labels.action_units
    return [None] * len(units) if affect.au_intensities is None else [_number(v * scale) for v in affect.au_intensities]


def _time(result: FrameResult) -> float | None:
    """Nine digits after the point: a time base of 1/90000 s survives, float noise does not."""
    return _number(result.time_s, 9)


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, which may run programs; also in their wide forms."""


def _input(name: str) -> str:
    """An input's name as a cell: a file name that would be a formula is written as the same file's path."""
    return f"./{name}" if name.startswith(_FORMULA) else name


def _native(labels: LabelSet, uncertainty: bool) -> Layout:
    units, expressions, has_va = labels.action_units, labels.expressions, labels.valence_arousal
    columns = [
        "input",
        "frame",
        "face_id",
        "timestamp",
        "confidence",
        "success",
        "FaceRectX",
        "FaceRectY",
        "FaceRectWidth",
        "FaceRectHeight",
        *_seen_columns(labels),
        *units,
        *(f"{name}_c" for name in units),
        *_intensities(labels),
        *expressions,
        *(("expression",) if expressions else ()),
        *(("valence", "arousal") if has_va else ()),
    ]
    if uncertainty:
        columns += [f"{name}_std" for name in units]
        columns += ["expression_entropy"] if expressions else []
        columns += ["valence_std", "arousal_std"] if has_va else []

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        head: list[Value] = [_input(result.name), result.index]
        if face is None:
            head += [-1, _time(result), None, 0]
            return head + [None] * (len(columns) - len(head))
        a = face.affect
        values: list[Value] = [
            *head,
            face.track_id,
            _time(result),
            _number(face.score),
            1,
            *(_number(side, 2) for side in face.box),
            *_seen(a),
            *map(_number, a.au_probabilities),
            *_decisions(a),
            *_strengths(a),
            *map(_number, a.expression_probabilities),
        ]
        if expressions:
            values.append(a.expression or None)
        if has_va:
            values += [_number(a.valence), _number(a.arousal)]
        if uncertainty:
            values += [None] * len(units) if a.au_std is None else map(_number, a.au_std)
            if expressions:
                values.append(_number(a.expression_entropy))
            if has_va:
                values += map(_number, (a.valence_std, a.arousal_std))
        return values

    integers = {"frame", "face_id", "success", *(f"{name}_c" for name in units)}
    return Layout(tuple(columns), frozenset(integers), frozenset({"input", "expression"}), row, labels)


def _openface(labels: LabelSet) -> Layout:
    units = [OPENFACE_UNITS.get(name, name) for name in labels.action_units]
    decisions = tuple(f"{name}_c" for name in units)
    regressed = tuple(f"{name}_r" for name in units) if labels.intensity else ()
    head = ("frame", "face_id", "timestamp", "confidence", "success")
    columns = (*head, *_seen_columns(labels), *regressed, *decisions)

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        if face is None:
            return [result.index + 1, -1, _time(result), 0.0, 0, *([None] * (len(columns) - len(head)))]
        a = face.affect
        first: list[Value] = [result.index + 1, face.track_id, _time(result), _number(face.score), 1]
        return [*first, *_seen(a), *_strengths(a, OPENFACE_SCALE), *_decisions(a)]

    return Layout(columns, frozenset({"frame", "face_id", "success", *decisions}), frozenset(), row, labels)


def _pyfeat(labels: LabelSet) -> Layout:
    known = [name for name in PYFEAT_EMOTIONS if name in labels.expressions]
    shown = known + [name for name in labels.expressions if name not in PYFEAT_EMOTIONS]
    emotions = tuple(PYFEAT_EMOTIONS.get(name, name.capitalize()) for name in shown)
    places = [labels.expressions.index(name) for name in shown]
    va = ("valence", "arousal") if labels.valence_arousal else ()
    boxes = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
    # Its reader takes every column with "AU" in its name for an action unit.
    after = tuple(f"intensity_{name[2:]}" for name in labels.action_units) if labels.intensity else ()
    head_columns = ("input", "frame", "approx_time", "timestamp", "Identity", *boxes, *_seen_columns(labels))
    columns = (*head_columns, *labels.action_units, *after, *emotions, *va)

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        time_s = result.time_s
        clock = f"{int(time_s) // 60:02d}:{int(time_s) % 60:02d}" if math.isfinite(time_s) else None
        identity = None if face is None else f"Person_{face.track_id}"
        head: list[Value] = [_input(result.name), result.index, clock, _time(result), identity]
        if face is None:
            return head + [None] * (len(columns) - len(head))
        a = face.affect
        return [
            *head,
            *(_number(side, 2) for side in face.box),
            _number(face.score),
            *_seen(a),
            *map(_number, a.au_probabilities),
            *_strengths(a),
            *(_number(a.expression_probabilities[place]) for place in places),
            *((_number(a.valence), _number(a.arousal)) if va else ()),
        ]

    return Layout(columns, frozenset({"frame"}), frozenset({"input", "approx_time", "Identity"}), row, labels)


def _paper(labels: LabelSet) -> Layout:
    published = tuple(published_au_name(name) for name in labels.action_units)
    expression = ("EXPR",) if labels.expressions else ()
    va = ("valence", "arousal") if labels.valence_arousal else ()
    # The published columns first, as its readers expect them.
    columns = ("frames_ids", *published, *expression, *va, *_intensities(labels), *_seen_columns(labels))

    def row(result: FrameResult, face: Face | None) -> list[Value]:
        if face is None:
            return [result.index, *([None] * (len(columns) - 1))]
        a = face.affect
        return [
            result.index,
            *_decisions(a),
            *((labels.expressions.index(a.expression) if a.expression else None,) if expression else ()),
            *((_number(a.valence), _number(a.arousal)) if va else ()),
            *_strengths(a),
            *_seen(a),
        ]

    return Layout(columns, frozenset({"frames_ids", "EXPR", *published}), frozenset(), row, labels)


def check_format(table_format: TableFormat, *, uncertainty: bool = False) -> None:
    """Refuse what does not go together, before anything is loaded.

    Raises:
        ValueError: unknown format, or one that has no place for the uncertainty columns.
    """
    if table_format not in get_args(TableFormat):
        raise ValueError(f"format must be one of {', '.join(get_args(TableFormat))}, got {table_format!r}")
    if uncertainty and table_format != "native":
        raise ValueError(f"the format {table_format!r} has no columns for uncertainty; use 'native'")


def remarks(table_format: TableFormat, labels: LabelSet) -> tuple[str, ...]:
    """What a reader of this format would look for and not find."""
    if table_format == "openface" and labels.action_units and not labels.intensity:
        return ("the model tells no intensities, so the table has no columns AUxx_r, only AUxx_c",)
    return ()


def layout(
    table_format: TableFormat = "native", *, uncertainty: bool = False, labels: LabelSet | None = None
) -> Layout:
    """The columns of a format.

    Args:
        labels: what the model answers (``predictor.spec.labels``); None: as the shipped models do.

    Raises:
        ValueError: unknown format, or one that has no place for the uncertainty columns.
    """
    check_format(table_format, uncertainty=uncertainty)
    labels = labels or LabelSet()
    if table_format == "native":
        return _native(labels, uncertainty)
    return {"openface": _openface, "pyfeat": _pyfeat, "paper": _paper}[table_format](labels)
