"""The file of an annotated video: frames at their own times, with the sound of the source."""

from __future__ import annotations

import math
import os
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from affectkit.errors import OutputError
from affectkit.outputs.files import PartialFile, explain_os_error
from affectkit.outputs.overlay import DrawnPlanes, Planes
from affectkit.outputs.sinks import Completed
from affectkit.outputs.soundtrack import LONGEST_PAUSE_S, Soundtrack, Timeline
from affectkit.outputs.writers import check_suffix
from affectkit.picture import SIDES_BT601, SIDES_BT709, SIDES_BT2020
from affectkit.types import UInt8

SUFFIXES = (".mp4", ".mov", ".mkv")

LARGE_PIXELS = 4_000_000
"""Of annotated frames, with their panels; those of 1080p have 2.8 million."""

CODING = {"crf": "23", "preset": "ultrafast"}
"""For x264. ``veryfast`` at 21 takes three times as long, more than all else that is done to a frame, and its files are
a third as large; both differ from what was drawn by as little."""

SMOOTH = "deblock=1,0,0"
"""For x264: without it skin has edges where the blocks of the encoder meet; it costs little."""

FEW_FRAMES = f"{SMOOTH}:rc-lookahead=0:bframes=0:sync-lookahead=0:sliced-threads=1"
"""So that it keeps few frames that are large: by itself it works on one in each thread, each with its filtered copies.
Of 5180 x 2160 pixels that took 0.9 GB, and takes 0.4 GB; on any number of cores."""

BT709 = 1
"""Number of ITU-R BT.709 in ISO/IEC 23091-2, for primaries as for the transfer curve, and for the matrix."""

BT601 = 6

_SPACES = {SIDES_BT709: BT709, SIDES_BT601: BT601, (0.212, 0.087): 7, SIDES_BT2020: 9}
"""Numbers of matrices there, by the shares of red and blue in brightness."""

TICKS_A_SECOND = 90_000
"""Time base of annotated videos, fine enough for any source's times."""


DrawnFrame = av.VideoFrame
"""What :class:`Frames` holds."""


class VideoWriter(Completed):
    """Encodes annotated frames with their own times, and the sound of the source.

    Like every output it is written beside the target and renamed at the end. Use as a context manager.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: float | None,
        sound_from: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Open the target.

        Args:
            path: ``.mp4``, ``.mov`` or ``.mkv``.
            fps: average rate, for frames without a time of their own.
            sound_from: file whose sound is taken along; None: silent.

        Raises:
            OutputError: unknown suffix, or the target cannot be written.
        """
        check_video_suffix(path)
        # A rate of a frame in years is that of a file with a broken clock, whose frames would be that far apart.
        self._fps = fps if fps and fps >= 1 / LONGEST_PAUSE_S else 25.0
        self._sound_from = sound_from
        self._partial = PartialFile(path, overwrite=overwrite)
        self._output: av.container.OutputContainer | None = None
        self._video: av.VideoStream | None = None
        self._sound: Soundtrack | None = None
        self._last_pts = -1
        self._timeline = Timeline(1 / self._fps)
        self._frames = 0

    def write(self, image: UInt8, time_s: float) -> None:
        """Append a picture (H, W, 3) RGB shown at ``time_s``; NaN: one frame after the one before.

        Raises:
            OutputError: it cannot be written: the disk is full, for one.
        """
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self._write(frame, time_s, BT709)

    def write_frame(self, frame: DrawnFrame, time_s: float) -> None:
        """Append what was drawn on one of :class:`Frames`; otherwise as :meth:`write`. All have the same colours."""
        self._write(frame, time_s, int(frame.colorspace))

    def _write(self, frame: av.VideoFrame, time_s: float, space: int) -> None:
        try:
            if not math.isfinite(time_s):
                time_s = self._frames / self._fps
            out_s, piece = self._timeline.place(time_s)
            if self._video is None:
                self._begin(frame, time_s, space)
            elif piece and self._sound is not None:
                self._sound.begin_piece(time_s, out_s)
            assert self._video is not None and self._output is not None  # set by _begin
            base = self._video.codec_context.time_base
            pts = max(self._last_pts + 1, round(out_s / base))
            self._last_pts = pts
            self._frames += 1
            frame.pts, frame.time_base = pts, base
            self._output.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.copy_until(out_s)
        except (av.error.FFmpegError, OSError) as error:
            raise explain_os_error(self._partial.target, error) from error

    def _begin(self, frame: av.VideoFrame, offset_s: float, space: int) -> None:
        # An absolute path, because FFmpeg takes a name like 12:30.mp4 for a protocol.
        path = os.path.abspath(self._partial.path)
        options = {} if self._partial.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self._output = av.open(path, "w", options=options)
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = self._output.add_stream(codec, rate=Fraction(self._fps).limit_denominator(65535))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frame.height, frame.width
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS_A_SECOND)
        # Tagged, or players would guess from the height how to turn the numbers back into colours.
        stream.codec_context.colorspace = space
        stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc = BT709
        stream.codec_context.color_range = ColorRange.MPEG
        if codec == "libx264":
            large = stream.width * stream.height > LARGE_PIXELS
            stream.options = {**CODING, "x264-params": FEW_FRAMES if large else SMOOTH}
        else:
            stream.bit_rate = 8_000_000
        self._video = stream
        if self._sound_from is not None:
            self._sound = Soundtrack.open(self._sound_from, self._output, self._partial.path.suffix.lower(), offset_s)

    def close(self) -> None:
        """Complete the file and give it its final name."""
        if self._video is None:
            self.abort()
            raise OutputError(f"{self._partial.target}: there was no frame to draw, so no video was written")
        assert self._output is not None
        try:
            self._output.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.copy_until(self._last_pts / TICKS_A_SECOND + 1 / self._fps)
                self._sound.close()
            self._output.close()
        except (av.error.FFmpegError, OSError) as error:
            self.abort()
            raise explain_os_error(self._partial.target, error) from error
        self._partial.commit()

    def abort(self) -> None:
        """Remove what was written; whatever stood under the final name stays."""
        try:
            if self._sound is not None:
                self._sound.close()
            if self._output is not None:
                self._output.close()
        except (av.error.FFmpegError, OSError):
            pass  # a file that goes need not be complete
        finally:
            self._partial.discard()


class Frames:
    """Frames that are drawn on, encoded, and drawn on again, each by one thread at a time.

    In memory that is new for each, the system takes longer to clear it than all that is drawn.
    """

    def __init__(self) -> None:
        self._free: deque[DrawnFrame] = deque()
        self._last: DrawnFrame | None = None

    def planes(self, height: int, width: int) -> Planes:
        """Y (height, width), Cb and Cr (height / 2, width / 2) of the next frame; both sides are even."""
        frame = self._free.popleft() if self._free else av.VideoFrame(width, height, "yuv420p")
        frame.make_writable()  # in other memory where an encoder still looks at it; x264 takes a copy
        self._last = frame
        y, cb, cr = (
            np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]
            for plane in frame.planes
        )
        return y, cb, cr

    def drawn(self, drawn: DrawnPlanes) -> DrawnFrame:
        """The frame whose planes were given last, which hold what is drawn now."""
        frame, self._last = self._last, None
        assert frame is not None
        frame.colorspace, frame.color_range = _SPACES.get(drawn.sides, BT601), 1
        return frame

    def give_back(self, frame: DrawnFrame) -> None:
        """It is encoded."""
        self._free.append(frame)


def check_video_suffix(path: Path) -> None:
    """Refuse a suffix that names no container we write.

    Raises:
        OutputError: unknown suffix; the message lists the known ones.
    """
    check_suffix(path, SUFFIXES, what=" for a video")
