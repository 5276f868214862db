"""Aff-Wild2: ``{AU,EXPR,VA}_Set/{Training,Validation}_Set/VIDEO.txt`` beside ``cropped_aligned/VIDEO/00001.jpg``.

A label file has one header line, then a line a frame; line i belongs to picture i + 1. -1 (AU, EXPR) and -5 (VA) mark
frames to leave out. Videos of two people have a file for each, ending in ``_left`` or ``_right``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from affectkit.errors import SourceError
from affectkit.train.datasets.manifest import AU_COLUMNS, Prepared, Row, lines_of, need, relative
from affectkit.types import EXPRESSION_NAMES

SPLITS = {"Training_Set": "train", "Validation_Set": "valid"}

THIN_EXPRESSION = {"neutral": 10, "happiness": 2, "sadness": 2}
"""The paper keeps every 10th neutral and every 2nd happy and sad frame."""

THIN_VA = 5


def read(source: Path, target: Path, *, thin: bool = False) -> Prepared:
    """Aff-Wild2: action units, expressions, valence and arousal.

    A frame labelled for two tasks gets a row in each.

    Args:
        thin: leave out frames as the paper does, separately in every video.
    """
    crops = need(source / "cropped_aligned", "the folder of aligned crops")
    prepared = Prepared()
    found = False
    for task in ("AU", "EXPR", "VA"):
        for folder, split in SPLITS.items():
            for path in sorted((source / f"{task}_Set" / folder).glob("*.txt")):
                found = True
                rows = _read_video(path, task, split, crops, target, prepared)
                prepared.rows += _thin(rows, task, prepared) if thin else rows
    if not found:
        raise SourceError(f"{source}: has no AU_Set, EXPR_Set or VA_Set with label files; is this Aff-Wild2's folder?")
    return prepared


def _read_video(path: Path, task: str, split: str, crops: Path, target: Path, prepared: Prepared) -> list[Row]:
    person = path.stem
    video = person.removesuffix("_left").removesuffix("_right")
    rows = []
    for i, line in enumerate(lines_of(path)[1:]):
        picture = crops / person / f"{i + 1:05d}.jpg"
        try:
            labels = _labels(task, line)
        except ValueError as error:
            raise SourceError(f"{path}: line {i + 2} cannot be read as {task}: {line!r}") from error
        if labels is None:
            prepared.dropped[f"{task} marked as invalid"] += 1
        elif not picture.is_file():
            prepared.dropped[f"{task} without a crop"] += 1
        else:
            row = Row(relative(picture, target), f"aff-wild2/{task}", split, video, i, person)
            rows.append(dataclasses.replace(row, **labels))
    return rows


def _labels(task: str, line: str) -> dict[str, Any] | None:
    """The fields of a Row; None where the frame is marked."""
    values = line.split(",")
    if task == "AU":
        units = [int(value) for value in values]
        if len(units) != len(AU_COLUMNS) or not set(units) <= {-1, 0, 1}:
            raise ValueError
        return None if -1 in units else {"au": dict(zip(AU_COLUMNS, map(float, units), strict=True))}
    if task == "EXPR":
        (index,) = (int(value) for value in values)
        return None if index == -1 else {"expression": EXPRESSION_NAMES[index]}
    valence, arousal = map(float, values)
    if -5 in (valence, arousal):
        return None
    if not (abs(valence) <= 1 and abs(arousal) <= 1):
        raise ValueError
    return {"valence": valence, "arousal": arousal}


def _thin(rows: list[Row], task: str, prepared: Prepared) -> list[Row]:
    if task == "AU":
        return rows
    kept, seen = [], dict.fromkeys([*EXPRESSION_NAMES, ""], 0)
    for row in rows:
        name = row.expression or ""
        every = THIN_VA if task == "VA" else THIN_EXPRESSION.get(name, 1)
        if seen[name] % every == 0:
            kept.append(row)
        else:
            prepared.dropped[f"{task} thinned"] += 1
        seen[name] += 1
    return kept
