"""Which faces make an epoch and its batches, and their labels as tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from affectkit.errors import SourceError
from affectkit.spec import InputSpec
from affectkit.train.augmentation import Augmentation, Disturbed, disturb
from affectkit.train.balance import ClassUniformSampler, EpochSampler, Index, MlRosSampler, VaHistogramSampler
from affectkit.train.faces import FaceSet
from affectkit.train.losses import Labels
from affectkit.train.occlusion import HIDDEN
from affectkit.types import Array, Float32
from affectkit.visibility import hidden_units


@dataclass(frozen=True, slots=True)
class Batch:
    """Faces and labels of one step; sequences have the labels of all their frames, one sequence after another."""

    faces: torch.Tensor  # (N, S, S, C) uint8; sequences: (B, T, S, S, C)
    labels: Labels
    rows: torch.Tensor | None = None  # (N,) which rows of the set they are; None: sequences


Sampling = Literal["mixed", "per-task"]
"""``mixed``: every face once an epoch, all its labels count. ``per-task``: the paper's way, see :func:`plan_epoch`."""

EpochLength = Literal["longest", "shortest"]
"""Which task's faces make an epoch of ``per-task`` batches."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How the faces of a set make the batches of an epoch; with the epoch's number it decides them."""

    batch_size: int
    seed: int
    sampling: Sampling = "mixed"
    balance: bool = False
    """ML-ROS for action units, class-uniform expressions, a uniform histogram of valence and arousal."""
    most: int | None = None
    """Batches an epoch has at most: balanced epochs are longer, and with it both kinds cost the same."""
    epoch_length: EpochLength = "longest"
    ml_ros_target: float | None = None
    """See :class:`affectkit.train.balance.MlRosSampler`."""


class _LabelledRows(EpochSampler):
    """Every labelled row once, shuffled."""

    def __init__(self, labelled: Array, *, seed: int) -> None:
        super().__init__(seed)
        self._rows = np.flatnonzero(labelled)

    def order(self) -> Index:
        """See :class:`EpochSampler`."""
        return np.asarray(self._rng().permutation(self._rows))


def task_samplers(
    faces: FaceSet, *, seed: int, balance: bool, ml_ros_target: float | None = None
) -> dict[str, EpochSampler]:
    """For each task that has labels, the order of its faces in an epoch: the paper's balanced one, or plain."""
    labelled = faces.labelled() | {"expression": np.asarray(~np.isnan(faces.expression))}
    balanced: dict[str, Callable[[], EpochSampler]] = {
        "expression": lambda: ClassUniformSampler(faces.expression, seed=seed),
        "au": lambda: MlRosSampler(faces.au, seed=seed + 1, target=ml_ros_target),
        "va": lambda: VaHistogramSampler(faces.va, seed=seed + 2),
    }
    samplers: dict[str, EpochSampler] = {}
    for k, (task, rows) in enumerate(labelled.items()):
        if rows.any():
            samplers[task] = balanced[task]() if balance else _LabelledRows(rows, seed=seed + k)
    return samplers


Plan = list[list[tuple[str | None, Index]]]
"""The batches of an epoch; each is a list of (task, rows), see :func:`plan_epoch`."""


def plan_epoch(faces: FaceSet, batching: Batching, epoch: int) -> Plan:
    """The rows of every batch of an epoch, which depend on the arguments alone.

    ``mixed``: each batch is one group of rows whose labels all count (task None); with ``balance`` the rows are those
    of the three balanced samplers together. ``per-task``: each batch holds one group a task, and only that task's
    labels of it count; an epoch lasts as long as the task with the most faces (those with fewer repeat), or, with
    ``epoch_length`` "shortest", as the one with the fewest.

    The last, smaller batch is left out: batch statistics of a handful of faces disturb more than they teach.

    Raises:
        SourceError: no face is labelled, or a batch is too small for a part a task.
    """
    orders: dict[str, Index] = {}
    size, most = batching.batch_size, batching.most
    if batching.sampling == "per-task" or batching.balance:
        samplers = task_samplers(
            faces, seed=batching.seed, balance=batching.balance, ml_ros_target=batching.ml_ros_target
        )
        for task, sampler in samplers.items():
            sampler.set_epoch(epoch)
            orders[task] = sampler.order()
        if not orders:
            raise SourceError("no face is labelled for any task, so there is nothing to draw")
    if batching.sampling == "mixed":
        rows = np.concatenate(list(orders.values())) if batching.balance else np.arange(len(faces))
        order = np.random.default_rng((batching.seed, epoch)).permutation(rows)
        return [[(None, order[i : i + size])] for i in range(0, len(order) - size + 1, size)[:most]]
    part = size // len(orders)
    if part < 2:
        raise SourceError(
            f"a batch of {size} has no two faces for each of {len(orders)} tasks; give --batch-size "
            f"{2 * len(orders)} or more"
        )
    extent = max if batching.epoch_length == "longest" else min
    count = extent(len(order) for order in orders.values()) // part
    wrapped = {task: np.resize(order, count * part) for task, order in orders.items()}
    return [[(task, order[k * part : (k + 1) * part]) for task, order in wrapped.items()] for k in range(count)[:most]]


def batches(
    faces: FaceSet,
    spec: InputSpec,
    batching: Batching,
    epoch: int,
    *,
    first: int = 0,
    how: Augmentation | None = None,
) -> Iterator[Batch]:
    """The batches of :func:`plan_epoch` from ``first`` on; each draw's disturbance follows from (seed, epoch, draw)."""
    how = how or Augmentation()
    plan = plan_epoch(faces, batching, epoch)
    repeats = batching.balance or batching.sampling == "per-task"  # a face may come several times in an epoch
    for step in range(first, len(plan)):
        crops, parts = [], []
        for task, rows in plan[step]:
            shown = []
            for i in rows:
                # A face drawn twice in an epoch is disturbed differently: the number of draws so far is in its seed.
                rng = np.random.default_rng((batching.seed, epoch, int(i), step if repeats else 0))
                shown.append(disturb(faces.image(i), faces.landmarks[i], spec, how, rng))
            crops += [one.crop for one in shown]
            parts.append(labels_as_seen(faces, rows, shown, task, assume_visible=how.cover > 0))
        labels = Labels(*(torch.cat([getattr(part, f.name) for part in parts]) for f in dataclasses.fields(Labels)))
        drawn = torch.from_numpy(np.concatenate([rows for _, rows in plan[step]]))
        yield Batch(torch.from_numpy(np.stack(crops)), labels, drawn)


def labels_of(faces: FaceSet, rows: Index, task: str | None = None) -> Labels:
    """The labels of some rows; all but those of ``task`` blank, if one is given."""

    def part(values: Float32, name: str) -> torch.Tensor:
        kept = values[rows] if task in (None, name) else np.full_like(values[rows], np.nan)
        return torch.from_numpy(kept)

    return Labels(part(faces.expression_target, "expression"), part(faces.au, "au"), part(faces.va, "va"))


def labels_as_seen(
    faces: FaceSet, rows: Index, shown: Sequence[Disturbed], task: str | None = None, *, assume_visible: bool = False
) -> Labels:
    """The labels of disturbed faces: what can no longer be seen is not taught, the head is turned as its crop is.

    Args:
        task: see :func:`labels_of`.
        assume_visible: regions without a label count as visible where nothing lies over them, and as hidden where there
            is no upright face.
    """
    plain = labels_of(faces, rows, task)
    expression, au, va = plain.expression.clone(), plain.au.clone(), plain.va.clone()
    intensity = torch.from_numpy(faces.intensity[rows] if task in (None, "au") else faces.intensity[rows] * np.nan)
    visible, pose = faces.visible[rows], faces.pose[rows].copy()
    if assume_visible:
        visible = np.where(np.isnan(visible), 1.0, visible)
        visible = visible * np.stack([np.ones(3) if one.seen is None else one.seen for one in shown])
    # (N, A); nothing is hidden where nothing is known.
    hidden = torch.from_numpy(hidden_units(visible < HIDDEN, faces.label_set.action_units))
    for k, one in enumerate(shown):
        pose[k] = _pose_in_crop(pose[k], one.linear)
        if not one.face:
            visible[k], pose[k], hidden[k] = 0.0 if assume_visible else np.nan, np.nan, True
            expression[k], va[k] = torch.nan, torch.nan
    au[hidden], intensity[hidden] = torch.nan, torch.nan
    return Labels(expression, au, va, intensity, torch.from_numpy(visible.astype(np.float32)), torch.from_numpy(pose))


def _pose_in_crop(pose: Array, linear: Array) -> Array:
    """(3,) pitch, yaw, roll of a head in a picture -> in the crop that ``linear`` (2, 2) makes of it, degrees."""
    mirrored = -1.0 if np.linalg.det(linear) < 0 else 1.0
    # y points down, so that a positive turn of the matrix is clockwise as seen, and roll counts the other way.
    turn = np.degrees(np.arctan2(linear[1, 0] * mirrored, linear[0, 0] * mirrored))
    return np.array([pose[0], mirrored * pose[1], mirrored * pose[2] - turn], np.float32)
