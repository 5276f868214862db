"""What a network expects and what its outputs mean, written into the ONNX file itself: its metadata.

Whoever has the file alone (a browser, a phone, another language) needs labels, thresholds, temperatures, the framing of
the face and the licence. All keys are in :func:`described`; lists and tables are JSON. `model.json` stays what counts.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import onnx
import onnx.helper

from affectkit.models import FRAME_NAME, TEMPORAL_NAME, sha256
from affectkit.spec import TEMPLATES, ModelSpec
from affectkit.types import REGIONS

READOUT_NAME = "readout.onnx"


def described(spec: ModelSpec) -> dict[str, str]:
    """Metadata of a model's networks, by key."""
    layout = "RGB" if spec.input.channels == 3 else "luma"
    size = spec.input.size
    found: dict[str, object] = {
        "name": spec.name,
        "version": spec.version,
        "licence": spec.licence,
        "precision": spec.precision,
        "input": f"uint8 (faces, {size}, {size}, {spec.input.channels}), {layout}, 0 to 255, not normalised",
        # Where the crop shows the eyes, the tip of the nose and the corners of the mouth, as shares of its side.
        "framing": {
            "template": spec.input.template,
            "points": TEMPLATES[spec.input.template],
            "margin": spec.input.margin,
        },
        "outputs": "logits (members, faces, labels); pose in degrees; features",
        "members": spec.members,
        "ensemble": f"mean of {spec.ensemble}",
        "trained_on": list(spec.trained_on),
    }
    if spec.expression_labels:
        found["expression_labels"] = list(spec.expression_labels)
        found["expression_temperature"] = spec.expression_temperature
        if spec.expression_prior is not None:
            found["expression_prior"] = list(spec.expression_prior)
            found["expression_balanced_temperature"] = spec.balanced_temperature
    if spec.au_labels:
        found["au_labels"] = list(spec.au_labels)
        found["au_thresholds"] = list(spec.au_thresholds)
    if spec.valence_arousal:
        found["va"] = f"{spec.va_bins} bins each of valence and arousal; their centres are evenly from -1 to 1"
    if spec.intensity:
        found["intensity_labels"] = list(spec.au_labels)
    if spec.visibility_thresholds is not None:
        found["visibility_labels"] = list(REGIONS)
        found["visibility_thresholds"] = list(spec.visibility_thresholds)
    if spec.pose:
        found["pose_labels"] = ["pitch", "yaw", "roll"]
    if spec.temporal is not None:
        found["sequence_length"] = spec.temporal.sequence_length
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def describe(path: Path, spec: ModelSpec) -> None:
    """Write the metadata of a model into one of its ONNX files; what it computes stays as it is."""
    model = onnx.load(str(path))
    told = described(spec)
    if path.name == READOUT_NAME:
        told["outputs"] = "by face: probabilities, decisions, shares of 0 to 1, valence and arousal, pose in degrees"
        if spec.labels.action_units:  # decoded values are in this order, logits in the network's
            told["au_labels"] = json.dumps(list(spec.labels.action_units))
            told["au_thresholds"] = json.dumps([float(value) for value in spec.label_thresholds])
        if spec.labels.expressions:
            told["expression_labels"] = json.dumps(list(spec.labels.expressions))
    onnx.helper.set_model_props(model, told)
    onnx.save(model, str(path))


def describe_folder(folder: Path, spec: ModelSpec) -> ModelSpec:
    """Bring the metadata of all networks of a folder up to date; the spec with their new digests.

    A network that another model shares is that model's, and is left alone.
    """
    own = [name for name in (FRAME_NAME, TEMPORAL_NAME, READOUT_NAME) if (folder / name).is_file()]
    for name in own:
        describe(folder / name, spec)
    return dataclasses.replace(spec, files=dict(spec.files) | {name: sha256(folder / name) for name in own})
