"""Which other files an ONNX file makes a runtime read; needs neither the package onnx nor memory for the weights.

ONNX files are protocol buffers: fields with a number, of which some are messages again. Only those that lead to a
tensor are followed (field numbers of onnx.proto, IR version 10); the weights themselves are skipped over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

MOST_NESTED = 100
"""Graphs within graphs; protobuf itself refuses more."""

# By message: field number -> message that it holds.
_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _ENTRY = range(9)
_LEADS: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _TENSOR: {13: _ENTRY},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _ENTRY: {},
}

_COMPILED = frozenset({"ep_cache_context"})
"""Attributes of nodes that name a file with a compiled part of the network."""


def external_files(path: Path) -> set[str]:
    """Names of the files that an ONNX file refers to, as they stand in it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no protocol buffer, or one whose end is missing.
    """
    found: set[str] = set()
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _walk(data, 0, len(data), _MODEL, found, 0)
    return found


def _walk(data: mmap.mmap, begin: int, end: int, message: int, found: set[str], depth: int) -> None:
    """Add the files that a message refers to."""
    if depth > MOST_NESTED:
        raise ValueError("it is nested too deeply")
    leads = _LEADS[message]
    texts: dict[int, bytes] = {}
    embedded = 0
    for number, kind, start, stop in _fields(data, begin, end):
        if kind == 2 and number in leads:
            inner = leads[number]
            if inner == _ENTRY:
                key, value = _entry(data, start, stop)
                if key == "location":
                    found.add(value)
            else:
                _walk(data, start, stop, inner, found, depth + 1)
        elif message == _NODE and kind == 2 and number == 4:
            texts[number] = data[start:stop]
    if message == _NODE and texts.get(4) == b"EPContext":
        attributes = dict(_plain_attributes(data, begin, end))
        embedded = int(attributes.get("embed_mode", 1))
        if not embedded:
            found.update(str(attributes[name]) for name in _COMPILED if name in attributes)


def _plain_attributes(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[str, str | int]]:
    """Name and value of a node's attributes that are whole numbers or texts."""
    for number, kind, start, stop in _fields(data, begin, end):
        if (number, kind) != (5, 2):
            continue
        name = ""
        value: str | int | None = None
        for inner, form, first, last in _fields(data, start, stop):
            if (inner, form) == (1, 2):
                name = data[first:last].decode("utf-8", "replace")
            elif (inner, form) == (3, 0):
                value = first
            elif (inner, form) == (4, 2):
                value = data[first:last].decode("utf-8", "replace")
        if value is not None:
            yield name, value


def _entry(data: mmap.mmap, begin: int, end: int) -> tuple[str, str]:
    """A StringStringEntryProto."""
    texts = {1: "", 2: ""}
    for number, kind, start, stop in _fields(data, begin, end):
        if kind == 2 and number in texts:
            texts[number] = data[start:stop].decode("utf-8", "replace")
    return texts[1], texts[2]


def _fields(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and begin and end of each field's contents; of a whole number its value in place of both."""
    at = begin
    while at < end:
        key, at = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at, end)
            yield number, kind, value, value
            continue
        if kind == 2:
            size, at = _varint(data, at, end)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at + size > end:
            raise ValueError("its end is missing")
        yield number, kind, at, at + size
        at += size


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A whole number of variable length, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    raise ValueError("its end is missing")
