"""Networks that say what they can see: covered crops, their labels, the further heads, and what they cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from affectkit.errors import SourceError
from affectkit.spec import InputSpec
from affectkit.train import losses
from affectkit.train import occlusion as covering
from affectkit.train.augmentation import AUGMENTATIONS, Augmentation, disturb
from affectkit.train.batches import labels_as_seen
from affectkit.train.cli import COMMANDS
from affectkit.train.extra_answers import (
    balanced_temperature,
    covered_examples,
    expression_prior,
    fit_visibility,
    report_further,
)
from affectkit.train.faces import FaceSet, join, relabelled
from affectkit.train.initial import adapted, like
from affectkit.train.networks import MultitaskCNN, NetworkConfig
from affectkit.train.options import names_to_leave_out
from affectkit.train.reading import read_manifest_faces
from affectkit.types import LabelSet

SPEC = InputSpec(64, 1, "tight")
STILL = Augmentation(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
UNITS = LabelSet((), ("AU01", "AU12", "AU43"), False)


def points() -> np.ndarray:
    return np.asarray(SPEC.template_px(), np.float64)


def one_face(**values: object) -> FaceSet:
    """A grey picture that is its own crop, with every label."""
    rng = np.random.default_rng(3)
    base: dict[str, object] = {
        "names": ("a",),
        "images": (rng.integers(0, 256, (64, 64)).astype(np.uint8),),
        "landmarks": points()[None].astype(np.float32),
        "expression": np.full(1, np.nan, np.float32),
        "expression_target": np.empty((1, 0), np.float32),
        "au": np.array([[0.2, 0.9, 1.0]], np.float32),
        "va": np.full((1, 2), np.nan, np.float32),
        "person": ("p",),
        "label_set": UNITS,
        "intensity": np.array([[0.2, 0.9, 1.0]], np.float32),
        "visible": np.ones((1, 3), np.float32),
        "pose": np.array([[5.0, 20.0, 8.0]], np.float32),
    }
    return FaceSet(**{**base, **values})  # type: ignore[arg-type]


def test_a_hidden_mouth_is_known_as_hidden() -> None:
    size, alpha = 64, np.zeros((64, 64))
    alpha[44:] = 1
    brows, eyes, mouth = (float(1 - alpha[mask].mean()) for mask in covering.regions(size, points()))
    assert brows == eyes == 1
    assert mouth < 0.2


def test_covers_hide_what_they_lie_over() -> None:
    crop = np.full((64, 64, 1), 128, np.uint8)
    hidden = np.zeros(3)
    for seed in range(120):
        covered = covering.cover(crop, points(), np.random.default_rng(seed))
        assert covered.crop.shape == crop.shape
        assert ((covered.seen >= 0) & (covered.seen <= 1)).all()
        changed = [float((covered.crop[mask] != 128).mean()) for mask in covering.regions(64, points())]
        for seen, share in zip(covered.seen, changed, strict=True):
            assert share > 0.5 or seen > 0.2  # what hides leaves a trace
        hidden += covered.seen < covering.HIDDEN
    assert (hidden > 5).all()
    assert hidden[2] > hidden[0]  # masks, hands and microphones are before the mouth


def test_what_is_hidden_is_not_taught() -> None:
    faces = one_face()
    rows = np.array([0])
    shown = disturb(faces.image(0), faces.landmarks[0], SPEC, STILL, np.random.default_rng(0))
    covered = dataclasses.replace(shown, seen=np.array([1.0, 1.0, 0.1]))
    labels = labels_as_seen(faces, rows, [covered], assume_visible=True)
    assert labels.visible[0].tolist() == pytest.approx([1, 1, 0.1])
    assert torch.isnan(labels.au[0]).tolist() == [False, True, False]
    assert torch.isnan(labels.intensity[0]).tolist() == [False, True, False]
    clear = labels_as_seen(faces, rows, [shown], assume_visible=True)
    assert clear.au[0].tolist() == pytest.approx([0.2, 0.9, 1.0])


def test_faces_on_their_head_and_no_faces_are_taught_as_invisible_and_as_nothing_else() -> None:
    faces = one_face()
    for how in (dataclasses.replace(STILL, cover=0.1, turn=1.0), dataclasses.replace(STILL, cover=0.1, elsewhere=1.0)):
        shown = disturb(faces.image(0), faces.landmarks[0], SPEC, how, np.random.default_rng(1))
        assert not shown.face
        labels = labels_as_seen(faces, np.array([0]), [shown], assume_visible=True)
        assert labels.visible[0].tolist() == [0, 0, 0]
        assert torch.isnan(labels.au).all()
        assert torch.isnan(labels.pose).all()


def test_without_knowledge_of_what_is_seen_nothing_is_said_of_it() -> None:
    faces = one_face(visible=np.full((1, 3), np.nan, np.float32))
    shown = disturb(faces.image(0), faces.landmarks[0], SPEC, STILL, np.random.default_rng(0))
    assert torch.isnan(labels_as_seen(faces, np.array([0]), [shown]).visible).all()
    assert labels_as_seen(faces, np.array([0]), [shown], assume_visible=True).visible[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        ([[1, 0], [0, 1]], [5, 20, 8]),
        ([[-2, 0], [0, 2]], [5, -20, -8]),  # mirrored
        ([[0.9848, -0.1736], [0.1736, 0.9848]], [5, 20, -2]),  # 10 degrees clockwise as seen
    ],
)
def test_the_head_is_turned_as_its_crop_is(linear: list[list[float]], expected: list[float]) -> None:
    faces = one_face()
    shown = disturb(faces.image(0), faces.landmarks[0], SPEC, STILL, np.random.default_rng(0))
    shown = dataclasses.replace(shown, linear=np.array(linear))
    assert labels_as_seen(faces, np.array([0]), [shown]).pose[0].tolist() == pytest.approx(expected, abs=0.02)


def test_an_aligned_head_has_no_roll_left() -> None:
    """A face that is rolled by 30 degrees in its picture stands upright in its crop."""
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # counter-clockwise as seen
    rolled = (points() - 31.5) @ turn.T + 31.5
    faces = one_face(landmarks=rolled[None].astype(np.float32), pose=np.array([[0, 0, 30.0]], np.float32))
    shown = disturb(faces.image(0), faces.landmarks[0], SPEC, dataclasses.replace(STILL), np.random.default_rng(0))
    assert labels_as_seen(faces, np.array([0]), [shown]).pose[0, 2] == pytest.approx(0, abs=0.1)


def test_disturbance_without_covers_is_as_before() -> None:
    """The usual augmentation draws the same lots, so that old runs can be resumed."""
    faces, how = one_face(), AUGMENTATIONS["full"]
    first = disturb(faces.image(0), faces.landmarks[0], SPEC, how, np.random.default_rng(5))
    also = dataclasses.replace(how, turn=0.0, elsewhere=0.0, cover=0.0)
    assert (first.crop == disturb(faces.image(0), faces.landmarks[0], SPEC, also, np.random.default_rng(5)).crop).all()
    assert first.seen is None
    assert first.face


@pytest.mark.slow
def test_the_further_heads_answer_and_learn() -> None:
    torch.manual_seed(0)
    config = NetworkConfig(
        size=16, widths=(8, 8), blocks=(1, 1), labels=UNITS, intensity=True, visibility=True, pose=True, dropout=0.0
    )
    network = MultitaskCNN(config).train()
    faces = torch.randint(0, 256, (64, 16, 16, 1), dtype=torch.uint8)
    faces[:32, 8:] = 0
    seen = torch.ones(64, 3)
    seen[:32, 2] = 0
    pose = torch.zeros(64, 3)
    pose[:32, 1] = 40
    labels = losses.Labels(
        torch.empty(64, 0), torch.rand(64, 3), torch.full((64, 2), torch.nan), torch.rand(64, 3), seen, pose
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        costs = losses.further(network(faces), labels)
        optimizer.zero_grad()
        torch.stack(list(costs.values())).sum().backward()
        optimizer.step()
    assert set(costs) == {"intensity", "visibility", "pose"}
    answer = network.eval()(faces)
    assert answer.intensity.shape == (64, 3)
    assert (torch.sigmoid(answer.visibility[:32, 2]) < 0.3).float().mean() > 0.9
    assert (torch.sigmoid(answer.visibility[32:, 2]) > 0.7).float().mean() > 0.9
    assert (answer.pose[:32, 1] - answer.pose[32:, 1]).mean() > 25


def test_networks_without_further_heads_answer_nothing_more() -> None:
    answer = MultitaskCNN(NetworkConfig(size=16, widths=(8,), blocks=(1,))).eval()(torch.zeros(2, 16, 16, 1))
    assert answer.intensity.shape == answer.visibility.shape == answer.pose.shape == (2, 0)


def test_blank_further_labels_cost_nothing() -> None:
    config = NetworkConfig(size=16, widths=(8,), blocks=(1,), labels=UNITS, intensity=True, visibility=True, pose=True)
    answer = MultitaskCNN(config)(torch.randint(0, 256, (4, 16, 16, 1), dtype=torch.uint8))
    blank = losses.Labels(torch.empty(4, 0), torch.full((4, 3), torch.nan), torch.full((4, 2), torch.nan))
    assert {float(cost.detach()) for cost in losses.further(answer, blank).values()} == {0.0}


def test_a_start_without_further_heads_gives_intensity_the_rows_of_presence() -> None:
    torch.manual_seed(1)
    origin = MultitaskCNN(NetworkConfig(size=16, widths=(8,), blocks=(1,), labels=UNITS))
    more = LabelSet((), ("AU01", "AU04", "AU12", "AU43"), False)
    wanted = dataclasses.replace(origin.config, labels=more, intensity=True, visibility=True, pose=True)
    network = adapted(origin, like(origin, wanted), "origin", seed=0)
    theirs, ours = origin.state_dict(), network.state_dict()
    rows = [0, 2, 3]
    assert torch.equal(ours["heads.au.classifier.weight"][rows], theirs["heads.au.classifier.weight"])
    assert torch.equal(ours["intensity.weight"][rows], theirs["heads.au.classifier.weight"])


def test_sets_keep_what_is_known_beside_the_tasks() -> None:
    known, unknown = one_face(), one_face(intensity=np.empty((0, 0), np.float32), pose=np.empty((0, 0), np.float32))
    both = join([known, unknown])
    assert both.pose[0].tolist() == [5, 20, 8]
    assert np.isnan(both.pose[1]).all()
    wider = relabelled(both, LabelSet((), ("AU01", "AU04", "AU12"), False))
    assert wider.intensity[0].tolist() == pytest.approx([0.2, np.nan, 0.9], nan_ok=True)
    assert np.isnan(wider.intensity[1]).all()


def test_manifests_carry_intensity_visibility_and_pose(tmp_path: Path) -> None:
    row = {"path": "a.png", "AU1": 0.25, "AU01_i": 0.5, "visible_brows": 1, "visible_eyes": 0.5, "visible_mouth": 0}
    pd.DataFrame([{**row, "pitch": -4, "yaw": 30, "roll": 1}]).to_csv(tmp_path / "m.csv", index=False)
    faces, _ = read_manifest_faces(tmp_path / "m.csv")
    assert faces.au[0].tolist() == [0.25]
    assert faces.intensity[0].tolist() == [0.5]
    assert faces.visible[0].tolist() == [1, 0.5, 0]
    assert faces.pose[0].tolist() == [-4, 30, 1]


@pytest.mark.parametrize(
    ("column", "value"), [("visible_mouth", "1.2"), ("AU1_i", "3"), ("yaw", "400"), ("pitch", "up")]
)
def test_impossible_values_are_named(tmp_path: Path, column: str, value: str) -> None:
    (tmp_path / "m.csv").write_text(f"path,AU1,{column}\na.png,1,{value}\n")
    with pytest.raises(SourceError, match=column):
        read_manifest_faces(tmp_path / "m.csv")


def test_the_report_of_the_further_answers() -> None:
    faces = join([one_face(), one_face(visible=np.array([[1, 1, 0.1]], np.float32))] * 2)
    visibility = np.array([[3, 3, 3], [3, 3, -3], [3, -3, 3], [3, 3, 3.0]])
    found = report_further(faces, {"visibility": visibility, "pose": faces.pose + 2})
    assert found["visibility"]["visible_mouth"] == {"emptied": 0.0, "found": 0.5}
    assert found["visibility"]["visible_eyes"] == {"emptied": 0.25}
    assert found["pose_mae_deg"] == {"pitch": 2.0, "yaw": 2.0}


def test_thresholds_of_visibility_spare_clear_faces() -> None:
    seen = np.concatenate([np.ones((200, 3)), np.full((50, 3), 0.1)])
    answers = np.concatenate([np.linspace(0.4, 1, 200)[:, None].repeat(3, 1), np.full((50, 3), 0.1)])
    thresholds = fit_visibility(answers, seen)
    assert thresholds == pytest.approx([0.415] * 3, abs=0.002)  # 5 of the 200 clear ones lie under it
    assert fit_visibility(answers, np.full_like(seen, np.nan)) == [0.5] * 3
    assert fit_visibility(np.ones((9, 3)), np.ones((9, 3))) == [0.7, 0.7, 0.8]


def test_the_prior_is_the_share_of_the_labels() -> None:
    target = np.array([[1, 0], [0.5, 0.5], [np.nan, np.nan], [1, 0]], np.float32)
    faces = one_face().take(np.zeros(4, int))
    faces = dataclasses.replace(
        faces, expression_target=target, label_set=LabelSet(("neutral", "happiness"), (), False)
    )
    assert expression_prior(faces) == pytest.approx([5 / 6, 1 / 6])
    assert expression_prior(one_face()) is None


def test_the_balanced_temperature_undoes_a_scale() -> None:
    """Logits that are the true log odds times 2, shifted by the prior, are best divided by 2."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, (6000, 3))
    p = np.exp(odds) / np.exp(odds).sum(1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in p]).astype(float)
    prior = [0.6, 0.3, 0.1]
    assert balanced_temperature(truth, 2 * odds + np.log(prior), prior) == pytest.approx(2, rel=0.1)
    assert balanced_temperature(np.array([np.nan]), np.zeros((1, 3)), prior) == 1.0


def test_covered_examples_are_always_the_same() -> None:
    faces = one_face().take(np.zeros(40, int))
    crops, seen = covered_examples(faces, SPEC)
    again, also = covered_examples(faces, SPEC)
    assert np.array_equal(crops, again)
    assert np.array_equal(seen, also)
    assert 5 < (seen < 1).any(1).sum() < 30


def test_pictures_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("image,AU1\nFER2013Train/a.png,1\n")
    assert names_to_leave_out([tmp_path / "test.csv"]) == {"FER2013Train/a.png"}
    (tmp_path / "bad.csv").write_text("name\na.png\n")
    with pytest.raises(SourceError, match="image"):
        names_to_leave_out([tmp_path / "bad.csv"])
    result = CliRunner().invoke(COMMANDS["teacher"], ["--help"])
    assert "--leave-out" in result.output
