"""Who is in a video: a contact sheet with a thumbnail of every identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectkit.errors import OutputError
from affectkit.outputs.files import PartialFile, prepare_bytes
from affectkit.outputs.writers import check_suffix
from affectkit.types import Detection, TrackedFrame, UInt8

SUFFIXES = (".jpg", ".jpeg", ".png")

THUMB_PX = 160
CAPTION_PX = 46
COLUMNS = 6

MOST_PEOPLE = 600
"""Those seen in the most frames; a picture with more would open nowhere."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(slots=True)
class _Person:
    frames: int
    first: float
    """Seconds; of pictures without times, the number."""
    last: float
    quality: float
    thumbnail: UInt8


class ContactSheet:
    """Keeps the best picture of every track: large, sure and, as its points tell, looking at the camera."""

    def __init__(self) -> None:
        self._people: dict[int, _Person] = {}
        self._timed = True

    def add(self, tracked: TrackedFrame) -> None:
        """Take the next frame."""
        frame = tracked.frame
        self._timed = math.isfinite(frame.time_s)
        at = frame.time_s if self._timed else float(frame.index)
        for face in tracked.faces:
            person, quality = self._people.get(face.track_id), _quality(face.detection)
            if person is None:
                thumbnail = _thumbnail(frame.image, face.detection)
                self._people[face.track_id] = _Person(1, at, at, quality, thumbnail)
                continue
            person.frames += 1
            person.last = at
            if quality > person.quality:
                person.quality, person.thumbnail = quality, _thumbnail(frame.image, face.detection)
        if len(self._people) > 2 * MOST_PEOPLE:  # those who were seen but shortly are forgotten
            most = sorted(self._people, key=lambda track: -self._people[track].frames)[:MOST_PEOPLE]
            self._people = {track: self._people[track] for track in sorted(most)}

    def draw(self) -> UInt8:
        """RGB picture: a cell an identity, by id, with its number, when it was seen and in how many frames.

        Raises:
            OutputError: no face was seen.
        """
        if not self._people:
            raise OutputError("there was no face, so there is no contact sheet")
        most = sorted(self._people, key=lambda track: -self._people[track].frames)[:MOST_PEOPLE]
        columns = min(COLUMNS, len(most))
        rows = -(-len(most) // columns)
        sheet = np.full((rows * (THUMB_PX + CAPTION_PX), columns * THUMB_PX, 3), 24, np.uint8)
        for k, track in enumerate(sorted(most)):
            person = self._people[track]
            row, column = divmod(k, columns)
            cell = sheet[row * (THUMB_PX + CAPTION_PX) :, column * THUMB_PX : (column + 1) * THUMB_PX]
            cell[:THUMB_PX] = person.thumbnail
            if self._timed:
                when = f"{person.frames} frames, {person.first:.1f} - {person.last:.1f} s"
            else:
                when = f"in {person.frames}, {person.first:.0f} to {person.last:.0f}"
            lines = (f"face {track}", (232, 232, 232)), (when, (140, 146, 154))
            for i, (text, colour) in enumerate(lines):
                place = (6, THUMB_PX + 18 + 18 * i)
                cv2.putText(cell, text, place, _FONT, (0.48, 0.34)[i], colour, 1, cv2.LINE_AA)
        return sheet

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Draw it into a file, complete or not at all.

        Raises:
            OutputError: no face was seen, or the file cannot be written.
        """
        self.prepare(path, overwrite=overwrite).commit()

    def prepare(self, path: Path, *, overwrite: bool = False) -> PartialFile:
        """Draw it into a file under a temporary name; ``commit`` gives it the final one. Errors as of :meth:`write`."""
        check_sheet_suffix(path)
        _, data = cv2.imencode(path.suffix, cv2.cvtColor(self.draw(), cv2.COLOR_RGB2BGR))
        return prepare_bytes(path, data.tobytes(), overwrite=overwrite)

    def state(self) -> list[Any]:
        """Everything to resume from, for :mod:`affectkit.runs.state`."""
        return [[t, p.frames, p.first, p.last, p.quality, p.thumbnail] for t, p in self._people.items()]

    def restore(self, state: list[Any]) -> None:
        """Go on from :meth:`state`."""
        self._people = {track: _Person(*rest) for track, *rest in state}


def check_sheet_suffix(path: Path) -> None:
    """Refuse a suffix that names no picture we write.

    Raises:
        OutputError: unknown suffix; the message lists the known ones.
    """
    check_suffix(path, SUFFIXES, what=" for a contact sheet")


def _quality(face: Detection) -> float:
    """Larger for a face that shows more of the person."""
    width, height = face.box[2:]
    points = face.landmarks
    frontal = 1.0
    if np.isfinite(points).all():
        eyes, nose = points[:2], points[2]
        across = max(1e-6, float(np.linalg.norm(eyes[1] - eyes[0])))
        frontal = max(0.1, 1 - abs(float(nose[0] - eyes[:, 0].mean())) / across)
    return face.score * frontal * math.sqrt(max(0.0, width * height))


def _thumbnail(image: UInt8, face: Detection) -> UInt8:
    """A square around the face, 1.5 times as wide as its box."""
    x, y, width, height = face.box
    half = 0.75 * max(width, height)
    scale = THUMB_PX / (2 * half)
    matrix = np.array([[scale, 0, -(x + width / 2 - half) * scale], [0, scale, -(y + height / 2 - half) * scale]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    thumbnail = cv2.warpAffine(image, matrix, (THUMB_PX, THUMB_PX), flags=flags, borderValue=(24, 24, 24))
    return np.asarray(thumbnail, np.uint8)
