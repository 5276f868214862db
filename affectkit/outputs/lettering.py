"""Texts as small pictures, in the typeface that Pillow brings along (Aileron); each is set once and kept."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from affectkit.types import UInt8

Colour = tuple[int, int, int]

LEAST_PX = 12
"""Of any type: smaller letters cannot be read in a video that has been compressed."""


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """The text in letters that the typeface has: without accents, and "?" for what has no likeness among them."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in bare)


def line_height(size: int) -> int:
    """Height of a :func:`sprite`, px."""
    return size + size // 3


@lru_cache(maxsize=4096)
def text_width(text: str, size: int) -> int:
    """How wide a text is, px."""
    return int(np.ceil(_font(size).getlength(plain(text))))


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
    shape = max(1, text_width(text, size)), line_height(size)
    letters = Image.new("L", shape)
    ImageDraw.Draw(letters).text((0, size), plain(text), 255, font=_font(size), anchor="ls")
    ink = np.asarray(letters, np.float32)[:, :, None] / 255
    mixed = np.array(ground, np.float32) * (1 - ink) + np.array(colour, np.float32) * ink
    image = np.rint(mixed).astype(np.uint8)
    image.setflags(write=False)
    return image


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
