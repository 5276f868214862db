"""AffectNet as given out since 2021: ``train_set/images/7.jpg`` with ``train_set/annotations/7_exp.npy`` (class),
``7_val.npy``, ``7_aro.npy`` (-1..1, or -2: not labelled) and ``7_lnd.npy`` (68 points, flattened); ``val_set`` alike.

The classes are 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt, which stays a
class of its own; 8 to 10 (none, uncertain, no face) are left out.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import five_points
from affectkit.train.datasets.labels import class_index, located, number, va_value
from affectkit.train.datasets.manifest import Points, Prepared, Row, relative
from affectkit.train.datasets.points import FindPoints, as_points, in_crop, picture, usable
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.types import Array, UInt8

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
NO_CLASSES = ("none", "uncertain", "no face")
SPLITS = {"train_set": "train", "val_set": "valid"}
UNKNOWN = -2.0
"""A valence or arousal that was not labelled."""

PICTURES_A_UNIT = 1000


def read(source: Path, target: Path, *, find: FindPoints | None = None) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, find=find))


def units(source: Path, target: Path, *, find: FindPoints | None = None) -> list[Unit]:
    """A unit some thousand pictures, which stay in their place; the points are those of the set.

    Args:
        find: finds points where the set's own cannot be used; None: such pictures are the crop as they are.
    """
    found: list[Unit] = []
    for folder, split in SPLITS.items():
        names = [path.name.removesuffix("_exp.npy") for path in (source / folder / "annotations").glob("*_exp.npy")]
        names.sort(key=lambda name: [int(part) if part.isdecimal() else 0 for part in re.split(r"(\d+)", name)])

        def part(some: list[str], folder: str = folder, split: str = split) -> Prepared:
            prepared = Prepared()
            for name in some:
                _picture(source / folder, name, split, target, find, prepared)
            return prepared

        found += [Unit(name, partial(part, list(some))) for name, some in chunks(names, PICTURES_A_UNIT, folder)]
    if not found:
        raise SourceError(f"{source}: has no train_set/annotations/0_exp.npy; is this AffectNet's folder?")
    return found


def _picture(folder: Path, name: str, split: str, target: Path, find: FindPoints | None, prepared: Prepared) -> None:
    annotations = folder / "annotations"
    values: dict[str, str] = {}
    for what in ("exp", "val", "aro"):
        array = _array(annotations / f"{name}_{what}.npy")
        if array is None or array.size != 1:
            prepared.drop("annotation missing or damaged", annotations / f"{name}_{what}.npy")
            return
        values[what] = str(array.reshape(()).item())
    with located(annotations / f"{name}_exp.npy"):
        index = class_index(values["exp"], len(CLASSES) + len(NO_CLASSES))
    if not 0 <= index < len(CLASSES):
        prepared.leave_out(f"class {(*CLASSES, *NO_CLASSES, 'unknown')[index]}")
        return
    va: list[float | None] = []
    for what in ("val", "aro"):
        with located(annotations / f"{name}_{what}.npy"):
            value = number(values[what], UNKNOWN, 1, allowed="-1 to 1, or -2")
            va.append(None if value == UNKNOWN else va_value(value, tolerance=1e-3))
    if None in va:
        prepared.notes["without valence and arousal"] += 1
    path = next(
        (
            folder / "images" / f"{name}{suffix}"
            for suffix in (".jpg", ".png")
            if (folder / "images" / f"{name}{suffix}").is_file()
        ),
        None,
    )
    if path is None:
        prepared.drop("without a picture", folder / "images" / f"{name}.jpg")
        return
    image = picture(path, prepared)
    if image is None:
        return
    good, points = _points(_array(annotations / f"{name}_lnd.npy"), image, find, path, prepared)
    if good:
        valence, arousal = va if None not in va else (None, None)
        prepared.rows.append(
            Row(
                relative(path, target),
                "affectnet",
                split,
                expression=CLASSES[index],
                valence=valence,
                arousal=arousal,
                landmarks=points,
            )
        )


def _points(
    given: Array | None, image: UInt8, find: FindPoints | None, path: Path, prepared: Prepared
) -> tuple[bool, Points | None]:
    """Whether the picture can be used, and its points: the set's own, if they lie in the picture."""
    if given is not None and given.size == 136:
        points = five_points(given.astype(np.float64).reshape(68, 2))
        height, width = image.shape[:2]
        if usable(points) and (points.mean(0) >= 0).all() and (points.mean(0) < (width, height)).all():
            return True, as_points(points)
    if find is None:
        prepared.notes["without points that can be used"] += 1
        return True, None
    found = in_crop(image, find)
    if found is None:
        prepared.drop("no points found", path)
        return False, None
    prepared.notes["points found by the detector"] += 1
    return True, as_points(found)


def _array(path: Path) -> Array | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None
