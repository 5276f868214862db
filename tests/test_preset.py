"""``--preset paper``: the configuration that it resolves to, against the paper and against train/README.md's table."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from affectkit.train import cli
from affectkit.train.balance import BAG, CLONE_LIMIT, ml_ros
from affectkit.train.config import TrainConfig
from affectkit.train.networks import MultitaskCNN
from affectkit.train.options import config_of
from affectkit.train.presets import PRESETS
from affectkit.train.validation import selection_score

README = Path(__file__).parent.parent / "train" / "README.md"

Resolve = Callable[..., TrainConfig]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resolve:
    """The configuration of a command, as it would be trained: nothing is read and nothing trained."""

    def run(command: str, *arguments: str) -> TrainConfig:
        given: dict[str, Any] = {}
        click_command = cli.COMMANDS[command]
        monkeypatch.setattr(click_command, "callback", lambda **options: given.update(options))
        target = ["-o", str(tmp_path / "run"), "--manifest", "m.csv"]
        click_command.main([*target, *arguments], prog_name=command, standalone_mode=False)
        for name in ("labels", "images", "landmarks", "manifests", "tasks", "share", "dev", "au_at", "leave_out"):
            given.pop(name)
        for name in ("run", "resume", "init", "pretrained", "teachers", "teacher_view", "count", "cnn"):
            given.pop(name, None)
        if command == "temporal":
            given.update(backbone="lite", size=None, channels=None, template="tight")
        return config_of(given)

    return run


def test_the_teacher_is_the_papers(resolve: Resolve) -> None:
    config = resolve("teacher", "--preset", "paper")
    network = config.network
    assert (network.backbone, network.size, network.channels, network.dropout) == ("resnet50", 112, 3, 0.0)
    spec = config.input_spec()  # the aligned face resized to int(112 * 1.2) = 134, of which 112 are taken
    assert (spec.template, spec.aligned_size, spec.margin) == ("published", 134, pytest.approx(112 / 134))
    how = config.augmentation  # random crop 112 of 134 and horizontal flip, nothing else
    assert how.whole_px and how.shift * 112 == pytest.approx(11)
    rest = (how.rotate_deg, how.scale, how.point_noise, how.small, how.blur, how.compress, how.light, how.noise)
    assert rest == (0,) * 8 and how.occlude == 0
    assert (config.sampling, config.batch_size // 3, config.epoch_length) == ("per-task", 20, "shortest")
    assert config.balance and config.ml_ros_target == 2 and (BAG, CLONE_LIMIT) == (32, 0.5)
    assert (config.au_weight, config.expression_weight, config.va_weight, config.focal_gamma) == (8, 1, 1, 0)
    assert (config.optimizer, config.learning_rate, config.betas) == ("adam", 1e-4, (0.5, 0.999))
    assert (config.weight_decay, config.schedule, config.warmup_steps, config.ema) == (0, "constant", 0, 0)
    assert (config.epochs, config.select_by, config.preset) == (8, "paper", "paper")


def test_the_students_are_the_papers(resolve: Resolve) -> None:
    config = resolve("students", "--preset", "paper", "--teacher", "t")
    assert (config.epochs, config.temperature, config.supervised_share) == (3, 1.5, 0.6)
    assert config.au_weight == 1  # no weight in stage 2
    assert PRESETS["paper"]["students"]["count"] == 5
    assert (config.network.backbone, config.sampling, config.epoch_length) == ("resnet50", "per-task", "shortest")


def test_the_recurrent_heads_are_the_papers(resolve: Resolve) -> None:
    config = resolve("temporal", "--preset", "paper", "--cnn", "c")
    assert (config.sequence_length, config.batch_size // 3, config.sampling) == (32, 20, "per-task")
    assert (config.epochs, config.au_weight, config.select_by) == (8, 8, "paper")
    student = PRESETS["paper"]["temporal --teacher"]
    assert (student["epochs"], student["au_weight"]) == (3, 1)


def test_what_is_given_counts_before_the_preset(resolve: Resolve) -> None:
    config = resolve("teacher", "--preset", "paper", "--learning-rate", "3e-4", "--backbone", "lite", "--size", "64")
    assert (config.learning_rate, config.network.backbone, config.network.size) == (3e-4, "lite", 64)
    assert config.betas == (0.5, 0.999)


def test_scores_of_the_paper_by_hand() -> None:
    report = {"scores": {"au": 0.6, "expression": 0.4, "va": 0.3}}
    assert selection_score(report, "paper") == pytest.approx(1.3)


def test_ml_ros_reaches_the_published_target() -> None:
    active = np.zeros((1000, 3), bool)
    active[:600, 0], active[600:800, 1], active[950:, 2] = True, True, True
    clones = ml_ros(active, np.random.default_rng(0), target=2.0, limit=2.0)
    counts = active.sum(0) + active[clones].sum(0)
    assert counts.max() / counts[2] <= 2 and counts.max() / counts[1] <= 2
    plain = ml_ros(active, np.random.default_rng(0), limit=2.0)
    assert len(plain) < len(clones)  # the mean is 5.3 at first: only the third label is a minority


def deviations() -> pd.DataFrame:
    """The table of train/README.md, by its first column."""
    text = README.read_text(encoding="utf-8").partition("## Where the defaults differ from the paper")[2]
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return pd.DataFrame(rows[2:], columns=rows[0]).set_index(rows[0][0])


OPTIONS = {
    "backbone and input": ("network.backbone", "network.size"),
    "cut of the face": ("network.template", "network.aligned_size"),
    "augmentation": ("augmentation.whole_px", "augmentation.rotate_deg"),
    "batch": ("sampling", "batch_size"),
    "epoch": ("epoch_length",),
    "balancing": ("balance", "ml_ros_target"),
    "AU weight": ("au_weight",),
    "optimiser": ("optimizer", "learning_rate", "betas"),
    "selection": ("select_by",),
    "dropout in the heads": ("network.dropout",),
    "epochs": ("epochs",),
    "distillation": ("temperature", "supervised_share"),
}
"""The line of the table that says what of a configuration."""


def value(config: TrainConfig, name: str) -> object:
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("point", OPTIONS)
def test_the_table_of_deviations_says_where_the_defaults_differ(resolve: Resolve, point: str) -> None:
    row = deviations().loc[point]
    pairs = [("teacher",), ("students", "--teacher", "t")]
    differs = False
    for command, *rest in pairs:
        preset, default = resolve(command, "--preset", "paper", *rest), resolve(command, *rest)
        differs |= any(value(preset, name) != value(default, name) for name in OPTIONS[point])
    assert (row["our default"] != "the same") == differs, row
    assert row["preset"] and row["paper"] and row["their code"]
    if differs:
        assert row["why ours differs"] and row["measured"]


def test_every_option_of_the_preset_is_in_the_table() -> None:
    named = {name.rpartition(".")[2] for names in OPTIONS.values() for name in names}
    renamed = {
        "beta1": "betas",
        "beta2": "betas",
        "template": "template",
        "augmentation": "whole_px",
        "channels": "size",
    }
    same = {"weight_decay", "schedule", "warmup_steps", "ema", "expression_weight", "va_weight", "focal_gamma", "count"}
    for command in ("teacher", "students"):
        for option in PRESETS["paper"][command]:
            assert renamed.get(option, option) in named | same, option


def test_the_paper_is_only_claimed_where_it_is_so() -> None:
    text = README.read_text(encoding="utf-8")
    assert not re.search(r"defaults are the paper'?s", text)


def test_the_networks_head_is_the_papers(resolve: Resolve) -> None:
    network = MultitaskCNN(resolve("teacher", "--preset", "paper").network)
    assert network.backbone.width == 2048
    layers = [type(layer).__name__ for layer in network.heads["au"].feature]
    assert layers == ["BatchNorm1d", "Linear", "ReLU", "BatchNorm1d"]
    assert [network.task_widths for network in [network.config]] == [{"expression": 7, "au": 8, "va": 40}]
