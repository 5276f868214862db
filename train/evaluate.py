"""A model on labelled pictures: a model folder through the SDK as a user would run it, or a training run in torch."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from affectkit import models
from affectkit.errors import SourceError
from affectkit.predictor import Predictor
from affectkit.readout import read_out
from affectkit.spec import EnsembleRule, ModelSpec
from affectkit.train.answers import run_logits, score
from affectkit.train.checkpoints import load_any, load_checkpoint
from affectkit.train.config import config_from_dict
from affectkit.train.crops import crop_all
from affectkit.train.faces import FaceSet, relabelled
from affectkit.train.runs import checkpoints_of, spec_of
from affectkit.train.sequences import distinct_frames, videos
from affectkit.types import Array, LabelSet

CHUNK = 4096
"""Faces whose crops and features are in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the M members of a model answer for N faces."""

    spec: ModelSpec
    logits: dict[str, Array]
    """``expression`` (M, N, E), ``au`` (M, N, A), ``va`` (M, N, 40) of the tasks that the model has, labels in the
    order of the spec's lists."""

    def decoded(self) -> dict[str, Array]:
        """``expression`` (N, E) and ``au`` (N, A) probabilities and ``va`` (N, 2), read out as the SDK does.

        In the order of ``spec.labels``; of a task that the model does not have the width is 0, or the value NaN.
        """
        affects = read_out(self.logits, self.spec)
        return {
            "expression": np.stack([a.expression_probabilities for a in affects]),
            "au": np.stack([a.au_probabilities for a in affects]),
            "va": np.array([[a.valence, a.arousal] for a in affects]),
        }

    def member(self, k: int) -> Answers:
        """One member by itself."""
        spec = dataclasses.replace(self.spec, members=1)
        return Answers(spec, {name: part[k : k + 1] for name, part in self.logits.items()})

    def by_rule(self, rule: EnsembleRule) -> Answers:
        """The same members, averaged by another rule."""
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, ensemble=rule))

    def subset(self, keep: Array) -> Answers:
        """The faces where ``keep`` (N,) is true."""
        return dataclasses.replace(self, logits={name: part[:, keep] for name, part in self.logits.items()})

    def report(self, faces: FaceSet) -> dict[str, Any]:
        """``metrics.report`` against the labels of ``faces``, as far as the model knows them."""
        return score(relabelled(faces, self.spec.labels), self.decoded(), self.thresholds())

    def thresholds(self) -> Array:
        """(A,) by ``spec.labels.action_units``."""
        by_name = self.spec.thresholds
        return np.array([by_name[name] for name in self.spec.labels.action_units])


def ask(model: str | os.PathLike[str], faces: FaceSet, *, device: str = "auto") -> Answers:
    """Ask a model about every face; one crop each, no flips or other test-time tricks.

    Args:
        model: name of an embedded model, a model folder, a training run, a folder of students' runs, or a checkpoint.
        device: of a model folder's engine; training runs are asked on torch's CPU, or on CUDA for ``cuda``.

    Raises:
        ModelError: the model is missing or damaged.
    """
    runs = checkpoints_of(model)
    if runs:
        return _ask_runs(runs, faces, "cuda" if device.startswith("cuda") else "cpu")
    precision = models.read_spec(models.find(model)).precision  # the very model that was named
    with Predictor(model, device=device, batch_size=128, precision=precision) as predictor:
        spec = predictor.spec
        if spec.temporal is not None:
            return Answers(spec, _ask_sequences(predictor, faces))
        parts = []
        for start in range(0, len(faces), CHUNK):  # a large set has to fit into memory as logits only
            rows = range(start, min(start + CHUNK, len(faces)))
            _, logits = predictor.predict_aligned(crop_all(faces, rows, spec.input), return_logits=True)
            parts.append(logits)
    return Answers(spec, {name: np.concatenate([part[name] for part in parts], axis=1) for name in spec.tasks})


def labels_of_model(model: str | os.PathLike[str]) -> LabelSet:
    """What a model, a run or a folder of students answers.

    Raises:
        ModelError: it is missing or damaged.
    """
    runs = checkpoints_of(model)
    if runs:
        return config_from_dict(load_checkpoint(runs[0])["config"]).network.labels
    return models.read_spec(models.find(model)).labels


def _ask_sequences(predictor: Predictor, faces: FaceSet) -> dict[str, Array]:
    """Logits of a model with a temporal part: each person in each video is a sequence.

    Raises:
        SourceError: a face belongs to no video.
    """
    logits: dict[str, Array] = {}
    answered = np.zeros(len(faces), bool)
    for every_row in videos(faces):
        answered[every_row] = True
        rows, position = distinct_frames(faces, every_row)
        _, answer = predictor.predict_sequence(crop_all(faces, rows, predictor.spec.input), return_logits=True)
        for name, values in answer.items():
            if name not in logits:
                logits[name] = np.full((len(values), len(faces), values.shape[2]), np.nan, np.float32)
            logits[name][:, every_row] = values[:, position]
    if not answered.all():
        raise SourceError(
            f"model {predictor.spec.name!r} looks at sequences, and a face of the set names no video and frame"
        )
    return logits


def _ask_runs(runs: list[Path], faces: FaceSet, device: str) -> Answers:
    parts, states = [], []
    for path in runs:
        network, state = load_any(path)
        parts.append(run_logits(network.to(device), faces, config_from_dict(state["config"])))
        states.append(state)
    spec = spec_of(states, name=str(runs[0].parent if len(runs) == 1 else runs[0].parent.parent))
    return Answers(spec, {name: np.stack([part[name] for part in parts]) for name in spec.tasks})


def evaluate_model(
    model: str | os.PathLike[str], faces: FaceSet, *, device: str = "auto", members: bool = False
) -> dict[str, Any]:
    """``metrics.report`` of a model on ``faces``.

    Args:
        members: add ``members``, a report for each member by itself, and ``ensemble``, one for each ensemble rule.
    """
    answers = ask(model, faces, device=device)
    report = answers.report(faces)
    if members:
        report["members"] = [answers.member(k).report(faces) for k in range(answers.spec.members)]
        report["ensemble"] = {rule: answers.by_rule(rule).report(faces) for rule in get_args(EnsembleRule)}
    return report
