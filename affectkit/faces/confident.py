"""Leaving out faces of which the detector is not sure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from affectkit.types import TrackedFrame


def confident(frames: Iterator[TrackedFrame], least: float) -> Iterator[TrackedFrame]:
    """The frames, without faces whose score is under ``least``; their identities are as they would be with them."""
    for tracked in frames:
        faces = tuple(face for face in tracked.faces if face.detection.score >= least)
        yield tracked if len(faces) == len(tracked.faces) else dataclasses.replace(tracked, faces=faces)
