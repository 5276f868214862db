"""Former names keep working: spellings of options, and names of fields in checkpoints that were written with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from patterns import config, faces_with_a_pattern, states_are_equal

from affectkit.train import cli
from affectkit.train.config import TrainConfig, config_from_dict
from affectkit.train.loop import train
from affectkit.train.renamed import RENAMED_OPTIONS

RENAMED = [
    ("teacher", "--drawing", "per-task", "sampling"),
    ("students", "--drawing", "per-task", "sampling"),
    ("temporal", "--drawing", "per-task", "sampling"),
    ("students", "--shown", "clean", "teacher_view"),
    ("students", "--start", "lite", "init"),
]


@pytest.fixture
def options_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[dict[str, Any], str]]:
    """What a command line is taken for, and what it prints on stderr; nothing is trained."""

    def run(command: str, *arguments: str) -> tuple[dict[str, Any], str]:
        given: dict[str, Any] = {}
        monkeypatch.setattr(cli.COMMANDS[command], "callback", lambda **options: given.update(options))
        needed = {"students": ["--teacher", "lite"], "temporal": ["--cnn", "lite"]}.get(command, [])
        line = ["-o", str(tmp_path / "run"), *needed, *arguments]
        done = CliRunner().invoke(cli.COMMANDS[command], line, prog_name=command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return given, done.stderr

    return run


@pytest.mark.parametrize(("command", "old", "value", "name"), RENAMED)
def test_former_spellings_mean_the_same_and_say_so_once(
    options_of: Callable[..., tuple[dict[str, Any], str]], command: str, old: str, value: str, name: str
) -> None:
    new = RENAMED_OPTIONS[old]
    wanted, silent = options_of(command, new, value)
    assert wanted[name] == value and silent == ""
    for former in ([old, value], [f"{old}={value}"], [old, value, f"{old}={value}"]):
        given, err = options_of(command, *former)
        assert given == wanted
        assert err == f"DeprecationWarning: {old} is now {new}; a later version will not know {old}\n"


@pytest.mark.parametrize("command", ["teacher", "students", "temporal"])
def test_former_spellings_are_not_in_the_help(command: str) -> None:
    text = CliRunner().invoke(cli.COMMANDS[command], ["--help"]).output
    assert "--sampling" in text and not any(f"{old} " in text or f"{old}\n" in text for old in RENAMED_OPTIONS)


def test_a_former_spelling_counts_before_the_preset(options_of: Callable[..., tuple[dict[str, Any], str]]) -> None:
    given, _ = options_of("teacher", "--preset", "paper", "--drawing", "mixed")
    assert given["sampling"] == "mixed" and given["epoch_length"] == "shortest"


def test_a_command_does_not_take_former_spellings_of_options_that_it_lacks() -> None:
    done = CliRunner().invoke(cli.COMMANDS["teacher"], ["-o", "run", "--shown", "clean"])
    assert done.exit_code == click.UsageError.exit_code and "--shown" in done.stderr


def as_it_was_stored(settings: TrainConfig) -> dict[str, Any]:
    """As checkpoints held it before the fields were renamed."""
    names = {"sampling": "drawing", "teacher_view": "shown", "init_from": "start"}
    return {names.get(name, name): value for name, value in dataclasses.asdict(settings).items()}


@pytest.mark.slow
def test_checkpoints_with_the_former_names_are_read_and_resumed(tmp_path: Path) -> None:
    settings = config(epochs=2, sampling="per-task", batch_size=18)
    settings = dataclasses.replace(settings, init_from="0" * 64, teacher_view="clean")
    assert {"drawing", "shown", "start"} < as_it_was_stored(settings).keys()
    assert config_from_dict(as_it_was_stored(settings)) == settings

    settings = dataclasses.replace(settings, teacher_view="disturbed")
    data = faces_with_a_pattern(120), faces_with_a_pattern(40, 1)
    train(settings, *data, tmp_path / "whole")

    def interrupt(step: int, steps: int, values: dict[str, float]) -> None:
        if step == steps // 2 + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, *data, tmp_path / "run", on_step=interrupt)
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    state["config"] = as_it_was_stored(settings)
    torch.save(state, tmp_path / "run" / "last.pt")
    train(settings, *data, tmp_path / "run", resume=True)
    assert states_are_equal(tmp_path / "whole" / "last.pt", tmp_path / "run" / "last.pt")
