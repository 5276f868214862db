"""model.json, and folders that are not what they should be."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from synthetic import edit_spec

from affectkit import models
from affectkit.errors import ModelError
from affectkit.export.verify import problems, verify
from affectkit.npz import read_npz
from affectkit.onnx_files import external_files
from affectkit.predictor import Predictor
from affectkit.spec import FORMAT_VERSION, TEMPLATES, InputSpec, ModelSpec, TemporalSpec

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def test_round_trip(tiny: Path) -> None:
    spec = models.read_spec(tiny)
    assert ModelSpec.from_json(spec.to_json()) == spec
    import dataclasses

    temporal = dataclasses.replace(spec, temporal=TemporalSpec(32, 128, "bidirectional"), ensemble="logits")
    assert ModelSpec.from_json(temporal.to_json()) == temporal


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((folder / "model.json").read_text())
    document.pop("digest", None)
    change(document)
    (folder / "model.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format_version=FORMAT_VERSION + 1), "newer than this affectkit.*pip install -U"),
        (lambda d: d.update(format_version="1"), "format_version"),
        (lambda d: d.pop("input"), "'input' is missing"),
        (lambda d: d["input"].update(template="round"), "template 'round' is unknown; allowed: tight"),
        (lambda d: d["input"].update(size="big"), "wrong kind"),
        (lambda d: d["input"].update(channels=2), "impossible input"),
        (lambda d: d["input"].update(margin=float("nan")), "impossible input"),
        (
            lambda d: d.update(temporal={"sequence_length": 32, "feature_width": 4, "direction": "up"}),
            "impossible temporal",
        ),
        (lambda d: d["tasks"]["au"].update(thresholds=[0.5]), "one AU threshold"),
        (lambda d: d["tasks"]["au"].update(labels=["AU01"] * 8), "action units"),
        (lambda d: d["tasks"]["expression"].update(labels=["joy"] * 7), "expressions"),
        (lambda d: d.update(ensemble="vote"), "ensemble rule 'vote'"),
        (lambda d: d.update(members=0), "must be positive"),
        (lambda d: d.update(precision="fp8"), "precision 'fp8' is unknown"),
        (lambda d: d["input"].update(aligned_size=8), "aligned_size must be at least size"),
        (lambda d: d["tasks"]["expression"].update(temperature=0), "temperature must be positive"),
        (lambda d: d.update(thresholds=[0.5]), "unknown field 'thresholds'"),
        (lambda d: d.update(files={}), "no checksum for frame.onnx"),
        (lambda d: d["files"].update({"../x": "0"}), "not the name of a file"),
    ],
)
def test_impossible_specs_are_refused(copy: Path, change: Callable[[dict[str, Any]], None], message: str) -> None:
    edit(copy, change)
    with pytest.raises(ModelError, match=message):
        models.load(copy)


def test_a_flipped_byte_in_the_spec_itself(copy: Path) -> None:
    path = copy / "model.json"
    path.write_text(models.read_spec(copy).to_json())
    models.load(copy)
    good = path.read_bytes()
    for position in np.random.default_rng(0).integers(0, len(good), 150):
        damaged = bytearray(good)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ModelError):
            models.load(copy)


def test_not_json(copy: Path) -> None:
    (copy / "model.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        models.load(copy)


@pytest.mark.parametrize("name", ["frame.onnx", "golden.npz"])
def test_a_flipped_byte_or_a_missing_file(copy: Path, name: str, run_cli: Cli) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name}: damaged"):
        Predictor(copy)
    code, out, err = run_cli("models", "verify", copy)
    assert code == 1 and "damaged" in out and "reinstall" in err
    (copy / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: missing"):
        models.load(copy)


def test_files_that_no_network_reads_do_not_matter(copy: Path) -> None:
    (copy / "frame.onnx.data").write_bytes(b"weights from elsewhere")
    for name in (".DS_Store", "README.md", "frame.onnx~", "._frame.onnx", "Thumbs.db"):
        (copy / name).write_bytes(b"left by another")
    (copy / ".git").mkdir()
    assert models.load(copy).path == copy


def outside(copy: Path, location: str) -> None:
    """Move the weights of the network into a file, and name it ``location``."""
    network = onnx.load(str(copy / "frame.onnx"))
    onnx.save(network, str(copy / "frame.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=256)
    network = onnx.load(str(copy / "frame.onnx"), load_external_data=False)
    for tensor in network.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else entry.value
    (copy / "frame.onnx").write_bytes(network.SerializeToString())
    edit(copy, lambda d: d["files"].update({"frame.onnx": models.sha256(copy / "frame.onnx")}))


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd", "sub/weights.bin"])
def test_files_that_a_network_reads_need_a_checksum(copy: Path, location: str) -> None:
    outside(copy, location)
    assert external_files(copy / "frame.onnx") == {location}
    with pytest.raises(ModelError, match=f"reads '{location}', which is not listed"):
        models.load(copy)
    edit(copy, lambda d: d["files"].update({location: models.sha256(copy / "weights.bin")}))
    if location == "weights.bin":
        with Predictor(copy) as predictor:
            predictor.predict_aligned(np.zeros((1, 32, 32, 1), np.uint8))
        (copy / "weights.bin").write_bytes(b"other ones")
    with pytest.raises(ModelError, match=r"damaged or changed|not the name of a file"):
        models.load(copy)


def test_weights_of_inner_graphs_and_compiled_parts_are_files_too(tmp_path: Path) -> None:
    def tensor(location: str) -> onnx.TensorProto:
        made = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
        made.external_data.add(key="location", value=location)
        made.external_data.add(key="length", value="4")
        return made

    inner = onnx.helper.make_graph([], "inner", [], [], initializer=[tensor("inner.bin")])
    nodes = [
        onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),
        onnx.helper.make_node("Constant", [], ["k"], value=tensor("constant.bin")),
        onnx.helper.make_node("EPContext", [], ["z"], ep_cache_context="compiled.bin", embed_mode=0),
        onnx.helper.make_node("EPContext", [], ["z"], ep_cache_context="in the node", embed_mode=1),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))
    model.functions.add(name="f").node.add(op_type="Constant").attribute.add(name="v", t=tensor("function.bin"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert external_files(tmp_path / "m.onnx") == {"inner.bin", "constant.bin", "compiled.bin", "function.bin"}


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x06" * 3, b"text, and no network"]
)
def test_what_is_no_network(copy: Path, data: bytes) -> None:
    (copy / "frame.onnx").write_bytes(data)
    edit(copy, lambda d: d["files"].update({"frame.onnx": models.sha256(copy / "frame.onnx")}))
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        models.load(copy)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"format_version": 1, "metrics": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}",
        '{"format_version": ' + "9" * 5000 + "}",
        '{"format_version": 1, "name": "\\ud800"}',
        "null",
        '"x"',
    ],
)
def test_json_that_is_no_spec(copy: Path, text: str) -> None:
    (copy / "model.json").write_text(text)
    with pytest.raises(ModelError):
        models.load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["input"].update(size=float("inf")),
        lambda d: d["input"].update(size=10**9),
        lambda d: d["input"].update(size=10**400),
        lambda d: d["input"].update(margin=10**400),
        lambda d: d["input"].update(channels=True),
        lambda d: d["input"].update(channels=1.0),
        lambda d: d["input"].update(margin=1e300),
        lambda d: d["input"].update(aligned_size=10**9),
        lambda d: d.update(members=float("inf")),
        lambda d: d.update(members=10**9),
        lambda d: d.update(feature_width=float("nan")),
        lambda d: d["tasks"]["va"].update(bins=float("inf")),
        lambda d: d["tasks"]["au"].update(thresholds=[float("inf")] * 8),
        lambda d: d["tasks"]["expression"].update(temperature=10**400),
        lambda d: d.update(temporal={"sequence_length": 1e999, "feature_width": 4, "direction": "forward"}),
        lambda d: d.update(temporal={"sequence_length": 10**9, "feature_width": 4, "direction": "forward"}),
        lambda d: d.update(metrics=[1]),
        lambda d: d.update(files=None),
        lambda d: d.update(frame_model=".."),
        lambda d: d.update(name="two\nlines"),
    ],
)
def test_impossible_numbers(copy: Path, change: Callable[[dict[str, Any]], None], run_cli: Cli) -> None:
    edit(copy, change)
    code, _, err = run_cli("models", "verify", copy)
    assert code == 1 and err.count("\n") == 1 and err.startswith("affectkit: error: "), err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits memory the Unix way")
def test_a_golden_file_that_unpacks_to_gigabytes(copy: Path, tmp_path: Path) -> None:
    """Both ways to claim it: many bytes of zeros, packed to few, and a header without them."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)})
    for content in (header.getvalue() + bytes(1 << 29), header.getvalue()):
        with zipfile.ZipFile(copy / "golden.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("faces.npy", content)
        assert (copy / "golden.npz").stat().st_size < 4e6
        edit(copy, lambda d: d["files"].update({"golden.npz": models.sha256(copy / "golden.npz")}))
        code = (
            "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))\n"
            "import sys; from affectkit.cli import main; main()"
        )
        command = [sys.executable, "-P", "-c", code, "verify", str(copy), "--device", "cpu"]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 1 and "golden.npz: cannot be read" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "change", [lambda g: g.pop("faces"), lambda g: g.pop("au"), lambda g: g.update(au=g["au"][:, :1])]
)
def test_a_golden_file_of_another_model(copy: Path, change: Callable[[dict[str, Any]], None], run_cli: Cli) -> None:
    golden: dict[str, Any] = read_npz(copy / "golden.npz")
    change(golden)
    np.savez(copy / "golden.npz", **golden)
    edit(copy, lambda d: d["files"].update({"golden.npz": models.sha256(copy / "golden.npz")}))
    code, _, err = run_cli("verify", copy, "--device", "cpu")
    assert code == 1 and "does not fit the model" in err and err.count("\n") == 1


def test_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="embedded are lite"):
        models.load("no-such-model")
    with pytest.raises(ModelError, match=r"no model\.json"):
        models.load(tmp_path)


def test_an_order_of_labels_of_its_own(tiny: Path, copy: Path) -> None:
    """A model may list its labels in any order; the answer comes in ours."""
    edit(copy, lambda d: d["tasks"]["expression"]["labels"].reverse())
    edit(copy, lambda d: d["tasks"]["au"]["labels"].reverse())
    face = np.full((1, 16, 16, 1), 100, np.uint8)
    (usual,), (reversed_,) = Predictor(tiny).predict_aligned(face), Predictor(copy).predict_aligned(face)
    assert reversed_.expression_probabilities == pytest.approx(usual.expression_probabilities[::-1])
    assert reversed_.au_probabilities == pytest.approx(usual.au_probabilities[::-1])


@pytest.mark.parametrize("name", models.embedded_names())
def test_embedded_models_reproduce_torch(name: str) -> None:
    """Golden outputs within 1e-4 of the largest value (int8: within its tolerance), and the card is there."""
    folder = models.load(name)
    parity = verify(folder, device="cpu")
    assert problems(parity, folder.spec.precision) == []
    if folder.spec.precision == "fp32":
        assert all(one.relative <= 1e-4 for one in parity), parity
    assert (folder.path / "MODEL_CARD.md").stat().st_size > 1000
    assert "MODEL_CARD.md" in folder.spec.files


def test_the_default_is_embedded() -> None:
    assert models.DEFAULT_MODEL in models.embedded_names()


def test_templates_are_symmetric_and_inside() -> None:
    for name, points in TEMPLATES.items():
        unit = np.array(points)
        assert ((unit > 0) & (unit < 1)).all(), name
        assert unit[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0] == pytest.approx(unit, abs=2e-3), name
    assert InputSpec(112, 3, "arcface").template_px().shape == (5, 2)


def test_a_model_may_run_on_anothers_network(tiny: Path, tiny_temporal: Path, tmp_path: Path) -> None:
    folder = models.load(tiny_temporal)
    assert folder.frame_onnx == tiny / "frame.onnx" and not (tiny_temporal / "frame.onnx").exists()
    assert models.resolve(tiny, temporal=True).name == str(tiny_temporal)
    assert models.resolve(tiny_temporal, temporal=True).name == str(tiny_temporal)
    assert ModelSpec.from_json(folder.spec.to_json()) == folder.spec
    shutil.copytree(tiny_temporal, tmp_path / "tiny-temporal")
    with pytest.raises(ModelError, match="missing"):  # alone
        models.load(tmp_path / "tiny-temporal")
    shutil.copytree(tiny, tmp_path / "tiny")
    models.load(tmp_path / "tiny-temporal")
    network = tmp_path / "tiny" / "frame.onnx"
    network.write_bytes(network.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="damaged or changed"):
        models.load(tmp_path / "tiny-temporal")


def test_a_frame_model_is_a_plain_name(tiny_temporal: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_temporal, tmp_path / "model")
    edit_spec(tmp_path / "model", lambda document: document.update(frame_model="../../etc"))
    with pytest.raises(ModelError, match="plain name"):
        models.load(tmp_path / "model")
