"""Exporting to other precisions: what is converted and what stays, proof of parity, nothing left behind on failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from patterns import config, faces_with_a_pattern
from synthetic import edit_spec

from affectkit import models
from affectkit.engines import open_engine
from affectkit.errors import EngineError, ModelError, OutputError, SourceError
from affectkit.export import convert
from affectkit.export.parity import ParityReport, agreement
from affectkit.export.precision import before_the_network, named, rearranged, to_int8, widened
from affectkit.export.verify import Parity, measure, problems
from affectkit.predictor import Predictor
from affectkit.train.evaluate import ask
from affectkit.train.faces import FaceSet
from affectkit.train.loop import train
from affectkit.train.runs import spec_of

Cli = Callable[..., tuple[int, str, str]]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    train(config(epochs=4), faces_with_a_pattern(160), faces_with_a_pattern(60, 1), folder)
    return folder


@pytest.fixture(scope="module")
def original(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    convert.export_model(run, folder)
    return folder


def crops(count: int, seed: int = 5) -> np.ndarray:
    faces = faces_with_a_pattern(count, seed)
    return np.stack([faces.image(i)[..., None] for i in range(count)])


def test_a_run_becomes_a_model_folder(run: Path, original: Path) -> None:
    model = models.load(original)
    assert model.spec.name == "small" and model.spec.precision == "fp32"
    assert set(model.spec.files) == {"frame.onnx", "golden.npz", "MODEL_CARD.md", "parity.json"}
    report = json.loads((original / "parity.json").read_text())
    assert report["problems"] == [] and report["golden_agreement"]["expression"] == 1
    faces = faces_with_a_pattern(20, 3)
    through_torch, through_onnx = ask(run, faces), ask(original, faces)
    assert through_onnx.logits["au"] == pytest.approx(through_torch.logits["au"], abs=1e-4)


def clear_cut(model: Path, count: int, seed: int) -> FaceSet:
    """Faces none of whose action units lies at its threshold: there any rounding decides, of whichever processor."""
    faces = faces_with_a_pattern(2 * count, seed)
    answers = ask(model, faces)
    edge = np.abs(answers.decoded()["au"] - np.asarray(answers.spec.au_thresholds)) < 0.002
    rows = np.flatnonzero(~edge.any(1))[:count]
    assert len(rows) == count
    return faces.take(rows)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_decide_alike(original: Path, tmp_path: Path, precision: str) -> None:
    labelled = ("patterns", clear_cut(original, 200, 7))
    report = convert.export_model(
        original, tmp_path / "m", precision=precision, calibration=crops(256), labelled=labelled
    )
    model = models.load(tmp_path / "m")
    assert model.spec.precision == precision and model.spec.name == f"small-{precision}"
    card = (tmp_path / "m" / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# small-{precision}\n\nComputes in {precision}") and "# small\n" not in card
    accuracy = [report.metrics[key]["expression"]["accuracy"] for key in ("float32", precision)]
    assert f"| expression accuracy | {accuracy[0]:.3f} | {accuracy[1]:.3f} |" in card
    assert report.labelled_agreement is not None and report.labelled_agreement.count == 200
    assert report.labelled_agreement.expression >= (0.999 if precision == "fp16" else 0.97)
    assert set(report.metrics) == {"float32", precision} and "patterns" in model.spec.metrics
    with pytest.raises(ModelError, match="export from its float32 original"):
        convert.export_model(tmp_path / "m", tmp_path / "n", precision="fp16")


def pooled_network(weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """x -> (2x2 averages of x ** 2, channels mixed): what `rearranged` knows how to make faster."""
    helper, arrays = onnx.helper, onnx.numpy_helper
    nodes = [
        helper.make_node("Cast", ["faces"], ["x"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Pow", ["t", "two"], ["p"]),
        helper.make_node("AveragePool", ["p"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["a", "w", "b"], ["y"], kernel_shape=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("faces", onnx.TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", len(weights), 4, 4])],
        [
            arrays.from_array(np.array(2, np.float32), "two"),
            arrays.from_array(weights, "w"),
            arrays.from_array(bias, "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def test_rearranged_networks_compute_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(5, 3, 1, 1)).astype(np.float32)
    before = named(pooled_network(weights, rng.normal(size=5).astype(np.float32)))
    after = rearranged(before)
    assert [node.op_type for node in after.graph.node] == ["Cast", "Transpose", "Mul", "Conv"]
    assert [node.op_type for node in before.graph.node][2:4] == ["Pow", "AveragePool"], "the original is as it was"
    faces = rng.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    answers = []
    for name, model in (("before", before), ("after", after)):
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
        engine = open_engine(tmp_path / f"{name}.onnx", device="cpu", threads=1)
        answers.append(engine.run({"faces": faces})["y"])
        engine.close()
    np.testing.assert_allclose(answers[1], answers[0], rtol=1e-5, atol=1e-5 * np.abs(answers[0]).max())


def test_int8_has_no_steps_in_float32_between_its_layers(original: Path, tmp_path: Path) -> None:
    """A ReLU behind a sum is part of the rounding, nothing is widened for it, unless the sum itself is in float32."""
    convert.export_model(original, tmp_path / "m", precision="int8", calibration=crops(256))
    model = onnx.load(str(tmp_path / "m" / "frame.onnx"))
    makers = {name: node for node in model.graph.node for name in node.output}
    kinds = [node.op_type for node in model.graph.node]
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert {float(constants[node.input[1]]) for node in model.graph.node if node.op_type == "Pow"} == {0.5}
    assert "AveragePool" not in kinds
    assert kinds.count("QuantizeLinear") == 4, "what the convolutions of two blocks multiply, and nothing else"
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and makers.get(node.input[0], node).op_type == "Relu":
            before = makers[makers[node.input[0]].input[0]]
            exact = before.op_type == "Add" and not any(
                makers[name].op_type == "DequantizeLinear" for name in before.input
            )
            assert exact or before.op_type in ("Conv", "Gemm"), "a convolution does its own ReLU"


def test_the_normalisation_stays_float32(original: Path, tmp_path: Path) -> None:
    """Squares of pixels reach 65025 and their sum goes far beyond what float16 can hold."""
    convert.export_model(original, tmp_path / "m", precision="fp16")
    harsh = np.zeros((1, 16, 16, 1), np.uint8)
    harsh[:, :8] = 255
    with Predictor(original) as a, Predictor(tmp_path / "m") as b:
        (one,), (other,) = a.predict_aligned(harsh), b.predict_aligned(harsh)
    assert np.isfinite(other.au_probabilities).all()
    assert other.expression_probabilities == pytest.approx(one.expression_probabilities, abs=5e-3)
    model = named(onnx.load(original / "frame.onnx"))
    kinds = {node.op_type for node in model.graph.node if node.name in before_the_network(model)}
    assert {"Cast", "Sub", "Div", "Sqrt"} <= kinds and "Conv" not in kinds


@pytest.mark.parametrize("embedded", [False, True])
def test_the_normalisation_of_int8_is_that_of_float32(original: Path, tmp_path: Path, embedded: bool) -> None:
    """OpenCV 4 takes means of what is not transposed over other axes; a square root depended on the batch (< 1.21)."""
    paths = [models.find(name) / "frame.onnx" for name in ("lite", "lite-int8")]
    if not embedded:
        paths = [original / "frame.onnx", tmp_path / "i8.onnx"]
        to_int8(*paths, crops(64))
    steps = []
    for path in paths:
        model = named(widened(onnx.load(str(path))))
        before = before_the_network(model)
        steps.append([node.op_type for node in model.graph.node if node.name in before])
    assert [kind.replace("Sqrt", "Pow") for kind in steps[0]] == steps[1] and "Sqrt" in steps[0]


def test_int8_is_computed_in_int8(original: Path, tmp_path: Path) -> None:
    for for_tensorrt in (False, True):
        path = tmp_path / f"{for_tensorrt}.onnx"
        to_int8(original / "frame.onnx", path, crops(64), for_tensorrt=for_tensorrt)
        graph = onnx.load(path).graph
        stored = {t.name: t for t in graph.initializer}
        makers = {name: node for node in graph.node for name in node.output}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        first, *rest = convolutions
        # The one that sees the face stays in float: what changes in a face is smaller than a 256th of its range.
        assert stored[first.input[1]].data_type == onnx.TensorProto.FLOAT and len(rest) >= 2
        assert makers[first.input[0]].op_type != "DequantizeLinear"
        for node in rest:
            data, weight = (makers[name] for name in node.input[:2])
            assert data.op_type == weight.op_type == "DequantizeLinear"
            assert stored[weight.input[0]].data_type == onnx.TensorProto.INT8
            assert len(stored[weight.input[1]].dims) == 1  # a scale for each channel
            zero = onnx.numpy_helper.to_array(stored[data.input[2]])
            assert zero.dtype == (np.int8 if for_tensorrt else np.uint8) and (zero == 0 or not for_tensorrt)


def test_int8_needs_faces(original: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="give --faces SOURCE"):
        convert.export_model(original, tmp_path / "m", precision="int8")
    with pytest.raises(EngineError, match="at least 32 faces"):
        convert.export_model(original, tmp_path / "m", precision="int8", calibration=crops(3))
    assert list(tmp_path.iterdir()) == []


def test_half_stored_weights_are_widened(run: Path, tmp_path: Path) -> None:
    from affectkit.export.runs import export_runs

    export_runs([run], tmp_path / "half", name="half", licence="MIT", trained_on=["patterns"], card="x", half=True)
    model = widened(onnx.load(tmp_path / "half" / "frame.onnx"))
    assert not any(t.data_type == onnx.TensorProto.FLOAT16 for t in model.graph.initializer)
    onnx.checker.check_model(model, full_check=True)
    convert.export_model(tmp_path / "half", tmp_path / "whole")
    faces = {"faces": crops(5)}
    answers = []
    for name in ("half", "whole"):
        engine = open_engine(tmp_path / name / "frame.onnx", device="cpu")
        answers.append(engine.run(faces))
        engine.close()
    assert answers[0]["va"] == pytest.approx(answers[1]["va"], abs=1e-5)


def test_over_the_tolerance_nothing_is_left(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Cli
) -> None:
    def broken(source: Path, target: Path) -> None:
        model = onnx.load(source)
        for tensor in model.graph.initializer:
            if len(tensor.dims) == 2 and tensor.data_type == onnx.TensorProto.FLOAT:
                values = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array(-values, tensor.name))
        onnx.save(model, target)

    monkeypatch.setattr(convert, "to_half", broken)
    code, _, err = run_cli("export", original, "-o", tmp_path / "m", "--precision", "fp16")
    assert code == 1 and "differs too much from float32" in err and list(tmp_path.iterdir()) == []


def test_problems_by_hand() -> None:
    want = np.array([[1.0, 2.0], [3.0, 4.0]])
    one = measure("au", want + 0.01, want)
    assert (one.largest, one.mean, one.relative) == pytest.approx((0.01, 0.01, 0.0025))
    assert problems([one], "fp16") == [] and problems([one], "int8") == []
    assert problems([one], "fp32")[0] == "au differs by 2.5e-03 of its largest value, allowed is 0.0001"
    turned = measure("au", np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert problems([turned], "int8") == ["au has the cosine 0.000000, needed is 0.95"]
    assert problems([measure("au", want * np.nan, want)], "int8")  # not a number is never good enough
    zero = np.zeros(3)
    assert measure("au", zero, zero) == Parity("au", 0, 0, 0, 1)


def test_agreement_counts_decisions(run: Path) -> None:
    from affectkit.train.checkpoints import load_checkpoint

    spec = spec_of([load_checkpoint(run / "best.pt")], name="x")
    logits = {"expression": np.zeros((1, 4, 7)), "au": np.full((1, 4, 8), -9.0), "va": np.zeros((1, 4, 40))}
    logits["expression"][:, :, 2] = 1
    other = {name: part.copy() for name, part in logits.items()}
    other["expression"][0, 0, 3] = 2  # one of four faces
    other["au"][0, 1, :2] = 9  # two of 32 decisions
    other["va"][0, 2, 19] = 50  # one valence from 0 to 1
    got = agreement(spec, logits, other)
    assert (got.count, got.expression, got.au) == (4, 0.75, 30 / 32)
    assert got.va == pytest.approx(1 / 8, abs=1e-6) and got.va_largest == pytest.approx(1)
    report = ParityReport("fp16", [], got, "faces", got)
    assert len(report.problems()) == 3 and "75.00% of the expressions agree, needed are 99.90%" in report.problems()[0]


def test_export_and_verify_from_the_command_line(original: Path, tmp_path: Path, run_cli: Cli, astronaut: Path) -> None:
    code, out, err = run_cli("export", original, "-o", tmp_path / "i8", "--precision", "int8", "--faces", astronaut)
    assert code == 0 and "golden inputs (8)" in out and "in int8 for onnx ->" in err
    code, out, _ = run_cli("verify", tmp_path / "i8")
    assert code == 0 and out.splitlines()[0].split() == ["output", "largest", "mean", "relative", "cosine"]
    code, _, err = run_cli("export", original, "-o", tmp_path / "i8", "--precision", "fp16")
    assert code == 1 and "exists already" in err
    assert run_cli("export", original, "-o", tmp_path / "i8", "--precision", "fp16", "--overwrite")[0] == 0
    assert models.load(tmp_path / "i8").spec.precision == "fp16"
    assert run_cli("export", original, "-o", tmp_path / "x", "--labels", "l.csv")[0] == 2
    code, _, err = run_cli("export", original, "-o", tmp_path / "no" / "x")
    assert code == 1 and "does not exist" in err
    code, _, err = run_cli("verify", original, "--device", "cuda")
    assert code == 1 and len(err.splitlines()) == 1 and "cuda" in err


def test_verify_fails_where_the_network_is_another(original: Path, tmp_path: Path, run_cli: Cli) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "m"))
    with np.load(folder / "golden.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["au"] = arrays["au"] + 1
    np.savez_compressed(folder / "golden.npz", **arrays)
    edit_spec(folder, lambda document: None)
    code, _, err = run_cli("verify", folder)
    assert code == 1 and "au differs by" in err


def test_only_folders_of_the_same_kind_are_replaced(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "CNN"
    precious.mkdir()
    (precious / "0.pth").write_text("weights")
    shutil.copytree(original, tmp_path / "many" / "one")
    for target, message in ((precious, "is no model folder"), (tmp_path / "many", "is no model folder")):
        with pytest.raises(OutputError, match=message):
            convert.export_model(original, target, precision="fp16", overwrite=True)
    assert (precious / "0.pth").read_text() == "weights" and (tmp_path / "many" / "one" / "model.json").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="is the current folder"):
        convert.export_model(original, Path("."), precision="fp16", overwrite=True)
    convert.export_model(original, tmp_path / "new", precision="fp16")
    convert.export_model(original, tmp_path / "new", overwrite=True)
    assert models.load(tmp_path / "new").spec.precision == "fp32" and sorted(p.name for p in tmp_path.iterdir()) == [
        "CNN",
        "many",
        "new",
    ]


def test_faces_of_a_video(original: Path, tmp_path: Path, astronaut: Path) -> None:
    faces = convert.faces_of(original, str(astronaut), most=20)
    assert faces.shape == (20, 16, 16, 1) and faces.std() > 10
    with pytest.raises(SourceError):
        convert.faces_of(original, str(tmp_path / "gone.mp4"))


def test_a_wrong_opset_is_refused(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "m"))
    model = onnx.load(folder / "frame.onnx")
    model.opset_import[0].version = 999
    onnx.save(model, folder / "frame.onnx")
    edit_spec(folder, lambda document: None)
    with pytest.raises(EngineError, match=r"frame\.onnx: ONNX Runtime cannot load it"):
        Predictor(folder)
