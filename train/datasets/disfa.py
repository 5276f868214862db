"""DISFA and DISFA+: intensities of 0 to 5 of twelve action units, for the frames of 27 and 9 people.

DISFA: ``ActionUnit_Labels/SN001/SN001_au1.txt`` with lines ``frame,intensity`` (frames from 1) and the videos
``Videos_LeftCamera/LeftVideoSN001_comp.avi``.

DISFA+: ``Labels/SN001/TRIAL/AU1.txt`` with lines ``000.jpg     0`` behind a head of two lines, and the pictures
``Images/SN001/TRIAL/000.jpg``. That is what public loaders rely on; the head is whatever stands before the first line
of that form, so its length does not matter.

Faces are cut out with their surroundings. A unit counts as active from intensity 2 on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.labels import BadLabel, au_value, located
from affectkit.train.datasets.manifest import Points, Prepared, Row, lines_of, need, relative, text_lines
from affectkit.train.datasets.points import FindPoints, picture, save_cut_out
from affectkit.train.datasets.units import Unit, collect
from affectkit.types import Array, Frame, UInt8

UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
"""The action units that both sets code."""

ACTIVE_FROM = 2.0
"""Intensity from which a unit counts as active."""

ReadFrames = Callable[[Path], Iterable[Frame]]

Intensities = dict[int, dict[str, float]]
"""By number of the frame: 0 or 1 by ``AU1`` ..."""


def read(source: Path, target: Path, *, frames_of: ReadFrames, find: FindPoints) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, frames_of=frames_of, find=find))


def units(source: Path, target: Path, *, frames_of: ReadFrames, find: FindPoints) -> list[Unit]:
    """DISFA: a unit a subject; every labelled frame becomes ``target/disfa/SN001/00001.png``."""
    labels = need(source / "ActionUnit_Labels", "the labels; is this DISFA's folder?")
    folders = sorted(path for path in labels.iterdir() if path.is_dir())

    def subject(folder: Path) -> Prepared:
        return _subject(folder, source / "Videos_LeftCamera", target, frames_of, find)

    return [Unit(folder.name, partial(subject, folder)) for folder in folders]


def _subject(folder: Path, videos: Path, target: Path, frames_of: ReadFrames, find: FindPoints) -> Prepared:
    subject, prepared = folder.name, Prepared()
    paths = {unit: folder / f"{subject}_au{unit}.txt" for unit in UNITS}
    waiting = _by_frame({unit: _of_lines(path) for unit, path in paths.items() if _there(path, prepared)}, prepared)
    video = videos / f"LeftVideo{subject}_comp.avi"
    try:
        if not video.is_file():
            prepared.drop("frame of a video that is missing", video, len(waiting))
            return prepared
        for frame in frames_of(video):
            number = frame.index + 1
            if number not in waiting:
                prepared.leave_out("frame without labels")
                continue
            units = waiting.pop(number)
            path = target / "disfa" / subject / f"{number:05d}.png"
            points = _cut(frame.image, path, f"{video}: frame {number}", find, prepared)
            if points:
                place = relative(path, target)
                prepared.rows.append(
                    Row(place, "disfa", "train", video.stem, frame.index, subject, units, landmarks=points)
                )
    except SourceError as error:
        prepared.drop("frame of a video that cannot be read", error, len(waiting))
        return prepared
    if waiting:
        prepared.drop("labelled frame that the video does not have", f"{video}: frame {min(waiting)}", len(waiting))
    return prepared


def _there(path: Path, prepared: Prepared) -> bool:
    if not path.is_file():
        prepared.drop("action unit's file missing (the unit stays blank)", path)
    return path.is_file()


def _of_lines(path: Path) -> dict[int, float]:
    """``frame,intensity`` -> 0 or 1 by frame."""
    active = {}
    for i, line in enumerate(text_lines(path)):
        if not line:
            continue
        number, _, intensity = line.partition(",")
        with located(path, line=i + 1):
            if not number.strip().isdecimal() or not intensity.strip():
                raise BadLabel(f"cannot read {line!r} as frame,intensity")
            active[int(number)] = au_value(intensity.strip(), au_at=ACTIVE_FROM)
    return active


def _by_frame(by_unit: dict[int, dict[int, float]], prepared: Prepared) -> Intensities:
    frames: Intensities = {}
    for unit, active in by_unit.items():
        for number, value in active.items():
            frames.setdefault(number, {})[f"AU{unit}"] = value
    some = sum(len(units) < len(by_unit) for units in frames.values())
    if some:
        prepared.notes["frames without labels of all action units"] += some
    return frames


def _cut(image: UInt8, path: Path, where: str, find: FindPoints, prepared: Prepared) -> Points | None:
    """Write the surroundings of the most confident face; its points."""
    found: Array = find(image)
    if not len(found):
        prepared.drop("no face found", where)
        return None
    return save_cut_out(image, np.asarray(found[0]), path, where, prepared)


def read_plus(source: Path, target: Path, *, find: FindPoints) -> Prepared:
    """All of :func:`units_plus`."""
    return collect(units_plus(source, target, find=find))


def units_plus(source: Path, target: Path, *, find: FindPoints) -> list[Unit]:
    """DISFA+: a unit a trial; every labelled picture becomes ``target/disfa-plus/SN001/TRIAL/000.png``."""
    root = next((path for path in (source, *sorted(source.iterdir())) if (path / "Labels").is_dir()), None)
    if root is None:
        raise SourceError(f"{source}: has no Labels/SN001/TRIAL/AU1.txt; is this DISFA+'s folder?")
    trials = sorted(path for path in (root / "Labels").glob("*/*") if path.is_dir())

    def trial(folder: Path) -> Prepared:
        return _trial(folder, root / "Images" / folder.parent.name / folder.name, target, find)

    return [Unit(f"{folder.parent.name}/{folder.name}", partial(trial, folder)) for folder in trials]


def _trial(labels: Path, pictures: Path, target: Path, find: FindPoints) -> Prepared:
    subject, prepared = labels.parent.name, Prepared()
    paths = {unit: labels / f"AU{unit}.txt" for unit in UNITS}
    by_unit = {unit: _of_names(path) for unit, path in paths.items() if _there(path, prepared)}
    names = sorted({name for active in by_unit.values() for name in active})
    frames = _by_frame(
        {unit: {names.index(name): value for name, value in active.items()} for unit, active in by_unit.items()},
        prepared,
    )
    for i, units in sorted(frames.items()):
        stem = Path(names[i]).stem
        if not (pictures / names[i]).is_file():
            prepared.drop("without a picture", pictures / names[i])
            continue
        image = picture(pictures / names[i], prepared)
        if image is None:
            continue
        path = target / "disfa-plus" / subject / labels.name / f"{stem}.png"
        points = _cut(image, path, str(pictures / names[i]), find, prepared)
        if points:
            video = f"{subject}/{labels.name}"
            frame = int(stem) if stem.isdecimal() else i
            prepared.rows.append(
                Row(relative(path, target), "disfa-plus", "train", video, frame, subject, units, landmarks=points)
            )
    return prepared


def _of_names(path: Path) -> dict[str, float]:
    """``000.jpg     0`` -> 0 or 1 by picture; what comes before the first such line is the head."""
    active: dict[str, float] = {}
    for line in lines_of(path):
        found = re.fullmatch(r"(\S+\.(?:jpg|jpeg|png|bmp))[\s,]+(\S+)", line, re.IGNORECASE)
        with located(path):
            if found is not None:
                active[found[1]] = au_value(found[2], au_at=ACTIVE_FROM)
            elif active:
                raise BadLabel(f"cannot read {line!r} as picture and intensity")
    if not active:
        raise SourceError(f"{path}: has no line such as '000.jpg     0'")
    return active
