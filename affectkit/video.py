"""Files, URLs, folders of pictures and arrays -> frames with their real times; the only user of PyAV's decoders."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import av
import av.error
import cv2
import numpy as np

from affectkit.errors import SourceError
from affectkit.types import Array, Frame, UInt8, check_image

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself before it is read."""

    name: str
    """As given: path, URL, or ``array``."""
    width: int | None
    """Upright, px; None where unknown."""
    height: int | None
    frames: int | None
    """Number of frames where it is known beforehand (a container may be wrong)."""
    fps: float | None
    """Average rate; None for pictures without times."""
    rotation_deg: int
    """Clockwise turn that was applied to bring the picture upright: 0, 90, 180 or 270."""
    has_audio: bool


@dataclass(slots=True)
class SourceReport:
    """What reading a source came to; filled while it is read."""

    frames: int = 0
    """Decoded, whether or not they were handed out."""
    corrupt: int = 0
    """Packets or pictures that could not be decoded and were left out."""
    concealed: int = 0
    """Frames that were decoded with damage, their missing parts filled in by the decoder."""
    complete: bool = True
    """False where the source ended before the end it announces, or a part was unreadable."""
    problem: str = ""
    """In words, where something was wrong."""


@runtime_checkable
class Source(Protocol):
    """Frames in order, once."""

    @property
    def info(self) -> SourceInfo:
        """What is known beforehand."""
        ...

    @property
    def report(self) -> SourceReport:
        """What was seen so far."""
        ...

    def frames(self, *, start_s: float = 0.0, end_s: float = math.inf, every: int = 1) -> Iterator[Frame]:
        """Decode; hand out the frames with ``start_s <= time < end_s`` whose index is a multiple of ``every``.

        All frames are decoded and counted, so ``Frame.index`` is exact whatever is left out. Frames without a time are
        never left out by time.
        """
        ...


def open_source(source: str | os.PathLike[str] | Array | Iterable[Array], *, fps: float | None = None) -> Source:
    """Open whatever pictures can come from.

    Args:
        source: a video or picture file, a folder of pictures (natural order), a URL, an array (T, H, W, 3) or
            (H, W, 3), or an iterable of arrays (H, W, 3); arrays are RGB uint8.
        fps: frame rate of arrays, which have no times of their own. Without it their times are NaN.

    Raises:
        SourceError: it is missing, empty, damaged, or holds no pictures; the message says which.
        TypeError: it is none of these things.
    """
    if isinstance(source, np.ndarray):
        check_image(source if source.ndim != 4 else source.reshape(-1, *source.shape[2:])[:1], "array")
        return ArraySource(source if source.ndim == 4 else source[None], fps=fps)
    if isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
        return VideoFile(source)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        _check_file(path)
        if path.is_dir():
            return ImageFolder(path)
        return ImageFolder(path) if path.suffix.lower() in IMAGE_SUFFIXES else VideoFile(path)
    if isinstance(source, Iterable):
        return ArraySource(source, fps=fps)
    raise TypeError(f"source must be a path, a URL, an array or an iterable of arrays, got {type(source).__name__}")


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise SourceError(f"{path}: no such file or folder; check the path")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes); copy or record it again")
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path}: cannot be read; check its permissions")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


class VideoFile:
    """A video through FFmpeg."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._report = SourceReport()
        container = self._open()
        try:
            self._info = self._describe(container)
        finally:
            container.close()

    @property
    def info(self) -> SourceInfo:
        """See :class:`Source`."""
        return self._info

    @property
    def report(self) -> SourceReport:
        """See :class:`Source`."""
        return self._report

    def _open(self) -> av.container.InputContainer:
        try:
            container = av.open(self._path)
        except av.error.FFmpegError as error:
            raise SourceError(
                f"{self._path}: not a video that FFmpeg can open ({error.strerror}); it may be cut short, "
                "or another kind of file under this name"
            ) from error
        if not container.streams.video:
            container.close()
            raise SourceError(f"{self._path}: has no video stream, only sound or data; give a video")
        return container

    def _describe(self, container: av.container.InputContainer) -> SourceInfo:
        stream = container.streams.video[0]
        rotation = self._first_rotation(container)
        width, height = stream.codec_context.width, stream.codec_context.height
        if rotation in (90, 270):
            width, height = height, width
        frames = stream.frames
        if not frames and stream.duration and stream.average_rate and stream.time_base:
            frames = round(stream.duration * stream.time_base * stream.average_rate)
        elif not frames and container.duration and stream.average_rate:
            frames = round(container.duration / av.time_base * stream.average_rate)
        return SourceInfo(
            name=self._path,
            width=width,
            height=height,
            frames=frames or None,
            fps=float(stream.average_rate) if stream.average_rate else None,
            rotation_deg=rotation,
            has_audio=bool(container.streams.audio),
        )

    @staticmethod
    def _first_rotation(container: av.container.InputContainer) -> int:
        """The turn is attached to the decoded frames, so one has to be decoded to know it."""
        stream = container.streams.video[0]
        for count, packet in enumerate(container.demux(stream)):
            try:
                for frame in packet.decode():
                    return -frame.rotation % 360
            except av.error.FFmpegError:
                pass
            if count > 100:
                break
        return 0

    def frames(self, *, start_s: float = 0.0, end_s: float = math.inf, every: int = 1) -> Iterator[Frame]:
        """See :class:`Source`."""
        self._report = report = SourceReport()
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            last_time = math.nan
            for frame in self._decode(container, stream):
                index = report.frames
                report.frames += 1
                report.concealed += frame.is_corrupt
                time_s = _time_of(frame, last_time, stream)
                last_time = time_s
                if time_s >= end_s:
                    return
                if time_s < start_s or index % every:
                    continue
                yield Frame(index, time_s, _upright(frame), self._path)
            self._judge(container, stream, last_time)
        if not report.frames:
            raise SourceError(f"{self._path}: no frame could be decoded; the file is damaged or its codec is unknown")

    def _decode(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded; what cannot is counted and left out."""
        report = self._report
        self._packets = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                # The container itself is unreadable from here on.
                report.complete, report.problem = False, f"reading stopped: {error.strerror}"
                return
            self._packets += packet.size > 0
            if packet.is_corrupt:
                report.corrupt += 1
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                report.corrupt += not packet.is_corrupt
                continue
            yield from (frame for frame in frames if isinstance(frame, av.VideoFrame))

    def _judge(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream, last_time_s: float
    ) -> None:
        """Compare what came with what the container announced."""
        report = self._report
        if report.corrupt:
            report.complete = False
            report.problem = report.problem or f"{report.corrupt} damaged packets were left out"
        if stream.frames and self._packets < stream.frames:
            report.complete = False
            report.problem = f"the file ends early: {self._packets} of {stream.frames} pictures are there"
        elif not stream.frames and stream.duration and stream.time_base:
            begin = (stream.start_time or 0) * stream.time_base
            missing_s = float(begin + stream.duration * stream.time_base) - last_time_s
            if missing_s > 1.0:  # a last frame may be shown for a while; a second of nothing is a missing end
                report.complete = False
                report.problem = f"the file ends early: its last {missing_s:.1f} s are missing"


def _time_of(frame: av.VideoFrame, last_time_s: float, stream: av.video.stream.VideoStream) -> float:
    if frame.time is not None:
        return float(frame.time)
    # Raw streams (.h264) carry no times; the rate is then all there is.
    step = 1 / float(stream.average_rate or stream.guessed_rate or 25)
    return 0.0 if math.isnan(last_time_s) else last_time_s + step


def _upright(frame: av.VideoFrame) -> UInt8:
    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    turns = frame.rotation % 360 // 90  # counter-clockwise quarter turns
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


class ImageFolder:
    """A folder of pictures in natural order (2 before 10), or a single picture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = sorted(self._list(path), key=_natural_key) if path.is_dir() else [path]
        if not self._files:
            raise SourceError(f"{path}: no pictures in this folder; known are {', '.join(sorted(IMAGE_SUFFIXES))}")
        self._report = SourceReport()
        self._info = SourceInfo(
            name=str(path),
            width=None,
            height=None,
            frames=len(self._files),
            fps=None,
            rotation_deg=0,
            has_audio=False,
        )
        if path.is_file():
            read_image(path)  # a single damaged picture is an error, not an empty result

    @staticmethod
    def _list(folder: Path) -> list[Path]:
        return [
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file() and not entry.name.startswith(".")
        ]

    @property
    def info(self) -> SourceInfo:
        """See :class:`Source`."""
        return self._info

    @property
    def report(self) -> SourceReport:
        """See :class:`Source`."""
        return self._report

    def frames(self, *, start_s: float = 0.0, end_s: float = math.inf, every: int = 1) -> Iterator[Frame]:
        """See :class:`Source`; pictures have no times, so ``start_s`` and ``end_s`` leave nothing out."""
        self._report = report = SourceReport()
        for file in self._files:
            try:
                image = read_image(file)
            except SourceError as error:
                report.corrupt += 1
                report.complete, report.problem = False, str(error)
                continue
            index = report.frames
            report.frames += 1
            if index % every == 0:
                yield Frame(index, math.nan, image, str(file))
        if not report.frames:
            raise SourceError(f"{self._path}: none of its {len(self._files)} pictures can be read")


def _natural_key(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def read_image(path: Path) -> UInt8:
    """Read a picture as RGB uint8 (H, W, 3), upright by its EXIF tag.

    Grey is repeated over the channels, 16 bits are scaled to 8, alpha is left out, CMYK is converted.

    Raises:
        SourceError: it cannot be read or is no picture.
    """
    _check_file(path)
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread fails on some Unicode paths
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise SourceError(f"{path}: cannot be read as a picture ({error})") from error
    if image is None:
        raise SourceError(f"{path}: not a picture that OpenCV can read, or a damaged one")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


class ArraySource:
    """Pictures that are in memory or come from an iterator."""

    def __init__(self, arrays: Iterable[Array], *, fps: float | None = None) -> None:
        if fps is not None and not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self._arrays = arrays
        self._fps = fps
        self._report = SourceReport()
        length = len(arrays) if isinstance(arrays, Sized) else None
        shape = arrays.shape if isinstance(arrays, np.ndarray) else None
        self._info = SourceInfo(
            name="array",
            width=shape[2] if shape else None,
            height=shape[1] if shape else None,
            frames=length,
            fps=fps,
            rotation_deg=0,
            has_audio=False,
        )

    @property
    def info(self) -> SourceInfo:
        """See :class:`Source`."""
        return self._info

    @property
    def report(self) -> SourceReport:
        """See :class:`Source`."""
        return self._report

    def frames(self, *, start_s: float = 0.0, end_s: float = math.inf, every: int = 1) -> Iterator[Frame]:
        """See :class:`Source`."""
        self._report = report = SourceReport()
        for index, image in enumerate(self._arrays):
            check_image(image, f"frame {index}")
            report.frames += 1
            time_s = index / self._fps if self._fps else math.nan
            if time_s >= end_s:
                return
            if not time_s < start_s and index % every == 0:
                yield Frame(index, time_s, image, "array")
