"""``model.json``: a :class:`affectkit.spec.ModelSpec` as text, and back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from affectkit.errors import ModelError
from affectkit.spec import FORMAT_VERSION, FURTHER, TASKS, VA_BINS, InputSpec, ModelSpec, TemporalSpec
from affectkit.types import REGIONS


def text_of(spec: ModelSpec) -> str:
    """The text of a model's ``model.json``."""
    document: dict[str, Any] = {
        "format_version": spec.format_version,
        "name": spec.name,
        "version": spec.version,
        "licence": spec.licence,
        "trained_on": list(spec.trained_on),
        "metrics": spec.metrics,
        "input": {
            "size": spec.input.size,
            "channels": spec.input.channels,
            "template": spec.input.template,
            "margin": spec.input.margin,
            "aligned_size": spec.input.aligned_size,
        },
        "tasks": _tasks(spec),
        "feature_width": spec.feature_width,
        "members": spec.members,
        "ensemble": spec.ensemble,
        "precision": spec.precision,
        "temporal": None
        if spec.temporal is None
        else {
            "sequence_length": spec.temporal.sequence_length,
            "feature_width": spec.temporal.feature_width,
            "direction": spec.temporal.direction,
        },
        "files": spec.files,
    }
    if spec.frame_model is not None:
        document["frame_model"] = spec.frame_model
    document["digest"] = _digest(document)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _tasks(spec: ModelSpec) -> dict[str, Any]:
    """What the network answers, and how that is read out."""
    tasks: dict[str, Any] = {
        "expression": {
            "labels": list(spec.expression_labels),
            "temperature": spec.expression_temperature,
            "temperature_from": spec.expression_temperature_from,
        },
        "au": {
            "labels": list(spec.au_labels),
            "thresholds": list(spec.au_thresholds),
            "thresholds_from": spec.au_thresholds_from,
        },
        "va": {"labels": ["valence", "arousal"], "bins": spec.va_bins} if spec.valence_arousal else None,
    }
    # What a model does not have is not written, so that the text of other models stays what it was.
    if spec.expression_prior is not None:
        tasks["expression"] |= {
            "prior": list(spec.expression_prior),
            "prior_from": spec.expression_prior_from,
            "balanced_temperature": spec.balanced_temperature,
        }
    if spec.intensity:
        tasks["intensity"] = {"labels": list(spec.au_labels)}
    if spec.visibility_thresholds is not None:
        tasks["visibility"] = {
            "labels": list(REGIONS),
            "thresholds": list(spec.visibility_thresholds),
            "thresholds_from": spec.visibility_thresholds_from,
        }
    if spec.pose:
        tasks["pose"] = {"labels": ["pitch", "yaw", "roll"], "unit": "degrees"}
    return tasks


def parsed(text: str, where: str | Path) -> ModelSpec:
    """What the text of a ``model.json`` says. Errors as of :meth:`affectkit.spec.ModelSpec.from_json`."""
    document = _document(text, where)
    try:
        return _spec_of(document)
    except KeyError as error:
        raise ModelError(f"{where}: the field {error.args[0]!r} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:  # int(1e999)
        raise ModelError(f"{where}: a field has a value of the wrong kind ({error})") from error


def _document(text: str, where: str | Path) -> dict[str, Any]:
    """The JSON object, if this affectkit reads its format, and it is as it was written."""
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()  # names with halves of characters can be written nowhere
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ModelError(f"{where}: not valid JSON ({reason}); the file is damaged, reinstall the model") from error
    if not isinstance(document, dict):
        raise ModelError(f"{where}: expected a JSON object, got {type(document).__name__}")
    version = document.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelError(f"{where}: format_version must be a positive integer, got {version!r}")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{where}: model format {version} is newer than this affectkit reads ({FORMAT_VERSION}); "
            "pip install -U affectkit"
        )
    unknown = sorted(document.keys() - _FIELDS)
    if unknown:
        raise ModelError(f"{where}: has the unknown field {unknown[0]!r}; the file is damaged, reinstall the model")
    if "digest" in document and document["digest"] != _digest(document):
        raise ModelError(
            f"{where}: damaged, or changed by hand; reinstall the model, or take out the field 'digest' if you "
            "meant to change it"
        )
    return document


def _spec_of(document: dict[str, Any]) -> ModelSpec:
    """The spec that a document holds; raises whatever comes of fields that are missing or of another kind."""
    tasks = document["tasks"]
    # A task that the network lacks is null, or a list of no labels.
    expression, au, va = (tasks[task] for task in TASKS)
    au = {"labels": [], "thresholds": [], "thresholds_from": "no action units"} if au is None else au
    _check_further(tasks, au["labels"], document["format_version"])
    temporal = document["temporal"]
    return ModelSpec(
        name=str(document["name"]),
        version=str(document["version"]),
        licence=str(document["licence"]),
        trained_on=tuple(map(str, document["trained_on"])),
        input=_input(document["input"]),
        au_labels=_names(au["labels"]),
        au_thresholds=tuple(map(float, au["thresholds"])),
        au_thresholds_from=str(au["thresholds_from"]),
        members=int(document["members"]),
        feature_width=int(document["feature_width"]),
        va_bins=VA_BINS if va is None else int(va["bins"]),
        valence_arousal=va is not None,
        **_expression({"labels": []} if expression is None else expression),
        **_further(tasks),
        ensemble=document["ensemble"],
        temporal=None
        if temporal is None
        else TemporalSpec(
            sequence_length=int(temporal["sequence_length"]),
            feature_width=int(temporal["feature_width"]),
            direction=temporal["direction"],
        ),
        frame_model=None if document.get("frame_model") is None else str(document["frame_model"]),
        precision=document.get("precision", "fp32"),
        metrics=dict(document["metrics"]),
        files={str(name): str(digest) for name, digest in document["files"].items()},
    )


def _input(given: dict[str, Any]) -> InputSpec:
    aligned_size = given.get("aligned_size")
    return InputSpec(
        size=int(given["size"]),
        channels=given["channels"],
        template=str(given["template"]),
        margin=float(given["margin"]),
        aligned_size=None if aligned_size is None else int(aligned_size),
    )


def _expression(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of the task ``expression``."""
    prior, balanced = given.get("prior"), given.get("balanced_temperature")
    return {
        "expression_labels": _names(given["labels"]),
        # Models written before there was a temperature have none.
        "expression_temperature": float(given.get("temperature", 1.0)),
        "expression_temperature_from": str(given.get("temperature_from", "not calibrated")),
        "expression_prior": None if prior is None else tuple(map(float, prior)),
        "expression_prior_from": str(given.get("prior_from", "not stated")),
        "balanced_temperature": None if balanced is None else float(balanced),
    }


def _further(tasks: dict[str, Any]) -> dict[str, Any]:
    """The fields of what a frame network may say besides."""
    seen = tasks.get("visibility")
    return {
        "intensity": tasks.get("intensity") is not None,
        "visibility_thresholds": None if seen is None else tuple(map(float, seen["thresholds"])),
        "visibility_thresholds_from": "not calibrated" if seen is None else str(seen["thresholds_from"]),
        "pose": tasks.get("pose") is not None,
    }


def _check_further(tasks: dict[str, Any], units: Any, version: int) -> None:
    """Refuse tasks that the format does not have, or whose values stand in another order than ours.

    Raises:
        ValueError: such a task.
    """
    unknown = sorted(tasks.keys() - {*TASKS, *FURTHER})
    if unknown:
        raise ValueError(f"no such task: {unknown[0]!r}")
    usual = {"intensity": units, "visibility": list(REGIONS), "pose": ["pitch", "yaw", "roll"]}
    for name, labels in usual.items():
        given = tasks.get(name)
        if given is None:
            continue
        if version < 2:
            raise ValueError(f"the task {name!r} needs the format 2, this file says {version}")
        if given["labels"] != labels:
            raise ValueError(f"the labels of {name!r} must be {labels}, got {given['labels']!r}")


def _names(labels: Any) -> tuple[str, ...]:
    """The labels of a task as model.json lists them.

    Raises:
        TypeError: no list, or not of texts.
    """
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise TypeError(f"labels must be a list of names, got {labels!r}")
    return tuple(labels)


_FIELDS = frozenset(
    [
        "format_version",
        "name",
        "version",
        "licence",
        "trained_on",
        "metrics",
        "input",
        "tasks",
        "feature_width",
        "members",
        "ensemble",
        "precision",
        "temporal",
        "frame_model",
        "files",
        "digest",
    ]
)
"""What model.json may hold at its top level."""


def _digest(document: dict[str, Any]) -> str:
    """sha256 of everything in a document but its digest, however it is laid out."""
    rest = {name: value for name, value in document.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
