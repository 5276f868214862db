"""Exports of networks that also say how intense units are, what can be seen, and how the head is turned."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from patterns import SMALL

from affectkit import Predictor, models
from affectkit.errors import EngineError, ModelError
from affectkit.export.convert import export_model
from affectkit.export.parity import Agreement, ParityReport, agreement
from affectkit.export.runs import on_frame_model
from affectkit.export.to_onnx import golden_faces, golden_outputs, write_model_folder
from affectkit.export.triton import write_triton
from affectkit.export.verify import problems, verify
from affectkit.readout import check_outputs
from affectkit.spec import InputSpec, ModelSpec
from affectkit.train.config import TrainConfig
from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNN
from affectkit.train.runs import spec_of
from affectkit.types import EXPRESSION_NAMES, LabelSet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

SEEN = dataclasses.replace(SMALL, intensity=True, visibility=True, pose=True)
OUTPUTS = ["expression", "au", "va", "intensity", "visibility", "pose", "features"]


def spec(**changes: object) -> ModelSpec:
    plain = ModelSpec(
        name="two-members",
        version="1",
        licence="MIT",
        trained_on=("nothing",),
        input=InputSpec(16, 1, "tight"),
        au_thresholds=(0.5,) * 8,
        au_thresholds_from="made up",
        members=2,
        feature_width=FEATURE_WIDTH,
        intensity=True,
        pose=True,
        visibility_thresholds=(0.5, 0.4, 0.6),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "two-members"
    write_model_folder([MultitaskCNN(SEEN) for _ in range(2)], spec(), folder, card="x" * 100, half=True)
    return folder


def test_the_outputs_go_through(original: Path) -> None:
    graph = onnx.load(original / "frame.onnx").graph
    assert [value.name for value in graph.output] == OUTPUTS
    golden = np.load(original / "golden.npz")
    shapes = {name: golden[name].shape for name in OUTPUTS[3:6]}
    assert shapes == {"intensity": (2, 8, 8), "visibility": (2, 8, 3), "pose": (2, 8, 3)}
    assert problems(verify(models.load(original), device="cpu"), "fp32") == []
    with Predictor(original, precision="fp32") as predictor:
        affects = predictor.predict_aligned(golden_faces(16, 1))
    assert all(affect.au_intensities is not None and affect.quality is not None for affect in affects)


def test_a_network_that_says_more_than_its_spec_is_refused() -> None:
    """As :func:`write_model_folder` checks it before anything is in its place."""
    faces = golden_faces(16, 1)
    fewer = golden_outputs([MultitaskCNN(dataclasses.replace(SEEN, pose=False))] * 2, faces)
    with pytest.raises(EngineError, match="'pose' should be"):
        check_outputs(fewer, spec(), len(faces))
    with pytest.raises(EngineError, match="'visibility' should be None"):
        check_outputs(golden_outputs([MultitaskCNN(SEEN)] * 2, faces), spec(visibility_thresholds=None), len(faces))
    without_units = dataclasses.replace(SEEN, labels=LabelSet(EXPRESSION_NAMES, ()))
    assert "intensity" not in golden_outputs([MultitaskCNN(without_units)], faces)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_have_them_too(precision: str, original: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (64, 16, 16, 1), np.uint8)
    report = export_model(original, tmp_path / "m", precision=precision, calibration=faces)  # type: ignore[arg-type]
    found = report.golden_agreement
    assert found.intensity is not None and found.intensity < 0.05
    assert found.pose is not None and found.pose < 10
    assert found.visibility is not None and found.visibility > 0.8
    assert "regions seen or hidden" in str(found) and "degrees" in str(found)
    copy = models.load(tmp_path / "m")
    assert copy.spec.visibility_thresholds == (0.5, 0.4, 0.6) and copy.spec.format_version == 2
    assert problems(verify(copy, device="cpu"), copy.spec.precision) == []


def test_what_a_precision_may_cost() -> None:
    good = Agreement(10, 1.0, 1.0, 0.0, 0.0, intensity=0.0, visibility=1.0, pose=0.0)
    for change, says in (
        ({"intensity": 0.1}, "intensities differ by 0.1000 on average, allowed is 0.04"),
        ({"visibility": 0.9}, "90.00% of the regions seen or hidden agree, needed are 97.00%"),
        ({"pose": 5.0}, "degrees of pose differ by 5.0000 on average, allowed is 3"),
    ):
        worse = dataclasses.replace(good, **change)  # type: ignore[arg-type]
        assert ParityReport("int8", [], good, "faces", worse).problems() == [says]
    assert ParityReport("int8", [], good, "faces", good).problems() == []


def test_agreement_counts_regions(tiny_seen: Path) -> None:
    of_tiny = models.read_spec(tiny_seen)
    golden = dict(np.load(tiny_seen / "golden.npz"))
    want = {name: golden[name] for name in (*of_tiny.tasks, *of_tiny.further_widths)}
    shown = want["visibility"].copy()
    shown[0, 0] = -shown[0, 0]  # of 8 faces with 3 regions
    found = agreement(of_tiny, want, want | {"visibility": shown, "pose": want["pose"] + 2})
    assert found.visibility == pytest.approx(1 - 3 / 24) and found.pose == pytest.approx(2) and found.intensity == 0


def test_triton_serves_them(tiny_seen_temporal: Path, tmp_path: Path) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    write_triton(models.load(tiny_seen_temporal), tmp_path / "r")
    config = text_format.Parse((tmp_path / "r" / "tiny_seen_temporal" / "config.pbtxt").read_text(), ModelConfig())
    graph = onnx.load(tmp_path / "r" / "tiny_seen_temporal" / "1" / "model.onnx").graph
    assert [t.name for t in config.output] == [v.name for v in graph.output] == OUTPUTS
    for tensor, value in zip(config.output, graph.output, strict=True):
        dims = value.type.tensor_type.shape.dim
        assert dims[0].dim_param and [d.dim_value for d in dims[1:]] == list(tensor.dims)
    recurrent = text_format.Parse(
        (tmp_path / "r" / "tiny_seen_temporal_temporal" / "config.pbtxt").read_text(), ModelConfig()
    )
    assert [t.name for t in recurrent.output] == ["expression", "au", "va"]
    assert "`visibility` (1, 3)" in (tmp_path / "r" / "README.md").read_text()


def test_the_spec_of_runs() -> None:
    state = {"config": asdict(TrainConfig(network=SEEN))}
    found = spec_of([state], name="m")
    assert found.intensity and found.pose and found.visibility_thresholds == (0.5, 0.5, 0.5)
    assert found.expression_prior is None and found.balanced_temperature is None
    known = state | {
        "visibility_thresholds": (0.2, 0.3, 0.4),
        "visibility_thresholds_from": "a dev part",
        "expression_prior": (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1),
        "balanced_temperature": 1.5,
    }
    both = spec_of([known, known | {"visibility_thresholds": (0.4, 0.5, 0.6)}], name="m")
    assert both.visibility_thresholds == (0.3, 0.4, 0.5) and both.visibility_thresholds_from == "a dev part"
    assert both.expression_prior == (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1) and both.balanced_temperature == 1.5
    plain = {"config": asdict(TrainConfig(network=SMALL))}
    assert spec_of([plain], name="m").further_widths == {}
    with pytest.raises(ModelError, match="differ in intensity, visibility or pose"):
        spec_of([state, plain], name="m")


def test_a_temporal_model_sees_as_its_frame_model_does(tiny_seen: Path) -> None:
    shares = json.loads((tiny_seen / "model.json").read_text())["tasks"]["visibility"]["thresholds"]
    state = {"config": asdict(TrainConfig(network=SEEN)), "visibility_thresholds": (0.1, 0.1, 0.1)}
    found = on_frame_model(spec_of([state], name="m"), "tiny-seen", tiny_seen.parent / "new")
    assert found.frame_model == "tiny-seen" and list(found.visibility_thresholds or ()) == shares
    assert found.visibility_thresholds_from == "made up"
    plain = spec_of([{"config": asdict(TrainConfig(network=SMALL))}], name="m")
    assert on_frame_model(plain, "tiny-seen", tiny_seen.parent / "new").visibility_thresholds is None
    with pytest.raises(ModelError, match="needs the model 'nowhere' beside it"):
        on_frame_model(plain, "nowhere", tiny_seen.parent / "new")
