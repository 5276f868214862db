"""Rows of logits + the model's spec -> Affect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from affectkit.errors import EngineError
from affectkit.spec import ModelSpec
from affectkit.types import AU_NAMES, EXPRESSION_NAMES, Affect, Array

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


def check_outputs(outputs: Mapping[str, Array], spec: ModelSpec, faces: int) -> None:
    """Refuse answers that are not what the spec promises.

    Raises:
        EngineError: an output is missing or misshaped, so the network and its model.json do not belong together.
    """
    widths = {"expression": len(spec.expression_labels), "au": len(spec.au_labels), "va": 2 * spec.va_bins}
    for name, width in widths.items():
        want = (spec.members, faces, width)
        got = outputs[name].shape if name in outputs else None
        if got != want:
            raise EngineError(f"model {spec.name!r}: output {name!r} should be {want}, got {got}")


def read_out(outputs: Mapping[str, Array], spec: ModelSpec) -> list[Affect]:
    """Decode the network's answer.

    The expression logits are divided by the spec's temperature (Guo et al., ICML 2017) before anything else.

    With ``ensemble="probabilities"`` the members' probabilities and decoded values are averaged, with ``"logits"``
    their logits, before decoding. The spread is the members' (population) standard deviation in both cases.

    Args:
        outputs: ``expression`` (M, N, 7), ``au`` (M, N, 8), ``va`` (M, N, 40) logits of M members for N faces.

    Returns:
        one Affect a face, labels in the order of ``affectkit.types`` whatever the spec's order is.
    """
    expression_order = [spec.expression_labels.index(name) for name in EXPRESSION_NAMES]
    au_order = [spec.au_labels.index(name) for name in AU_NAMES]
    expression = outputs["expression"][:, :, expression_order] / spec.expression_temperature
    au = outputs["au"][:, :, au_order]
    thresholds = np.asarray(spec.au_thresholds)[au_order]
    members_au = sigmoid(au)
    members_va = decode_va(outputs["va"], spec.va_bins)
    if spec.ensemble == "logits":
        expression_p = softmax(expression.mean(0))
        au_p = sigmoid(au.mean(0))
        va = decode_va(outputs["va"].mean(0), spec.va_bins)
    else:
        expression_p, au_p, va = softmax(expression).mean(0), members_au.mean(0), members_va.mean(0)
    several = len(au) > 1
    au_std, va_std = members_au.std(0), members_va.std(0)
    return [
        Affect(
            expression_probabilities=expression_p[i].astype(np.float32),
            au_probabilities=au_p[i].astype(np.float32),
            au_active=au_p[i] >= thresholds,
            valence=float(va[i, 0]),
            arousal=float(va[i, 1]),
            au_std=au_std[i].astype(np.float32) if several else None,
            valence_std=float(va_std[i, 0]) if several else None,
            arousal_std=float(va_std[i, 1]) if several else None,
        )
        for i in range(len(au_p))
    ]
