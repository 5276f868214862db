"""What evaluation reports. Pure functions on numpy arrays; NaN marks a missing label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affectkit.types import Array, LabelSet, published_au_name

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


class AuScore:
    """F1 and accuracy of the action units and the paper's score of both, over any number of batches."""

    def __init__(self, units: int) -> None:
        self._counts = np.zeros((units, 2, 2), np.int64)  # [unit, truth, predicted]

    def update(self, truth: Array, active: Array) -> None:
        """Count (N, A) labels, NaN where unlabelled and active at >= 0.5, against (N, A) booleans."""
        for k in range(len(self._counts)):
            labelled = ~np.isnan(truth[:, k])
            self._counts[k] += confusion_matrix(truth[labelled, k] >= 0.5, active[labelled, k], 2)

    def compute(self) -> dict[str, float]:
        """``f1``: mean of the units with labels; ``accuracy`` of all decisions; ``score``: (F1 + accuracy) / 2."""
        labelled = self._counts.sum((1, 2)) > 0
        if not labelled.any():
            return {"f1": 0.0, "accuracy": 0.0, "score": 0.0}
        f1 = float(np.mean([f1_by_class(counts)[1] for counts in self._counts[labelled]]))
        accuracy = float(np.trace(self._counts.sum(0)) / self._counts.sum())
        return {"f1": f1, "accuracy": accuracy, "score": (f1 + accuracy) / 2}


class ExpressionScore:
    """Macro F1 and accuracy of the expressions and the paper's score of both, over any number of batches."""

    def __init__(self, classes: int) -> None:
        self._counts = np.zeros((classes, classes), np.int64)

    def update(self, truth: Array, predicted: Array) -> None:
        """Count (N,) class indices, NaN where unlabelled, against (N,) class indices."""
        labelled = ~np.isnan(truth)
        self._counts += confusion_matrix(truth[labelled], predicted[labelled], len(self._counts))

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """(E, E) counts, rows the truth, columns the prediction."""
        return self._counts

    def compute(self) -> dict[str, float]:
        """``macro_f1``, ``accuracy`` and ``score``: .67 macro F1 + .33 accuracy."""
        total = int(self._counts.sum())
        f1 = float(f1_by_class(self._counts).mean())
        accuracy = float(np.trace(self._counts)) / total if total else 0.0
        return {"macro_f1": f1, "accuracy": accuracy, "score": 0.67 * f1 + 0.33 * accuracy}


class VaScore:
    """Concordance of valence and arousal over any number of batches, from sums: nothing is kept of a batch."""

    def __init__(self) -> None:
        self._sums = np.zeros((2, 5))  # of x, y, x^2, y^2, xy for valence and arousal
        self._count = 0

    def update(self, truth: Array, predicted: Array) -> None:
        """Add (N, 2) labels, NaN where unlabelled, and (N, 2) predictions."""
        labelled = ~np.isnan(truth).any(1)
        x, y = predicted[labelled].astype(np.float64), truth[labelled].astype(np.float64)
        self._sums += np.stack([x.sum(0), y.sum(0), (x * x).sum(0), (y * y).sum(0), (x * y).sum(0)], axis=1)
        self._count += int(labelled.sum())

    def compute(self) -> dict[str, float]:
        """``valence`` and ``arousal``: the CCC of each (:func:`ccc`); ``score``: their mean."""
        values = []
        for x, y, xx, yy, xy in self._sums / max(1, self._count):
            spread = (xx - x * x) + (yy - y * y) + (x - y) ** 2
            values.append(float(2 * (xy - x * y) / spread) if spread > 0 else 0.0)
        return {"valence": values[0], "arousal": values[1], "score": (values[0] + values[1]) / 2}


def report(
    *,
    expression: Array,
    au: Array,
    va: Array,
    expression_probability: Array,
    au_probability: Array,
    va_predicted: Array,
    au_thresholds: Array,
    labels: LabelSet,
) -> dict[str, object]:
    """The JSON object of ``affectkit train evaluate``.

    A part without any label, or that the model does not answer, is null. An AU label counts as active at >= 0.5.
    ``scores`` are the paper's: AU (F1 + accuracy) / 2, expression .67 macro F1 + .33 accuracy, VA the mean CCC.

    Args:
        expression: (N,) class index, NaN where unlabelled.
        au: (N, A) in [0, 1], NaN where unlabelled.
        va: (N, 2), NaN where unlabelled.
        expression_probability: (N, E).
        au_probability: (N, A).
        va_predicted: (N, 2).
        au_thresholds: (A,).
        labels: names of the E expressions and A action units.
    """
    labelled = ~np.isnan(expression) if labels.expressions else np.zeros(len(expression), bool)
    if not labels.valence_arousal:
        va = np.full_like(va, np.nan)
    expression_part: dict[str, object] | None = None
    ece: float | None = None
    scores: dict[str, float] = {}
    if labelled.any():
        counted = ExpressionScore(len(labels.expressions))
        counted.update(expression, expression_probability.argmax(1))
        result = counted.compute()
        expression_part = {
            "count": int(labelled.sum()),
            "accuracy": result["accuracy"],
            "macro_f1": result["macro_f1"],
            "f1": dict(zip(labels.expressions, map(float, f1_by_class(counted.confusion)), strict=True)),
            "labels": list(labels.expressions),
            "confusion": counted.confusion.tolist(),
        }
        ece = expected_calibration_error(expression_probability[labelled], expression[labelled].astype(int))
        scores["expression"] = result["score"]
    if not np.isnan(au).all():
        decided = AuScore(len(labels.action_units))
        decided.update(au, au_probability >= au_thresholds)
        scores["au"] = decided.compute()["score"]
    if not np.isnan(va).any(1).all():
        concordance = VaScore()
        concordance.update(va, va_predicted)
        scores["va"] = concordance.compute()["score"]
    return {
        "count": len(expression),
        "expression": expression_part,
        "au": _au_report(au, au_probability, au_thresholds, labels.action_units),
        "va": _va_report(va, va_predicted),
        "ece": ece,
        "scores": scores,
    }


def _au_report(au: Array, probability: Array, thresholds: Array, units: tuple[str, ...]) -> dict[str, object] | None:
    if np.isnan(au).all():
        return None
    columns: dict[str, dict[str, float | None]] = {"pearson": {}, "f1": {}, "best_f1": {}}
    for k, name in enumerate(units):
        labelled = ~np.isnan(au[:, k])
        label, p = au[labelled, k], probability[labelled, k]
        published = published_au_name(name)
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
