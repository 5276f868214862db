"""The built site: every link and anchor leads somewhere in it, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs.snippets import ROOT

SITE = ROOT / "site"

if not (SITE / "index.html").is_file():
    pytest.skip("there is no site: make docs", allow_module_level=True)


class Links(HTMLParser):
    """What a page refers to, what it loads, and the ids that can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loads = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}
        name = loads.get(tag, "")
        if given.get(name) and given.get("rel", "") not in ("canonical", "prev", "next", "edit"):
            self.loaded.append(given[name])


@cache
def read(page: Path) -> Links:
    found = Links()
    found.feed(page.read_text(encoding="utf-8"))
    return found


PAGES = sorted(SITE.rglob("*.html"))


def test_there_are_pages() -> None:
    names = {page.relative_to(SITE).as_posix() for page in PAGES}
    assert {"index.html", "tutorials/first-clip.html", "reference/api.html", "models/lite.html"} <= names
    assert len(names) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_links(page: Path) -> None:
    for target in read(page).links:
        if re.match(r"(https?|mailto|javascript):", target):
            continue
        if page.name == "404.html" and target.startswith("/"):
            target = str(SITE) + target
        name, _, anchor = target.partition("#")
        there = (page.parent / unquote(name)).resolve() if name else page
        there = there / "index.html" if there.is_dir() else there
        assert there.is_file(), target
        if anchor and there.suffix == ".html":
            assert unquote(anchor) in read(there).ids, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_nothing_is_loaded_from_elsewhere(page: Path) -> None:
    for target in read(page).loaded:
        assert not re.match(r"(https?:)?//", target), target
        if page.name != "404.html" and not target.startswith("data:"):
            assert (page.parent / unquote(target.partition("?")[0])).resolve().exists(), target


def test_styles_load_nothing_from_elsewhere() -> None:
    for style in SITE.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?https?:", style.read_text(encoding="utf-8")), style


def test_the_api_shows_the_fields_of_every_result() -> None:
    """Names, types and what they mean, and the keyword arguments that are fields of options."""
    text = (SITE / "reference" / "api.html").read_text(encoding="utf-8")
    for name in ("FrameResult.faces", "Face.track_id", "Affect.au_intensities", "Measure.left_out", "Table.filter"):
        assert f"{name}" in text, name
    for name in ("detect_every", "smooth_s", "min_confidence", "au_thresholds"):
        assert name in text
