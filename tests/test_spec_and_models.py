"""model.json, and folders that are not what they should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import edit_spec

from affectkit import models
from affectkit.errors import ModelError
from affectkit.export.verify import problems, verify
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


def test_files_that_nobody_vouches_for(copy: Path) -> None:
    (copy / "frame.onnx.data").write_bytes(b"weights from elsewhere")
    with pytest.raises(ModelError, match=r"frame.onnx.data: not listed"):
        models.load(copy)


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
    assert models.temporal_sibling(tiny) == str(tiny_temporal) and models.temporal_sibling(tiny_temporal) is not None
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
