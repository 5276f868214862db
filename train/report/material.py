"""What a report is made of, read once and handed to all of its sections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from affectkit.train.report.answers import DevAnswers, read_answers
from affectkit.train.report.data import Faces, faces_of
from affectkit.train.report.intervals import Interval, intervals
from affectkit.train.report.scores import dev_scores
from affectkit.train.run_folder import DEV_NAME, RunFolder
from affectkit.train.status import describe


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a report is made of; where something is None, a text says why."""

    run: RunFolder
    answers: DevAnswers | None
    no_answers: str
    faces: Faces | None
    no_faces: str
    dev: Mapping[str, Any] | None
    """The scores in the form of ``metrics.report``; None before the first epoch is through."""
    ranges: Mapping[str, Interval | None]
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
    # Of a running run the answers may be an epoch ahead of its lines: then all numbers are those of the answers.
    line = None if run.best is None else run.best.get("dev")
    dev = dev_scores(answers) if answers is not None else line if isinstance(line, Mapping) else None
    ranges = intervals(answers) if answers is not None else {}
    return Material(run, answers, no_answers, faces, no_faces, dev, ranges, describe(run))
