"""The open sets: FER+ on FER-2013, and muxspace/facial_expressions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import save
from affectkit.train.datasets.manifest import VOTE_NAMES, Prepared, Row, lines_of, need, relative
from affectkit.types import EXPRESSION_NAMES

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
    """Mean circumplex coordinates under the votes; None where nobody voted for an emotion. Derived, not annotated."""
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


def read_ferplus(source: Path, target: Path, *, derive_va: bool = False) -> Prepared:
    """FER+: votes on the pictures of FER-2013.

    Reads ``fer2013new.csv`` with FER-2013's ``fer2013.csv``, or folders ``FER2013Train ...`` with ``label.csv``.

    Args:
        target: where pictures are written that exist only as numbers in ``fer2013.csv``.
        derive_va: add valence and arousal derived from the votes.
    """
    prepared = Prepared()
    if (source / "fer2013new.csv").is_file():
        _read_fer_csv(source, target, prepared, derive_va)
        return prepared
    folders = [name for name in FER_FOLDERS if (source / name / "label.csv").is_file()]
    if not folders:
        raise SourceError(f"{source}: has neither fer2013new.csv nor FER2013Train/label.csv; is this FER+'s folder?")
    for name in folders:
        for line in csv.reader(lines_of(source / name / "label.csv")):
            picture = source / name / line[0]
            if not picture.is_file():
                prepared.dropped["without a picture"] += 1
                continue
            votes = _votes(line[-10:], source / name / "label.csv")
            prepared.rows.append(_ferplus_row(relative(picture, target), FER_FOLDERS[name], votes, derive_va))
    return prepared


def _read_fer_csv(source: Path, target: Path, prepared: Prepared, derive_va: bool) -> None:
    pixels_file = need(source / "fer2013.csv", "FER-2013's pixels beside fer2013new.csv")
    with (source / "fer2013new.csv").open(newline="") as file, pixels_file.open(newline="") as pixels:
        for number, (labels, picture) in enumerate(
            zip(csv.DictReader(file), csv.DictReader(pixels), strict=True), start=2
        ):
            if labels["Usage"] != picture["Usage"]:
                raise SourceError(f"{pixels_file}: line {number} belongs to another picture than in fer2013new.csv")
            if not labels["Image name"]:
                prepared.dropped["removed by FER+ (not a face)"] += 1
                continue
            values = np.array(picture["pixels"].split(), np.uint8)
            if values.size != 48 * 48:
                raise SourceError(f"{pixels_file}: line {number} has {values.size} pixels, not 48 x 48")
            split = FER_SPLITS[labels["Usage"]]
            folder = next(name for name, part in FER_FOLDERS.items() if part == split)
            path = target / folder / labels["Image name"]
            save(values.reshape(48, 48), path)
            votes = _votes([labels[name] for name in VOTE_NAMES], source / "fer2013new.csv")
            prepared.rows.append(_ferplus_row(relative(path, target), split, votes, derive_va))


def _votes(values: list[str], where: Path) -> tuple[int, ...]:
    try:
        return tuple(int(value) for value in values)
    except ValueError as error:
        raise SourceError(f"{where}: votes are not numbers: {values}") from error


def _ferplus_row(path: str, split: str, votes: tuple[int, ...], derive_va: bool) -> Row:
    by_name = dict(zip(VOTE_NAMES, map(float, votes), strict=True))
    valence, arousal = (derived_va(by_name) if derive_va else None) or (None, None)
    return Row(
        path,
        "ferplus",
        split,
        expression=winner(votes),
        votes=dict(zip(VOTE_NAMES, votes, strict=True)),
        valence=valence,
        arousal=arousal,
    )


def read_facial_expressions(source: Path, target: Path, *, derive_va: bool = False) -> Prepared:
    """muxspace/facial_expressions: one expression a picture.

    Reads ``images/`` and ``data/legend.csv`` (``user.id,image,emotion``); the person is in the file's name. Every
    person is on one side: valid is ``crc32(person) % 5 == 0``.
    """
    import zlib

    prepared = Prepared()
    images = need(source / "images", "the folder of pictures")
    with need(source / "data" / "legend.csv", "the labels").open(newline="", encoding="utf-8-sig") as file:
        for line in csv.DictReader(file):
            picture, emotion = images / line["image"], line["emotion"].strip().lower()
            if not picture.is_file():
                prepared.dropped["without a picture"] += 1
                continue
            person = picture.stem.rpartition("_")[0] or picture.stem
            expression = emotion if emotion in EXPRESSION_NAMES else None
            if expression is None:
                prepared.dropped[f"label only ({emotion or 'blank'} is none of the seven)"] += 1
            valence, arousal = (derived_va({emotion: 1}) if derive_va else None) or (None, None)
            prepared.rows.append(
                Row(
                    relative(picture, target),
                    "facial_expressions",
                    "valid" if zlib.crc32(person.encode()) % 5 == 0 else "train",
                    person=person,
                    expression=expression,
                    valence=valence,
                    arousal=arousal,
                )
            )
    return prepared
