"""The fenced blocks of a page, and a folder in which they can be run.

A comment on the line before a fence says what is special about it:

``<!-- skip: REASON -->`` it is not run (hardware, a network, data that is not here); such blocks are counted.
``<!-- needs: PROGRAM -->`` it is run where that program is.
``<!-- exit: REASON -->`` its exit code may be 1.
``<!-- setup ... -->`` Python that runs before the page's Python and is not shown.

``bash`` (also a fence without a language), ``python`` and ``r`` are run. ``text``, ``json`` and such are only shown.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import affectkit
from affectkit.outputs.video import VideoWriter

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = ("bash", "python", "r")
SHOWN = ("text", "json", "dockerfile", "toml", "csv", "javascript", "html", "yaml", "cmd", "powershell", "typescript")

FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[a-z]+): (?P<reason>[^\n]*?) -->\n)?"
    r"^(?P<ticks>```+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=ticks)\s*?$",
    re.M | re.S,
)
SETUP = re.compile(r"^<!-- setup\n(.*?)^-->$", re.M | re.S)


@dataclass(frozen=True)
class Snippet:
    """One fenced block."""

    page: str
    line: int
    language: str
    code: str
    skipped: str = ""
    """Why it is not run; empty: it is."""
    may_fail: bool = False
    """Whether an exit code of 1 is right too."""

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README and all written pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(page: Path) -> list[Snippet]:
    """All blocks of a page that can be run, in order; hidden Python first where it stands."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    found = [(m.start(), Snippet(name, _line(text, m.start()), "python", m[1])) for m in SETUP.finditer(text)]
    for match in FENCE.finditer(text):
        language = match["language"].split()[0] if match["language"].strip() else "bash"
        line = _line(text, match.start("ticks"))
        if language not in (*RUN, *SHOWN):
            raise ValueError(
                f"{name}:{line}: the language of a fence is one of {', '.join((*RUN, *SHOWN))}; got {language!r}"
            )
        if language in RUN:
            skipped = match["reason"] if match["mark"] == "skip" else ""
            if match["mark"] == "needs" and shutil.which(match["reason"]) is None:
                skipped = f"{match['reason']} is not here"
            found.append(
                (match.start(), Snippet(name, line, language, match["code"], skipped, match["mark"] == "exit"))
            )
    return [snippet for _, snippet in sorted(found, key=lambda pair: pair[0])]


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def furnish(folder: Path) -> None:
    """Put there what the pages name: clips of half a second to two, of the sample's face."""
    frames = [frame.image for frame in affectkit.open_source(ROOT / "samples" / "astronaut.mp4").frames(end_s=2)]
    _write(folder / "interview.mp4", frames)
    shutil.copy(folder / "interview.mp4", folder / "talk.mp4")
    beside = [frame if k < 20 else np.full_like(frame, 60) for k, frame in enumerate(frames)]  # gone after .8 s
    _write(folder / "dyad.mp4", [np.hstack((frame[:, ::-1], more)) for frame, more in zip(frames, beside, strict=True)])
    for name in ("panel.mp4", "hours.mp4", "video.mp4"):
        _write(folder / name, frames[:12])
    for k in range(2):
        for kind in ("recordings", "study"):
            (folder / kind).mkdir(exist_ok=True)
            _write(folder / kind / f"{'happy' if k else 'sad'}-{k}.mp4", frames[12 * k : 12 * k + 12])
    Image.fromarray(frames[0]).save(folder / "portrait.jpg")
    for name in ("samples", "examples"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "affectkit-checkout").symlink_to(ROOT, target_is_directory=True)


def _write(path: Path, frames: list[np.ndarray]) -> None:
    with VideoWriter(path, fps=25) as writer:
        for k, frame in enumerate(frames):
            writer.write(np.ascontiguousarray(frame), k / 25)
