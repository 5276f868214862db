"""The sections about the predictions themselves: how they were made, what they do not say, how to cite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import affectkit
from affectkit.cite import METHOD, method_section, software
from affectkit.report.markup import Markup, element, joined, number, table
from affectkit.report.material import Clip
from affectkit.types import AU_TITLES

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


def made(clips: Sequence[Clip]) -> Markup:
    """Model, thresholds and versions, of each model that made some of the tables."""
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


def limits() -> Markup:
    """What the numbers do not say."""
    return element("ul", [element("li", line) for line in LIMITS], class_="plain")


def cited(clips: Sequence[Clip]) -> Markup:
    """The software, the method, and a sentence for a methods section."""
    sentences = dict.fromkeys(method_section(clip.table.meta) for clip in clips)
    return joined(
        element("p", software(affectkit.__version__)),
        element("p", METHOD),
        [element("blockquote", one) for one in sentences if one],
    )
