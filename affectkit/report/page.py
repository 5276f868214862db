"""The report as one HTML document that needs nothing but itself, and the videos that it refers to.

Over 350 lines: the page is read from its top to its bottom here, section by section.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import affectkit
from affectkit.errors import needs
from affectkit.report.about import cited, limits, made
from affectkit.report.clip import Videos as Videos
from affectkit.report.clip import check_size, clip_section, most, per_cent, who
from affectkit.report.comparison import groups_data, groups_section
from affectkit.report.curves import curves_of
from affectkit.report.groups import Grouping, compared
from affectkit.report.markup import Markup, element, joined, number, table, void
from affectkit.report.material import MOST_FACES, Clip


def library() -> str:
    """The charts' JavaScript, which the package ``plotly`` holds.

    Raises:
        MissingDependency: it is not installed.
    """
    with needs("plotly", "report", "affectkit report"):
        from plotly.offline import get_plotlyjs
    source: str = get_plotlyjs()
    return source


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a report is made with."""

    title: str
    folder: Path
    """Where the report will lie: videos are referred to from there."""
    videos: Videos = "link"
    grouping: Grouping | None = None


def document(clips: Sequence[Clip], options: Options) -> str:
    """The whole page.

    Raises:
        MissingDependency: plotly is not installed.
        SourceError: the videos are too large to be embedded.
        ValueError: a group is empty.
    """
    charts = library()
    sections: list[tuple[str, str, Markup]] = [("overview", "Overview", _overview(clips))]
    data: dict[str, Any] = {"clips": [curves_of(clip, f"c{k}") for k, clip in enumerate(clips)], "groups": None}
    if options.grouping is not None:
        rows, remarks = compared(options.grouping, clips)
        sections.append(("groups", f"Groups: {options.grouping.name}", groups_section(options.grouping, rows, remarks)))
        data["groups"] = groups_data(options.grouping, rows)
    check_size(clips, options.videos)
    for k, clip in enumerate(clips):
        sections.append((f"c{k}", clip.name, clip_section(clip, f"c{k}", options.videos, options.folder)))
    sections += [
        ("made", "How it was made", made(clips)),
        ("limits", "Limits", limits()),
        ("cite", "How to cite", cited(clips)),
    ]
    return _html(options.title, sections, data, charts)


def _html(title: str, sections: Sequence[tuple[str, str, Markup]], data: Mapping[str, Any], charts: str) -> str:
    files = resources.files("affectkit.report")
    style, script = ((files / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="generator", content=f"affectkit {affectkit.__version__}"),
        element("title", title),
        element("style", Markup(style)),
    )
    links = [element("a", name, href=f"#{key}") for key, name, _ in sections]
    body = element(
        "body",
        element(
            "main",
            element("header", element("p", "affectkit report", class_="kicker"), element("h1", title)),
            element("nav", links, aria_label="Sections"),
            [
                element("section", element("h2", name), content, id=key, aria_label=name)
                for key, name, content in sections
            ],
            element("footer", f"Made by affectkit {affectkit.__version__}. This file needs no network."),
        ),
        element("script", Markup(_inert(json.dumps(data, allow_nan=False))), id="data", type="application/json"),
        element("script", Markup(charts)),
        element("script", Markup(script)),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _inert(text: str) -> str:
    """JSON that cannot end its script."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _overview(clips: Sequence[Clip]) -> Markup:
    rows: list[Sequence[object]] = []
    for k, clip in enumerate(clips):
        link = element("a", clip.name, href=f"#c{k}")
        if not clip.people:
            rows.append((link, "no face", *[""] * 6))
        for person in clip.people[:MOST_FACES]:
            group = person.group
            expression = most(person, "expression", 1)
            va = (group.measures[name].mean if name in group.measures else None for name in ("valence", "arousal"))
            seen = f"{group.seconds:.1f} s" if group.seconds is not None else f"{group.frames} frames"
            rows.append(
                (
                    link,
                    who(person),
                    seen,
                    per_cent(group.frames / group.file_frames),
                    expression,
                    *map(number, va),
                    most(person, "action unit", 4),
                )
            )
    heads = (
        "clip",
        "who",
        "seen",
        "of the frames",
        "expression",
        "valence",
        "arousal",
        "active units, share of frames",
    )
    people = sum(len(clip.people) for clip in clips)
    said = f"{len(clips)} clip{'s' * (len(clips) != 1)}, {people} {'identities' if people != 1 else 'identity'}."
    return joined(element("p", said), table(heads, rows, class_="left"))
