"""Which faces and labels a run learns from: what is taken, what is left out and said, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from patterns import NAN, config, faces_with_a_pattern

from affectkit.align import crop_face
from affectkit.errors import ModelError, SourceError, TrainingError
from affectkit.train import loop
from affectkit.train.augmentation import AUGMENTATIONS, Augmentation, augment
from affectkit.train.averaging import check_related
from affectkit.train.batches import Batching, plan_epoch
from affectkit.train.checkpoints import load_checkpoint
from affectkit.train.config import input_spec_of
from affectkit.train.crops import crop_matrix
from affectkit.train.faces import FaceSet, answerable, common, join, relabelled, without_derived_va
from affectkit.train.loop import train
from affectkit.train.networks import MultitaskCNN, NetworkConfig
from affectkit.train.published import published_config
from affectkit.train.reading import read_manifest_faces
from affectkit.train.splits import as_named, with_dev
from affectkit.types import LabelSet

Cli = Callable[..., tuple[int, str, str]]
SMALL_RUN = ("--size", 16, "--batch-size", 8, "--epochs", 1, "--learning-rate", "1e-3")


def manifest(folder: Path, count: int = 60, **columns: object) -> Path:
    """A manifest of noise with these columns; six videos, so that some can choose the checkpoint."""
    rng = np.random.default_rng(0)
    (folder / "p").mkdir(parents=True)
    paths = []
    for i in range(count):
        paths.append(f"p/{i:03d}.png")
        cv2.imwrite(str(folder / paths[-1]), rng.integers(0, 256, (20, 20)).astype(np.uint8))
    table = pd.DataFrame({"path": paths, "video": [f"v{i % 6}" for i in range(count)], "frame": range(count)})
    for name, values in columns.items():
        table[name] = values
    table.to_csv(folder / "m.csv", index=False)
    return folder / "m.csv"


# --- labels of rows of their own (valence and arousal of AFEW-VA, of Aff-Wild2) ---------------------------------------


@pytest.mark.slow
def test_valence_and_arousal_of_faces_without_an_expression_are_learned(tmp_path: Path, run_cli: Cli) -> None:
    """AFEW-VA alone: it used to train on nothing, with exit code 0."""
    va = np.random.default_rng(1).uniform(-1, 1, (60, 2)).round(3)
    path = manifest(tmp_path, valence=va[:, 0], arousal=va[:, 1])
    code, out, err = run_cli("train", "teacher", "--manifest", path, "-o", tmp_path / "run", *SMALL_RUN)
    assert code == 0 and "left out" not in err, err
    assert json.loads(out)["va"]["valence"]["rmse"] > 0 and json.loads(out)["expression"] is None
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert set(json.loads(line)["loss"]) == {"va", "total"} and json.loads(line)["loss"]["va"] > 0.5
    labels = load_checkpoint(tmp_path / "run" / "best.pt")["config"]["network"]["labels"]
    assert (labels["expressions"], labels["action_units"], labels["valence_arousal"]) == (
        (),
        (),
        True,
    )  # it answers what it learned


def test_only_values_that_repeat_the_expression_are_blanked() -> None:
    labelled = faces_with_a_pattern(30)
    pairs = np.array([[0.8, 0.5], [-0.6, -0.3]], np.float32)
    derived = dataclasses.replace(labelled, va=pairs[(labelled.expression == 5).astype(int)], source=("a",) * 30)
    alone = dataclasses.replace(
        labelled, expression=np.full(30, NAN, np.float32), va=np.full((30, 2), 0.1, np.float32), source=("a",) * 30
    )
    rated = dataclasses.replace(labelled, source=("b",) * 30)
    kept = without_derived_va(join([derived, alone, rated]))
    assert np.isnan(kept.va[:30]).all()
    assert (kept.va[30:60] == np.float32(0.1)).all()  # rows of their own, in the very same set
    assert (kept.va[60:] == rated.va).all()  # in another set, where the one does not follow from the other
    one = labelled.take(np.array([0]))
    assert without_derived_va(one) is one  # a single face shows no rule


# --- label sets -------------------------------------------------------------------------------------------------------


def test_sets_with_other_labels_are_joined_by_name() -> None:
    first = faces_with_a_pattern(3)
    labels = LabelSet.of([*LabelSet().expressions, "other"], ["AU12", "AU26"])
    second = FaceSet(
        ("x", "y"),
        first.images[:2],
        np.full((2, 5, 2), NAN, np.float32),
        np.array([7, 4], np.float32),
        np.eye(8, dtype=np.float32)[[7, 4]],
        np.array([[1, 0], [0, 1]], np.float32),
        np.full((2, 2), NAN, np.float32),
        ("", ""),
        label_set=labels,
    )
    joined = join([first, second])
    assert joined.label_set.expressions[-1] == "other" and "AU26" in joined.label_set.action_units
    at = joined.label_set.action_units.index
    assert np.isnan(joined.au[:3, at("AU26")]).all() and np.isnan(joined.au[3:, at("AU01")]).all()
    assert joined.au[3:, at("AU12")].tolist() == [1, 0] and joined.au[3:, at("AU26")].tolist() == [0, 1]
    assert joined.expression[3:].tolist() == [7, 4] and joined.expression_target[4].argmax() == 4
    back = relabelled(joined, LabelSet())
    assert np.isnan(back.expression[3]) and np.isnan(back.expression_target[3]).all() and back.expression[4] == 4
    assert (np.nan_to_num(back.au[:3], nan=-1) == np.nan_to_num(first.au, nan=-1)).all()


def test_a_model_answers_what_was_labelled() -> None:
    faces = faces_with_a_pattern(9)
    faces.au[:, 2] = NAN
    faces.va[:] = NAN
    labels = answerable(faces)
    assert "AU04" not in labels.action_units and len(labels.action_units) == 7 and not labels.valence_arousal
    assert common(LabelSet(), LabelSet.of((), ["AU1", "AU9"])) == LabelSet.of((), ["AU01"])
    network = MultitaskCNN(NetworkConfig(size=16, widths=(8,), blocks=(1,), labels=labels)).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, 16, 16, 1, dtype=torch.uint8))
    assert outputs.expression.shape == (2, 7) and outputs.au.shape == (2, 7) and outputs.va.shape == (2, 0)
    assert outputs.features.shape == (2, 2, 128) and "va" not in network.heads


@pytest.mark.slow
def test_a_student_of_a_teacher_with_other_labels(tmp_path: Path, run_cli: Cli) -> None:
    """It learns what its labels say, what the teacher says, and answers both."""
    rng = np.random.default_rng(0)
    taught = manifest(tmp_path / "a", AU1=rng.integers(0, 2, 60), AU12=rng.integers(0, 2, 60))
    own = manifest(tmp_path / "b", AU12=rng.integers(0, 2, 60), AU26=rng.integers(0, 2, 60))
    code, _, err = run_cli("train", "teacher", "--manifest", taught, "-o", tmp_path / "t", *SMALL_RUN)
    assert code == 0, err
    options = ("--manifest", own, "-o", tmp_path / "s", "--teacher", tmp_path / "t", "--count", 1, *SMALL_RUN)
    code, _, err = run_cli("train", "students", *options)
    assert code == 0, err
    state = load_checkpoint(tmp_path / "s" / "student_0" / "best.pt")
    assert state["config"]["network"]["labels"]["action_units"] == ("AU01", "AU12", "AU26")


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [(), ("--tasks", "au")])
def test_nothing_to_learn_is_an_error(tmp_path: Path, run_cli: Cli, tasks: tuple[str, ...]) -> None:
    columns = {} if not tasks else {"expression": ["neutral", "anger"] * 30}
    path = manifest(tmp_path, **columns)
    code, out, err = run_cli("train", "teacher", "--manifest", path, "-o", tmp_path / "run", *SMALL_RUN, *tasks)
    assert code == 1 and out == "" and "nothing to learn" in err and not (tmp_path / "run").exists()


def test_a_batch_too_small_for_its_tasks_is_an_error() -> None:
    faces = faces_with_a_pattern(60)
    with pytest.raises(SourceError, match="--batch-size 6"):
        plan_epoch(faces, Batching(5, 0, sampling="per-task"), 0)
    for values in (faces.au, faces.va, faces.expression, faces.expression_target):
        values[:] = NAN
    with pytest.raises(SourceError, match="no face is labelled"):
        plan_epoch(faces, Batching(60, 0, sampling="per-task", balance=True), 0)


def test_an_epoch_may_be_as_long_as_the_shortest_task() -> None:
    faces = faces_with_a_pattern(90)
    faces.va[20:] = NAN
    lengths = [
        len(plan_epoch(faces, Batching(30, 0, sampling="per-task", epoch_length=which), 0))
        for which in ("longest", "shortest")
    ]
    assert lengths == [9, 2]


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = faces_with_a_pattern(64), faces_with_a_pattern(32, 1)
    run = tmp_path / "run"
    train(config(epochs=1), *data, tmp_path / "good")
    real, calls = loop._losses, []

    def spoiled(*arguments: object) -> dict[str, torch.Tensor]:
        losses = real(*arguments)  # type: ignore[arg-type]
        calls.append(1)
        return losses if len(calls) < 6 else losses | {"au": losses["au"] * math.nan}

    monkeypatch.setattr(loop, "_losses", spoiled)
    with pytest.raises(TrainingError, match=r"step 6: the loss of au is nan.*checkpoints are those of before"):
        train(config(epochs=3), *data, run)
    kept = load_checkpoint(run / "last.pt")
    assert kept["progress"]["step"] == 4  # of the end of the first epoch
    assert all(torch.isfinite(value).all() for value in kept["network"].values())
    assert json.loads((run / "progress.json").read_text())["state"] == "failed"


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("AU12", 3, r"'AU12'.*3.*--au-at 2"),
        ("valence", 9, r"'valence'.*9"),
        ("arousal", "inf", r"'arousal'.*inf"),
        ("AU1", "yes", r"'AU1'.*yes"),
        ("expression", "bored", r"'expression'.*bored"),
    ],
)
def test_bad_labels_end_a_run_before_it_starts(
    tmp_path: Path, run_cli: Cli, column: str, value: object, says: str
) -> None:
    values: dict[str, list[object]] = {"AU1": [0] * 60, "AU12": [1] * 60, "valence": [0.1] * 60, "arousal": [0.2] * 60}
    values["expression"] = ["neutral"] * 60
    values[column][17] = value
    path = manifest(tmp_path, **values)
    code, _, err = run_cli("train", "teacher", "--manifest", path, "-o", tmp_path / "run", *SMALL_RUN)
    assert code == 1 and re.search(rf"m\.csv: line 19.*{says}", err), err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_intensities_become_present_and_absent(tmp_path: Path, run_cli: Cli) -> None:
    path = manifest(tmp_path, AU12=[0, 1, 2, 3, 4, 5] * 10)
    code, _, err = run_cli("train", "teacher", "--manifest", path, "-o", tmp_path / "r", *SMALL_RUN, "--au-at", 2)
    assert code == 0, err
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert (
        run["data"]["au_at"] == 2
        and run["kind"] == "teacher"
        and run["command"][:3] == ["affectkit", "train", "teacher"]
    )
    with np.load(tmp_path / "r" / "dev.npz") as answers:
        assert set(answers["au"].ravel()) <= {0.0, 1.0} and answers["action_units"].tolist() == ["AU12"]


# --- the dev part -----------------------------------------------------------------------------------------------------


def videos(names: str) -> tuple[FaceSet, np.ndarray]:
    faces = faces_with_a_pattern(len(names))
    faces = dataclasses.replace(faces, video=tuple(names), frame=np.arange(len(names), dtype=np.float32))
    return faces, np.array(["train"] * (len(names) - 2) + ["valid"] * 2, object)


def test_few_videos_give_a_dev_part_too() -> None:
    """By the checksum alone often none of a few videos was in it, and training was refused."""
    for names in ("aabbxx", "ccddxx", "eeffggxx"):
        faces, split = videos(names)
        found = with_dev(faces, split, Path("m.csv"))
        dev = {faces.video[i] for i in np.flatnonzero(found == "dev")}
        assert len(dev) == 1 and (found == "valid").sum() == 2
        assert {faces.video[i] for i in np.flatnonzero(found == "train")}.isdisjoint(dev)


def test_the_held_out_part_is_called_test_whatever_a_set_calls_it() -> None:
    assert as_named(np.array(["train", "valid"], object), "test") == "valid"
    assert as_named(np.array(["train", "valid", "test"], object), "test") == "test"
    assert as_named(np.array(["train", "valid", "test"], object), "valid") == "valid"


def test_the_dev_part_can_be_named() -> None:
    faces, split = videos("aabbccddxx")
    assert (with_dev(faces, split, Path("m"), "valid") == "dev").tolist() == [False] * 8 + [True] * 2
    assert (with_dev(faces, split, Path("m"), "b, d") == "dev").nonzero()[0].tolist() == [2, 3, 6, 7]
    half = with_dev(faces, split, Path("m"), "0.5")
    assert {"train", "dev", "valid"} == set(half)
    with pytest.raises(SourceError, match=r"--dev q: no split, video or person.*splits: train, valid.*a, b, c, d"):
        with_dev(faces, split, Path("m"), "q")
    with pytest.raises(SourceError, match="between 0 and 1"):
        with_dev(faces, split, Path("m"), "1.5")
    with pytest.raises(SourceError, match="one video or person"):
        with_dev(*videos("aaaaxx"), Path("m"))


# --- framing ----------------------------------------------------------------------------------------------------------


def test_every_template_is_cut_alike_for_training_and_inference() -> None:
    """`published` had another matrix in augmentation than in align.py."""
    points = np.array([[30, 40], [62, 38], [47, 58], [35, 76], [60, 75]], np.float32)
    image = np.random.default_rng(0).integers(0, 256, (110, 100, 3)).astype(np.uint8)
    still = Augmentation(**{f.name: False if f.name == "whole_px" else 0.0 for f in dataclasses.fields(Augmentation)})
    for network in (NetworkConfig(), published_config(), NetworkConfig(template="arcface", size=112, channels=3)):
        spec = input_spec_of(network)
        whole = crop_matrix(image, points, spec)
        shaken = crop_matrix(image, points, spec, wobble=np.zeros((5, 2)))
        np.testing.assert_allclose(shaken, whole, atol=1e-4)
        rng = np.random.default_rng(3)
        crop = crop_face(image, points, spec).astype(int)
        for _ in range(6):
            undisturbed = augment(image, points, spec, still, rng)
            # Or its mirror, whose places are rounded to 32nds of a pixel the other way: 255 / 32 levels in this noise.
            assert abs(undisturbed - crop).max() <= 1 or abs(undisturbed - crop[:, ::-1]).max() <= 8
        moved = crop_matrix(image, points, spec, wobble=np.full((5, 2), 4.0))
        np.testing.assert_allclose(moved[:, 2], whole[:, 2] - 4, atol=0.3)  # all points 4 px off: the crop is


def test_the_papers_augmentation_is_a_random_crop_and_a_flip() -> None:
    spec = input_spec_of(published_config())
    ramp = np.tile(np.arange(134, dtype=np.uint8), (134, 1))  # column c has the value c
    nan = np.full((5, 2), NAN, np.float32)
    rng = np.random.default_rng(0)
    firsts = set()
    for _ in range(300):
        crop = augment(ramp, nan, spec, AUGMENTATIONS["paper"], rng)[:, :, 0]
        row = crop[0] if crop[0, 0] < crop[0, -1] else crop[0, ::-1]
        assert (np.diff(row.astype(int)) == 1).all()  # whole pixels of the picture of 134, none resampled
        firsts.add(int(row[0]))
    assert firsts == set(range(23))  # everywhere from the left edge to the right one


# --- averages ---------------------------------------------------------------------------------------------------------


def test_strangers_are_not_averaged() -> None:
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(MultitaskCNN(NetworkConfig(size=16)))
    with pytest.raises(ModelError, match=r"b: was not trained from the same weights as a .*as an ensemble"):
        check_related(networks, ["a", "b"])
    related = MultitaskCNN(NetworkConfig(size=16))
    related.load_state_dict(networks[0].state_dict())
    with torch.no_grad():
        for weight in related.parameters():
            weight += 0.02 * torch.randn_like(weight)
    check_related([networks[0], related], ["a", "c"])


def test_pictures_of_a_manifest_may_lie_in_zips(tmp_path: Path) -> None:
    """As `affectkit train render` writes them."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", cv2.imencode(".png", picture)[1].tobytes())
    (tmp_path / "m.csv").write_text("path,AU12\na.zip/1.png,0.5\na.zip/2.png,1\n")
    faces, _ = read_manifest_faces(tmp_path / "m.csv")
    assert (faces.image(0) == picture).all()
    with pytest.raises(SourceError, match=r"2\.png: is not in the zip"):
        faces.image(1)
