"""What fields mean, where people look: ``help()`` shows the text that stands below a field in the source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, TypeVar

T = TypeVar("T")


class _Texts(dict[str, str]):
    """What ``__slots__`` may be: names with texts, which are read from the source when one is asked for."""

    def __init__(self, kind: type[Any], names: tuple[str, ...]) -> None:
        super().__init__(dict.fromkeys(names, ""))
        self._kind = kind
        self._read = False

    def __getitem__(self, name: str) -> str:
        if not self._read:
            self._read = True
            self.update({k: v for k, v in _texts_of(self._kind).items() if k in self})
        return super().__getitem__(name)


def _texts_of(kind: type[Any]) -> dict[str, str]:
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, SyntaxError, TypeError):  # a package without its source
        return {}
    if not isinstance(node, ast.ClassDef):
        return {}
    found = {}
    for field, below in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            found[field.target.id] = f"{ast.unparse(field.annotation)}. {inspect.cleandoc(str(text))}".strip()
    return found


def fields_shown(kind: type[T]) -> type[T]:
    """Decorate a dataclass with slots, so that ``help()`` of it tells the type and meaning of each field."""
    names: tuple[str, ...] = tuple(kind.__dict__["__slots__"])
    kind.__slots__ = _Texts(kind, names)  # type: ignore[attr-defined]
    return kind
