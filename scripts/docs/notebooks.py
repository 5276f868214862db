"""Tutorials: notebooks are run in a folder of their own, and become pages with what they put out.

``python -P scripts/docs/notebooks.py [NAME ...]`` runs those of docs/tutorials by themselves. Needs the extra ``docs``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"
KEPT = ROOT / "build" / "notebooks"
"""Notebooks that have been run, each by the checksum of what it was run from."""


def notebooks() -> list[Path]:
    """All tutorials, by name."""
    return sorted(TUTORIALS.glob("*.ipynb"))


def _stamp(path: Path) -> str:
    """Changes with the notebook and with the package's code."""
    digest = hashlib.sha256(path.read_bytes())
    for code in sorted((ROOT / "affectkit").rglob("*.py")):
        digest.update(code.read_bytes())
    return digest.hexdigest()[:16]


def run(path: Path, *, timeout_s: int = 300) -> dict[str, Any]:
    """The notebook with its outputs.

    It runs in an empty folder with a copy of ``samples`` and ``examples``, in the Python that runs this.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message shows it.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory(prefix="affectkit-tutorial-") as folder:
        for name in ("samples", "examples"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        # Commands of the notebooks (!affectkit ...) are those of this environment.
        before = {name: os.environ.get(name) for name in ("PATH", "PYTHONWARNINGS", "NO_COLOR", "COLUMNS")}
        bin_folder = str(Path(sys.executable).parent)
        os.environ.update(PATH=f"{bin_folder}{os.pathsep}{before['PATH']}", NO_COLOR="1", COLUMNS="110")
        try:
            client = NotebookClient(notebook, timeout=timeout_s, resources={"metadata": {"path": folder}})
            client.km = _kernel(client)
            client.execute()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
    return json.loads(nbformat.writes(notebook))  # type: ignore[no-any-return,no-untyped-call]


def _kernel(client: Any) -> Any:
    """A kernel in this very Python, whatever kernels are registered on the machine."""
    manager = client.create_kernel_manager()
    manager.kernel_spec.argv[0] = sys.executable
    return manager


def run_once(path: Path) -> dict[str, Any]:
    """What :func:`run` gives, kept under build/ until the notebook or the package changes."""
    kept = KEPT / f"{path.stem}-{_stamp(path)}.ipynb"
    if not kept.is_file():
        found = run(path)
        KEPT.mkdir(parents=True, exist_ok=True)
        for old in KEPT.glob(f"{path.stem}-*.ipynb"):
            old.unlink()
        kept.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def as_written(path: Path) -> dict[str, Any]:
    """The notebook as it lies there, without outputs."""
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def as_page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and the pictures that it refers to by file name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        shell = text.startswith(("!", "%%bash"))
        shown = text.removeprefix("%%bash\n") if not text.startswith("!") else re.sub(r"^!", "", text, flags=re.M)
        parts.append(f"```{'bash' if shell else 'python'}\n{shown}\n```")
        parts += [part for out in cell["outputs"] if (part := _output(out, name, pictures))]
    parts.append(f"[This page as a notebook]({name}.ipynb){{: download }}")
    return "\n\n".join(parts) + "\n", pictures


def _output(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    if output["output_type"] == "stream":
        text = "".join(output["text"])
        return "" if output["name"] == "stderr" else _text(text)
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{name}-{len(pictures)}.png"
        pictures[file] = base64.b64decode("".join(data["image/png"]))
        return f"![What the cell above draws]({file})"
    if "text/html" in data:
        html = "".join(data["text/html"])
        return '<div class="output" markdown="0">' + re.sub(r"\n\s*\n", "\n", html) + "</div>"
    return _text("".join(data.get("text/plain", "")))


def _text(text: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).strip("\n")
    return f'```{{ .text .output title="Output" }}\n{text}\n```' if text else ""


def main(names: list[str]) -> None:
    """Run the named notebooks, or all, and say how long each took."""
    for path in notebooks():
        if not names or path.stem in names:
            start = time.perf_counter()
            run(path)
            print(f"{path.stem}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
