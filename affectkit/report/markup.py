"""HTML that cannot be broken into: whatever is not markup of ours is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """``<name attributes>children</name>``; text is escaped, lists are taken apart, None is left out.

    ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``; an attribute of True has no value, one of None
    or False is left out.
    """
    inside = "".join(_pieces(children))
    return Markup(f"<{name}{_attributes(attributes)}>{inside}</{name}>")


def void(name: str, /, **attributes: object) -> Markup:
    """An element without contents, such as ``<img>``."""
    return Markup(f"<{name}{_attributes(attributes)}>")


def joined(*children: object) -> Markup:
    """Children one after another, without an element around them."""
    return Markup("".join(_pieces(children)))


def _pieces(children: Iterable[object]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, list | tuple):
            yield from _pieces(child)
        else:
            yield escape(str(child))


def _attributes(attributes: dict[str, object]) -> str:
    written = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        written.append(f" {name}" if value is True else f' {name}="{escape(str(value), quote=True)}"')
    return "".join(written)


def data_url(data: bytes, kind: str) -> str:
    """A file inside the page."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def figure(svg: bytes, caption: str, *, alt: str, class_: str = "") -> Markup:
    """A drawing with a line under it."""
    picture = void("img", src=data_url(svg, "image/svg+xml"), alt=alt)
    return element("figure", picture, element("figcaption", caption), class_=class_ or None)


def table(heads: Sequence[object], rows: Iterable[Sequence[object]], *, class_: str = "", caption: str = "") -> Markup:
    """A table whose first column names the row; every other one is set flush right."""
    head = element("thead", element("tr", [element("th", one, scope="col") for one in heads]))
    body = element(
        "tbody",
        [element("tr", element("th", row[0], scope="row"), [element("td", one) for one in row[1:]]) for row in rows],
    )
    return element(
        "div",
        element("table", element("caption", caption) if caption else None, head, body, class_=class_ or None),
        class_="scroll",
    )


def bar(value: float | None, digits: int = 2) -> Markup:
    """A number of 0 to 1 with a bar as long; a dash where there is none."""
    if value is None or value != value:
        return element("span", "–", class_="none")
    filled = max(0.0, min(1.0, value))
    return element("span", element("i", style=f"--to:{filled:.1%}"), element("b", number(value, digits)), class_="bar")


def number(value: float | None, digits: int = 2) -> str:
    """``.87``, as theses print it: no zero before the point of what cannot exceed 1."""
    if value is None or value != value:
        return "–"
    written = f"{value:.{digits}f}"
    return written.replace("0.", ".", 1) if abs(value) < 1 and written.lstrip("-").startswith("0.") else written
