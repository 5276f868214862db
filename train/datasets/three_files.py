"""A set of three files (CSV, zip of pictures, npz of landmarks; see train/README.md) as a folder with a manifest.

The pictures are the zip's bytes, the points the npz's numbers, the split the project's rule, so that both forms of the
set train and score alike.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import decoded, save_bytes
from affectkit.train.datasets.labels import au_columns, check_table, read_csv
from affectkit.train.datasets.manifest import Points, Prepared, Row, relative
from affectkit.train.datasets.points import as_points, read_landmarks
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.types import Array

PICTURES_A_UNIT = 1000


def read(labels: Path, target: Path, *, images: Path, landmarks: Path | None = None) -> Prepared:
    """All of :func:`units`."""
    return collect(units(labels, target, images=images, landmarks=landmarks))


def units(
    labels: Path,
    target: Path,
    *,
    images: Path,
    landmarks: Path | None = None,
    au_at: float | None = None,
) -> list[Unit]:
    """A unit some thousand pictures, written to ``target/pictures/NAME`` as they are stored.

    Args:
        images: zip whose members are named as in the column ``image``.
        landmarks: npz with ``image`` and ``landmark5``; without them, or where they are NaN, the points are blank.
        au_at: intensities become 0 or 1: present from this one on.
    """
    table = check_table(read_csv(labels), labels, key="image", au_at=au_at)
    points = {} if landmarks is None else read_landmarks(landmarks)
    _check_members(images, table["image"].astype(str).tolist())
    records = [
        {str(name): value for name, value in record.items() if not pd.isna(value)}
        for record in table.to_dict(orient="records")
    ]

    def part(some: Sequence[Mapping[str, object]]) -> Prepared:
        prepared = Prepared()
        with zipfile.ZipFile(images) as archive:
            for cells in some:
                _picture(cells, archive, points, labels.stem, target, prepared)
        return prepared

    return [Unit(name, partial(part, some)) for name, some in chunks(records, PICTURES_A_UNIT)]


def _check_members(images: Path, names: Sequence[str]) -> None:
    try:
        with zipfile.ZipFile(images) as archive:
            members = set(archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{images}: cannot be read as a zip ({error})") from error
    for name in names:
        if name not in members:
            raise SourceError(f"{images}: has no {name!r}; every image of the label file must be in it")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise SourceError(f"{images}: the name {name!r} leaves the folder")


def _picture(
    cells: Mapping[str, object],
    archive: zipfile.ZipFile,
    points: Mapping[str, Array],
    name_of_set: str,
    target: Path,
    prepared: Prepared,
) -> None:
    from affectkit.train.splits import split_of

    name = str(cells["image"])
    try:
        data = archive.read(name)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{archive.filename}: {name}: cannot be read ({error})") from error
    image = decoded(data, f"{archive.filename}: {name}")
    five: Points | None = None
    if name in points:
        five = as_points(points[name])
    elif points:
        prepared.notes["without landmarks in the file"] += 1
    path = target / "pictures" / name
    save_bytes(data, path)
    person = str(cells.get("person", ""))
    expression = cells.get("expression")
    votes = {key.removeprefix("votes_"): int(float(str(cells[key]))) for key in cells if key.startswith("votes_")}
    prepared.rows.append(
        Row(
            relative(path, target),
            name_of_set,
            str(cells.get("split", split_of(name, person, image))),
            str(cells["video"]) if "video" in cells else None,
            int(float(str(cells["frame"]))) if "frame" in cells else None,
            person or None,
            {unit: float(str(cells[unit])) for unit in au_columns(cells)},
            None if expression is None else str(expression),
            votes or None,
            float(str(cells["valence"])) if "valence" in cells else None,
            float(str(cells["arousal"])) if "arousal" in cells else None,
            five,
        )
    )
