"""Triton's model repository: parsed with its published schema, and the networks in it run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from patterns import recurrent_model

from affectkit import models
from affectkit.errors import OutputError
from affectkit.export.triton import write_triton

Cli = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recurrent_model(tmp_path_factory.mktemp("models") / "two-members")


def config_of(folder: Path) -> object:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    return text_format.Parse((folder / "config.pbtxt").read_text(), ModelConfig())


@pytest.mark.slow
def test_the_repository_is_what_triton_reads(recurrent: Path, tmp_path: Path) -> None:
    write_triton(models.load(recurrent), tmp_path / "repository")
    assert sorted(p.name for p in (tmp_path / "repository").iterdir()) == [
        "README.md",
        "model.json",
        "two_members",
        "two_members_temporal",
    ]
    for name in ("two_members", "two_members_temporal"):
        folder = tmp_path / "repository" / name
        config = config_of(folder)
        assert config.name == name and config.backend == "onnxruntime" and config.max_batch_size == 128  # type: ignore[attr-defined]
        assert list(config.dynamic_batching.preferred_batch_size) == [8, 32, 128]  # type: ignore[attr-defined]
        (group,) = config.instance_group  # type: ignore[attr-defined]
        assert group.kind == group.KIND_AUTO and group.count == 1
        graph = onnx.load(folder / "1" / "model.onnx").graph
        kinds = {"TYPE_UINT8": onnx.TensorProto.UINT8, "TYPE_FP32": onnx.TensorProto.FLOAT}
        for listed, real in ((config.input, graph.input), (config.output, graph.output)):  # type: ignore[attr-defined]
            assert [t.name for t in listed] == [v.name for v in real]
            for tensor, value in zip(listed, real, strict=True):
                dims = value.type.tensor_type.shape.dim
                assert dims[0].dim_param  # the batch is free, and first
                assert [d.dim_value or -1 for d in dims[1:]] == list(tensor.dims)
                kind = type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type]
                assert kinds[kind.name] == value.type.tensor_type.elem_type
        labels = {t.name: t.label_filename for t in config.output}  # type: ignore[attr-defined]
        assert labels["expression"] == "expression.txt" and labels["va"] == ""
        assert (folder / "au.txt").read_text().split() == list(models.load(recurrent).spec.au_labels)


def test_the_networks_answer_by_face(recurrent: Path, tmp_path: Path) -> None:
    write_triton(models.load(recurrent), tmp_path / "r")
    golden = np.load(recurrent / "golden.npz")

    def run(name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(tmp_path / "r" / name / "1" / "model.onnx")
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))

    for name, got in run("two_members", {"faces": golden["faces"]}).items():
        assert got == pytest.approx(golden[name].swapaxes(0, 1), abs=1e-4)
    features = np.ascontiguousarray(golden["sequence_features"].swapaxes(0, 1))
    for name, got in run("two_members_temporal", {"features": features}).items():
        assert got == pytest.approx(golden[f"sequence_{name}"].swapaxes(0, 1), abs=1e-4)


@pytest.mark.slow
def test_triton_from_the_command_line(recurrent: Path, tmp_path: Path, run_cli: Cli, tiny: Path) -> None:
    code, _, err = run_cli("export", tiny, "-o", tmp_path / "t", "--format", "triton")
    assert code == 0 and "triton" in err
    assert config_of(tmp_path / "t" / "tiny").max_batch_size == 128  # type: ignore[attr-defined]
    code, _, err = run_cli("export", tiny, "-o", tmp_path / "t", "--format", "triton")
    assert code == 1 and "exists already" in err
    with pytest.raises(OutputError, match="does not exist"):
        write_triton(models.load(recurrent), tmp_path / "no" / "t")
