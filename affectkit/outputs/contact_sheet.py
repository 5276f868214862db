"""Who is in a video: a contact sheet with a thumbnail of every identity, and a mark on those that may be none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from affectkit.errors import OutputError
from affectkit.face_results import FrameResult
from affectkit.outputs.drawing import BACKGROUND, DIM, TEXT, number
from affectkit.outputs.files import PartialFile, prepare_bytes
from affectkit.outputs.lettering import Colour, put_text, shortened
from affectkit.outputs.traces import clock
from affectkit.outputs.writers import check_suffix
from affectkit.types import Detection, TrackedFrame, UInt8

SUFFIXES = (".jpg", ".jpeg", ".png")

THUMB_PX = 160
CAPTION_PX = 92
HEADER_PX = 50
COLUMNS = 6
LEAST_COLUMNS = 2
"""A narrower sheet has no room for the name of the file."""

BRIEF_S, UNSURE, POOR = 1.0, 0.9, 0.3
"""A face is marked as doubtful that is seen for less than this time, or whose mean confidence or quality is lower."""

MARK: Colour = (255, 176, 59)

MOST_PEOPLE = 600
"""Those seen in the most frames; a picture with more would open nowhere."""

_TYPE, _LINE, _PAD = 12, 16, 6


@dataclass(slots=True)
class _Person:
    frames: int
    first: float
    """Seconds; of pictures without times, the number."""
    last: float
    rank: float
    """How good its thumbnail is; larger is better."""
    thumbnail: UInt8
    confidence: float = 0.0
    """Sum over the frames."""
    quality: float = 0.0
    """Sum over the frames that were judged."""
    judged: int = 0

    def doubts(self, *, timed: bool) -> list[str]:
        """Why it may be no face, or one of which little can be said."""
        found = ["brief"] if timed and self.last - self.first < BRIEF_S else []
        found += ["unsure"] if self.confidence / self.frames < UNSURE else []
        return found + (["poor"] if self.judged and self.quality / self.judged < POOR else [])


class ContactSheet:
    """Keeps the best picture of every track: large, sure and, as its points tell, looking at the camera."""

    def __init__(self, name: str = "") -> None:
        """Begin; ``name`` is that of the video, which stands at the top."""
        self._name = name
        self._people: dict[int, _Person] = {}
        self._timed = True

    def add(self, tracked: TrackedFrame) -> None:
        """Take the next frame."""
        frame = tracked.frame
        self._timed = math.isfinite(frame.time_s)
        at = frame.time_s if self._timed else float(frame.index)
        for face in tracked.faces:
            person, rank = self._people.get(face.track_id), _rank(face.detection)
            if person is None:
                thumbnail = _thumbnail(frame.image, face.detection)
                self._people[face.track_id] = _Person(1, at, at, rank, thumbnail, face.detection.score)
                continue
            person.confidence += face.detection.score
            person.frames += 1
            person.last = at
            if rank > person.rank:
                person.rank, person.thumbnail = rank, _thumbnail(frame.image, face.detection)
        if len(self._people) > 2 * MOST_PEOPLE:  # those who were seen but shortly are forgotten
            most = sorted(self._people, key=lambda track: -self._people[track].frames)[:MOST_PEOPLE]
            self._people = {track: self._people[track] for track in sorted(most)}

    def judge(self, result: FrameResult) -> None:
        """Take what was said of a frame, which may come long after its picture."""
        for face in result.faces:
            person, quality = self._people.get(face.track_id), face.affect.quality
            if person is not None and quality is not None:
                person.quality += quality
                person.judged += 1

    def draw(self) -> UInt8:
        """RGB picture: the name of the video, and a cell an identity, by id.

        Below its thumbnail stand its number, when it was seen and in how many frames, and the means of confidence and
        quality; doubtful ones are marked, with the reason.

        Raises:
            OutputError: no face was seen.
        """
        if not self._people:
            raise OutputError("there was no face, so there is no contact sheet")
        most = sorted(self._people, key=lambda track: -self._people[track].frames)[:MOST_PEOPLE]
        columns = max(LEAST_COLUMNS, min(COLUMNS, len(most)))
        rows = -(-len(most) // columns)
        shape = HEADER_PX + rows * (THUMB_PX + CAPTION_PX), columns * THUMB_PX, 3
        sheet = np.full(shape, BACKGROUND, np.uint8)
        doubtful = sum(bool(self._people[track].doubts(timed=self._timed)) for track in most)
        told = f"{len(most)} {'identity' if len(most) == 1 else 'identities'}"
        told += f", {doubtful} doubtful" if doubtful else ""
        room = sheet.shape[1] - 2 * _PAD
        put_text(sheet, shortened(self._name, 15, room), _PAD, 20, 15, TEXT, BACKGROUND)
        put_text(sheet, told, _PAD, 40, _TYPE, MARK if doubtful else DIM, BACKGROUND)
        for k, track in enumerate(sorted(most)):
            row, column = divmod(k, columns)
            top = HEADER_PX + row * (THUMB_PX + CAPTION_PX)
            cell = sheet[top : top + THUMB_PX + CAPTION_PX, column * THUMB_PX : (column + 1) * THUMB_PX]
            self._draw_cell(cell, track, self._people[track])
        return sheet

    def _draw_cell(self, cell: UInt8, track: int, person: _Person) -> None:
        cell[:THUMB_PX] = person.thumbnail
        doubts = person.doubts(timed=self._timed)
        many = f"{person.frames} frame{'' if person.frames == 1 else 's'}"
        if self._timed:
            when = f"{many}, {clock(person.first)} - {clock(person.last)}"
        else:
            when = f"in {person.frames}, {person.first:.0f} to {person.last:.0f}"
        lines = [
            (f"face {track}", TEXT),
            (when, DIM),
            (f"confidence {number(person.confidence / person.frames)}", MARK if "unsure" in doubts else DIM),
        ]
        if person.judged:
            lines.append((f"quality {number(person.quality / person.judged)}", MARK if "poor" in doubts else DIM))
        if doubts:
            lines.append((f"doubtful: {', '.join(doubts)}", MARK))
            cell[: 2 * _LINE, THUMB_PX - 2 * _LINE : THUMB_PX] = MARK
            put_text(cell, "?", THUMB_PX - _LINE - 5, 25, 22, BACKGROUND, MARK)
            cell[:3, :] = cell[THUMB_PX - 3 : THUMB_PX, :] = cell[:THUMB_PX, :3] = MARK
            cell[:THUMB_PX, THUMB_PX - 3 :] = MARK
        for i, (text, colour) in enumerate(lines):
            fitted = shortened(text, _TYPE, THUMB_PX - _PAD)
            put_text(cell, fitted, _PAD, THUMB_PX + _LINE * (i + 1), _TYPE, colour, BACKGROUND)

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
        return [
            [t, p.frames, p.first, p.last, p.rank, p.thumbnail, p.confidence, p.quality, p.judged]
            for t, p in self._people.items()
        ]

    def restore(self, state: list[Any]) -> None:
        """Go on from :meth:`state`."""
        self._people = {track: _Person(*rest) for track, *rest in state}


def check_sheet_suffix(path: Path) -> None:
    """Refuse a suffix that names no picture we write.

    Raises:
        OutputError: unknown suffix; the message lists the known ones.
    """
    check_suffix(path, SUFFIXES, what=" for a contact sheet")


def _rank(face: Detection) -> float:
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
    thumbnail = cv2.warpAffine(image, matrix, (THUMB_PX, THUMB_PX), flags=flags, borderValue=BACKGROUND)
    return np.asarray(thumbnail, np.uint8)
