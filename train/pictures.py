"""Pictures of training sets as arrays, from zips and from single files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from affectkit.errors import SourceError
from affectkit.types import UInt8


def read_images(path: Path, names: Sequence[str]) -> tuple[UInt8, ...]:
    """Pictures of a zip, grey (H, W) or RGB (H, W, 3), in the order of their names.

    Raises:
        SourceError: the zip or a picture is damaged or missing.
    """
    images = []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                images.append(_decode(np.frombuffer(archive.read(name), np.uint8), f"{path}: {name}"))
    except KeyError as error:
        raise SourceError(f"{path}: {error.args[0]}; every image of the label file must be in it") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: cannot be read as a zip ({error})") from error
    return tuple(images)


def read_picture(path: Path) -> UInt8:
    """One picture, grey (H, W) or RGB (H, W, 3); the path may lead into a zip, as in ``pictures/7.zip/3.jpg``.

    Raises:
        SourceError: it is damaged or missing.
    """
    try:
        if path.parent.suffix == ".zip" and path.parent.is_file():
            return _decode(np.frombuffer(_archive(path.parent).read(path.name), np.uint8), str(path))
        return _decode(np.fromfile(path, np.uint8), str(path))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: is not in the zip, or the zip is damaged ({error})") from error


@lru_cache(maxsize=64)
def _archive(path: Path) -> zipfile.ZipFile:
    """A zip of pictures, kept open: a manifest names pictures of a few of them in any order."""
    return zipfile.ZipFile(path)


def _decode(data: UInt8, where: str) -> UInt8:
    """The picture in a file's bytes: grey (H, W) or RGB (H, W, 3)."""
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None or image.dtype != np.uint8:
        raise SourceError(f"{where} is not an 8-bit picture")
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
