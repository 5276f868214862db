"""Triton's model repository: parsed with its published schema, and the networks in it run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from patterns import recurrent_model
from PIL import Image
from triton_stubs import Server

import affectkit
from affectkit import Predictor, models
from affectkit.errors import OutputError
from affectkit.export.triton import write_triton
from affectkit.face_results import Face
from affectkit.sources.opening import open_source

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
        "two_members_pictures",
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


@pytest.mark.slow
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


PICTURES = ["lite", "tiny", "tiny-seen", "tiny-labels", "tiny-expressions"]


def numbers(faces: list[Face], name: str) -> np.ndarray:
    """What affectkit itself says of these faces, by output."""
    values = {
        "box": lambda face: face.box,
        "score": lambda face: face.score,
        "landmarks": lambda face: face.landmarks,
        "expression": lambda face: face.affect.expression_probabilities,
        "au": lambda face: face.affect.au_probabilities,
        "au_active": lambda face: face.affect.au_active,
        "valence_arousal": lambda face: (face.affect.valence, face.affect.arousal),
        "intensity": lambda face: face.affect.au_intensities,
        "visibility": lambda face: face.affect.visibility,
        "pose": lambda face: face.affect.pose,
        "quality": lambda face: face.affect.quality,
    }
    found = [values[name](face) for face in faces]
    return np.asarray([np.nan if value is None else value for value in found], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_gives_what_affectkit_says_of_it(
    name: str, astronaut: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Through model.py, its requests to the network, and the network as the repository has it; several at a time."""
    where = models.find(name) if name == "lite" else request.getfixturevalue(name.replace("-", "_"))
    write_triton(models.load(where), tmp_path / "r")
    server, served = Server(tmp_path / "r"), f"{name.replace('-', '_')}_pictures"
    (frame,) = (frame.image for frame, _ in zip(open_source(astronaut).frames(), range(1), strict=False))
    two = np.concatenate([frame, frame[:, ::-1]], axis=1)
    Image.fromarray(two).save(tmp_path / "two.png")
    file = np.frombuffer((tmp_path / "two.png").read_bytes(), np.uint8)
    black = np.zeros((120, 160, 3), np.uint8)
    with server.python_model(served) as model, Predictor(where, precision="fp32", threads=1) as predictor:
        one, both, none, same = server.ask(
            model, served, {"picture": frame}, {"picture": two}, {"picture": black}, {"file": file}
        )
        assert {asked for asked, _ in server.asked} == {name.replace("-", "_")}
        if name != "tiny-seen":  # which says nothing of these faces, so that they are turned as well
            assert [count for _, count in server.asked] == [1, 2, 2]
        for got, picture, count in ((one, frame, 1), (both, two, 2), (same, two, 2), (none, black, 0)):
            assert isinstance(got, dict)
            want = predictor.predict_image(picture)
            assert len(want) == count and {len(values) for values in got.values()} == {count}
            for output, values in got.items():
                if output == "features" or not count:
                    continue
                right = numbers(want, output)
                if right.shape != values.shape:  # the model does not tell
                    assert np.isnan(right).all() and np.isnan(values).all()
                    continue
                assert values == pytest.approx(right, abs=1e-4, nan_ok=True), output
        for labels in (t.label_filename for t in server.config(served).output if t.name == "au"):
            assert (tmp_path / "r" / served / labels).read_text().split() == list(predictor.spec.au_labels)


@pytest.mark.slow
def test_what_is_wrong_with_a_request_is_told_to_whoever_made_it(tiny: Path, astronaut: Path, tmp_path: Path) -> None:
    write_triton(models.load(tiny), tmp_path / "r")
    server = Server(tmp_path / "r")
    (frame,) = (frame.image for frame, _ in zip(open_source(astronaut).frames(), range(1), strict=False))
    no_picture = np.frombuffer(b"hello, this is no picture", np.uint8)
    with server.python_model("tiny_pictures") as model:
        both, neither, damaged, right = server.ask(
            model, "tiny_pictures", {"picture": frame, "file": no_picture}, {}, {"file": no_picture}, {"picture": frame}
        )
        assert "one of the two" in both and "one of the two" in neither
        assert isinstance(damaged, str) and damaged.startswith("file: ") and "/" not in damaged.split()[0]
        assert isinstance(right, dict) and len(right["box"]) == 1
        crops = np.random.default_rng(0).integers(0, 255, (300, 16, 16, 1)).astype(np.uint8)
        server.asked.clear()
        answers = model._ask(crops)
        assert server.asked == [("tiny", 128), ("tiny", 128), ("tiny", 44)] and answers["au"].shape[:2] == (1, 300)
        server.broken = True
        assert server.ask(model, "tiny_pictures", {"picture": frame}) == ["out of memory"]
    config = tmp_path / "r" / "tiny_pictures" / "config.pbtxt"
    config.write_text(config.read_text().replace(f'"{affectkit.__version__}"', '"0.0.1"'))
    with pytest.raises(Exception, match=r"made by affectkit 0\.0\.1"), server.python_model("tiny_pictures"):
        pass


def test_pictures_are_warmed_up_with_one_that_asks_no_network(tiny: Path, tmp_path: Path) -> None:
    """When the server warms this model up the other one may not be there yet."""
    write_triton(models.load(tiny), tmp_path / "r")
    server = Server(tmp_path / "r")
    (sample,) = server.config("tiny_pictures").model_warmup
    (dims,) = (list(value.dims) for value in sample.inputs.values())
    with server.python_model("tiny_pictures") as model:
        (answer,) = server.ask(model, "tiny_pictures", {"picture": np.zeros(dims, np.uint8)})
    assert isinstance(answer, dict) and not len(answer["box"]) and not server.asked
    assert "No Triton server has run this" in (tmp_path / "r" / "README.md").read_text()
