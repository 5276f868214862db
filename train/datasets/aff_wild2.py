"""Aff-Wild2, as given out in 2020 and since.

2020: ``{AU,EXPR,VA}_Set/{Training,Validation}_Set/VIDEO.txt``, 8 action units, 7 expressions. 2021 to 2024:
``AU_Detection_Challenge``, ``EXPR_Recognition_Challenge`` or ``EXPR_Classification_Challenge``,
``VA_Estimation_Challenge`` with ``Train_Set`` and ``Validation_Set``, 12 action units, 8 expressions of which the last
is "Other"; mostly below a folder of annotations. Both beside ``cropped_aligned/VIDEO/00001.jpg``.

A label file has one header line, then a line a frame; line i belongs to picture i + 1. The header names the action
units; of expressions it decides nothing. -1 (a single AU, an expression) and -5 (VA) mark what is not labelled. Videos
of two people have a file for each, ending in ``_left`` or ``_right``.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from affectkit.errors import SourceError
from affectkit.train.datasets.labels import VA_TOLERANCE, BadLabel, class_index, located, number, va_value
from affectkit.train.datasets.manifest import Points, Prepared, Row, merged, relative, text_lines
from affectkit.train.datasets.points import FindPoints, of_picture
from affectkit.train.datasets.units import Unit, collect
from affectkit.types import EXPRESSION_NAMES, au_name, published_au_name

CHALLENGES = {
    "au_set": "AU",
    "au_detection_challenge": "AU",
    "expr_set": "EXPR",
    "expr_recognition_challenge": "EXPR",
    "expr_classification_challenge": "EXPR",
    "va_set": "VA",
    "va_estimation_challenge": "VA",
}
SPLITS = {"training_set": "train", "train_set": "train", "validation_set": "valid"}
"""Folder names, in any case."""

NO_LABELS = re.compile(r"cropped.*|batch.*|videos?|frames?|__macosx|\..*", re.IGNORECASE)
"""Folders below which no labels are looked for."""

CROPS = re.compile(r"cropped_aligned.*|batch\d*", re.IGNORECASE)
DEEPEST = 4
"""Folders between the source and a challenge's."""

THIN_EXPRESSION = {"neutral": 10, "happiness": 2, "sadness": 2}
"""The paper keeps every 10th neutral and every 2nd happy and sad frame for training."""

THIN_VA = 5

Labels = dict[int, Row]
"""By number of the frame; rows with labels and no path yet."""


def read(
    source: Path, target: Path, *, find: FindPoints | None = None, thin: bool = False, other: str = "unlabelled"
) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, find=find, thin=thin, other=other))


def units(
    source: Path, target: Path, *, find: FindPoints | None = None, thin: bool = False, other: str = "unlabelled"
) -> list[Unit]:
    """A unit a person: a video, or one side of it. A frame labelled for several tasks gets one row.

    Args:
        find: finds the points in the crops; None: the whole crops are used.
        thin: leave out training frames as the paper does, separately in every video; validation stays whole.
        other: what an eighth expression is: ``unlabelled``, or a ``class`` called ``other``.
    """
    crops = _crop_folders(source)
    files: dict[str, list[tuple[str, str, Path]]] = {}
    for (task, split, person), path in sorted(_label_files(source).items()):
        files.setdefault(person, []).append((task, split, path))
    if not files:
        raise SourceError(
            f"{source}: has no AU_Set, EXPR_Set or VA_Set, and no AU_Detection_Challenge or the like, "
            "with label files; is this Aff-Wild2's folder?"
        )
    reader = _Reader(target, crops, find, thin, other)
    return [Unit(person, partial(reader.person, person, files[person])) for person in sorted(files)]


def _label_files(source: Path) -> dict[tuple[str, str, str], Path]:
    """By task, split and person; copies of the same content count once."""
    found: dict[tuple[str, str, str], Path] = {}
    for task, split, folder in _label_folders(source, None, 0):
        for path in sorted(folder.glob("*.txt")):
            key = task, split, path.stem.strip()
            before = found.setdefault(key, path)
            if path.name.startswith("._"):
                del found[key]
            elif before != path and before.read_bytes() != path.read_bytes():
                raise SourceError(
                    f"{source}: two different {task} files of {path.stem} for {split}, {before} and {path}; "
                    "give a folder with the labels of one year"
                )
    return found


def _label_folders(folder: Path, task: str | None, depth: int) -> Iterator[tuple[str, str, Path]]:
    """Task, split and folder of label files, wherever they lie."""
    for path in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        name = path.name.lower()
        if task and name in SPLITS:
            yield task, SPLITS[name], path
        elif name in CHALLENGES or (depth < DEEPEST and not NO_LABELS.fullmatch(name)):
            yield from _label_folders(path, CHALLENGES.get(name, task), depth + 1)


def _crop_folders(source: Path) -> list[Path]:
    """Folders that hold one folder a person; ``cropped_aligned`` in ``cropped_aligned`` is common, parts too."""
    found: list[Path] = []
    for path in sorted(entry for entry in source.iterdir() if entry.is_dir()):
        if CROPS.fullmatch(path.name):
            found.append(path)
            with os.scandir(path) as entries:
                found += sorted(Path(entry.path) for entry in entries if entry.is_dir() and CROPS.fullmatch(entry.name))
    if not found:
        raise SourceError(f"{source / 'cropped_aligned'}: not there; expected the folder of aligned crops")
    return found


class _Reader:
    """Reads one person after the other."""

    def __init__(self, target: Path, crops: list[Path], find: FindPoints | None, thin: bool, other: str) -> None:
        self._target, self._crops, self._find, self._thin, self._other = target, crops, find, thin, other

    def person(self, person: str, files: list[tuple[str, str, Path]]) -> Prepared:
        """All labels of a person; each of its pictures is looked at once."""
        prepared = Prepared()
        folder = next((crops / person for crops in self._crops if (crops / person).is_dir()), None)
        names = set(os.listdir(folder)) if folder else set()
        video = person.removesuffix("_left").removesuffix("_right")
        rows: list[Row] = []
        for task, split, path in files:
            labels = self._labels(task, path, prepared)
            if folder is None:
                prepared.drop(f"{task} without the person's folder of crops", person, len(labels))
                continue
            kept: Labels = {}
            for i, row in labels.items():
                name = f"{i + 1:05d}.jpg"
                if name in names:
                    kept[i] = dataclasses.replace(
                        row, path=str(folder / name), split=split, video=video, frame=i, person=person
                    )
                else:
                    prepared.drop(f"{task} without a crop", folder / name)
            if self._thin and split == "train":
                kept = _thinned(kept, task, prepared)
            rows += kept.values()
        prepared.rows = self._with_points(sorted(merged(rows), key=lambda row: (row.split, row.frame)), prepared)
        return prepared

    def _with_points(self, rows: list[Row], prepared: Prepared) -> list[Row]:
        """The rows whose pictures can be used; one that is in both splits is looked at once."""
        seen: dict[str, tuple[bool, Points | None]] = {}
        finished = []
        for row in rows:
            if row.path not in seen:
                seen[row.path] = of_picture(Path(row.path), self._find, prepared)
            good, points = seen[row.path]
            if good:
                path = relative(Path(row.path), self._target)
                finished.append(dataclasses.replace(row, path=path, landmarks=points))
        return finished

    def _labels(self, task: str, path: Path, prepared: Prepared) -> Labels:
        lines = text_lines(path)
        units = _header(lines, path) if task == "AU" else []
        labels: Labels = {}
        for i, line in enumerate(lines[1:]):
            if not line:
                prepared.drop(f"{task} blank line", f"{path}: line {i + 2}")
                continue
            with located(path, line=i + 2):
                row = self._label(task, line, units, prepared)
            if row is None:
                prepared.leave_out(f"{task} marked as invalid")
            elif row.labelled:
                labels[i] = row
        return labels

    def _label(self, task: str, line: str, units: list[str], prepared: Prepared) -> Row | None:
        """A row with the labels of a line; None where it is marked as not labelled."""
        values = [value.strip() for value in line.split(",")]
        blank = Row("", "aff-wild2", "train")
        if task == "AU":
            if len(values) != len(units):
                raise BadLabel(f"cannot be read as AU: {line!r} has {len(values)} values, its header {len(units)}")
            known = {unit: _unit(value, unit) for unit, value in zip(units, values, strict=True)}
            known = {unit: value for unit, value in known.items() if value >= 0}
            return dataclasses.replace(blank, au=known) if known else None
        if len(values) != (2 if task == "VA" else 1):
            raise BadLabel(f"cannot be read as {task}: {line!r}")
        if task == "EXPR":
            index = class_index(values[0], len(EXPRESSION_NAMES) + 1)
            if index == len(EXPRESSION_NAMES) and self._other == "unlabelled":
                prepared.leave_out("EXPR other")
                return blank
            return None if index < 0 else dataclasses.replace(blank, expression=(*EXPRESSION_NAMES, "other")[index])
        numbers = [number(value, -5, 5, allowed="-1 to 1, or -5") for value in values]
        if -5 in numbers:
            return None
        valence, arousal = (va_value(value, tolerance=VA_TOLERANCE) for value in values)
        if max(map(abs, numbers)) > 1:
            prepared.notes[f"VA clipped to 1 (beyond by at most {VA_TOLERANCE:g})"] += 1
        return dataclasses.replace(blank, valence=valence, arousal=arousal)


def _header(lines: list[str], path: Path) -> list[str]:
    """The action units of the columns, as ``AU1``."""
    names = [name.strip() for name in (lines[0] if lines else "").split(",")]
    try:
        units = [published_au_name(au_name(name)) for name in names]
    except ValueError as error:
        raise SourceError(f"{path}: line 1: should name the action units, as AU1,AU2,AU4; {error}") from error
    if len(set(units)) != len(units) or not all(name[:1] in "aA" for name in names):
        raise SourceError(f"{path}: line 1: should name each action unit once, as AU1,AU2,AU4, got {lines[0]!r}")
    return units


def _unit(value: str, unit: str) -> float:
    """0, 1, or -1 where it is not labelled."""
    allowed = "0, 1, or -1"
    result = number(value, -1, 1, allowed=f"{allowed} ({unit})")
    if result not in (-1, 0, 1):  # also where it is blank
        raise BadLabel(f"{value!r} is no label of {unit}; allowed: {allowed}")
    return result


def _thinned(labels: Labels, task: str, prepared: Prepared) -> Labels:
    if task == "AU":
        return labels
    kept: Labels = {}
    seen: dict[str, int] = {}
    for i, row in labels.items():
        name = row.expression or ""
        every = THIN_VA if task == "VA" else THIN_EXPRESSION.get(name, 1)
        if seen.get(name, 0) % every == 0:
            kept[i] = row
        else:
            prepared.leave_out(f"{task} thinned")
        seen[name] = seen.get(name, 0) + 1
    return kept
