"""Pictures cut from planes against the same cut from RGB."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from affectkit.align import similarity
from affectkit.picture import SIDES_BT601, SIDES_BT709, Colours, RgbPicture, YuvPicture, rgb_matrix
from affectkit.sources.opening import open_source
from affectkit.types import Picture, UInt8


def smooth(height: int = 96, width: int = 160) -> UInt8:
    """Soft colours, so that half as many pixels of colour lose nothing."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 70 * np.sin(x / 23 + k) * np.cos(y / (17 + 3 * k)) for k in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def test_known_colours() -> None:
    """Black, white and the primaries as tables of video give them (8 bit, narrow range)."""
    table = {
        SIDES_BT601: {(16, 128, 128): (0, 0, 0), (235, 128, 128): (255, 255, 255), (81, 90, 240): (255, 0, 0)},
        SIDES_BT709: {(63, 102, 240): (255, 0, 0), (173, 42, 26): (0, 255, 0), (32, 240, 118): (0, 0, 255)},
    }
    for sides, colours in table.items():
        matrix = rgb_matrix(sides, full_range=False)
        for yuv, rgb in colours.items():
            assert matrix @ [*yuv, 1] == pytest.approx(rgb, abs=2.5)
    assert rgb_matrix(SIDES_BT601, full_range=True) @ [255, 128, 128, 1] == pytest.approx([255] * 3, abs=1e-3)


def clip(path: Path, image: UInt8, pixel_format: str, *, space: int, full: bool = False, codec: str = "ffv1") -> Path:
    """One picture, encoded without loss, with its colours marked."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, 25)
        stream.codec_context.colorspace = space
        stream.codec_context.color_range = 2 if full else 1
        source = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = source.reformat(
            format=pixel_format, dst_colorspace=space, dst_color_range=2 if full else 1, src_color_range=2
        )
        frame.colorspace, frame.color_range = space, 2 if full else 1
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("space", [1, 5])  # BT.709, BT.601
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
def test_every_view_is_what_rgb_would_show(tmp_path: Path, pixel_format: str, space: int, full: bool) -> None:
    image = smooth()
    source = open_source(clip(tmp_path / "c.mkv", image, pixel_format, space=space, full=full))
    (frame,) = source.frames()
    assert isinstance(frame.picture, YuvPicture)
    np.testing.assert_allclose(frame.image.astype(int), image, atol=6)  # what FFmpeg itself makes of it
    agree(frame.picture, RgbPicture(image), atol=8)


def test_other_formats_are_turned_into_rgb(tmp_path: Path) -> None:
    image = smooth()
    (frame,) = open_source(clip(tmp_path / "c.mkv", image, "bgr0", space=0)).frames()
    assert isinstance(frame.picture, RgbPicture)
    np.testing.assert_allclose(frame.image.astype(int), image, atol=6)


def agree(picture: Picture, other: Picture, *, atol: float) -> None:
    """Each view of two pictures, the mean difference of which may be a third of the largest."""
    assert picture.shape == other.shape
    five = np.array([[60, 40], [90, 38], [76, 55], [64, 70], [88, 69]], np.float32)
    corner = np.array([[-8, -9], [22, -11], [6, 6], [-4, 21], [20, 20]], np.float32)
    cuts: dict[str, Callable[[Picture], UInt8]] = {}
    for name, points in (("inside", five), ("over the border", corner)):
        for side in (12, 64):
            matrix = similarity(points, np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * side)
            for channels in (1, 3):
                cuts[f"crop {name} {side} {channels}"] = lambda p, m=matrix, s=side, c=channels: p.crop(m, s, c)  # type: ignore[misc]
        low, high = points.min(0)[None].astype(float), points.max(0)[None].astype(float)
        for average in (False, True):
            cuts[f"patch {name} {average}"] = lambda p, a=low, b=high, v=average: p.patches(  # type: ignore[misc]
                np.concatenate([a, a - 4]), np.concatenate([b - a, 3 * (b - a)]) / 11, 12, 128, average=v
            )
    cuts["small"] = lambda p: p.small((21, 13, 76, 68), 8)
    cuts["sampled"] = lambda p: p.sampled(32, 18)
    cuts["rgb"] = lambda p: p.rgb()
    for name, cut in cuts.items():
        got, want = cut(picture).astype(int), cut(other).astype(int)
        assert got.shape == want.shape, name
        difference = np.abs(got - want)
        edge = 40 if name.startswith("patch over the border") else 0  # where grey begins, half a pixel of colour counts
        assert difference.max() <= atol + edge and difference.mean() <= atol / 3, name


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_videos_are_turned_plane_by_plane(tmp_path: Path, turn: int) -> None:
    image = smooth()
    straight = clip(tmp_path / "c.mp4", image, "yuv420p", space=5, codec="libx264")
    turned = tmp_path / "turned.mp4"
    with av.open(str(straight)) as source, av.open(str(turned), "w") as output:
        film = source.streams.video[0]
        copied = output.add_stream_from_template(film)
        for packet in source.demux(film):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)
    data = bytearray(turned.read_bytes())
    # The display matrix lies in the track header, 36 bytes of 16.16 and 2.30 numbers that begin with the unit matrix.
    unit = b"".join(n.to_bytes(4, "big") for n in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    place = data.index(unit, data.index(b"tkhd"))
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    numbers = (a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)
    data[place : place + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    turned.write_bytes(data)
    (before,) = open_source(straight).frames()
    (after,) = open_source(turned).frames()
    assert isinstance(after.picture, YuvPicture)
    upright = RgbPicture(np.ascontiguousarray(np.rot90(before.image, -turn // 90)))
    np.testing.assert_array_equal(after.image, upright.rgb())
    assert np.abs(after.picture.sampled(32, 18).astype(int) - upright.sampled(32, 18)).max() <= 8


def test_nothing_is_converted_that_is_not_asked_for() -> None:
    planes = tuple(np.full(shape, 128, np.uint8) for shape in ((8, 8), (4, 4), (4, 4)))
    asked: list[int] = []

    def convert() -> UInt8:
        asked.append(1)
        return np.zeros((8, 8, 3), np.uint8)

    picture = YuvPicture((planes[0], planes[1], planes[2]), Colours(SIDES_BT601, full_range=True), convert)
    picture.crop(np.array([[1.0, 0, 0], [0, 1, 0]]), 4, 1)
    picture.patches(np.zeros((1, 2)), np.ones((1, 2)), 4, 128)
    picture.small((0, 0, 8, 8), 2)
    picture.sampled(4, 4)
    assert not asked
    assert picture.rgb() is picture.rgb() and asked == [1]


@pytest.mark.parametrize("across", [False, True])
def test_a_pixel_of_colour_lies_in_the_middle_of_those_it_covers(across: bool) -> None:
    """Its number j at 2 j + 1/2: a ramp of 8 levels a colour pixel rises by 4 a pixel, from 2 less on."""
    ramp = 60 + 8 * np.arange(16)
    cr = np.broadcast_to(ramp if across else ramp[:, None], (16, 16)).astype(np.uint8)
    planes = np.full((32, 32), 128, np.uint8), np.full((16, 16), 128, np.uint8), np.ascontiguousarray(cr)
    picture = YuvPicture(planes, Colours(SIDES_BT601, full_range=True), lambda: np.zeros((32, 32, 3), np.uint8))
    red = np.clip(128 + 1.402 * (60 + 4 * np.arange(6, 22) - 2 - 128), 0, 255)
    crop = picture.crop(np.array([[1.0, 0, -6], [0, 1, -6]]), 16, 3)
    (patch,) = picture.patches(np.array([[6.0, 6.0]]), np.array([[1.0, 1.0]]), 16, 128)
    for image in (crop, patch):
        line = image[8, :, 0] if across else image[:, 8, 0]
        np.testing.assert_allclose(line, red, atol=1.5)
