"""Training runs as models: which checkpoints a path names, and the spec of the model that they make together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectkit import models
from affectkit.errors import ModelError
from affectkit.models import embedded_names
from affectkit.spec import EnsembleRule, ModelSpec, TemporalSpec
from affectkit.train.checkpoints import load_network
from affectkit.train.config import config_from_dict
from affectkit.train.crops import crop_all
from affectkit.train.faces import FaceSet
from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNN
from affectkit.train.restore import MEASURED_ON, restore
from affectkit.types import Array

BEST_NAME = "best.pt"


def checkpoint_of(path: Path) -> Path:
    """The best checkpoint of a run's folder, or the file itself."""
    return path / BEST_NAME if path.is_dir() else path


def checkpoints_of(model: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints that ``model`` names: a file, a run, or a folder of students' runs; none for anything else.

    The name of an embedded model is that model, also where a folder is called so: a run of that name is ``./lite``.
    """
    if os.fspath(model) in embedded_names():
        return []
    path = Path(model)
    if path.is_file() and path.suffix == ".pt":
        return [path]
    if (path / BEST_NAME).is_file():
        return [path / BEST_NAME]
    found = [folder / BEST_NAME for folder in path.glob("student_*") if (folder / BEST_NAME).is_file()]
    return sorted(found, key=lambda file: (len(file.parent.name), file.parent.name))  # student_10 after student_9


def cnns_of(model: str | os.PathLike[str], faces: FaceSet) -> tuple[list[MultitaskCNN], list[str]]:
    """The CNNs that ``model`` holds, in evaluation mode, and a digest of each one's weights.

    Args:
        model: a checkpoint, a run, a folder of students' runs, or the name or folder of an exported model.
        faces: some of them serve to measure what an exported model no longer holds.

    Raises:
        ModelError: it is none of these, or holds a CNN-RNN.
    """
    files = checkpoints_of(model)
    if files:
        return [load_network(path)[0] for path in files], [models.sha256(path) for path in files]
    folder = models.load(model)
    members = restore(folder, crop_all(faces, range(min(len(faces), MEASURED_ON)), folder.spec.input))
    return members, [f"{models.sha256(folder.frame_onnx)}#{k}" for k in range(len(members))]


def spec_of(
    states: Sequence[dict[str, Any]],
    *,
    name: str,
    version: str = "1",
    licence: str = "unknown",
    trained_on: Sequence[str] = (),
    ensemble: EnsembleRule = "probabilities",
    metrics: dict[str, Any] | None = None,
) -> ModelSpec:
    """What the members of these checkpoints expect and answer.

    Thresholds and temperature are the means of those that the runs found on their dev part; for several members
    ``affectkit train calibrate`` fits better ones.

    Raises:
        ModelError: the members need different inputs.
    """
    inputs = {config_from_dict(state["config"]).input_spec() for state in states}
    if len(inputs) != 1:
        raise ModelError("members of one model need the same input; these runs differ in it")
    labels = {config_from_dict(state["config"]).network.labels for state in states}
    if len(labels) != 1:
        raise ModelError("members of one model need the same action units and expressions; these runs differ in them")
    lengths = {state["config"].get("sequence_length", 0) for state in states}
    if len(lengths) != 1:
        raise ModelError("members of one model need the same sequence length; these runs differ in it")
    networks = [config_from_dict(state["config"]).network for state in states]
    besides = {(network.intensity, network.visibility, network.pose) for network in networks}
    if len(besides) != 1:
        raise ModelError(
            "members of one model need the same outputs; these runs differ in intensity, visibility or pose"
        )
    (intensity, visibility, pose) = besides.pop()
    shares = [state.get("visibility_thresholds") for state in states]
    prior, balanced = (_mean_of(states, name) for name in ("expression_prior", "balanced_temperature"))
    length, answered = lengths.pop(), labels.pop()
    thresholds = np.mean([state.get("au_thresholds", [0.5] * len(answered.action_units)) for state in states], axis=0)
    temperature = float(np.mean([state.get("expression_temperature", 1.0) for state in states]))
    return ModelSpec(
        name=name,
        version=version,
        licence=licence,
        trained_on=tuple(trained_on),
        input=inputs.pop(),
        au_thresholds=tuple(round(float(t), 4) for t in thresholds),
        au_thresholds_from=("mean of the members', each by " if len(states) > 1 else "")
        + states[0].get("au_thresholds_from", "0.5, not calibrated"),
        expression_temperature=round(temperature, 4),
        expression_temperature_from="least log loss on the dev part of the training data"
        if temperature != 1
        else "not calibrated",
        expression_prior=None if prior is None else tuple(prior.round(6).tolist()),
        expression_prior_from=states[0].get("expression_prior_from", "not stated"),
        balanced_temperature=None if prior is None or balanced is None else round(float(balanced), 4),
        members=len(states),
        feature_width=FEATURE_WIDTH,
        expression_labels=answered.expressions,
        au_labels=answered.action_units,
        valence_arousal=answered.valence_arousal,
        intensity=intensity and bool(answered.action_units),
        visibility_thresholds=_visibility_thresholds(shares) if visibility else None,
        visibility_thresholds_from=states[0].get("visibility_thresholds_from", "not calibrated"),
        pose=pose,
        ensemble=ensemble,
        temporal=TemporalSpec(length, FEATURE_WIDTH, "bidirectional") if length else None,
        metrics=metrics or {},
    )


def _mean_of(states: Sequence[dict[str, Any]], name: str) -> Array | None:
    """Mean of what each state holds of a name; None where one holds nothing."""
    found = [state.get(name) for state in states]
    return None if any(value is None for value in found) else np.asarray(np.mean(np.array(found, np.float64), axis=0))


def _visibility_thresholds(members: Sequence[Sequence[float] | None]) -> tuple[float, float, float]:
    """Mean of the members' thresholds of brows, eyes and mouth; half of each region where one has none."""
    brows, eyes, mouth = np.mean([[0.5] * 3 if shares is None else shares for shares in members], axis=0)
    return round(float(brows), 4), round(float(eyes), 4), round(float(mouth), 4)
