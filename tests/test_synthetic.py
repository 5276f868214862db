"""Beginning from an exported model, averaging, and sequences made of single faces."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from affectkit import Predictor, models
from affectkit.errors import ModelError
from affectkit.export.runs import export_runs
from affectkit.spec import InputSpec
from affectkit.train.checkpoints import load_checkpoint, load_temporal
from affectkit.train.config import TrainConfig
from affectkit.train.datasets.values import POINT_COLUMNS
from affectkit.train.faces import relabelled
from affectkit.train.losses import decode_va
from affectkit.train.networks import TemporalHeads
from affectkit.train.reading import read_manifest_faces, read_set
from affectkit.train.rendered_sequences import crops_of, targets_of
from affectkit.train.restore import restore
from affectkit.train.synthetic import make_sequence
from affectkit.train.synthetic_run import _asked, _loss
from affectkit.types import LabelSet

Run = Callable[..., tuple[int, str, str]]


def write_set(folder: Path, count: int = 160) -> tuple[str, str, str]:
    """Smooth pictures with points, expressions, AUs and VA; names of labels, pictures and points."""
    rng = np.random.default_rng(4)
    rows = ["image,expression,valence,arousal,AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25"]
    names, points = [], []
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i in range(count):
            name, happy = f"FER2013Train/{i}.png", i % 2
            picture = cv2.resize(rng.integers(0, 256, (6, 6), dtype=np.uint8), (48, 48), interpolation=cv2.INTER_CUBIC)
            picture[30:40, 14:34] = 250 if happy else 10
            archive.writestr(name, cv2.imencode(".png", picture)[1].tobytes())
            units = ",".join(["1" if happy else "0"] * 8)
            face, (valence, arousal) = "happiness" if happy else "sadness", rng.uniform(-1, 1, 2)
            rows.append(f"{name},{face},{valence:.3f},{arousal:.3f},{units}")
            names.append(name)
            points.append(np.array([[15, 18], [33, 18], [24, 28], [17, 38], [31, 38]]) + rng.normal(0, 0.5, (5, 2)))
    (folder / "labels.csv").write_text("\n".join(rows))
    np.savez(folder / "points.npz", image=np.array(names), landmark5=np.array(points, np.float32))
    return "labels.csv", "images.zip", "points.npz"


def options(folder: Path) -> list[str]:
    """These files on the command line."""
    pairs = zip(("--labels", "--images", "--landmarks"), write_set(folder), strict=True)
    return [part for option, name in pairs for part in (option, str(folder / name))]


@pytest.mark.slow
def test_an_exported_model_comes_back_as_a_network_that_trains() -> None:
    folder = models.load("lite-ensemble")
    with np.load(folder.golden) as golden:
        faces, want = golden["faces"], {name: golden[name] for name in ("expression", "au", "va", "features")}
    members = restore(folder, faces)
    assert len(members) == 5
    for k, member in enumerate(members):
        with torch.no_grad():
            got = member(torch.from_numpy(faces))
        for name, value in want.items():
            np.testing.assert_allclose(getattr(got, name).numpy(), value[k], atol=1e-4 * np.abs(value).max())
    # What makes it trainable: every batch-norm normalises, as one that was trained does.
    norm = members[0].backbone.stages[0].norm1
    answers: list[torch.Tensor] = []
    norm.register_forward_hook(lambda _, inputs, __: answers.append(inputs[0].detach()))
    members[0](torch.from_numpy(faces))
    np.testing.assert_allclose(norm.running_mean.numpy(), answers[0].mean((0, 2, 3)).numpy(), rtol=1e-3, atol=1e-3)


def test_a_model_of_another_make_is_refused(tiny: Path) -> None:
    with pytest.raises(ModelError, match="give a training run"):
        restore(models.load(tiny), np.zeros((2, 16, 16, 1), np.uint8))


@pytest.mark.slow
def test_students_begin_from_a_model_and_are_averaged(tmp_path: Path, run_cli: Run) -> None:
    data = options(tmp_path)
    common = ["--epochs", "1", "--batch-size", "16"]
    students = ["train", "students", "--init", "lite", "--teacher", "lite", "--count", "2", "-o", str(tmp_path / "s")]
    assert run_cli(*students, *common, *data)[0] == 0
    first, second = (tmp_path / "s" / f"student_{k}" for k in range(2))
    before, after = load_checkpoint(first / "best.pt"), load_checkpoint(second / "best.pt")
    assert before["config"]["init_from"].endswith("#0") and len(before["config"]["teachers"]) == 1
    average = ["train", "average", "--member", str(first), "3", "--member", str(second), "1", "-o", str(tmp_path / "a")]
    assert run_cli(*average, *data)[0] == 0
    mixed = load_checkpoint(tmp_path / "a" / "best.pt")
    name = "heads.au.classifier.weight"
    want = 0.75 * before["network"][name] + 0.25 * after["network"][name]
    torch.testing.assert_close(mixed["network"][name], want)
    assert mixed["dev"]["expression"]["count"] > 0


def test_made_sequences_are_what_they_say(tmp_path: Path) -> None:
    faces = read_set(*(tmp_path / name for name in write_set(tmp_path)))
    spec = InputSpec(32, 1, "tight")
    for severity in (0.0, 1.0):
        made, again = (
            make_sequence(faces, spec, 80, severity=severity, rng=np.random.default_rng(3)) for _ in range(2)
        )
        assert made.clean.shape == made.disturbed.shape == (80, 32, 32, 1)
        np.testing.assert_array_equal(made.disturbed, again.disturbed)
        assert set(made.rows.tolist()) - {-1} and (made.rows < len(faces)).all()
        held = [i for i in range(1, 80) if made.rows[i] == made.rows[i - 1] >= 0]
        steps = np.abs(made.clean.astype(float)[1:] - made.clean.astype(float)[:-1]).mean((1, 2, 3))
        assert np.median(steps[np.array(held) - 1]) < 8 and len(held) > 40  # a head drifts, and does not jump
        if severity == 0:
            np.testing.assert_array_equal(made.clean, made.disturbed)
        else:
            apart = np.abs(made.clean.astype(float) - made.disturbed.astype(float)).mean((1, 2, 3))
            assert np.median(apart) > 4
    # A blend lies between the two faces it leads from and to.
    changes = [i for i in range(1, 80) if made.rows[i] == -1]
    assert changes


@pytest.mark.slow
def test_heads_learn_from_made_sequences(tmp_path: Path, run_cli: Run) -> None:
    data = options(tmp_path)
    run = tmp_path / "heads"
    command = ["train", "synthetic", "--teacher", "lite", "--sequences", "8", "--dev-sequences", "4", "-o", str(run)]
    assert run_cli(*command, "--sequence-length", "8", "--epochs", "3", "--batch-size", "4", *data)[0] == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["loss"]["total"] < lines[0]["loss"]["total"]
    _, state = load_temporal(run / "best.pt")
    assert state["config"]["sequence_length"] == 8 and state["config"]["teachers"] == ("lite",)
    folder = tmp_path / "lite-temporal"
    export_runs([run], folder, name="x", licence="", trained_on=(), card="# x\n", frame_model="lite")
    assert not (folder / "frame.onnx").exists() and models.load(folder).frame_onnx == models.load("lite").frame_onnx
    with Predictor(folder, device="cpu") as predictor:
        crops = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 1), dtype=np.uint8)
        assert len(predictor.predict_sequence(crops)) == 20


def test_the_teacher_is_asked_about_what_changes() -> None:
    asked, place = _asked(np.array([5] * 6 + [-1, -1] + [7] * 3))
    assert asked.tolist() == [0, 4, 6, 7, 8] and place.tolist() == [0, 0, 0, 0, 1, 1, 2, 3, 4, 4, 4]


def a_video(folder: Path, frames: int = 9) -> Path:
    """A manifest of one labelled video of a neutral face that speaks, and of one that is too short."""
    rng = np.random.default_rng(0)
    rows = []
    for video, count in (("talk", frames), ("short", 3)):
        for i in range(count):
            picture = folder / f"{video}_{i}.png"
            cv2.imwrite(str(picture), rng.integers(0, 256, (64, 64), dtype=np.uint8))
            points = dict(zip(POINT_COLUMNS, (20, 25, 44, 25, 32, 38, 24, 48, 40, 48), strict=True))
            seen = {"visible_brows": 1.0, "visible_eyes": 1.0, "visible_mouth": float(i != 2)}
            units = {"AU1": 0.0, "AU25": 0.5 * (i % 2)}
            rows.append(
                {"path": picture.name, "set": "x", "split": "train", "video": video, "frame": i, "person": "p"}
                | {"expression": "neutral" if i < 6 else ""}
                | units
                | seen
                | points
            )
    pd.DataFrame(rows).to_parquet(folder / "moving.parquet")
    return folder / "moving.parquet"


def test_unsteady_expressions_have_a_weight_of_their_own() -> None:
    torch.manual_seed(3)
    heads, features = TemporalHeads(), torch.randn(2, 5, 3, 128)
    said = heads(features)
    shown = torch.softmax(said.expression, -1)
    # The teacher's answers never change, so all that the heads' do is too much.
    still = shown.mean(1, keepdim=True).expand_as(shown)
    targets = [still, torch.full_like(said.au, 0.5), torch.full((2, 5, 2, 20), 0.05)]

    def loss(of_expression: float, of_the_rest: float) -> float:
        return float(_loss(heads, features, targets, TrainConfig(), (of_expression, of_the_rest)).detach())

    changes = float(shown.diff(dim=1).abs().mean().detach())
    others = float(torch.sigmoid(said.au).diff(dim=1).abs().mean().detach())
    others += float(decode_va(said.va.flatten(0, 1)).reshape(2, 5, 2).diff(dim=1).abs().mean().detach())
    assert changes > 1e-4 and others > 1e-4
    assert loss(10, 0) - loss(0, 0) == pytest.approx(10 * changes, rel=1e-3)
    assert loss(0, 10) - loss(0, 0) == pytest.approx(10 * others, rel=1e-3)


def test_videos_with_labels_say_what_the_heads_learn_and_a_teacher_the_rest(tmp_path: Path) -> None:
    faces, _ = read_manifest_faces(a_video(tmp_path))
    labels = LabelSet(("neutral", "anger"), ("AU01", "AU02", "AU25"))
    shown = relabelled(faces, labels).take(np.arange(9))
    taught = {"expression": np.tile([0.2, 0.8], (9, 1)), "au": np.full((9, 3), 0.3), "va": np.full((9, 2, 4), 0.25)}
    taught["va"][0] = [[1, 0, 0, 0], [0, 0, 0, 1]]
    said = targets_of(shown, taught)
    np.testing.assert_allclose(said["expression"][:6], np.tile([0.95, 0.05], (6, 1)), atol=1e-6)
    np.testing.assert_allclose(said["expression"][6:], np.tile([0.2, 0.8], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(said["au"][:, 0], 0.0)  # labelled
    np.testing.assert_allclose(said["au"][:, 1], 0.3)  # not labelled
    np.testing.assert_allclose(said["au"][:, 2], [0, 0.5, 0.3, 0.5, 0, 0.5, 0, 0.5, 0])  # the third is hidden
    np.testing.assert_allclose(said["va"][:6, 0], np.tile([0.375, 0.625 / 3, 0.625 / 3, 0.625 / 3], (6, 1)), atol=1e-6)
    np.testing.assert_allclose(said["va"][6:], 0.25)


@pytest.mark.slow
def test_heads_learn_from_labelled_videos_too(tmp_path: Path, run_cli: Run) -> None:
    spec = InputSpec(64, 1, "tight")
    faces, _ = read_manifest_faces(a_video(tmp_path))
    for severity in (0.0, 1.0):
        clean, disturbed = crops_of(faces.take(np.arange(9)), spec, severity=severity, rng=np.random.default_rng(1))
        assert clean.shape == disturbed.shape == (9, 64, 64, 1) and (severity == 0) == np.array_equal(clean, disturbed)
    data, run = options(tmp_path), tmp_path / "heads"
    command = ["train", "synthetic", "--teacher", "lite", "--sequences", "4", "--dev-sequences", "2", "-o", str(run)]
    made = [*command, "--sequence-length", "8", "--epochs", "1", "--batch-size", "1", *data]
    code, _, told = run_cli(*made, "--moving", str(tmp_path / "moving.parquet"))
    assert code == 0, told
    (line,) = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert line["step"] == 5  # four made ones, and the video of nine frames; the other one is too short
