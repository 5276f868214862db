"""TensorRT's real Python bindings without its libraries: empty ones stand in, so that the bindings can be imported.

The bindings are a small wheel, the libraries gigabytes. What the bindings take from them when they are called (a
builder, a runtime) comes back as a null pointer, so nothing can be built; but their classes, calls and signatures are
all there.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

TAKEN = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
"""All that the bindings of 10 and 11 link to."""

Parameter = tuple[str, str, bool]
"""Name, type as the bindings write it, and whether it may be left out."""


def build_stubs(folder: Path, major: int) -> None:
    """Make libnvinfer.so.MAJOR and its two companions, with gcc."""
    source = folder / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in TAKEN))
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        file = f"lib{library}.so.{major}"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-o", str(folder / file), str(source), f"-Wl,-soname,{file}"], check=True
        )


def signatures(described: str, name: str) -> list[list[Parameter]]:
    """The parameters of each overload that the documentation of a pybind11 function begins with, without `self`."""
    found = []
    for line in described.splitlines():
        match = re.match(rf"(?:\d+\. )?{re.escape(name)}\((.*)\) -> ", line.strip())
        if match and not match[1].startswith("*args"):
            found.append([parsed for part in split(match[1]) if (parsed := parameter(part))[0] != "self"])
    return found


def split(text: str) -> list[str]:
    """At the commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def parameter(text: str) -> Parameter:
    """`name: type = default`, in its parts."""
    named, _, default = text.partition(" = ")
    name, _, kind = named.partition(": ")
    return name, kind, bool(default)


def fits(overload: list[list[Any]], given: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether a call has the parameters of an overload, and the kinds of those that are plain."""
    if len(given) > len(overload):
        return False
    values = dict(zip((name for name, _, _ in overload), given, strict=False))
    if set(values) & set(named) or not set(named) <= {name for name, _, _ in overload}:
        return False
    values |= named
    plain = {"int": int, "typing.SupportsInt": int, "str": str, "bool": bool, "tuple": tuple, "buffer": bytes}
    plain["typing_extensions.Buffer"] = bytes
    return all(
        isinstance(values[name], plain.get(kind, object)) if name in values else optional
        for name, kind, optional in overload
    )
