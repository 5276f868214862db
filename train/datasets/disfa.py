"""DISFA: ``ActionUnit_Labels/SN001/SN001_au1.txt`` with lines ``frame,intensity`` (frames from 1, intensity 0-5), and
the videos ``Videos_LeftCamera/LeftVideoSN001_comp.avi``, of which faces are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import paper_crop, save
from affectkit.train.datasets.manifest import AU_COLUMNS, Prepared, Row, lines_of, need, relative
from affectkit.types import Array, Frame, UInt8

ACTIVE_FROM = 2
"""Intensity from which a unit counts as active."""

CROP_PX = 160

FindPoints = Callable[[UInt8], Array | None]
"""RGB picture -> (5, 2) points of its most confident face, or None."""

ReadFrames = Callable[[Path], Iterable[Frame]]


def read(source: Path, target: Path, *, frames_of: ReadFrames, find_points: FindPoints) -> Prepared:
    """Read all subjects; every labelled frame becomes a crop in ``target/disfa/SN001/00001.png``."""
    labels = need(source / "ActionUnit_Labels", "the labels")
    prepared = Prepared()
    for folder in sorted(path for path in labels.iterdir() if path.is_dir()):
        subject = folder.name
        units = _read_units(folder)
        video = need(source / "Videos_LeftCamera" / f"LeftVideo{subject}_comp.avi", f"the video of {subject}")
        for frame in frames_of(video):
            number = frame.index + 1
            if number not in units:
                prepared.dropped["frame without all labels"] += 1
                continue
            points = find_points(frame.image)
            if points is None:
                prepared.dropped["no face found"] += 1
                continue
            path = target / "disfa" / subject / f"{number:05d}.png"
            save(paper_crop(frame.image, points, CROP_PX), path)
            prepared.rows.append(
                Row(
                    relative(path, target),
                    "disfa",
                    "train",
                    video.stem,
                    frame.index,
                    subject,
                    dict(zip(AU_COLUMNS, units[number], strict=True)),
                )
            )
    return prepared


def _read_units(folder: Path) -> dict[int, tuple[float, ...]]:
    """Activity of the eight units by frame number, for the frames that all eight files name."""
    by_unit: list[dict[int, float]] = []
    for name in AU_COLUMNS:
        path = need(folder / f"{folder.name}_{name.lower()}.txt", f"intensities of {name}")
        active = {}
        for line in lines_of(path):
            try:
                number, intensity = (int(part) for part in line.split(","))
            except ValueError as error:
                raise SourceError(f"{path}: cannot read {line!r} as frame,intensity") from error
            if not 0 <= intensity <= 5:
                raise SourceError(f"{path}: intensity {intensity} in {line!r} is not 0 to 5")
            active[number] = float(intensity >= ACTIVE_FROM)
        by_unit.append(active)
    complete = set.intersection(*(set(active) for active in by_unit))
    return {number: tuple(active[number] for active in by_unit) for number in complete}
