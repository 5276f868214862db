"""The top of a report: what the run is, how far it is, its headline numbers; and several runs side by side."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import affectkit
from affectkit.train.journal import headlines
from affectkit.train.report.html import Markup, element, joined, number, table
from affectkit.train.report.intervals import Interval
from affectkit.train.report.material import Material
from affectkit.train.run_folder import now
from affectkit.train.status import TASK_TITLES, command_lines, headline_of, progress_text, sets_of

STATES = {"lost": "no sign of life", "elsewhere": "running elsewhere", "unknown": "older run"}
"""Words for states that are not words by themselves."""


def header(one: Material) -> Markup:
    """Name and kind of the run."""
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


def state(one: Material) -> Markup | None:
    """How far an unfinished run is; nothing of a finished one."""
    found = one.found
    if found["state"] in ("finished", "unknown"):
        return None
    going = found["state"] in ("running", "elsewhere")
    so_far = "Still being trained; everything here is what there is so far." if going else "Not finished."
    done = found["done"]
    return element(
        "div",
        element(
            "p", element("strong", so_far), f" {found['life'][:1].upper()}{found['life'][1:]}. {progress_text(found)}."
        ),
        None if going else element("p", "To continue: ", element("code", found["next"][0])),
        element("progress", value=f"{done:.4f}", max=1, aria_label="progress") if done is not None else None,
        class_="state" if going else "state bad",
    )


def cards(one: Material) -> Markup | None:
    """The headline numbers, with intervals where there are answers to draw from."""
    dev, ranges, made = one.dev or {}, one.ranges, []
    if dev.get("expression"):
        found = dev["expression"]
        more = f"macro F1 {number(found['macro_f1'], 3)}{_range(ranges.get('macro_f1'))}"
        made.append(_card("Expression accuracy", found["accuracy"], ranges.get("accuracy"), more))
    if dev.get("au"):
        found = dev["au"]
        more = f"Pearson {number(found['pearson']['mean'], 3)}"
        made.append(_card("Action units, mean F1", found["f1"]["mean"], ranges.get("au_f1"), more))
    for name in ("valence", "arousal") if dev.get("va") else ():
        found = dev["va"][name]
        made.append(
            _card(f"{name.capitalize()} CCC", found["ccc"], ranges.get(name), f"RMSE {number(found['rmse'], 3)}")
        )
    if dev.get("ece") is not None:
        made.append(_card("Calibration error", dev["ece"], None, "of the expression (ECE)"))
    if not made:
        return None
    epoch = one.found["best_epoch"]
    kept = "Dev part" + (f", epoch {epoch}" if epoch is not None else "") + ", whose weights are kept."
    note = f"{kept} In brackets: 95 % intervals (bootstrap over faces)." if ranges else kept
    return joined(element("div", made, class_="cards"), element("p", note, class_="note"))


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


def facts(one: Material) -> Markup:
    """Everything that another person needs to train the same network."""
    run, found = one.run, one.found
    network = run.network
    colour = "grey" if network.get("channels") == 1 else "RGB"
    crop = f"{network.get('size')} px, {colour}, template {network.get('template')}"
    told: list[tuple[str, object]] = [
        ("Kind", run.kind),
        ("Backbone", network.get("backbone")),
        ("Faces it is given", crop if network else None),
        ("Sequences", f"{run.config['sequence_length']} frames" if run.config.get("sequence_length") else None),
        ("Progress", progress_text(found)),
        ("Optimiser", _optimiser(run.config)),
        ("Sets", [element("div", name) for name in sets_of(found["data"])] or None),
        ("Started", _moment(found["started"])),
        ("Last update", _moment(found["updated"])),
        ("Trained with", f"affectkit {run.run['affectkit']}" if run.run.get("affectkit") else None),
        ("This report", f"{now():%Y-%m-%d %H:%M}, {_versions()}"),
    ]
    listed = [joined(element("dt", name), element("dd", value)) for name, value in told if value]
    command = command_lines(run)
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


def _moment(moment: object) -> str | None:
    """An ISO time as people write it; whatever else it is, as it stands."""
    if moment is None:
        return None
    try:
        return f"{datetime.fromisoformat(str(moment)):%Y-%m-%d %H:%M %Z}".strip()
    except ValueError:
        return str(moment)


def comparison(runs: Sequence[Material], title: str) -> Markup:
    """The headline numbers of each run; the best of a column in bold."""
    columns: dict[str, list[float]] = {}
    values = [headlines(one.dev or {}) for one in runs]
    for name in dict.fromkeys(name for one in values for name in one):
        columns[name] = [one.get(name, float("nan")) for one in values]
    rows: list[Sequence[object]] = []
    for k, one in enumerate(runs):
        cells = []
        for column in columns.values():
            top = bool(np.isfinite(column[k])) and column[k] == np.nanmax(column)
            cells.append(element("b", number(column[k], 3)) if top else number(column[k], 3))
        rows.append(
            (
                element("a", one.run.name, href=f"#r{k}"),
                STATES.get(one.found["state"], one.found["state"]),
                one.found["best_epoch"],
                *cells,
            )
        )
    if len(runs) > 1:
        means = [
            number(float(np.nanmean(column)), 3) if np.isfinite(column).any() else "–" for column in columns.values()
        ]
        rows.append(("mean", "", "", *means))
    return element(
        "section",
        element(
            "header", element("p", "Training report", class_="kicker"), element("h1", f"{title}: {len(runs)} runs")
        ),
        table(("run", "state", "epoch", *columns), rows, class_="best"),
        element(
            "p", "Each by itself on the dev part; together, as an ensemble, they are usually better.", class_="note"
        ),
        class_="compared",
    )
