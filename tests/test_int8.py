"""What int8 rounds, and what it does not: sums in float32, the ends of ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from patterns import config, faces_with_a_pattern

from affectkit.engines import open_engine
from affectkit.export import float_sums
from affectkit.export.float_sums import with_float_sums
from affectkit.export.precision import named, to_int8
from affectkit.export.ranges import HIGHEST, LOWEST_OF_ADDEND, find_ranges
from affectkit.export.runs import export_runs
from affectkit.train.loop import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
make, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
CONVOLUTIONS = {
    "3 x 3": {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [1, 1]},
    "3 x 3, every second": {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [2, 2]},
    "2 x 2 cells": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "1 x 1": {"kernel_shape": [1, 1]},
    "1 x 1, every second": {"kernel_shape": [1, 1], "strides": [2, 2]},
}


def rounded(name: str, scale: float, zero: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """A tensor rounded to 8 bits and widened again to ``<name>_dq``."""
    stored = [tensor(np.float32(scale), f"{name}_scale"), tensor(np.uint8(zero), f"{name}_zero")]
    parts = [f"{name}_scale", f"{name}_zero"]
    return [
        make("QuantizeLinear", [name, *parts], [f"{name}_q"]),
        make("DequantizeLinear", [f"{name}_q", *parts], [f"{name}_dq"]),
    ], stored


def convolution(name: str, source: str, given: dict[str, list[int]], seed: int) -> tuple[list, list]:
    """``source`` -> ``name``, of 5 channels from 3, with weights and bias in int8 and int32."""
    rng, side = np.random.default_rng(seed), given["kernel_shape"][0]
    arrays = {
        "w": rng.integers(-127, 128, (5, 3, side, side)).astype(np.int8),
        "w_scale": rng.uniform(0.001, 0.004, 5).astype(np.float32),
        "w_zero": np.zeros(5, np.int8),
        "b": rng.integers(-3000, 3000, 5).astype(np.int32),
        "b_scale": rng.uniform(1e-4, 2e-4, 5).astype(np.float32),
        "b_zero": np.zeros(5, np.int32),
    }
    nodes = [
        make(
            "DequantizeLinear",
            [f"{name}_{part}{end}" for end in ("", "_scale", "_zero")],
            [f"{name}_{part}_dq"],
            axis=0,
        )
        for part in ("w", "b")
    ]
    nodes.append(make("Conv", [source, f"{name}_w_dq", f"{name}_b_dq"], [name], **given))
    return nodes, [tensor(values, f"{name}_{key}") for key, values in arrays.items()]


def block(given: dict[str, list[int]], *, between: bool) -> onnx.ModelProto:
    """The sum of two convolutions of one tensor, and its ReLU; with or without rounding before and after the sum."""
    nodes = [
        make("Cast", ["faces"], ["wide"], to=onnx.TensorProto.FLOAT),
        make("Transpose", ["wide"], ["x"], perm=[0, 3, 1, 2]),
    ]
    parts = [rounded("x", 1.0, 7), convolution("a", "x_dq", given, 1), convolution("c", "x_dq", given, 2)]
    if between:
        parts += [rounded("a", 0.9, 120), rounded("c", 1.1, 130)]
    end = "_dq" if between else ""
    parts.append(([make("Add", [f"a{end}", f"c{end}"], ["sum"])], []))
    if between:
        parts.append(rounded("sum", 1.5, 125))
    parts.append(([make("Relu", [f"sum{end}"], ["y"])], []))
    side = 6 // given.get("strides", [1])[0]
    graph = onnx.helper.make_graph(
        nodes + [node for part, _ in parts for node in part],
        "block",
        [onnx.helper.make_tensor_value_info("faces", onnx.TensorProto.UINT8, ["n", 6, 6, 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 5, side, side])],
        [one for _, stored in parts for one in stored],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 8
    return named(model)


def answer(model: onnx.ModelProto, path: Path) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    engine = open_engine(path, device="cpu", threads=1)
    try:
        return engine.run({"faces": np.random.default_rng(3).integers(0, 200, (4, 6, 6, 3)).astype(np.uint8)})["y"]
    finally:
        engine.close()


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_sum_of_convolutions_is_exact(tmp_path: Path, kind: str) -> None:
    """As the same sum without rounding before and after it; with rounding it is not."""
    given = CONVOLUTIONS[kind]
    want = answer(block(given, between=False), tmp_path / "want.onnx")
    rounding = answer(block(given, between=True), tmp_path / "rounding.onnx")
    model = with_float_sums(block(given, between=True))
    kinds = [node.op_type for node in model.graph.node]
    assert "Conv" not in kinds and kinds.count("MatMul") == 2 and kinds.count("QuantizeLinear") == 1
    assert answer(model, tmp_path / "got.onnx") == pytest.approx(want, abs=1e-5 * float(np.abs(want).max()))
    assert np.abs(rounding - want).max() > 0.3


def test_large_maps_and_grouped_convolutions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CONVOLUTIONS["3 x 3"]
    one_sided = {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0], "strides": [1, 1]}
    assert "MatMul" not in [node.op_type for node in with_float_sums(block(one_sided, between=True)).graph.node]
    monkeypatch.setattr(float_sums, "LARGEST_MAP", 35)
    assert "MatMul" not in [node.op_type for node in with_float_sums(block(plain, between=True)).graph.node]


def test_the_ends_of_ranges(tmp_path: Path) -> None:
    """Of an addend before a ReLU what is far below 0 is cut off; of a sum hardly anything is; 0 always lies within."""
    model = block(CONVOLUTIONS["1 x 1"], between=False)
    onnx.save(model, str(tmp_path / "m.onnx"))
    faces = np.random.default_rng(0).integers(0, 256, (640, 6, 6, 3)).astype(np.uint8)
    found = find_ranges(tmp_path / "m.onnx", ["a", "sum", "wide"], (faces[k : k + 64] for k in range(0, 640, 64)))
    for name in ("a", "sum"):
        model.graph.node.append(make("Identity", [name], [f"{name}_shown"]))
        model.graph.output.append(onnx.ValueInfoProto(name=f"{name}_shown"))
    onnx.save(model, str(tmp_path / "shown.onnx"))
    engine = open_engine(tmp_path / "shown.onnx", device="cpu", threads=1)
    values = engine.run({"faces": faces})
    engine.close()
    wide = np.ptp(values["a_shown"])
    assert found["a"] == pytest.approx(
        np.quantile(values["a_shown"], (LOWEST_OF_ADDEND, HIGHEST)), abs=float(wide) / 1000
    )
    assert found["sum"] == pytest.approx(np.quantile(values["sum_shown"], (0.00001, 0.99999)), abs=float(wide) / 500)
    assert found["wide"] == (0, 255)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "shown.onnx"]


@pytest.mark.slow
def test_sums_in_float32_take_half_of_the_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops with a level more or less here and there, against the same crops as they are."""
    train(config(epochs=4), faces_with_a_pattern(160), faces_with_a_pattern(60, 1), tmp_path / "run")
    export_runs([tmp_path / "run"], tmp_path / "m", name="m", licence="MIT", trained_on=["patterns"], card="x")
    source = faces_with_a_pattern(256, 5)
    crops = np.stack([source.image(i)[..., None] for i in range(256)])
    to_int8(tmp_path / "m" / "frame.onnx", tmp_path / "new.onnx", crops)
    monkeypatch.setattr(float_sums, "LARGEST_MAP", 0)
    to_int8(tmp_path / "m" / "frame.onnx", tmp_path / "rounded.onnx", crops)
    rng = np.random.default_rng(4)
    moved = np.clip(crops + rng.choice([-1, 0, 1], crops.shape, p=[0.01, 0.98, 0.01]), 0, 255).astype(np.uint8)
    noise = {}
    for name in ("m/frame", "new", "rounded"):
        engine = open_engine(tmp_path / f"{name}.onnx", device="cpu", threads=1)
        before, after = (engine.run({"faces": part})["au"] for part in (crops, moved))
        noise[name] = float(np.std(after - before))
        engine.close()
    assert noise["m/frame"] < noise["new"] < 0.75 * noise["rounded"], noise
