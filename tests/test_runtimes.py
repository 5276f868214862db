"""Other runtimes than ours give what the golden files say: tests/runtimes.py has how, and what cannot be here."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtimes import RUNTIMES, TOLERANCES, largest_difference

from affectkit import models
from affectkit.export.to_onnx import write_temporal_onnx
from affectkit.train.networks import FEATURE_WIDTH, TemporalHeads

CANNOT = {("OpenCV 4 dnn", "lite-temporal"): "reads no GRU without a first state, and a state has the batch's size"}


@pytest.mark.slow
@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
@pytest.mark.parametrize("name", models.embedded_names())
def test_the_answers_are_the_same(runtime: str, name: str) -> None:
    _, lacks = RUNTIMES[runtime]
    reason = lacks() or CANNOT.get((runtime, name), "")
    if reason:
        pytest.skip(f"{runtime}: {reason}")
    away, output = largest_difference(runtime, name)
    assert away <= TOLERANCES[models.read_spec(models.find(name)).precision], f"{output} differs by {away:.1e}"


@pytest.mark.slow
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
