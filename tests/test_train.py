"""The method: losses and metrics by hand, labels as masks, runs that resume to the same numbers, export."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import shutil
import signal
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import pytest
import torch
from patterns import NAN, SMALL, config, faces_with_a_pattern, states_are_equal

from affectkit import models
from affectkit.errors import EngineError, ModelError, OutputError, SourceError
from affectkit.export import to_onnx
from affectkit.export.runs import export_runs
from affectkit.export.verify import verify
from affectkit.predictor import Predictor
from affectkit.spec import InputSpec
from affectkit.train import loop, losses, metrics
from affectkit.train.answers import clean_teacher_outputs
from affectkit.train.augmentation import Augmentation, augment
from affectkit.train.batches import Batching, batches, plan_epoch
from affectkit.train.calibrate import fit_thresholds, precision_equals_recall_threshold
from affectkit.train.checkpoints import load_checkpoint, load_network
from affectkit.train.crops import crop_matrix, crop_of
from affectkit.train.distill import kl, student_loss, teach
from affectkit.train.faces import FaceSet, join, without_derived_va
from affectkit.train.loop import train
from affectkit.train.losses import Labels
from affectkit.train.networks import (
    LiteBackbone,
    MultitaskCNN,
    NetworkConfig,
    Outputs,
    TemporalHeads,
    multiply_adds,
    resnet50_config,
)
from affectkit.train.reading import read_set
from affectkit.train.splits import select_split, split_of
from affectkit.types import LabelSet

Cli = Callable[..., tuple[int, str, str]]


# --- losses -----------------------------------------------------------------------------------------------------------


def test_expression_loss_by_hand() -> None:
    logits = torch.zeros(3, 7)
    logits[0, 2] = math.log(6)  # probability 1/2
    target = torch.full((3, 7), NAN)
    target[0] = torch.eye(7)[2]
    target[2] = 1 / 7
    assert float(losses.expression_loss(logits, target)) == pytest.approx((math.log(2) + math.log(7)) / 2, rel=1e-5)


def test_au_loss_counts_labelled_entries_only() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -3.0]])
    target = torch.tensor([[1.0, NAN], [0.25, NAN]])
    p = 1 / (1 + math.exp(-1))
    second = -(0.25 * math.log(p) + 0.75 * math.log(1 - p))
    assert float(losses.au_loss(logits, target)) == pytest.approx((math.log(2) + second) / 2, rel=1e-5)
    focal = (math.log(2) * 0.5**2 + second * abs(0.25 - p) ** 2) / 2
    assert float(losses.au_loss(logits, target, focal_gamma=2)) == pytest.approx(focal, rel=1e-5)


def test_ccc_by_hand() -> None:
    x, y = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 4.0])
    # means 1 and 2, variances 2/3 and 2, covariance 1: 2 / (2/3 + 2 + 1)
    assert float(losses.ccc(x, y)) == pytest.approx(2 / (2 / 3 + 3), rel=1e-5)
    assert metrics.ccc(x.numpy(), y.numpy()) == pytest.approx(2 / (2 / 3 + 3))
    assert metrics.ccc(np.ones(3), np.ones(3)) == 0


def test_va_bins_and_their_edges() -> None:
    values = torch.tensor([-1.0, -0.901, -0.9, 0.0, 0.899, 0.95, 1.0])
    assert losses.va_bin(values, 20).tolist() == [0, 0, 1, 10, 18, 19, 19]


def test_va_loss_by_hand() -> None:
    logits = torch.zeros(3, 40)
    logits[0, 19] = logits[1, 0] = 100.0  # valence 1 and -1, exactly right; arousal flat, always 0
    target = torch.tensor([[1.0, 0.5], [-1.0, -0.5], [NAN, 0.0]])
    # valence: CCC 1, cross-entropy 0; arousal: CCC 0, cross-entropy ln 20
    assert float(losses.va_loss(logits, target)) == pytest.approx(1 + math.log(20), rel=1e-4)


def test_tasks_without_labels_cost_nothing_and_stay_differentiable() -> None:
    network = MultitaskCNN(SMALL)
    outputs = network(torch.zeros(4, 16, 16, 1, dtype=torch.uint8))
    blank = losses.Labels(torch.full((4, 7), NAN), torch.full((4, 8), NAN), torch.full((4, 2), NAN))
    got = losses.supervised(outputs, blank)
    assert float(got.total().detach()) == 0
    got.total().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or not p.grad.abs().any() for p in network.parameters())


def test_one_task_does_not_touch_the_heads_of_the_others() -> None:
    network = MultitaskCNN(SMALL)
    outputs = network(torch.randint(0, 255, (4, 16, 16, 1), dtype=torch.uint8))
    labels = losses.Labels(torch.full((4, 7), NAN), torch.rand(4, 8), torch.full((4, 2), NAN))
    losses.supervised(outputs, labels).total().backward()  # type: ignore[no-untyped-call]

    def moved(task: str) -> bool:
        return any(p.grad is not None and bool(p.grad.abs().any()) for p in network.heads[task].parameters())

    assert moved("au") and not moved("expression") and not moved("va")


def test_total_uses_the_papers_weights() -> None:
    one = torch.tensor(1.0)
    assert float(losses.Losses(one, one, one).total()) == 10


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_f1_and_confusion_by_hand() -> None:
    truth, predicted = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    confusion = metrics.confusion_matrix(truth, predicted, 4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert metrics.f1_by_class(confusion) == pytest.approx([0.5, 2 / 3, 0.8, 0])
    assert metrics.binary_f1(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])) == 0.5
    assert metrics.binary_f1(np.zeros(3), np.zeros(3)) == 0


def test_best_threshold_by_hand() -> None:
    truth, p = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.5, 0.6, 0.9])
    # taking the upper four gives 3 hits of 4: F1 = 6 / 7; the cut lies between .1 and .4
    assert metrics.best_f1_threshold(truth, p) == pytest.approx((0.25, 6 / 7))
    assert metrics.best_f1_threshold(np.zeros(3), np.array([0.1, 0.2, 0.3])) == (0.5, 0.0)
    # equal probabilities cannot be told apart
    assert metrics.best_f1_threshold(np.array([1, 0, 0]), np.array([0.5, 0.5, 0.1]))[1] == pytest.approx(2 / 3)


def test_the_best_threshold_is_the_best() -> None:
    rng = np.random.default_rng(3)
    p = np.round(rng.random(200), 2)
    truth = rng.random(200) < p
    threshold, f1 = metrics.best_f1_threshold(truth, p)
    assert metrics.binary_f1(truth, p >= threshold) == pytest.approx(f1)
    assert f1 == pytest.approx(max(metrics.binary_f1(truth, p >= t) for t in np.arange(0, 1.01, 0.005)))


def test_calibration_error_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    # bin of .9: accuracy .5, gap .4, weight 2/3; bin of .7: right, gap .3, weight 1/3
    assert metrics.expected_calibration_error(p, np.array([0, 1, 1])) == pytest.approx(0.4 * 2 / 3 + 0.3 / 3)


def test_pearson() -> None:
    x = np.array([1.0, 2, 3, 4])
    assert metrics.pearson(x, 2 * x + 1) == pytest.approx(1)
    assert metrics.pearson(x, np.ones(4)) == 0
    assert metrics.pearson(x, np.array([1.0, 3, 2, 4])) == pytest.approx(0.8)


def test_thresholds_leave_out_missing_labels() -> None:
    labels = np.full((4, 8), NAN)
    labels[:, 0] = [0.9, NAN, 0.2, 0.7]
    p = np.tile(np.array([[0.8], [0.1], [0.3], [0.6]]), (1, 8))
    assert fit_thresholds(labels, p) == pytest.approx([0.45] + [0.5] * 7)


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Six pictures in the form of the open sets, with the traps: blanks, ties, missing points, an extra row order."""
    labels = tmp_path / "labels.csv"
    header = "image,person,votes_neutral,votes_happiness,votes_surprise,votes_sadness,votes_anger,votes_disgust,"
    header += "votes_fear,votes_contempt,votes_unknown,votes_NF,expression,valence,arousal,"
    header += "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25"
    rows = [
        "FER2013Train/a.png,,8,1,0,0,1,0,0,0,0,0,neutral,0.1,0.2,0.5,0,0,0,1,0,0,0.49",
        "FER2013Train/b.png,,4,4,0,0,0,0,0,2,0,0,,,,,,,,,,,",
        "FER2013Valid/c.png,,0,9,0,0,0,0,0,0,1,0,happiness,0.8,0.5,0,0,0,0,1,0,0,1",
        "FER2013Valid/d.png,,1,1,0,0,0,0,0,8,0,0,,-0.5,0.4,0,0,0,0,0,0,0,0",
        "p1.png,Ann,,,,,,,,,,,anger,-0.51,0.59,1,1,1,1,1,1,1,1",
        "p2.png,Bob,,,,,,,,,,,anger,-0.51,0.59,1,1,1,1,1,1,1,1",
    ]
    labels.write_text("\n".join([header, *rows]) + "\n")
    names = [row.split(",")[0] for row in rows]
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in reversed(names):
            picture = cv2.resize(rng.integers(0, 256, (6, 6)).astype(np.uint8), (48, 48))
            archive.writestr(name, cv2.imencode(".png", picture)[1].tobytes())
    points = np.tile(InputSpec(48, 1, "tight").template_px(), (6, 1, 1)).astype(np.float16)
    points[1, 3] = np.nan
    np.savez(tmp_path / "points.npz", image=np.array(names[::-1]), landmark5=points[::-1])
    return labels, tmp_path / "images.zip", tmp_path / "points.npz"


def test_reading_a_set(files: tuple[Path, Path, Path]) -> None:
    faces = read_set(*files)
    assert len(faces) == 6 and faces.image(0).shape == (48, 48)
    assert faces.expression.tolist()[0] == 0 and np.isnan(faces.expression[1])
    # a single vote is an outlier; the rest are shares
    assert faces.expression_target[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert faces.expression_target[1].tolist() == [0.5, 0, 0, 0, 0.5, 0, 0]
    assert np.isnan(faces.expression_target[3]).all()  # most votes went to a class that is not ours
    assert faces.expression_target[4].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert np.isnan(faces.au[1]).all() and faces.au[0, 7] == pytest.approx(0.49)
    assert np.isnan(faces.va[1]).all() and faces.va[0].tolist() == pytest.approx([0.1, 0.2])
    assert np.isnan(faces.landmarks[1]).all() and not np.isnan(faces.landmarks[0]).any()
    assert faces.person[4:] == ("Ann", "Bob")


def test_selecting_rows(files: tuple[Path, Path, Path]) -> None:
    assert read_set(*files, prefix="FER2013Valid/").names == ("FER2013Valid/c.png", "FER2013Valid/d.png")
    for mod in (2, 3, 5):
        want = tuple(f"p{i + 1}.png" for i, n in enumerate(("Ann", "Bob")) if zlib.crc32(n.encode()) % mod == 0)
        got = read_set(*files, persons_mod=mod).names
        assert tuple(name for name in got if name.startswith("p")) == want


def test_splits_are_fixed(files: tuple[Path, Path, Path]) -> None:
    faces = read_set(*files)
    assert set(select_split(faces, "valid").names) >= {"FER2013Valid/c.png", "FER2013Valid/d.png"}
    parts = [select_split(faces, split) for split in ("train", "dev", "valid")]
    assert sorted(name for part in parts for name in part.names) == sorted(faces.names)
    assert select_split(faces, "test").names == select_split(faces, "valid").names, "the held-out part, by either name"
    images = [np.full((4, 4), i, np.uint8) for i in range(200)]
    dev = [i for i, image in enumerate(images) if split_of("FER2013Train/x.png", "", image) == "dev"]
    assert 8 <= len(dev) <= 35
    twins = {split_of("FER2013Train/one.png", "", images[dev[0]]), split_of("FER2013Train/two.png", "", images[dev[0]])}
    assert twins == {"dev"}


def test_derived_valence_is_recognised(files: tuple[Path, Path, Path]) -> None:
    faces = read_set(*files)
    named = faces.subset(np.array([bool(p) for p in faces.person]))
    assert np.isnan(without_derived_va(named).va).all()
    varied = join([named, named])
    varied.va[0, 0] = 0.3
    assert without_derived_va(varied) is varied


@pytest.mark.parametrize("broken", ["labels", "zip", "member", "npz", "expression", "column"])
def test_damaged_sets_are_named(files: tuple[Path, Path, Path], broken: str) -> None:
    labels, images, points = files
    if broken == "labels":
        labels.unlink()
    elif broken == "zip":
        images.write_bytes(b"no zip")
    elif broken == "member":
        labels.write_text(labels.read_text().replace("p2.png", "p3.png"))
    elif broken == "npz":
        points.write_bytes(b"no npz")
    elif broken == "expression":
        labels.write_text(labels.read_text().replace(",anger,", ",rage,"))
    else:
        labels.write_text(labels.read_text().replace("image,", "picture,", 1))
    with pytest.raises(SourceError, match=r"labels\.csv|images\.zip|points\.npz"):
        read_set(labels, images, points)


def test_without_points_the_whole_picture_is_the_crop() -> None:
    spec = InputSpec(16, 1, "tight")
    image = np.arange(32 * 32, dtype=np.uint32).reshape(32, 32).astype(np.uint8)
    nowhere = np.full((5, 2), NAN)
    whole = crop_of(image, nowhere, spec)
    assert whole.shape == (16, 16, 1)
    corner = crop_matrix(image, nowhere, spec) @ [-0.5, -0.5, 1]
    assert corner == pytest.approx([-0.5, -0.5])
    assert (crop_of(image[:16, :16], nowhere, spec)[..., 0] == image[:16, :16]).all()


def test_augmentation_is_a_function_of_the_seed() -> None:
    spec = InputSpec(32, 1, "tight")
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 6)).astype(np.uint8), (48, 48))
    points = InputSpec(48, 1, "tight").template_px()

    def draw(seed: int) -> np.ndarray:
        return augment(np.asarray(image, np.uint8), points, spec, Augmentation(), np.random.default_rng(seed))

    assert (draw(1) == draw(1)).all() and (draw(1) != draw(2)).any() and draw(1).shape == (32, 32, 1)


def test_undisturbed_augmentation_is_the_cut_or_its_mirror() -> None:
    spec = InputSpec(32, 1, "tight")
    image = np.asarray(cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 6)).astype(np.uint8), (48, 48)))
    points = InputSpec(48, 1, "tight").template_px()
    none = Augmentation(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
    plain = crop_of(image, points, spec).astype(int)
    seen = set()
    for seed in range(8):
        got = augment(image, points, spec, none, np.random.default_rng(seed)).astype(int)
        if np.abs(got - plain).max() <= 2:
            seen.add("plain")
        elif np.abs(got[:, ::-1] - plain).max() <= 2:
            seen.add("mirrored")
    assert seen == {"plain", "mirrored"}


# --- networks, training, export ---------------------------------------------------------------------------------------


def test_means_by_place_belong_to_lite() -> None:
    config = NetworkConfig(backbone="resnet29", au_poolings=2)
    with pytest.raises(ValueError, match="au_poolings needs the backbone lite, got 'resnet29'"):
        MultitaskCNN(config)


def test_the_networks_size() -> None:
    network = MultitaskCNN(NetworkConfig())
    assert sum(p.numel() for p in network.parameters()) <= 1.2e6
    assert multiply_adds(network) <= 120e6
    # 16 x 16 x 1: stem 8x8x9x8; stage 1: 2 x 8x8 x 9x8x8; stage 2 on 4x4: 2 x 16 x 9x8x8 and the shortcut's 16 x 8x8;
    # heads: 3 x 8x128 + 128 x (7 + 8 + 40)
    by_hand = 64 * 72 + 2 * 64 * 576 + 2 * 16 * 576 + 16 * 64 + 3 * 1024 + 128 * 55
    assert multiply_adds(MultitaskCNN(SMALL)) == by_hand


def test_brightness_and_contrast_hardly_matter() -> None:
    x = torch.randint(60, 120, (1, 16, 16, 1), dtype=torch.uint8)
    x = x.permute(0, 3, 1, 2).float()
    plain, brighter = LiteBackbone.normalise(x), LiteBackbone.normalise(x + 60)
    assert torch.allclose(plain, brighter, atol=1e-5)
    assert float(plain.mean()) == pytest.approx(0, abs=1e-5)
    assert LiteBackbone.normalise(torch.full((1, 1, 16, 16), 9.0)).abs().max() == 0


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    report = train(config(epochs=6), faces_with_a_pattern(160), faces_with_a_pattern(60, 1), tmp_path / "run")
    assert report["expression"]["accuracy"] > 0.95
    assert report["au"]["pearson"]["AU12"] > 0.8
    assert report["va"]["valence"]["ccc"] > 0.6
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["loss"]["total"] < lines[0]["loss"]["total"]


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 10, 17])
def test_an_interrupted_run_ends_in_the_same_numbers(tmp_path: Path, after: int) -> None:
    data = faces_with_a_pattern(160), faces_with_a_pattern(60, 1)
    train(config(), *data, tmp_path / "whole")

    def interrupt(step: int, steps: int, values: dict[str, float]) -> None:
        if step == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(), *data, tmp_path / "broken", on_step=interrupt)
    train(config(), *data, tmp_path / "broken", resume=True)
    assert states_are_equal(tmp_path / "whole" / "last.pt", tmp_path / "broken" / "last.pt")
    assert states_are_equal(tmp_path / "whole" / "best.pt", tmp_path / "broken" / "best.pt")
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "broken")]
    assert lines[0] == lines[1]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["forward", "signal"])
def test_an_interrupt_in_the_middle_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Ctrl-C comes anywhere: half a step is never saved."""
    data = faces_with_a_pattern(160), faces_with_a_pattern(60, 1)
    train(config(), *data, tmp_path / "whole")
    calls = 0
    forward = MultitaskCNN.forward

    def interrupted(network: MultitaskCNN, faces: torch.Tensor) -> Outputs:
        nonlocal calls
        outputs = forward(network, faces)  # the batch statistics have moved
        calls += network.training
        if network.training and calls == 14:
            if where == "forward":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)
        return outputs

    monkeypatch.setattr(MultitaskCNN, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config(checkpoint_minutes=0.0), *data, tmp_path / "broken")
    assert load_checkpoint(tmp_path / "broken" / "last.pt")["progress"]["step"] == (13 if where == "forward" else 14)
    train(config(checkpoint_minutes=0.0), *data, tmp_path / "broken", resume=True)
    assert states_are_equal(tmp_path / "whole" / "last.pt", tmp_path / "broken" / "last.pt")
    assert states_are_equal(tmp_path / "whole" / "best.pt", tmp_path / "broken" / "best.pt")
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "broken")]
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_an_epoch_that_was_not_measured_is_measured_on_resume(tmp_path: Path) -> None:
    data = faces_with_a_pattern(160), faces_with_a_pattern(60, 1)
    train(config(epochs=1), *data, tmp_path / "whole")

    def interrupt(step: int, steps: int, values: dict[str, float]) -> None:
        if step == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(epochs=1), *data, tmp_path / "broken", on_step=interrupt)
    report = train(config(epochs=1), *data, tmp_path / "broken", resume=True)
    assert report["count"] == 60
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "broken")]
    assert lines[0] == lines[1] and lines[0]


@pytest.mark.slow
def test_resuming_on_other_data_is_refused(tmp_path: Path) -> None:
    dev = faces_with_a_pattern(32, 1)
    train(config(epochs=1), faces_with_a_pattern(64), dev, tmp_path / "run")
    with pytest.raises(ModelError, match="other faces or labels"):
        train(config(epochs=1), faces_with_a_pattern(64, 5), dev, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_a_seed_decides_everything(tmp_path: Path) -> None:
    data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(config(epochs=1, seed=seed), *data, tmp_path / name)
    assert states_are_equal(tmp_path / "a" / "last.pt", tmp_path / "b" / "last.pt")
    assert not states_are_equal(tmp_path / "a" / "last.pt", tmp_path / "c" / "last.pt")


@pytest.mark.slow
def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
    train(config(epochs=1), *data, tmp_path / "run")
    with pytest.raises(ModelError, match="other settings"):
        train(config(epochs=2), *data, tmp_path / "run", resume=True)


def test_too_few_faces(tmp_path: Path) -> None:
    few = faces_with_a_pattern(10)
    with pytest.raises(SourceError, match="do not fill one batch"):
        train(config(), few, few, tmp_path / "run")


def test_batches_cover_an_epoch_once() -> None:
    faces = faces_with_a_pattern(50)
    spec = InputSpec(16, 1, "tight")
    got = list(batches(faces, spec, Batching(16, 0), 0))
    assert len(got) == 3 and got[0].faces.shape == (16, 16, 16, 1)
    later = list(batches(faces, spec, Batching(16, 0), 0, first=2))
    assert torch.equal(later[0].faces, got[2].faces)
    other = next(batches(faces, spec, Batching(16, 0), 1))
    assert not torch.equal(other.faces, got[0].faces)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("boom",)


def test_checkpoints_cannot_run_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"config": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(ModelError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "bomb.pt")
    assert "boom" not in capsys.readouterr().out
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "gone.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="not a checkpoint of affectkit"):
        load_checkpoint(tmp_path / "other.pt")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(config(epochs=2), faces_with_a_pattern(64), faces_with_a_pattern(32, 1), folder)
    return folder


def export(runs: list[Path], folder: Path, **options: object) -> object:
    details = {"name": "small", "licence": "MIT", "trained_on": ["patterns"], "card": "# small\n"}
    return export_runs(runs, folder, **details, **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("members", [1, 2])
def test_export_reproduces_torch(run: Path, tmp_path: Path, members: int) -> None:
    folder = tmp_path / "small"
    export([run] * members, folder)
    model = models.load(folder)
    assert model.spec.members == members and "best F1 of each action unit" in model.spec.au_thresholds_from
    assert model.spec.au_thresholds_from.startswith("mean of the members'") == (members > 1)
    assert all(part.relative <= 1e-4 for part in verify(model, device="cpu"))
    network, _ = load_network(run / "best.pt")
    crops = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1)).astype(np.uint8)
    with torch.no_grad():
        want = network(torch.from_numpy(crops))
    with Predictor(folder) as predictor:
        _, logits = predictor.predict_aligned(crops, return_logits=True)
    for member in range(members):
        assert logits["va"][member] == pytest.approx(want.va.numpy(), abs=1e-4)
        assert logits["features"][member] == pytest.approx(want.features.numpy(), abs=1e-4)
    with pytest.raises(OutputError, match="exists already"):
        export([run], folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_half_storage_halves_the_file_and_hardly_changes_the_answers(run: Path, tmp_path: Path) -> None:
    export([run] * 2, tmp_path / "whole")
    export([run] * 2, tmp_path / "half", half=True)
    graph = onnx.load(tmp_path / "half" / "frame.onnx").graph
    large = [tensor for tensor in graph.initializer if len(tensor.dims) > 1]
    assert large and {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}
    weights = sum(math.prod(tensor.dims) for tensor in large)
    saved = (tmp_path / "whole" / "frame.onnx").stat().st_size - (tmp_path / "half" / "frame.onnx").stat().st_size
    assert saved > 1.8 * weights  # two bytes a weight, less the names of the casts
    assert all(part.relative <= 1e-4 for part in verify(models.load(tmp_path / "half"), device="cpu"))
    crops = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1)).astype(np.uint8)
    with Predictor(tmp_path / "whole") as whole, Predictor(tmp_path / "half") as half:
        (_, want), (_, got) = (p.predict_aligned(crops, return_logits=True) for p in (whole, half))
    for name in ("expression", "au", "va", "features"):
        assert 0 < np.abs(got[name] - want[name]).max() < 2e-2 * np.abs(want[name]).max()


def test_weights_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.full((2, 2), 0.1, np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy")
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y], [weight]), opset_imports=opset),
        tmp_path / "m.onnx",
    )
    before = (tmp_path / "m.onnx").read_bytes()
    with pytest.raises(EngineError, match="w does not fit into float16"):
        to_onnx.store_as_half(tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_export_that_differs_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_onnx, "compare_golden", lambda *a, **k: [to_onnx.Parity("au", 1.0, 1.0, 0.5, 1.0)])
    with pytest.raises(EngineError, match=r"differs from torch: au differs by 5.0e-01 of its largest value"):
        export([run], tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_golden_faces_are_nobodys() -> None:
    faces = to_onnx.golden_faces(16, 1)
    assert faces.shape == (8, 16, 16, 1) and faces[-3].max() == 0 and faces[-1].min() == 255
    assert (faces == to_onnx.golden_faces(16, 1)).all()


def test_precision_equals_recall() -> None:
    truth, p = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.4, 0.3, 0.1])
    threshold = precision_equals_recall_threshold(truth, p)  # two are active, so the two highest are taken
    assert threshold == pytest.approx(0.6)
    assert (p >= threshold).sum() == truth.sum()
    assert precision_equals_recall_threshold(np.zeros(3), np.ones(3)) == 0.5


@pytest.mark.parametrize("rule", ["best-f1", "precision-equals-recall"])
def test_calibrate_writes_thresholds_with_their_provenance(
    files: tuple[Path, Path, Path], tiny: Path, tmp_path: Path, run_cli: Cli, rule: str
) -> None:
    labels, images, points = files
    model = Path(shutil.copytree(tiny, tmp_path / "model"))
    common = ("--labels", labels, "--images", images, "--landmarks", points)
    code, out, _ = run_cli("train", "calibrate", "--model", model, *common, "--rule", rule)
    spec = models.load(model).spec
    assert code == 0 and spec.au_thresholds_from == f"{rule} of each action unit on labels.csv (6 faces)"
    lines = out.splitlines()
    assert [float(line.split()[1]) for line in lines[:8]] == list(spec.au_thresholds)
    assert lines[8] == f"expression temperature {spec.expression_temperature:.4f}"
    assert spec.expression_temperature_from == "least log loss on labels.csv (6 faces)"
    assert spec.au_thresholds != models.load(tiny).spec.au_thresholds
    code, _, err = run_cli("train", "calibrate", "--model", models.EMBEDDED / "lite", *common)
    assert code == 1 and "copy the folder" in err


def plan(epoch: int = 0, **options: object) -> list[list[tuple[str | None, list[int]]]]:
    faces = faces_with_a_pattern(60)
    faces.expression[30:] = NAN
    faces.expression_target[30:] = NAN
    faces.va[:40] = NAN
    batches_of_rows = plan_epoch(faces, Batching(12, 0, **options), epoch)  # type: ignore[arg-type]
    return [[(task, rows.tolist()) for task, rows in batch] for batch in batches_of_rows]


def test_mixed_batches_show_every_face_once() -> None:
    shown = plan()
    assert len(shown) == 5 and all(len(batch) == 1 and batch[0][0] is None for batch in shown)
    assert sorted(row for batch in shown for _, rows in batch for row in rows) == list(range(60))
    assert plan() == shown and plan(epoch=1) != shown


def test_per_task_batches_hold_one_part_a_task() -> None:
    for batch in plan(sampling="per-task"):
        assert [task for task, _ in batch] == ["expression", "au", "va"]
        parts = dict(batch)
        assert all(len(rows) == 4 for rows in parts.values())
        assert max(parts["expression"]) < 30 and min(parts["va"]) >= 40
        assert not any(row % 3 == 0 for row in parts["au"])  # every third face has no AU label
    # the longest task (40 faces with AUs) gives the length, the others start over
    assert len(plan(sampling="per-task")) == 10


def test_labels_of_other_tasks_are_blank_in_per_task_batches() -> None:
    faces = faces_with_a_pattern(48)
    spec = InputSpec(16, 1, "tight")
    batch = next(batches(faces, spec, Batching(12, 0, sampling="per-task"), 0))
    expression, au, va = (~torch.isnan(x).all(1) for x in (batch.labels.expression, batch.labels.au, batch.labels.va))
    assert expression.tolist() == [True] * 4 + [False] * 8
    assert au.tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert va.tolist() == [False] * 8 + [True] * 4


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["mixed", "per-task"])
def test_balanced_runs_resume_to_the_same_numbers(tmp_path: Path, sampling: str) -> None:
    data = faces_with_a_pattern(120), faces_with_a_pattern(40, 1)
    settings = config(epochs=2, sampling=sampling, balance=True, batch_size=18)
    train(settings, *data, tmp_path / "whole")

    def interrupt(step: int, steps: int, values: dict[str, float]) -> None:
        if step == steps // 2 + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, *data, tmp_path / "broken", on_step=interrupt)
    train(settings, *data, tmp_path / "broken", resume=True)
    assert states_are_equal(tmp_path / "whole" / "last.pt", tmp_path / "broken" / "last.pt")


def test_evaluate_prints_one_json_object(files: tuple[Path, Path, Path], tiny: Path, run_cli: Cli) -> None:
    labels, images, points = files
    common = ("train", "evaluate", "--model", tiny, "--labels", labels, "--images", images)
    code, out, _ = run_cli(*common, "--landmarks", points)
    report = json.loads(out)
    assert code == 0 and set(report) == {"count", "expression", "au", "va", "ece", "scores"}
    assert report["count"] == 6 and report["expression"]["count"] == 4
    assert set(report["expression"]) == {"count", "accuracy", "macro_f1", "f1", "labels", "confusion"}
    assert list(report["au"]) == ["pearson", "f1", "best_f1"]
    assert list(report["au"]["f1"]) == ["mean", "AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25"]
    assert list(report["va"]) == ["valence", "arousal"] and set(report["va"]["arousal"]) == {"ccc", "rmse"}
    code, out, _ = run_cli(*common, "--prefix", "FER2013Valid/")
    assert json.loads(out)["count"] == 2
    code, _, err = run_cli(*common, "--prefix", "nothing/")
    assert code == 1 and "no row is left" in err


def test_evaluate_agrees_with_the_predictor(files: tuple[Path, Path, Path], tiny: Path, run_cli: Cli) -> None:
    labels, images, points = files
    _, out, _ = run_cli(
        "train", "evaluate", "--model", tiny, "--labels", labels, "--images", images, "--landmarks", points
    )
    faces = read_set(labels, images, points)
    with Predictor(tiny) as predictor:
        crops = np.stack([crop_of(faces.image(i), faces.landmarks[i], predictor.spec.input) for i in range(len(faces))])
        affects = predictor.predict_aligned(crops)
    known = ~np.isnan(faces.expression)
    right = [a.expression_probabilities.argmax() == e for a, e in zip(affects, faces.expression, strict=True)]
    assert json.loads(out)["expression"]["accuracy"] == pytest.approx(np.mean(np.array(right)[known]))


@pytest.mark.slow
def test_teacher_from_the_command_line(tmp_path: Path, run_cli: Cli) -> None:
    rows, points, names = [], [], []
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(40):
            name = f"FER2013Train/{i:03}.png"
            picture = cv2.resize(rng.integers(0, 256, (5, 5)).astype(np.uint8), (48, 48))
            archive.writestr(name, cv2.imencode(".png", picture)[1].tobytes())
            rows.append(f"{name},{'anger' if i % 2 else 'neutral'},{rng.random():.3f},{rng.random():.3f},0.7")
            points.append(InputSpec(48, 1, "tight").template_px())
            names.append(name)
    (tmp_path / "i.zip").write_bytes(buffer.getvalue())
    (tmp_path / "l.csv").write_text("image,expression,valence,arousal,AU12\n" + "\n".join(rows) + "\n")
    np.savez(tmp_path / "p.npz", image=np.array(names), landmark5=np.stack(points))
    arguments = ["train", "teacher", "--labels", tmp_path / "l.csv", "--images", tmp_path / "i.zip"]
    arguments += ["--landmarks", tmp_path / "p.npz", "-o", tmp_path / "run", "--epochs", "1", "--batch-size", "8"]
    code, out, err = run_cli(*arguments)
    assert code == 0 and json.loads(out)["count"] > 0 and "M parameters" in err
    assert (tmp_path / "run" / "best.pt").exists()
    code, _, err = run_cli(*arguments)
    assert code == 2 and "--resume" in err
    arguments[1] = "students"
    arguments[arguments.index("-o") + 1] = tmp_path / "taught"
    code, _, err = run_cli(*arguments, "--teacher", tmp_path / "run", "--count", "2", "--teacher-view", "clean")
    assert code == 0 and "student 1" in err and err.count("asking the teachers") == 1
    assert sorted(p.name for p in (tmp_path / "taught").iterdir()) == ["student_0", "student_1"]
    assert not states_are_equal(*((tmp_path / "taught" / f"student_{k}" / "best.pt") for k in range(2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite", "lite-ensemble"])
def test_the_shipped_models_are_as_good_as_their_cards_say(shared: Path, name: str) -> None:
    """FER+ valid: the numbers in model.json, and what they must not fall under.

    `lite` reaches the aims of macro F1, valence, arousal and ECE, and not yet that of accuracy (.872), in which
    the network of before was better. Its action units are not measured here: the labels are machine-made, and those
    that contradict the exact ones were not taught (tests/test_lite.py has faces that were judged by eye).
    """
    from affectkit.train.evaluate import evaluate_model

    data = shared / "data"
    faces = read_set(
        data / "ferplus_labels.csv",
        data / "ferplus_images.zip",
        data / "ferplus_landmarks.npz",
        prefix="FER2013Valid/",
    )
    report = evaluate_model(name, faces)
    spec = models.load(name).spec
    card = spec.metrics["FER+ valid"]
    assert report["expression"]["accuracy"] == pytest.approx(card["expression"]["accuracy"], abs=0.003)
    assert report["ece"] <= 0.03
    assert report["va"]["valence"]["ccc"] >= 0.94 and report["va"]["arousal"]["ccc"] >= 0.92
    accuracy, macro_f1 = (0.86, 0.745) if name == "lite" else (0.87, 0.745)
    assert report["expression"]["accuracy"] >= accuracy and report["expression"]["macro_f1"] >= macro_f1
    if name == "lite-ensemble":  # whose units imitate these labels
        assert report["au"]["f1"]["mean"] >= 0.72 and report["au"]["pearson"]["mean"] >= 0.86
    assert spec.members == (1 if name == "lite" else 5)


# --- distillation, ResNet-50, recurrent heads -------------------------------------------------------------------------


def outputs_of(expression: list[float], au: float, va: int) -> Outputs:
    """One face; ``va`` is the bin that both values have nearly all their weight in."""
    logits = torch.zeros(1, 40)
    logits[0, va], logits[0, 20 + va] = 50.0, 50.0
    return Outputs(torch.tensor([expression]), torch.full((1, 8), au), logits, torch.zeros(1, 3, 128))


def test_kl_by_hand() -> None:
    # teacher (3/4, 1/4), student (1/2, 1/2), at T = 1 and with logits doubled at T = 2
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    by_hand = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl(student, teacher, 1.0).item() == pytest.approx(by_hand, rel=1e-5)
    assert kl(2 * student, 2 * teacher, 2.0).item() == pytest.approx(by_hand, rel=1e-5)
    assert kl(teacher, teacher, 1.5).item() == pytest.approx(0, abs=1e-7)


def test_student_without_labels_is_distilled_only() -> None:
    student, teacher = outputs_of([0.0] * 7, 0.0, 3), outputs_of([1.5 * math.log(6), 0, 0, 0, 0, 0, 0], 1.0, 3)
    blank = losses.Labels(torch.full((1, 7), NAN), torch.full((1, 8), NAN), torch.full((1, 2), NAN))
    parts = student_loss(student, teacher, blank)
    # at T = 1.5 the teacher says 1/2 for the first and 1/12 for each other class, the student 1/7
    expression = 0.5 * math.log(3.5) + 0.5 * math.log(7 / 12)
    assert parts["expression"].item() == pytest.approx(expression / 3, rel=1e-4)
    assert parts["au"].item() == pytest.approx(math.log(2) / 3, rel=1e-5)
    assert parts["va"].item() == pytest.approx(0, abs=1e-6)
    assert parts["total"].item() == pytest.approx((expression + math.log(2)) / 3, rel=1e-4)


def test_student_with_labels_mixes_both() -> None:
    student, teacher = outputs_of([0.0] * 7, 0.0, 3), outputs_of([0.0] * 7, 1.0, 3)
    au = torch.full((1, 8), NAN)
    au[0, :4] = 1.0
    labels = losses.Labels(torch.eye(7)[2:3], au, torch.full((1, 2), NAN))
    parts = student_loss(student, teacher, labels)
    assert parts["expression"].item() == pytest.approx(0.6 * math.log(7) / 3, rel=1e-5)
    # half of the units are labelled: .4 distilled and .6 supervised with weight 8; the other half distilled alone
    by_hand = 0.5 * (0.4 * math.log(2) + 0.6 * 8 * math.log(2)) + 0.5 * math.log(2)
    assert parts["au"].item() == pytest.approx(by_hand / 3, rel=1e-5)


def test_several_teachers_are_averaged_as_probabilities() -> None:
    class Fixed(torch.nn.Module):
        def __init__(self, answer: Outputs) -> None:
            super().__init__()
            self.answer, self.config = answer, SMALL

        def forward(self, faces: torch.Tensor) -> Outputs:
            return self.answer

    first, second = outputs_of([0.0] * 7, 0.0, 3), outputs_of([math.log(6)] + [0.0] * 6, math.log(3), 3)
    both = teach([Fixed(first), Fixed(second)], torch.zeros(1, 4, 4, 1), LabelSet())
    p = torch.softmax(both.expression, 1)[0]
    assert p[0].item() == pytest.approx((1 / 7 + 1 / 2) / 2, rel=1e-5)
    assert torch.sigmoid(both.au)[0, 0].item() == pytest.approx((0.5 + 0.75) / 2, rel=1e-5)
    assert losses.decode_va(both.va)[0, 0].item() == pytest.approx(-1 + 2 * 3 / 19, abs=1e-4)


@pytest.mark.slow
def test_a_student_may_start_from_given_weights(tmp_path: Path) -> None:
    data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
    train(config(epochs=1), *data, tmp_path / "first")
    first, _ = load_network(tmp_path / "first" / "best.pt")
    still = config(epochs=1, learning_rate=0.0, weight_decay=0.0, ema=0.0, warmup_steps=0)
    train(still, *data, tmp_path / "second", teachers=[first], init_from=first)
    second, _ = load_network(tmp_path / "second" / "best.pt")
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
def test_compiled_steps_are_the_same_steps(tmp_path: Path) -> None:
    """torch.compile changes the speed; without dropout, which draws other numbers, the losses agree to rounding."""
    data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
    losses_of: dict[bool, list[float]] = {False: [], True: []}
    for compiled, seen in losses_of.items():
        settings = config(epochs=1, network=dataclasses.replace(SMALL, dropout=0.0), compile=compiled)
        train(
            settings, *data, tmp_path / str(compiled), on_step=lambda _, __, loss, seen=seen: seen.append(loss["total"])
        )
    assert losses_of[True] == pytest.approx(losses_of[False], rel=1e-3) and len(losses_of[True]) == 4


@pytest.mark.slow
def test_a_student_learns_from_its_teacher_alone(tmp_path: Path) -> None:
    """Without a single label the student ends where its teacher is."""
    labelled, dev = faces_with_a_pattern(160), faces_with_a_pattern(60, 1)
    train(config(epochs=6), labelled, dev, tmp_path / "teacher")
    teacher, _ = load_network(tmp_path / "teacher" / "best.pt")
    blind = FaceSet(
        labelled.names,
        labelled.images,
        labelled.landmarks,
        np.full_like(labelled.expression, NAN),
        np.full_like(labelled.expression_target, NAN),
        np.full_like(labelled.au, NAN),
        np.full_like(labelled.va, NAN),
        labelled.person,
    )
    report = train(config(epochs=6, seed=9), blind, dev, tmp_path / "student", teachers=[teacher])
    assert report["expression"]["accuracy"] > 0.95
    assert report["au"]["pearson"]["AU12"] > 0.8


@pytest.mark.slow
def test_teachers_may_see_the_faces_without_disturbance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled, dev = faces_with_a_pattern(96), faces_with_a_pattern(32, 1)
    train(config(epochs=2), labelled, dev, tmp_path / "teacher")
    teacher, _ = load_network(tmp_path / "teacher" / "best.pt")
    settings = config(epochs=2, teacher_view="clean")
    answers = clean_teacher_outputs([teacher], labelled, settings)
    rows = [5, 90]
    faces = np.stack([crop_of(labelled.image(i), labelled.landmarks[i], settings.input_spec()) for i in rows])
    with torch.no_grad():
        shown = torch.from_numpy(faces)
        both = [torch.sigmoid(teacher(seen).au) for seen in (shown, shown.flip(2))]  # a face and its mirror image
        torch.testing.assert_close(torch.sigmoid(answers.au[rows]), (both[0] + both[1]) / 2)
    taught: list[torch.Tensor] = []
    plain = loop.student_loss

    def watched(student: Outputs, given: Outputs, labels: Labels, **how: float) -> dict[str, torch.Tensor]:
        taught.append(given.au)
        return plain(student, given, labels, **how)

    monkeypatch.setattr(loop, "student_loss", watched)
    train(settings, labelled, dev, tmp_path / "student", teachers=[teacher])
    (first,) = next(iter(plan_epoch(labelled, Batching(16, 0), 0)))
    torch.testing.assert_close(taught[0], answers.au[first[1]])  # each face has its own answer, however it is drawn
    train(settings, labelled, dev, tmp_path / "shared", teachers=[teacher], teacher_outputs=answers)
    assert states_are_equal(tmp_path / "student" / "last.pt", tmp_path / "shared" / "last.pt")
    with pytest.raises(ValueError, match="only students"):
        train(settings, labelled, dev, tmp_path / "elsewhere")


def test_resnet50_is_the_papers() -> None:
    network = MultitaskCNN(resnet50_config()).eval()
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(24.3e6, abs=0.05e6)
    with torch.no_grad():
        answer = network(torch.zeros(1, 112, 112, 3, dtype=torch.uint8))
        assert answer.va.shape == (1, 40) and answer.features.shape == (1, 3, 128)
        assert network(torch.zeros(1, 224, 224, 3, dtype=torch.uint8)).au.shape == (1, 8)
    strides = [block.reduce[0].stride for block in network.backbone.stages]
    assert [i for i, stride in enumerate(strides) if stride == (2, 2)] == [3, 7, 13]  # in the first 1x1 convolution
    assert network.backbone.pool.ceil_mode and network.backbone.pool.padding == 0
    grey = torch.full((1, 1, 2, 2), 100.0)
    assert network.backbone.normalise(grey)[0, :, 0, 0].tolist() == pytest.approx([-31.0912, -3.8827, 8.5047], abs=1e-3)


def test_recurrent_heads_see_both_directions() -> None:
    heads = TemporalHeads().eval()
    features = torch.randn(2, 8, 3, 128)
    with torch.no_grad():
        plain = heads(features)
        assert plain.expression.shape == (2, 8, 7) and plain.va.shape == (2, 8, 40)
        changed = features.clone()
        changed[:, 7, 1] += 1  # the last frame's AU features
        after = heads(changed)
    assert (after.au[:, 0] - plain.au[:, 0]).abs().max() > 0  # reach the first frame's AUs
    assert torch.equal(after.expression, plain.expression)  # and no other task


@pytest.mark.slow
def test_sequences_of_any_length_in_every_export_of_a_process(tmp_path: Path) -> None:
    """torch fixed the length at the example's from the second export on."""
    for name in ("first", "second", "third"):
        to_onnx.write_temporal_onnx([TemporalHeads()], tmp_path / name)
        (features,) = onnx.load(str(tmp_path / name)).graph.input
        assert [axis.dim_param for axis in features.type.tensor_type.shape.dim[1:3]] == ["b", "t"], name
