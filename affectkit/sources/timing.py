"""When a video's frames are shown: what its file says, where that can be believed, and what is made up where not.

Most containers give every frame a presentation time. Some give none (raw streams), only an order (AVI), none at the
beginning (a recording that was cut), or wrong ones: AVIs that were copied into an MP4 bring their decoding times along
as if they were presentation times. What was done is told by :meth:`Clock.told`.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import av.error
import av.stream
from av.format import Flags

from affectkit.sources.kinds import gif_is_whole
from affectkit.sources.streams import is_rtsp, rate_of

ASSUMED_RATE = 25.0
"""Frames a second, where nothing tells. FFmpeg assumes the same."""

LOOKED_AT = 250
"""Frames at the beginning that are looked at to find the first one with a time."""

REORDERED = 48
"""Frames at the beginning that are looked at to find times that run backwards; a group of pictures is seldom longer."""

_REMEMBERED = 256
"""Packets at the beginning whose times are kept until the first frame comes out."""

_WRAP = 2**33
"""Ticks after which the clock of an MPEG stream begins at 0 again."""

MISSING_END_S = 1.0
"""A last frame may be shown for a while; more than this without a picture is a missing end."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first frames of a file tell of its times."""

    out_of_order: bool = False
    """Whether presentation times run backwards from frame to frame where decoding times do not."""
    lead: int = 0
    """Frames without a time before the first one that has one."""
    first_s: float = math.nan
    """The time of that one, seconds."""


NOTHING_ODD = Survey()


def needs_survey(packets: list[tuple[int | None, int | None]], frame: av.VideoFrame | None) -> bool:
    """Whether the first packets and the first frame leave open how a file's times are to be read.

    Args:
        packets: presentation and decoding times of those that were read until the first frame came out.
    """
    if frame is None:
        return False
    if frame.pts is None:
        return True
    # A decoder that holds frames back does so to reorder them; then the two times differ, unless they are wrong.
    return len(packets) > 1 and all(pts is not None and dts in (pts, None) for pts, dts in packets)


def survey(container: av.container.InputContainer, stream: av.VideoStream) -> Survey:
    """Decode a file's beginning, and see what its times are like."""
    seen, backwards, last, decoded_backwards, last_dts = 0, 0, -math.inf, 0, -math.inf
    lead, first_s = 0, math.nan
    for packet in container.demux(stream):
        if packet.dts is not None:
            decoded_backwards += packet.dts <= last_dts
            last_dts = packet.dts
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            seen += 1
            if frame.pts is None or frame.time is None:
                lead += math.isnan(first_s)
                continue
            if math.isnan(first_s):
                first_s = frame.time
            backwards += frame.pts <= last
            last = frame.pts
        if seen >= (LOOKED_AT if math.isnan(first_s) else lead + REORDERED):
            break
    return Survey(backwards > decoded_backwards, lead if math.isfinite(first_s) else 0, first_s)


def rate(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """Frames a second; None where nothing tells.

    Of raw streams FFmpeg's average is its assumption, and what it guesses is what the stream says.
    """
    if is_raw(container):
        try:
            guessed = stream.guessed_rate
        except (ZeroDivisionError, AttributeError):
            guessed = None
        if guessed is not None and 0 < guessed < 1_000_000:
            return float(guessed)
    return rate_of(stream)


def is_raw(container: av.container.InputContainer) -> bool:
    """Whether the format knows no times: a codec's bare stream."""
    return bool(int(container.format.flags) & int(cast(Any, Flags.no_timestamps).value))


class Clock:
    """Times of the frames of one reading, in the order in which they come out of the decoder.

    FFmpeg's own rule: a frame has its presentation time, or a decoding time where those turned out to be the worse
    ones. In AVI that is all there is. A decoder that reorders frames gives the first one when it has been fed a few
    packets more, and every other one with a packet more: the time of that packet, less what went before the first.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        survey: Survey = NOTHING_ODD,
        fps: float | None = None,
    ) -> None:
        """Begin.

        Args:
            fps: frames a second of what has no times of its own; None: as the stream says.
        """
        self._avi = container.format.name == "avi"
        self._by_packets = self._avi or survey.out_of_order
        self._survey = survey
        self._base = stream.time_base or Fraction(1, 1000)
        self._raw = is_raw(container)
        self._given_rate, self._rate = fps, rate(container, stream)
        self._step_s = 1 / (fps or self._rate or ASSUMED_RATE)
        # A raw stream's times, where FFmpeg makes some up itself, are of its making too.
        self._makes_all = self._raw and fps is not None
        wraps = container.format.name in ("mpegts", "mpeg") and self._base
        self._wrap_s = float(_WRAP * self._base) if wraps else math.inf
        self._folded_s = 0.0
        self._first_dts: list[int | None] = []
        self._dts: int | None = None
        self._fed = self._lost = self._frames = 0
        self._delay: int | None = None
        self._last_pts = self._last_dts = -math.inf
        self._faulty_pts = self._faulty_dts = 0
        self._shift_s = 0.0
        self._made = 0
        self._last_made = False
        self.last_s = math.nan
        self.reached_s = -math.inf
        """The latest time that the file itself gave, with what the frame lasts."""

    def feed(self, packet: av.Packet[Any]) -> None:
        """Note a packet that the decoder is given next; an empty one asks for what it still holds."""
        self._dts = None
        if packet.size:
            self._fed += 1
            self._dts = packet.pts if packet.dts is None else packet.dts
            if self._delay is None and len(self._first_dts) < _REMEMBERED:
                self._first_dts.append(self._dts)

    def lose(self) -> None:
        """The packet that was noted last could not be decoded."""
        self._lost += self._delay is None

    def time_of(self, frame: av.VideoFrame) -> float:
        """Seconds."""
        dts_s = self._decoding_time()
        time_s = None if self._makes_all else self._best(frame, dts_s)
        number, self._frames = self._frames, self._frames + 1
        if time_s is not None:
            lasts_s = float(frame.duration * self._base) if frame.duration else self._step_s
            self.reached_s = max(self.reached_s, time_s + lasts_s)
            time_s = self._unwrapped(time_s) + self._shift_s
            if self._last_made and time_s <= self.last_s:
                # What was made up before went too far: by rounding, or because this time was not known yet.
                if time_s > self.last_s - self._step_s:
                    time_s = self.last_s + self._step_s / 1000
                else:
                    self._shift_s += self.last_s + self._step_s - time_s
                    time_s = self.last_s + self._step_s
            elif self._by_packets and time_s <= self.last_s:
                time_s = self.last_s + self._step_s / 1000
            self._last_made = False
        else:
            if number < self._survey.lead:
                time_s = self._survey.first_s - (self._survey.lead - number) * self._step_s
            else:
                time_s = 0.0 if math.isnan(self.last_s) else self.last_s + self._step_s
            self._made += 1
            # Those before the first time end where it begins.
            self._last_made = number >= self._survey.lead
        self.last_s = time_s
        return time_s

    def _decoding_time(self) -> float | None:
        """Decoding time of the packet with which a frame came out, seconds; None: it came with none."""
        if self._delay is None:
            began = [dts for dts in self._first_dts if dts is not None]
            held = min(max(0, self._fed - 1 - self._lost), len(began) - 1)
            self._delay = began[held] - began[0] if began else 0
        if self._dts is None:
            return None
        dts, self._dts = self._dts, None  # a second frame with the same packet has another time
        return float((dts - (self._delay if self._by_packets else 0)) * self._base)

    def _best(self, frame: av.VideoFrame, dts_s: float | None) -> float | None:
        """FFmpeg's rule (libavcodec's guess_correct_pts); None: neither is there."""
        if self._by_packets:
            return dts_s
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        if pts is not None and (self._faulty_pts <= self._faulty_dts or dts_s is None):
            return frame.time
        if pts is not None and dts_s is not None:
            self._by_packets = True
            return dts_s - float((self._delay or 0) * self._base)
        return dts_s

    def _unwrapped(self, time_s: float) -> float:
        """Without FFmpeg's belief that a clock that went back has come round: that would be a pause of a day."""
        if math.isfinite(self._wrap_s) and math.isfinite(self.last_s):
            while time_s - self._folded_s - self.last_s > self._wrap_s / 2:
                self._folded_s += self._wrap_s
            while self._folded_s and time_s - self._folded_s - self.last_s < -self._wrap_s / 2:
                self._folded_s -= self._wrap_s
        return time_s - self._folded_s

    def told(self) -> dict[str, Any]:
        """Where the times come from, ready for JSON."""
        own = self._frames - self._made
        if not own:
            source = "made up"
        elif self._avi:
            source = "the order of the packets, since AVI holds no presentation times"
        elif self._by_packets:
            source = "decoding times, since the presentation times run backwards"
        else:
            source = "presentation times"
        rate_from = None
        if self._made or not own:
            rate_from = (
                "as given"
                if self._given_rate
                else "assumed"
                if self._rate is None or (self._raw and self._rate == ASSUMED_RATE)
                else "the stream"
            )
        return {
            "from": source,
            "made_up": self._made,
            "rate": None if rate_from is None else round(1 / self._step_s, 6),
            "rate_from": rate_from,
        }


def missing_end(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    *,
    path: str,
    packets: int,
    reached_s: float,
    end_s: float | None,
) -> str:
    """What is missing at a file's end, in words; empty: nothing that is known of.

    Numbers of pictures are believed of MP4 and its relatives only, and there only together with the time: AVI counts
    pictures that were never recorded, and an edit list may leave some out.

    Args:
        packets: that were read.
        reached_s: latest time of a frame, and what it lasts.
        end_s: what the file announces; None: it does not.
    """
    missing_s = math.nan if end_s is None or not math.isfinite(reached_s) else end_s - reached_s
    if container.format.name.startswith("mov") and stream.frames:
        step_s = 1 / (rate_of(stream) or ASSUMED_RATE)
        if packets < stream.frames and not missing_s < step_s / 2:
            return f"the file ends early: {packets} of {stream.frames} pictures are there"
        return ""
    if container.format.name == "avi":
        if packets < stream.frames and not riff_is_whole(path):
            return f"the file ends early: {packets} of {stream.frames} pictures are there"
        if stream.frames:
            return ""
    if container.format.name == "gif" and not gif_is_whole(path):
        return "the file ends early: its last picture is cut, or others are missing"
    if missing_s > MISSING_END_S:
        what = "recording" if is_rtsp(container) else "file"
        return f"the {what} ends early: its last {missing_s:.1f} s are missing"
    return ""


def riff_is_whole(path: str) -> bool:
    """Whether a RIFF file (AVI, WebP) is as long as it says."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            return len(head) == 8 and head[:4] == b"RIFF" and 0 < _size(head) + 8 <= os.fstat(file.fileno()).st_size
    except OSError:
        return False


def _size(head: bytes) -> int:
    size: int = struct.unpack("<I", head[4:])[0]
    return size
