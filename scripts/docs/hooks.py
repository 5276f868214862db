"""What mkdocs asks while it builds the site: pages that are made of something else, and links that lead out of docs/.

Texts outside docs/ (model cards, the changelog, the page of benchmarks) are pages of the site as they are; notebooks
are run; the command line's options are asked of the command line. A link to a file that the site does not hold shows
its name alone: the site has to work without the repository, and without a network.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

import commands
import notebooks
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent

BORROWED = {
    "project/benchmarks.md": "benchmarks/README.md",
    "project/changelog.md": "CHANGELOG.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/training.md": "train/README.md",
    **{
        f"models/{name}.md": f"affectkit/models/{name}/MODEL_CARD.md"
        for name in ("lite", "lite-int8", "lite-temporal", "lite-ensemble")
    },
}
"""Page -> the file of the repository that it is made of."""
PAGE_OF = {file: page for page, file in BORROWED.items()}

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)(\{:[^}]*\})?")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    for page, file in BORROWED.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    for page, text in commands.pages().items():
        files.append(File.generated(config, page, content=text))
    for path in notebooks.notebooks():
        quick = os.environ.get("AFFECTKIT_DOCS") == "quick"  # while you write: what notebooks put out is left out
        found = notebooks.as_written(path) if quick else notebooks.run_once(path)
        text, pictures = notebooks.as_page(found, path.stem)
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=text))
        for name, data in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=data))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Lead links to where their target is in the site."""
    uri = page.file.src_uri
    home = BORROWED.get(uri, f"docs/{uri}")

    def placed(match: re.Match[str]) -> str:
        picture, text, target, further = match.groups()
        name, _, anchor = target.partition("#")
        if "://" in target or target.startswith(("mailto:", "#")):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(home), name))
        inside = PAGE_OF.get(file, file.removeprefix("docs/") if file.startswith("docs/") else "")
        if not inside or files.get_file_from_path(inside) is None:
            if picture or not (ROOT / file).exists():
                return match[0]  # which mkdocs warns of
            return text if text.startswith("`") else f"{text} (`{file}` in the repository)"
        way = posixpath.relpath(inside, posixpath.dirname(uri) or ".")
        return f"{picture}[{text}]({way}{'#' + anchor if anchor else ''}){further or ''}"

    fences = re.split(r"(^```.*?^```\s*?$)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else LINK.sub(placed, part) for part in fences)


@event_priority(-100)  # after the search plug-in has written its index
def on_post_build(config: Any, **_: Any) -> None:
    """The index of the search once more as a script, which is how pages from the disk may load it."""
    index = Path(config["site_dir"], "search", "search_index.json")
    text = index.read_text(encoding="utf-8")
    index.with_suffix(".js").write_text(f"var __index = {text};\n", encoding="utf-8")
