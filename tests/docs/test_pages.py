"""Every command and snippet of the pages is run, and every notebook: ``make docs-test``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from docs.running import run_page
from docs.snippets import ROOT, pages, snippets

sys.path.append(str(ROOT / "scripts" / "docs"))
import notebooks

WITH_CODE = [page for page in pages() if snippets(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(page: Path, tmp_path: Path) -> None:
    for left_out in run_page(page, tmp_path / "here"):
        print(f"not run: {left_out.name}: {left_out.skipped}")


@pytest.mark.parametrize("path", notebooks.notebooks(), ids=lambda path: path.stem)
def test_notebook(path: Path) -> None:
    pytest.importorskip("nbclient")
    found = notebooks.run_once(path)
    assert any(cell["cell_type"] == "code" and cell["outputs"] for cell in found["cells"])


def test_what_is_not_run() -> None:
    """A short list, each with its reason; it grows on purpose only."""
    left_out = [one for page in WITH_CODE for one in snippets(page) if one.skipped]
    for one in left_out:
        print(f"{one.name}: {one.skipped}")
    assert len(left_out) <= 20
