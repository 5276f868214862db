"""The clock of an annotated video, and the sound that is taken along from its source.

A source's clock may go back (recordings that were joined, a transport stream whose sender began again) or stand still
for hours. A video's may not: what is written plays one piece after the other, with the sound that belongs to each.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from fractions import Fraction
from typing import Self

import av
import av.error

from affectkit.sources.gate import open_container

log = logging.getLogger(__name__)

JITTER_S = 0.2
"""A clock that goes back by less is not another piece: single frames are late."""

LONGEST_PAUSE_S = 6 * 3600.0
"""A longer one is left out; MP4 cannot hold it."""

LOOKS_AHEAD_S = 8.0
"""How far behind the pictures of a piece its sound may begin."""

COPIED_SOUND = {
    ".mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
    ".mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    ".mkv": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac", "vorbis"}),
}
"""Codecs that each container holds as they are; others are encoded as AAC."""

_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

_GAP_S = 0.05
"""A longer one between two pieces of sound is filled with silence; shorter ones are rounding."""


class Timeline:
    """Times of a source -> times of a video that is made of it: from 0 on, and never back."""

    def __init__(self, step_s: float) -> None:
        """Begin.

        Args:
            step_s: what a frame lasts, where its time says nothing.
        """
        self._step_s = step_s
        self._last_s = math.nan
        self._offset_s = 0.0
        self.out_s = 0.0
        """Of the frame that was placed last."""

    def place(self, time_s: float) -> tuple[float, bool]:
        """The time in the video, and whether a piece begins here, with a clock of its own."""
        before_s, self._last_s = self._last_s, time_s
        if math.isnan(before_s):
            self._offset_s = -time_s
            return 0.0, True
        new = not -JITTER_S <= time_s - before_s <= LONGEST_PAUSE_S
        if new:
            self._offset_s = self.out_s + self._step_s - time_s
        elif time_s < before_s:
            self._last_s = before_s  # late: the clock itself has not gone back
        self.out_s = max(self.out_s, time_s + self._offset_s)
        return self.out_s, new


class Soundtrack:
    """Takes the sound of a source along, a piece at a time, so that the output stays interleaved.

    Sound that cannot be read or written ends with a warning: an annotated video without it is better than none.
    """

    def __init__(
        self, source: av.container.InputContainer, output: av.container.OutputContainer, suffix: str, start_s: float
    ) -> None:
        """Add a stream to the output. See :meth:`open`."""
        stream = source.streams.audio[0]
        self._source, self._output = source, output
        self._rate = stream.codec_context.sample_rate
        name = stream.codec_context.codec.canonical_name  # its own is the decoder's: mp3float
        self._copies = name in COPIED_SOUND[suffix]
        self._target: av.AudioStream
        if self._copies:
            self._target = output.add_stream_from_template(stream)
        else:
            self._target = output.add_stream("aac", rate=self._rate if self._rate in _AAC_RATES else 48000)
        wraps = source.format.name in ("mpegts", "mpeg")
        self._wrap_s = float(2**33 * stream.time_base) if wraps and stream.time_base else math.inf
        self._packets = source.demux(stream)
        self._ahead: deque[tuple[av.Packet[av.AudioStream], float, bool]] = deque()
        """Packets, their times by the source, and whether a piece begins with them."""
        self._over = False
        self._read_s = math.nan
        self._folded_s = 0.0
        self._start_s, self._offset_s = start_s, -start_s
        self._last_pts: int | None = None
        self._samples: int | None = None

    @classmethod
    def open(cls, path: str, output: av.container.OutputContainer, suffix: str, start_s: float) -> Self | None:
        """The sound of ``path`` from ``start_s`` on; None where there is none that can be read."""
        try:
            source = open_container(path)
        except av.error.FFmpegError:
            return None
        try:
            usable = bool(source.streams.audio) and source.streams.audio[0].codec_context.sample_rate > 0
        except AttributeError:  # a codec that FFmpeg does not know
            usable = False
        if not usable:
            source.close()
            return None
        return cls(source, output, suffix, start_s)

    def begin_piece(self, start_s: float, out_s: float) -> None:
        """The pictures continue with another clock: at ``start_s`` of the source, which is ``out_s`` of the video.

        Where the clock of the sound goes back thereabouts too, what is left of its old piece ends here. Where it does
        not, it plays on.
        """
        try:
            first_s = self._peek()
            if first_s is None:
                return
            while not self._breaks() and self._reads_ahead(first_s):
                pass
            if not self._breaks():
                return
            while not self._ahead[0][2]:
                packet, time_s, _ = self._ahead.popleft()
                if time_s + self._offset_s < out_s:
                    self._write(packet, time_s)
            packet, time_s, _ = self._ahead.popleft()
            self._ahead.appendleft((packet, time_s, False))
            self._start_s, self._offset_s = start_s, out_s - start_s
        except (av.error.FFmpegError, ValueError) as error:
            self._give_up(out_s, error)

    def copy_until(self, out_s: float) -> None:
        """Write the sound up to this time of the video."""
        try:
            while (time_s := self._peek()) is not None:
                packet, _, begins = self._ahead[0]
                if (
                    begins
                    and self._last_pts is not None
                    and out_s * self._rate - self._last_pts < (LOOKS_AHEAD_S * self._rate)
                ):
                    return  # until the pictures get there
                if time_s + self._offset_s > out_s:
                    return
                self._ahead.popleft()
                if time_s >= self._start_s - 1e-6:
                    self._write(packet, time_s)
        except (av.error.FFmpegError, ValueError) as error:
            self._give_up(out_s, error)

    def _give_up(self, out_s: float, error: Exception) -> None:
        log.warning("the sound cannot be taken along from %.1f s on: %s", out_s, error)
        self._over = True
        self._ahead.clear()

    def _breaks(self) -> bool:
        return any(begins for _, _, begins in self._ahead)

    def _reads_ahead(self, first_s: float) -> bool:
        """Whether another packet was read, not too far from the first."""
        return self._ahead[-1][1] - first_s < LOOKS_AHEAD_S and self._read()

    def _peek(self) -> float | None:
        """Time of the next packet; None at the end."""
        return self._ahead[0][1] if self._ahead or self._read() else None

    def _read(self) -> bool:
        while not self._over:
            try:
                packet = next(self._packets, None)
            except av.error.FFmpegError:
                packet = None  # damaged from here on; what came before is kept
            if packet is None:
                self._over = True
                break
            ticks = packet.dts if packet.pts is None else packet.pts
            if packet.size == 0 or (ticks is None and math.isnan(self._read_s)):
                continue
            assert packet.time_base is not None
            lasts_s = float((packet.duration or 0) * packet.time_base)
            time_s = self._read_s if ticks is None else float(ticks * packet.time_base) - self._folded_s
            begins = False
            if ticks is not None and math.isfinite(self._read_s):
                if time_s - self._read_s > self._wrap_s / 2:  # as for the pictures
                    self._folded_s += self._wrap_s
                    time_s -= self._wrap_s
                begins = not -JITTER_S <= time_s - self._read_s <= LONGEST_PAUSE_S
            self._read_s = time_s + lasts_s
            self._ahead.append((packet, time_s, begins))
            return True
        return False

    def _write(self, packet: av.Packet[av.AudioStream], time_s: float) -> None:
        out_s = max(0.0, time_s + self._offset_s)
        if self._copies:
            self._mux(packet, out_s)
        else:
            self._encode(packet, out_s)

    def _mux(self, packet: av.Packet[av.AudioStream], out_s: float) -> None:
        assert packet.time_base is not None
        pts = round(out_s * self._rate)
        if self._last_pts is not None and pts <= self._last_pts:
            return  # a muxer refuses that
        self._last_pts = pts
        lasts = round((packet.duration or 0) * packet.time_base * self._rate)
        packet.time_base = Fraction(1, self._rate)  # finer than the one of AVI, which counts packets
        packet.pts = packet.dts = pts
        packet.duration = lasts
        packet.stream = self._target
        self._output.mux(packet)

    def _encode(self, packet: av.Packet[av.AudioStream], out_s: float) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return  # a gap in the sound is better than none at all
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            rate = frame.sample_rate or self._rate
            place = round(out_s * rate)
            out_s += frame.samples / rate
            if self._samples is None:
                self._samples = place
            gap = place - self._samples
            if gap > _GAP_S * rate:
                self._silence(frame, min(gap, round(LONGEST_PAUSE_S * rate)), rate)
            elif gap < -JITTER_S * rate:
                continue  # what was there already
            self._put(frame, rate)

    def _silence(self, like: av.AudioFrame, samples: int, rate: int) -> None:
        while samples > 0:
            count = min(samples, rate)
            quiet = av.AudioFrame(format=like.format.name, layout=like.layout.name, samples=count)
            for plane in quiet.planes:
                plane.update((b"\x80" if like.format.name.startswith("u8") else b"\0") * plane.buffer_size)
            quiet.sample_rate = rate
            self._put(quiet, rate)
            samples -= count

    def _put(self, frame: av.AudioFrame, rate: int) -> None:
        assert self._samples is not None
        frame.pts, frame.time_base = self._samples, Fraction(1, rate)
        self._samples += frame.samples
        self._last_pts = round(self._samples * self._rate / rate)
        self._output.mux(self._target.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds and let go of the source."""
        try:
            if not self._copies:
                self._output.mux(self._target.encode(None))
        except (av.error.FFmpegError, ValueError) as error:
            log.warning("the end of the sound cannot be taken along: %s", error)
        finally:
            self._source.close()
