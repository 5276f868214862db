"""Record what TensorRT and CUDA publish of what affectkit uses, with signatures: tests/data/tensorrt_signatures.json.

    pip download --no-deps tensorrt_cu12_bindings==10.13.3.9 tensorrt_cu13_bindings cuda-bindings
    pip download --no-deps cuda-bindings==12.8.0
    python scripts/tensorrt_names.py *.whl

Neither needs a GPU or TensorRT's libraries: the bindings are imported over empty ones (tests/tensorrt_stubs.py, which
needs gcc), each wheel in a process of its own. The wheels of cuda-bindings 13 need `pip install cuda-pathfinder`.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "tests" / "data" / "tensorrt_signatures.json"
SOURCES = [ROOT / "affectkit" / "engines" / name for name in ("trt.py", "cuda.py")]
CLASSES = [
    *("Builder", "BuilderFlag", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILogger"),
    *("INetworkDefinition", "IOptimizationProfile", "IProgressMonitor", "ITensor", "ITimingCache", "MemoryPoolType"),
    *("NetworkDefinitionCreationFlag", "OnnxParser", "ParserError", "Runtime", "TensorIOMode"),
]
"""Of TensorRT, whose objects we hold."""
sys.path.insert(0, str(ROOT / "tests"))

from tensorrt_stubs import build_stubs, signatures  # noqa: E402


def names_used() -> set[str]:
    """Every attribute and keyword that our files use; which of them are published is looked up."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.keyword) and node.arg == "ignore_mismatch":
                found.add(node.arg)
    return found


def describe_tensorrt(names: set[str]) -> dict[str, Any]:
    """Of each class and call with one of the names: its overloads; null for what is no call. In the wheel's process."""
    import tensorrt_bindings

    found: dict[str, Any] = {}
    found["nptype"] = [[["trt_type", "", False]]]
    for kind in CLASSES:
        members = getattr(tensorrt_bindings, kind)
        found[kind] = signatures(members.__init__.__doc__ or "", "__init__")
        for name in dir(members):
            if name in names and not name.startswith("__"):
                member = getattr(members, name)
                found[f"{kind}.{name}"] = signatures(member.__doc__ or "", name) if callable(member) else None
    return found


def describe_cuda(names: set[str]) -> dict[str, Any]:
    """The same of CUDA's runtime, whose parameters have names only."""
    import inspect

    from cuda.bindings import runtime

    found: dict[str, Any] = {}
    for name in sorted(n for n in names & set(dir(runtime)) if n.startswith("cuda")):
        member = getattr(runtime, name)
        found[name] = None
        if not isinstance(member, type):
            parameters = inspect.signature(member).parameters.values()
            found[name] = [[[p.name, "", p.default is not p.empty] for p in parameters]]
        else:
            found |= {f"{name}.{inner}": None for inner in names & set(dir(member))}
    return found


def record(wheel: Path, scratch: Path) -> dict[str, Any]:
    """What a wheel publishes, asked in a process that sees it alone."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(scratch)
    name, version, *_ = wheel.name.split("-")
    build_stubs(scratch, int(version.partition(".")[0]))
    paths = {"LD_LIBRARY_PATH": str(scratch), "PYTHONPATH": str(scratch)}
    command = [sys.executable, __file__, "--describe", "cuda" if name == "cuda_bindings" else "tensorrt"]
    answer = subprocess.run(command, env={**os.environ, **paths}, check=True, stdout=subprocess.PIPE, text=True)
    described: dict[str, Any] = json.loads(answer.stdout)
    return described


def main() -> None:
    if sys.argv[1] == "--describe":
        describe = {"cuda": describe_cuda, "tensorrt": describe_tensorrt}[sys.argv[2]]
        print(json.dumps(describe(names_used())))
        return
    table: dict[str, Any] = {}
    for wheel in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            table[" ".join(Path(wheel).name.split("-")[:2])] = dict(sorted(record(Path(wheel), Path(scratch)).items()))
    TARGET.write_text(_compact(table))


def _compact(table: dict[str, Any]) -> str:
    """JSON with a line for each call."""
    wheels = [
        f"{json.dumps(wheel)}: {{\n"
        + ",\n".join(f" {json.dumps(n)}: {json.dumps(o)}" for n, o in found.items())
        + "\n}"
        for wheel, found in table.items()
    ]
    return "{\n" + ",\n".join(wheels) + "\n}\n"


if __name__ == "__main__":
    main()
