"""Values of the stages as nested lists and back, as :mod:`affectkit.runs.state` stores them."""

from __future__ import annotations

from typing import Any

from affectkit.face_results import Affect, Face, FrameResult
from affectkit.picture import NO_PICTURE
from affectkit.types import Detection, Frame, LabelSet, TrackedFace, TrackedFrame

State = dict[str, Any]
"""What a stage is resumed from: nested dicts and lists of numbers, texts and arrays."""

_AFFECT = tuple(name for name in Affect.__dataclass_fields__ if name != "labels")
"""What is stored of each; the labels are the model's, and the same for all."""


def of_detection(found: Detection) -> list[Any]:
    """A detection, to pack."""
    return [list(found.box), found.score, found.landmarks]


def to_detection(stored: list[Any]) -> Detection:
    """Undo :func:`of_detection`."""
    box, score, landmarks = stored
    return Detection(tuple(box), score, landmarks)


def of_tracked(tracked: TrackedFrame) -> list[Any]:
    """A tracked frame without its picture, to pack."""
    frame = tracked.frame
    faces = [[face.track_id, of_detection(face.detection)] for face in tracked.faces]
    return [frame.index, frame.time_s, frame.name, tracked.cut, faces, frame.reduced]


def to_tracked(stored: list[Any]) -> TrackedFrame:
    """Undo :func:`of_tracked`; the picture is a single black pixel."""
    index, time_s, name, cut, faces, reduced = stored
    tracked = tuple(TrackedFace(track_id, to_detection(found)) for track_id, found in faces)
    return TrackedFrame(Frame(index, time_s, NO_PICTURE, name, reduced), tracked, cut)


def of_result(result: FrameResult) -> list[Any]:
    """A result without its picture and without the names of its labels, to pack."""
    faces = [
        [
            face.track_id,
            list(face.box),
            face.score,
            face.landmarks,
            [getattr(face.affect, name) for name in _AFFECT],
        ]
        for face in result.faces
    ]
    return [result.index, result.time_s, result.name, result.cut, faces]


def to_result(stored: list[Any], labels: LabelSet) -> FrameResult:
    """Undo :func:`of_result`; ``labels`` are those of the model that gave it."""
    index, time_s, name, cut, faces = stored
    rebuilt = tuple(
        Face(track_id, tuple(box), score, landmarks, Affect(**dict(zip(_AFFECT, affect, strict=True)), labels=labels))
        for track_id, box, score, landmarks, affect in faces
    )
    return FrameResult(index, time_s, rebuilt, name, cut=cut)
