"""Run by the Python of ``.venv-peers`` (``make peers``): what py-feat's own readers make of our files, as JSON.

``python read_by_py_feat.py PYFEAT.csv OPENFACE.csv NATIVE.csv``: one table in our three formats.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


def make_torchvision_importable() -> None:
    """Declare torchvision's operators where its own library does not load: PyPI's for Linux wants torch with CUDA.

    Readers of tables call none of them; but ``import torchvision`` stops at the first that is not declared.
    """
    spec = find_spec("torchvision")
    assert spec is not None and spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    try:
        torch.ops.load_library(next(folder.glob("_C.*")))
    except (OSError, StopIteration):
        text = (folder / "_meta_registrations.py").read_text(encoding="utf-8")
        names = set(re.findall(r'register_meta\("(\w+)"\)|"torchvision::(\w+)"', text))
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in sorted({one or other for one, other in names}):
            declared.define(f"{name}() -> ()")
        make_torchvision_importable.kept = declared  # type: ignore[attr-defined]  # they go with the object


def make_torchcodec_importable() -> None:
    """Declare the one name of torchcodec that py-feat imports, where its library does not load for lack of FFmpeg.

    Readers of tables decode no video.
    """
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchcodec"]:
            del sys.modules[name]
        package, decoders = ModuleType("torchcodec"), ModuleType("torchcodec.decoders")
        package.decoders, decoders.VideoDecoder = decoders, object  # type: ignore[attr-defined]
        sys.modules |= {"torchcodec": package, "torchcodec.decoders": decoders}


def plain(values: Any) -> list[Any]:
    """A column as JSON has it: null for what is not there."""
    return [None if value != value else value for value in values.tolist()]


def refused(frame: Any, part: str) -> str:
    """The kind of error of one of its accessors; "" where it answers."""
    try:
        getattr(frame, part)
    except Exception as error:  # whatever it is, it is told
        return type(error).__name__
    return ""


def columns(frame: Any) -> dict[str, list[Any]]:
    return {str(name): plain(frame[name]) for name in frame}


def main(pyfeat: str, openface: str, native: str) -> None:
    make_torchvision_importable()
    make_torchcodec_importable()
    from feat.utils.io import read_feat, read_openface  # which imports all of py-feat, networks and all

    fex, other, wrong = read_feat(pyfeat), read_openface(openface), read_feat(native)
    parts = ("aus", "emotions", "faceboxes", "time")
    told = {
        "version": version("py-feat"),
        "types": [type(fex).__name__, type(other).__name__],
        **{part: columns(getattr(fex, part)) for part in parts},
        "identities": plain(fex.identities),
        "refused": {part: refused(fex, part) for part in ("poses", "landmarks", "gazes")},
        "mean of AU12": float(fex.aus.mean()["AU12"]),
        "openface": columns(other),
        "openface's time": columns(other.time),
        "openface's units": refused(other, "aus"),
        "native": {"units": len(wrong.aus.columns), "emotions": len(wrong.emotions.columns)},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
