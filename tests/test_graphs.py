"""What exported ONNX files hold for others: no leftovers, constant weights, metadata, and a graph that decodes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from patterns import faces_with_a_pattern, recurrent_model
from synthetic import edit_spec

from affectkit import models
from affectkit.engines import open_engine
from affectkit.errors import EngineError
from affectkit.export import convert, readout, refresh
from affectkit.export.describe import described
from affectkit.export.graph_cleanup import tidied, with_constant_weights
from affectkit.export.precision import to_int8
from affectkit.export.readout import expected_answers, readout_graph, write_readout
from affectkit.export.to_onnx import write_temporal_onnx
from affectkit.spec import ModelSpec
from affectkit.train.calibrate import write_calibration
from affectkit.train.networks import FEATURE_WIDTH, TemporalHeads

Cli = Callable[..., tuple[int, str, str]]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recurrent_model(tmp_path_factory.mktemp("models") / "two", (0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8))


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def test_every_network_says_what_it_is(recurrent: Path) -> None:
    spec = models.load(recurrent).spec
    for name in ("frame.onnx", "temporal.onnx"):
        told = metadata(recurrent / name)
        assert told == described(spec)
        assert told["licence"] == "MIT" and told["name"] == "two" and told["sequence_length"] == "8"
        assert json.loads(told["au_labels"]) == list(spec.au_labels)
        assert json.loads(told["au_thresholds"]) == list(spec.au_thresholds)
        assert json.loads(told["expression_temperature"]) == spec.expression_temperature
        framing = json.loads(told["framing"])
        assert framing["template"] == "tight" and len(framing["points"]) == 5 and framing["margin"] == spec.input.margin
        assert "(faces, 16, 16, 1), luma" in told["input"]


def test_weights_of_gru_are_constants(recurrent: Path, tmp_path: Path) -> None:
    """OpenCV and others read no weights that are computed; torch writes them as slices."""
    graph = onnx.load(str(recurrent / "temporal.onnx")).graph
    stored = {tensor.name for tensor in graph.initializer}
    units = [node for node in graph.node if node.op_type == "GRU"]
    assert len(units) == 6
    for unit in units:
        assert len(unit.input) == 4 and stored.issuperset(unit.input[1:4])
    assert not {node.op_type for node in graph.node} & {"Slice", "Expand", "Shape"}
    again = with_constant_weights(onnx.load(str(recurrent / "temporal.onnx")))
    assert len(again.graph.node) == len(graph.node) and len(again.graph.initializer) == len(stored)
    write_temporal_onnx([TemporalHeads()], tmp_path / "one.onnx")  # any numbers of sequences and frames
    engine = open_engine(tmp_path / "one.onnx", device="cpu", threads=1)
    for shape in ((1, 1, 1, 3, FEATURE_WIDTH), (1, 4, 9, 3, FEATURE_WIDTH)):
        assert engine.run({"features": np.ones(shape, np.float32)})["au"].shape == (*shape[:3], 8)
    engine.close()


def test_states_that_are_not_zero_stay() -> None:
    helper, arrays = onnx.helper, onnx.numpy_helper
    for start, kept in ((0.0, 3), (0.5, 6)):
        state = arrays.from_array(np.full((1, 2, 3), start, np.float32), "state")
        weights = [arrays.from_array(np.ones((1, 9, 3), np.float32), name) for name in ("w", "r")]
        node = helper.make_node("GRU", ["x", "w", "r", "", "", "state"][:6], ["y"], hidden_size=3)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["t", 2, 3])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["t", 1, 2, 3])],
            [*weights, state],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        assert len(with_constant_weights(model).graph.node[0].input) == kept


def test_int8_has_no_leftovers(recurrent: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    faces = faces_with_a_pattern(64, 5)
    crops = np.stack([faces.image(i)[..., None] for i in range(64)])
    to_int8(recurrent / "frame.onnx", tmp_path / "i8.onnx", crops)
    model = onnx.load(str(tmp_path / "i8.onnx"))
    assert {one.domain for one in model.opset_import} == {node.domain for node in model.graph.node} == {""}
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    capfd.readouterr()
    import onnxruntime

    onnxruntime.InferenceSession(str(tmp_path / "i8.onnx"), providers=["CPUExecutionProvider"])
    assert "Removing initializer" not in capfd.readouterr().err


def test_what_inner_graphs_read_is_kept() -> None:
    helper, arrays = onnx.helper, onnx.numpy_helper
    value = helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1])
    branches = [
        helper.make_graph([helper.make_node(kind, ["x", "one"], ["z"])], kind, [], [value]) for kind in ("Add", "Sub")
    ]
    nodes = [
        helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Neg", ["x"], ["unused"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", onnx.TensorProto.FLOAT, [1]), info("yes", onnx.TensorProto.BOOL, [])],
        [info("y", onnx.TensorProto.FLOAT, [1])],
        [arrays.from_array(np.ones(1, np.float32), name) for name in ("one", "two")],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in (("", 18), ("com.microsoft", 1))]
    model = tidied(helper.make_model(graph, opset_imports=imports))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["If"]
    assert [tensor.name for tensor in model.graph.initializer] == ["one"]
    assert [one.domain for one in model.opset_import] == [""]


MODELS = ("tiny", "tiny_ensemble", "tiny_labels", "tiny_expressions", "tiny_seen")


@pytest.mark.parametrize("fixture", MODELS)
@pytest.mark.parametrize("rule", ["probabilities", "logits"])
def test_the_read_out_graph_decodes(fixture: str, rule: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    import dataclasses

    model = models.load(request.getfixturevalue(fixture))
    spec = dataclasses.replace(model.spec, ensemble=rule, expression_temperature=0.8)
    faces = np.random.default_rng(3).integers(0, 256, (9, 16, 16, spec.input.channels)).astype(np.uint8)
    path = tmp_path / "readout.onnx"
    onnx.save(readout_graph(onnx.load(str(model.frame_onnx)), spec), str(path))
    answers = []
    for network in (model.frame_onnx, path):
        engine = open_engine(network, device="cpu", threads=1)
        answers.append(engine.run({"faces": faces}))
        engine.close()
    logits, got = answers
    want = expected_answers(logits, spec)
    assert got.keys() == want.keys()
    for name, right in want.items():
        assert got[name].shape == right.shape, name
        np.testing.assert_allclose(got[name], right, rtol=1e-4, atol=1e-5, err_msg=name)


def test_export_with_a_read_out_graph(tiny_seen: Path, tmp_path: Path, run_cli: Cli) -> None:
    code, _, err = run_cli("export", tiny_seen, "-o", tmp_path / "m", "--format", "readout")
    assert code == 0, err
    model = models.load(tmp_path / "m")
    assert "readout.onnx" in model.spec.files
    told = metadata(tmp_path / "m" / "readout.onnx")
    assert json.loads(told["au_labels"]) == list(model.spec.labels.action_units)
    engine = open_engine(tmp_path / "m" / "readout.onnx", device="cpu", threads=1)
    answers = engine.run({"faces": np.zeros((3, 16, 16, 1), np.uint8)})
    engine.close()
    assert answers["au_active"].dtype == np.bool_ and answers["pose"].shape == (3, 3)
    assert answers["expression_probabilities"].sum(1) == pytest.approx(1, abs=1e-5)
    # Thresholds that are calibrated later are those of the files as well.
    count = len(model.spec.au_labels)
    write_calibration(tmp_path / "m", thresholds=[0.123] * count, provenance="a test")
    model = models.load(tmp_path / "m")
    for name in ("frame.onnx", "readout.onnx"):
        assert json.loads(metadata(tmp_path / "m" / name)["au_thresholds"]) == pytest.approx([0.123] * count)
    stored = {t.name: t for t in onnx.load(str(tmp_path / "m" / "readout.onnx")).graph.initializer}
    (limits,) = (
        stored[n.input[1]]
        for n in onnx.load(str(tmp_path / "m" / "readout.onnx")).graph.node
        if n.output[0] == "au_active"
    )
    assert onnx.numpy_helper.to_array(limits) == pytest.approx(0.123)


def test_a_read_out_graph_that_decodes_wrongly(
    tiny_seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.load(tiny_seen)

    def wrong(frame: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
        import dataclasses

        return readout_graph(frame, dataclasses.replace(spec, expression_temperature=2.0))

    monkeypatch.setattr(readout, "readout_graph", wrong)
    faces = np.random.default_rng(3).integers(0, 256, (9, 16, 16, 1)).astype(np.uint8)
    with pytest.raises(EngineError, match="expression_probabilities differs by"):
        write_readout(model.frame_onnx, tmp_path / "r.onnx", model.spec, faces)


def test_folders_are_brought_up_to_date(recurrent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leftovers go, metadata comes, digests follow; the answers, the weights and the golden file stay."""
    folder = Path(shutil.copytree(recurrent, tmp_path / "m"))
    model = onnx.load(str(folder / "frame.onnx"))
    del model.metadata_props[:]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(5, np.float32), "unused"))
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, str(folder / "frame.onnx"))
    edit_spec(folder, lambda document: None)
    golden = (folder / "golden.npz").read_bytes()
    lines = refresh.refresh(folder)
    assert len(lines) == 2 and "2 -> 1 domains" in lines[0]
    refreshed = models.load(folder)
    assert (folder / "golden.npz").read_bytes() == golden
    assert metadata(folder / "frame.onnx") == described(refreshed.spec)
    weights = {t.name: t.SerializeToString() for t in onnx.load(str(folder / "frame.onnx")).graph.initializer}
    assert weights == {t.name: t.SerializeToString() for t in model.graph.initializer if t.name != "unused"}
    before = (folder / "frame.onnx").read_bytes()

    def broken(network: onnx.ModelProto) -> onnx.ModelProto:
        for tensor in network.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2:
                tensor.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(tensor), tensor.name))
        return network

    monkeypatch.setattr(refresh, "tidied", broken)
    with pytest.raises(EngineError, match="would differ by"):
        refresh.refresh(folder)
    assert (folder / "frame.onnx").read_bytes() == before and models.load(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in recurrent.iterdir())


def test_fp16_has_no_leftovers(recurrent: Path, tmp_path: Path) -> None:
    convert.export_model(recurrent, tmp_path / "half", precision="fp16")
    for name in ("frame.onnx", "temporal.onnx"):
        told = metadata(tmp_path / "half" / name)
        assert told["precision"] == "fp16" and told["name"] == "two-fp16"
    model = onnx.load(str(tmp_path / "half" / "frame.onnx"))
    assert {one.domain for one in model.opset_import} == {""}
