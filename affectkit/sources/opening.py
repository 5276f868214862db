"""Whatever pictures can come from -> a source."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.sources.arrays import ArraySource
from affectkit.sources.base import Source
from affectkit.sources.folder import ImageFolder
from affectkit.sources.kinds import SUFFIXES, is_picture, is_sequence
from affectkit.sources.limits import MAX_PIXELS, Opening
from affectkit.sources.names import is_url
from affectkit.sources.video import VideoFile
from affectkit.types import Array, check_image

IMAGE_SUFFIXES = SUFFIXES
"""Of the files that are read as pictures."""


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
            files (:mod:`affectkit.sources.gate`); a local playlist, for one, has to be called ``hls``.
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
