"""JSON and text files, written whole or not at all."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from affectkit.outputs.files import write_whole

LONGEST_REMEMBERED = 20_000
"""Length of a value up to which it is remembered how it is laid out: thousands of files hold the same ones."""


class LaidOut(str):
    """Entries of a JSON object as they stand in its file, which many files hold."""


def laid_out(entries: dict[str, Any]) -> LaidOut:
    """To be put into :func:`json_text`."""
    return LaidOut(",\n  ".join(_entries(entries)))


def json_text(*parts: dict[str, Any] | LaidOut) -> str:
    """A JSON file's text: that of ``json.dumps(document, indent=2)``, which takes several times as long.

    Args:
        parts: the entries of the document, in their order.
    """
    entries: list[str] = []
    for part in parts:
        entries += [part] if isinstance(part, LaidOut) else _entries(part)
    return ("{\n  " + ",\n  ".join(entries) + "\n}\n") if entries else "{}\n"


def _entries(document: dict[str, Any]) -> list[str]:
    return [f"{_name(str(name))}: {_text(value)}" for name, value in document.items()]


def _text(value: Any) -> str:
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    compact = str(value) if type(value) is int else _ENCODE(value)
    if compact[0] not in "[{":
        return compact
    return _laid_out(compact) if len(compact) <= LONGEST_REMEMBERED else _indented(value, "\n  ")


@lru_cache(maxsize=256)
def _laid_out(compact: str) -> str:
    """A value of the outermost object, over several lines."""
    return _indented(json.loads(compact), "\n  ")


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


@lru_cache(maxsize=256)
def _name(name: str) -> str:
    """A key, as JSON has it."""
    return _ENCODE(name)


def _indented(value: Any, line: str) -> str:
    """A value of JSON, whose lines begin with ``line``."""
    inner = line + "  "
    if isinstance(value, dict) and value:
        parts = [f"{_name(str(name))}: {_indented(part, inner)}" for name, part in value.items()]
        return "{" + inner + ("," + inner).join(parts) + line + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + inner + ("," + inner).join([_indented(part, inner) for part in value]) + line + "]"
    return _ENCODE(value)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file by the same rule: complete or not at all; an older one is replaced."""
    write_text(path, json_text(document))


def write_text(path: Path, text: str) -> None:
    """Write a text file, complete or not at all; an older one is replaced."""
    write_whole(path, text.encode("utf-8", "replace"))
