"""Generate tests/data/tiny*: real model folders of a few kB with known answers.

    python tests/make_tiny_model.py

tiny, tiny-ensemble and tiny-temporal have the labels of the shipped models, tiny-labels has twelve action units and
eight expressions, tiny-expressions nothing but expressions. tiny-seen also says how intense its units are, what can be
seen and how the head is turned, and tiny-seen-temporal is its temporal relative.

With m the mean of a face's pixels over 255, member k answers:
    expression logit i  (k + 1) * (i - 3) * m
    AU logit i          (k + 1) * (4 * m - i / 2)
    VA logit i          0, but 20 * m in bin 19 (valence highest) and 20 * (1 - m) in bin 20 (arousal lowest)
    features            all m

tiny-seen also answers with
    intensity logit i   4 * m - i / 4
    visibility logits   60 * p + 30 * b - 75, p the mean over MARK (top, in the middle), b over a BAND of the crop each
                        for brows, eyes and mouth: a face of one brightness is seen from 213 of 255 on
    pose                pitch 40 * (m - .5), yaw 60 * (right half - left half), roll 10

The temporal part of tiny-temporal, which uses tiny's frame.onnx, answers with m_t of frame t and the mean M of m over
the window:
    expression logit i  (i - 3) * M
    AU logit i          4 * m_t - i / 2
    VA logit i          as above, of M
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from affectkit.export.to_onnx import golden_faces
from affectkit.models import sha256
from affectkit.spec import InputSpec, ModelSpec, TemporalSpec
from affectkit.types import EXPRESSION_NAMES, LabelSet

SIZE, FEATURES, LENGTH = 16, 4, 8

SHIPPED = LabelSet()
TWELVE = LabelSet.of(
    (*EXPRESSION_NAMES, "other"),
    ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26"),
)
"""Those of Aff-Wild2 since 2021."""
EXPRESSIONS_ONLY = LabelSet(EXPRESSION_NAMES, (), valence_arousal=False)


SEEN = LabelSet.of(EXPRESSION_NAMES, ("AU1", "AU4", "AU6", "AU9", "AU12", "AU21", "AU25", "AU43"))
"""With units of each region, of two, and one of which nothing is known."""
FURTHER = ("intensity", "visibility", "pose")
MARK = (slice(0, 2), slice(6, 10))
BANDS = (slice(3, 6), slice(6, 9), slice(10, 14))
"""Rows of brows, eyes and mouth."""


def looks() -> np.ndarray:
    """(S * S, 6) float32: the means over MARK, the three BANDS, and the right half less the left, of a face 0..255."""
    found = np.zeros((6, SIZE, SIZE))
    found[0][MARK] = 1
    for k, rows in enumerate(BANDS):
        found[1 + k, rows] = 1
    found[:4] /= found[:4].sum((1, 2), keepdims=True)
    half = SIZE // 2
    found[4, :, :half], found[4, :, half:] = -1 / (half * SIZE), 1 / (half * SIZE)
    found[5] = 1 / SIZE**2
    return (found.reshape(6, -1).T / 255).astype(np.float32)


def further_weights(labels: LabelSet) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight (6, C) over :func:`looks` and bias (C,) of each further output."""
    units = len(labels.action_units)
    intensity, visibility, pose = np.zeros((6, units)), np.zeros((6, 3)), np.zeros((6, 3))
    intensity[5] = 4
    visibility[0], visibility[1:4] = 60, 30 * np.eye(3)
    pose[5, 0], pose[4, 1] = 40, 60
    biases = (-np.arange(units) / 4, np.full(3, -75.0), np.array([-20.0, 0, 10]))
    return {name: (w, b) for name, w, b in zip(FURTHER, (intensity, visibility, pose), biases, strict=True)}


def expected_further(faces: np.ndarray, labels: LabelSet, members: int = 1) -> dict[str, np.ndarray]:
    """The further answers, computed without ONNX; the same of every member."""
    means = faces.reshape(len(faces), -1).astype(np.float64) @ looks()
    answers = {name: means @ weight + bias for name, (weight, bias) in further_weights(labels).items()}
    return {name: np.stack([answer] * members).astype(np.float32) for name, answer in answers.items()}


def tasks(labels: LabelSet) -> tuple[str, ...]:
    """The outputs of logits that such a model has."""
    there = {"expression": labels.expressions, "au": labels.action_units, "va": labels.valence_arousal}
    return tuple(task for task, present in there.items() if present)


def weights(member: int, labels: LabelSet = SHIPPED) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight (1, C) and bias (C,) of each output; logit = m * weight + bias."""
    gain = member + 1.0
    va_weight, va_bias = np.zeros(40), np.zeros(40)
    va_weight[19], va_weight[20], va_bias[20] = 20, -20, 20
    expressions, units, parts = len(labels.expressions), len(labels.action_units), tasks(labels)
    answers = {
        "expression": (gain * (np.arange(expressions) - 3.0), np.zeros(expressions)),
        "au": (gain * np.full(units, 4.0), gain * -np.arange(units) / 2),
        "va": (va_weight, va_bias),
    }
    features = (np.ones(len(parts) * FEATURES), np.zeros(len(parts) * FEATURES))
    return {task: answers[task] for task in parts} | {"features": features}


def expected(faces: np.ndarray, members: int, labels: LabelSet = SHIPPED) -> dict[str, np.ndarray]:
    """The answers, computed without ONNX."""
    m = faces.reshape(len(faces), -1).astype(np.float64).mean(1)[:, None] / 255
    answers: dict[str, np.ndarray] = {}
    for name in (*tasks(labels), "features"):
        stacked = np.stack([m * weights(k, labels)[name][0] + weights(k, labels)[name][1] for k in range(members)])
        if name == "features":
            stacked = stacked.reshape(members, len(faces), -1, FEATURES)
        answers[name] = stacked.astype(np.float32)
    return answers


def graph(members: int, labels: LabelSet = SHIPPED, *, seen: bool = False) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["faces"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mean"], ["m"]),
    ]
    pixels = SIZE * SIZE
    constants = [numpy_helper.from_array(np.full((pixels, 1), 1 / pixels / 255, np.float32), "mean")]
    outputs = []
    for name in (*tasks(labels), "features"):
        parts = []
        for k in range(members):
            weight, bias = weights(k, labels)[name]
            constants.append(numpy_helper.from_array(weight[None].astype(np.float32), f"{name}_w{k}"))
            constants.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}_b{k}"))
            nodes.append(helper.make_node("Gemm", ["m", f"{name}_w{k}", f"{name}_b{k}"], [f"{name}_{k}"]))
            parts.append(f"{name}_{k}")
        inner = [len(tasks(labels)), FEATURES] if name == "features" else [len(weights(0, labels)[name][1])]
        constants.append(numpy_helper.from_array(np.array([1, -1, *inner]), f"{name}_shape"))
        for part in parts:
            nodes.append(helper.make_node("Reshape", [part, f"{name}_shape"], [f"{part}_m"]))
        nodes.append(helper.make_node("Concat", [f"{part}_m" for part in parts], [name], axis=0))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [members, "n", *inner]))
    if seen:
        constants += [numpy_helper.from_array(looks(), "looks"), numpy_helper.from_array(np.array([0]), "first")]
        nodes.append(helper.make_node("MatMul", ["flat", "looks"], ["means"]))
        for name, (weight, bias) in further_weights(labels).items():
            constants.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}_w"))
            constants.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}_b"))
            nodes.append(helper.make_node("Gemm", ["means", f"{name}_w", f"{name}_b"], [f"{name}_0"]))
            nodes.append(helper.make_node("Unsqueeze", [f"{name}_0", "first"], [f"{name}_m"]))
            nodes.append(helper.make_node("Concat", [f"{name}_m"] * members, [name], axis=0))
            value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [members, "n", len(bias)])
            outputs.insert(len(outputs) - 1, value)  # features are the last
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["n", SIZE, SIZE, 1])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", [faces], outputs, constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def write(folder: Path, members: int, labels: LabelSet = SHIPPED, *, seen: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(members, labels, seen=seen), folder / "frame.onnx")
    faces = golden_faces(SIZE, 1)
    further = expected_further(faces, labels, members) if seen else {}
    np.savez_compressed(folder / "golden.npz", faces=faces, **expected(faces, members, labels), **further)
    spec = ModelSpec(
        name=folder.name,
        version="1",
        licence="MIT",
        trained_on=("nothing",),
        input=InputSpec(SIZE, 1, "tight"),
        au_thresholds=(0.5,) * len(labels.action_units),
        au_thresholds_from="made up",
        members=members,
        feature_width=FEATURES,
        expression_labels=labels.expressions,
        au_labels=labels.action_units,
        valence_arousal=labels.valence_arousal,
        files={name: sha256(folder / name) for name in ("frame.onnx", "golden.npz")},
    )
    if seen:
        spec = dataclasses.replace(
            spec,
            intensity=True,
            pose=True,
            visibility_thresholds=(0.5, 0.5, 0.5),
            visibility_thresholds_from="made up",
            expression_prior=(0.4, 0.1, 0.1, 0.05, 0.2, 0.1, 0.05),
            expression_prior_from="made up",
            balanced_temperature=2.0,
        )
    (folder / "model.json").write_text(spec.to_json())


def temporal_graph(labels: LabelSet = SHIPPED) -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceMean", ["features", "inner"], ["m"], keepdims=0),  # (1, B, T)
        helper.make_node("ReduceMean", ["m", "time"], ["window"], keepdims=1),  # (1, B, 1)
        helper.make_node("Shape", ["m"], ["shape"]),
        helper.make_node("Expand", ["window", "shape"], ["mean"]),
    ]
    constants = [numpy_helper.from_array(np.array([3, 4]), "inner"), numpy_helper.from_array(np.array([2]), "time")]
    constants.append(numpy_helper.from_array(np.array([3]), "last"))
    outputs = []
    for name in tasks(labels):
        source = "m" if name == "au" else "mean"
        weight, bias = weights(0, labels)[name]
        constants.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}_w"))
        constants.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}_b"))
        nodes.append(helper.make_node("Unsqueeze", [source, "last"], [f"{name}_x"]))
        nodes.append(helper.make_node("Mul", [f"{name}_x", f"{name}_w"], [f"{name}_p"]))
        nodes.append(helper.make_node("Add", [f"{name}_p", f"{name}_b"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "b", "t", len(bias)]))
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, "b", "t", len(tasks(labels)), FEATURES])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny-temporal", [features], outputs, constants),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def expected_sequence(features: np.ndarray, labels: LabelSet = SHIPPED) -> dict[str, np.ndarray]:
    """The temporal part's answers to (1, B, T, K, F), computed without ONNX."""
    m = features.mean((3, 4))
    mean = np.broadcast_to(m.mean(2, keepdims=True), m.shape)
    sources = {task: m if task == "au" else mean for task in tasks(labels)}
    known = weights(0, labels)
    return {name: (x[..., None] * known[name][0] + known[name][1]) for name, x in sources.items()}


def write_temporal(folder: Path, frame: Path, labels: LabelSet = SHIPPED) -> None:
    """A model of sequences of LENGTH frames that names ``frame``'s network instead of copying it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(temporal_graph(labels), folder / "temporal.onnx")
    faces = golden_faces(SIZE, 1)
    features = np.random.default_rng(1).uniform(0, 1, (1, 2, 5, len(tasks(labels)), FEATURES)).astype(np.float32)
    sequence = {f"sequence_{name}": a.astype(np.float32) for name, a in expected_sequence(features, labels).items()}
    single = ModelSpec.from_json((frame / "model.json").read_text())
    further = expected_further(faces, labels) if single.further_widths else {}
    golden = {"faces": faces, **expected(faces, 1, labels), **further, "sequence_features": features, **sequence}
    np.savez_compressed(folder / "golden.npz", **golden)
    spec = dataclasses.replace(
        single,
        name=folder.name,
        temporal=TemporalSpec(LENGTH, FEATURES, "bidirectional"),
        frame_model=frame.name,
        files={name: sha256(folder / name) for name in ("golden.npz", "temporal.onnx")}
        | {"frame.onnx": sha256(frame / "frame.onnx")},
    )
    (folder / "model.json").write_text(spec.to_json())


if __name__ == "__main__":
    data = Path(__file__).parent / "data"
    write(data / "tiny", 1)
    write(data / "tiny-ensemble", 3)
    write_temporal(data / "tiny-temporal", data / "tiny")
    write(data / "tiny-labels", 2, TWELVE)
    write(data / "tiny-expressions", 1, EXPRESSIONS_ONLY)
    write(data / "tiny-seen", 1, SEEN, seen=True)
    write_temporal(data / "tiny-seen-temporal", data / "tiny-seen", SEEN)
