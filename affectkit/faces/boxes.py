"""Boxes x, y, width, height in px, and whether two detections are of one face."""

from __future__ import annotations

import math

import numpy as np

from affectkit.types import Detection

Box = tuple[float, float, float, float]

SAME_POINTS = 0.15
"""Mean distance of their points up to which two detections are one face, in sides of its box."""

RESTING = 0.002
"""Share of a face's side by which its points have to move, or they stay where they were: looked for again in the same
picture they come out by half of that elsewhere, and so would a decision that is close to its threshold."""


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def same_face(a: Detection, b: Detection) -> bool:
    """Whether two detections are of one face: their points are closer than those of two faces could be."""
    away = float(np.hypot(*(a.landmarks - b.landmarks).T).mean())
    return away <= SAME_POINTS * min(max(a.box[2:]), max(b.box[2:]))


def centre(box: Box) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def distance(a: Box, b: Box) -> float:
    return math.dist(centre(a), centre(b))


def touch(a: Box, b: Box) -> bool:
    """Whether two heads, which are larger than their faces, are side by side or over each other."""
    return distance(a, b) < 0.6 * (max(a[2:]) + max(b[2:]))


def away_from(expected: Box, box: Box) -> float | None:
    """Distance of two boxes in sides of the first; None where one is more than twice as large as the other."""
    size, other = (max(1.0, math.sqrt(b[2] * b[3])) for b in (expected, box))
    return distance(expected, box) / size if 0.5 < other / size < 2 else None


STAYED = 0.1
"""Share of a face's side up to which one look from where it was finds its points where more looks would."""


def stayed(before: Detection, now: Detection) -> bool:
    """Whether a face hardly moved; else one look from where it was has not yet come to rest where it is."""
    (x, y, width, height), (u, v, *sides) = before.box, now.box
    moved = math.hypot(u + sides[0] / 2 - x - width / 2, v + sides[1] / 2 - y - height / 2)
    return moved <= STAYED * max(width, height) and abs(sides[1] - height) <= STAYED * max(width, height)


def at_rest(before: Detection, now: Detection) -> Detection:
    """A face that is followed: as it was, if its points moved by less than following can tell.

    From there to twice as far the more of the way, so that of two copies of a film in which it moved as good as equally
    far, one does not leave it and the other take it along.
    """
    away = float(np.abs(now.landmarks - before.landmarks).max())
    share = 2 - 2 * RESTING * max(before.box[2:]) / away if away > 0 else 0.0
    if share <= 0:
        return before
    if share >= 1:
        return now
    box = [b + share * (n - b) for b, n in zip(before.box, now.box, strict=True)]
    points = before.landmarks + np.float32(share) * (now.landmarks - before.landmarks)
    return Detection((box[0], box[1], box[2], box[3]), now.score, points)
