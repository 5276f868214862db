"""Training that rounds as an int8 export does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from patterns import SMALL, config, faces_with_a_pattern, states_are_equal
from torch import nn

from affectkit.train import rounding
from affectkit.train.int8 import ready_for_int8
from affectkit.train.loop import train
from affectkit.train.networks import MultitaskCNN, resnet29_config
from affectkit.train.rounding import STEPS, as_in_int8, rounded


def test_rounding_keeps_256_numbers_and_cuts_off_the_largest() -> None:
    x = torch.linspace(-1, 3, 20001)
    y = rounded(x, positive=True)
    assert len(y.unique()) == STEPS + 1
    assert y.min() == 0 and y.max() == pytest.approx(3 - 4 * 0.003, abs=1e-3)  # three in a thousand end there
    inside = (x > 0) & (x < 2.98)
    assert (y - x)[inside].abs().max() <= 0.5 * float(y.max()) / STEPS + 1e-6
    signed = rounded(x, positive=False)
    assert signed.min() == pytest.approx(-1 + 4 * 0.003, abs=1e-3)


def test_the_gradient_passes_where_nothing_is_cut_off() -> None:
    x = torch.linspace(-1, 3, 2001, requires_grad=True)
    rounded(x, positive=True).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad[(x > 0.01) & (x < 2.9)].eq(1).all() and x.grad[x < -0.01].eq(0).all() and x.grad[-3:].eq(0).all()


def test_a_network_rounds_inside_the_block_only() -> None:
    torch.manual_seed(0)
    network = MultitaskCNN(SMALL).eval()
    faces = torch.randint(0, 255, (8, 16, 16, 1), dtype=torch.uint8)
    plain = network(faces).au
    with as_in_int8(network):
        coarse = network(faces).au
    assert 0 < (coarse - plain).abs().max() < 0.5
    assert torch.equal(network(faces).au, plain)


@pytest.mark.parametrize("network", [MultitaskCNN(resnet29_config(32)), nn.Linear(2, 2)])
def test_other_networks_are_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="backbone lite"), as_in_int8(network):
        pass


@pytest.mark.slow
def test_a_run_rounds_in_its_share_of_the_steps_and_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    data = faces_with_a_pattern(160), faces_with_a_pattern(60, 1)
    settings = config(int8_share=0.5, epochs=6)
    whole = train(settings, *data, tmp_path / "whole")
    assert whole["expression"]["accuracy"] > 0.9

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, *data, tmp_path / "broken", on_step=stop)
    train(settings, *data, tmp_path / "broken", resume=True)
    assert states_are_equal(tmp_path / "whole" / "best.pt", tmp_path / "broken" / "best.pt")
    train(config(epochs=6), *data, tmp_path / "float")
    assert not states_are_equal(tmp_path / "whole" / "best.pt", tmp_path / "float" / "best.pt")


def test_what_cannot_be_rounded_is_refused(tmp_path: Path) -> None:
    data = faces_with_a_pattern(32), faces_with_a_pattern(16, 1)
    with pytest.raises(ValueError, match="lite"):
        train(config(int8_share=0.5, compile=True), *data, tmp_path / "run")


@pytest.mark.slow
def test_a_copy_learns_to_answer_in_int8_what_the_network_answers_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "STEPS", 7)  # coarse, so that a network of two layers has something to learn
    monkeypatch.setattr(rounding, "CUT_OFF", 0.05)
    torch.manual_seed(1)
    network = MultitaskCNN(SMALL).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    faces = np.stack([face[..., None] for face in faces_with_a_pattern(128).images])
    losses: list[float] = []
    copy = ready_for_int8(
        network, faces, steps=60, batch_size=32, learning_rate=1e-3, on_step=lambda step, loss: losses.append(loss)
    )
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for name, value in copy.state_dict().items():
        if "running" in name:  # the batch statistics stay, so that the copy is exported like the network
            assert torch.equal(value, before[name])
    shown = torch.from_numpy(faces)
    with as_in_int8(network), as_in_int8(copy):
        plain, learned = network(shown).au, copy(shown).au
    wanted = network(shown).au
    assert (learned - wanted).square().mean() < (plain - wanted).square().mean()


def test_fewer_faces_than_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="a batch has 96 faces, only 2 are given"):
        ready_for_int8(MultitaskCNN(SMALL), np.zeros((2, 16, 16, 1), np.uint8))
