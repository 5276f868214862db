"""Texts as small pictures; each is set once and kept.

ASCII is set in the typeface that Pillow brings along (Aileron). Names of people and files have other letters too: such
a text is set in DejaVu Sans, whose Latin, Greek, Cyrillic, Hebrew, Arabic, Armenian and Georgian letters lie in
``typeface/`` (``scripts/make_typeface.py``), and what that lacks in a typeface of the machine: one with the Chinese
letters is several times as large as this package.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from affectkit.types import UInt8

Colour = tuple[int, int, int]

LEAST_PX = 12
"""Of any type: smaller letters cannot be read in a video that has been compressed."""


DEJAVU = str(Path(__file__).parent / "typeface" / "DejaVuSans.ttf")

OF_MACHINES = (
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",  # Windows: Chinese, Korean, Indian, Thai
    "malgun.ttf",
    "Nirmala.ttc",
    "Nirmala.ttf",
    "LeelawUI.ttf",
    "PingFang.ttc",  # macOS
    "Arial Unicode.ttf",
    "AppleSDGothicNeo.ttc",
    "wqy-microhei.ttc",  # further ones of Linux
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
)
"""Looked for by Pillow where the system has its typefaces; the first of those that lack the fewest letters of a text
is taken."""

_IN_NO_TYPEFACE = "\U000f0000"
"""A code for private use: each typeface draws its mark for what it lacks."""

_LIKE_PILLOWS = 0.9
"""By how much DejaVu's letters are larger at the same size, and others at least as high."""


@lru_cache(maxsize=32)
def _font(typeface: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if typeface:
        return ImageFont.truetype(typeface, max(LEAST_PX, round(_LIKE_PILLOWS * size)))
    return ImageFont.load_default(size)


@lru_cache(maxsize=32)
def _installed(typeface: str) -> bool:
    try:
        _font(typeface, LEAST_PX)
    except OSError:
        return False
    return True


@lru_cache(maxsize=4096)
def _has(typeface: str, letter: str) -> bool:
    """Whether a typeface draws more of a letter than its mark for what it lacks."""
    if letter.isspace() or unicodedata.combining(letter):
        return True
    font = _font(typeface, 24)
    return bytes(font.getmask(letter)) != bytes(font.getmask(_IN_NO_TYPEFACE))


@lru_cache(maxsize=4096)
def set_in(text: str) -> tuple[str, str]:
    """The typeface of a text, "" for Pillow's, and the text itself as it is set.

    A letter that no typeface here has is set as "?"; what is not seen, such as marks of direction, is left out.
    """
    if text.isascii() and text.isprintable():
        return "", text
    composed = unicodedata.normalize("NFC", text)
    told = "".join(" " if c.isspace() else c for c in composed if c.isspace() or unicodedata.category(c)[0] != "C")
    lacking = {DEJAVU: sum(not _has(DEJAVU, letter) for letter in told)}
    if lacking[DEJAVU]:
        there = filter(_installed, OF_MACHINES)
        lacking |= {typeface: sum(not _has(typeface, letter) for letter in told) for typeface in there}
    best = min(lacking, key=lacking.__getitem__)  # the first of them
    return best, "".join(letter if _has(best, letter) else "?" for letter in told)


def line_height(size: int) -> int:
    """Height of a :func:`sprite`, px."""
    return size + size // 3


@lru_cache(maxsize=4096)
def text_width(text: str, size: int) -> int:
    """How wide a text is, px."""
    typeface, told = set_in(text)
    if typeface:
        return int(np.ceil(_font(typeface, size).getlength(told)))
    return told.count(" ") * _word(" ", size)[0] + sum(_word(word, size)[0] for word in told.split(" ") if word)


@lru_cache(maxsize=1024)
def shortened(text: str, size: int, width: float) -> str:
    """The text, or as much of its beginning as ``width`` px have room for, and two dots."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "..", size) > width:
        text = text[:-1]
    return text + ".." if text else ""


@lru_cache(maxsize=4096)
def sprite(text: str, size: int, colour: Colour, ground: Colour) -> UInt8:
    """A text of type of ``size`` px as a picture RGB (h, w, 3) on a ground of one colour; not to be written to.

    It is :func:`line_height` high, and its base line lies ``size`` px from the top.
    """
    typeface, told = set_in(text)
    ink = _set(told, typeface, size, text_width(text, size)) if typeface else _of_words(told, size)
    image = _shades(colour, ground).take(ink, axis=0)
    image.setflags(write=False)
    return image


@lru_cache(maxsize=64)
def _shades(colour: Colour, ground: Colour) -> UInt8:
    """(256, 3) colours of letters on a ground, by how much ink there is."""
    ink = np.arange(256, dtype=np.float32)[:, None] / 255
    return np.rint(np.array(ground, np.float32) * (1 - ink) + np.array(colour, np.float32) * ink).astype(np.uint8)


def _set(told: str, typeface: str, size: int, width: int, room: int = 0) -> UInt8:
    """Ink (h, w) of a text that is ``width`` px wide, 0..255, with ``room`` px on either side."""
    font = _font(typeface, size)
    letters = Image.new("L", (max(1, width) + 2 * room, line_height(size)))
    # Two accents on a capital reach higher than the type is large: such a line is set a little lower.
    over = -size - ImageDraw.Draw(letters).textbbox((0, 0), told, font=font, anchor="ls")[1] if typeface else 0
    ImageDraw.Draw(letters).text((room, size + max(0, over)), told, 255, font=font, anchor="ls")
    return np.asarray(letters)


@lru_cache(maxsize=4096)
def _word(word: str, size: int) -> tuple[int, UInt8]:
    """How far the next letter is, px, and the ink of a word in Pillow's typeface, with half ``size`` px on either side:
    some letters reach beyond their place."""
    width = int(np.ceil(_font("", size).getlength(word)))
    return width, _set(word, "", size, width, size // 2)


def _of_words(told: str, size: int) -> UInt8:
    """Ink (h, w) of a text in Pillow's typeface.

    There is hardly a frame without texts that were not set before, but their words were; and letters of this typeface
    stand whole pixels apart, whatever stands beside them.
    """
    ink = np.zeros((line_height(size), max(1, text_width(told, size))), np.uint8)
    x, space = 0, _word(" ", size)[0]
    for word in told.split(" "):
        if word:
            wide, letters = _word(word, size)
            left = x - size // 2
            place = ink[:, max(0, left) : left + letters.shape[1]]
            np.maximum(place, letters[:, max(0, -left) :][:, : place.shape[1]], out=place)
            x += wide
        x += space
    return ink


def put_text(
    area: UInt8, text: str, x: float, y: float, size: int, colour: Colour, ground: Colour, *, right: bool = False
) -> None:
    """Set one line.

    Args:
        area: RGB (H, W, 3); what lies beyond its border is cut off.
        x: where the text begins; with ``right`` where it ends.
        y: its base line.
        ground: the colour that lies there.
    """
    if text:
        image = sprite(text, size, colour, ground)
        stamp(area, image, round(x) - (image.shape[1] if right else 0), round(y) - size)


def stamp(area: UInt8, image: UInt8, left: int, top: int) -> None:
    """Put a picture into another of as many channels; what lies beyond the border is cut off."""
    height, width = area.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + image.shape[1]), min(height, top + image.shape[0])
    if x0 < x1 and y0 < y1:
        area[y0:y1, x0:x1] = image[y0 - top : y1 - top, x0 - left : x1 - left]
