"""The report in a browser: clicked, played, printed. Needs playwright and Debian's chromium (or another)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Iterator[Any]:
    """A report of the sample clip, open in a browser that has no network."""
    pytest.importorskip("plotly")
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("there is no chromium here")
    from affectkit import Predictor
    from affectkit.report.material import clips_of
    from affectkit.report.page import Options, document

    folder = tmp_path_factory.mktemp("report")
    with Predictor() as predictor:
        predictor.predict(astronaut).save(folder / "t.csv")
    (folder / "r.html").write_text(document(clips_of(folder / "t.csv"), Options(title="t", folder=folder)))
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=300_000)
        context = browser.new_context(offline=True, viewport={"width": 1400, "height": 1000})
        context.set_default_timeout(600_000)  # machines that test are busy: only what hangs takes as long
        opened = context.new_page()
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.goto((folder / "r.html").as_uri(), wait_until="commit")
        opened.wait_for_selector("html[data-ready=yes]", state="attached")
        yield opened
        assert opened.problems == []
        browser.close()


def test_a_click_on_a_curve_brings_the_video_there(page: Any) -> None:
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    box = page.locator(".plot").bounding_box()
    page.mouse.click(box["x"] + 168 + (box["width"] - 168 - 58) / 2, box["y"] + 200)
    page.wait_for_function("Math.abs(document.querySelector('video').currentTime - 2) < .1")
    cursor = page.locator(".cursor").bounding_box()
    assert cursor["x"] == pytest.approx(box["x"] + 168 + (box["width"] - 168 - 58) / 2, abs=3)


def test_a_cursor_runs_while_the_video_plays(page: Any) -> None:
    before = page.locator(".cursor").bounding_box()["x"]
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function("document.querySelector('video').currentTime > 2.5")
    page.evaluate("document.querySelector('video').pause()")
    page.wait_for_function(f"document.querySelector('.cursor').getBoundingClientRect().left > {before + 20}")


def test_curves_are_enlarged_by_dragging(page: Any) -> None:
    box = page.locator(".plot").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 200, steps=4)
    page.mouse.up()
    page.wait_for_function("(r => r[1] - r[0] < 2)(document.querySelector('.plot').layout.xaxis.range)")


def test_it_is_printed(page: Any) -> None:
    data = page.pdf()
    assert data[:5] == b"%PDF-" and len(data) > 20_000
