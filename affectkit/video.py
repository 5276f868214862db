"""Files, URLs, folders of pictures and arrays -> frames with their real times; the only user of PyAV's decoders."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import av
import av.error
import av.stream
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from affectkit.errors import DeviceUnavailable, SourceError
from affectkit.fields import Deinterlacer
from affectkit.gate import (
    MAX_PIXELS,
    Film,
    Opening,
    describe,
    is_url,
    length_s,
    open_container,
    pixels_counted,
    prepare,
    printable,
    tagged_length_s,
    watched,
)
from affectkit.orientation import display_matrix
from affectkit.picture import SIDES_BT601, SIDES_BT709, SIDES_BT2020, Colours, RgbPicture, YuvPicture
from affectkit.planes import common, frame_of, planes_of
from affectkit.span import Span
from affectkit.stills import SUFFIXES, is_picture, is_sequence, reduction, shrink
from affectkit.stills import read_image as read_image
from affectkit.timing import NOTHING_ODD, Clock, Survey, is_raw, missing_end, needs_survey, survey
from affectkit.timing import rate as rate_of_film
from affectkit.types import Array, Frame, Picture, UInt8, check_image

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = SUFFIXES
"""Of the files that are read as pictures."""


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
    mirrored: bool = False
    """Whether left and right were exchanged before the turn, as the file asks for."""
    paced: bool = False
    """Whether frames come when they come (a camera, a stream, an iterator), and not as fast as they are read."""
    alone: bool = False
    """Whether its pictures need have nothing to do with each other: a folder of them, without times."""
    film: Film | None = None
    """Of a video: its format, and which of its video streams is read."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What lies in a folder of pictures and is not read."""

    name: str
    reason: str
    worth_telling: bool = True
    """Whether a user might miss it."""


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
    dropped: int = 0
    """Live: frames that came while one before was worked on, and were left out for a newer one."""
    reconnects: int = 0
    """Live: times that the source was opened anew."""
    stalls: int = 0
    """Live: times that no frame came for longer than the source was given."""
    resized: int = 0
    """Live: times that the picture changed its size."""
    times: dict[str, Any] | None = None
    """Where the times come from: :meth:`affectkit.timing.Clock.told`. None: there are none."""
    deinterlaced: int = 0
    """Frames that were made of two fields each."""
    reduced: int = 0
    """Pictures of more than 40 megapixels, and such frames in RGB, that were read at a whole fraction of their size."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Of a folder: what lies in it and was not read."""


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

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """Decode; hand out the frames with ``start_s <= time < end_s`` whose index is a multiple of ``every``.

        Those with an index under ``first`` were handed out in another run already, and are only decoded.

        All frames are decoded and counted, so ``Frame.index`` is exact whatever is left out. Frames without a time are
        never left out by time.
        """
        ...


def open_source(
    source: str | os.PathLike[str] | Array | Iterable[Array],
    *,
    fps: float | None = None,
    decode_on: str = "cpu",
    input_format: str | None = None,
    max_pixels: int = MAX_PIXELS,
    deinterlace: bool = True,
) -> Source:
    """Open whatever pictures can come from.

    Args:
        source: a video or picture file, a folder of pictures (natural order), a URL, an array (T, H, W, 3) or
            (H, W, 3), or an iterable of arrays (H, W, 3); arrays are RGB uint8.
        fps: frame rate of what has no times of its own: arrays, folders of pictures, whose times are NaN without it,
            and raw streams (.h264), whose own rate it replaces. A folder with a rate is a film.
        decode_on: of videos: ``cpu``, or a device of FFmpeg's that decodes them: ``cuda``, ``vaapi``, ``qsv``,
            ``videotoolbox``, ``d3d11va`` ..., with ``:N`` or ``:PATH`` for one of several.
        input_format: of videos: FFmpeg's name of the format. None: FFmpeg finds out, among those that can name no other
            files (:mod:`affectkit.gate`); a local playlist, for one, has to be called ``hls``.
        max_pixels: of videos: what has more pixels a frame is refused.
        deinterlace: of videos: whether frames that are marked as interlaced are deinterlaced.

    Raises:
        DeviceUnavailable: that device is not there, or does not decode this video; no other is used in its place.
        SourceError: it is missing, empty, damaged, too large, or holds no pictures; the message says which.
        TypeError: it is none of these things.
        ValueError: FFmpeg reads no format of that name; ``max_pixels`` is under 1.
    """
    opening = Opening(decode_on, input_format, max_pixels, fps, deinterlace)
    if isinstance(source, np.ndarray):
        check_image(source if source.ndim != 4 else source.reshape(-1, *source.shape[2:])[:1], "array")
        return ArraySource(source if source.ndim == 4 else source[None], fps=fps)
    if isinstance(source, str) and is_url(source):
        return VideoFile(source, opening)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        _check_file(path)
        from affectkit.folder import ImageFolder  # late: it is a source itself

        picture = (path.suffix.lower() in IMAGE_SUFFIXES or is_picture(path)) and input_format is None
        picture = picture and not is_sequence(path)
        return ImageFolder(path, fps=fps) if picture or path.is_dir() else VideoFile(path, opening)
    if isinstance(source, Iterable):
        return ArraySource(source, fps=fps)
    raise TypeError(f"source must be a path, a URL, an array or an iterable of arrays, got {type(source).__name__}")


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            hint = f"a camera is read with: affectkit live {path}" if str(path).isdecimal() else "check the path"
            raise SourceError(f"{path}: no such file or folder; {hint}")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty (0 bytes); copy or record it again")
        if not path.is_file() and not path.is_dir():
            raise SourceError(f"{path}: neither a file nor a folder (a pipe or device); save it to a file first")
        if not os.access(path, os.R_OK):
            raise SourceError(f"{path}: cannot be read; check its permissions")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error


@dataclass(frozen=True, slots=True)
class _Geometry:
    """How a decoded picture becomes the one that is shown."""

    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
    """Signs (a, b, c, d) of the display matrix: picture (x, y) is shown at (a x + c y, b x + d y)."""
    stretch: Fraction = Fraction(1)
    """Width of a stored pixel over its height."""

    @property
    def transposed(self) -> bool:
        """Whether rows and columns change places."""
        return self.matrix[0] == 0

    @property
    def rotation_deg(self) -> int:
        """Clockwise; after mirroring left and right where ``mirrored``."""
        a, b, _, _ = self.matrix
        if self.mirrored:
            a, b = -a, -b
        return {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[a, b]

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged, as front cameras do."""
        a, b, c, d = self.matrix
        return a * d - b * c < 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown."""
        width = max(1, round(width * self.stretch))
        return (height, width) if self.transposed else (width, height)

    @property
    def does_nothing(self) -> bool:
        """Whether pictures are shown as they are stored."""
        return self.matrix == (1, 0, 0, 1) and self.stretch == 1

    def apply(self, image: UInt8) -> UInt8:
        """Stretch to square pixels, then turn and mirror; a picture (H, W, 3), or one plane of it (H, W)."""
        if self.does_nothing:
            return image
        if self.stretch != 1:
            size = max(1, round(image.shape[1] * self.stretch)), image.shape[0]
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        a, b, c, d = self.matrix
        if self.transposed:
            image = image.swapaxes(0, 1)  # now columns run along the old y and rows along the old x
            image = image[:: b or 1, :: c or 1]
        else:
            image = image[:: d or 1, :: a or 1]
        return np.ascontiguousarray(image)

    @classmethod
    def of(cls, frame: av.VideoFrame, stream: av.VideoStream) -> _Geometry:
        """Read the display matrix that the container attached to the frame, and the stream's pixel shape."""
        ratio = stream.sample_aspect_ratio
        known = ratio is not None and ratio.numerator > 0 and ratio.denominator > 0
        stretch = Fraction(ratio.numerator, ratio.denominator) if ratio is not None and known else Fraction(1)
        if not Fraction(1, 10) < stretch < 10:  # absurd values mean unknown
            stretch = Fraction(1)
        m = display_matrix(frame)
        if m is None:
            return cls(stretch=stretch)
        if max(abs(m[0]), abs(m[3])) >= max(abs(m[1]), abs(m[2])):  # turns between quarter turns are rounded
            m[[1, 2]] = 0
        else:
            m[[0, 3]] = 0
        a, b, c, d = (int(value) for value in np.sign(m))
        return cls((a, b, c, d), stretch) if a * d - b * c else cls(stretch=stretch)


_SIDES = {1: SIDES_BT709, 7: (0.212, 0.087), 9: SIDES_BT2020, 10: SIDES_BT2020}
"""By FFmpeg's number of a colour space; all others, and unknown ones, are taken for BT.601, as FFmpeg itself does."""

_FULL_RANGE = 2
"""FFmpeg's number of the range 0..255."""


_PLANAR = frozenset(
    f"yuv{kind}p" for kind in ("420", "422", "444", "440", "411", "410", "j420", "j422", "j444", "j440")
)
"""Formats that are planes of 8 bits, and nothing else."""

_ACCURATE: Interpolation | None = None
"""Rounds to the nearest; FFmpeg's default rounds down, and such pictures would be darker than the same in planes."""
if hasattr(Interpolation, "ACCURATE_RND"):  # not in PyAV 17
    _ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class _Developer:
    """Decoded frames of one source -> pictures."""

    def __init__(self) -> None:
        self._converter = VideoReformatter()  # kept, because setting one up costs more than a conversion
        self._lock = threading.Lock()  # pictures turn into RGB in whatever thread asks for it
        self._colours: dict[int, Colours] = {}

    def picture(self, frame: av.VideoFrame, geometry: _Geometry) -> Picture:
        """A picture, upright. Where its planes can be used, nothing is copied or converted yet."""

        stored = planes_of(frame)
        if stored is None:
            return RgbPicture(self._rgb(frame, geometry, _ACCURATE))
        # "yuvj" is FFmpeg's older way to say that the range is full.
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        planes, space = common(stored, full_range=full), int(frame.colorspace)
        # Where another format holds these planes, FFmpeg would round otherwise on its way to RGB.
        shown = frame if frame.format.name in _PLANAR else None
        del frame

        def convert() -> UInt8:
            return self._rgb(shown or frame_of(stored, space, full_range=full), geometry)

        def convert_common() -> UInt8:
            return self._rgb(frame_of(planes, space), geometry)

        if space not in self._colours:
            self._colours[space] = Colours(_SIDES.get(space, SIDES_BT601), full_range=False)
        y, cb, cr = (geometry.apply(plane) for plane in planes)
        is_common = not full and planes[1] is stored[1]
        return YuvPicture((y, cb, cr), self._colours[space], convert, None if is_common else convert_common)

    def _rgb(self, frame: av.VideoFrame, geometry: _Geometry, flags: Interpolation | None = None) -> UInt8:
        """The whole picture (H, W, 3), upright, as FFmpeg converts it."""
        with self._lock:
            converted = self._converter.reformat(frame, format="rgb24", interpolation=flags)
        (plane,) = converted.planes
        if plane.line_size == 3 * frame.width:  # as it is: of 8K film a copy is 100 MB
            image = np.frombuffer(cast(Any, plane), np.uint8).reshape(frame.height, frame.width, 3)
        else:
            image = np.asarray(converted.to_ndarray(), np.uint8)
        return np.ascontiguousarray(geometry.apply(image))


def shrunk(picture: Picture) -> tuple[Picture, int]:
    """A decoded picture that is in RGB already, at a whole fraction of its size where it is large; and which one.

    Planes of brightness and colour take less than half of the memory, and the search for faces looks at few of them.
    """
    reduced = reduction(*picture.shape) if isinstance(picture, RgbPicture) else 1
    return (RgbPicture(shrink(picture.rgb(), reduced)), reduced) if reduced > 1 else (picture, 1)


class Described:
    """What the sources share: what is known of them beforehand, and what reading them came to."""

    _info: SourceInfo
    _report: SourceReport

    @property
    def info(self) -> SourceInfo:
        """See :class:`Source`."""
        return self._info

    @property
    def report(self) -> SourceReport:
        """See :class:`Source`."""
        return self._report


class VideoFile(Described):
    """A video through FFmpeg."""

    def __init__(self, path: str | Path, opening: Opening | None = None) -> None:
        self._path, self._opening = str(path), opening or Opening()
        self._name = printable(self._path)
        self._report = SourceReport()

        def look() -> tuple[_Geometry, SourceInfo, Survey]:
            with self._open() as container:
                stream = prepare(container, self._opening, self._name)
                geometry, unclear = self._first_geometry(container, stream)
                info = self._describe(container, stream, geometry)
            if not unclear or is_url(self._path) or is_raw(container):
                return geometry, info, NOTHING_ODD
            with self._open() as container:
                return geometry, info, survey(container, prepare(container, self._opening, self._name))

        self._geometry, self._info, self._survey = watched(look, self._name)

    def _open(self) -> av.container.InputContainer:
        try:
            return open_container(self._path, self._opening)
        except av.error.FFmpegError as error:
            reason = (
                "check the address and the network"
                if is_url(self._path)
                else "it may be cut short, or another kind of file under this name"
            )
            what = "no answer in time" if isinstance(error, av.error.ExitError) else error.strerror
            raise SourceError(f"{self._name}: not a video that FFmpeg can open ({what}); {reason}") from error

    def _describe(
        self, container: av.container.InputContainer, stream: av.VideoStream, geometry: _Geometry
    ) -> SourceInfo:
        width, height = geometry.size(stream.codec_context.width, stream.codec_context.height)
        frames = stream.frames
        end_s = _announced_end_s(container, stream)
        fps = self._opening.fps if is_raw(container) else None
        rate = fps or rate_of_film(container, stream)
        if not frames and end_s is not None and rate is not None:
            frames = max(0, round((end_s - _start_s(container, stream)) * rate))
        return SourceInfo(
            name=self._path,
            width=width or None,
            height=height or None,
            frames=frames or None,
            fps=rate,
            rotation_deg=geometry.rotation_deg,
            mirrored=geometry.mirrored,
            has_audio=bool(container.streams.audio),
            paced=is_url(self._path),
            film=describe(container, stream),
        )

    @staticmethod
    def _first_geometry(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[_Geometry, bool]:
        """The turn is attached to the decoded frames, so one has to be decoded to know it; and whether times are odd.

        Only one: a frame and its side data refer to each other, so that asking every frame would keep them all in
        memory until the garbage collector comes by.
        """
        times: list[tuple[int | None, int | None]] = []
        with suppress(av.error.FFmpegError):  # of the container, which is told when it is read in earnest
            for count, packet in enumerate(container.demux(stream)):
                times.append((packet.pts, packet.dts))
                with suppress(av.error.FFmpegError):
                    for frame in packet.decode():
                        return _Geometry.of(frame, stream), needs_survey(times, frame)
                if count > 100:
                    break
        return _Geometry(), False

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """See :class:`Source`."""
        self._report = report = SourceReport()
        span = Span(start_s, end_s, every, first)
        with watched(self._open, self._name) as container:
            stream = prepare(container, self._opening, self._name)
            clock = Clock(container, stream, self._survey, self._opening.fps)
            developer = _Developer()
            for frame, index, time_s in span.of(self._numbered(container, stream, clock)):
                try:
                    picture, reduced = shrunk(developer.picture(frame, self._geometry))
                except av.error.FFmpegError:  # of pixels in a format that FFmpeg itself does not convert
                    report.corrupt += 1
                    span.handed_out -= 1
                    continue
                report.reduced += reduced > 1
                yield Frame(index, time_s, picture, self._name, reduced)
                # Decoders draw some films into one frame, and into a copy of it while the frame is still held.
                del frame, picture
            if not span.past_end:
                self._judge(container, stream, clock.reached_s)
        if not report.frames and self._opening.decode_on != "cpu":
            raise DeviceUnavailable(
                f"{self._name}: {self._opening.decode_on!r} decoded none of its frames, which may be of a kind beyond "
                "it; decode on the cpu"
            )
        if not report.frames:
            large = ", or its frames are larger than --max-pixels (max_pixels=) allows" if self._refused else ""
            raise SourceError(
                f"{self._name}: no frame could be decoded; the file is damaged or its codec is unknown{large}"
            )
        if not span.handed_out and report.corrupt and span.inside:
            raise SourceError(f"{self._name}: none of its {span.inside} frames could be turned into a picture")
        span.last_s = clock.last_s
        span.check(self._name)

    def _numbered(
        self, container: av.container.InputContainer, stream: av.VideoStream, clock: Clock
    ) -> Iterator[tuple[av.VideoFrame, int, float]]:
        """Frames with their number and time, deinterlaced where they need it."""
        report, fields = self._report, Deinterlacer[tuple[int, float]]()
        for frame in self._decode(container, stream, clock):
            tag = report.frames, clock.time_of(frame)
            report.frames += 1
            report.concealed += frame.is_corrupt
            report.times = clock.told()
            ready = fields.push(frame, tag) if self._opening.deinterlace else [(frame, tag)]
            report.deinterlaced = fields.count
            del frame
            while ready:
                done, (index, time_s) = ready.pop(0)
                yield done, index, time_s
                del done
        for done, (index, time_s) in fields.flush():
            yield done, index, time_s

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream, clock: Clock
    ) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded; what cannot is counted and left out."""
        report = self._report
        self._packets, self._refused = 0, not stream.codec_context.width
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                # The container itself is unreadable from here on; the decoder may still hold frames.
                report.complete, report.problem = False, f"reading stopped: {error.strerror}"
                with suppress(av.error.FFmpegError):
                    yield from stream.codec_context.decode(None)
                return
            self._packets += packet.size > 0
            clock.feed(packet)
            if packet.is_corrupt:
                report.corrupt += 1
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                report.corrupt += not packet.is_corrupt
                self._refused |= isinstance(error, av.error.ArgumentError)  # as FFmpeg calls a size over the limit
                clock.lose()
                continue
            while frames:
                frame = frames.pop(0)
                if not isinstance(frame, av.VideoFrame):
                    continue
                # The decoder's own limit is a little wider.
                if pixels_counted(frame.width, frame.height, frame.format.name) > self._opening.max_pixels:
                    report.corrupt, self._refused = report.corrupt + 1, True
                    continue
                yield frame
                del frame

    def _judge(self, container: av.container.InputContainer, stream: av.VideoStream, reached_s: float) -> None:
        """Compare what came with what the container announced."""
        report = self._report
        if report.corrupt:
            report.complete = False
            report.problem = report.problem or f"{report.corrupt} damaged packets were left out"
        missing = missing_end(
            container,
            stream,
            path=self._path,
            packets=self._packets,
            reached_s=reached_s,
            end_s=_announced_end_s(container, stream),
        )
        if missing:
            report.complete, report.problem = False, missing
        elif container.format.name.startswith("mov") and stream.frames > self._packets and report.times is not None:
            # As it wants to be: an edit list shows parts of a recording.
            report.times["left_out_by_edit_list"] = stream.frames - self._packets


def _start_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.start_time is not None and stream.time_base:
        return float(stream.start_time * stream.time_base)
    return (container.start_time or 0) / av.time_base


def _announced_end_s(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """When the container says its video ends; None where it does not say."""
    begin_s = _start_s(container, stream)
    if stream.duration and stream.time_base:
        return begin_s + (length_s(stream) or 0.0)
    tagged = tagged_length_s(stream)
    if tagged is not None:
        return tagged
    # Without a mark for the video alone, that of the whole file serves if there is nothing else in it.
    if container.duration and len(container.streams) == 1:
        return begin_s + container.duration / av.time_base
    return None


class ArraySource(Described):
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
            paced=length is None,
        )

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """See :class:`Source`."""
        self._report = report = SourceReport()
        span = Span(start_s, end_s, every, first)
        for image, index, time_s in span.of(self._numbered(report)):
            yield Frame(index, time_s, RgbPicture(image), "array")
        if not report.frames:
            raise SourceError("array: no pictures; an iterator can be read once only, open a new one to read again")
        span.check("array")

    def _numbered(self, report: SourceReport) -> Iterator[tuple[UInt8, int, float]]:
        for index, image in enumerate(self._arrays):
            checked = check_image(image, f"frame {index}")
            report.frames += 1
            yield checked, index, index / self._fps if self._fps else math.nan


@dataclass(slots=True)
class _Shown:
    """A picture of a live source, as it came."""

    time_s: float | None
    """The source's own clock; None: it has none."""
    image: av.VideoFrame | UInt8
    geometry: _Geometry = field(default_factory=_Geometry)


@dataclass(slots=True, eq=False)
class _LiveRun:
    """What the thread that reads a live source, and the one that takes its pictures, share."""

    report: SourceReport
    over: threading.Event = field(default_factory=threading.Event)
    newest: tuple[int, float, _Shown] | None = None
    """Its number, its time, and it; None: taken already."""
    failure: Exception | None = None
    has_end: bool = False
    """Whether the source says how long it is."""


LARGEST_STEP_S = 10.0
"""More between two pictures of one connection is a jump of its clock, and no pause."""


class LiveSource(Described):
    """A source that goes on by itself: a camera, a stream from the network, a pipe, or a file shown at its own pace.

    It is read in a thread of its own. Of the pictures that came since the last one was taken only the newest is kept,
    so nothing ever queues up; the others are counted in ``report.dropped``. A camera or a stream that breaks off is
    opened again, after longer and longer waits. ``Frame.index`` counts all pictures; ``Frame.time_s`` is seconds since
    the first one, by the source's clock where it has one.
    """

    def __init__(
        self,
        where: int | str | os.PathLike[str],
        *,
        retry_s: float = 60.0,
        stall_s: float = 5.0,
        input_format: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Name the source; it is opened when it is read.

        Args:
            where: number of a camera, a URL (rtsp, http ...), a path (also of a pipe), or ``-`` for standard input.
            retry_s: how long to try to open a source again that broke off; what never opened is not tried again.
            stall_s: how long may pass without a picture before that is reported.
            input_format: as for :func:`open_source`.
            max_pixels: as for :func:`open_source`.

        Raises:
            SourceError: there is no such file.
            ValueError: FFmpeg reads no format of that name; ``max_pixels`` is under 1.
        """
        self._opening = Opening("cpu", input_format, max_pixels)
        name = os.fspath(where) if not isinstance(where, int) else str(where)
        self._camera = int(name) if name.isdecimal() else None
        self._where, self._retry_s, self._stall_s = name, retry_s, stall_s
        self._paces = False  # a file comes as fast as it is read, and has to be held back
        if self._camera is None and name != "-" and not is_url(name):
            path = Path(name)
            if not path.exists():
                raise SourceError(f"{name}: no such file, pipe or camera; give a camera's number, a URL or a path")
            self._paces = path.is_file()
        self._name = f"camera {name}" if self._camera is not None else "stdin" if name == "-" else printable(name)
        self._returns = self._camera is not None or is_url(name)
        self._report = SourceReport()
        self._info = SourceInfo(self._name, None, None, None, None, 0, has_audio=False, paced=True)
        self._changed = threading.Condition()
        self._run = _LiveRun(self._report)

    def frames(self) -> Iterator[Frame]:
        """The newest picture, each time one is asked for; ends when the source does, or :meth:`close` was called.

        A source that broke off and did not come back in time ends too; ``report`` says so.

        Raises:
            SourceError: it cannot be opened, or shows nothing.
        """
        self._report = report = SourceReport()
        self._run = run = _LiveRun(report)  # of its own: the thread of one before may still wait for its source
        reader = threading.Thread(target=self._read, args=(run,), name=f"affectkit {self._name}", daemon=True)
        reader.start()
        developer, size = _Developer(), None
        try:
            while (taken := self._take(run, reader)) is not None:
                index, time_s, shown = taken
                image = shown.image
                if isinstance(image, av.VideoFrame):
                    picture, reduced = shrunk(developer.picture(image, shown.geometry))
                else:
                    picture, reduced = RgbPicture(image), 1
                report.resized += size is not None and size != picture.shape
                size = picture.shape
                report.reduced += reduced > 1
                yield Frame(index, time_s, picture, self._name, reduced)
        finally:
            self._end(run)
            reader.join(timeout=2.0)  # one that waits for a silent source ends with the process
        if run.failure is not None:
            raise run.failure
        if not report.frames:
            raise SourceError(f"{self._name}: ended without a single picture; check the source")

    def close(self) -> None:
        """End :meth:`frames`, also from another thread."""
        self._end(self._run)

    def _end(self, run: _LiveRun) -> None:
        run.over.set()
        with self._changed:
            self._changed.notify_all()

    def _take(self, run: _LiveRun, reader: threading.Thread) -> tuple[int, float, _Shown] | None:
        """Wait for a picture that has not been taken; None at the end."""
        waited_since, told = time.monotonic(), False
        with self._changed:
            while run.newest is None:
                if run.over.is_set() or not reader.is_alive():
                    return None
                self._changed.wait(0.2)  # not for ever, or Ctrl-C would wait with it
                if not told and time.monotonic() - waited_since > self._stall_s:
                    told = True
                    run.report.stalls += 1
                    log.warning("%s: no picture for %.0f s; still waiting", self._name, self._stall_s)
            taken, run.newest = run.newest, None
            return taken

    def _read(self, run: _LiveRun) -> None:
        """In the thread: keep the newest picture at hand."""
        begun: float | None = None
        last_s, offset_s, before_s = -math.inf, 0.0, math.nan
        try:
            for opened, shown in self._connections(run):
                begun = time.monotonic() if begun is None else begun
                now_s = time.monotonic() - begun
                time_s, clock_s = now_s, shown.time_s
                if clock_s is not None:
                    # Each connection begins the source's clock anew, and some sources jump in between.
                    if opened or not 0 <= clock_s - before_s <= LARGEST_STEP_S:
                        offset_s = (now_s if not self._paces else max(0.0, last_s + 0.04)) - clock_s
                    before_s = clock_s
                    time_s = clock_s + offset_s
                if self._paces:
                    run.over.wait(max(0.0, time_s - now_s))
                time_s = last_s = max(time_s, last_s + 1e-6)
                with self._changed:
                    run.report.dropped += run.newest is not None
                    run.newest = run.report.frames, time_s, shown
                    run.report.frames += 1
                    self._changed.notify_all()
                if run.over.is_set():
                    return
        except Exception as error:
            run.failure = error if isinstance(error, SourceError) else SourceError(f"{self._name}: {error}")
        finally:
            with self._changed:
                self._changed.notify_all()

    def _connections(self, run: _LiveRun) -> Iterator[tuple[bool, _Shown]]:
        """Pictures, each with whether it is the first one after the source was opened."""
        wait_s, lost_at, report = 0.25, 0.0, run.report
        while not run.over.is_set():
            problem, seen = "ended", False
            try:
                for shown in self._camera_pictures(run) if self._camera is not None else self._stream_pictures(run):
                    yield not seen, shown
                    seen, wait_s = True, 0.25
            except (av.error.FFmpegError, OSError) as error:
                problem = getattr(error, "strerror", None) or str(error)
            if not report.frames:
                if problem != "ended":
                    raise SourceError(f"{self._name}: cannot be opened ({problem}); check it, and what else uses it")
                return
            if not self._returns or (problem == "ended" and run.has_end):
                if problem != "ended":
                    report.complete, report.problem = False, f"reading stopped: {problem}"
                return
            lost_at = time.monotonic() if seen else lost_at
            left_s = self._retry_s - (time.monotonic() - lost_at)
            if left_s <= 0:
                report.complete, report.problem = False, f"broke off ({problem}) and did not come back"
                return
            wait_s = min(wait_s, left_s)
            log.warning("%s: broke off (%s); trying again in %.1f s", self._name, problem, wait_s)
            run.over.wait(wait_s)
            wait_s = min(30.0, 2 * wait_s)
            report.reconnects += 1

    def _stream_pictures(self, run: _LiveRun) -> Iterator[_Shown]:
        # Its own unbuffered file: Python could not end while a thread waits in the lock of sys.stdin's buffer.
        piped = os.fdopen(os.dup(0), "rb", buffering=0) if self._where == "-" else None
        try:
            with open_container(piped or self._where, self._opening, name=self._name) as container:
                stream = prepare(container, self._opening, self._name)
                run.has_end = bool(stream.frames or container.duration)  # a file that a server hands out
                self._paces |= run.has_end and is_url(self._where)
                geometry: _Geometry | None = None
                fields = Deinterlacer[float | None]()
                for packet in container.demux(stream):
                    if run.over.is_set():
                        return
                    try:
                        pictures = packet.decode()
                    except av.error.FFmpegError:
                        run.report.corrupt += 1
                        continue
                    for frame in pictures:
                        if not isinstance(frame, av.VideoFrame):
                            continue
                        geometry = _Geometry.of(frame, stream) if geometry is None else geometry
                        run.report.concealed += frame.is_corrupt
                        for done, time_s in fields.push(frame, frame.time):
                            yield _Shown(time_s, done, geometry)
                            run.report.deinterlaced = fields.count
                for done, time_s in fields.flush():
                    yield _Shown(time_s, done, geometry or _Geometry())
        finally:
            if piped is not None:
                piped.close()

    def _camera_pictures(self, run: _LiveRun) -> Iterator[_Shown]:
        assert self._camera is not None
        camera = cv2.VideoCapture(self._camera)
        try:
            if not camera.isOpened():
                raise OSError("no such camera, or it is in use")
            while not run.over.is_set():
                there, picture = camera.read()
                if not there:
                    raise OSError("the camera gave no picture")
                yield _Shown(None, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))
        finally:
            camera.release()
