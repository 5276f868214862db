"""A folder of pictures, or one file of them, as a source."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectkit.errors import MissingDependency, SourceError
from affectkit.picture import RgbPicture
from affectkit.sources.base import Described, LeftOut, SourceInfo, SourceReport
from affectkit.sources.kinds import SUFFIXES, is_gif, is_picture, is_sequence
from affectkit.sources.names import printable
from affectkit.sources.span import Span
from affectkit.sources.stills import Still, number_of_pictures, stills
from affectkit.types import Frame

_VIDEOS = frozenset(
    {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".mxf", ".mjpeg", ".vob", ".h264", ".hevc"}
)

NAMED = 200
"""Of what is left out, at most so many are named."""


class ImageFolder(Described):
    """A folder of pictures in natural order (2 before 10), or a single file; every frame of animated ones.

    The pictures of a folder may show anybody, so that each stands for itself, unless a frame rate says that they are
    the frames of a film.
    """

    def __init__(self, path: Path, *, fps: float | None = None) -> None:
        """List them.

        Args:
            fps: frames a second, where the pictures are a film's.

        Raises:
            SourceError: there are none, or the single one cannot be read.
            MissingDependency: they are all HEIC, or the single one is, and nothing that reads them is installed.
        """
        self._path, self._fps = path, fps
        self._left_out: list[LeftOut] = []
        count, timed, shown_a_second = 0, False, None
        if path.is_dir():
            self._files = sorted(self._list(path), key=natural_key)
            if not self._files:
                raise SourceError(f"{path}: {self._what_instead()}")
            count = len(self._files)
        else:
            self._files = [path]
            next(stills(path))  # a single damaged picture is an error, not an empty result
            count, timed, shown_a_second = number_of_pictures(path)
        self._timed = timed and fps is None
        self._report = SourceReport(left_out=self._left_out)
        self._info = SourceInfo(
            name=str(path),
            width=None,
            height=None,
            frames=count,
            fps=fps or shown_a_second,
            rotation_deg=0,
            has_audio=False,
            alone=fps is None and not timed,
        )

    def _what_instead(self) -> str:
        """What is in a folder that has no pictures, and what to give then."""
        videos = [one.name for one in self._left_out if Path(one.name).suffix.lower() in _VIDEOS]
        if videos:
            many = f"{len(videos)} videos" if len(videos) != 1 else "a video"
            return f"holds {many}, and no pictures that would be frames of one; give the videos themselves: " + str(
                self._path / f"*{Path(videos[0]).suffix}"
            )
        found = Counter(one.reason for one in self._left_out)
        there = "; in it: " + ", ".join(f"{n} x {why}" for why, n in found.items()) if found else ""
        return f"no pictures in this folder{there}; give one with pictures, or a video"

    def _list(self, folder: Path) -> list[Path]:
        files = []
        for entry in sorted(folder.iterdir(), key=natural_key):
            suffix = entry.suffix.lower()
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                self._left_out.append(LeftOut(printable(entry.name), "a folder; give it as an input of its own"))
            elif not entry.is_file():
                self._left_out.append(LeftOut(printable(entry.name), "no file"))
            elif is_sequence(entry):
                self._left_out.append(LeftOut(printable(entry.name), "a sequence; give it as an input of its own"))
            elif suffix in SUFFIXES or suffix == ".gif" or is_picture(entry) or is_gif(entry):
                files.append(entry)
            elif suffix in _VIDEOS:
                self._left_out.append(LeftOut(printable(entry.name), "a video; give it as an input of its own"))
            else:
                self._left_out.append(LeftOut(printable(entry.name), "no picture", worth_telling=False))
        return files

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """See :class:`Source`; what has no times is never left out by ``start_s`` and ``end_s``."""
        self._report = report = SourceReport(left_out=list(self._left_out))
        if self._fps is not None:
            report.times = {"from": "made up", "made_up": 0, "rate": self._fps, "rate_from": "as given"}
        elif self._timed:
            report.times = {"from": "how long the file shows each", "made_up": 0, "rate": None, "rate_from": None}
        span = Span(start_s, end_s, every, first)
        for (file, still), index, time_s in span.of(self._numbered(report)):
            yield Frame(index, time_s, RgbPicture(still.image), printable(str(file)), still.reduced)
        if not report.frames:
            raise SourceError(f"{self._path}: none of its {len(self._files)} pictures can be read ({report.problem})")
        span.check(printable(str(self._path)))

    def _numbered(self, report: SourceReport) -> Iterator[tuple[tuple[Path, Still], int, float]]:
        for file, still in self._pictures(report):
            index = report.frames
            report.frames += 1
            report.reduced += still.reduced > 1
            if self._fps and report.times is not None:
                report.times["made_up"] = report.frames
            time_s = index / self._fps if self._fps else still.time_s if self._timed else math.nan
            yield (file, still), index, time_s

    def _pictures(self, report: SourceReport) -> Iterator[tuple[Path, Still]]:
        """All that can be read; what cannot is counted and left out."""
        for file in self._files:
            try:
                for still in stills(file):
                    yield file, still
            except MissingDependency as error:
                if len(self._files) == 1:
                    raise
                report.left_out.append(LeftOut(printable(file.name), f"HEIC: pip install 'affectkit[{error.extra}]'"))
                report.problem = report.problem or str(error)
            except SourceError as error:
                report.corrupt += 1
                report.complete, report.problem = False, str(error)


def natural_key(path: Path) -> list[tuple[int, int | str]]:
    """Sorts 2 before 10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def told_in_full(left_out: list[LeftOut]) -> dict[str, Any]:
    """What was left out, ready for JSON: the number, and of the first ones the name and the reason."""
    named = [{"name": one.name, "reason": one.reason} for one in left_out[:NAMED]]
    return {"number": len(left_out), "first": named}


def told(left_out: list[LeftOut]) -> str:
    """What was left out, by reason, in a line; empty: nothing that is worth telling."""
    found: dict[str, list[str]] = {}
    for one in left_out:
        if one.worth_telling:
            found.setdefault(one.reason, []).append(one.name)
    parts = []
    for reason, names in found.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"{', '.join(names[:3])}{more} ({reason})")
    return "; ".join(parts)
