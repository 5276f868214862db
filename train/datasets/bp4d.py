"""BP4D: FACS codes in ``AUCoding/F001_T1.csv``, and the pictures of each sequence.

The first line names the action units by number, behind the first column, which holds the frame; 0 is absent, 1
present, 9 not known. BP4D+ has the files one folder deeper, in ``AUCoding/AU_OCC``. Where the pictures were unpacked
to differs, so that is asked for as a pattern; the frame's number may be padded with zeros.
"""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path

from affectkit.errors import SourceError
from affectkit.train.datasets.labels import BadLabel, located, number
from affectkit.train.datasets.manifest import Prepared, Row, relative, text_lines
from affectkit.train.datasets.points import FindPoints, picture, save_cut_out
from affectkit.train.datasets.units import Unit, collect
from affectkit.types import au_name, published_au_name

PATTERN = "{subject}/{task}/{frame}.jpg"
PICTURE_FOLDERS = (".", "2D+3D", "Sequences", "2DFeatures", "BP4D-training", "Images")
"""Below the source; a pattern is looked for in each."""

UNKNOWN = 9.0


def read(source: Path, target: Path, *, find: FindPoints, pictures: str = PATTERN) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, find=find, pictures=pictures))


def units(source: Path, target: Path, *, find: FindPoints, pictures: str = PATTERN) -> list[Unit]:
    """A unit a sequence; faces are cut out to ``target/bp4d/F001/T1/12.png``.

    Args:
        pictures: where the picture of a frame lies, with ``{subject}``, ``{task}`` and ``{frame}``.
    """
    for part in ("{subject}", "{task}", "{frame}"):
        if part not in pictures or "{frame}" in pictures.rpartition("/")[0]:
            raise SourceError(f"--pictures {pictures}: should hold {{subject}} and {{task}}, and {{frame}} in its name")
    files = [
        path
        for folder in ("AUCoding", "AUCoding/AU_OCC", "AU_OCC", ".")
        for path in sorted((source / folder).glob("*_T*.csv"))
        if re.fullmatch(r"[FM]\d+_T\d+", path.stem)
    ]
    if not files:
        raise SourceError(f"{source}: has no AUCoding/F001_T1.csv; is this BP4D's folder?")
    unique = {path.stem: path for path in reversed(files)}
    return [
        Unit(name, partial(_sequence, path, source, target, find, pictures)) for name, path in sorted(unique.items())
    ]


def _sequence(file: Path, source: Path, target: Path, find: FindPoints, pattern: str) -> Prepared:
    subject, task = file.stem.split("_")
    prepared = Prepared()
    labels = _labels(file, prepared)
    frames = _pictures(source, pattern.replace("{subject}", subject).replace("{task}", task))
    for frame, units in labels.items():
        path = frames.get(frame)
        if path is None:
            prepared.drop("without a picture", f"{file}: frame {frame}")
            continue
        image = picture(path, prepared)
        if image is None:
            continue
        found = find(image)
        if not len(found):
            prepared.drop("no face found", path)
            continue
        crop = target / "bp4d" / subject / task / f"{frame}.png"
        points = save_cut_out(image, found[0], crop, path, prepared)
        if points is not None:
            prepared.rows.append(
                Row(relative(crop, target), "bp4d", "train", file.stem, frame, subject, units, landmarks=points)
            )
    return prepared


def _labels(path: Path, prepared: Prepared) -> dict[int, dict[str, float]]:
    """By frame: 0 or 1 by ``AU1`` ..., without what is not known."""
    lines = list(csv.reader(text_lines(path)))
    try:
        units = [published_au_name(au_name(name)) for name in (lines[0][1:] if lines else [])]
    except ValueError as error:
        raise SourceError(f"{path}: line 1: should number the action units; {error}") from error
    if not units or len(set(units)) != len(units):
        raise SourceError(f"{path}: line 1: should number each action unit once, got {lines[:1]}")
    labels: dict[int, dict[str, float]] = {}
    for i, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            prepared.drop("blank line", f"{path}: line {i}")
            continue
        with located(path, line=i):
            if len(cells) != len(units) + 1 or not cells[0].strip().isdecimal():
                raise BadLabel(f"has {len(cells)} values, the first line {len(units) + 1}; the first is the frame")
            codes = [number(value, 0, UNKNOWN, allowed="0, 1, or 9") for value in cells[1:]]
            bad = [value for value, code in zip(cells[1:], codes, strict=True) if code not in (0, 1, UNKNOWN)]
            if bad:
                raise BadLabel(f"{bad[0]!r} is no code; allowed: 0, 1, or 9 (not known)")
        known = {unit: code for unit, code in zip(units, codes, strict=True) if code != UNKNOWN}
        if known:
            labels[int(cells[0])] = known
        else:
            prepared.leave_out("coded as not known")
    return labels


def _pictures(source: Path, pattern: str) -> dict[int, Path]:
    """By frame: the files of a sequence, however their numbers are padded."""
    folder, _, name = pattern.rpartition("/")
    before, after = (re.escape(part) for part in name.split("{frame}", 1))
    form = re.compile(f"{before}0*([0-9]+){after}")
    for root in PICTURE_FOLDERS:
        place = source / root / folder
        if place.is_dir():
            named = ((form.fullmatch(path.name), path) for path in sorted(place.iterdir()))
            return {int(found[1]): path for found, path in named if found}
    return {}
