from __future__ import annotations

import numpy as np
import pytest

from affectkit.align import crop_face, face_matrix, fit_aligned, similarity
from affectkit.picture import to_channels, warp
from affectkit.spec import InputSpec

SPEC = InputSpec(64, 1, "tight")


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


@pytest.mark.parametrize("degrees", [0, 17, 90, -160])
def test_similarity_recovers_a_known_map(degrees: float) -> None:
    source = np.array([[0, 0], [10, 1], [5, 6], [1, 11], [9, 12]], float)
    target = turned(source, degrees, 2.5, (30, -7))
    matrix = similarity(source, target)
    assert source @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(target, abs=1e-4)


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(1)
    source = rng.normal(size=(5, 2)) * 20
    target = turned(source, 20, 1.4, (3, 4)) + rng.normal(size=(5, 2))
    matrix = similarity(source, target)

    def error(m: np.ndarray) -> float:
        return float((((source @ m[:, :2].T + m[:, 2]) - target) ** 2).sum())

    for degrees, scale, shift in ((0.5, 1, 0), (-0.5, 1, 0), (0, 1.01, 0), (0, 0.99, 0), (0, 1, 0.1), (0, 1, -0.1)):
        moved = turned(matrix.T, degrees, scale, (0, 0)).T + np.array([[0, 0, shift], [0, 0, shift]])
        assert error(matrix) <= error(moved)


@pytest.mark.parametrize("bad", [np.ones((5, 2)), np.full((5, 2), np.nan), np.zeros((1, 2)), np.zeros((5, 3))])
def test_similarity_refuses_points_that_say_nothing(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="points"):
        similarity(bad, np.zeros_like(bad))


def dots(size: int, points: np.ndarray, radius: float) -> np.ndarray:
    """Soft white dots on black."""
    y, x = np.mgrid[0:size, 0:size]
    image = np.zeros((size, size))
    for px, py in points:
        image += 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2))
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(("scale", "degrees"), [(0.5, 0), (1.3, 10), (4.0, -25), (11.0, 40)])
def test_landmarks_land_on_the_template(scale: float, degrees: float) -> None:
    """Faces smaller and much larger than the crop alike: what is at the points ends up at the template's points."""
    template = SPEC.template_px()
    points = turned(template - 32, degrees, scale, (400, 390))
    image = dots(800, points, max(1.0, 2 * scale))
    crop = crop_face(image, points, SPEC)[..., 0].astype(float)
    assert crop.shape == (64, 64)
    y, x = np.mgrid[0:64, 0:64]
    for px, py in template:
        weight = crop * ((x - px) ** 2 + (y - py) ** 2 < 36)
        centre = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
        assert centre == pytest.approx((px, py), abs=0.4)


def test_large_faces_are_averaged_not_sampled() -> None:
    """A fine checkerboard must become grey; sampling single pixels would give black and white."""
    image = np.zeros((640, 640, 3), np.uint8)
    image[::2, ::2] = image[1::2, 1::2] = 255
    crop = warp(image, np.array([[0.1, 0, 0], [0, 0.1, 0]]), 64)
    assert crop[4:-4, 4:-4].min() > 100 and crop[4:-4, 4:-4].max() < 155


def test_faces_over_the_border_continue_it() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    points = turned(SPEC.template_px(), 0, 1.0, (-30, -30))
    assert (crop_face(image, points, SPEC) == 90).all()


def test_channels() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert to_channels(red, 1)[0, 0, 0] == 76  # .299 * 255, BT.601
    assert to_channels(np.full((2, 2, 1), 9, np.uint8), 3).shape == (2, 2, 3)


def test_fit_aligned_keeps_what_fits_already() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 1)).astype(np.uint8)
    assert (fit_aligned(crop, SPEC) == crop).all()
    assert fit_aligned(np.zeros((200, 150, 3), np.uint8), SPEC).shape == (64, 64, 1)


def test_margin_widens_the_crop() -> None:
    narrow, wide = SPEC.template_px(), InputSpec(64, 1, "tight", margin=2.0).template_px()
    assert np.linalg.norm(narrow[1] - narrow[0]) == pytest.approx(2 * np.linalg.norm(wide[1] - wide[0]), rel=1e-5)


def test_the_published_cut_by_hand() -> None:
    """A square of twice the larger of eye distance and height, around the middle between eyes and mouth."""
    spec = InputSpec(101, 1, "published")
    wide = np.array([[80, 100], [120, 100], [100, 110], [90, 130], [110, 130]], float)  # 40 apart, 30 high
    matrix = face_matrix(wide, spec)
    # The middle (100, 115) comes to the crop's, (50, 50); 80 px to 101.
    assert matrix[:, :2] == pytest.approx(np.eye(2) * 101 / 80)
    assert matrix @ [100, 115, 1] == pytest.approx([50, 50], abs=1e-4)
    high = np.add(wide, [[0, 0], [0, 0], [0, 0], [0, 30], [0, 30]])  # 60 high
    assert face_matrix(high, spec)[0, 0] == pytest.approx(101 / 120)
    assert face_matrix(high, InputSpec(101, 1, "published", margin=1.5))[0, 0] == pytest.approx(101 / 180)
    tilted = face_matrix(turned(wide, 30, 1.0, (0, 0)), spec)
    eyes = turned(wide, 30, 1.0, (0, 0))[:2] @ tilted[:, :2].T + tilted[:, 2]
    assert eyes[0, 1] == pytest.approx(eyes[1, 1], abs=1e-3) and eyes[0, 0] < eyes[1, 0]


def test_of_aligned_faces_the_centre_is_taken() -> None:
    spec = InputSpec(8, 1, "published", aligned_size=12)
    image = np.repeat(np.arange(144, dtype=np.uint8).reshape(12, 12, 1), 3, axis=2)
    assert (fit_aligned(image, spec)[:, :, 0] == image[2:10, 2:10, 0]).all()
    small = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert (fit_aligned(small, spec, as_it_is=True)[:, :, 0] == small[:, :, 0]).all()
