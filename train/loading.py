"""The batches of a run in order, each made in a thread while the network works on the one before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from affectkit.errors import SourceError
from affectkit.train.batches import Batch, Batching, batches, plan_epoch
from affectkit.train.config import TrainConfig
from affectkit.train.faces import FaceSet
from affectkit.train.sequences import plan_sequences, sequence_batches


def batching_of(config: TrainConfig) -> Batching:
    """How a run's faces make batches."""
    return Batching(
        config.batch_size,
        config.seed,
        sampling=config.sampling,
        balance=config.balance,
        most=config.epoch_steps or None,
        epoch_length=config.epoch_length,
        ml_ros_target=config.ml_ros_target,
    )


def steps_per_epoch(config: TrainConfig, faces: FaceSet) -> int:
    """Batches of an epoch, the same in every one."""
    batching = batching_of(config)
    if config.sequence_length:
        plan: Sequence[object] = plan_sequences(faces, batching, 0, length=config.sequence_length)
    else:
        plan = plan_epoch(faces, batching, 0)
    if not plan:
        part = " of one task" if config.sampling == "per-task" else ""
        raise SourceError(
            f"{len(faces)} faces do not fill one batch{part} (--batch-size {config.batch_size}); give a smaller one"
        )
    return len(plan)


def batches_of(config: TrainConfig, faces: FaceSet, epoch: int, first: int) -> Iterator[Batch]:
    """The batches of one epoch from ``first`` on."""
    spec, batching, how = config.input_spec(), batching_of(config), config.augmentation
    if config.sequence_length:
        return sequence_batches(faces, spec, batching, epoch, length=config.sequence_length, first=first, how=how)
    return batches(faces, spec, batching, epoch, first=first, how=how)


def made_ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each made by another thread while the one before is learned from."""
    with ThreadPoolExecutor(1, "batches") as pool:
        coming = pool.submit(next, made, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, made, None)
            yield batch
