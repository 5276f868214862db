"""ExpW: ``label.lst`` with lines ``name face_id top left right bottom confidence label``, and the pictures.

The box may leave the picture; its border continues there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import box_crop, save
from affectkit.train.datasets.labels import BadLabel, located, number
from affectkit.train.datasets.manifest import Prepared, Row, relative, text_lines
from affectkit.train.datasets.points import FindPoints, nearest, picture, save_cut_out
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.types import EXPRESSION_NAMES, Array, UInt8

LABEL_MAP = (1, 2, 3, 4, 5, 6, 0)
"""ExpW's angry disgust fear happy sad surprise neutral, as indices into EXPRESSION_NAMES."""

PICTURE_FOLDERS = ("origin", "image/origin", "image", ".")
CROP_PX = 160
MARGIN = 0.5
"""Of the box's side, added all around it before points are looked for."""

PICTURES_A_UNIT = 200


@dataclass(frozen=True, slots=True)
class _Face:
    """One line of the label file."""

    picture: str
    face: int
    box: tuple[int, int, int, int]
    """left, top, right, bottom px"""
    confidence: float
    expression: str
    line: int


def read(source: Path, target: Path, *, find: FindPoints | None = None, min_confidence: float = 0.0) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, find=find, min_confidence=min_confidence))


def units(source: Path, target: Path, *, find: FindPoints | None = None, min_confidence: float = 0.0) -> list[Unit]:
    """A unit a few hundred pictures; each face becomes ``target/expw/NAME_FACE.png``.

    Args:
        find: finds the points around the box; the face is cut out with its surroundings then. None: the box alone is
            cut, as in the paper, and the points are blank.
        min_confidence: leave out boxes below it (ExpW's detector gives up to about 100).
    """
    label_file = next((p for p in (source / "label.lst", source / "label" / "label.lst") if p.is_file()), None)
    if label_file is None:
        raise SourceError(f"{source}: has no label.lst; is this ExpW's folder?")
    groups = [list(group) for _, group in groupby(_faces(label_file), key=lambda face: face.picture)]

    def part(groups: list[list[_Face]]) -> Prepared:
        prepared = Prepared()
        for group in groups:
            _picture(group, source, target, find, min_confidence, prepared)
        return prepared

    return [Unit(name, partial(part, list(some))) for name, some in chunks(groups, PICTURES_A_UNIT)]


def _faces(path: Path) -> list[_Face]:
    faces = []
    for i, line in enumerate(text_lines(path)):
        if not line:
            continue
        parts = line.split()
        with located(path, line=i + 1):
            if len(parts) != 8:
                raise BadLabel(f"cannot read {line!r} as name face_id top left right bottom confidence label")
            face, top, left, right, bottom = (int(number(part, -1e6, 1e6)) for part in parts[1:6])
            confidence = number(parts[6], -1e6, 1e6)
            if parts[7] not in ("0", "1", "2", "3", "4", "5", "6"):
                raise BadLabel(f"cannot read {line!r}: {parts[7]!r} is no class; allowed: 0 to 6")
            expression = EXPRESSION_NAMES[LABEL_MAP[int(parts[7])]]
        faces.append(_Face(parts[0], face, (left, top, right, bottom), confidence, expression, i + 1))
    return faces


def _picture(
    group: list[_Face], source: Path, target: Path, find: FindPoints | None, least: float, prepared: Prepared
) -> None:
    """All faces of a picture, which is decoded once."""
    found = _find(source, group[0].picture)
    image = None
    for face in group:
        if face.confidence < least:
            prepared.leave_out("box of low confidence")
            continue
        if found is None:
            prepared.drop("without a picture", source / PICTURE_FOLDERS[0] / face.picture)
            continue
        left, top, right, bottom = face.box
        if right <= left or bottom <= top:
            prepared.drop("empty box", f"{found}: face {face.face}")
            continue
        image = picture(found, prepared) if image is None else image
        if image is None:
            continue
        path = target / "expw" / f"{Path(face.picture).stem}_{face.face}.png"
        points = None
        if find is None:
            save(box_crop(image, left, top, right, bottom, CROP_PX), path)
        else:
            five = _in_box(image, face.box, find)
            if five is None:
                prepared.drop("no points found", f"{found}: face {face.face}")
                continue
            points = save_cut_out(image, five, path, f"{found}: face {face.face}", prepared)
            if points is None:
                continue
        place = relative(path, target)
        prepared.rows.append(Row(place, "expw", "train", expression=face.expression, landmarks=points))


def _in_box(image: UInt8, box: tuple[int, int, int, int], find: FindPoints) -> Array | None:
    """The points of the face nearest to the middle of a box; its own middle lies in the box."""
    left, top, right, bottom = box
    margin = round(MARGIN * max(right - left, bottom - top))
    x0, y0 = max(0, left - margin), max(0, top - margin)
    part = image[y0 : max(y0, bottom + margin), x0 : max(x0, right + margin)]
    if min(part.shape[:2]) < 2:
        return None
    points = nearest(find(np.ascontiguousarray(part)), ((left + right) / 2 - x0, (top + bottom) / 2 - y0))
    if points is None:
        return None
    points = points + np.array([x0, y0], np.float32)
    x, y = points.mean(0)
    return points if left <= x <= right and top <= y <= bottom else None


def _find(source: Path, name: str) -> Path | None:
    return next((p for p in (source / folder / name for folder in PICTURE_FOLDERS) if p.is_file()), None)
