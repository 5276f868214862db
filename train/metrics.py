"""What evaluation reports. Pure functions on numpy arrays; NaN marks a missing label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affectkit.types import AU_NAMES, EXPRESSION_NAMES, Array

Float = npt.NDArray[np.float64]


def confusion_matrix(truth: Array, predicted: Array, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes) counts, rows the truth, columns the prediction."""
    flat = np.bincount(truth.astype(int) * classes + predicted.astype(int), minlength=classes * classes)
    return np.asarray(flat.reshape(classes, classes), np.int64)


def f1_by_class(confusion: Array) -> Float:
    """F1 of each class; 0 for one that is neither there nor predicted."""
    hits = np.diag(confusion).astype(float)
    involved = confusion.sum(0) + confusion.sum(1)
    return np.asarray(np.divide(2 * hits, involved, out=np.zeros_like(hits), where=involved > 0), np.float64)


def binary_f1(truth: Array, predicted: Array) -> float:
    """F1 of the positive class; 0 where there is neither a positive nor a prediction of one."""
    truth, predicted = truth.astype(bool), predicted.astype(bool)
    involved = int(truth.sum() + predicted.sum())
    return 2 * int((truth & predicted).sum()) / involved if involved else 0.0


def best_f1_threshold(truth: Array, probability: Array) -> tuple[float, float]:
    """The threshold (>=) of best F1 and that F1.

    Thresholds lie midway between neighbouring probabilities, so that the choice does not hang on one picture's value.
    Without a positive the answer is (0.5, 0.0).
    """
    truth = truth.astype(bool)
    if not truth.any():
        return 0.5, 0.0
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order].astype(np.float64)
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + hits[-1])
    last_of_ties = np.append(ranked[1:] < ranked[:-1], True)  # a cut cannot fall between equal probabilities
    best = int(np.argmax(np.where(last_of_ties, f1, -1)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2), float(f1[best])


def pearson(x: Array, y: Array) -> float:
    """Pearson's correlation; 0 where one of the two is constant."""
    x, y = x.astype(np.float64) - x.mean(dtype=np.float64), y.astype(np.float64) - y.mean(dtype=np.float64)
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else 0.0


def ccc(x: Array, y: Array) -> float:
    """Concordance correlation coefficient (Lin, Biometrics 1989), population moments."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / spread) if spread > 0 else 0.0


def expected_calibration_error(probability: Array, truth: Array, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al., ICML 2017).

    Args:
        probability: (N, classes).
        truth: (N,) class indices.
    """
    confidence = probability.max(1)
    correct = probability.argmax(1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = 0.0
    for b in range(bins):
        inside = which == b
        if inside.any():
            gap += inside.mean() * abs(float(correct[inside].mean()) - float(confidence[inside].mean()))
    return float(gap)


def report(
    *,
    expression: Array,
    au: Array,
    va: Array,
    expression_probability: Array,
    au_probability: Array,
    va_predicted: Array,
    au_thresholds: Array,
) -> dict[str, object]:
    """The JSON object of ``affectkit train evaluate``.

    A part without any label is null. An AU label counts as active at >= 0.5.

    Args:
        expression: (N,) class index, NaN where unlabelled.
        au: (N, 8) in [0, 1], NaN where unlabelled.
        va: (N, 2), NaN where unlabelled.
        expression_probability: (N, 7).
        au_probability: (N, 8).
        va_predicted: (N, 2).
        au_thresholds: (8,).
    """
    labelled = ~np.isnan(expression)
    truth = expression[labelled].astype(int)
    expression_part: dict[str, object] | None = None
    ece: float | None = None
    if labelled.any():
        probability = expression_probability[labelled]
        confusion = confusion_matrix(truth, probability.argmax(1), len(EXPRESSION_NAMES))
        f1 = f1_by_class(confusion)
        expression_part = {
            "count": int(labelled.sum()),
            "accuracy": float((probability.argmax(1) == truth).mean()),
            "macro_f1": float(f1.mean()),
            "f1": dict(zip(EXPRESSION_NAMES, map(float, f1), strict=True)),
            "confusion": confusion.tolist(),
        }
        ece = expected_calibration_error(probability, truth)
    return {
        "count": len(expression),
        "expression": expression_part,
        "au": _au_report(au, au_probability, au_thresholds),
        "va": _va_report(va, va_predicted),
        "ece": ece,
    }


def _au_report(au: Array, probability: Array, thresholds: Array) -> dict[str, object] | None:
    if np.isnan(au).all():
        return None
    columns: dict[str, dict[str, float | None]] = {"pearson": {}, "f1": {}, "best_f1": {}}
    for k, name in enumerate(AU_NAMES):
        labelled = ~np.isnan(au[:, k])
        label, p = au[labelled, k], probability[labelled, k]
        published = f"AU{int(name[2:])}"  # the label files write AU1, not AU01
        there = bool(labelled.any())
        columns["pearson"][published] = pearson(label, p) if there else None
        columns["f1"][published] = binary_f1(label >= 0.5, p >= thresholds[k]) if there else None
        columns["best_f1"][published] = best_f1_threshold(label >= 0.5, p)[1] if there else None
    return {
        name: {"mean": float(np.mean([v for v in column.values() if v is not None])), **column}
        for name, column in columns.items()
    }


def _va_report(va: Array, predicted: Array) -> dict[str, object] | None:
    labelled = ~np.isnan(va).any(1)
    if not labelled.any():
        return None
    return {
        name: {
            "ccc": ccc(predicted[labelled, k], va[labelled, k]),
            "rmse": float(np.sqrt(np.mean((predicted[labelled, k] - va[labelled, k]) ** 2))),
        }
        for k, name in enumerate(("valence", "arousal"))
    }
