"""What a run writes down for people and other programs: ``run.json``, ``progress.json`` and ``dev.npz``.

``run.json`` says what the run is and which command started it, ``progress.json`` how far it is, ``dev.npz`` what the
best checkpoint answers on the dev part. Each is replaced as a whole, so a reader never meets half of one.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import affectkit
from affectkit.outputs.files import written_whole
from affectkit.outputs.json_files import write_text
from affectkit.train.faces import FaceSet
from affectkit.types import Array

if TYPE_CHECKING:
    from affectkit.train.config import TrainConfig

RUN_NAME = "run.json"
PROGRESS_NAME = "progress.json"
ANSWERS_NAME = "dev.npz"

SECONDS_A_NOTE = 5.0
"""Time from one ``progress.json`` to the next."""

State = Literal["running", "finished", "interrupted", "failed"]


class RunRecord:
    """Writes the three files of one run."""

    def __init__(self, run: Path, *, steps: int, epochs: int) -> None:
        self._run = run
        self._steps, self._epochs = steps, epochs
        self._best: tuple[float, int] | None = None
        self._written_at = -math.inf

    def describe(self, config: TrainConfig, train_set: FaceSet, dev_set: FaceSet, about: Mapping[str, Any]) -> None:
        """Write ``run.json``; a run that is resumed keeps the time and the command it was started with."""
        path = self._run / RUN_NAME
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        document = {
            **about,
            "command": before.get("command", about.get("command", [])),
            "affectkit": affectkit.__version__,
            "started": before.get("started", _now()),
            "config": dataclasses.asdict(config),
            "faces": {"train": len(train_set), "dev": len(dev_set)},
            "label_counts": {
                part: {task: int(rows.sum()) for task, rows in faces.labelled().items()}
                for part, faces in (("train", train_set), ("dev", dev_set))
            },
        }
        write_text(path, json.dumps(document, indent=2) + "\n")

    def best(self, score: float, epoch: int) -> None:
        """The best score on the dev part so far, and the epoch that reached it."""
        self._best = score, epoch

    def update(self, state: State, step: int, *, message: str = "", force: bool = False) -> None:
        """Write ``progress.json``, at most every few seconds unless forced."""
        now = time.monotonic()
        if not force and now - self._written_at < SECONDS_A_NOTE:
            return
        self._written_at = now
        steps_per_epoch = max(1, self._steps // max(1, self._epochs))
        document = {
            "state": state,
            "step": step,
            "steps": self._steps,
            "epoch": step // steps_per_epoch,
            "epochs": self._epochs,
            "best_score": self._best[0] if self._best and math.isfinite(self._best[0]) else None,
            "best_epoch": self._best[1] if self._best else None,
            "updated": _now(),
            "pid": os.getpid(),
            "host": os.uname().nodename if hasattr(os, "uname") else "",
            "message": message,
        }
        write_text(self._run / PROGRESS_NAME, json.dumps(document) + "\n")

    def save_answers(self, faces: FaceSet, answers: Mapping[str, Array], thresholds: Sequence[float]) -> None:
        """Write ``dev.npz``: labels and answers for every face of the dev part."""
        target = self._run / ANSWERS_NAME
        with (
            written_whole(target, at=target.with_name(f".{ANSWERS_NAME}.partial")) as partial,
            partial.open("wb") as file,
        ):
            np.savez_compressed(
                file,
                names=np.array(faces.names, np.str_),
                expression=faces.expression,
                au=faces.au,
                va=faces.va,
                expression_probability=answers["expression"],
                au_probability=answers["au"],
                va_predicted=answers["va"],
                au_thresholds=np.asarray(thresholds, np.float32),
                expressions=np.array(faces.label_set.expressions, np.str_),
                action_units=np.array(faces.label_set.action_units, np.str_),
            )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
