"""Five points -> similarity warp -> crop, by the template that the model's spec names.

Training cuts its faces with the same functions, so the network meets the same geometry in both places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from affectkit.spec import InputSpec
from affectkit.types import Array, CroppedFrame, Float32, TrackedFrame, UInt8


def similarity(source: Array, target: Array) -> Float32:
    """Rotation, uniform scale and shift that bring ``source`` closest to ``target``.

    The least-squares solution of Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991, eq. 40-42, without reflection.

    Args:
        source: (P, 2) points, P >= 2, not all at one place.
        target: (P, 2) where they should go.

    Returns:
        (2, 3) matrix M with ``target ~ M @ (x, y, 1)``.

    Raises:
        ValueError: the shapes differ, a coordinate is not finite, or the source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(f"points must be two arrays (P, 2) with P >= 2, got {source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points must be finite numbers")
    source_mean, target_mean = source.mean(0), target.mean(0)
    # As complex numbers a rotation with scale is one factor; the least-squares one is <source, target> / |source|^2.
    z = (source - source_mean) @ np.array([1, 1j])
    w = (target - target_mean) @ np.array([1, 1j])
    energy = float((np.abs(z) ** 2).sum())
    if energy < 1e-12:
        raise ValueError("the points coincide, so they say nothing about scale and rotation")
    factor = complex((np.conj(z) * w).sum()) / energy
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    shift = target_mean - linear @ source_mean
    return np.column_stack([linear, shift]).astype(np.float32)


def warp(image: UInt8, matrix: Array, size: int) -> UInt8:
    """Cut a square of ``size`` px out of ``image`` along ``matrix`` (2, 3), picture -> crop.

    Sampled bilinearly; a face larger than the crop is first shrunk by area averaging, or small structures would alias
    away. Beyond the picture its border continues.

    Args:
        image: (H, W) or (H, W, 3) uint8.

    Returns:
        (size, size) or (size, size, 3) uint8.
    """
    matrix = np.asarray(matrix, np.float64)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    shrink = int(1 / scale) if scale > 0 else 1
    if shrink >= 2:
        inverse = cv2.invertAffineTransform(matrix)
        corners = np.array([[-1, -1], [size, -1], [size, size], [-1, size]]) @ inverse[:, :2].T + inverse[:, 2]
        height, width = image.shape[:2]
        x0, y0 = np.clip(np.floor(corners.min(0)).astype(int) - shrink, 0, [width - 1, height - 1])
        x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + shrink + 1, [x0 + 1, y0 + 1], [width, height])
        # A whole number of cells, so that every cell averages exactly shrink x shrink pixels.
        cells_x, cells_y = max(1, int(x1 - x0) // shrink), max(1, int(y1 - y0) // shrink)
        region = image[y0 : y0 + cells_y * shrink, x0 : x0 + cells_x * shrink]
        image = np.asarray(cv2.resize(region, (cells_x, cells_y), interpolation=cv2.INTER_AREA), np.uint8)
        # The centre of cell i lies at shrink * i + (shrink - 1) / 2 of the region.
        step_x, step_y = region.shape[1] / cells_x, region.shape[0] / cells_y
        cell_to_picture = np.array([[step_x, 0, x0 + (step_x - 1) / 2], [0, step_y, y0 + (step_y - 1) / 2], [0, 0, 1]])
        matrix = matrix @ cell_to_picture
    crop = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def crop_face(image: UInt8, landmarks: Array, spec: InputSpec) -> UInt8:
    """The aligned face, (S, S, C) uint8 with C = 1 luma or 3 RGB as ``spec`` says.

    Args:
        image: RGB (H, W, 3) uint8.
        landmarks: (5, 2) px: eyes, nose tip, mouth corners.
    """
    crop = warp(image, face_matrix(landmarks, spec), spec.size)
    return to_channels(crop, spec.channels)


def face_matrix(landmarks: Array, spec: InputSpec) -> Float32:
    """(2, 3) matrix, picture -> crop, that brings five points (5, 2) px to where the spec wants them."""
    if spec.template == "published":
        return _published_matrix(np.asarray(landmarks, np.float64), spec)
    return similarity(landmarks, spec.template_px())


def _published_matrix(points: Array, spec: InputSpec) -> Float32:
    """The cut of the published network (reference: its authors' code for videos of one's own).

    Rotated so that the eyes are level; a square around the middle between eye centre and mouth centre, with the side
    2 * max(distance of the eyes, height from eyes to mouth), of which ``margin`` is shown.
    """
    across = points[1] - points[0]
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    distance = float(np.hypot(*across))
    if not np.isfinite(points).all() or distance < 1e-6:
        raise ValueError("the eyes coincide or are unknown, so they say nothing about scale and rotation")
    cosine, sine = across / distance
    height = abs(float(cosine * (mouth - eyes)[1] - sine * (mouth - eyes)[0]))  # across the line of the eyes
    side = 2 * max(distance, height) * spec.margin
    linear = spec.size / side * np.array([[cosine, sine], [-sine, cosine]])
    shift = (spec.size - 1) / 2 - linear @ ((eyes + mouth) / 2)
    return np.column_stack([linear, shift]).astype(np.float32)


def to_channels(image: UInt8, channels: int) -> UInt8:
    """RGB (H, W, 3) or luma (H, W) or (H, W, 1) to (H, W, channels)."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if channels == 1:
        luma = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(luma, np.uint8)[:, :, None]
    return np.asarray(image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)


def fit_aligned(image: UInt8, spec: InputSpec, *, as_it_is: bool = False) -> UInt8:
    """A picture that is an aligned face already, resized to the model's input, (S, S, C).

    Where the spec has an ``aligned_size``, it is resized to that and its centre taken.

    Args:
        as_it_is: a picture of the input's size is the input: nothing is cut from it.
    """
    height, width = image.shape[:2]
    if (height, width) != (spec.size, spec.size) or (spec.aligned_size and not as_it_is):
        side = spec.aligned_size or spec.size
        interpolation = cv2.INTER_AREA if height >= side and width >= side else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), np.uint8)
        first = (side - spec.size) // 2
        image = image[first : first + spec.size, first : first + spec.size]
    return to_channels(image, spec.channels)


def align(frames: Iterable[TrackedFrame], spec: InputSpec) -> Iterator[CroppedFrame]:
    """Cut every tracked face out of its frame; lazy, one frame in, one frame out."""
    for tracked in frames:
        yield crop_frame(tracked, spec)


def crop_frame(tracked: TrackedFrame, spec: InputSpec) -> CroppedFrame:
    """One frame's aligned faces."""
    crops = [crop_face(tracked.frame.image, face.detection.landmarks, spec) for face in tracked.faces]
    return CroppedFrame(tracked, _stacked(crops, spec))


def take_whole(frames: Iterable[TrackedFrame], spec: InputSpec) -> Iterator[CroppedFrame]:
    """Like :func:`align` for pictures that are aligned faces already: the whole picture is the crop."""
    for tracked in frames:
        crops = [fit_aligned(tracked.frame.image, spec) for _ in tracked.faces]
        yield CroppedFrame(tracked, _stacked(crops, spec))


def _stacked(crops: list[UInt8], spec: InputSpec) -> UInt8:
    """(N, S, S, C), also for no crops."""
    return np.stack(crops) if crops else np.empty((0, spec.size, spec.size, spec.channels), np.uint8)
