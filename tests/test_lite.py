"""The embedded default: what it says of a real face, of what hides it, and of faces judged by eye."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affectkit import Predictor, models, open_source
from affectkit.train.crops import crop_all
from affectkit.train.reading import read_set

ROOT = Path(__file__).parents[1]
LOWER = ("AU10", "AU12", "AU14", "AU15", "AU17", "AU18", "AU20", "AU23", "AU24", "AU25", "AU26")


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor("lite") as opened:
        yield opened


@pytest.fixture(scope="module")
def face(astronaut: Path) -> np.ndarray:
    """The first picture of the sample, RGB (H, W, 3)."""
    return next(open_source(astronaut).frames()).picture.rgb().copy()


def test_a_smile(predictor: Predictor, face: np.ndarray) -> None:
    (found,) = predictor.predict_image(face)
    affect = found.affect
    units = affect.action_units
    assert len(units) == len(affect.intensities) == 19
    assert units["AU12"] > 0.7 and units["AU25"] > 0.7 and affect.intensities["AU12"] > 0.5
    assert units["AU15"] < 0.3 and units["AU43"] < 0.3 and units["AU04"] < 0.3
    assert affect.expression == "happiness" and affect.valence > 0.5
    assert not affect.au_hidden.any() and affect.quality > 0.5
    assert affect.visible_upper > 0.8 and affect.visible_lower > 0.8
    assert affect.pose is not None and np.abs(affect.pose).max() < 35


def test_nothing_is_said_of_a_mouth_behind_a_mask(predictor: Predictor, face: np.ndarray) -> None:
    (found,) = predictor.predict_image(face)
    eyes, nose, mouth = found.landmarks[:2].mean(0), found.landmarks[2], found.landmarks[3:].mean(0)
    masked, down = face.copy(), mouth - eyes
    top, bottom = int(nose[1] - 0.1 * down[1]), int(mouth[1] + 0.9 * down[1])
    masked[top:bottom, int(eyes[0] - 1.3 * down[1]) : int(eyes[0] + 1.3 * down[1])] = (150, 190, 220)
    (hidden,) = predictor.predict_image(masked, landmarks=found.landmarks[None])
    units = hidden.affect.action_units
    assert hidden.affect.visible_lower < 0.3 < hidden.affect.visible_upper
    assert all(np.isnan(units[name]) for name in LOWER) and not np.isnan(units["AU01"])


def test_a_face_on_its_head_is_turned_or_left_empty(predictor: Predictor, face: np.ndarray) -> None:
    spec = predictor.spec
    (found,) = predictor.predict_image(face)
    points = (np.array(face.shape[1::-1]) - 1 - found.landmarks)[[1, 0, 2, 4, 3]]  # as a detector would place them
    (over,) = predictor.predict_image(np.ascontiguousarray(face[::-1, ::-1]), landmarks=points[None])
    assert spec.visibility_thresholds is not None
    assert over.affect.au_hidden.all() or over.affect.expression == "happiness"


def test_balanced_answers_need_a_prior_which_it_states() -> None:
    spec = models.read_spec(models.find("lite"))
    assert spec.expression_prior is not None and sum(spec.expression_prior) == pytest.approx(1, abs=0.01)
    with Predictor("lite", prior="balanced") as balanced:
        affects = balanced.predict_aligned(np.full((1, 64, 64, 1), 127, np.uint8))
    assert len(affects) == 1


@pytest.mark.slow
def test_faces_judged_by_eye(shared: Path, predictor: Predictor) -> None:
    """Plain cases of FER+, one coder, never trained on: how often a face with a unit scores over one without."""
    judged = pd.read_csv(ROOT / "benchmarks" / "data" / "ferplus_by_eye.csv")
    data = shared / "data"
    files = data / "ferplus_labels.csv", data / "ferplus_images.zip", data / "ferplus_landmarks.npz"
    every = read_set(*files, prefix="FER2013Train/")
    places = {name: i for i, name in enumerate(every.names)}
    faces = every.take(np.array([places[name] for name in judged["image"]]))
    affects = predictor.predict_aligned(crop_all(faces, range(len(faces)), predictor.spec.input))
    units = pd.DataFrame([affect.action_units for affect in affects])
    for unit, least in {
        "AU1": 0.97,
        "AU2": 0.95,
        "AU4": 0.93,
        "AU6": 0.97,
        "AU12": 0.95,
        "AU15": 0.93,
        "AU25": 0.97,
    }.items():
        score = units[f"AU{int(unit[2:]):02d}"]
        known = judged[unit].notna() & score.notna()
        present, absent = score[known & (judged[unit] == 1)], score[known & (judged[unit] == 0)]
        assert (present.to_numpy()[:, None] > absent.to_numpy()).mean() >= least, unit
    assert pd.isna(units).to_numpy().mean() < 0.05


def test_what_was_measured_is_put_into_a_card(tmp_path: Path) -> None:
    """scripts/show_truth.py: the new tables stand in the card, and the folder is whole."""
    pytest.importorskip("onnx")
    folder = tmp_path / "lite"
    shutil.copytree(models.find("lite"), folder)
    (tmp_path / "truth.md").write_text("# Action units against the truth of rendered heads\n\nmeasured now: .42\n")
    script = Path(__file__).resolve().parents[1] / "scripts" / "show_truth.py"
    run = subprocess.run([sys.executable, script, tmp_path / "truth.md", folder], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "measured now: .42" in card and "## Action units on photographs, judged by eye" in card
    assert "**What renderings cannot prove**" in card, "it is no part of what was measured"
    assert models.load(folder).spec.metrics == models.load("lite").spec.metrics
