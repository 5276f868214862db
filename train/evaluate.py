"""A model folder on labelled pictures, through the SDK as a user would run it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from affectkit.predictor import Predictor
from affectkit.train import metrics
from affectkit.train.data import FaceSet, cut
from affectkit.types import AU_NAMES


def evaluate_model(model: str | os.PathLike[str], faces: FaceSet, *, device: str = "auto") -> dict[str, Any]:
    """``metrics.report`` of a model on ``faces``; without flips or any other test-time trick."""
    with Predictor(model, device=device, batch_size=128) as predictor:
        spec = predictor.spec
        crops = np.stack([cut(faces.image(i), faces.landmarks[i], spec.input) for i in range(len(faces))])
        affects = predictor.predict_aligned(crops)
    threshold = dict(zip(spec.au_labels, spec.au_thresholds, strict=True))
    return metrics.report(
        expression=faces.expression,
        au=faces.au,
        va=faces.va,
        expression_probability=np.stack([a.expression_probabilities for a in affects]),
        au_probability=np.stack([a.au_probabilities for a in affects]),
        va_predicted=np.array([[a.valence, a.arousal] for a in affects]),
        au_thresholds=np.array([threshold[name] for name in AU_NAMES]),
    )
