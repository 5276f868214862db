"""Other runtimes than ours give what the golden files say: tests/runtimes.py has how, and what cannot be here."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from runtimes import RUNTIMES, TOLERANCES, largest_difference

from affectkit import models
from affectkit.export.to_onnx import write_temporal_onnx
from affectkit.train.networks import FEATURE_WIDTH, TemporalHeads

CANNOT = {("OpenCV dnn", "int8"): "OpenCV 5.0 does not import networks of QuantizeLinear and DequantizeLinear rightly"}


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
@pytest.mark.parametrize("name", models.embedded_names())
def test_the_answers_are_the_same(runtime: str, name: str) -> None:
    _, lacks = RUNTIMES[runtime]
    spec = models.read_spec(models.find(name))
    reason = lacks() or CANNOT.get((runtime, spec.precision), "")
    if runtime == "OpenCV dnn" and not reason and spec.temporal and _computes_weights(name):
        reason = f"{name} was exported before weights were constants (scripts/refresh_model.py)"
    if reason:
        pytest.skip(f"{runtime}: {reason}")
    away, output = largest_difference(runtime, name)
    assert away <= TOLERANCES[spec.precision], f"{output} differs by {away:.1e}"


def _computes_weights(name: str) -> bool:
    graph = onnx.load(str(models.find(name) / models.TEMPORAL_NAME)).graph
    return any(node.op_type == "Slice" for node in graph.node)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_opencv_takes_a_recurrent_network(tmp_path: Path) -> None:
    """Exported today: its weights, states and picks are constants that OpenCV reads."""
    import numpy as np
    import torch

    run, lacks = RUNTIMES["OpenCV dnn"]
    if lacks():
        pytest.skip(lacks())
    heads = TemporalHeads().eval()
    write_temporal_onnx([heads], tmp_path / "temporal.onnx")
    features = np.random.default_rng(1).normal(size=(1, 2, 7, 3, FEATURE_WIDTH)).astype(np.float32)
    got = run(tmp_path / "temporal.onnx", {"features": features})
    with torch.no_grad():
        want = heads(torch.from_numpy(features[0]))
    for name in ("expression", "au", "va"):
        assert got[name][0] == pytest.approx(getattr(want, name).numpy(), abs=1e-4)
