"""How a source is opened, and how large its frames may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from av.format import ContainerFormat
from av.video.format import VideoFormat

MAX_PIXELS = 16384 * 16384 // 4
"""Of one frame: 8192 x 8192, twice as much as 8K film has. A few bytes can announce any size, and the decoder, which
makes room before it has seen a single pixel, believes them."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a source is opened; the same for every time that it is."""

    decode_on: str = "cpu"
    """``cpu``, or a device of FFmpeg's."""
    input_format: str | None = None
    """FFmpeg's name of the format; None: it finds out, among those that are allowed."""
    max_pixels: int = MAX_PIXELS
    """Most pixels of one frame (:func:`pixels_counted`); what has more is refused before it is decoded."""
    fps: float | None = None
    """Frames a second of what has no times of its own; None: as it says itself."""
    deinterlace: bool = True
    """Whether frames that are marked as interlaced are deinterlaced."""

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < 1_000_000:
            raise ValueError(f"fps must be positive, got {self.fps}")
        if self.max_pixels < 1:
            raise ValueError(f"max_pixels must be at least 1, got {self.max_pixels}")
        if self.input_format is not None:
            try:
                known = ContainerFormat(self.input_format, "r").is_input
            except ValueError:
                known = False
            if not known:
                raise ValueError(
                    "input_format must be a format that FFmpeg reads, as mp4, mpegts, h264 or hls, "
                    f"got {self.input_format!r}"
                )


def pixels_counted(width: int, height: int, pixel_format: str | None) -> int:
    """Pixels of a frame, by which its memory is limited: those of more than four bytes count for as many as fit in."""
    return math.ceil(width * height * max(1.0, _bytes_a_pixel(pixel_format or "rgba") / 4))


@lru_cache(maxsize=256)
def _bytes_a_pixel(pixel_format: str) -> float:
    """Of all planes together, 16 bits for 10."""
    try:
        found = VideoFormat(pixel_format)
    except ValueError:
        return 4.0
    return found.padded_bits_per_pixel / 8


def with_margin(pixels: int) -> str:
    """FFmpeg counts the pixels of its buffers, whose sides are whole blocks and some rows more."""
    return str(min(2**31 - 1, pixels + pixels // 8 + (1 << 16)))
