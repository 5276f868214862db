"""Which of a container's streams is the film, and what the container says of it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import av
import av.error
import av.stream
from av.stream import Disposition

from affectkit.errors import SourceError
from affectkit.sources.limits import Opening, pixels_counted, with_margin


@dataclass(frozen=True, slots=True)
class Film:
    """The video stream that is read, and what else there was."""

    format: str
    """FFmpeg's name of the container."""
    index: int
    """Of the stream, among all of the container's."""
    streams: int
    """Number of video streams, pictures included."""
    others: tuple[str, ...]
    """The video streams that are not read, in words."""


_NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
"""A cover, small pictures for a slider, a still; or what only adds to another stream."""


def best_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The film: what can be decoded before what cannot, what moves before stills; then the one that the container
    marks as default, then the longest, then the first. Pictures that are marked as such are no film.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_FILM]
    if not streams:
        return None

    def rank(stream: av.VideoStream) -> tuple[bool, bool, bool, float, int]:
        marked = bool(stream.disposition & Disposition.default)
        still = _is_still(stream) and len(streams) > 1
        return _decodes(stream), not still, marked, length_s(stream) or 0.0, -stream.index

    return max(streams, key=rank)


def _decodes(stream: av.VideoStream) -> bool:
    return cast(Any, stream).codec_context is not None


def _is_still(stream: av.VideoStream) -> bool:
    """Whether there is one picture only, as far as the container says."""
    if stream.frames:
        return stream.frames == 1
    length, rate = length_s(stream), rate_of(stream)
    return length is not None and rate is not None and length * rate < 1.5


def rate_of(stream: av.VideoStream) -> float | None:
    """Average frames a second; None where the container does not say, or nonsense."""
    for name in ("average_rate", "guessed_rate", "base_rate"):
        with suppress(ZeroDivisionError, AttributeError):  # of a codec that is unknown, a time base of 0
            rate = getattr(stream, name)
            if rate is not None and 0 < rate < 1_000_000:
                return float(rate)
    return None


def length_s(stream: av.VideoStream) -> float | None:
    """Seconds that the container gives a video stream; None where it does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return tagged_length_s(stream)


def announced_length_s(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """The same, or where there is no mark for the video alone that of the whole container, if it can be meant.

    It can where there is nothing else in it, and in RTSP: there a server names the range of all that it plays.
    """
    own_s = length_s(stream)
    if not own_s and container.duration and (len(container.streams) == 1 or is_rtsp(container)):
        return float(container.duration / av.time_base)
    return own_s


def is_rtsp(container: av.container.InputContainer) -> bool:
    """Whether it is played by a server, which may end at any time, and says nothing of why."""
    return container.format.name == "rtsp"


def tagged_length_s(stream: av.VideoStream) -> float | None:
    """The same by Matroska's tag: 00:00:02.400000000."""
    clock = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else None


def prepare(container: av.container.InputContainer, opening: Opening, name: str) -> av.VideoStream:
    """The film of a container, ready to be decoded within the limits.

    Raises:
        SourceError: there is none, its codec is unknown, or its frames are too large.
    """
    stream = best_stream(container)
    if stream is None:
        raise SourceError(f"{name}: has no video stream, only sound, data or a cover picture; give a video")
    if not _decodes(stream):
        raise SourceError(
            f"{name}: its video is in a codec that this FFmpeg cannot decode; convert it, to H.264 for example"
        )
    codec = stream.codec_context
    counted = pixels_counted(codec.width, codec.height, codec.pix_fmt)
    if counted > opening.max_pixels:
        deep = f" ({codec.pix_fmt}, of which each counts for more)" if counted > codec.width * codec.height else ""
        raise SourceError(
            f"{name}: its frames are {codec.width} x {codec.height}{deep}, more than {opening.max_pixels} pixels, "
            "which takes much memory; if you trust it, raise max_pixels="
        )
    # Container options do not reach this context, and a stream may change its size later.
    most = opening.max_pixels * 1000 // pixels_counted(1000, 1, codec.pix_fmt)
    codec.options = {**codec.options, "max_pixels": with_margin(most)}
    # Frame threads drop the frames in flight when a damaged packet comes, and how many depends on the machine.
    stream.thread_type = "SLICE"
    return stream


def describe(container: av.container.InputContainer, stream: av.VideoStream) -> Film:
    """What was chosen, for the meta file."""
    others = tuple(_in_words(other) for other in container.streams.video if other.index != stream.index)
    return Film(container.format.name, stream.index, len(container.streams.video), others)


def _in_words(stream: av.VideoStream) -> str:
    words = [f"stream {stream.index}:"]
    if _decodes(stream):
        codec = stream.codec_context
        words += [codec.name, f"{codec.width} x {codec.height}"]
    else:
        words.append("unknown codec")
    length = length_s(stream)
    words += [f"{length:.2f} s"] if length else []
    flags = [flag.name.replace("_", " ") for flag in Disposition if flag & stream.disposition and flag.name]
    return " ".join(words + [f"({', '.join(flags)})"] * bool(flags))
