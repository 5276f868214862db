"""Numbers, texts, lists and arrays in one file and back: what an interrupted run resumes from.

A file of this kind cannot run code when it is read: it is JSON beside plain arrays, behind a checksum of both.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np

from affectkit.errors import SourceError
from affectkit.npz import read_npz
from affectkit.picture import NO_PICTURE
from affectkit.types import Affect, Array, Detection, Face, Frame, FrameResult, LabelSet, TrackedFace, TrackedFrame

_ARRAY = "$array"

_MARK = b"affectkit state 1\n"
"""What every such file begins with; the SHA-256 of the rest follows."""

_AFFECT = tuple(name for name in Affect.__dataclass_fields__ if name != "labels")
"""What is stored of each; the labels are the model's, and the same for all."""


def pack(value: Any) -> bytes:
    """Nested dicts with text keys, lists, tuples (which come back as lists), numbers, texts, None and arrays."""
    arrays: dict[str, Array] = {}

    def plain(part: Any) -> Any:
        if isinstance(part, np.ndarray):
            arrays[f"a{len(arrays)}"] = part
            return {_ARRAY: f"a{len(arrays) - 1}"}
        if isinstance(part, np.generic):
            return part.item()
        if isinstance(part, dict):
            return {str(name): plain(inner) for name, inner in part.items()}
        if isinstance(part, list | tuple):
            return [plain(inner) for inner in part]
        return part

    document = json.dumps(plain(value))
    file = io.BytesIO()
    np.savez(file, document=np.frombuffer(document.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return seal(file.getvalue())


def seal(data: bytes) -> bytes:
    """``data`` behind the mark and its checksum, so that what was edited or half written is not taken for whole."""
    return _MARK + hashlib.sha256(data).digest() + data


def unpack(data: bytes, where: object) -> Any:
    """What :func:`pack` was given.

    Raises:
        SourceError: damaged, edited, or another kind of file.
    """
    try:
        begin = len(_MARK) + hashlib.sha256().digest_size
        if seal(data[begin:]) != data:
            raise ValueError("it is damaged, was edited, or is of another version")
        arrays = read_npz(data[begin:])

        def whole(part: Any) -> Any:
            if isinstance(part, dict):
                if part.keys() == {_ARRAY}:
                    return arrays[part[_ARRAY]]
                return {name: whole(inner) for name, inner in part.items()}
            return [whole(inner) for inner in part] if isinstance(part, list) else part

        return whole(json.loads(arrays["document"].tobytes()))
    except Exception as error:  # numpy, zip and JSON each have errors of their own
        raise SourceError(f"{where}: cannot be read ({error}); delete it, and start again without --resume") from error


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
