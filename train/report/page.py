"""The report as one HTML document that needs nothing but itself."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import affectkit
from affectkit.train.distribution import Distribution, distributions
from affectkit.train.metrics import expected_calibration_error
from affectkit.train.report import figures, sections
from affectkit.train.report.answers import DevAnswers, read_answers
from affectkit.train.report.data import Faces, Thumbnails, faces_of, input_spec
from affectkit.train.report.html import Markup, element, figure, joined, number, table, void
from affectkit.train.report.intervals import Interval, intervals
from affectkit.train.report.style import STYLE
from affectkit.train.report.worst import worst_faces
from affectkit.train.run_folder import DEV_NAME, RunFolder, now
from affectkit.train.status import TASK_TITLES, describe, headline_of, progress_text, sets_of


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a report is made of; where something is None, a text says why."""

    run: RunFolder
    answers: DevAnswers | None
    no_answers: str
    faces: Faces | None
    no_faces: str
    found: Mapping[str, Any]
    """What ``affectkit train status`` says."""


def gather(run: RunFolder, known: dict[str, Faces]) -> Material:
    """Read what a report needs; ``known`` keeps faces between runs on the same data, which take long to read."""
    answers, no_answers, faces, no_faces = None, "", None, ""
    try:
        answers = read_answers(run.path / DEV_NAME)
    except ValueError as error:
        no_answers = str(error)
    key = json.dumps(run.run.get("data"), sort_keys=True, default=str)
    try:
        faces = known.get(key) or known.setdefault(key, faces_of(run))
    except ValueError as error:
        no_faces = str(error)
    return Material(run, answers, no_answers, faces, no_faces, describe(run))


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
    main = element("main", _comparison(runs, title) if len(runs) > 1 else None, body, _footer())
    return "<!DOCTYPE html>\n" + element("html", head, element("body", main), lang="en") + "\n"


def _article(one: Material, prefix: str) -> Markup:
    dev = _dev(one.run)
    parts: list[tuple[str, str, Markup]] = [("run", "The run", _facts(one))]
    parts.append(("curves", "Curves", _curves(one.run)))
    if dev is None and one.answers is None:
        parts.append(("scores", "Scores", sections.missing("Scores", "no epoch has been measured yet")))
    else:
        parts += _answers(dev or {}, one)
    parts.append(("distribution", "How often each label occurs", _distribution(one)))
    parts.append(("caution", "What these scores are not", _caution(one)))
    links = [element("a", title, href=f"#{prefix}{name}") for name, title, _ in parts]
    return joined(
        _header(one),
        element("nav", links, aria_label="Sections"),
        _state(one),
        _cards(one),
        [
            element("section", element("h2", title), content, id=prefix + name, aria_label=title)
            for name, title, content in parts
        ],
    )


def _dev(run: RunFolder) -> Mapping[str, Any] | None:
    dev = None if run.best is None else run.best.get("dev")
    return dev if isinstance(dev, Mapping) else None


def _header(one: Material) -> Markup:
    labels = one.run.labels
    what = []
    if labels is not None:
        what += [f"{len(labels.expressions)} expressions"] if labels.expressions else []
        what += [f"{len(labels.action_units)} action units"] if labels.action_units else []
        what += ["valence and arousal"] if labels.valence_arousal else []
    sub = ": ".join(part for part in (headline_of(one.found), ", ".join(what)) if part)
    return element(
        "header",
        element("p", "Training report", class_="kicker"),
        element("h1", one.run.name),
        element("p", sub[:1].upper() + sub[1:], class_="sub"),
    )


def _state(one: Material) -> Markup | None:
    state, found = one.found["state"], one.found
    if state in ("finished", "unknown"):
        return None
    going = state in ("running", "elsewhere")
    so_far = "Still being trained; everything here is what there is so far." if going else "Not finished."
    done = found["done"]
    return element(
        "div",
        element(
            "p", element("strong", so_far), f" {found['life'][:1].upper()}{found['life'][1:]}. {progress_text(found)}."
        ),
        element("progress", value=f"{done:.4f}", max=1, aria_label="progress") if done is not None else None,
        class_="state" if going else "state bad",
    )


def _cards(one: Material) -> Markup | None:
    dev = _dev(one.run) or {}
    ranges = intervals(one.answers) if one.answers is not None else {}
    cards: list[Markup] = []
    if dev.get("expression"):
        found = dev["expression"]
        more = f"macro F1 {number(found['macro_f1'], 3)}{_range(ranges.get('macro_f1'))}"
        cards.append(_card("Expression accuracy", found["accuracy"], ranges.get("accuracy"), more))
    if dev.get("au"):
        found = dev["au"]
        more = f"Pearson {number(found['pearson']['mean'], 3)}"
        cards.append(_card("Action units, mean F1", found["f1"]["mean"], ranges.get("au_f1"), more))
    for name in ("valence", "arousal"):
        if dev.get("va"):
            found = dev["va"][name]
            cards.append(
                _card(f"{name.capitalize()} CCC", found["ccc"], ranges.get(name), f"RMSE {number(found['rmse'], 3)}")
            )
    ece = dev.get("ece")
    if ece is None and one.answers is not None and one.answers.has_expression.any():
        labelled = one.answers.has_expression
        p = one.answers.expression_probability[labelled]
        ece = expected_calibration_error(p, one.answers.expression[labelled].astype(int))
    if ece is not None:
        cards.append(_card("Calibration error", ece, None, "of the expression, 15 bins"))
    if not cards:
        return None
    kept = f"Dev part, epoch {one.found['best_epoch']}, whose weights are kept."
    note = f"{kept} In brackets: 95 % intervals (bootstrap over faces)." if ranges else kept
    return joined(element("div", cards, class_="cards"), element("p", note, class_="note"))


def _card(what: str, value: float, spread: Interval | None, more: str) -> Markup:
    return element(
        "div",
        element("div", what, class_="what"),
        element("div", number(value, 3), class_="value"),
        element("div", _range(spread).strip() or None, class_="range") if spread else None,
        element("div", more, class_="more"),
        class_="card",
    )


def _range(spread: Interval | None) -> str:
    return "" if spread is None else f" [{number(spread[0], 3)}, {number(spread[1], 3)}]"


def _facts(one: Material) -> Markup:
    run, found = one.run, one.found
    network = run.network
    colour = "grey" if network.get("channels") == 1 else "RGB"
    crop = f"{network.get('size')} px, {colour}, template {network.get('template')}"
    facts: list[tuple[str, object]] = [
        ("Kind", run.kind),
        ("Backbone", network.get("backbone")),
        ("Faces it is given", crop if network else None),
        ("Progress", progress_text(found)),
        ("Optimiser", _optimiser(run.config)),
        ("Sets", [element("div", name) for name in sets_of(found["data"])] or None),
        ("Started", found["started"]),
        ("Last update", found["updated"]),
        ("Trained with", f"affectkit {run.run['affectkit']}" if run.run.get("affectkit") else None),
        ("This report", f"{now():%Y-%m-%d %H:%M}, {_versions()}"),
    ]
    listed = [joined(element("dt", name), element("dd", value)) for name, value in facts if value]
    command = found["command"]
    return joined(
        element("dl", listed, class_="facts"),
        _face_table(found),
        joined(element("h3", "The command that began it"), element("pre", command)) if command else None,
        element(
            "details",
            element("summary", "Every setting"),
            element("pre", json.dumps(run.config, indent=1)),
            class_="config",
        )
        if run.config
        else None,
    )


def _optimiser(config: Mapping[str, Any]) -> str:
    if not config:
        return ""
    return (
        f"{config.get('optimizer')}, learning rate {config.get('learning_rate')}, {config.get('schedule')} schedule, "
        f"batches of {config.get('batch_size')}, {config.get('epochs')} epochs, seed {config.get('seed')}"
        + (", balanced sampling" if config.get("balance") else "")
    )


def _face_table(found: Mapping[str, Any]) -> Markup | None:
    rows: list[Sequence[object]] = []
    tasks = list(found["label_counts"]["train"] or found["label_counts"]["dev"])
    for part, what in (("train", "to train on"), ("dev", "to choose by (dev part)")):
        if found["faces"][part] is not None:
            counts = found["label_counts"][part]
            rows.append((what, found["faces"][part], *(counts.get(task, "–") for task in tasks)))
    heads = ("", "faces", *(f"labelled for {TASK_TITLES.get(task, task)}" for task in tasks))
    return table(heads, rows, class_="narrow") if rows else None


def _versions() -> str:
    parts = [f"affectkit {affectkit.__version__}", f"Python {platform.python_version()}"]
    for package in ("torch", "numpy"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


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
        "units and the temperature of the probabilities, so every number here is a little too good; F1 at the threshold "
        "most of all.",
        "They say nothing about other cameras, people or ways of labelling: the dev part comes from the same sets as "
        "the training faces.",
        "They cannot be compared with published numbers, which are measured on other faces and by other splits.",
        "The intervals take every face for an independent one. Frames of one video, or pictures of one person, are not, "
        "and then the true intervals are wider.",
    ]
    if one.answers is not None and one.answers.has_au.any() and _soft(one.answers):
        lines.append(
            "The action units' labels are soft (between 0 and 1), so they were made by a program or averaged over "
            "raters: agreement with them is not agreement with a trained FACS coder."
        )
    lines.append(
        "For a number to report: affectkit train evaluate --model RUN on faces that neither trained nor chose it "
        "(--split valid, --persons-mod), once, at the end."
    )
    return element("ul", [element("li", line) for line in lines], class_="plain")


def _soft(answers: DevAnswers) -> bool:
    labels = answers.au[answers.has_au]
    return bool(((labels > 0) & (labels < 1)).any())


def _comparison(runs: Sequence[Material], title: str) -> Markup:
    columns: dict[str, list[float]] = {}
    from affectkit.train.journal import headlines

    values = [headlines(_dev(one.run) or {}) for one in runs]
    for name in dict.fromkeys(name for one in values for name in one):
        columns[name] = [one.get(name, float("nan")) for one in values]
    rows: list[Sequence[object]] = []
    for k, one in enumerate(runs):
        cells = []
        for column in columns.values():
            top = bool(np.isfinite(column[k])) and column[k] == np.nanmax(column)
            cells.append(element("b", number(column[k], 3)) if top else number(column[k], 3))
        rows.append((element("a", one.run.name, href=f"#r{k}"), one.found["life"], one.found["best_epoch"], *cells))
    if len(runs) > 1:
        means = [
            number(float(np.nanmean(column)), 3) if np.isfinite(column).any() else "–" for column in columns.values()
        ]
        rows.append(("mean", "", "", *means))
    return joined(
        element(
            "header", element("p", "Training report", class_="kicker"), element("h1", f"{title}: {len(runs)} runs")
        ),
        table(("run", "state", "epoch", *columns), rows, class_="best"),
        element(
            "p", "Each by itself on the dev part; together, as an ensemble, they are usually better.", class_="note"
        ),
    )


def _footer() -> Markup:
    return element(
        "footer",
        f"Made by affectkit {affectkit.__version__}, train report, on {now():%Y-%m-%d}. This file needs no network.",
    )
