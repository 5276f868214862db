"""The five points of the faces that readers hand over: found by the packaged detector, or read from a file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.sources.stills import read_image
from affectkit.train.datasets.crops import cut_out, save
from affectkit.train.datasets.manifest import Points, Prepared
from affectkit.types import Array, UInt8

FindPoints = Callable[[UInt8], Array]
"""RGB picture -> (N, 5, 2) px, the points of its faces in falling order of confidence."""

SMALL = 0.5
"""A face of less than this share of the largest one's eye distance is not the one that a crop was cut for."""

PAD = 0.25
"""Share of the sides that is added around an aligned crop in which no face is found as it is."""


@contextmanager
def mtcnn() -> Iterator[FindPoints]:
    """The detector that ``predict`` uses, for as long as the context lasts."""
    from affectkit.picture import RgbPicture
    from affectkit.predictor import Predictor  # late: loads ONNX Runtime

    with Predictor() as predictor:

        def find(image: UInt8) -> Array:
            faces = predictor.detector.detect(image)
            settle = getattr(predictor.detector, "settle", None)  # as predictions have their points
            faces = faces if settle is None else settle(RgbPicture(image), faces)
            return np.stack([face.landmarks for face in faces]) if faces else np.empty((0, 5, 2), np.float32)

        yield find


def as_points(landmarks: Array) -> Points:
    """(5, 2) as a Row holds them: the shortest digits that give the same float32."""
    return tuple((float(str(x)), float(str(y))) for x, y in np.asarray(landmarks, np.float32))


def usable(landmarks: Array) -> bool:
    """Whether five points can say where a face is."""
    points = np.asarray(landmarks, np.float64)
    return bool(points.shape == (5, 2) and np.isfinite(points).all() and np.hypot(*(points[1] - points[0])) > 1e-3)


def nearest(found: Array, place: tuple[float, float]) -> Array | None:
    """Of (N, 5, 2) the face whose centre is nearest to a place; much smaller ones than the largest do not count."""
    if not len(found):
        return None
    eyes = np.hypot(*(found[:, 1] - found[:, 0]).T)
    distance = np.hypot(*(found.mean(1) - place).T)
    distance[eyes < SMALL * eyes.max()] = np.inf
    return np.asarray(found[int(np.argmin(distance))])


def in_crop(image: UInt8, find: FindPoints) -> Array | None:
    """The points (5, 2) of the face that a crop was cut for: the one in its middle.

    Where none is found the crop is tried once more with its border continued: tight crops leave the detector no room.
    """
    height, width = image.shape[:2]
    points = nearest(find(image), ((width - 1) / 2, (height - 1) / 2))
    if points is None:
        high, wide = round(PAD * height), round(PAD * width)
        padded = np.pad(image, ((high, high), (wide, wide), (0, 0)), "edge")
        points = nearest(find(padded), ((padded.shape[1] - 1) / 2, (padded.shape[0] - 1) / 2))
        points = None if points is None else points - np.array([wide, high], np.float32)
    return points


def of_picture(path: Path, find: FindPoints | None, prepared: Prepared) -> tuple[bool, Points | None]:
    """Whether a picture of one face can be used in its place, and its points; counts why not.

    Args:
        find: None: the whole picture is the crop, and it is not looked at.
    """
    if not path.is_file():
        prepared.drop("without a picture", path)
        return False, None
    if find is None:
        return True, None
    image = picture(path, prepared)
    if image is None:
        return False, None
    points = in_crop(image, find)
    if points is None:
        prepared.drop("no face found", path)
        return False, None
    return True, as_points(points)


def picture(path: Path, prepared: Prepared) -> UInt8 | None:
    """A picture; None, and counted, where it is damaged."""
    try:
        return read_image(path)
    except SourceError:
        prepared.drop("damaged picture", path)
        return None


def save_cut_out(image: UInt8, landmarks: Array, path: Path, where: object, prepared: Prepared) -> Points | None:
    """Write the surroundings of a face; its points there. None, and counted, where the points make no face."""
    try:
        part, points = cut_out(image, landmarks)
    except ValueError:
        prepared.drop("points that make no face", where)
        return None
    save(part, path)
    return as_points(points)


def read_landmarks(path: Path) -> dict[str, Array]:
    """``landmark5`` (5, 2) px by ``image`` of an npz; rows with NaN are left out.

    Raises:
        SourceError: it is none, or does not hold these.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            names, points = archive["image"], archive["landmark5"].astype(np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: cannot be read as landmarks ({error})") from error
    if points.shape != (len(names), 5, 2):
        raise SourceError(f"{path}: landmark5 must have shape ({len(names)}, 5, 2), got {points.shape}")
    return {str(name): five for name, five in zip(names, points, strict=True) if np.isfinite(five).all()}
