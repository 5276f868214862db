"""samples/smiles: what was driven is found. The tutorial about two conditions stands on it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import ROOT

from affectkit import Predictor

SMILES = ROOT / "samples" / "smiles"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor()


@pytest.mark.parametrize("person", [1, 2, 3, 6])
def test_a_smile_is_found_where_one_was_driven(predictor: Predictor, person: int) -> None:
    """By how much, and when; where there was none nothing is told."""
    truth = json.loads((SMILES / "truth.json").read_text())["clips"]
    film, wait = (predictor.predict(SMILES / f"person{person}-{condition}.mp4") for condition in ("film", "wait"))
    assert len(film) == len(wait) == 60 and set(film["face_id"]) == set(wait["face_id"]) == {0}
    driven = np.array(truth[f"person{person}-film.mp4"]["AU12"])
    assert np.corrcoef(film["AU12_i"], driven)[0, 1] > 0.9 and np.nanmax(film["AU12_i"]) > 0.5 * driven.max()
    assert not any(truth[f"person{person}-wait.mp4"]["AU12"]) and np.nansum(wait["AU12_c"]) == 0
