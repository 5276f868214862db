"""RAF-DB, basic expressions: ``EmoLabel/list_patition_label.txt`` with lines ``train_00001.jpg 5``, and the pictures.

They are ``Image/original/train_00001.jpg`` with five points in ``Annotation/manual/train_00001_manu_attri.txt`` (a line
a point: eyes, nose tip, mouth corners), or ``Image/aligned/train_00001_aligned.jpg``, of 100 px. Names say the split.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.labels import BadLabel, located
from affectkit.train.datasets.manifest import Prepared, Row, lines_of, relative, text_lines
from affectkit.train.datasets.points import FindPoints, as_points, of_picture, usable
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.types import Array

CLASSES = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
LISTS = "EmoLabel/list_patition_label.txt", "EmoLabel/list_partition_label.txt", "list_patition_label.txt"
PICTURES_A_UNIT = 500


def read(source: Path, target: Path, *, find: FindPoints | None = None) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, find=find))


def units(source: Path, target: Path, *, find: FindPoints | None = None) -> list[Unit]:
    """A unit some hundred pictures, which stay in their place; ``test_`` is the split ``valid``.

    Args:
        find: finds points where there is no original with its own; None: the whole aligned picture is the crop.
    """
    places = [(root, root / name) for root in (source, source / "basic") for name in LISTS]
    root, label_file = next((place for place in places if place[1].is_file()), (source, None))
    if label_file is None:
        raise SourceError(f"{source}: has no {LISTS[0]}; is this RAF-DB's folder (basic)?")
    labels = _labels(label_file)

    def part(some: list[tuple[str, str]]) -> Prepared:
        prepared = Prepared()
        for name, expression in some:
            _picture(root, name, expression, target, find, prepared)
        return prepared

    return [Unit(name, partial(part, list(some))) for name, some in chunks(labels, PICTURES_A_UNIT)]


def _labels(path: Path) -> list[tuple[str, str]]:
    """Name of the picture, with its suffix, and expression."""
    labels = []
    for i, line in enumerate(text_lines(path)):
        if not line:
            continue
        parts = line.split()
        with located(path, line=i + 1):
            if len(parts) != 2 or not parts[0].startswith(("train_", "test_")):
                raise BadLabel(f"cannot read {line!r}; it should look like 'train_00001.jpg 5'")
            if parts[1] not in CLASSES:
                raise BadLabel(f"{parts[1]!r} is no class; allowed: 1 to 7")
        labels.append((parts[0], CLASSES[parts[1]]))
    return labels


def _picture(root: Path, name: str, expression: str, target: Path, find: FindPoints | None, prepared: Prepared) -> None:
    stem = Path(name).stem
    original = root / "Image" / "original" / name
    manual = _manual(root / "Annotation" / "manual" / f"{stem}_manu_attri.txt") if original.is_file() else None
    path, points = original, None if manual is None else as_points(manual)
    if points is None:
        aligned = root / "Image" / "aligned" / f"{stem}_aligned.jpg"
        path = original if original.is_file() and find is not None and not aligned.is_file() else aligned
        good, points = of_picture(path, find, prepared)
        if not good:
            return
    split = "train" if name.startswith("train_") else "valid"
    prepared.rows.append(Row(relative(path, target), "raf-db", split, expression=expression, landmarks=points))


def _manual(path: Path) -> Array | None:
    """(5, 2), the eye and the mouth corner on the left of the picture first; None where they cannot be read."""
    try:
        points = np.array([[float(value) for value in line.split()] for line in lines_of(path)[:5]])
    except (SourceError, ValueError):
        return None
    if not usable(points):
        return None
    order = [*np.argsort(points[:2, 0], kind="stable"), 2, *(3 + np.argsort(points[3:, 0], kind="stable"))]
    return np.asarray(points[order])
