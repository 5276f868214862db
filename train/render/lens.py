"""What a camera, a codec and a small face do to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.types import Array, UInt8


@dataclass(frozen=True, slots=True, eq=False)
class Flaws:
    """Disturbances of a picture, the same for all frames of a sequence."""

    whiteness: Array
    """(3,) gains."""
    contrast: float
    brightness: float
    blur: float
    """Sigma, px of the final picture."""
    motion: float
    """Length, px."""
    motion_angle: float
    shrink: float
    """The face was this many times smaller."""
    noise: float
    """Sigma, of 255."""
    quality: int
    """Of JPEG; 0: none."""
    grey: bool


def flaws(rng: np.random.Generator, whiteness: Array, *, clean: bool = False) -> Flaws:
    """Draw them by lot; more than half of the pictures have hardly any."""
    hard = 0.0 if clean or rng.random() < 0.55 else rng.uniform(0.2, 1.0)
    return Flaws(
        whiteness=whiteness,
        contrast=float(np.clip(rng.normal(1, 0.18), 0.5, 1.6)),
        brightness=float(rng.normal(0, 14)),
        blur=float(rng.exponential(0.5) * hard),
        motion=float(rng.uniform(2, 7)) if hard and rng.random() < 0.12 else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        shrink=float(rng.uniform(1.0, 3.2)) if hard and rng.random() < 0.3 else 1.0,
        noise=float(rng.exponential(5) * hard),
        quality=int(rng.integers(25, 90)) if hard and rng.random() < 0.5 else 0,
        grey=bool(rng.random() < 0.12),
    )


def develop(rng: np.random.Generator, picture: Array, size: int, how: Flaws) -> UInt8:
    """A composed picture (S, S, 3), 0..255, as it is kept: (size, size, 3) RGB."""
    image: Array = np.asarray(cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA))
    image = (image * how.whiteness.astype(np.float32) - 128) * np.float32(how.contrast) + np.float32(
        128 + how.brightness
    )
    if how.motion:
        image = np.asarray(cv2.filter2D(image, -1, _streak(how.motion, how.motion_angle)))
    if how.blur > 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), how.blur))
    small = max(round(size / how.shrink), 24)
    if small < size:
        image = np.asarray(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA))
    if how.noise > 0.3:
        image = image + rng.normal(0, how.noise, image.shape).astype(np.float32)
    done: Array = np.clip(image, 0, 255).astype(np.uint8)
    if how.quality:
        data = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, how.quality])[1]
        done = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    if small < size:
        done = np.asarray(cv2.resize(done, (size, size), interpolation=cv2.INTER_CUBIC))
    if how.grey:
        done = np.asarray(cv2.cvtColor(cv2.cvtColor(done, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))
    return np.asarray(done, np.uint8)


def _streak(length: float, angle: float) -> Array:
    """The kernel of a movement."""
    reach = int(length) | 1
    kernel = np.zeros((reach, reach), np.float32)
    middle = (reach - 1) / 2
    by = middle * np.asarray([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.round(middle + sign * by)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
