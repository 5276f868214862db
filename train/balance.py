"""Balancing: which faces an epoch shows how often, so that rare labels are learned too.

Each sampler is a torch Sampler whose order depends on its seed and epoch alone, so that a run can be resumed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from affectkit.types import Array

Index = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

VA_GRID = 20
"""Bins of the valence-arousal histogram along each axis."""

BAG = 32
"""Faces that ML-ROS clones at a time."""

CLONE_LIMIT = 0.5
"""Share of the set that ML-ROS clones at most."""


def imbalance_ratio(active: Array) -> Float:
    """IRLbl of each label: the count of the most frequent label over its own (Charte et al., Neurocomputing 2015).

    Args:
        active: (N, L) booleans.

    Returns:
        (L,) >= 1; infinity for a label that never occurs.
    """
    counts = active.sum(0).astype(np.float64)
    most = counts.max(initial=0.0)
    return np.asarray(np.divide(most, counts, out=np.full_like(counts, np.inf), where=counts > 0))


def ml_ros(
    active: Array,
    rng: np.random.Generator,
    *,
    bag: int = BAG,
    limit: float = CLONE_LIMIT,
    target: float | None = None,
) -> Index:
    """Rows to add by ML-ROS (Charte et al., Neurocomputing 2015).

    A label whose IRLbl is over the mean is a minority. Random bags of its rows are cloned, one minority after the
    other, until its IRLbl has fallen to the mean (as it was at the beginning) or ``limit`` of the set has been cloned.
    Labels that never occur are left out of the mean: nothing could be cloned for them.

    Args:
        active: (N, L) booleans.
        target: an IRLbl to reach instead of the mean.

    Returns:
        indices of the clones, which may repeat.
    """
    ratios = imbalance_ratio(active)
    occurring = np.isfinite(ratios)
    if not occurring.any():
        return np.empty(0, np.int64)
    mean = float(ratios[occurring].mean()) if target is None else target
    minorities = [int(label) for label in np.flatnonzero(occurring & (ratios > mean))]
    rows_of = {label: np.flatnonzero(active[:, label]) for label in minorities}
    counts = active.sum(0).astype(np.int64)
    budget = int(limit * len(active))
    clones: list[Index] = []
    while minorities and budget > 0:
        for label in list(minorities):
            take = rng.choice(rows_of[label], size=min(bag, budget))
            clones.append(take)
            counts += active[take].sum(0)
            budget -= len(take)
            if counts.max() / counts[label] <= mean:
                minorities.remove(label)
            if budget <= 0:
                break
    return np.concatenate(clones) if clones else np.empty(0, np.int64)


def class_weights(labels: Array) -> Float:
    """(N,) sampling weights 1 / count(class), 0 where the label is NaN: every class is equally likely."""
    weights = np.zeros(len(labels))
    for value in np.unique(labels[~np.isnan(labels)]):
        members = labels == value
        weights[members] = 1 / members.sum()
    return weights


def va_cells(va: Array, *, bins: int = VA_GRID) -> Index:
    """(N,) number of each row's cell (valence * bins + arousal) of a grid over the labels' own range; -1 unlabelled."""
    cells = np.full(len(va), -1, np.int64)
    labelled = ~np.isnan(va).any(1)
    if not labelled.any():
        return cells
    values = va[labelled].astype(np.float64)
    low, high = values.min(0), values.max(0)
    span = np.where(high > low, high - low, 1.0)
    cell = np.minimum(((values - low) / span * bins).astype(int), bins - 1)  # the upper edge belongs to the last bin
    cells[labelled] = cell[:, 0] * bins + cell[:, 1]
    return cells


def va_weights(va: Array, *, bins: int = VA_GRID) -> Float:
    """(N,) sampling weights 1 / count(bin) on a 2-d histogram over the labels' own range, 0 where unlabelled."""
    weights = np.zeros(len(va))
    cells = va_cells(va, bins=bins)
    labelled = cells >= 0
    weights[labelled] = 1 / np.bincount(cells[labelled], minlength=bins * bins)[cells[labelled]]
    return weights


class EpochSampler(Sampler[int]):
    """An order of rows for every epoch; ``set_epoch`` chooses which."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Move to another epoch; the same number always gives the same order."""
        self._epoch = epoch

    def order(self) -> Index:
        """The rows of this epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng((self._seed, self._epoch))


class MlRosSampler(EpochSampler):
    """All rows and ML-ROS's clones of those with rare action units, shuffled."""

    def __init__(
        self, au: Array, *, seed: int = 0, bag: int = BAG, limit: float = CLONE_LIMIT, target: float | None = None
    ) -> None:
        """``au``: (N, A) in [0, 1], active at >= 0.5, NaN where unlabelled; rows without any label are left out."""
        super().__init__(seed)
        labelled = np.flatnonzero(~np.isnan(au).all(1))
        # Cloned once, as the method does beforehand: so every epoch has the same length, which training counts on.
        clones = ml_ros(
            np.nan_to_num(au[labelled]) >= 0.5, np.random.default_rng(seed), bag=bag, limit=limit, target=target
        )
        self._rows = np.concatenate([labelled, labelled[clones]])

    def order(self) -> Index:
        """See :class:`EpochSampler`."""
        return np.asarray(self._rng().permutation(self._rows))

    def __len__(self) -> int:
        return len(self._rows)


class WeightedSampler(EpochSampler):
    """As many draws as there are rows with a weight, with replacement, each row by its weight."""

    def __init__(self, weights: Float, *, seed: int = 0) -> None:
        super().__init__(seed)
        if not (weights >= 0).all() or not weights.any():
            raise ValueError("weights must not be negative, and one must be positive: is there any label?")
        self._probability = weights / weights.sum()
        self._count = int((weights > 0).sum())

    def order(self) -> Index:
        """See :class:`EpochSampler`."""
        return np.asarray(self._rng().choice(len(self._probability), size=self._count, p=self._probability))

    def __len__(self) -> int:
        return self._count


class ClassUniformSampler(WeightedSampler):
    """Every expression equally likely."""

    def __init__(self, expression: Array, *, seed: int = 0) -> None:
        """``expression``: (N,) class index, NaN where unlabelled."""
        super().__init__(class_weights(expression), seed=seed)


class VaHistogramSampler(WeightedSampler):
    """Every occupied bin of the valence-arousal histogram equally likely."""

    def __init__(self, va: Array, *, bins: int = VA_GRID, seed: int = 0) -> None:
        """``va``: (N, 2), NaN where unlabelled."""
        super().__init__(va_weights(va, bins=bins), seed=seed)
