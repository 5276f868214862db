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
    return [Detection(_box_around(five), 1.0, five) for five in points]


def _box_around(points: Array) -> tuple[float, float, float, float]:
    """A box like a detector's around five points: about 2.2 inter-ocular distances wide."""
    low, high = points.min(0), points.max(0)
    margin = 0.6 * float(np.linalg.norm(points[1] - points[0]))
    return (
        float(low[0] - margin),
        float(low[1] - 1.3 * margin),
        float(high[0] - low[0] + 2 * margin),
        float(high[1] - low[1] + 2.1 * margin),
    )
