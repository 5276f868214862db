"""The batches of a run in order, each made in a thread while the network works on the one before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from affectkit.errors import SourceError
from affectkit.train.batches import Batch, batches, plan_epoch
from affectkit.train.config import TrainConfig
from affectkit.train.faces import FaceSet
from affectkit.train.sequences import plan_sequences, sequence_batches


def steps_per_epoch(config: TrainConfig, faces: FaceSet) -> int:
    """Batches of an epoch, the same in every one."""
    if config.sequence_length:
        plan: Sequence[object] = plan_sequences(
            faces,
            length=config.sequence_length,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=0,
            drawing=config.drawing,
            epoch_length=config.epoch_length,
        )
    else:
        plan = plan_epoch(
            faces,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=0,
            drawing=config.drawing,
            balance=config.balance,
            most=config.epoch_steps or None,
            epoch_length=config.epoch_length,
            ml_ros_target=config.ml_ros_target,
        )
    if not plan:
        part = " of one task" if config.drawing == "per-task" else ""
        raise SourceError(
            f"{len(faces)} faces do not fill one batch{part} (--batch-size {config.batch_size}); give a smaller one"
        )
    return len(plan)


def batches_of(config: TrainConfig, faces: FaceSet, epoch: int, first: int) -> Iterator[Batch]:
    """The batches of one epoch from ``first`` on."""
    spec = config.input_spec()
    if config.sequence_length:
        return sequence_batches(
            faces,
            spec,
            length=config.sequence_length,
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=epoch,
            first=first,
            how=config.augmentation,
            drawing=config.drawing,
            epoch_length=config.epoch_length,
        )
    return batches(
        faces,
        spec,
        batch_size=config.batch_size,
        seed=config.seed,
        epoch=epoch,
        first=first,
        how=config.augmentation,
        drawing=config.drawing,
        balance=config.balance,
        most=config.epoch_steps or None,
        epoch_length=config.epoch_length,
        ml_ros_target=config.ml_ros_target,
    )


def made_ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each made by another thread while the one before is learned from."""
    with ThreadPoolExecutor(1, "batches") as pool:
        coming = pool.submit(next, made, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, made, None)
            yield batch
