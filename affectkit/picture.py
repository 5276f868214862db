"""What a decoder hands over, seen as the stages need it: the whole in RGB, or a face, a thumbnail, a patch of it.

A decoded video is brightness and colour in planes of their own (YUV). Turning whole frames into RGB costs as much as
decoding them, and most frames are needed in one place only; so what is cut out is cut from the planes, and only that
is turned into RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from affectkit.types import Array, Float32, UInt8, check_image
from affectkit.warping import Square, cell_means, inverted, square, upright_patches
from affectkit.warping import warp as warp

LUMA_BT601 = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in luma (ITU-R BT.601)."""

SIDES_BT601 = (0.299, 0.114)
SIDES_BT709 = (0.2126, 0.0722)
SIDES_BT2020 = (0.2627, 0.0593)
"""Shares of red and blue, from which all else follows (ITU-T H.273, table 4)."""


def rgb_matrix(sides: tuple[float, float], *, full_range: bool) -> Float32:
    """(3, 4) matrix that makes R, G, B of (Y, Cb, Cr, 1), all 0..255 (ITU-T H.273, equations 38 to 40).

    Args:
        sides: shares of red and blue in luma.
        full_range: whether Y fills 0..255, or 16..235 as video mostly does.
    """
    red, blue = sides
    green = 1 - red - blue
    y, c, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    colour = np.array(
        [
            [y, 0, 2 * (1 - red) * c],
            [y, -2 * blue * (1 - blue) / green * c, -2 * red * (1 - red) / green * c],
            [y, 2 * (1 - blue) * c, 0],
        ]
    )
    return np.column_stack([colour, colour @ [-black, -128, -128]]).astype(np.float32)


def to_channels(image: UInt8, channels: int) -> UInt8:
    """RGB (H, W, 3) or luma (H, W) or (H, W, 1) to (H, W, channels)."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if channels == 1:
        luma = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(luma, np.uint8)[:, :, None]
    return np.asarray(image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)


def luma_of(rgb: UInt8) -> UInt8:
    """Luma (H, W) 0..255 of RGB (H, W, 3), in the 220 steps that video has.

    R, G and B of a video's frame are rounded, and with them what luma is made of; in those steps it is, almost always,
    the video's own again. So a film in RGB gives the numbers of the film that it was made of.
    """
    in_256ths = cv2.cvtColor(rgb.astype(np.uint16) << 8, cv2.COLOR_RGB2GRAY)
    narrow = cv2.convertScaleAbs(in_256ths, alpha=219 / 255 / 256, beta=16)
    return np.asarray(cv2.LUT(narrow, _WIDENED), np.uint8)


class RgbPicture:
    """A picture that is in RGB already. See :class:`affectkit.types.Picture`."""

    def __init__(self, image: UInt8) -> None:
        """Take an RGB picture, uint8 (H, W, 3), as it is."""
        self._image = check_image(image, "Frame.image")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self._image.shape[0], self._image.shape[1]

    def rgb(self) -> UInt8:
        """The whole picture."""
        return self._image

    def detector_rgb(self) -> UInt8:
        """The whole picture."""
        return self._image

    def crop(self, matrix: Array, size: int, channels: int) -> UInt8:
        """A square (size, size, channels) along ``matrix``."""
        if channels == 3:
            return warp(self._image, matrix, size)
        # Luma first, as the planes of a video have it: then both are rounded at the same places.
        cut = square(self._image.shape, inverted(matrix), size)
        return cut.of_region(luma_of(self._image[cut.rows, cut.columns]))[:, :, None]

    def patches(self, firsts: Array, steps: Array, size: int, outside: int, *, average: bool = False) -> UInt8:
        """Bilinear squares (N, size, size, 3); ``outside`` is the grey beyond the border."""
        return upright_patches([self._image], firsts, steps, size, outside, average=average)[0]

    def small(self, box: tuple[int, int, int, int], size: int) -> UInt8:
        """What lies in ``box`` (left, top, right, bottom), averaged into (size, size, 3)."""
        left, top, right, bottom = box
        region = self._image[top:bottom, left:right]
        return np.asarray(cv2.resize(region, (size, size), interpolation=cv2.INTER_AREA), np.uint8)

    def sampled(self, width: int, height: int) -> UInt8:
        """(height, width, 3) single pixels, evenly spread."""
        return np.asarray(cv2.resize(self._image, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)

    def brightness(self, columns: int, rows: int) -> UInt8:
        """(rows, columns) mean luma of each cell of a grid."""
        small = cv2.resize(self._image, (columns, rows), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


NO_PICTURE = RgbPicture(np.zeros((1, 1, 3), np.uint8))
"""Stands for a picture that is no longer needed."""


class Colours:
    """What the numbers of a video's planes mean; one for all of its pictures."""

    def __init__(self, sides: tuple[float, float], *, full_range: bool) -> None:
        """See :func:`rgb_matrix`."""
        self.sides, self.full_range = sides, full_range
        self.rgb = rgb_matrix(sides, full_range=full_range)
        self.brightness_is_luma = bool(np.abs(LUMA_BT601 @ self.rgb[:, 1:3]).max() < 1e-3)
        """BT.601's, but for its range."""
        self._of_colour: list[tuple[float, float]] = self.rgb[:, 1:3].tolist()
        # What is brighter than white, or darker than black, of R, G and B, and of brightness by itself.
        self._beyond = self.rgb - np.array([0, 0, 0, 255], np.float32), -self.rgb
        bright = np.arange(256) * float(self.rgb[0, 0]) + (0.0 if full_range else -16 * 255 / 219)
        self._y_beyond = tuple(np.clip(np.rint(y), 0, 255).astype(np.uint8) for y in (bright - 255, -bright))

    def leaves_rgb(self, luma: UInt8, cb: UInt8, cr: UInt8) -> tuple[bool, bool]:
        """Whether of pixels with these numbers R, G or B may lie over 255; and whether under 0."""
        low, high, _, _ = cv2.minMaxLoc(luma)
        cb_low, cb_high, _, _ = cv2.minMaxLoc(cb)
        cr_low, cr_high, _, _ = cv2.minMaxLoc(cr)
        least, most = 0.0, 0.0
        for of_cb, of_cr in self._of_colour:
            from_cb = of_cb * (cb_low - 128), of_cb * (cb_high - 128)
            from_cr = of_cr * (cr_low - 128), of_cr * (cr_high - 128)
            most, least = max(most, max(from_cb) + max(from_cr)), min(least, min(from_cb) + min(from_cr))
        return high + most > 255.5, low + least < -0.5

    def as_shown(self, luma: UInt8, yuv: UInt8, leaves: tuple[bool, bool]) -> UInt8:
        """Luma (H, W) of what RGB can show of a picture whose brightness is luma: R, G and B end at 0 and 255.

        Very bright or colourful skin leaves that range. The same picture in a file that holds RGB, or on a screen, is
        darker there.

        Args:
            luma: (H, W) 0..255.
            yuv: (h, w, 3) Y, Cb and Cr of the same part of the picture, of any size.
            leaves: see :meth:`leaves_rgb`.
        """
        for side, change in enumerate((cv2.subtract, cv2.add)):
            if leaves[side]:
                # What ends at 0 or 255 of brightness by itself is no part of ``luma`` any more.
                cut_off = cv2.cvtColor(cv2.transform(yuv, self._beyond[side]), cv2.COLOR_RGB2GRAY)
                cut_off = cv2.subtract(cut_off, cv2.LUT(cv2.extractChannel(yuv, 0), self._y_beyond[side]))
                if cv2.countNonZero(cut_off):
                    cut_off = cv2.resize(cut_off, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
                    luma = np.asarray(change(luma, cut_off), np.uint8)
        return luma


class YuvPicture:
    """A picture as video has it: a plane of brightness and two, mostly smaller, of colour."""

    def __init__(
        self,
        planes: tuple[UInt8, UInt8, UInt8],
        colours: Colours,
        convert: Callable[[], UInt8],
        convert_planes: Callable[[], UInt8] | None = None,
    ) -> None:
        """Take the planes as they are; nothing is computed.

        Args:
            planes: Y (H, W), Cb and Cr (h, w), upright.
            convert: makes the whole picture, RGB (H, W, 3), upright; called once at most.
            convert_planes: the same of ``planes`` alone, where what ``convert`` shows is finer than they are.
        """
        self._planes, self._colours, self._convert, self._convert_planes = planes, colours, convert, convert_planes
        self._rgb: UInt8 | None = None
        self._detector_rgb: UInt8 | None = None

    @property
    def planes(self) -> tuple[UInt8, UInt8, UInt8]:
        """Y (H, W), Cb and Cr (h, w), as they are; not to be written to."""
        return self._planes

    @property
    def colours(self) -> Colours:
        """What their numbers mean."""
        return self._colours

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self._planes[0].shape[0], self._planes[0].shape[1]

    def rgb(self) -> UInt8:
        """The whole picture."""
        if self._rgb is None:
            self._rgb = self._convert()
        return self._rgb

    def detector_rgb(self) -> UInt8:
        """The whole picture as its planes have it."""
        if self._convert_planes is None:
            return self.rgb()
        if self._detector_rgb is None:
            self._detector_rgb = self._convert_planes()
        return self._detector_rgb

    def _factors(self) -> tuple[float, float]:
        """Width and height of a plane of colour over those of the picture."""
        (height, width), (small_height, small_width) = self._planes[0].shape, self._planes[1].shape
        return small_width / width, small_height / height

    def _coloured(self, y: UInt8, cb: UInt8, cr: UInt8, matrix: Float32) -> UInt8:
        """Planes of one size to RGB, or with a (1, 4) matrix to luma."""
        return np.asarray(cv2.transform(cv2.merge((y, cb, cr)), matrix), np.uint8)

    def crop(self, matrix: Array, size: int, channels: int) -> UInt8:
        """See :meth:`RgbPicture.crop`."""
        to_picture = inverted(matrix)
        cut = square(self.shape, to_picture, size)
        if channels == 1 and self._colours.brightness_is_luma:
            return self._luma(cut)[:, :, None]
        # A pixel of colour covers several of the picture's: its x lies at ((x + 1/2) / fx) - 1/2 there.
        fx, fy = self._factors()
        to_colour = to_picture * np.array([[fx], [fy]])
        to_colour[:, 2] += (fx - 1) / 2, (fy - 1) / 2
        of_colour = square(self._planes[1].shape, to_colour, size)
        cuts = zip((cut, of_colour, of_colour), self._planes, strict=True)
        yuv = np.asarray(cv2.merge([part.of(plane) for part, plane in cuts]), np.uint8)
        return to_channels(np.asarray(cv2.transform(yuv, self._colours.rgb), np.uint8), channels)

    def _luma(self, cut: Square) -> UInt8:
        """A square (size, size) of luma, where brightness is that."""
        colours, y = self._colours, self._planes[0][cut.rows, cut.columns]
        # The range is widened before anything is averaged: a video that has the wide one is the same then.
        luma = y if colours.full_range else np.asarray(cv2.LUT(y, _WIDENED), np.uint8)
        fx, fy = self._factors()
        down, across = (
            slice(int(s.start * f), max(int(s.start * f) + 1, round(s.stop * f)))
            for s, f in ((cut.rows, fy), (cut.columns, fx))
        )
        cb, cr = self._planes[1][down, across], self._planes[2][down, across]
        leaves = colours.leaves_rgb(luma, cb, cr)
        if any(leaves) and not colours.full_range and cut.levels[0][0] == 1:
            # Hardly anything is averaged: pixel by pixel, as a film in RGB would have it.
            return cut.of_region(luma_of(self._region(cut.rows, cut.columns)))
        if any(leaves):
            # As fine as colour mostly is, and as what the square shows: in the picture, where no places have to be
            # found for it.
            cell = 2 * cut.levels[0][0]
            shape = -(-y.shape[1] // cell), -(-y.shape[0] // cell)
            parts = (
                p if p.shape == shape[::-1] else cv2.resize(p, shape, interpolation=cv2.INTER_AREA) for p in (y, cb, cr)
            )
            luma = colours.as_shown(luma, np.asarray(cv2.merge(tuple(parts)), np.uint8), leaves)
        return cut.of_region(luma)

    def _region(self, rows: slice, columns: slice) -> UInt8:
        """A part of the picture in RGB (h, w, 3); colour is blended between its pixels, and all is rounded once."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        parts = [self._planes[0][rows, columns].astype(np.float32)]
        for plane in self._planes[1:]:
            down, across = (round(whole / small) for whole, small in zip(self.shape, plane.shape, strict=True))
            # One pixel of colour more on each side, for what lies in between.
            top, left = max(rows.start // down - 1, 0), max(columns.start // across - 1, 0)
            part = plane[top : -(-rows.stop // down) + 1, left : -(-columns.stop // across) + 1].astype(np.float32)
            size = part.shape[1] * across, part.shape[0] * down
            fine = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
            y, x = rows.start - top * down, columns.start - left * across
            parts.append(np.asarray(fine[y : y + shape[0], x : x + shape[1]], np.float32))
        rgb = cv2.transform(cv2.merge(parts), self._colours.rgb)
        return np.asarray(cv2.addWeighted(rgb, 1, rgb, 0, 0, dtype=cv2.CV_8U), np.uint8)

    def patches(self, firsts: Array, steps: Array, size: int, outside: int, *, average: bool = False) -> UInt8:
        """See :meth:`RgbPicture.patches`."""
        factors = np.array(self._factors())
        grey = outside if self._colours.full_range else round(16 + outside * 219 / 255)
        (y,) = upright_patches(self._planes[:1], firsts, steps, size, grey, average=average)
        of_colour = firsts * factors + (factors - 1) / 2
        cb, cr = upright_patches(self._planes[1:], of_colour, steps * factors, size, 128, average=average)
        rows = len(firsts) * size
        y, cb, cr = (plane.reshape(rows, size) for plane in (y, cb, cr))
        image = self._coloured(y, cb, cr, self._colours.rgb)
        return image.reshape(-1, size, size, 3)

    def small(self, box: tuple[int, int, int, int], size: int) -> UInt8:
        """See :meth:`RgbPicture.small`."""
        left, top, right, bottom = box
        y = self._planes[0][top:bottom, left:right]
        height, width = self._planes[1].shape
        fx, fy = self._factors()
        x0, y0 = min(int(left * fx), width - 1), min(int(top * fy), height - 1)
        x1, y1 = max(x0 + 1, round(right * fx)), max(y0 + 1, round(bottom * fy))
        parts = (y, *(plane[y0:y1, x0:x1] for plane in self._planes[1:]))
        resized = [np.asarray(cv2.resize(p, (size, size), interpolation=cv2.INTER_AREA), np.uint8) for p in parts]
        return self._coloured(resized[0], resized[1], resized[2], self._colours.rgb)

    def sampled(self, width: int, height: int) -> UInt8:
        """See :meth:`RgbPicture.sampled`."""
        y, cb, cr = (plane[_evenly(*plane.shape, height, width)] for plane in self._planes)
        return self._coloured(y, cb, cr, self._colours.rgb)

    def brightness(self, columns: int, rows: int) -> UInt8:
        """See :meth:`RgbPicture.brightness`; of a narrow range as it is."""
        return cell_means(self._planes[0], columns, rows)


@lru_cache(maxsize=64)
def _evenly(height: int, width: int, rows: int, columns: int) -> tuple[Array, Array]:
    """Index of (rows, columns) pixels in the middle of as many cells."""
    down = ((np.arange(rows) + 0.5) * height / rows).astype(np.intp)
    across = ((np.arange(columns) + 0.5) * width / columns).astype(np.intp)
    return down[:, None], across[None, :]


_WIDENED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Brightness 16..235 over 0..255."""
