"""Five points -> similarity warp -> crop, by the template that the model's spec names.

Training cuts its faces with the same functions, so the network meets the same geometry in both places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from affectkit.picture import NO_PICTURE, RgbPicture, to_channels
from affectkit.spec import InputSpec
from affectkit.types import Array, CroppedFrame, Float32, Picture, TrackedFrame, UInt8
from affectkit.visibility import inside


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
    source, target = np.asarray(source), np.asarray(target)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ValueError(f"points must be two arrays (P, 2) with P >= 2, got {source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points must be finite numbers")
    # As complex numbers a rotation with scale is one factor; the least-squares one is <source, target> / |source|^2.
    # In plain Python: for five points that is several times as fast as numpy.
    z, w = ([complex(x, y) for x, y in points.tolist()] for points in (source, target))
    z_mean, w_mean = sum(z) / len(z), sum(w) / len(w)
    energy = sum(abs(a - z_mean) ** 2 for a in z)
    if energy < 1e-12:
        raise ValueError("the points coincide, so they say nothing about scale and rotation")
    factor = sum((a - z_mean).conjugate() * (b - w_mean) for a, b in zip(z, w, strict=True)) / energy
    shift = w_mean - factor * z_mean
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.array(rows, np.float32)


def crop_face(image: UInt8 | Picture, landmarks: Array, spec: InputSpec) -> UInt8:
    """The aligned face, (S, S, C) uint8 with C = 1 luma or 3 RGB as ``spec`` says.

    Args:
        image: RGB (H, W, 3) uint8, or a frame's picture.
        landmarks: (5, 2) px: eyes, nose tip, mouth corners.
    """
    picture = RgbPicture(image) if isinstance(image, np.ndarray) else image
    return picture.crop(face_matrix(landmarks, spec), spec.size, spec.channels)


def face_matrix(landmarks: Array, spec: InputSpec) -> Float32:
    """(2, 3) matrix, picture -> crop, that brings five points (5, 2) px to where the spec wants them."""
    if spec.template == "published":
        return _published_matrix(np.asarray(landmarks, np.float64), spec)
    return similarity(landmarks, spec.template_px())


def _published_matrix(points: Array, spec: InputSpec) -> Float32:
    """The crop of the published network (reference: its authors' code for videos of one's own).

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


def align(frames: Iterable[TrackedFrame], spec: InputSpec, *, keep_pictures: bool = True) -> Iterator[CroppedFrame]:
    """Cut every tracked face out of its frame; lazy, one frame in, one frame out.

    Args:
        keep_pictures: whether the frames are handed on with their pictures, or without, so that none wait in memory.
    """
    for tracked in frames:
        cropped = crop_frame(tracked, spec)
        yield cropped if keep_pictures else dataclasses.replace(cropped, tracked=without_picture(tracked))


def without_picture(tracked: TrackedFrame) -> TrackedFrame:
    """The same frame with a single black pixel in place of its picture."""
    return dataclasses.replace(tracked, frame=dataclasses.replace(tracked.frame, picture=NO_PICTURE))


def crop_frame(tracked: TrackedFrame, spec: InputSpec) -> CroppedFrame:
    """One frame's aligned faces."""
    picture, points = tracked.frame.picture, [face.detection.landmarks for face in tracked.faces]
    crops = [crop_face(picture, five, spec) for five in points]
    height, width = picture.shape
    shares = np.array([inside(five, width, height) for five in points]).reshape(-1, 3)
    return CroppedFrame(tracked, _stacked(crops, spec), shares)


def take_whole(
    frames: Iterable[TrackedFrame], spec: InputSpec, *, keep_pictures: bool = True
) -> Iterator[CroppedFrame]:
    """Like :func:`align` for pictures that are aligned faces already: the whole picture is the crop."""
    for tracked in frames:
        crops = [fit_aligned(tracked.frame.image, spec) for _ in tracked.faces]
        yield CroppedFrame(tracked if keep_pictures else without_picture(tracked), _stacked(crops, spec))


def _stacked(crops: list[UInt8], spec: InputSpec) -> UInt8:
    """(N, S, S, C), also for no crops."""
    return np.stack(crops) if crops else np.empty((0, spec.size, spec.size, spec.channels), np.uint8)
