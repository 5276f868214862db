"""The section of a clip: who is in it, the video beside the curves, the material, what was left out, the numbers."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from affectkit.errors import SourceError
from affectkit.report.markup import Markup, data_url, element, joined, number, table, void
from affectkit.report.material import MOST_FACES, Clip, Person, doubts, left_out, quality_facts
from affectkit.tables.colours import of_expressions, of_identity
from affectkit.tables.columns import expressions
from affectkit.tables.portraits import jpeg
from affectkit.types import AU_TITLES

Videos = Literal["link", "embed", "none"]

MOST_EMBEDDED = 200 << 20
"""Bytes of videos within a page; browsers open no larger one with ease."""

FEWEST_FRAMES = 3
"""Of a clip that has curves; of pictures the numbers say it all."""


def who(person: Person) -> Markup:
    """An identity with its colour."""
    return element("span", element("i", style=f"background:{of_identity(person.face)}", class_="dot"), person.name)


def most(person: Person, kind: str, count: int) -> str:
    """The largest shares of a kind of measure."""
    shares = [(one.share, name) for name, one in person.group.measures.items() if one.kind == kind and one.share]
    return ", ".join(f"{name} {per_cent(share)}" for share, name in sorted(shares, reverse=True)[:count])


def per_cent(share: float | None) -> str:
    """A share as text; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.0f} %"


def clip_section(clip: Clip, key: str, videos: Videos, folder: Path) -> Markup:
    """Everything about a clip."""
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
            element("aside", _video(clip, videos, folder), element("div", id=f"{key}-va", class_="va")),
            element(
                "div",
                _legend(clip),
                [
                    element(
                        "figure",
                        element("figcaption", who(person)),
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


def _video(clip: Clip, videos: Videos, folder: Path) -> Markup:
    if videos == "none" or not clip.timed:
        return element("p", "", class_="note")
    if clip.video is None:
        return element(
            "p", f"The video {clip.film.input} is not there any more, so it cannot be shown.", class_="missing"
        )
    if videos == "embed":
        kind = mimetypes.guess_type(clip.video.name)[0] or "video/mp4"
        address = f"data:{kind};base64,{base64.b64encode(clip.video.read_bytes()).decode()}"
    else:
        try:
            address = quote(Path(os.path.relpath(clip.video, folder)).as_posix())
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


def check_size(clips: Sequence[Clip], videos: Videos) -> None:
    """Refuse videos that are too large to be held in the page.

    Raises:
        SourceError: they are.
    """
    if videos != "embed":
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
                "" if one.share is None else per_cent(one.share),
                "" if one.bouts is None else one.bouts,
                length,
                one.told,
                one.left_out,
            )
        )
    heads = ("", "mean", "SD", "share of frames", "bouts", "mean length, s", "frames", "left out")
    return table(heads, rows)
