"""Faces whose five points are known: nothing has to be detected."""

from __future__ import annotations

import numpy as np

from affectkit.types import Array, Detection


def detections_at(landmarks: Array) -> list[Detection]:
    """Detections of score 1 at the points of N faces (N, 5, 2), px.

    Raises:
        ValueError: another shape, or not finite.
    """
    points = np.asarray(landmarks, np.float32)
    if points.ndim != 3 or points.shape[1:] != (5, 2):
        raise ValueError(f"landmarks must have shape (N, 5, 2), got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("landmarks must be finite numbers")
    return [Detection.at(five) for five in points]
