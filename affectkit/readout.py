"""Rows of logits + the model's spec -> Affect."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from affectkit.errors import EngineError
from affectkit.face_results import Affect
from affectkit.spec import FURTHER, TASKS, ModelSpec, Prior
from affectkit.types import Array

Float = npt.NDArray[np.float64]


def softmax(logits: Array) -> Float:
    """Over the last axis, without overflow."""
    shifted = logits.astype(np.float64)
    exponent = np.exp(shifted - shifted.max(-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(-1, keepdims=True))


def sigmoid(logits: Array) -> Float:
    """Elementwise, without overflow."""
    x = logits.astype(np.float64)
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, e) / (1 + e))


def decode_va(logits: Array, bins: int) -> Float:
    """(..., 2 * bins) -> (..., 2) valence, arousal: the expectation over the bin centres ``linspace(-1, 1, bins)``."""
    probability = softmax(logits.reshape(*logits.shape[:-1], 2, bins))
    return np.asarray(probability @ np.linspace(-1, 1, bins))


def visibility_of(outputs: Mapping[str, Array], spec: ModelSpec) -> Float:
    """(N, 3) visible share of brows, eyes and mouth, 0..1, of the output ``visibility`` (M, N, 3)."""
    return _averaged(outputs["visibility"], spec)


def _averaged(logits: Array, spec: ModelSpec) -> Float:
    """(M, N, C) logits of M members -> (N, C) values of 0..1, by the ensemble's rule."""
    return sigmoid(logits.mean(0)) if spec.ensemble == "logits" else np.asarray(sigmoid(logits).mean(0))


def check_outputs(outputs: Mapping[str, Array], spec: ModelSpec, faces: int, *, recurrent: bool = False) -> None:
    """Refuse answers that are not what the spec promises.

    Args:
        recurrent: they are of the temporal network, which says nothing of intensity, visibility and pose.

    Raises:
        EngineError: an output is missing, misshaped, or one that the model does not have by its spec, so the network
            and its model.json do not belong together.
    """
    widths = spec.task_widths | ({} if recurrent else spec.further_widths)
    for name in TASKS if recurrent else (*TASKS, *FURTHER):
        want = (spec.members, faces, widths[name]) if name in widths else None
        got = outputs[name].shape if name in outputs else None
        if got != want:
            raise EngineError(f"model {spec.name!r}: output {name!r} should be {want}, got {got}")


@lru_cache(maxsize=64)
def _places(wanted: tuple[str, ...], given: tuple[str, ...]) -> list[int]:
    """Where in the network's answer the value of each label is; the list is shared, not to be changed."""
    return [given.index(name) for name in wanted]


def _calibrated(logits: Array, spec: ModelSpec, prior: Prior) -> Array:
    """Expression logits (..., E) of the network -> those that the softmax is given."""
    if prior == "natural":
        return np.asarray(logits / spec.expression_temperature)
    spec.check_prior(prior)
    temperature = spec.balanced_temperature or spec.expression_temperature
    return np.asarray((logits - np.log(spec.expression_prior)) / temperature)  # type: ignore[arg-type]


def _expressions(outputs: Mapping[str, Array], spec: ModelSpec, prior: Prior) -> Float:
    """(N, E) probabilities in the order of the labels."""
    places = _places(spec.labels.expressions, spec.expression_labels)
    logits = _calibrated(outputs["expression"], spec, prior)[:, :, places]
    return softmax(logits.mean(0)) if spec.ensemble == "logits" else np.asarray(softmax(logits).mean(0))


def _units(outputs: Mapping[str, Array], spec: ModelSpec) -> tuple[Float, Float]:
    """(N, A) probabilities in the order of the labels, and their spread over the members."""
    logits = outputs["au"][:, :, _places(spec.labels.action_units, spec.au_labels)]
    members_au = sigmoid(logits)
    au_p = sigmoid(logits.mean(0)) if spec.ensemble == "logits" else members_au.mean(0)
    au_std = members_au.std(0)
    return np.asarray(au_p), np.asarray(au_std)


def _valence_arousal(outputs: Mapping[str, Array], spec: ModelSpec) -> tuple[Float, Float | None]:
    """(N, 2) valence and arousal, and their spread over the members."""
    members_va = decode_va(outputs["va"], spec.va_bins)
    by_logits = spec.ensemble == "logits"
    va = decode_va(outputs["va"].mean(0), spec.va_bins) if by_logits else members_va.mean(0)
    return np.asarray(va), np.asarray(members_va.std(0))


def _further(outputs: Mapping[str, Array], spec: ModelSpec, turns: Array | None) -> dict[str, Array]:
    """What a frame network says besides, by the name of the field of an Affect; arguments as of :func:`read_out`."""
    further: dict[str, Array] = {}
    if "intensity" in outputs:
        in_order = outputs["intensity"][:, :, _places(spec.labels.action_units, spec.au_labels)]
        further["au_intensities"] = _averaged(in_order, spec).astype(np.float32)
    if "visibility" in outputs:
        further["visibility"] = visibility_of(outputs, spec).astype(np.float32)
    if "pose" in outputs:
        pose = outputs["pose"].mean(0, dtype=np.float64)
        if turns is not None:
            pose[:, 2] = 180 - (180 - (pose[:, 2] + turns)) % 360
        further["pose"] = pose.astype(np.float32)
    return further


def read_out(
    outputs: Mapping[str, Array], spec: ModelSpec, prior: Prior = "natural", turns: Array | None = None
) -> list[Affect]:
    """Decode the network's answer.

    The expression logits are divided by the spec's temperature (Guo et al., ICML 2017) before anything else. With the
    prior ``balanced`` the logarithm of each class's share in training is taken from its logit first, which divides the
    network's probabilities by the shares (Saerens et al., Neural Computation 2002), and the temperature is the spec's
    ``balanced_temperature``.

    All is decoded, whether it can be seen or not: :func:`affectkit.visibility.withheld` takes out what cannot.

    With ``ensemble="probabilities"`` the members' probabilities and decoded values are averaged, with ``"logits"``
    their logits, before decoding. The spread is the members' (population) standard deviation in both cases.

    Args:
        outputs: ``expression`` (M, N, E), ``au`` (M, N, A), ``va`` (M, N, 2 * bins) logits of M members for N faces,
            each where the spec has such labels; ``intensity`` (M, N, A), ``visibility`` (M, N, 3) logits and ``pose``
            (M, N, 3) degrees where they are given.
        turns: (N,) degrees from each crop to its picture, > 0 counter-clockwise as seen, to tell the roll in the
            picture, over -180 to 180; None: the roll is that in the crop.

    Raises:
        ValueError: the answers cannot be balanced, see :meth:`affectkit.ModelSpec.check_prior`.

    Returns:
        one Affect a face, in the order of ``spec.labels`` whatever the network's order is.
    """
    labels, (members, faces) = spec.labels, outputs[spec.tasks[0]].shape[:2]
    several = members > 1
    expression_p: Array = _expressions(outputs, spec, prior) if labels.expressions else np.zeros((faces, 0))
    au_p, au_std = _units(outputs, spec) if labels.action_units else (np.zeros((faces, 0)), np.zeros((faces, 0)))
    va, va_std = _valence_arousal(outputs, spec) if labels.valence_arousal else (np.full((faces, 2), np.nan), None)
    further = _further(outputs, spec, turns)
    # Whole arrays are converted, not face by face: each Affect is given its rows of them.
    active = au_p >= spec.label_thresholds
    expression_rows, au_rows, std_rows = (
        np.ascontiguousarray(values, np.float32) for values in (expression_p, au_p, au_std)
    )
    va_values, va_stds = va.tolist(), va_std.tolist() if several and va_std is not None else None
    return [
        Affect(
            expression_probabilities=expression_rows[i],
            au_probabilities=au_rows[i],
            au_active=active[i],
            valence=va_values[i][0],
            arousal=va_values[i][1],
            au_std=std_rows[i] if several else None,
            valence_std=None if va_stds is None else va_stds[i][0],
            arousal_std=None if va_stds is None else va_stds[i][1],
            labels=labels,
            **{name: values[i] for name, values in further.items()},
        )
        for i in range(faces)
    ]
