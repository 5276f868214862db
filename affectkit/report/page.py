"""The report as one HTML document that needs nothing but itself, and the videos that it refers to.

Over 350 lines: the page is read from its top to its bottom here, section by section.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import affectkit
from affectkit.cite import METHOD, method_section, software
from affectkit.errors import MissingDependency, SourceError
from affectkit.report.curves import curves_of
from affectkit.report.groups import Compared, Grouping, compared
from affectkit.report.markup import Markup, data_url, element, joined, number, table, void
from affectkit.report.material import MOST_FACES, Clip, Person, doubts, left_out, quality_facts
from affectkit.tables.colours import IDENTITIES, of_expressions, of_identity
from affectkit.tables.columns import expressions
from affectkit.tables.portraits import jpeg
from affectkit.types import AU_TITLES

Videos = Literal["link", "embed", "none"]

MOST_EMBEDDED = 200 << 20
"""Bytes of videos within a page; browsers open no larger one with ease."""

FEWEST_FRAMES = 3
"""Of a clip that has curves; of pictures the numbers say it all."""

LIMITS = (
    "A facial configuration is not an emotion. No number here says what a person feels, intends or is fit for.",
    "Action units are told by a network, not by a certified coder. How well each of them can be told differs much; the "
    "model card (affectkit models show) has the figures.",
    "Probabilities are those that a unit is present; intensities, where told, are shares of the person's own full "
    "movement, not FACS' A to E.",
    "Talking moves the mouth: units of the lower face and expressions are less sure while a person speaks.",
    "Frames of one clip are not independent of each other. Whoever tests differences takes persons or clips as units.",
    "Identities are followed within a clip by position and appearance. One person may have several numbers; look at "
    "the thumbnails, and merge with affectkit identities.",
)


def library() -> str:
    """The charts' JavaScript, which the package ``plotly`` holds.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        if error.name != "plotly":
            raise
        raise MissingDependency("plotly", "report", "affectkit report") from error
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
        sections.append(("groups", f"Groups: {options.grouping.name}", _groups(options.grouping, rows, remarks)))
        data["groups"] = _groups_data(options.grouping, rows)
    _check_size(clips, options)
    for k, clip in enumerate(clips):
        sections.append((f"c{k}", clip.name, _clip(clip, f"c{k}", options)))
    sections += [
        ("made", "How it was made", _made(clips)),
        ("limits", "Limits", _limits()),
        ("cite", "How to cite", _cite(clips)),
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
            expression = _most(person, "expression", 1)
            va = (group.measures[name].mean if name in group.measures else None for name in ("valence", "arousal"))
            seen = f"{group.seconds:.1f} s" if group.seconds is not None else f"{group.frames} frames"
            rows.append(
                (
                    link,
                    _who(person),
                    seen,
                    _per_cent(group.frames / group.file_frames),
                    expression,
                    *map(number, va),
                    _most(person, "action unit", 4),
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


def _who(person: Person) -> Markup:
    return element("span", element("i", style=f"background:{of_identity(person.face)}", class_="dot"), person.name)


def _most(person: Person, kind: str, count: int) -> str:
    shares = [(one.share, name) for name, one in person.group.measures.items() if one.kind == kind and one.share]
    return ", ".join(f"{name} {_per_cent(share)}" for share, name in sorted(shares, reverse=True)[:count])


def _per_cent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _clip(clip: Clip, key: str, options: Options) -> Markup:
    warned = doubts(clip)
    curved = len(clip.film.frames) >= FEWEST_FRAMES
    shown = clip.people[:MOST_FACES] if curved else ()
    gone = left_out(clip)
    more = len(clip.people) - len(shown) if curved else 0
    return joined(
        element("ul", [element("li", one) for one in warned], class_="doubts") if warned else None,
        element("div", [_card(person, clip) for person in clip.people[: 2 * MOST_FACES]], class_="people"),
        element("p", f"{more} more identities have no curves here.", class_="note") if more > 0 else None,
        element(
            "div",
            element("aside", _video(clip, key, options), element("div", id=f"{key}-va", class_="va")),
            element(
                "div",
                _legend(clip),
                [
                    element(
                        "figure",
                        element("figcaption", _who(person)),
                        element("div", element("div", class_="plot"), element("i", class_="cursor"), class_="chart"),
                        element("p", _idle(clip, person), class_="note"),
                        class_="face",
                        data_face=person.face,
                    )
                    for person in shown
                ],
                class_="curves",
            ),
            class_="beside",
            data_clip=key,
        )
        if shown
        else None,
        element("h3", "Quality of the material"),
        element(
            "dl", [(element("dt", name), element("dd", value)) for name, value in quality_facts(clip)], class_="facts"
        ),
        element("h3", "What was left out, and why"),
        element("ul", [element("li", one) for one in gone], class_="plain") if gone else element("p", "Nothing."),
        [
            element("details", element("summary", f"Numbers of {person.name}"), _numbers(person))
            for person in clip.people[:MOST_FACES]
        ],
    )


def _legend(clip: Clip) -> Markup:
    """What colours and lines mean."""
    colours = of_expressions(expressions(clip.table.columns))
    chips = [element("span", element("i", style=f"background:{colour}"), name) for name, colour in colours.items()]
    said = "Dotted: the threshold; grey: the face is not seen; at the right the share of frames with the unit active."
    return joined(element("p", chips, class_="legend") if chips else None, element("p", said, class_="note"))


def _idle(clip: Clip, person: Person) -> str:
    idle = [name for name, one in person.group.measures.items() if one.kind == "action unit" and one.bouts == 0]
    return f"Never over the threshold, or never to be seen: {', '.join(idle)}." if idle else ""


def _card(person: Person, clip: Clip) -> Markup:
    alt = f"{person.name} in {clip.name}"
    if person.portrait is None:
        picture = element("div", "no picture", class_="blank")
    else:
        picture = void("img", src=data_url(jpeg(person.portrait), "image/jpeg"), alt=alt)
    group = person.group
    frames = f"{group.frames} of {group.file_frames} frames"
    told = [frames, *([f"{group.seconds:.1f} s"] if group.seconds is not None else [])]
    seen = clip.film.times[clip.film.places(clip.table.columns["frame"][person.rows[[0, -1]]])]
    if clip.timed:
        told.append(f"from {seen[0]:.1f} to {seen[1]:.1f} s")
    sure = f"confidence {number(group.confidence)}" if group.confidence is not None else ""
    clear = f"quality {number(group.quality)}" if group.quality is not None else ""
    lines = [", ".join(told), ", ".join(one for one in (sure, clear) if one)]
    return element(
        "div",
        picture,
        element("div", element("b", person.name), [element("span", line) for line in lines if line]),
        class_="person",
        style=f"border-color:{of_identity(person.face)}",
    )


def _video(clip: Clip, key: str, options: Options) -> Markup:
    if options.videos == "none" or not clip.timed:
        return element("p", "", class_="note")
    if clip.video is None:
        return element(
            "p", f"The video {clip.film.input} is not there any more, so it cannot be shown.", class_="missing"
        )
    if options.videos == "embed":
        kind = mimetypes.guess_type(clip.video.name)[0] or "video/mp4"
        address = f"data:{kind};base64,{base64.b64encode(clip.video.read_bytes()).decode()}"
    else:
        try:
            address = quote(Path(os.path.relpath(clip.video, options.folder)).as_posix())
        except ValueError:  # on another drive
            address = clip.video.resolve().as_uri()
    return joined(
        element("video", controls=True, preload="metadata", playsinline=True, muted=True, src=address),
        element(
            "p",
            "Click a curve: the video goes there. Drag along a curve to enlarge it, double-click to see all.",
            class_="note hint",
        ),
        element(
            "p",
            "This browser cannot show the video, or it is not beside this file any more.",
            class_="missing gone",
            hidden=True,
        ),
    )


def _check_size(clips: Sequence[Clip], options: Options) -> None:
    if options.videos != "embed":
        return
    size = sum(clip.video.stat().st_size for clip in clips if clip.video is not None)
    if size > MOST_EMBEDDED:
        raise SourceError(
            f"the videos have {size >> 20} MB, a page can hold {MOST_EMBEDDED >> 20} MB; refer to them (--video link)"
        )


def _numbers(person: Person) -> Markup:
    rows: list[Sequence[object]] = []
    for name, one in person.group.measures.items():
        title = AU_TITLES.get(name, "")
        label = element("span", name, element("small", title) if title else None)
        length = "" if one.bout_s is None else f"{one.bout_s:.2f}"
        rows.append(
            (
                label,
                number(one.mean),
                number(one.sd),
                "" if one.share is None else _per_cent(one.share),
                "" if one.bouts is None else one.bouts,
                length,
                one.told,
                one.left_out,
            )
        )
    heads = ("", "mean", "SD", "share of frames", "bouts", "mean length, s", "frames", "left out")
    return table(heads, rows)


def _groups(grouping: Grouping, rows: Sequence[Compared], remarks: Sequence[str]) -> Markup:
    levels = [level for level, _ in grouping.levels]
    two = len(levels) == 2
    heads = ["", "what", *(f"{level}: mean (SD), n" for level in levels)]
    heads += [f"{levels[0]} − {levels[1]}", "95 % interval", "g"] if two else []
    body: list[Sequence[object]] = []
    for one in rows:
        cells: list[object] = [one.name, one.what, *(_mean_sd(values) for values in one.values)]
        if two:
            between = "–" if one.interval is None else f"{number(one.interval[0])} to {number(one.interval[1])}"
            cells += [number(one.difference), between, number(one.effect)]
        body.append(cells)
    return joined(
        element(
            "p",
            "Each identity of each clip counts once. Share: of the frames in which a unit is active, or an expression "
            "the most probable. What differs most, by Hedges' g, comes first; intervals are by the bootstrap "
            "over identities. With so many measures some differ by chance: decide beforehand which ones you test.",
        ),
        element("div", id="groups-plot", class_="groups"),
        element("details", element("summary", "All measures"), table(heads, body), open=len(body) <= 12),
        element("ul", [element("li", one) for one in remarks], class_="plain note") if remarks else None,
    )


def _mean_sd(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{number(mean)}, {len(values)}"
    deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return f"{number(mean)} ({number(deviation)}), {len(values)}"


def _groups_data(grouping: Grouping, rows: Sequence[Compared]) -> dict[str, Any]:
    return {
        "levels": [level for level, _ in grouping.levels],
        "colours": [IDENTITIES[k % len(IDENTITIES)] for k in range(len(grouping.levels))],
        "measures": [
            {"name": one.name, "what": one.what, "values": [[round(v, 4) for v in level] for level in one.values]}
            for one in rows[:6]
        ],
    }


def _made(clips: Sequence[Clip]) -> Markup:
    parts = []
    for told, some in _by_model(clips):
        model, names = clips[some[0]].table.meta, [clips[k].path.name for k in some]
        parts.append(element("h3", told))
        parts.append(element("p", ", ".join(names), class_="note"))
        facts = _facts_of(model)
        parts.append(element("dl", [(element("dt", a), element("dd", b)) for a, b in facts], class_="facts"))
        limits = model.get("au_thresholds")
        if isinstance(limits, Mapping) and limits:
            rows = [
                (f"{unit} {AU_TITLES.get(unit, '')}", number(float(limit)))
                for unit, limit in limits.items()
                if isinstance(limit, int | float)
            ]
            parts.append(
                element(
                    "details",
                    element("summary", "Thresholds of the action units"),
                    table(("", "active from"), rows, class_="narrow"),
                )
            )
    return joined(parts)


def _by_model(clips: Sequence[Clip]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for k, clip in enumerate(clips):
        model = clip.table.meta.get("model")
        name = (
            f"Model {model.get('name')}, version {model.get('version')}"
            if isinstance(model, Mapping)
            else "Model unknown"
        )
        found.setdefault(name, []).append(k)
    return list(found.items())


def _facts_of(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    model, versions, detector = (meta.get(name) for name in ("model", "versions", "detector"))
    facts = []
    if isinstance(model, Mapping):
        facts.append(("computes in", f"{model.get('precision')}, on {meta.get('device')}"))
        sums = model.get("sha256")
        if isinstance(sums, Mapping):
            facts += [(f"sha256 of {name}", str(value)) for name, value in sums.items() if str(name).endswith(".onnx")]
    facts.append(("looks at", "sequences of frames" if meta.get("temporal") else "single frames"))
    if isinstance(detector, Mapping):
        facts.append(("faces found by", str(detector.get("name"))))
    facts.append(("prior of the expressions", str(meta.get("prior", "not told"))))
    if isinstance(versions, Mapping):
        facts.append(("versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    return facts


def _limits() -> Markup:
    return element("ul", [element("li", line) for line in LIMITS], class_="plain")


def _cite(clips: Sequence[Clip]) -> Markup:
    sentences = dict.fromkeys(method_section(clip.table.meta) for clip in clips)
    return joined(
        element("p", software(affectkit.__version__)),
        element("p", METHOD),
        [element("blockquote", one) for one in sentences if one],
    )
