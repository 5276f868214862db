"""Pictures that wait for what is said of them, until they are drawn: in bounded memory, however many and large."""

from __future__ import annotations

import math
import tempfile
from collections import deque
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from affectkit.batch import MAX_PIXELS
from affectkit.picture import RgbPicture
from affectkit.types import Picture, TrackedFrame, UInt8

MOST_PIXELS = MAX_PIXELS
"""Of pictures that are held as they were decoded: those of a batch."""

PACKED_QUALITY = 95
"""Of the JPEGs that further ones are packed into. The annotated video itself keeps less."""

PART_BYTES = 32 << 20
"""Of packed pictures in one temporary file."""


class _Part:
    """A temporary file of packed pictures; it has no name, so that it goes with the process."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # until the last one is taken
        self.length, self.waiting = 0, 0

    def add(self, data: bytes) -> tuple[int, int]:
        """Append; return where it lies."""
        self._file.seek(self.length)
        self._file.write(data)
        place = self.length, len(data)
        self.length, self.waiting = self.length + len(data), self.waiting + 1
        return place

    def take(self, start: int, length: int) -> bytes:
        """What lies there. The file is gone with the last one."""
        self._file.seek(start)
        data = self._file.read(length)
        self.waiting -= 1
        if not self.waiting:
            self._file.close()
        return data

    def close(self) -> None:
        """Let go of everything."""
        self._file.close()


class KeptPictures:
    """Takes pictures in order, and gives them back in the same order, not much larger than they are drawn.

    A model that looks at sequences, and smoothing, answer hundreds of frames later. The first pictures are held as they
    are; those over MOST_PIXELS are packed into temporary files.
    """

    def __init__(self, folder: Path, most: tuple[int, int]) -> None:
        """Set up.

        Args:
            folder: for temporary files, where there is room for the annotated video as well.
            most: width and height, px, of which nothing needs to be larger.
        """
        self._folder, self._most = folder, most
        self._held: deque[tuple[int, Picture | tuple[_Part, int, int], int]] = deque()
        self._pixels = 0
        self._part: _Part | None = None

    def add(self, tracked: TrackedFrame) -> None:
        """Take the next frame's picture.

        Raises:
            OSError: it has to be packed, and the disk is full.
        """
        frame = tracked.frame
        height, width = frame.picture.shape
        if self._pixels + width * height <= MOST_PIXELS or not self._held:
            self._pixels += width * height
            self._held.append((frame.index, frame.picture, 1))
            return
        image, reduced = self._small(frame.picture.rgb())
        done, packed = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, PACKED_QUALITY]
        )
        assert done
        if self._part is None or self._part.length >= PART_BYTES or not self._part.waiting:
            self._part = _Part(self._folder)
        self._held.append((frame.index, (self._part, *self._part.add(packed.tobytes())), reduced))

    def _small(self, image: UInt8) -> tuple[UInt8, int]:
        """At a whole fraction of its size, and which one: no smaller than it is drawn."""
        height, width = image.shape[:2]
        reduced = max(1, math.floor(max(width / self._most[0], height / self._most[1])))
        if reduced == 1:
            return image, 1
        size = -(-width // reduced), -(-height // reduced)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), reduced

    def take(self, index: int) -> tuple[Picture, int]:
        """The picture of a frame, and how many pixels one of its sides is made of; earlier ones go."""
        while True:
            number, held, reduced = self._held.popleft()
            if isinstance(held, tuple):
                part, start, length = held
                data = part.take(start, length)
                if number == index:
                    packed = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                    return RgbPicture(
                        np.asarray(cv2.cvtColor(np.asarray(packed), cv2.COLOR_BGR2RGB), np.uint8)
                    ), reduced
            else:
                self._pixels -= held.shape[0] * held.shape[1]
                if number == index:
                    return held, 1

    def close(self) -> None:
        """Let go of everything."""
        for _, held, _ in self._held:
            if isinstance(held, tuple):
                held[0].close()
        if self._part is not None:
            self._part.close()
        self._held.clear()
