"""Generate tests/data/tiny, tiny-ensemble and tiny-temporal: real model folders of a few kB with known answers.

    python tests/make_tiny_model.py

With m the mean of a face's pixels over 255, member k answers:
    expression logit i  (k + 1) * (i - 3) * m
    AU logit i          (k + 1) * (4 * m - i / 2)
    VA logit i          0, but 20 * m in bin 19 (valence highest) and 20 * (1 - m) in bin 20 (arousal lowest)
    features            all m

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

SIZE, FEATURES, LENGTH = 16, 4, 8


def weights(member: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Weight (1, C) and bias (C,) of each output; logit = m * weight + bias."""
    gain = member + 1.0
    va_weight, va_bias = np.zeros(40), np.zeros(40)
    va_weight[19], va_weight[20], va_bias[20] = 20, -20, 20
    return {
        "expression": (gain * (np.arange(7) - 3.0), np.zeros(7)),
        "au": (gain * np.full(8, 4.0), gain * -np.arange(8) / 2),
        "va": (va_weight, va_bias),
        "features": (np.ones(3 * FEATURES), np.zeros(3 * FEATURES)),
    }


def expected(faces: np.ndarray, members: int) -> dict[str, np.ndarray]:
    """The answers, computed without ONNX."""
    m = faces.reshape(len(faces), -1).astype(np.float64).mean(1)[:, None] / 255
    answers: dict[str, np.ndarray] = {}
    for name in ("expression", "au", "va", "features"):
        stacked = np.stack([m * weights(k)[name][0] + weights(k)[name][1] for k in range(members)])
        if name == "features":
            stacked = stacked.reshape(members, len(faces), 3, FEATURES)
        answers[name] = stacked.astype(np.float32)
    return answers


def graph(members: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["faces"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mean"], ["m"]),
    ]
    pixels = SIZE * SIZE
    constants = [numpy_helper.from_array(np.full((pixels, 1), 1 / pixels / 255, np.float32), "mean")]
    outputs = []
    for name in ("expression", "au", "va", "features"):
        parts = []
        for k in range(members):
            weight, bias = weights(k)[name]
            constants.append(numpy_helper.from_array(weight[None].astype(np.float32), f"{name}_w{k}"))
            constants.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}_b{k}"))
            nodes.append(helper.make_node("Gemm", ["m", f"{name}_w{k}", f"{name}_b{k}"], [f"{name}_{k}"]))
            parts.append(f"{name}_{k}")
        inner = [3, FEATURES] if name == "features" else [len(weights(0)[name][1])]
        constants.append(numpy_helper.from_array(np.array([1, -1, *inner]), f"{name}_shape"))
        for part in parts:
            nodes.append(helper.make_node("Reshape", [part, f"{name}_shape"], [f"{part}_m"]))
        nodes.append(helper.make_node("Concat", [f"{part}_m" for part in parts], [name], axis=0))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [members, "n", *inner]))
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["n", SIZE, SIZE, 1])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", [faces], outputs, constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def write(folder: Path, members: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(members), folder / "frame.onnx")
    faces = golden_faces(SIZE, 1)
    np.savez_compressed(folder / "golden.npz", faces=faces, **expected(faces, members))
    spec = ModelSpec(
        name=folder.name,
        version="1",
        licence="MIT",
        trained_on=("nothing",),
        input=InputSpec(SIZE, 1, "tight"),
        au_thresholds=(0.5,) * 8,
        au_thresholds_from="made up",
        members=members,
        feature_width=FEATURES,
        files={name: sha256(folder / name) for name in ("frame.onnx", "golden.npz")},
    )
    (folder / "model.json").write_text(spec.to_json())


def temporal_graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceMean", ["features", "inner"], ["m"], keepdims=0),  # (1, B, T)
        helper.make_node("ReduceMean", ["m", "time"], ["window"], keepdims=1),  # (1, B, 1)
        helper.make_node("Shape", ["m"], ["shape"]),
        helper.make_node("Expand", ["window", "shape"], ["mean"]),
    ]
    constants = [numpy_helper.from_array(np.array([3, 4]), "inner"), numpy_helper.from_array(np.array([2]), "time")]
    constants.append(numpy_helper.from_array(np.array([3]), "last"))
    outputs = []
    for name, source in (("expression", "mean"), ("au", "m"), ("va", "mean")):
        weight, bias = weights(0)[name]
        constants.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}_w"))
        constants.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}_b"))
        nodes.append(helper.make_node("Unsqueeze", [source, "last"], [f"{name}_x"]))
        nodes.append(helper.make_node("Mul", [f"{name}_x", f"{name}_w"], [f"{name}_p"]))
        nodes.append(helper.make_node("Add", [f"{name}_p", f"{name}_b"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "b", "t", len(bias)]))
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, "b", "t", 3, FEATURES])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny-temporal", [features], outputs, constants),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def expected_sequence(features: np.ndarray) -> dict[str, np.ndarray]:
    """The temporal part's answers to (1, B, T, 3, F), computed without ONNX."""
    m = features.mean((3, 4))
    mean = np.broadcast_to(m.mean(2, keepdims=True), m.shape)
    sources = {"expression": mean, "au": m, "va": mean}
    return {name: (x[..., None] * weights(0)[name][0] + weights(0)[name][1]) for name, x in sources.items()}


def write_temporal(folder: Path, frame: Path) -> None:
    """A model of sequences of LENGTH frames that names ``frame``'s network instead of copying it."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(temporal_graph(), folder / "temporal.onnx")
    faces = golden_faces(SIZE, 1)
    features = np.random.default_rng(1).uniform(0, 1, (1, 2, 5, 3, FEATURES)).astype(np.float32)
    sequence = {f"sequence_{name}": a.astype(np.float32) for name, a in expected_sequence(features).items()}
    golden = {"faces": faces, **expected(faces, 1), "sequence_features": features, **sequence}
    np.savez_compressed(folder / "golden.npz", **golden)
    single = ModelSpec.from_json((frame / "model.json").read_text())
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
