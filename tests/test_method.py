"""Labels in, a trained model out: each set in its original layout goes the whole way, and what is learnt is measured.

``train prepare``, ``teacher``, ``evaluate`` and ``export`` are run as commands, on trees whose faces show their labels
(:mod:`trees`); what the prepared manifest says is compared with what was written, picture by picture, and the network's
answers with the labels of faces it has not seen. By chance accuracy is 1/7 (1/8), CCC and correlation are 0, and the F1
of a unit that is active in 35 % of the faces is at most .52; a task whose labels are dropped, shifted by a frame or
swapped stays there (the controls below do that on purpose).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import trees
from learnable import Shown, random_look, show
from trees import Tree, Written

from affectkit.predictor import Predictor
from affectkit.train.data import FaceSet
from affectkit.train.evaluate import ask
from affectkit.train.networks import CONFIGS
from affectkit.train.splits import read_manifest_part

Cli = Callable[..., tuple[int, str, str]]

SIZE = 40
HOW = (
    *("--size", SIZE, "--epochs", 14, "--batch-size", 20, "--optimizer", "adamw", "--beta1", 0.9),
    *("--learning-rate", 5e-3, "--schedule", "cosine", "--warmup-steps", 10, "--ema", 0.9),
    *("--augmentation", "light", "--seed", 0),
)
"""A run of some seconds."""

LEARNT = {"accuracy": 0.85, "f1": 0.75, "valence": 0.8, "arousal": 0.75}
"""What held-out faces have to reach; without what the labels say it would be 1/7, .52, 0 and 0."""

EACH_UNIT = 0.35
"""Correlation that the answers have with each unit by itself; by chance within .25 of 0 for 80 faces."""


@pytest.fixture(autouse=True)
def _small_and_quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small network under the name of the usual one, in few threads."""
    small = dataclasses.replace(CONFIGS["lite"], widths=(16, 32, 48), blocks=(1, 1, 1), dropout=0.0)
    monkeypatch.setitem(CONFIGS, "lite", small)
    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, 2))
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class Case:
    """A reader, and how its set is written and divided."""

    reader: str
    write: Callable[..., Tree]
    held_out: dict[str, Any] = field(default_factory=dict)
    """How to write a second tree, of other persons, to measure on; none: the set has a part ``valid`` of its own."""
    options: tuple[object, ...] = ()

    def __str__(self) -> str:
        return self.write.__name__


CASES = (
    Case("aff-wild2", trees.aff_wild2_2020),
    Case("aff-wild2", trees.aff_wild2_2022),
    Case("disfa", trees.disfa, {"first": 21, "subjects": 2}),
    Case("disfa-plus", trees.disfa_plus, {"first": 21, "subjects": 2}),
    Case("expw", trees.expw, {"count": 80}),
    Case("afew-va", trees.afew_va, {"first": 101, "clips": 4}),
    Case("raf-db", trees.raf_db),
    Case("affectnet", trees.affectnet),
    Case("bp4d", trees.bp4d, {"first": 21, "subjects": 2}),
    Case("generic", trees.generic, {"count": 80}),
    Case("ferplus", trees.ferplus),
    Case("facial-expressions", trees.facial_expressions),
)


@dataclass(frozen=True, slots=True)
class Ready:
    """A set that was prepared."""

    tree: Tree
    manifest: Path
    held_out: Path
    """The manifest to measure on, and its split."""
    split: str | None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case, Cli], Ready]:
    """Write a tree and prepare it, once for all tests of this file."""

    @functools.cache
    def make(case: Case, run_cli: Cli) -> Ready:
        folder = tmp_path_factory.mktemp(str(case))
        tree = case.write(folder / "src")
        manifest = prepare(case, tree, folder / "ready", run_cli)
        if not case.held_out:
            return Ready(tree, manifest, manifest, "valid")
        other = case.write(folder / "other", seed=1, **case.held_out)
        return Ready(tree, manifest, prepare(case, other, folder / "held-out", run_cli), None)

    by_case: dict[str, Ready] = {}

    def once(case: Case, run_cli: Cli) -> Ready:
        if str(case) not in by_case:
            by_case[str(case)] = make.__wrapped__(case, run_cli)
        return by_case[str(case)]

    return once


def prepare(case: Case, tree: Tree, target: Path, run_cli: Cli) -> Path:
    source = tree.root
    command("train", "prepare", case.reader, source, "-o", target, *case.options, run_cli=run_cli)
    check_rows(tree, target / "manifest.csv")
    return target / "manifest.csv"


def command(*arguments: object, run_cli: Cli) -> str:
    """Run a command that has to succeed; its output."""
    code, out, err = run_cli(*arguments)
    assert code == 0, f"affectkit {' '.join(map(str, arguments))}\n{err[-2000:]}"
    return out


# --- manifests --------------------------------------------------------------------------------------------------------


def check_rows(tree: Tree, manifest: Path) -> None:
    """Every face that was written is in the manifest once, with its own labels and no others, and near its points."""
    table = pd.read_csv(manifest, dtype={"video": str, "person": str})
    rows = {key_of_row(row): row for row in table.to_dict("records")}
    assert len(rows) == len(table)
    wanted = {key_of_face(face): face for face in tree.faces if face.labels}
    unlabelled = {key_of_face(face) for face in tree.faces if not face.labels}
    missing = wanted.keys() - rows.keys()
    assert not missing, f"{len(missing)} of {len(wanted)} faces are not in the manifest: {sorted(missing)[:3]}"
    assert rows.keys() <= wanted.keys() | unlabelled, sorted(rows.keys() - wanted.keys())[:3]
    for key, face in wanted.items():
        check_row(rows[key], face, key)


def check_row(row: dict[str, Any], face: Written, key: object) -> None:
    label_columns = [name for name in row if str(name).startswith("AU")] + ["expression", "valence", "arousal"]
    said = {name: row[name] for name in label_columns if not pd.isna(row[name])}
    assert said.keys() == face.labels.keys(), key
    for name, value in face.labels.items():
        if isinstance(value, str):
            assert said[name] == value, (key, name)
        else:
            assert said[name] == pytest.approx(value, abs=1e-9), (key, name)
    assert row["split"] == face.split, key
    if face.person is not None:
        assert row["person"] == face.person, key


def key_of_row(row: dict[str, Any]) -> tuple[str, ...]:
    """What a face is recognised by: person, video and frame, or the name of its picture."""
    if not pd.isna(row["frame"]):
        return str(row["person"]), str(row["video"]), str(int(row["frame"]))
    path = Path(row["path"])
    return (path.stem.removesuffix("_aligned"),)


def key_of_face(face: Written) -> tuple[str, ...]:
    if face.frame is not None:
        return str(face.person), str(face.video), str(face.frame)
    return (Path(face.picture).name,)


# --- each reader ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_set_is_learnt(
    case: Case, prepared: Callable[[Case, Cli], Ready], run_cli: Cli, tmp_path: Path
) -> None:
    """Prepare, teacher, evaluate; then export and predict, which answer as evaluate does."""
    ready = prepared(case, run_cli)
    run = tmp_path / "run"
    train_teacher(ready.manifest, run, run_cli)
    report = evaluate(run, ready, run_cli)
    check_learnt(report, ready.tree.tasks(), chance=1 / 8 if case.write is trees.affectnet else 1 / 7)
    model = tmp_path / "model"
    command("export", run, "-o", model, run_cli=run_cli)
    check_the_same_answers(run, model, read_manifest_part(ready.held_out, ready.split))


def train_teacher(manifest: Path, run: Path, run_cli: Cli, *options: object) -> None:
    command("train", "teacher", "-o", run, "--manifest", manifest, "--dev", "0.2", *HOW, *options, run_cli=run_cli)


def evaluate(model: Path, ready: Ready, run_cli: Cli) -> dict[str, Any]:
    split = ("--split", ready.split) if ready.split else ()
    out = command("train", "evaluate", "--model", model, "--manifest", ready.held_out, *split, run_cli=run_cli)
    report: dict[str, Any] = json.loads(out)
    return report


def scores_of(report: dict[str, Any]) -> dict[str, float]:
    """The scores of a report that :data:`LEARNT` names, of the tasks it has."""
    scores = {}
    if report["expression"] is not None:
        scores["accuracy"] = report["expression"]["accuracy"]
    if report["au"] is not None:
        scores["f1"] = report["au"]["f1"]["mean"]
        units = [value for name, value in report["au"]["pearson"].items() if name != "mean"]
        scores["weakest unit"] = min(units)
    if report["va"] is not None:
        scores |= {name: report["va"][name]["ccc"] for name in ("valence", "arousal")}
    return scores


def check_learnt(report: dict[str, Any], tasks: set[str], *, chance: float = 1 / 7) -> None:
    """Every task that the set labels, and no other, is answered far better than by chance."""
    scores = scores_of(report)
    names = {"expression": {"accuracy"}, "au": {"f1", "weakest unit"}, "va": {"valence", "arousal"}}
    assert scores.keys() == set().union(*(names[task] for task in tasks))
    least = {**LEARNT, "weakest unit": EACH_UNIT}
    assert chance < least["accuracy"] / 5
    assert all(scores[name] > least[name] for name in scores), scores


def check_the_same_answers(run: Path, model: Path, faces: FaceSet, *, count: int = 40) -> None:
    """The exported model says of a picture with its points what evaluating the run said, to 1e-4."""
    faces = faces.take(np.arange(min(count, len(faces))))
    wanted = ask(run, faces).decoded()
    with Predictor(model, device="cpu") as predictor:
        for i in range(len(faces)):
            affect = answer(predictor, faces, i)
            assert affect.expression_probabilities == pytest.approx(wanted["expression"][i], abs=1e-4)
            assert affect.au_probabilities == pytest.approx(wanted["au"][i], abs=1e-4)
            got = [affect.valence, affect.arousal]
            assert got == pytest.approx(list(wanted["va"][i]), abs=1e-4, nan_ok=True)


def answer(predictor: Predictor, faces: FaceSet, i: int) -> Any:
    image = faces.image(i)
    image = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    points = faces.landmarks[i]
    if np.isnan(points).any():
        return predictor.predict_aligned(image[None])[0]
    return predictor.predict_image(image, landmarks=points[None])[0].affect
