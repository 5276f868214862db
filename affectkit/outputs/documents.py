"""JSON and text files, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from affectkit.targets import prepare_bytes


def json_text(document: dict[str, Any]) -> str:
    """A JSON file's text: that of ``json.dumps(document, indent=2)``, which takes five times as long."""
    return _indented(document, "\n") + "\n"


_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def _indented(value: Any, line: str) -> str:
    """A value of JSON, whose lines begin with ``line``."""
    inner = line + "  "
    if isinstance(value, dict) and value:
        parts = [f"{_ENCODE(str(name))}: {_indented(part, inner)}" for name, part in value.items()]
        return "{" + inner + ("," + inner).join(parts) + line + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + inner + ("," + inner).join([_indented(part, inner) for part in value]) + line + "]"
    return _ENCODE(value)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file by the same rule: complete or not at all; an older one is replaced."""
    write_text(path, json_text(document))


def write_text(path: Path, text: str) -> None:
    """Write a text file, complete or not at all; an older one is replaced."""
    prepare_bytes(path, text.encode("utf-8", "replace"), overwrite=True).commit()
