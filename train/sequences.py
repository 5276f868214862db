"""Frames of a video as sequences, for the CNN-RNN: which frames go together, batches of them, and answers in order.

A video's frames are taken in the order of their numbers; a number that is missing (no face was found) is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from affectkit.errors import SourceError
from affectkit.spec import InputSpec
from affectkit.train.augmentation import Augmentation, augment
from affectkit.train.balance import Index
from affectkit.train.batches import Batch, Batching, labels_of
from affectkit.train.crops import crop_all
from affectkit.train.faces import FaceSet
from affectkit.train.losses import Labels
from affectkit.train.networks import MultitaskCNNRNN
from affectkit.types import Array
from affectkit.windows import paper_windows


def videos(faces: FaceSet) -> list[Index]:
    """The rows of each person in each video by frame number, in the order of their first rows.

    Raises:
        SourceError: no face names the video and frame it comes from.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for i, name in enumerate(faces.video):
        if name and not np.isnan(faces.frame[i]):
            rows.setdefault((name, faces.person[i]), []).append(i)
    if not rows:
        raise SourceError("no face names its video and frame; sequences need the manifest's columns video and frame")
    return [np.array(sorted(part, key=lambda i: faces.frame[i]), np.int64) for part in rows.values()]


def distinct_frames(faces: FaceSet, rows: Index) -> tuple[Index, Index]:
    """One row of each frame, in order, and for each of ``rows`` the position of its frame among them."""
    _, first, position = np.unique(faces.frame[rows], return_index=True, return_inverse=True)
    return rows[first], position


SequencePlan = list[list[tuple[str | None, list[Index]]]]
"""The batches of an epoch; each is a list of (task, sequences), see :func:`plan_sequences`."""


def plan_sequences(faces: FaceSet, batching: Batching, epoch: int, *, length: int) -> SequencePlan:
    """The sequences of every batch of an epoch, each ``length`` rows.

    ``mixed``: all labels of a sequence count (task None). ``per-task``, the paper's way: each batch holds one group of
    sequences a task, made of the frames that are labelled for it, and only that task's labels count; an epoch lasts as
    long as the task with the most sequences, or the fewest (``epoch_length``). ``balance`` and ``most`` are for
    single faces.

    Raises:
        SourceError: no face is labelled, or names its video and frame.
    """
    rng = np.random.default_rng((batching.seed, epoch))
    batch_size = batching.batch_size
    if batching.sampling == "mixed":
        order = _sequences(faces, None, length, rng)
        whole = max(1, len(order) // batch_size)
        return [[(None, order[k * batch_size : (k + 1) * batch_size])] for k in range(whole)]
    orders = {task: _sequences(faces, rows, length, rng) for task, rows in faces.labelled().items() if rows.any()}
    orders = {task: order for task, order in orders.items() if order}
    if not orders:
        raise SourceError("no face of a video is labelled for any task, so there is nothing to draw")
    size = max(1, batch_size // len(orders))
    extent = max if batching.epoch_length == "longest" else min
    count = max(1, extent(len(order) for order in orders.values()) // size)
    chosen = {task: [order[i % len(order)] for i in range(count * size)] for task, order in orders.items()}
    return [[(task, order[k * size : (k + 1) * size]) for task, order in chosen.items()] for k in range(count)]


def _sequences(faces: FaceSet, keep: Array | None, length: int, rng: np.random.Generator) -> list[Index]:
    """Every video in sequences of ``length`` rows, shuffled; of the rows where ``keep`` (N,) is true, None: of all.

    Every epoch cuts the videos at other places: a video of ``length`` frames or fewer is one sequence, filled up with
    -1; a longer one is covered from end to end by windows of which the inner ones are shifted. The last, smaller batch
    is kept only where it is the only one: unlike the CNN, the heads have no batch statistics.
    """
    sequences = []
    for every_row in videos(faces):
        rows = every_row if keep is None else every_row[keep[every_row]]
        if not len(rows):
            continue
        spare = len(rows) - length
        if spare <= 0:
            sequences.append(np.concatenate([rows, np.full(-spare, -1, np.int64)]))
            continue
        # One window more than would do without a shift, so that its number is the same in every epoch.
        shift = int(rng.integers(0, length))
        for k in range(-(-len(rows) // length) + 1):
            start = min(max(0, k * length - shift), spare)
            sequences.append(rows[start : start + length])
    return [sequences[i] for i in rng.permutation(len(sequences))]


def sequence_batches(
    faces: FaceSet,
    spec: InputSpec,
    batching: Batching,
    epoch: int,
    *,
    length: int,
    first: int = 0,
    how: Augmentation | None = None,
) -> Iterator[Batch]:
    """The batches of :func:`plan_sequences` from ``first`` on; a sequence is disturbed by one draw for all its frames.

    Rows that fill up a short video repeat its last face and have no labels.
    """
    how = how or Augmentation()
    plan = plan_sequences(faces, batching, epoch, length=length)
    for step in range(first, len(plan)):
        crops, parts = [], []
        for task, rows in ((task, rows) for task, group in plan[step] for rows in group):
            there = rows[rows >= 0]
            draw = (batching.seed, epoch, int(rows[0]))
            frames = [
                augment(faces.image(i), faces.landmarks[i], spec, how, np.random.default_rng(draw)) for i in there
            ]
            crops.append(np.stack(frames + [frames[-1]] * (len(rows) - len(there))))
            labels = labels_of(faces, np.maximum(rows, 0), task)
            for values in (labels.expression, labels.au, labels.va):
                values[torch.from_numpy(rows < 0)] = torch.nan
            parts.append(labels)
        yield Batch(
            torch.from_numpy(np.stack(crops)),
            Labels(
                torch.cat([part.expression for part in parts]),
                torch.cat([part.au for part in parts]),
                torch.cat([part.va for part in parts]),
            ),
        )


@torch.no_grad()
def sequence_logits(network: MultitaskCNNRNN, faces: FaceSet, spec: InputSpec, length: int) -> dict[str, Array]:
    """Logits of every face that belongs to a video, by :func:`paper_windows`.

    Where the last window reaches back over frames that have an answer already, they keep the one they have.

    Returns:
        ``expression`` (N, E), ``au`` (N, A), ``va`` (N, 40) in the order of ``faces``; NaN for faces of no video.
    """
    network.eval()
    device = next(network.parameters()).device
    widths = network.config.task_widths
    logits = {task: np.full((len(faces), width), np.nan, np.float32) for task, width in widths.items()}
    answered = np.zeros(len(faces), bool)
    for every_row in videos(faces):
        rows, position = distinct_frames(faces, every_row)
        for start, stop in paper_windows(len(rows), length):
            window = rows[start:stop]
            outputs = network(torch.from_numpy(crop_all(faces, window, spec))[None].to(device))
            new = ~answered[window]
            answered[window] = True
            for task, answer in logits.items():
                answer[window[new]] = getattr(outputs, task).cpu().numpy()[new]
        for answer in logits.values():
            answer[every_row] = answer[rows[position]]
    return dict(logits)
