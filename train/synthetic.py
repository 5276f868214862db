"""Sequences made of single faces, for training and measuring what looks at time where there are no labelled videos.

A face is held for a while, then another one takes its place, at once or by blending. The head drifts a little all the
time. That is the clean sequence. What the network sees is the same with the disturbances that video has and that change
from frame to frame: an alignment that jitters, blur, compression, flicker, things that pass in front, and frames that
are missing. What it should say is what a teacher says of the clean frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from affectkit.spec import InputSpec
from affectkit.train.crops import crop_matrix, cropped
from affectkit.train.faces import FaceSet
from affectkit.types import Array, UInt8


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to the frames at severity 1; the amounts grow in proportion to the severity."""

    jitter: float = 0.045
    """Standard deviation of each landmark in each frame, as a fraction of the crop."""
    blur: float = 0.36
    """Share of the frames that are blurred, by up to ``blur_px``."""
    blur_px: float = 3.2
    compress: float = 0.8
    """Share of the sequences that are compressed, each frame on its own."""
    quality: tuple[int, int] = (8, 50)
    """JPEG qualities that a compressed sequence lies between."""
    flicker: float = 0.135
    """Standard deviation of a frame's gain; half of it as an offset of the range."""
    occlude: float = 0.08
    """Occlusions a frame; each lasts 2 to 6 frames."""
    occluded: float = 0.6
    """Largest side of what passes in front, as a fraction of the crop."""
    noise: float = 12.0
    """Largest standard deviation of a pixel, grey levels."""
    drop: float = 0.05
    """Share of the frames that are missing; the sequence closes over them."""


DISTURBANCE = Disturbance()
"""Fixed on the dev part of FER2013Train so that `lite` frame by frame loses about ten points at severity 1."""

HELD_FRAMES = (8, 40)
"""Shortest and longest time that a face is held."""

BLENDED = 0.6
"""Share of the changes that are blended, over ``BLEND_FRAMES``; the others are sudden."""

BLEND_FRAMES = (4, 14)


@dataclass(frozen=True, slots=True, eq=False)
class MadeSequence:
    """One sequence of N frames."""

    clean: UInt8
    """(N, S, S, C)"""
    disturbed: UInt8
    """(N, S, S, C)"""
    rows: npt.NDArray[np.int64]
    """(N,) row of the face that is shown; -1 while two are blended."""


def make_sequence(
    faces: FaceSet,
    spec: InputSpec,
    length: int,
    *,
    severity: float,
    rng: np.random.Generator,
    how: Disturbance = DISTURBANCE,
) -> MadeSequence:
    """Draw one sequence; the same for the same generator state.

    Args:
        faces: what it is made of; faces without landmarks are not used.
        severity: 0: the disturbed frames are the clean ones; 1: as ``how`` says.
    """
    usable = np.flatnonzero(~np.isnan(faces.landmarks).any((1, 2)))
    count = length + int(np.ceil(length * how.drop * severity * 2)) + 2  # some will be left out
    timeline = _timeline(count, usable, rng)
    drift = _drift(count, rng)
    kept = np.sort(rng.permutation(np.flatnonzero(_keeps(count, how.drop * severity, rng)))[:length])
    if len(kept) < length:
        kept = np.arange(length)
    trouble = Trouble(count, spec.size, severity, how, rng)
    clean = np.empty((length, spec.size, spec.size, spec.channels), np.uint8)
    disturbed = np.empty_like(clean)
    for k, i in enumerate(kept):
        first, second, share = timeline[i]
        clean[k] = _blended(faces, spec, first, second, share, drift[i], np.zeros((5, 2)))
        if severity == 0:
            disturbed[k] = clean[k]
            continue
        wobble = rng.normal(0, how.jitter * severity * spec.size, (5, 2))
        disturbed[k] = trouble.apply(_blended(faces, spec, first, second, share, drift[i], wobble), int(i))
    rows = np.array([first if share == 0 else -1 for first, _, share in (timeline[i] for i in kept)])
    return MadeSequence(clean, disturbed, rows)


def _timeline(count: int, usable: Array, rng: np.random.Generator) -> list[tuple[int, int, float]]:
    """For each frame: face, next face, share of the next one."""
    frames: list[tuple[int, int, float]] = []
    face = int(rng.choice(usable))
    frames += [(face, face, 0.0)] * int(rng.integers(1, HELD_FRAMES[1]))  # the clip may begin anywhere in a hold
    while len(frames) < count:
        following = int(rng.choice(usable))
        if rng.random() < BLENDED:
            steps = int(rng.integers(*BLEND_FRAMES))
            frames += [(face, following, (k + 1) / (steps + 1)) for k in range(steps)]
        face = following
        frames += [(face, face, 0.0)] * int(rng.integers(*HELD_FRAMES))
    return frames[:count]


def _drift(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(count, 4) slow turn (rad), zoom (log) and shift (fractions) of the head."""
    steps = rng.normal(0, 1, (count, 4))
    path = np.empty_like(steps)
    value = rng.normal(0, 1, 4)
    for i, step in enumerate(steps):
        value = 0.95 * value + np.sqrt(1 - 0.95**2) * step
        path[i] = value
    return np.asarray(path * [0.05, 0.03, 0.012, 0.012])


def _keeps(count: int, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    return rng.random(count) >= share


def _blended(
    faces: FaceSet, spec: InputSpec, first: int, second: int, share: float, drift: Array, wobble: Array
) -> UInt8:
    one = _posed(faces, spec, first, drift, wobble)
    if share == 0:
        return one
    other = _posed(faces, spec, second, drift, wobble)
    return np.asarray(cv2.addWeighted(one, 1 - share, other, share, 0), np.uint8).reshape(one.shape)


def _posed(faces: FaceSet, spec: InputSpec, row: int, drift: Array, wobble: Array) -> UInt8:
    """A face as the head stands at the moment, aligned by points that are off by ``wobble`` px."""
    size = spec.size
    turn, zoom, right, down = drift
    image = faces.image(row)
    matrix = crop_matrix(image, faces.landmarks[row], spec, wobble=wobble)
    centre = (size - 1) / 2
    c, s = np.exp(zoom) * np.cos(turn), np.exp(zoom) * np.sin(turn)
    linear = np.array([[c, -s], [s, c]])
    shift = centre + np.array([right, down]) * size - linear @ [centre, centre]
    posed = linear @ matrix + np.column_stack([np.zeros((2, 2)), shift])
    return cropped(image, posed, size, spec.channels)


class Trouble:
    """The disturbances of one sequence after the warp."""

    def __init__(self, count: int, size: int, severity: float, how: Disturbance, rng: np.random.Generator) -> None:
        self._rng, self._how, self._size, self._severity = rng, how, size, severity
        self._noise = rng.uniform(0, how.noise * severity)
        low, high = how.quality
        middle = rng.uniform(low, high) if rng.random() < how.compress * min(1.0, severity) else None
        self._quality = None if middle is None else 95 - (95 - middle) * min(1.0, severity)
        self._patches: dict[int, tuple[int, int, int, int, int]] = {}
        for start in np.flatnonzero(rng.random(count) < how.occlude * severity):
            height, width = (rng.uniform(0.2, how.occluded, 2) * size).astype(int)
            top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
            patch = top, left, int(height), int(width), int(rng.integers(0, 256))
            for i in range(int(start), int(start) + int(rng.integers(2, 7))):
                self._patches[i] = patch

    def apply(self, crop: UInt8, i: int) -> UInt8:
        """Frame ``i`` of the sequence as a camera and a codec leave it."""
        rng, how, shape = self._rng, self._how, crop.shape
        if i in self._patches:
            top, left, height, width, level = self._patches[i]
            crop = crop.copy()
            crop[top : top + height, left : left + width] = level
        if rng.random() < how.blur * min(1.0, self._severity):
            sigma = float(rng.uniform(0.5, max(0.6, how.blur_px * self._severity)))
            crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8).reshape(shape)
        gain = 1 + rng.normal(0, how.flicker * self._severity)
        offset = 255 * rng.normal(0, how.flicker * self._severity / 2)
        changed = crop * gain + offset + rng.normal(0, 1, shape) * self._noise
        crop = np.clip(changed, 0, 255).astype(np.uint8)
        if self._quality is not None:
            quality = int(np.clip(self._quality + rng.normal(0, 5), 5, 95))
            _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
            crop = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8).reshape(shape)
        return crop
