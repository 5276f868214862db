"""Squares cut out of pictures: numbers by hand, which no version of OpenCV may change."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectkit.align import crop_face
from affectkit.picture import SIDES_BT601, Colours, RgbPicture, YuvPicture
from affectkit.sources.opening import open_source
from affectkit.sources.planes import common
from affectkit.spec import InputSpec
from affectkit.types import UInt8
from affectkit.warping import SUMMED_PIXELS, cell_means, inverted, upright_patches, warp


def slope(height: int, width: int) -> UInt8:
    """Brightness 16 x + 4 y, modulo nothing: small pictures only."""
    y, x = np.mgrid[:height, :width]
    return (16 * x + 4 * y).astype(np.uint8)


def noise(height: int, width: int, seed: int = 5) -> UInt8:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize("shift", [0.25, 0.26, 0.24])  # all the same in 32nds
def test_between_pixels(shift: float) -> None:
    cut = warp(slope(8, 8), np.array([[1, 0, -shift], [0, 1, -0.5]]), 4)
    # At (u + 1/4, v + 1/2): 16 u + 4 + 4 v + 2.
    np.testing.assert_array_equal(cut, [[6, 22, 38, 54], [10, 26, 42, 58], [14, 30, 46, 62], [18, 34, 50, 66]])


def test_a_quarter_turn_enlarged() -> None:
    # Crop (u, v) shows the picture at (v / 2, 3 - u / 2).
    matrix = np.array([[0, -2, 6], [2, 0, 0]])
    cut = warp(slope(8, 8), matrix, 3)
    # So 16 v / 2 + 4 (3 - u / 2).
    np.testing.assert_array_equal(cut, [[12, 10, 8], [20, 18, 16], [28, 26, 24]])


def test_halves_are_rounded_up() -> None:
    image = np.array([[0, 1], [0, 1]], np.uint8)
    assert warp(image, np.array([[1, 0, -0.5], [0, 1, 0]]), 1).tolist() == [[1]]


def test_beyond_the_picture_its_border_continues_or_grey_begins() -> None:
    image = slope(4, 4)
    cut = warp(image, np.array([[1.0, 0, 2], [0, 1, 1]]), 4)
    np.testing.assert_array_equal(cut, [[0, 0, 0, 16], [0, 0, 0, 16], [4, 4, 4, 20], [8, 8, 8, 24]])
    (patch,) = upright_patches([image], np.array([[-2.0, -1]]), np.ones((1, 2)), 4, 200, average=False)
    np.testing.assert_array_equal(patch[0], [[200] * 4, [200, 200, 0, 16], [200, 200, 4, 20], [200, 200, 8, 24]])
    (away,) = upright_patches([image], np.array([[1e9, -1e9]]), np.ones((1, 2)), 4, 200, average=False)
    assert (away == 200).all()
    assert (warp(image, np.array([[1.0, 0, -1e6], [0, 1, -1e6]]), 4) == image[3, 3]).all()


def test_a_checkerboard_four_times_as_large_is_grey() -> None:
    board = ((np.arange(64)[:, None] + np.arange(64)) % 2 * 200).astype(np.uint8)
    assert (warp(board, np.array([[0.25, 0, 0], [0, 0.25, 0]]), 16)[1:-1, 1:-1] == 100).all()


def test_the_numbers_of_every_version_of_opencv() -> None:
    """Checksums that 4.10, 4.14 and 5.0 agree on; in 5.0 warpAffine gives others than in 4."""
    image = noise(90, 120)
    colours = np.stack([image, image.T.copy().reshape(90, 120), image[::-1]], axis=2)
    turned = np.array([[0.9, 0.2, -30.3], [-0.2, 0.9, 5.7]])
    found = [
        warp(image, turned, 48),
        warp(np.ascontiguousarray(colours), turned, 48),
        warp(image, turned / 3.1, 20),
        RgbPicture(np.ascontiguousarray(colours)).crop(turned, 48, 1),
        upright_patches([image], np.array([[3.3, -7.1]]), np.array([[1.37, 1.41]]), 24, 128, average=False)[0],
    ]
    assert [zlib.crc32(np.ascontiguousarray(cut).tobytes()) for cut in found] == CHECKSUMS


CHECKSUMS = [1447804664, 555167804, 3049857560, 4201383331, 20620602]


def test_the_numbers_of_video_of_every_version_of_opencv() -> None:
    """What planes become on their way to a crop, too: 4.10 and 5.0 agree."""
    planes = common((noise(90, 120), noise(90, 120, 6), noise(90, 60, 7)), full_range=True)
    film = YuvPicture(planes[:2] + planes[1:2], Colours(SIDES_BT601, full_range=False), lambda: noise(1, 1))
    turned = np.array([[0.9, 0.2, -30.3], [-0.2, 0.9, 5.7]])
    cuts = [*planes, film.crop(turned, 48, 1), film.crop(turned, 48, 3), film.small((11, 7, 93, 80), 9)]
    assert [zlib.crc32(np.ascontiguousarray(cut).tobytes()) for cut in cuts] == FILM_CHECKSUMS


def test_a_face_is_the_same_crop_in_every_version_of_opencv(astronaut: Path) -> None:
    """Before, 4.10 and 5.0 cut one pixel of fifteen of this face differently."""
    picture = next(iter(open_source(astronaut).frames())).picture
    five = np.array([[297.9, 151.2], [343.8, 153.6], [320.3, 181.6], [294.6, 192.8], [342.4, 194.8]], np.float32)
    crops = [crop_face(picture, five, InputSpec(size, channels, "tight")) for size, channels in ((64, 1), (112, 3))]
    assert [zlib.crc32(np.ascontiguousarray(crop).tobytes()) for crop in crops] == [3620922889, 825162545]


FILM_CHECKSUMS = [3231973564, 1393528632, 3481095873, 4244781539, 1267898190, 1304453989]


def test_nothing_jumps_as_a_face_grows() -> None:
    """From 1.5 to 7 pixels of the picture for one of the crop, each step of .75 % changes about as little."""
    image = cv2.normalize(cv2.GaussianBlur(noise(700, 700), (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)
    sizes = np.geomspace(1.5, 7, 200)
    cuts = [warp(image, np.array([[1 / s, 0, 32 - 350 / s], [0, 1 / s, 32 - 350 / s]]), 64) for s in sizes]
    contrast = np.array([cut[16:48, 16:48].std() for cut in cuts])
    slow = np.convolve(contrast, np.ones(9) / 9, "valid")
    assert np.abs(contrast[4:-4] - slow).max() < 0.05 * contrast.max()  # where cells grow by whole pixels: .09


def test_patches_of_one_call_are_those_of_several() -> None:
    image = np.repeat(noise(80, 100)[:, :, None], 3, axis=2)
    firsts, steps = np.array([[3.2, 4.4], [-5.0, 60.0], [20.1, 9.9]]), np.array([[1.1, 1.2], [0.4, 0.4], [3.3, 3.3]])
    for average in (False, True):
        (together,) = upright_patches([image], firsts, steps, 12, 128, average=average)
        for k in range(3):
            (alone,) = upright_patches([image], firsts[k : k + 1], steps[k : k + 1], 12, 128, average=average)
            np.testing.assert_array_equal(alone[0], together[k])


def test_pictures_wider_than_opencv_can_remap() -> None:
    image = np.zeros((4, 40000), np.uint8)
    image[:, 36000:36004] = slope(4, 4)
    (patch,) = upright_patches([image], np.array([[36000.0, 0]]), np.ones((1, 2)), 4, 0, average=False)
    np.testing.assert_array_equal(patch[0], slope(4, 4))
    np.testing.assert_array_equal(warp(image, np.array([[1.0, 0, -36000], [0, 1, 0]]), 4), slope(4, 4))


def test_a_map_to_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no inverse"):
        inverted(np.array([[1.0, 2, 0], [2, 4, 0]]))


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (360, 640), (1080, 1920), (54, 97), (200, 311)])
def test_means_of_cells(height: int, width: int) -> None:
    """As OpenCV has them, but for one level where a mean lies between two; a part of larger memory as the whole."""
    memory = noise(height, width + 32)
    memory[: height // 2] //= 8
    plane = memory[:, :width]
    found = cell_means(plane, 48, 27)
    opencv = cv2.resize(plane, (48, 27), interpolation=cv2.INTER_AREA)
    assert found.shape == (27, 48) and np.abs(found.astype(int) - opencv).max() <= 1
    assert (found != opencv).mean() < (0.002 if height >= 360 else 0.02)
    assert (cell_means(np.full((height, width), 201, np.uint8), 48, 27) == 201).all()


def test_means_of_cells_by_hand() -> None:
    rows = np.array([[0, 30, 90], [0, 30, 90], [100, 100, 100]], np.uint8).repeat(2, 0).repeat(2, 1)
    # Six pixels each way, three of them a cell. In the first row of cells 0 0 30 and 30 90 90, three times each.
    assert cell_means(rows, 2, 2).tolist() == [[10, 70], [(10 + 2 * 100) // 3, (70 + 2 * 100) // 3]]
    # Two and a half pixels of five: (0 + 60 + 90 / 2) / 2.5 and (90 / 2 + 0 + 60) / 2.5.
    five = np.array([[0, 60, 90, 0, 60]] * 4, np.uint8)
    assert cell_means(five, 2, 2).tolist() == [[42, 42]] * 2


def test_means_of_cells_of_what_is_too_large_or_too_small_for_sums() -> None:
    large = np.full((SUMMED_PIXELS // 2048 + 1, 2048), 255, np.uint8)
    assert (cell_means(large, 48, 27) == 255).all() and cell_means(large[:20, :30], 48, 27).shape == (27, 48)
