"""Generate tests/data/tiny and tests/data/tiny-ensemble: real model folders of a few kB with known answers.

    python tests/make_tiny_model.py

With m the mean of a face's pixels over 255, member k answers:
    expression logit i  (k + 1) * (i - 3) * m
    AU logit i          (k + 1) * (4 * m - i / 2)
    VA logit i          0, but 20 * m in bin 19 (valence highest) and 20 * (1 - m) in bin 20 (arousal lowest)
    features            all m
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from affectkit.export.to_onnx import golden_faces
from affectkit.models import sha256
from affectkit.spec import InputSpec, ModelSpec

SIZE, FEATURES = 16, 4


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


if __name__ == "__main__":
    data = Path(__file__).parent / "data"
    write(data / "tiny", 1)
    write(data / "tiny-ensemble", 3)
