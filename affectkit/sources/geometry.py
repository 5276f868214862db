"""How a decoded picture becomes the one that is shown: stretched, turned, mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
import av.stream
import cv2
import numpy as np

from affectkit.sources.orientation import display_matrix
from affectkit.types import UInt8


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a decoded picture becomes the one that is shown."""

    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
    """Signs (a, b, c, d) of the display matrix: picture (x, y) is shown at (a x + c y, b x + d y)."""
    stretch: Fraction = Fraction(1)
    """Width of a stored pixel over its height."""

    @property
    def transposed(self) -> bool:
        """Whether rows and columns change places."""
        return self.matrix[0] == 0

    @property
    def rotation_deg(self) -> int:
        """Clockwise; after mirroring left and right where ``mirrored``."""
        a, b, _, _ = self.matrix
        if self.mirrored:
            a, b = -a, -b
        return {(1, 0): 0, (0, 1): 90, (-1, 0): 180, (0, -1): 270}[a, b]

    @property
    def mirrored(self) -> bool:
        """Whether left and right are exchanged, as front cameras do."""
        a, b, c, d = self.matrix
        return a * d - b * c < 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as shown."""
        width = max(1, round(width * self.stretch))
        return (height, width) if self.transposed else (width, height)

    @property
    def does_nothing(self) -> bool:
        """Whether pictures are shown as they are stored."""
        return self.matrix == (1, 0, 0, 1) and self.stretch == 1

    def apply(self, image: UInt8) -> UInt8:
        """Stretch to square pixels, then turn and mirror; a picture (H, W, 3), or one plane of it (H, W)."""
        if self.does_nothing:
            return image
        if self.stretch != 1:
            size = max(1, round(image.shape[1] * self.stretch)), image.shape[0]
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        a, b, c, d = self.matrix
        if self.transposed:
            image = image.swapaxes(0, 1)  # now columns run along the old y and rows along the old x
            image = image[:: b or 1, :: c or 1]
        else:
            image = image[:: d or 1, :: a or 1]
        return np.ascontiguousarray(image)

    @classmethod
    def of(cls, frame: av.VideoFrame, stream: av.VideoStream) -> Geometry:
        """Read the display matrix that the container attached to the frame, and the stream's pixel shape."""
        ratio = stream.sample_aspect_ratio
        known = ratio is not None and ratio.numerator > 0 and ratio.denominator > 0
        stretch = Fraction(ratio.numerator, ratio.denominator) if ratio is not None and known else Fraction(1)
        if not Fraction(1, 10) < stretch < 10:  # absurd values mean unknown
            stretch = Fraction(1)
        m = display_matrix(frame)
        if m is None:
            return cls(stretch=stretch)
        if max(abs(m[0]), abs(m[3])) >= max(abs(m[1]), abs(m[2])):  # turns between quarter turns are rounded
            m[[1, 2]] = 0
        else:
            m[[0, 3]] = 0
        a, b, c, d = (int(value) for value in np.sign(m))
        return cls((a, b, c, d), stretch) if a * d - b * c else cls(stretch=stretch)
