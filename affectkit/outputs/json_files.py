"""JSON and text files, written whole or not at all."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from affectkit.outputs.files import write_whole

LONGEST_REMEMBERED = 20_000
"""Length of a value up to which it is remembered how it is laid out: thousands of files hold the same ones."""


def json_text(document: dict[str, Any]) -> str:
    """A JSON file's text: that of ``json.dumps(document, indent=2)``, which takes several times as long."""
    if not document:
        return "{}\n"
    parts = []
    for name, value in document.items():
        parts.append(f"{_name(str(name))}: {value if type(value) is LaidOut else _text(value)}")
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


class LaidOut(str):
    """A value of the outermost object, as JSON already."""


def laid_out(document: dict[str, Any]) -> dict[str, LaidOut]:
    """Values that many documents hold, laid out once, to be put into :func:`json_text`."""
    return {name: LaidOut(_text(value)) for name, value in document.items()}


def _text(value: Any) -> str:
    compact = _ENCODE(value)
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
