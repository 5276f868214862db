"""The report as one HTML document that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import affectkit
from affectkit.train.distribution import Distribution, distributions
from affectkit.train.report import figures, sections
from affectkit.train.report.answers import DevAnswers
from affectkit.train.report.data import Thumbnails, input_spec
from affectkit.train.report.html import Markup, element, figure, joined, table, void
from affectkit.train.report.material import Material
from affectkit.train.report.overview import cards, comparison, facts, header, state
from affectkit.train.report.style import STYLE
from affectkit.train.report.worst import worst_faces
from affectkit.train.run_folder import RunFolder, now
from affectkit.train.status import TASK_TITLES


def document(runs: Sequence[Material], title: str) -> str:
    """The whole page; several runs are compared first."""
    body = [
        element("article", _article(one, f"r{k}-" if len(runs) > 1 else ""), id=f"r{k}") for k, one in enumerate(runs)
    ]
    head = element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="generator", content=f"affectkit {affectkit.__version__}"),
        element("title", f"{title}: training report"),
        element("style", Markup(STYLE)),
    )
    main = element("main", comparison(runs, title) if len(runs) > 1 else None, body, _footer())
    return "<!DOCTYPE html>\n" + element("html", head, element("body", main), lang="en") + "\n"


def _article(one: Material, prefix: str) -> Markup:
    parts: list[tuple[str, str, Markup]] = [("run", "The run", facts(one))]
    parts.append(("curves", "Curves", _curves(one.run)))
    if one.dev is None:
        parts.append(("scores", "Scores", sections.missing("Scores", "no epoch has been measured yet")))
    else:
        parts += _answers(one.dev, one)
    parts.append(("distribution", "How often each label occurs", _distribution(one)))
    parts.append(("caution", "What these scores are not", _caution(one)))
    links = [element("a", title, href=f"#{prefix}{name}") for name, title, _ in parts]
    return joined(
        header(one),
        element("nav", links, aria_label="Sections"),
        state(one),
        cards(one),
        [
            element("section", element("h2", title), content, id=prefix + name, aria_label=title)
            for name, title, content in parts
        ],
    )


def _curves(run: RunFolder) -> Markup:
    lines = [line for line in run.lines if isinstance(line.get("dev"), Mapping) and line.get("loss")]
    if not lines:
        why = "the first epoch is not through" if run.progress else "no epoch is in metrics.jsonl"
        return sections.missing("Curves", why)
    epochs = run.progress.get("epochs") or run.config.get("epochs")
    return figure(
        figures.curves(lines, int(epochs) if isinstance(epochs, int | float) else None),
        "The losses are those of the training faces as they were disturbed. The dotted line is the epoch whose weights "
        "are kept: the one with the best sum of the dev scores.",
        alt="Losses and dev scores over epochs",
    )


def _answers(dev: Mapping[str, Any], one: Material) -> list[tuple[str, str, Markup]]:
    answers = one.answers
    parts: list[tuple[str, str, Markup]] = []
    made = (
        ("expression", "Expression", sections.expression(dev, answers)),
        ("au", "Action units", sections.action_units(dev, answers)),
        ("va", "Valence and arousal", sections.valence_arousal(dev, answers)),
    )
    parts += [(name, title, content) for name, title, content in made if content is not None]
    if answers is None:
        parts.append(("calibration", "Calibration", sections.missing("Calibration", one.no_answers)))
        parts.append(("worst", "Worst faces", sections.missing("The worst faces", one.no_answers)))
        return parts
    calibrated = sections.calibrations(answers)
    if calibrated is not None:
        parts.append(("calibration", "Calibration", calibrated))
    parts.append(("worst", "Worst faces", _worst(one, answers)))
    return parts


def _worst(one: Material, answers: DevAnswers) -> Markup:
    why = one.no_faces
    thumbnail = None
    if one.faces is not None:
        try:
            thumbnail = Thumbnails(one.faces.dev, input_spec(one.run), answers.names)
        except ValueError as error:
            why = str(error)
    return joined(
        element(
            "p",
            "Wrong labels and unusable pictures come first here, and then what the network has not understood. Look at "
            "them before you believe a score. The pictures are the network's own crops.",
        ),
        sections.missing("Their pictures", why) if thumbnail is None else None,
        worst_faces(answers, thumbnail or (lambda row: None)),
    )


def _distribution(one: Material) -> Markup:
    if one.faces is None:
        return sections.missing("The distribution of the labels", one.no_faces)
    seed = one.run.config.get("seed", 0)
    found = distributions(one.faces.train, seed=seed)
    balanced = bool(one.run.config.get("balance"))
    used = "This run was balanced." if balanced else "This run was not balanced: its epochs show the faces as they are."
    return joined(
        element(
            "p", f"What an epoch shows of the training faces as they are, and as --balance would draw them. {used}"
        ),
        [joined(element("h3", TASK_TITLES.get(part.task, part.task).capitalize()), _drawn(part)) for part in found],
    )


def _drawn(part: Distribution) -> Markup:
    drawn = figure(
        figures.distribution(part),
        f"{part.before.sum():.0f} labels in an epoch as it is, {part.after.sum():.0f} after balancing.",
        alt=f"Distribution of {part.task} before and after balancing",
    )
    if len(part.names) > 40:
        return drawn
    totals = max(1.0, float(part.before.sum())), max(1.0, float(part.after.sum()))
    rows = [
        (name, f"{before:.0f}", f"{before / totals[0]:.1%}", f"{after:.0f}", f"{after / totals[1]:.1%}")
        for name, before, after in zip(part.names, part.before, part.after, strict=True)
    ]
    numbers = table(("label", "as it is", "share", "balanced", "share"), rows, class_="narrow")
    return joined(drawn, element("details", element("summary", "The numbers"), numbers))


def _caution(one: Material) -> Markup:
    lines = [
        "They are not test scores. The dev part chose this checkpoint among the epochs, the thresholds of the action "
        "units and the temperature of the probabilities, so every number here is a little too good; F1 at the "
        "threshold most of all.",
        "They say nothing about other cameras, people or ways of labelling: the dev part comes from the same sets as "
        "the training faces.",
        "They cannot be compared with published numbers, which are measured on other faces and by other splits.",
        "The intervals take every face for an independent one. Frames of one video, or pictures of one person, are "
        "not, and then the true intervals are wider.",
    ]
    if one.answers is not None and one.answers.has_au.any() and _soft(one.answers):
        lines.append(
            "The action units' labels are soft (between 0 and 1), so they were made by a program or averaged over "
            "raters: agreement with them is not agreement with a trained FACS coder."
        )
    lines.append(
        "For a number to report: affectkit train evaluate --model RUN on faces that neither trained nor chose it "
        "(--split test, --persons-mod), once, at the end."
    )
    return element("ul", [element("li", line) for line in lines], class_="plain")


def _soft(answers: DevAnswers) -> bool:
    labels = answers.au[answers.has_au]
    return bool(((labels > 0) & (labels < 1)).any())


def _footer() -> Markup:
    return element(
        "footer",
        f"Made by affectkit {affectkit.__version__}, train report, on {now():%Y-%m-%d}. This file needs no network.",
    )
