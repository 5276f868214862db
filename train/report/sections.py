"""The sections about the answers on the dev part, from ``dev.npz`` or, without it, from the best epoch's line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from affectkit.train.report import figures
from affectkit.train.report.answers import DevAnswers
from affectkit.train.report.html import Markup, bar, element, figure, joined, number, table
from affectkit.train.report.scores import (
    UNIT_BINS,
    calibration,
    class_scores,
    expression_calibration,
    unit_scores,
    va_scores,
)
from affectkit.types import AU_TITLES, Array, au_name

FEW = 20
"""Faces of a class under which its scores are mostly chance."""


def missing(what: str, reason: str) -> Markup:
    """The line in the place of a section that cannot be made."""
    return element("p", f"{what} cannot be shown: {reason}.", class_="missing")


def expression(dev: Mapping[str, Any], answers: DevAnswers | None) -> Markup | None:
    """Scores of each class and the confusion matrix; None where no face is labelled."""
    if answers is not None:
        names: tuple[str, ...] = answers.expressions
        counts: Array = answers.confusion() if names else np.zeros((0, 0), np.int64)
    elif dev.get("expression"):
        names = tuple(dev["expression"].get("labels") or dev["expression"]["f1"])
        counts = np.asarray(dev["expression"]["confusion"], np.int64)
    else:
        return None
    if not counts.sum():
        return None
    scores = class_scores(names, counts)
    rows: list[Sequence[object]] = [
        (one.name, bar(one.precision), bar(one.recall), bar(one.f1), one.support, one.answered) for one in scores
    ]
    accuracy, macro = np.trace(counts) / counts.sum(), np.mean([one.f1 for one in scores])
    rare = [f"{one.name} ({one.support})" for one in scores if one.support < FEW]
    return joined(
        element(
            "p",
            f"{counts.sum()} faces: accuracy {number(float(accuracy), 3)}, macro F1 {number(float(macro), 3)}. ",
            f"With fewer than {FEW} faces a score is mostly chance: {', '.join(rare)}." if rare else None,
        ),
        table(("class", "precision", "recall", "F1", "faces", "answered"), rows),
        figure(
            figures.confusion(names, counts),
            "Rows are labels, columns answers; each cell holds the percent of its row and the number of faces.",
            alt="Confusion matrix of the expressions",
            class_="tall",
        ),
    )


def action_units(dev: Mapping[str, Any], answers: DevAnswers | None) -> Markup | None:
    """Scores of each action unit; None where no face is labelled."""
    if answers is not None:
        return _units_of_answers(answers) if answers.has_au.any() else None
    if not dev.get("au"):
        return None
    kinds = ("f1", "best_f1", "pearson")
    names = [name for name in dev["au"]["f1"] if name != "mean"]
    rows: list[Sequence[object]] = [
        (_unit(name), *(bar(dev["au"][kind].get(name)) for kind in kinds)) for name in names
    ]
    rows.append(("mean", *(bar(dev["au"][kind]["mean"]) for kind in kinds)))
    return table(("action unit", "F1", "best F1", "Pearson"), rows)


def _units_of_answers(answers: DevAnswers) -> Markup:
    scores = unit_scores(answers)
    rows: list[Sequence[object]] = [
        (
            _unit(one.name),
            one.labelled,
            "–" if one.labelled == 0 else f"{one.base_rate:.1%}",
            number(one.threshold),
            bar(one.f1),
            bar(one.best_f1),
            bar(one.pearson),
            number(one.ece, 3),
        )
        for one in scores
    ]
    counted = [one for one in scores if one.labelled]
    means = [float(np.mean([getattr(one, name) for one in counted])) for name in ("f1", "best_f1", "pearson", "ece")]
    rows.append(("mean", "", "", "", *(bar(value) for value in means[:3]), number(means[3], 3)))
    heads = ("action unit", "faces", "base rate", "threshold", "F1", "best F1", "Pearson", "ECE")
    return joined(
        table(heads, rows),
        element(
            "p",
            "F1 is at the threshold that goes with the checkpoint; best F1 is that of the best threshold for these "
            "very faces. Base rate: the share of faces whose label is at least .5. Who always says yes reaches an F1 "
            "of 2 b / (1 + b) at a base rate of b. Pearson and ECE compare probabilities with the labels as they are, "
            "soft ones too.",
            class_="note",
        ),
    )


def _unit(name: str) -> Markup:
    try:
        title = AU_TITLES.get(au_name(name))
    except ValueError:
        title = None
    return joined(name, element("small", title) if title else None)


def calibrations(answers: DevAnswers) -> Markup | None:
    """Reliability of the expression's probability and of each action unit's."""
    parts: list[Markup] = []
    if answers.has_expression.any():
        found = expression_calibration(answers)
        parts.append(
            figure(
                figures.reliability(found),
                f"Of the answers that were given with a probability of .8, eight in ten should be right. The expected "
                f"calibration error is the mean distance from that, {number(found.error, 3)} here; the temperature "
                "that the probabilities were divided by was fitted on these faces.",
                alt="Reliability diagram of the expression's probability",
                class_="beside",
            )
        )
    labelled = answers.has_au
    units = {
        name: (calibration(answers.au_probability[labelled[:, k], k], answers.au[labelled[:, k], k], bins=UNIT_BINS), t)
        for k, (name, t) in enumerate(zip(answers.action_units, answers.au_thresholds, strict=True))
        if labelled[:, k].any()
    }
    if units:
        parts.append(
            figure(
                figures.unit_calibration(
                    {name: one for name, (one, _) in units.items()}, [t for _, t in units.values()]
                ),
                "Mean label against probability, in ten bins; the larger a dot, the more faces. Dotted: the threshold. "
                "Dots under the diagonal: the network says more than is there.",
                alt="Reliability diagrams of the action units",
            )
        )
    return joined(parts) if parts else None


def valence_arousal(dev: Mapping[str, Any], answers: DevAnswers | None) -> Markup | None:
    """CCC, RMSE and the scatter; None where no face is labelled."""
    if answers is None:
        found = dev.get("va")
        if not found:
            return None
        rows: list[Sequence[object]] = [
            (name, number(one["ccc"], 3), number(one["rmse"], 3)) for name, one in found.items()
        ]
        return table(("", "CCC", "RMSE"), rows, class_="narrow")
    scores = va_scores(answers)
    if not scores:
        return None
    rows = [
        (name, *(number(one[key], 3) for key in ("ccc", "rmse", "pearson", "bias"))) for name, one in scores.items()
    ]
    return joined(
        table(("", "CCC", "RMSE", "Pearson", "bias"), rows, class_="narrow"),
        figure(
            figures.valence_arousal(answers, scores),
            f"{int(answers.has_va.sum())} faces. CCC is 1 only where every answer is the label itself; bias is the "
            "mean of answer minus label.",
            alt="Answers against labels of valence and arousal",
            class_="dots",
        ),
    )
