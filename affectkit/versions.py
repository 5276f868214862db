"""Which versions are installed; each is looked up in the file system."""

from __future__ import annotations

from functools import cache
from importlib import metadata

DECIDING = (
    "affectkit",
    "numpy",
    "av",
    "opencv-python-headless",
    "opencv-python",
    "pillow",
    "pi-heif",
    "pillow-heif",
    "onnxruntime",
    "onnxruntime-gpu",
)
"""What a result depends on."""


def version_of(name: str) -> str | None:
    """Of a package; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions_of(*names: str) -> dict[str, str]:
    """Of those of the packages that are installed, in this order."""
    found = {name: version_of(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


@cache
def deciding_versions() -> dict[str, str]:
    """Of what a result depends on."""
    return versions_of(*DECIDING)
