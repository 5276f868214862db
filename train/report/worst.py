"""The faces of the dev part that were answered worst: where labels are wrong, and where the network is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np

from affectkit.train.report.answers import DevAnswers, au_loss, expression_loss, va_loss, worst
from affectkit.train.report.html import Markup, element, joined, number, void

MOST = 48
"""Faces a task."""

Thumbnail = Callable[[int], str | None]
"""The URL of the picture of a row; None where it is gone."""


def worst_faces(answers: DevAnswers, thumbnail: Thumbnail) -> list[Markup]:
    """A part for each task with labels."""
    parts = []
    rows = worst(expression_loss(answers), MOST)
    if len(rows):
        parts.append(
            _part(
                f"Expression: the {len(rows)} with the greatest log loss",
                _confusions(answers, rows),
                [_face(answers, int(row), thumbnail, _expression_lines(answers, int(row))) for row in rows],
            )
        )
    labelled = answers.has_au
    error = np.where(labelled, au_loss(answers), 0).sum(1) / np.maximum(labelled.sum(1), 1)
    rows = worst(np.where(labelled.any(1), error, np.nan), MOST)
    if len(rows):
        parts.append(
            _part(
                f"Action units: the {len(rows)} with the greatest error",
                "By the mean distance of probability and label over the units that a face is labelled for; its three "
                "worst are named.",
                [_face(answers, int(row), thumbnail, _unit_lines(answers, int(row))) for row in rows],
            )
        )
    rows = worst(np.where(answers.has_va, va_loss(answers), np.nan), MOST)
    if len(rows):
        parts.append(
            _part(
                f"Valence and arousal: the {len(rows)} farthest from their labels",
                "V: valence, A: arousal; by the distance in the plane of both.",
                [_face(answers, int(row), thumbnail, _va_lines(answers, int(row))) for row in rows],
            )
        )
    return parts


def _part(title: str, note: str, faces: list[Markup]) -> Markup:
    return joined(
        element("h3", title),
        element(
            "p",
            note + " ",
            element("span", "Blue", class_="label"),
            ": the label; ",
            element("span", "orange", class_="answer"),
            ": the answer.",
            class_="note legend",
        ),
        element("ul", faces, class_="faces"),
    )


def _face(answers: DevAnswers, row: int, thumbnail: Thumbnail, lines: list[Markup]) -> Markup:
    name, url = answers.names[row], thumbnail(row)
    short = PurePosixPath(name.replace("\\", "/")).name
    picture = void("img", src=url, alt=short, title=name) if url else element("div", "no picture", class_="blank")
    return element("li", picture, lines, element("div", short, class_="file", title=name))


def _line(left: str, right: str, class_: str) -> Markup:
    return element("div", element("span", left), element("span", right), class_=f"row {class_}")


def _expression_lines(answers: DevAnswers, row: int) -> list[Markup]:
    given = answers.expression_probability[row]
    label, answer = int(answers.expression[row]), int(given.argmax())
    return [
        _line(answers.expressions[label], number(float(given[label])), "label"),
        _line(answers.expressions[answer], number(float(given[answer])), "answer"),
    ]


def _unit_lines(answers: DevAnswers, row: int) -> list[Markup]:
    label, given = answers.au[row], answers.au_probability[row]
    lines = []
    for k in worst(np.abs(given - label), 3):
        numbers = joined(
            element("span", number(float(label[k])), class_="label"),
            " ",
            element("span", number(float(given[k])), class_="answer"),
        )
        lines.append(element("div", element("span", answers.action_units[k]), element("span", numbers), class_="row"))
    return lines


def _va_lines(answers: DevAnswers, row: int) -> list[Markup]:
    lines = []
    for values, class_ in ((answers.va[row], "label"), (answers.va_predicted[row], "answer")):
        lines.append(_line(f"V {_signed(values[0])}", f"A {_signed(values[1])}", class_))
    return lines


def _signed(value: float) -> str:
    return ("−" if value < 0 else "+") + number(abs(float(value)))


def _confusions(answers: DevAnswers, rows: np.ndarray) -> str:
    """What is taken for what most often among these faces."""
    pairs = Counter(
        (
            answers.expressions[int(answers.expression[row])],
            answers.expressions[int(answers.expression_probability[row].argmax())],
        )
        for row in rows
    )
    most = [
        f"{label} taken for {answer} ({count})" for (label, answer), count in pairs.most_common(3) if label != answer
    ]
    return (
        f"Most often: {', '.join(most)}. The numbers are probabilities." if most else "The numbers are probabilities."
    )
