"""What a file is by its first bytes: a picture, a sequence of pictures, a GIF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
    | {".pbm", ".pnm", ".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k"}
)
"""By which a picture is known, whatever it holds; files of other names are known by what they hold."""

_MOST_BOXES = 1000
"""Of an ISO base media file, that are looked at."""

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"avis", b"avio"})
_SEQUENCE_BRANDS = frozenset({b"msf1", b"hevc", b"hevx", b"hevm", b"hevs"})
"""Of files that say first that they hold a sequence; others may as well. Animated AVIF (avis) is read by Pillow."""
HEVC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})


def is_picture(path: Path) -> bool:
    """Whether a file is read as pictures, by its first bytes. GIFs are films, unless they lie among pictures.

    A GIF whose pictures have no times is none, though: FFmpeg takes them for one. Of HEIF it is so unless
    :func:`is_sequence`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(32)
            if head.startswith(b"GIF8"):
                return _lacks_times(file)
    except OSError:
        return False
    if head.startswith(b"\xff\xd8\xff"):
        return path.suffix.lower() not in (".mjpeg", ".mjpg")  # a film of JPEGs begins like one of them
    known = (b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
    return head.startswith(known) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or brand_of(head) in HEIF_BRANDS


def is_sequence(path: Path) -> bool:
    """Whether a HEIF file holds a sequence of pictures with times, which is a film in all but its name.

    The pictures that such a file may hold besides are its cover.
    """
    try:
        with path.open("rb") as file:
            brand = brand_of(file.read(32))
            if brand not in HEIF_BRANDS | _SEQUENCE_BRANDS or brand == b"avis":
                return False
            start = 0
            for _ in range(_MOST_BOXES):
                file.seek(start)
                head = file.read(16)
                if head[4:8] == b"moov":
                    return True
                size = int.from_bytes(head[:4], "big")
                size = int.from_bytes(head[8:], "big") if size == 1 else size
                if len(head) < 8 or size < 8:  # the last box, or none
                    return False
                start += size
    except (OSError, ValueError, OverflowError):  # of an offset beyond all files
        pass
    return False


def _lacks_times(file: IO[bytes]) -> bool:
    """Whether a GIF has several pictures, of which one is not preceded by a graphic control extension."""
    images, timed, bare = 0, False, False
    for part in _gif_parts(file):
        if part == b",":
            images, bare, timed = images + 1, bare or not timed, False
        timed = timed or part == b"!\xf9"
        if bare and images > 1:
            return True
    return False


def _gif_parts(file: IO[bytes]) -> Iterator[bytes]:
    """What a GIF is made of: ``!`` and an extension's label, ``,`` of a picture, ``;`` of the end, and nothing where
    the file ends instead. A part that is cut short is none, and after what is no part nothing follows.

    Blocks as in the GIF89a specification (CompuServe, 1990), sections 18 to 27.
    """
    file.seek(10)
    tables = file.read(3)
    if len(tables) < 3:
        yield b""
        return
    file.seek(13 + (3 << (tables[0] & 7) + 1 if tables[0] & 0x80 else 0))
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b"!":
            kind += file.read(1)
        elif len(place := file.read(9)) == 9:
            file.seek((3 << (place[8] & 7) + 1 if place[8] & 0x80 else 0) + 1, 1)  # its colours, and a code size
        while size := file.read(1):  # blocks of the extension, or of the picture's pixels
            if size == b"\0":
                yield kind
                break
            file.seek(size[0], 1)
    if kind in (b"", b";"):
        yield kind


def gif_is_whole(path: str) -> bool:
    """Whether a GIF goes on to its end; also of what cannot be looked at."""
    try:
        with open(path, "rb") as file:
            return b"" not in _gif_parts(file)
    except OSError:
        return True


def is_gif(path: Path) -> bool:
    """Whether a file is a GIF."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GIF8"
    except OSError:
        return False


def brand_of(head: bytes) -> bytes:
    """Of an ISO base media file; empty: it is none."""
    return head[8:12] if head[4:8] == b"ftyp" else b""


def holds_av1(file: IO[bytes]) -> bool:
    """Whether a file of a general brand names AVIF among those that it complies with."""
    size = int.from_bytes(file.read(4), "big")
    brands = file.read(min(max(size, 8), 256) - 4)
    file.seek(0)
    return b"avif" in brands or b"avis" in brands
