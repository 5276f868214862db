"""Random disturbances of training pictures, from one seed a draw."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from affectkit.spec import InputSpec
from affectkit.train.crops import crop_matrix, cropped
from affectkit.train.occlusion import UPRIGHT_DEG, cover, no_face
from affectkit.types import Array, UInt8


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training pictures are disturbed: the sets are sharp, frontal and grey, faces in video are not."""

    rotate_deg: float = 10.0
    scale: float = 0.10
    """Largest change of size, as a fraction."""
    shift: float = 0.04
    """Largest shift, as a fraction of the crop."""
    point_noise: float = 0.02
    """Standard deviation of each landmark, as a fraction of the crop: detectors disagree by about that."""
    small: float = 0.35
    """Probability of a face with fewer pixels than the crop, down to ``smallest``."""
    smallest: float = 0.375
    """As a fraction of the crop: 24 of 64 px."""
    blur: float = 0.25
    compress: float = 0.25
    light: float = 0.6
    noise: float = 0.25
    occlude: float = 0.25
    whole_px: bool = False
    """Shift by whole pixels, as a random crop of a larger picture does."""
    cover: float = 0.0
    """Probability that something lies over the face, see :mod:`affectkit.train.occlusion`."""
    turn: float = 0.0
    """Probability of a face that is turned by over 45 degrees in its crop, which is then taught to be invisible."""
    elsewhere: float = 0.0
    """Probability of a crop that shows no face."""


AUGMENTATIONS: dict[str, Augmentation] = {
    "full": Augmentation(),
    "light": Augmentation(
        rotate_deg=7.0,
        scale=0.07,
        shift=0.03,
        point_noise=0.015,
        small=0.2,
        blur=0.1,
        compress=0.1,
        light=0.5,
        noise=0.1,
        occlude=0.05,
    ),
    "covered": Augmentation(
        scale=0.15, shift=0.05, small=0.3, blur=0.2, occlude=0.0, cover=0.25, turn=0.04, elsewhere=0.04
    ),
    "covered-light": Augmentation(
        rotate_deg=8.0,
        scale=0.10,
        shift=0.04,
        point_noise=0.015,
        small=0.2,
        blur=0.1,
        compress=0.1,
        light=0.5,
        noise=0.1,
        occlude=0.0,
        cover=0.2,
        turn=0.04,
        elsewhere=0.06,
    ),
    "paper": Augmentation(
        rotate_deg=0.0,
        scale=0.0,
        shift=11 / 112,
        point_noise=0.0,
        small=0.0,
        blur=0.0,
        compress=0.0,
        light=0.0,
        noise=0.0,
        occlude=0.0,
        whole_px=True,
    ),
}
"""``full`` to learn from nothing; ``light`` for the last epochs, nearer to what the network will mostly be shown;
``covered``: in wider variety, with things over the face, faces on their head and crops without one, for networks that
are to say what they can see; ``covered-light``: the same, less disturbed otherwise, for their last epochs;
``paper``: a random crop of 112 px of a face of 134, and a flip."""


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """A disturbed crop and what that did to the face."""

    crop: UInt8
    """(S, S, C)."""
    linear: Array
    """(2, 2) of the matrix from the picture to the crop; mirrored where its determinant is negative."""
    seen: Array | None
    """(3,) shares of what was visible of brows, eyes and mouth that still are; None: nothing was covered."""
    face: bool
    """Whether there is a face, and upright."""


def augment(image: UInt8, landmarks: Array, spec: InputSpec, how: Augmentation, rng: np.random.Generator) -> UInt8:
    """A disturbed crop (S, S, C); the same for the same generator state."""
    return disturb(image, landmarks, spec, how, rng).crop


def disturb(image: UInt8, landmarks: Array, spec: InputSpec, how: Augmentation, rng: np.random.Generator) -> Disturbed:
    """A disturbed crop and what can be seen in it; the same for the same generator state."""
    size = spec.size
    known = not np.isnan(landmarks).any()
    wobble = rng.normal(0, how.point_noise * size, (5, 2)) if known and how.point_noise else None
    matrix = crop_matrix(image, landmarks, spec, wobble=wobble)
    angle = np.deg2rad(rng.uniform(-how.rotate_deg, how.rotate_deg))
    face = True
    if how.turn and rng.random() < how.turn:
        angle, face = np.deg2rad(rng.uniform(UPRIGHT_DEG + 15, 345 - UPRIGHT_DEG)), False
    zoom = np.exp(rng.uniform(-1, 1) * np.log1p(how.scale))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    centre = (size - 1) / 2
    turn = zoom * np.array([[np.cos(angle) * flip, -np.sin(angle)], [np.sin(angle) * flip, np.cos(angle)]])
    if how.whole_px:
        most = round(how.shift * size)
        offset = rng.integers(-most, most + 1, 2).astype(np.float64)
    else:
        offset = rng.uniform(-how.shift, how.shift, 2) * size
    gone = bool(how.elsewhere) and rng.random() < how.elsewhere
    beside = gone and rng.random() < 0.5
    if beside or not face:  # beside the face: forehead, neck, background; points of a face on its head are off, too
        far = rng.uniform(0.55, 0.95) if beside else rng.uniform(0, 0.3)
        towards = rng.uniform(0, 2 * np.pi)
        offset = offset + far * size * np.array([np.cos(towards), np.sin(towards)])
    shift = centre + offset - turn @ [centre, centre]
    matrix = turn @ matrix + np.column_stack([np.zeros((2, 2)), shift])
    whole = matrix
    target = size
    if rng.random() < how.small:
        target = int(rng.integers(max(1, round(how.smallest * size)), size))
        matrix = matrix * (target / size)
    crop = cropped(image, matrix, target, spec.channels)
    if target != size:
        enlarged = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
        crop = np.asarray(enlarged, np.uint8).reshape(size, size, -1)
    seen = None
    if face and known and not gone and how.cover and rng.random() < how.cover:
        points = landmarks @ whole[:, :2].T + whole[:, 2]  # (5, 2) px of the crop
        if np.linalg.det(whole[:, :2]) < 0:
            points = points[[1, 0, 2, 4, 3]]  # mirrored: left stays left as seen
        covered = cover(crop, points, rng)
        crop, seen = covered.crop, covered.seen
    if gone:
        crop, face = crop if beside else no_face(crop, rng), False
    return Disturbed(_disturb(crop, how, rng), whole[:, :2], seen, face)


def _disturb(crop: UInt8, how: Augmentation, rng: np.random.Generator) -> UInt8:
    size, channels = crop.shape[0], crop.shape[2]
    if rng.random() < how.light:
        x = np.linspace(0, 1, 256, dtype=np.float32) ** np.exp(rng.uniform(-0.5, 0.5))
        x = (x - 0.5) * np.exp(rng.uniform(-0.5, 0.2)) + 0.5 + rng.uniform(-0.15, 0.15)
        crop = np.clip(x * 255, 0, 255).astype(np.uint8)[crop]
        if rng.random() < 0.5:  # light from one side
            direction = rng.uniform(0, 2 * np.pi)
            ramp = np.linspace(-1, 1, size, dtype=np.float32)
            shade = 1 + rng.uniform(0, 0.5) * (np.cos(direction) * ramp[None, :] + np.sin(direction) * ramp[:, None])
            crop = np.clip(crop * shade[:, :, None], 0, 255).astype(np.uint8)
    if rng.random() < how.occlude:
        height, width = (rng.uniform(0.1, 0.4, 2) * size).astype(int)
        top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
        crop = crop.copy()
        crop[top : top + height, left : left + width] = rng.integers(0, 256)
    if rng.random() < how.blur:
        sigma = float(rng.uniform(0.4, 1.5))
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8).reshape(size, size, channels)
    if rng.random() < how.noise:
        crop = np.clip(crop + rng.normal(0, rng.uniform(1, 10), crop.shape), 0, 255).astype(np.uint8)
    if rng.random() < how.compress:
        quality = int(rng.integers(20, 90))
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        crop = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(crop)
