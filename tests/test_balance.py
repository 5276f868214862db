"""Balancing by hand and by count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from affectkit.train.balance import (
    ClassUniformSampler,
    MlRosSampler,
    VaHistogramSampler,
    class_weights,
    imbalance_ratio,
    ml_ros,
    va_weights,
)

NAN = math.nan


def labels(*counts: int) -> np.ndarray:
    """(N, L) with one label a row, ``counts[k]`` rows of label k."""
    return np.repeat(np.eye(len(counts), dtype=bool), counts, axis=0)


def test_imbalance_ratio_by_hand() -> None:
    assert imbalance_ratio(labels(100, 50, 10, 0)).tolist() == [1, 2, 10, math.inf]


def test_ml_ros_clones_minorities_until_they_are_none() -> None:
    active = labels(400, 200, 40)
    # IRLbl 1, 2, 10, mean 13/3: only the last is a minority, until 400 / count <= 13/3, that is 93 rows: two bags of 32
    clones = ml_ros(active, np.random.default_rng(0))
    assert len(clones) == 64
    assert active[clones].sum(0).tolist() == [0, 0, 64]


def test_ml_ros_stops_at_half_the_set() -> None:
    active = labels(1000, 3)
    # mean of 1 and 333.3: 167, reached with 6 rows, so one bag is enough; a lower limit cuts even that
    assert len(ml_ros(active, np.random.default_rng(0))) == 32
    assert len(ml_ros(active, np.random.default_rng(0), limit=0.02)) == 20
    hard = labels(100, 99, 98, 2, 1)
    assert len(ml_ros(hard, np.random.default_rng(0), bag=1)) <= 150


def test_ml_ros_on_rows_with_several_labels() -> None:
    """A clone carries all labels of its row; the counts follow."""
    active = np.zeros((300, 2), bool)
    active[:, 0] = True
    active[:10, 1] = True  # the rare label comes only with the frequent one
    clones = ml_ros(active, np.random.default_rng(0))
    counts = active.sum(0) + active[clones].sum(0)
    mean = (1 + 30) / 2
    assert counts[0] / counts[1] <= mean and len(clones) <= 150


def test_ml_ros_without_anything_to_do() -> None:
    assert len(ml_ros(labels(5, 5), np.random.default_rng(0))) == 0
    assert len(ml_ros(np.zeros((5, 2), bool), np.random.default_rng(0))) == 0


def test_ml_ros_sampler_keeps_every_labelled_row() -> None:
    au = np.full((700, 8), NAN)
    au[:640, :3] = labels(400, 200, 40)
    sampler = MlRosSampler(au, seed=1)
    order = sampler.order()
    assert set(order.tolist()) == set(range(640)) and len(sampler) == len(order) == 704
    assert (sampler.order() == order).all()
    sampler.set_epoch(1)
    assert (sampler.order() != order).any()


def test_every_epoch_is_equally_long() -> None:
    """Training counts on it; random bags of faces with several units could end a little earlier or later."""
    rng = np.random.default_rng(15)
    active = rng.random((300, 8)) < rng.random(8) ** 3 * 0.6
    assert len({len(ml_ros(active, np.random.default_rng((0, epoch)))) for epoch in range(12)}) > 1
    sampler = MlRosSampler(active.astype(float), seed=0)
    lengths = set()
    for epoch in range(12):
        sampler.set_epoch(epoch)
        lengths.add(len(sampler.order()))
    assert lengths == {len(sampler)}


def test_class_weights_by_hand() -> None:
    assert class_weights(np.array([0, 0, 0, 2, NAN])).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 0])


def test_every_expression_is_equally_likely() -> None:
    expression = np.array([0] * 5000 + [1] * 900 + [2] * 100 + [NAN] * 50)
    order = ClassUniformSampler(expression, seed=0).order()
    assert len(order) == 6000
    share = np.bincount(expression[order].astype(int)) / 6000
    assert share == pytest.approx([1 / 3] * 3, abs=0.03)


def test_va_weights_by_hand() -> None:
    va = np.array([[-1, -1], [-1, -1], [1, 1], [0, 0], [NAN, 0]])
    assert va_weights(va).tolist() == [0.5, 0.5, 1, 1, 0]
    # over the labels' own range: these two are far apart although both lie in [0, .02]
    assert va_weights(np.array([[0, 0], [0.02, 0.02], [0.02, 0.02]])).tolist() == [1, 0.5, 0.5]
    assert va_weights(np.array([[0.3, 0.3], [0.3, 0.3]])).tolist() == [0.5, 0.5]


def test_every_bin_is_equally_likely() -> None:
    va = np.array([[-0.9, -0.9]] * 3000 + [[0.9, 0.9]] * 300 + [[NAN, NAN]] * 10)
    order = VaHistogramSampler(va, seed=3).order()
    assert len(order) == 3300 and (va[order, 0] > 0).mean() == pytest.approx(0.5, abs=0.04)


def test_nothing_to_sample() -> None:
    with pytest.raises(ValueError, match="is there any label"):
        ClassUniformSampler(np.full(4, NAN))
