"""The crop of a face that a network is given, made as the SDK makes it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from affectkit.align import face_matrix, fit_aligned
from affectkit.picture import RgbPicture, to_channels, warp
from affectkit.spec import InputSpec
from affectkit.train.faces import FaceSet
from affectkit.types import Array, Float32, UInt8


def crop_matrix(image: UInt8, landmarks: Array, spec: InputSpec, *, wobble: Array | None = None) -> Float32:
    """(2, 3) picture -> crop: by the five points; without them the whole picture, or by ``aligned_size`` its middle.

    Args:
        wobble: (5, 2) px of the crop by which the points are off, as a detector's are.
    """
    if not np.isnan(landmarks).any():
        matrix = face_matrix(landmarks, spec)
        if wobble is None:
            return matrix
        # Moved where they are found, so that every template reacts as it would to a detector that errs so.
        return face_matrix(landmarks + wobble @ np.linalg.inv(matrix[:, :2]).T, spec)
    height, width = image.shape[:2]
    side = spec.aligned_size or spec.size
    fx, fy, cut_off = side / width, side / height, (side - spec.size) // 2
    return np.array([[fx, 0, (fx - 1) / 2 - cut_off], [0, fy, (fy - 1) / 2 - cut_off]], np.float32)


def crop_of(image: UInt8, landmarks: Array, spec: InputSpec) -> UInt8:
    """The crop that the network is given, (S, S, C), exactly as the SDK makes it."""
    if np.isnan(landmarks).any():
        return fit_aligned(image, spec)
    return cropped(image, crop_matrix(image, landmarks, spec), spec.size, spec.channels)


def cropped(image: UInt8, matrix: Array, size: int, channels: int) -> UInt8:
    """The square (size, size, C) along ``matrix`` (2, 3) that the SDK would take, of a grey or an RGB picture."""
    if image.ndim == 3:  # luma is taken before anything is sampled, there and here
        return RgbPicture(image).crop(matrix, size, channels)
    return to_channels(warp(image, matrix, size), channels)


def crop_all(faces: FaceSet, rows: Iterable[int], spec: InputSpec) -> UInt8:
    """The crops of some faces of a set, (N, S, S, C), without disturbance."""
    return np.stack([crop_of(faces.image(i), faces.landmarks[i], spec) for i in rows])
