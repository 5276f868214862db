"""One loop for both stages of the method.

Stage 1, the teacher: one network, three tasks, each learned from the faces that are labelled for it. Stage 2, students:
the same with one or several teachers beside the labels.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from affectkit.errors import TrainingError
from affectkit.train.answers import clean_teacher_outputs, in_float32
from affectkit.train.averaging import update_ema
from affectkit.train.batches import Batch
from affectkit.train.checkpoints import Network, load_checkpoint, save_atomically
from affectkit.train.config import TrainConfig
from affectkit.train.distill import rows_of, student_loss, teach
from affectkit.train.extra_answers import expression_prior
from affectkit.train.faces import FaceSet
from affectkit.train.journal import Journal
from affectkit.train.loading import batches_of, made_ahead, steps_per_epoch
from affectkit.train.losses import Labels, further, supervised
from affectkit.train.networks import MultitaskCNN, Outputs
from affectkit.train.record import RunRecord
from affectkit.train.run_state import RunState
from affectkit.train.validation import evaluate_on_dev

log = logging.getLogger(__name__)

BESIDE_WEIGHTS = {"intensity": 4.0, "visibility": 1.0, "pose": 0.5}
"""How much the answers beside the paper's tasks count; an intensity counts half of what presence does."""


def _learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def train(
    config: TrainConfig,
    train_set: FaceSet,
    dev_set: FaceSet,
    run: Path,
    *,
    teachers: Sequence[Network] = (),
    init_from: nn.Module | None = None,
    cnn: MultitaskCNN | None = None,
    teacher_outputs: Outputs | None = None,
    resume: bool = False,
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, keep the checkpoint that is best on ``dev_set`` as ``run/best.pt``, and return its report.

    ``run/last.pt`` holds everything that ``resume`` continues from, to the same numbers as an unbroken run; it is
    written every ``checkpoint_minutes``, after each epoch and on Ctrl-C. ``run/metrics.jsonl`` gets a line an epoch,
    ``run/tensorboard`` the same and the losses in between, and ``run/curves.png`` is drawn at the end. ``run.json``,
    ``progress.json`` and ``dev.npz`` (:mod:`affectkit.train.record`) are for ``affectkit train status`` and ``report``.

    Args:
        teachers: networks whose averaged answers the run learns from beside the labels; none: stage 1.
        init_from: a network of the same configuration whose weights the run starts from, instead of fresh ones.
        cnn: the frozen CNN under the recurrent heads; with it, and ``config.sequence_length``, a CNN-RNN is trained.
        teacher_outputs: with ``config.teacher_view`` "clean", what :func:`clean_teacher_outputs` gave for these
            teachers and this set, where several runs share it; None: it is computed here.
        on_step: called with (step, steps in all, losses of this step).
        about: what ``run.json`` says beside the configuration: the command, the data.

    Raises:
        TrainingError: a loss is not a finite number; the checkpoints are those of before.
        ModelError: ``resume`` with other settings or faces.
    """
    _check_asked(config, train_set, dev_set, teachers, cnn)
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    state = RunState(config, train_set, run, init_from, cnn)
    if config.teacher_view == "clean" and teacher_outputs is None:
        teacher_outputs = clean_teacher_outputs(teachers, train_set, config)
    frozen = [_compiled(teacher.to(state.device).eval().requires_grad_(False), config) for teacher in teachers]
    steps = _Steps(config, state, train_set, frozen, teacher_outputs if config.teacher_view == "clean" else None)
    if resume and (run / "last.pt").exists():
        state.restore()
    at = state.at
    journal = Journal(run, at.step if at.evaluated else at.step - 1)
    record = RunRecord(run, steps=steps.in_all, epochs=config.epochs)
    record.best(at.best, at.best_epoch)
    record.describe(config, train_set, dev_set, about or {})
    prior = expression_prior(train_set)
    record.update("running", at.step, force=True)
    try:
        with _interruptible() as interrupted:
            while at.step < steps.in_all or not at.evaluated:
                if at.evaluated or at.step % steps.per_epoch:
                    for losses in steps.rest_of_epoch():
                        journal.step(at.step, losses, state.optimizer.param_groups[0]["lr"])
                        record.update("running", at.step)
                        if on_step is not None:
                            on_step(at.step, steps.in_all, losses)
                        if interrupted():
                            raise KeyboardInterrupt
                        state.save_if_due()
                _end_epoch(state, dev_set, steps.per_epoch, prior, journal, record)
                if interrupted():
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        if state.whole:
            state.save()
        record.update("interrupted", at.step, force=True)
        raise
    except BaseException as error:
        record.update("failed", at.step, message=str(error), force=True)
        raise
    finally:
        journal.close()
    record.update("finished", at.step, force=True)
    result: dict[str, Any] = load_checkpoint(run / "best.pt")["dev"]
    return result


def _check_asked(
    config: TrainConfig, train_set: FaceSet, dev_set: FaceSet, teachers: Sequence[Network], cnn: MultitaskCNN | None
) -> None:
    """Refuse what does not go together."""
    if {train_set.label_set, dev_set.label_set} != {config.network.labels}:
        raise ValueError("the faces must have the labels of the network, in its order (relabelled brings them there)")
    if (cnn is None) != (config.sequence_length == 0):
        raise ValueError("a CNN-RNN needs both a CNN and a sequence length, a CNN neither")
    if config.teacher_view == "clean" and (config.sequence_length or not teachers):
        raise ValueError("only students of a CNN can learn from what teachers say of clean faces")


def _end_epoch(
    state: RunState,
    dev_set: FaceSet,
    steps_per_epoch: int,
    prior: list[float] | None,
    journal: Journal,
    record: RunRecord,
) -> None:
    """Measure the epoch that is through, and keep its checkpoint if it is the best one."""
    at = state.at
    line, chosen, answers = evaluate_on_dev(
        state.config, state.average, dev_set, step=at.step, epoch=at.step // steps_per_epoch, prior=prior
    )
    line["loss"] = {name: total / steps_per_epoch for name, total in at.sums.items()}
    if line["score"] > at.best:
        at.best, at.best_epoch = line["score"], line["epoch"]
        save_atomically(chosen, state.run / "best.pt")
        record.save_answers(dev_set, answers, chosen["au_thresholds"])
    at.evaluated = True
    journal.epoch(line)
    record.best(at.best, at.best_epoch)
    record.update("running", at.step, force=True)
    log.info("epoch %d: score %.4f (best %.4f)", line["epoch"], line["score"], at.best)
    state.save()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Hold back the first Ctrl-C until the step is through: it may come anywhere, and half a step cannot be saved.

    Yields a function that says whether there was one. A second Ctrl-C interrupts at once.
    """
    seen = False

    def note(number: int, frame: object) -> None:
        nonlocal seen
        if seen:
            raise KeyboardInterrupt
        seen = True

    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread only
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, before)


def _compiled(network: nn.Module, config: TrainConfig) -> nn.Module:
    return cast(nn.Module, torch.compile(network)) if config.compile else network


class _Steps:
    """The steps of a run, one after another."""

    def __init__(
        self,
        config: TrainConfig,
        state: RunState,
        train_set: FaceSet,
        teachers: Sequence[nn.Module],
        teacher_outputs: Outputs | None,
    ) -> None:
        """
        Args:
            teacher_outputs: for every face of the set; None: the teachers see each batch.
        """
        self._config, self._state, self._faces = config, state, train_set
        self._teachers, self._teacher_outputs = teachers, teacher_outputs
        self._stepped = _compiled(state.network, config)  # what the faces go through
        self.per_epoch = steps_per_epoch(config, train_set)
        self.in_all = self.per_epoch * config.epochs

    def rest_of_epoch(self) -> Iterator[dict[str, float]]:
        """Take the steps that the epoch still has; yields the losses of each."""
        state, at = self._state, self._state.at
        epoch, first = divmod(at.step, self.per_epoch)
        if first == 0:
            at.sums = {}
        at.evaluated = False
        made = made_ahead(batches_of(self._config, self._faces, epoch, first))
        while True:
            state.whole = False
            batch = next(made, None)
            losses = None if batch is None else self._step(batch)
            if losses is not None:
                at.step += 1
                at.sums = {name: at.sums.get(name, 0.0) + value for name, value in losses.items()}
            state.whole = True
            if losses is None:
                return
            yield losses

    def _step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch; the losses before the step."""
        config, state, device = self._config, self._state, self._state.device
        network, step = state.network, state.at.step
        network.train()
        for group in state.optimizer.param_groups:
            group["lr"] = _learning_rate(config, step, self.in_all)
        faces = batch.faces.to(device)  # (N, S, S, C) or (B, T, S, S, C)
        ask = self._teachers and self._teacher_outputs is None
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            outputs = self._stepped(faces)
            given = teach(self._teachers, faces, config.network.labels) if ask else None
        if self._teacher_outputs is not None and batch.rows is not None:
            given = rows_of(self._teacher_outputs, batch.rows, device)
        labels = Labels(*(getattr(batch.labels, part.name).to(device) for part in dataclasses.fields(Labels)))
        losses = _losses(config, in_float32(outputs), None if given is None else in_float32(given), labels)
        values = {name: float(value.detach()) for name, value in losses.items()}
        _check_losses(values, step + 1)
        state.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        if state.average is not network:
            update_ema(state.average, network, config.ema, step + 1)
        return values


def _check_losses(values: Mapping[str, float], step: int) -> None:
    """Stop before a loss that is not finite reaches the weights."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"step {step}: the loss of {name} is {value}, so the run stops; its checkpoints are those of before. "
                "Give a lower --learning-rate, or leave out --bf16"
            )


def _losses(
    config: TrainConfig, outputs: Outputs, teacher_outputs: Outputs | None, labels: Labels
) -> dict[str, Tensor]:
    weights = {
        "au_weight": config.au_weight,
        "expression_weight": config.expression_weight,
        "va_weight": config.va_weight,
    }
    beside = further(outputs, labels)
    extra = sum((BESIDE_WEIGHTS[name] * loss for name, loss in beside.items()), start=outputs.features.sum() * 0)
    if teacher_outputs is not None:
        parts = student_loss(
            outputs,
            teacher_outputs,
            labels,
            temperature=config.temperature,
            supervised_share=config.supervised_share,
            focal_gamma=config.focal_gamma,
            **weights,
        )
        return {**parts, **beside, "total": parts["total"] + extra}
    losses = supervised(outputs, labels, focal_gamma=config.focal_gamma)
    by_task = {task: getattr(losses, task) for task in config.network.tasks}
    return {**by_task, **beside, "total": losses.total(**weights) + extra}
