"""Video files and URLs -> frames with their real times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import av.error
import av.stream

from affectkit.errors import DeviceUnavailable, SourceError
from affectkit.sources.base import Described, SourceInfo, SourceReport
from affectkit.sources.converter import FrameConverter, shrunk
from affectkit.sources.fields import Deinterlacer
from affectkit.sources.gate import in_words, open_container, watched
from affectkit.sources.geometry import Geometry
from affectkit.sources.limits import Opening, pixels_counted
from affectkit.sources.names import is_url, printable
from affectkit.sources.span import Span
from affectkit.sources.streams import announced_length_s, describe, is_rtsp, prepare, tagged_length_s
from affectkit.sources.timing import NOTHING_ODD, Clock, Survey, is_raw, missing_end, needs_survey, survey
from affectkit.sources.timing import rate as rate_of_film
from affectkit.types import Frame


class VideoFile(Described):
    """A video through FFmpeg."""

    def __init__(self, path: str | Path, opening: Opening | None = None) -> None:
        self._path, self._opening = str(path), opening or Opening()
        self._name = printable(self._path)
        self._report = SourceReport()

        def look() -> tuple[Geometry, SourceInfo, Survey]:
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
            what = in_words(error)
            raise SourceError(f"{self._name}: not a video that FFmpeg can open ({what}); {reason}") from error

    def _describe(
        self, container: av.container.InputContainer, stream: av.VideoStream, geometry: Geometry
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
    def _first_geometry(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[Geometry, bool]:
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
                        return Geometry.of(frame, stream), needs_survey(times, frame)
                if count > 100:
                    break
        return Geometry(), False

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """See :class:`Source`."""
        self._report = report = SourceReport()
        span = Span(start_s, end_s, every, first)
        with watched(self._open, self._name) as container:
            stream = prepare(container, self._opening, self._name)
            clock = Clock(container, stream, self._survey, self._opening.fps)
            developer = FrameConverter()
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
            large = ", or its frames are larger than max_pixels= allows" if self._refused else ""
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
                report.complete, report.problem = False, f"reading stopped: {in_words(error)}"
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
        elif is_rtsp(container) and not container.duration and report.complete:
            report.complete, report.problem = False, "the stream ended, and had announced no end: there may be more"
        elif container.format.name.startswith("mov") and stream.frames > self._packets and report.times is not None:
            # As it wants to be: an edit list shows parts of a recording.
            report.times["left_out_by_edit_list"] = stream.frames - self._packets


def _start_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    if stream.start_time is not None and stream.time_base:
        return float(stream.start_time * stream.time_base)
    return (container.start_time or 0) / av.time_base


def _announced_end_s(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """When the container says its video ends; None where it does not say."""
    if not stream.duration and (tagged_s := tagged_length_s(stream)) is not None:
        return tagged_s
    announced_s = announced_length_s(container, stream)
    return None if announced_s is None else _start_s(container, stream) + announced_s
