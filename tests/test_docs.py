"""What can be said of the pages without running them: links, anchors, navigation, notebooks, marks.

``make docs-test`` runs what stands on them (tests/docs).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from docs.snippets import pages, snippets

ROOT = Path(__file__).parent.parent
WRITTEN = [
    *pages(),
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")),
    *(ROOT / name for name in ("train/README.md", "benchmarks/README.md")),
    *sorted((ROOT / "affectkit" / "models").glob("*/MODEL_CARD.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _text(path: Path) -> str:
    """Of a notebook, what is written in it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return "\n\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    return re.sub(r"^```.*?^```\s*?$", "", text, flags=re.M | re.S)


@cache
def _anchors(path: Path) -> set[str]:
    """What headings can be linked by: words in small letters, joined by hyphens."""
    titles = re.findall(r"^#+ +(.+?)\s*$", _text(path), re.M)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}


def _made(path: Path) -> Path | None:
    """The file of the repository that a page of the site is made of, where it is made of one."""
    name = path.relative_to(ROOT / "docs").as_posix() if path.is_relative_to(ROOT / "docs") else ""
    borrowed = {
        "project/benchmarks.md": "benchmarks/README.md",
        "project/changelog.md": "CHANGELOG.md",
        "project/contributing.md": "CONTRIBUTING.md",
        "project/training.md": "train/README.md",
        "reference/cli.md": "scripts/docs/commands.py",
        "reference/cli-train.md": "scripts/docs/commands.py",
    }
    if name.startswith("models/"):
        return ROOT / "affectkit" / "models" / path.stem / "MODEL_CARD.md"
    if name.startswith("tutorials/") and path.with_suffix(".ipynb").is_file():
        return path.with_suffix(".ipynb")
    return ROOT / borrowed[name] if name in borrowed else None


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(_text(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        there = there if there.exists() else _made(there) or there
        assert there.exists(), f"{target} of {page}"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), f"{target} of {page}; there are {', '.join(sorted(_anchors(there)))}"


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    docs = ROOT / "docs"
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    there |= {path.relative_to(docs).with_suffix(".md").as_posix() for path in docs.rglob("*.ipynb")}
    assert not there - named
    assert all(_made(docs / name) is not None for name in named - there)


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert cells[0]["source"][0].startswith("# ")
    assert all(not c["outputs"] and c["execution_count"] is None for c in cells if c["cell_type"] == "code")


def test_what_is_not_run_says_why() -> None:
    left_out = [one for page in pages() for one in snippets(page) if one.skipped]
    assert len(left_out) <= 20
    assert all(len(one.skipped) > 8 for one in left_out)


@pytest.mark.slow
def test_every_command_has_a_page() -> None:
    """It is made of what --help is made of; nothing of it is lost."""
    code = f"import sys; sys.path.append({str(ROOT / 'scripts' / 'docs')!r}); import commands; print(commands.pages())"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    for name in ("affectkit predict", "affectkit models show", "affectkit train prepare csv", "`-o, --output PATH`"):
        assert name in done.stdout
