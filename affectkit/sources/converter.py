"""Decoded frames -> pictures, in planes where they can be used, else in RGB."""

from __future__ import annotations

import threading
from typing import Any, cast

import av
import av.error
import av.stream
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from affectkit.picture import SIDES_BT601, SIDES_BT709, SIDES_BT2020, Colours, RgbPicture, YuvPicture
from affectkit.sources.geometry import Geometry
from affectkit.sources.pixels import shrink
from affectkit.sources.planes import common, frame_of, planes_of
from affectkit.sources.stills import reduction
from affectkit.types import Picture, UInt8

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


class FrameConverter:
    """Decoded frames of one source -> pictures."""

    def __init__(self) -> None:
        self._converter = VideoReformatter()  # kept, because setting one up costs more than a conversion
        self._lock = threading.Lock()  # pictures turn into RGB in whatever thread asks for it
        self._colours: dict[int, Colours] = {}

    def picture(self, frame: av.VideoFrame, geometry: Geometry) -> Picture:
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

    def _rgb(self, frame: av.VideoFrame, geometry: Geometry, flags: Interpolation | None = None) -> UInt8:
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
