"""Features of videos whose labels are exact, for recurrent heads that otherwise learn from made sequences alone.

Rendered faces (`affectkit train render --sequences`) move as faces do: units come, stay and go, and mouths speak on
faces that are neutral. What the network sees is disturbed like made sequences (:mod:`affectkit.train.synthetic`); what
it should say are the labels, and, where there are none, what a teacher says of the clean frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from affectkit.predictor import Predictor
from affectkit.spec import InputSpec
from affectkit.train.crops import crop_all, crop_matrix, cropped
from affectkit.train.faces import FaceSet
from affectkit.train.sequences import videos
from affectkit.train.synthetic import DISTURBANCE, Disturbance, Trouble
from affectkit.train.synthetic_run import MadeFeatures, ask_teachers
from affectkit.types import Array, Float32, UInt8
from affectkit.visibility import hidden_units

NAMED = 0.9
"""Probability of the expression that a frame is labelled with, the rest goes to all of them alike: no label is sure."""

SEEN = 0.5
"""Visible share of a region from which on its units' labels count."""


def moving_features(
    faces: FaceSet,
    cnn: Predictor,
    teachers: Sequence[Predictor],
    *,
    length: int,
    severities: Callable[[np.random.Generator], float],
    seed: int,
    on_sequence: Callable[[int], None] = lambda _: None,
) -> MadeFeatures:
    """The first ``length`` frames of every video that has as many, and what the heads should say of them.

    Args:
        faces: frames with the labels of the networks; see :func:`affectkit.train.sequences.videos`.
        cnn, teachers, severities, seed: as for :func:`affectkit.train.synthetic_run.make_features`.

    Returns:
        ``rows`` is -1 everywhere: no frame shows a face of the set that the made sequences are made of.
    """
    parts: dict[str, list[Array]] = {name: [] for name in ("features", "expression", "au", "va")}
    for k, rows in enumerate(rows for rows in videos(faces) if len(rows) >= length):
        rng = np.random.default_rng((seed, k))
        shown = faces.take(rows[:length])
        clean, disturbed = crops_of(shown, cnn.spec.input, severity=severities(rng), rng=rng)
        _, seen = cnn.predict_aligned(disturbed, return_logits=True)
        parts["features"].append(seen["features"][0])
        for name, values in targets_of(shown, ask_teachers(teachers, clean)).items():
            parts[name].append(values)
        on_sequence(k + 1)
    stacked = {name: np.stack(part).astype(np.float32) for name, part in parts.items()}
    return MadeFeatures(**stacked, rows=np.full(stacked["expression"].shape[:2], -1, np.int64))


def crops_of(
    shown: FaceSet, spec: InputSpec, *, severity: float, rng: np.random.Generator, how: Disturbance = DISTURBANCE
) -> tuple[UInt8, UInt8]:
    """Clean and disturbed crops of consecutive frames, each (N, S, S, C); equal at severity 0."""
    size, channels = spec.size, spec.channels
    trouble = Trouble(len(shown), size, severity, how, rng)
    clean = crop_all(shown, range(len(shown)), spec)
    if severity == 0:
        return clean, clean.copy()
    disturbed = np.empty_like(clean)
    for i in range(len(shown)):
        image = shown.image(i)
        wobble = rng.normal(0, how.jitter * severity * size, (5, 2))
        matrix = crop_matrix(image, shown.landmarks[i], spec, wobble=wobble)
        disturbed[i] = trouble.apply(cropped(image, matrix, size, channels), i)
    return clean, disturbed


def targets_of(shown: FaceSet, taught: dict[str, Array]) -> dict[str, Float32]:
    """What the heads should say of the frames of one video.

    An expression that is named counts for ``NAMED``, and a unit's label where what shows it is seen. Valence and
    arousal are the teacher's, of all frames with the same named expression together: a mouth that speaks is no change
    of mood.

    Args:
        shown: N frames.
        taught: ``expression`` (N, E), ``au`` (N, A) and ``va`` (N, 2, bins) probabilities.
    """
    expression, va = taught["expression"].astype(np.float32), taught["va"].astype(np.float32)
    classes = expression.shape[1]
    for k in range(classes):
        named = shown.expression == k
        if named.any():
            expression[named] = (1 - NAMED) / classes
            expression[named, k] += NAMED
            va[named] = va[named].mean(0)
    # A region of which nothing is known counts as seen.
    known = ~np.isnan(shown.au) & ~hidden_units(shown.visible < SEEN, shown.label_set.action_units)
    return {"expression": expression, "au": np.where(known, shown.au, taught["au"]).astype(np.float32), "va": va}


def joined(made: MadeFeatures, moving: MadeFeatures) -> MadeFeatures:
    """Both kinds of sequences as one set."""
    return MadeFeatures(
        **{
            name: np.concatenate([getattr(made, name), getattr(moving, name)])
            for name in ("features", "expression", "au", "va", "rows")
        }
    )
