"""Picture files -> RGB pictures, upright: by Pillow, and HEIC by libheif; every frame of those that hold several.

FFmpeg is not asked: of a HEIC picture it shows the first of the tiles that a phone cuts it into, it knows an animation
by its suffix only, and of the many places where formats keep which side is up it reads a few.

Colours are the numbers in the file, as for videos and as face data sets are read: colour profiles are not applied.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from PIL import Image, JpegImagePlugin

from affectkit.errors import MissingDependency, SourceError
from affectkit.sources.kinds import HEIF_BRANDS, HEVC_BRANDS, brand_of, holds_av1
from affectkit.sources.pixels import in_rgb, turned
from affectkit.types import UInt8

REDUCED_FROM = 40_000_000
"""Pixels; larger pictures are read at a half, a third ... of their size. No face needs more, and the search for
faces takes time and memory by the pixel."""

MEMORY = 650_000_000
"""Bytes that decoding one picture may take, so that a run stays under a gigabyte."""

_BYTES_A_PIXEL = {
    "HEIF": 12,
    "AVIF": 12,
    "WEBP": 24,
    "GIF": 9,
    "animated GIF": 16,
    "JPEG2000": 16,
    "APNG": 24,
    "TIFF": 6,
    "TIFF turned": 9,
}
"""While decoding, all copies that the libraries keep; 5 for the others."""

_ANIMATED = {"PNG": "APNG", "GIF": "animated GIF"}
"""What keeps further copies where there are several pictures: the one before, which the next is drawn on."""

_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "DIB", "PPM", "AVIF", "GIF", "JPEG2000")

_UNSAID_S = 0.1
"""What a frame of an animation lasts that says nothing, or nothing that a player would follow."""

_PREVIEW, _MASK = 1, 4
"""Bits of TIFF's tag NewSubfileType."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """One picture of a file."""

    image: UInt8
    """RGB (H, W, 3), upright."""
    time_s: float = math.nan
    """When it is shown, of an animation; NaN: it has no time."""
    reduced: int = 1
    """How many of the file's pixels one of its sides is made of."""


def read_image(path: Path) -> UInt8:
    """Read a picture as RGB uint8 (H, W, 3), upright; of several the first.

    Grey is repeated over the channels, 16 bits are scaled to 8, alpha is left out, CMYK is converted. Of more than
    40 megapixels it comes at a whole fraction of its size.

    Raises:
        SourceError: it cannot be read or is no picture.
        MissingDependency: it is HEIC, and nothing that reads it is installed.
    """
    found = stills(path)
    try:
        return next(found).image
    finally:
        cast(Any, found).close()


def stills(path: Path) -> Iterator[Still]:
    """All pictures of a file, in order, one at a time.

    Raises:
        SourceError: it cannot be read or is no picture; also in the middle, where a later picture is damaged.
        MissingDependency: it is HEIC, and nothing that reads it is installed.
    """
    try:
        with path.open("rb") as file:
            head = file.read(32)
            file.seek(0)
            brand = brand_of(head)
            if brand in HEVC_BRANDS or (brand in HEIF_BRANDS and not holds_av1(file)):
                yield from _heif(path, file)
            else:
                yield from _pillow(path, file)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error


def number_of_pictures(path: Path) -> tuple[int, bool, float | None]:
    """How many pictures a file holds, whether they are an animation, and how many of it are shown a second.

    Of files that are readable; nothing is decoded but, of some formats, the first.
    """
    with path.open("rb") as file:
        head = file.read(32)
        file.seek(0)
        brand = brand_of(head)
        if brand in HEVC_BRANDS or (brand in HEIF_BRANDS and not holds_av1(file)):
            return len(_heif_library(path).open_heif(file)), False, None
        with _quiet():
            image = _opened(path, file)
            count = _pages(path, image)
            if count == 1 or image.format == "TIFF":
                return count, False, None
            try:
                image.load()  # some say only then how long it is shown
            except Exception as error:
                raise _damaged(path, error) from error
            return count - bool(getattr(image, "default_image", False)), True, 1 / _lasts_s(image)


def _pillow(path: Path, file: IO[bytes]) -> Iterator[Still]:
    shown_s, number = 0.0, 0
    with _quiet():
        image = _opened(path, file)
        pages = _pages(path, image)
    timed = pages > 1 and image.format != "TIFF"
    first = 1 if timed and getattr(image, "default_image", False) else 0  # for those who cannot show animations
    for page in range(first, pages):
        with _quiet():
            try:
                if page:
                    image.seek(page)
                if image.format == "TIFF" and not _is_main(path, cast(Any, image)):
                    continue
                _check_size(path, image, pages)  # each page of a TIFF has a size of its own
                still = _developed(path, image, last=page == pages - 1)
            except Exception as error:  # of every decoder its own
                if isinstance(error, SourceError):
                    raise
                raise _damaged(path, error) from error
            lasts_s = _lasts_s(image)
        number += 1
        yield Still(still.image, shown_s if timed else math.nan, still.reduced)
        shown_s += lasts_s
    if not number:
        raise SourceError(f"{path}: holds a preview only, not the picture itself; export it as JPEG or PNG")


class _quiet(warnings.catch_warnings):
    """Pillow's remarks on odd files, and on large ones, whose size is looked at here."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.simplefilter("ignore")
        return entered


def _opened(path: Path, file: IO[bytes]) -> Image.Image:
    """The picture, with nothing decoded."""
    try:
        try:
            image = Image.open(file, formats=[name for name in _FORMATS if name in _known()])
        except Image.DecompressionBombError:
            file.seek(0)
            if file.read(3) != b"\xff\xd8\xff":
                raise
            file.seek(0)
            image = JpegImagePlugin.JpegImageFile(file)  # which can be read reduced
    except Image.DecompressionBombError as error:
        raise SourceError(f"{path}: {_reason(error).partition(',')[0]}, too many to read; make it smaller") from error
    except Exception as error:
        kind = " (a GIF, HEIC or AVIF by its name)" if path.suffix.lower() in (".gif", ".heic", ".avif") else ""
        raise SourceError(f"{path}: not a picture that can be read{kind}, or a damaged one") from error
    _check_size(path, image)
    return image


def _check_size(path: Path, image: Image.Image, pages: int = 1) -> None:
    """Refuse the page that was sought before it is decoded, where that takes too much memory."""
    width, height = image.size
    kind = image.format or ""
    if kind in _ANIMATED and pages > 1:
        kind = _ANIMATED[kind]
    elif kind == "TIFF" and cast(Any, image).tag_v2.get(0x0112, 1) != 1:
        kind = "TIFF turned"
    if kind == "JPEG":
        _check_progressive(path, cast(Any, image))
    elif width * height * _BYTES_A_PIXEL.get(kind, 5) > MEMORY:
        raise too_large(path, width, height, kind)


def _pages(path: Path, image: Image.Image) -> int:
    """How many pictures it holds. What follows in a phone's JPEG (MPO) is no other one: a depth map, the other eye."""
    try:
        return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    except Exception as error:  # of every format its own
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path}: a damaged picture ({_reason(error)}); copy it again")


def _known() -> set[str]:
    Image.init()
    return set(Image.OPEN)


def too_large(path: Path, width: int, height: int, kind: str) -> SourceError:
    """The error of a picture that cannot be read in the memory that it may take."""
    most = MEMORY // _BYTES_A_PIXEL.get(kind, 5) // 1_000_000
    return SourceError(
        f"{path}: {width} x {height} px are too many for {kind}, of which up to {most} megapixels are read; "
        "make it smaller, or save it as JPEG"
    )


def _check_progressive(path: Path, image: Any) -> None:
    """A progressive JPEG is held whole, as two bytes a coefficient, however small it comes out."""
    if not image.info.get("progressive"):
        return
    layers = image.layer or [(1, 1, 1, 0)]
    most = max(h for _, h, _, _ in layers) * max(v for _, _, v, _ in layers)
    coefficients = image.width * image.height * sum(h * v for _, h, v, _ in layers) / max(1, most)
    if 2 * coefficients > 0.75 * MEMORY:
        raise SourceError(
            f"{path}: {image.width} x {image.height} px are too many for a progressive JPEG; make it smaller, or save "
            "it as a baseline JPEG"
        )


def _is_main(path: Path, image: Any) -> bool:
    """Whether a page of a TIFF is a picture, and not a smaller copy or a mask of one."""
    tags = image.tag_v2
    if 50706 in tags:
        raise SourceError(f"{path}: is a camera's raw file (DNG); develop it into a JPEG or PNG first")
    return not int(tags.get(254, 0)) & (_PREVIEW | _MASK)


def _lasts_s(image: Image.Image) -> float:
    lasts = image.info.get("duration", 0)
    seconds = float(lasts) / 1000 if isinstance(lasts, int | float) else 0.0
    return seconds if 0.01 < seconds < 86400 else _UNSAID_S


def _developed(path: Path, image: Image.Image, *, last: bool) -> Still:
    """Decode the page that was sought, reduced where it is large, and bring it upright.

    What was decoded of the last page is let go of: it takes more than all that is done with the picture.
    """
    width, height = image.size
    reduced = 1
    if width * height > REDUCED_FROM and image.format == "JPEG":
        wanted = next((k for k in (2, 4) if width * height / k**2 <= REDUCED_FROM), 8)
        image.draft(None, (-(-width // wanted), -(-height // wanted)))
        reduced = round(max(width, height) / max(image.size))
    orientation = _orientation(image)
    image.load()
    rest = reduction(image.width, image.height)
    picture = in_rgb(path, image, rest)
    if last:
        cast(Any, image).im = None
    return Still(turned(picture, orientation), reduced=reduced * rest)


def reduction(width: int, height: int) -> int:
    """How many pixels one of a picture's sides has to be made of, so that it has no more than REDUCED_FROM."""
    return max(1, math.ceil(math.sqrt(width * height / REDUCED_FROM)))


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1 to 8, from wherever the format keeps it; 1 where it is unreadable."""
    if image.format == "TIFF":  # Pillow turns those itself
        return 1
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # EXIF can be broken in many ways
        return 1
    return int(value) if value in range(1, 9) else 1


def _heif(path: Path, file: IO[bytes]) -> Iterator[Still]:
    """The pictures of a HEIC file; libheif joins their tiles and turns them as the file says."""
    library = _heif_library(path)
    try:
        opened = library.open_heif(file, convert_hdr_to_8bit=True)
        if not len(opened):
            raise ValueError("it holds no picture")
        for picture in opened:
            width, height = picture.size
            if width * height * _BYTES_A_PIXEL["HEIF"] > MEMORY:
                raise too_large(path, width, height, "HEIF")
            rest = reduction(width, height)
            yield Still(in_rgb(path, picture.to_pillow(), rest), reduced=rest)
    except SourceError:
        raise
    except Exception as error:  # libheif's come as many kinds
        raise SourceError(
            f"{path}: not a HEIC picture that can be read, or a damaged one ({_reason(error)})"
        ) from error


def _heif_library(path: Path) -> Any:
    try:
        import pi_heif

        return pi_heif
    except ModuleNotFoundError:
        try:
            import pillow_heif
        except ModuleNotFoundError as error:
            raise MissingDependency("pi-heif", "heif", f"{path}: a HEIC picture") from error
        return pillow_heif


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
