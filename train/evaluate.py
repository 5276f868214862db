"""A model folder on labelled pictures, through the SDK as a user would run it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from affectkit.predictor import Predictor
from affectkit.train.data import FaceSet, cut
from affectkit.train.loop import score
from affectkit.types import AU_NAMES, Array


def answers_of(predictor: Predictor, faces: FaceSet) -> dict[str, Array]:
    """``expression`` (N, 7) and ``au`` (N, 8) probabilities and ``va`` (N, 2); no flips or other test-time tricks."""
    spec = predictor.spec
    crops = np.stack([cut(faces.image(i), faces.landmarks[i], spec.input) for i in range(len(faces))])
    affects = predictor.predict_aligned(crops)
    return {
        "expression": np.stack([a.expression_probabilities for a in affects]),
        "au": np.stack([a.au_probabilities for a in affects]),
        "va": np.array([[a.valence, a.arousal] for a in affects]),
    }


def evaluate_model(model: str | os.PathLike[str], faces: FaceSet, *, device: str = "auto") -> dict[str, Any]:
    """``metrics.report`` of a model on ``faces``."""
    with Predictor(model, device=device, batch_size=128) as predictor:
        answers = answers_of(predictor, faces)
        spec = predictor.spec
    threshold = dict(zip(spec.au_labels, spec.au_thresholds, strict=True))
    return score(faces, answers, np.array([threshold[name] for name in AU_NAMES]))
