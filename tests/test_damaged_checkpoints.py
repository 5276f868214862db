"""Checkpoints with something missing: one line that names the file, never a traceback."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from patterns import config, faces_with_a_pattern

from affectkit.errors import ModelError
from affectkit.train.checkpoints import load_any, load_network
from affectkit.train.loop import train
from affectkit.train.networks import MultitaskCNN

Cli = Callable[..., tuple[int, str, str]]


def whole() -> dict[str, Any]:
    """A checkpoint with all that a network needs."""
    chosen = config()
    return {"config": dataclasses.asdict(chosen), "network": MultitaskCNN(chosen.network).state_dict()}


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s.pop("network"),
        lambda s: s.update(network=None),
        lambda s: s.update(network={}),
        lambda s: s["network"].popitem(),
        lambda s: s["network"].update(more=torch.zeros(1)),
        lambda s: s.update(network={name: torch.zeros(1) for name in s["network"]}),
        lambda s: s.update(config=None),
        lambda s: s.update(config={}),
        lambda s: s["config"].pop("network"),
        lambda s: s["config"].pop("betas"),
        lambda s: s["config"].update(unknown=1),
        lambda s: s["config"]["network"].update(widths=5),
        lambda s: s["config"]["network"].update(labels=[]),
        lambda s: s["config"]["network"].update(backbone="nonsense"),
    ],
)
def test_what_a_checkpoint_lacks_is_one_line(damage: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    state = copy.deepcopy(whole())
    torch.save(state, tmp_path / "best.pt")
    load_any(tmp_path / "best.pt")
    damage(state)
    torch.save(state, tmp_path / "best.pt")
    for load in (load_any, load_network):
        with pytest.raises(ModelError, match=r"best\.pt: ") as caught:
            load(tmp_path / "best.pt")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"PK\x03\x04", b"text"])
def test_files_that_are_no_weights(data: bytes, tmp_path: Path, run_cli: Cli) -> None:
    (tmp_path / "CNN").mkdir()
    (tmp_path / "CNN" / "0.pth").write_bytes(data)
    (tmp_path / "best.pt").write_bytes(data)
    code, _, err = run_cli("import-checkpoints", tmp_path / "CNN", "-o", tmp_path / "out")
    assert code == 1 and err.count("\n") == 1 and "0.pth" in err and not (tmp_path / "out").exists()
    code, _, err = run_cli("export", tmp_path / "best.pt", "-o", tmp_path / "out")
    assert code == 1 and err.count("\n") == 1 and "best.pt" in err and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_run_whose_last_checkpoint_is_damaged_says_so(tmp_path: Path) -> None:
    faces = faces_with_a_pattern(32)
    train(config(epochs=1), faces, faces, tmp_path)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    for name in ("network", "average", "optimizer", "rng", "progress", "data"):
        torch.save({key: value for key, value in state.items() if key != name}, tmp_path / "last.pt")
        with pytest.raises(ModelError):
            train(config(epochs=1), faces, faces, tmp_path, resume=True)
    torch.save(state | {"optimizer": {}}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="train without --resume"):
        train(config(epochs=1), faces, faces, tmp_path, resume=True)
