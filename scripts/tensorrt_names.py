"""Record which of the names that affectkit uses are published by which TensorRT: tests/data/tensorrt_names.json.

    pip download --no-deps tensorrt_cu12_bindings==10.13.3.9 tensorrt_cu13_bindings cuda-bindings
    python scripts/tensorrt_names.py *.whl

The bindings do not import without an NVIDIA driver, but the names that they publish stand in their binaries.
CUDA's runtime names are recorded the same way.
"""

from __future__ import annotations

import ast
import json
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "tests" / "data" / "tensorrt_names.json"


def names_used(path: Path) -> set[str]:
    """Every attribute and keyword that a file uses; what is ours among them is sorted out by hand below."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg == "ignore_mismatch":
            found.add(node.arg)
    return found


def published(wheel: Path, names: set[str]) -> list[str]:
    """Those of ``names`` that the wheel's binary or Python files hold as a whole string."""
    with zipfile.ZipFile(wheel) as archive:
        contents = [archive.read(member) for member in archive.namelist() if member.endswith((".so", "__init__.py"))]
    binary, sources = (
        [c for c in contents if c[:4] == b"\x7fELF"],
        b"\n".join(c for c in contents if c[:4] != b"\x7fELF"),
    )
    return sorted(
        name
        for name in names
        if any(name.encode() + b"\0" in content for content in binary) or b"def " + name.encode() + b"(" in sources
    )


def main() -> None:
    names = names_used(ROOT / "affectkit" / "engines" / "trt.py")
    table = {" ".join(Path(wheel).name.split("-")[:2]): published(Path(wheel), names) for wheel in sys.argv[1:]}
    TARGET.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
