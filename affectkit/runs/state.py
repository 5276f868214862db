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
from affectkit.types import Array

_ARRAY = "$array"

_MARK = b"affectkit state 1\n"
"""What every such file begins with; the SHA-256 of the rest follows."""


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
