"""The open sets: FER+ on FER-2013, and muxspace/facial_expressions."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import save
from affectkit.train.datasets.manifest import VOTE_NAMES, Points, Prepared, Row, lines_of, need, relative
from affectkit.train.datasets.points import FindPoints, as_points, of_picture, read_landmarks
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.train.datasets.values import BadLabel, located, vote_value
from affectkit.types import EXPRESSION_NAMES, Array

PICTURES_A_UNIT = 1000

CIRCUMPLEX = {
    "neutral": (0.0, 0.0),
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happiness": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    "contempt": (-0.55, 0.43),
}
"""Valence and arousal after Russell & Mehrabian 1977; contempt approximate."""

FER_SPLITS = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
FER_FOLDERS = {"FER2013Train": "train", "FER2013Valid": "valid", "FER2013Test": "test"}


def derived_va(votes: dict[str, float]) -> tuple[float, float] | None:
    """Mean circumplex coordinates under the votes; None where no vote is for an emotion. Derived, not annotated."""
    total = sum(count for name, count in votes.items() if name in CIRCUMPLEX)
    if total <= 0:
        return None
    weighted = np.sum([np.multiply(CIRCUMPLEX[n], c) for n, c in votes.items() if n in CIRCUMPLEX], axis=0)
    return round(float(weighted[0] / total), 3), round(float(weighted[1] / total), 3)


def winner(votes: tuple[int, ...]) -> str | None:
    """The class with strictly the most of all ten kinds of votes, where it is one of the seven."""
    order = sorted(votes, reverse=True)
    if order[0] == order[1]:
        return None
    name = VOTE_NAMES[votes.index(order[0])]
    return name if name in EXPRESSION_NAMES else None


def read_ferplus(
    source: Path,
    target: Path,
    *,
    derive_va: bool = False,
    find: FindPoints | None = None,
    landmarks: Path | None = None,
) -> Prepared:
    """All of :func:`ferplus_units`."""
    return collect(ferplus_units(source, target, derive_va=derive_va, find=find, landmarks=landmarks))


def ferplus_units(
    source: Path,
    target: Path,
    *,
    derive_va: bool = False,
    find: FindPoints | None = None,
    landmarks: Path | None = None,
) -> list[Unit]:
    """FER+: votes on the pictures of FER-2013; a unit some thousand pictures.

    Reads ``fer2013new.csv`` with FER-2013's ``fer2013.csv``, or folders ``FER2013Train ...`` with ``label.csv``.

    Args:
        target: where pictures are written that exist only as numbers in ``fer2013.csv``.
        derive_va: add valence and arousal derived from the votes.
        find: finds points; of faces of 48 px it often does not. None: the whole picture is the crop.
        landmarks: npz with points by ``FER2013Train/fer0000000.png``.
    """
    known = None if landmarks is None else read_landmarks(landmarks)
    reader = _Ferplus(source, target, derive_va, known, find)
    if (source / "fer2013new.csv").is_file():
        return reader.units_of_csv()
    folders = [name for name in FER_FOLDERS if (source / name / "label.csv").is_file()]
    if not folders:
        raise SourceError(f"{source}: has neither fer2013new.csv nor FER2013Train/label.csv; is this FER+'s folder?")
    found = []
    for name in folders:
        lines = list(csv.reader(lines_of(source / name / "label.csv")))
        found += [Unit(part, partial(reader.folder, name, some)) for part, some in chunks(lines, PICTURES_A_UNIT, name)]
    return found


class _Ferplus:
    """Reads the one form of FER+ or the other."""

    def __init__(
        self, source: Path, target: Path, derive_va: bool, known: dict[str, Array] | None, find: FindPoints | None
    ) -> None:
        self._source, self._target, self._derive_va, self._known, self._find = source, target, derive_va, known, find
        self._pixels: tuple[int, Iterator[dict[str, str]]] | None = None

    def folder(self, name: str, lines: Sequence[list[str]]) -> Prepared:
        """Some lines of ``FER2013Train/label.csv``."""
        prepared = Prepared()
        for line in lines:
            votes = _votes(line[-10:], self._source / name / "label.csv")
            self._add(self._source / name / line[0], f"{name}/{line[0]}", FER_FOLDERS[name], votes, prepared)
        return prepared

    def units_of_csv(self) -> list[Unit]:
        """``fer2013new.csv`` beside ``fer2013.csv``."""
        pixels = need(self._source / "fer2013.csv", "FER-2013's pixels beside fer2013new.csv")
        with (self._source / "fer2013new.csv").open(newline="") as file:
            lines = list(enumerate(csv.DictReader(file)))
        return [Unit(part, partial(self._csv, pixels, some)) for part, some in chunks(lines, PICTURES_A_UNIT, "lines")]

    def _csv(self, pixels_file: Path, lines: Sequence[tuple[int, dict[str, str]]]) -> Prepared:
        prepared = Prepared()
        for (i, labels), picture in zip(lines, self._rows(pixels_file, lines[0][0]), strict=False):
            if labels["Usage"] != picture["Usage"]:
                raise SourceError(f"{pixels_file}: line {i + 2} belongs to another picture than in fer2013new.csv")
            if not labels["Image name"]:
                prepared.leave_out("removed by FER+ (not a face)")
                continue
            try:
                values = np.array(picture["pixels"].split(), np.uint8)
            except (ValueError, OverflowError) as error:
                raise SourceError(f"{pixels_file}: line {i + 2} holds something else than pixels ({error})") from error
            if values.size != 48 * 48:
                raise SourceError(f"{pixels_file}: line {i + 2} has {values.size} pixels, not 48 x 48")
            split = FER_SPLITS[labels["Usage"]]
            name = f"{next(name for name, part in FER_FOLDERS.items() if part == split)}/{labels['Image name']}"
            save(values.reshape(48, 48), self._target / name)
            votes = _votes([labels[name] for name in VOTE_NAMES], self._source / "fer2013new.csv")
            self._add(self._target / name, name, split, votes, prepared)
        return prepared

    def _rows(self, path: Path, first: int) -> Iterator[dict[str, str]]:
        """The rows from ``first`` on; the file is gone through once while the units come in order."""
        if self._pixels is None or self._pixels[0] > first:
            self._pixels = 0, _rows_of(path)
        position, rows = self._pixels
        for _ in range(first - position):
            next(rows, None)
        for row in rows:
            first += 1
            self._pixels = first, rows
            yield row
        raise SourceError(f"{path}: ends after {first} pictures; fer2013new.csv has more")

    def _add(self, path: Path, name: str, split: str, votes: tuple[int, ...], prepared: Prepared) -> None:
        good, points = _points_of(path, name, self._known, self._find, prepared)
        if good:
            by_name = dict(zip(VOTE_NAMES, map(float, votes), strict=True))
            valence, arousal = (derived_va(by_name) if self._derive_va else None) or (None, None)
            prepared.rows.append(
                Row(
                    relative(path, self._target),
                    "ferplus",
                    split,
                    expression=winner(votes),
                    votes=dict(zip(VOTE_NAMES, votes, strict=True)),
                    valence=valence,
                    arousal=arousal,
                    landmarks=points,
                )
            )


def _rows_of(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def _points_of(
    path: Path, name: str, known: Mapping[str, Array] | None, find: FindPoints | None, prepared: Prepared
) -> tuple[bool, Points | None]:
    """Whether a picture can be used, and its points: those of a file, else those that are found."""
    if known is None:
        return of_picture(path, find, prepared)
    good, _ = of_picture(path, None, prepared)
    if good and name not in known:
        prepared.notes["without landmarks in the file"] += 1
    return good, as_points(known[name]) if good and name in known else None


def _votes(values: list[str], where: Path) -> tuple[int, ...]:
    with located(where):
        if len(values) != len(VOTE_NAMES) or "" in values:
            raise BadLabel(f"has other than {len(VOTE_NAMES)} votes: {values}")
        return tuple(int(vote_value(value)) for value in values)


def read_facial_expressions(
    source: Path,
    target: Path,
    *,
    derive_va: bool = False,
    find: FindPoints | None = None,
    landmarks: Path | None = None,
) -> Prepared:
    """All of :func:`facial_expressions_units`."""
    return collect(facial_expressions_units(source, target, derive_va=derive_va, find=find, landmarks=landmarks))


def facial_expressions_units(
    source: Path,
    target: Path,
    *,
    derive_va: bool = False,
    find: FindPoints | None = None,
    landmarks: Path | None = None,
) -> list[Unit]:
    """muxspace/facial_expressions: one expression a picture; a unit some thousand pictures.

    Reads ``images/`` and ``data/legend.csv`` (``user.id,image,emotion``); the person is in the file's name. Every
    person is on one side: valid is ``crc32(person) % 5 == 0``.

    Args:
        derive_va: add valence and arousal derived from the label.
        find: finds points in the pictures; None: the whole picture is the crop.
        landmarks: npz with points by the picture's name.
    """
    images = need(source / "images", "the folder of pictures")
    known = None if landmarks is None else read_landmarks(landmarks)
    with need(source / "data" / "legend.csv", "the labels").open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))

    def part(some: Sequence[dict[str, str]]) -> Prepared:
        prepared = Prepared()
        for line in some:
            path, emotion = images / line["image"], line["emotion"].strip().lower()
            good, points = _points_of(path, line["image"], known, find, prepared)
            if not good:
                continue
            person = path.stem.rpartition("_")[0] or path.stem
            expression = emotion if emotion in EXPRESSION_NAMES else None
            if expression is None:
                prepared.notes[f"kept without its label, {emotion or 'blank'}, which is none of the seven"] += 1
            valence, arousal = (derived_va({emotion: 1}) if derive_va else None) or (None, None)
            prepared.rows.append(
                Row(
                    relative(path, target),
                    "facial_expressions",
                    "valid" if zlib.crc32(person.encode()) % 5 == 0 else "train",
                    person=person,
                    expression=expression,
                    valence=valence,
                    arousal=arousal,
                    landmarks=points,
                )
            )
        return prepared

    return [Unit(name, partial(part, some)) for name, some in chunks(lines, PICTURES_A_UNIT)]
