"""Measuring models: each member and either ensemble rule, the paper's scores, calibration, the challenge's files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from patterns import NAN, SMALL, config, faces_with_a_pattern
from synthetic import edit_spec

from affectkit import models
from affectkit.errors import SourceError
from affectkit.predictor import Predictor
from affectkit.train import metrics
from affectkit.train.calibrate import fit_temperature
from affectkit.train.challenge import faces_of_crops, read_lengths
from affectkit.train.checkpoints import load_network
from affectkit.train.evaluate import ask, evaluate_model
from affectkit.train.faces import fixed_share, join, only_tasks
from affectkit.train.loop import train
from affectkit.train.runs import checkpoints_of

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[int, str, str]]


# --- the paper's scores -----------------------------------------------------------------------------------------------


def test_au_score_by_hand() -> None:
    truth = np.full((4, 8), NAN)
    truth[:, 0], truth[:3, 1] = [1, 1, 0, 0], [0.6, 0.2, 0]
    active = np.zeros((4, 8), bool)
    active[:, 0], active[:, 1] = [True, False, True, False], [True, True, False, True]
    score = metrics.AuScore(8)
    for k in range(4):  # in any number of batches
        score.update(truth[k : k + 1], active[k : k + 1])
    # AU1: 1 hit, 1 missed, 1 wrong: F1 1/2, 2 of 4 right. AU2: 1 hit, 1 wrong: F1 2/3, 2 of 3 right
    f1, accuracy = (1 / 2 + 2 / 3) / 2, 4 / 7
    assert score.compute() == pytest.approx({"f1": f1, "accuracy": accuracy, "score": (f1 + accuracy) / 2})
    assert metrics.AuScore(8).compute() == {"f1": 0, "accuracy": 0, "score": 0}


def test_expression_score_by_hand() -> None:
    score = metrics.ExpressionScore(7)
    score.update(np.array([0, 0, NAN]), np.array([0, 1, 3]))
    score.update(np.array([1.0]), np.array([1]))
    f1 = (2 / 3 + 2 / 3) / 7
    assert score.compute() == pytest.approx({"macro_f1": f1, "accuracy": 2 / 3, "score": 0.67 * f1 + 0.33 * 2 / 3})
    assert metrics.ExpressionScore(7).compute()["score"] == 0


def test_va_score_is_the_ccc_of_everything() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (50, 2))
    predicted = 0.7 * truth + rng.normal(0.1, 0.2, (50, 2))
    truth[::7, 0] = NAN
    score = metrics.VaScore()
    for part in np.array_split(np.arange(50), 6):
        score.update(truth[part], predicted[part])
    known = ~np.isnan(truth).any(1)
    valence, arousal = (metrics.ccc(predicted[known, k], truth[known, k]) for k in range(2))
    want = {"valence": valence, "arousal": arousal, "score": (valence + arousal) / 2}
    assert score.compute() == pytest.approx(want)
    assert metrics.VaScore().compute()["score"] == 0


# --- temperature ------------------------------------------------------------------------------------------------------


def test_the_temperature_that_was_put_in_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20000, 7))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(7, p=row) for row in p], np.float32)
    labels[::10] = NAN
    assert fit_temperature(labels, 3 * logits[None]) == pytest.approx(3, rel=0.05)
    assert fit_temperature(labels, np.stack([logits / 2] * 3)) == pytest.approx(0.5, rel=0.05)
    assert fit_temperature(np.full(3, NAN), logits[None, :3]) == 1


def test_the_temperature_reaches_the_readout(tiny: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    edit_spec(folder, lambda document: document["tasks"]["expression"].update(temperature=2.0))
    face = np.full((1, 16, 16, 1), 200, np.uint8)
    with Predictor(tiny) as plain, Predictor(folder) as cooled:
        (one,), (other,) = plain.predict_aligned(face), cooled.predict_aligned(face)
    flattened = np.sqrt(one.expression_probabilities.astype(np.float64))
    assert other.expression_probabilities == pytest.approx(flattened / flattened.sum(), abs=1e-6)
    assert other.au_probabilities == pytest.approx(one.au_probabilities)


# --- models, runs, members --------------------------------------------------------------------------------------------


def test_each_member_and_either_rule(tiny_ensemble: Path) -> None:
    faces = faces_with_a_pattern(12)
    report = evaluate_model(tiny_ensemble, faces, members=True)
    assert len(report["members"]) == 3 and set(report["ensemble"]) == {"probabilities", "logits"}
    answers = ask(tiny_ensemble, faces)
    logits = answers.logits["expression"].astype(np.float64)

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)

    assert answers.decoded()["expression"] == pytest.approx(softmax(logits).mean(0), abs=1e-6)
    assert answers.by_rule("logits").decoded()["expression"] == pytest.approx(softmax(logits.mean(0)), abs=1e-6)
    assert answers.member(1).decoded()["expression"] == pytest.approx(softmax(logits[1]), abs=1e-6)
    assert report["ece"] == report["ensemble"]["probabilities"]["ece"] != report["ensemble"]["logits"]["ece"]


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs side by side, as `train students` leaves them."""
    folder = tmp_path_factory.mktemp("runs") / "students"
    for k in range(2):
        data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
        train(config(epochs=1, seed=k), *data, folder / f"student_{k}")
    return folder


def test_runs_are_evaluated_as_they_are(students: Path) -> None:
    faces = faces_with_a_pattern(40, 2)
    assert [path.parent.name for path in checkpoints_of(students)] == ["student_0", "student_1"]
    assert checkpoints_of(students / "student_1" / "best.pt") == checkpoints_of(students / "student_1")
    assert checkpoints_of(students.parent) == []
    both = ask(students, faces)
    assert both.spec.members == 2 and both.logits["va"].shape == (2, 40, 40)
    one = ask(students / "student_1", faces)
    assert one.logits["au"][0] == pytest.approx(both.logits["au"][1])
    _, state = load_network(students / "student_1" / "best.pt")
    assert one.spec.au_thresholds == pytest.approx(state["au_thresholds"], abs=1e-4)
    assert one.spec.expression_temperature == state["expression_temperature"]


def test_what_a_run_leaves_to_look_at(students: Path) -> None:
    run = students / "student_0"
    picture = cv2.imread(str(run / "curves.png"))
    assert picture is not None and picture.std() > 5
    (events,) = (run / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"dev/expression accuracy" in content and b"dev/score" in content
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1] and set(lines[0]["dev"]["scores"]) == {"expression", "au", "va"}


def test_lines_after_the_last_checkpoint_are_taken_back(tmp_path: Path) -> None:
    data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
    train(config(epochs=2), *data, tmp_path / "run")
    path = tmp_path / "run" / "metrics.jsonl"
    good = path.read_text()
    path.write_text(good + good.splitlines()[-1].replace('"step": 8', '"step": 99') + '\n{"cut o')
    train(config(epochs=2), *data, tmp_path / "run", resume=True)
    assert path.read_text() == good


# --- parts of the data ------------------------------------------------------------------------------------------------


def test_tasks_and_shares_of_the_data() -> None:
    faces = faces_with_a_pattern(4000)
    only = only_tasks(faces, ["au"])
    assert np.isnan(only.expression).all() and np.isnan(only.expression_target).all() and np.isnan(only.va).all()
    assert np.array_equal(only.au, faces.au, equal_nan=True)
    quarter = fixed_share(faces, 0.25)
    assert 900 < len(quarter) < 1100 and set(quarter.names) < set(fixed_share(faces, 0.5).names)
    assert fixed_share(faces, 1.0) is faces
    assert join([quarter, quarter]).video == ("",) * 2 * len(quarter)


def test_single_task_runs_are_chosen_by_their_task(tmp_path: Path) -> None:
    data = [only_tasks(faces_with_a_pattern(64, seed), ["va"]) for seed in (0, 1)]
    report = train(config(epochs=1), data[0], data[1], tmp_path / "run")
    assert report["expression"] is None and report["au"] is None and set(report["scores"]) == {"va"}


def test_epochs_of_a_fixed_length(tmp_path: Path) -> None:
    data = faces_with_a_pattern(120), faces_with_a_pattern(32, 1)
    for balance in (False, True):
        run = tmp_path / str(balance)
        train(config(epochs=2, epoch_steps=3, balance=balance), *data, run)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [3, 6]


# --- the challenge's files --------------------------------------------------------------------------------------------


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two videos in the layout of Aff-Wild2's crops; one lacks frames 0 and 2."""
    for name, value in (("a/00001", 0), ("a/00002", 255), ("b_left/00002", 128), ("b_left/00004", 250)):
        path = tmp_path / "cropped_aligned" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((112, 112), value, np.uint8))
    return tmp_path / "cropped_aligned"


def test_predictions_in_the_challenges_format(crops: Path, tiny: Path, tmp_path: Path, run_cli: Cli) -> None:
    (tmp_path / "lengths.txt").write_text("b_left 6\n")
    out = tmp_path / "out"
    arguments = ("train", "predict", "--model", tiny, "--crops", crops, "-o", out)
    code, _, err = run_cli(*arguments, "--lengths", tmp_path / "lengths.txt")
    assert code == 0 and "wrote 2 videos" in err
    # the tiny model: m is the mean over 255, AU i is active where 4 m >= i / 2, valence +1 where m = 1
    assert (out / "AU_Set" / "a.txt").read_text() == (
        "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n1,0,0,0,0,0,0,0\n1,1,1,1,1,1,1,1\n"
    )
    expression = (out / "EXPR_Set" / "b_left.txt").read_text().splitlines()
    assert expression == ["Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise", "-1", "6", "-1", "6", "-1", "-1"]
    va = (out / "VA_Set" / "b_left.txt").read_text().splitlines()
    assert va[0] == "valence,arousal" and va[1] == va[3] == va[5] == "-5,-5" and len(va) == 7
    assert all(-1 <= float(number) <= 1 for number in va[2].split(","))
    code, _, err = run_cli(*arguments)
    assert code == 1 and "not empty" in err
    assert run_cli(*arguments, "--overwrite")[0] == 0
    (tmp_path / "lengths.txt").write_text("b_left 6\nc 2\n")  # c has no crop at all
    assert run_cli(*arguments, "--overwrite", "--lengths", tmp_path / "lengths.txt")[0] == 0
    assert (out / "VA_Set" / "c.txt").read_text() == "valence,arousal\n-5,-5\n-5,-5\n"
    (tmp_path / "lengths.txt").write_text("b_left 2\n")
    code, _, err = run_cli(*arguments, "--overwrite", "--lengths", tmp_path / "lengths.txt")
    assert code == 1 and "face in frame 3" in err


def test_members_have_files_of_their_own(crops: Path, tiny_ensemble: Path, tmp_path: Path, run_cli: Cli) -> None:
    out = tmp_path / "out"
    code, _, _ = run_cli("train", "predict", "--model", tiny_ensemble, "--crops", crops, "-o", out, "--members")
    assert code == 0
    assert sorted(p.name for p in out.iterdir()) == ["AU_Set", "EXPR_Set", "VA_Set", "member_0", "member_1", "member_2"]


def test_crops_that_are_none(tmp_path: Path, crops: Path, tiny: Path, run_cli: Cli) -> None:
    with pytest.raises(SourceError, match="no pictures"):
        faces_of_crops(tmp_path / "cropped_aligned" / "a")
    faces = faces_of_crops(crops)
    assert sorted(zip(faces.video, faces.frame, strict=True)) == [("a", 0), ("a", 1), ("b_left", 1), ("b_left", 3)]
    cv2.imwrite(str(crops / "a" / "first.jpg"), np.zeros((4, 4), np.uint8))
    with pytest.raises(SourceError, match=r"first\.jpg: its name should be the frame's number"):
        faces_of_crops(crops)
    (tmp_path / "l.txt").write_text("video\n")
    with pytest.raises(SourceError, match="VIDEO FRAMES"):
        read_lengths(tmp_path / "l.txt")
    for wrong in ((), ("--crops", crops, "--manifest", tmp_path / "m.csv"), ("--crops", crops, "--split", "dev")):
        assert run_cli("train", "predict", "--model", tiny, "-o", tmp_path / "x", *wrong)[0] == 2


def test_options_that_do_not_go_together(tmp_path: Path, tiny: Path, run_cli: Cli) -> None:
    common = ("train", "evaluate", "--model", tiny)
    assert run_cli(*common)[0] == 2
    assert run_cli(*common, "--labels", "a.csv")[0] == 2
    assert run_cli(*common, "--manifest", "m.csv", "--prefix", "x")[0] == 2
    code, _, err = run_cli(*common, "--manifest", tmp_path / "m.csv")
    assert code == 1 and "cannot be read as a manifest" in err


def test_embedded_names_are_not_runs(students: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(students / "student_0", tmp_path / "lite")
    monkeypatch.chdir(tmp_path)
    assert len(checkpoints_of("./lite")) == 1
    assert checkpoints_of("lite") == [] and models.find("lite").name == "lite" and SMALL.size == 16
