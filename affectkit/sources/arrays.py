"""Pictures that are in memory, or come from an iterator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sized

import numpy as np

from affectkit.errors import SourceError
from affectkit.picture import RgbPicture
from affectkit.sources.base import Described, SourceInfo, SourceReport
from affectkit.sources.span import Span
from affectkit.types import Array, Frame, UInt8, check_image


class ArraySource(Described):
    """Pictures that are in memory or come from an iterator."""

    def __init__(self, arrays: Iterable[Array], *, fps: float | None = None) -> None:
        if fps is not None and not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self._arrays = arrays
        self._fps = fps
        self._report = SourceReport()
        length = len(arrays) if isinstance(arrays, Sized) else None
        shape = arrays.shape if isinstance(arrays, np.ndarray) else None
        self._info = SourceInfo(
            name="array",
            width=shape[2] if shape else None,
            height=shape[1] if shape else None,
            frames=length,
            fps=fps,
            rotation_deg=0,
            has_audio=False,
            paced=length is None,
        )

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """See :class:`Source`."""
        self._report = report = SourceReport()
        span = Span(start_s, end_s, every, first)
        for image, index, time_s in span.of(self._numbered(report)):
            yield Frame(index, time_s, RgbPicture(image), "array")
        if not report.frames:
            raise SourceError("array: no pictures; an iterator can be read once only, open a new one to read again")
        span.check("array")

    def _numbered(self, report: SourceReport) -> Iterator[tuple[UInt8, int, float]]:
        for index, image in enumerate(self._arrays):
            checked = check_image(image, f"frame {index}")
            report.frames += 1
            yield checked, index, index / self._fps if self._fps else math.nan
