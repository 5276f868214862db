"""One loop for both stages of the method.

Stage 1, the teacher: one network, three tasks, each learned from the faces that are labelled for it. Stage 2, students:
the same with one or several teachers beside the labels.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from affectkit.errors import ModelError, SourceError, TrainingError
from affectkit.spec import InputSpec
from affectkit.train import metrics
from affectkit.train.calibrate import fit_temperature, fit_thresholds
from affectkit.train.data import Augmentation, Batch, Drawing, EpochLength, FaceSet, batches, cut_all, plan_epoch
from affectkit.train.distill import in_terms_of, rows_of, student_loss, teach, together
from affectkit.train.further import (
    balanced_temperature,
    covered_examples,
    expression_prior,
    fit_visibility,
    report_further,
)
from affectkit.train.journal import Journal
from affectkit.train.losses import Labels, decode_va, further, supervised
from affectkit.train.networks import FURTHER, TASKS, MultitaskCNN, MultitaskCNNRNN, NetworkConfig, Outputs
from affectkit.train.record import RunRecord
from affectkit.train.sequences import plan_sequences, sequence_batches, sequence_logits
from affectkit.types import Array, LabelSet

log = logging.getLogger(__name__)

Network = MultitaskCNN | MultitaskCNNRNN

BESIDE_WEIGHTS = {"intensity": 4.0, "visibility": 1.0, "pose": 0.5}
"""How much the answers beside the paper's tasks count; an intensity counts half of what presence does."""

Selection = Literal["metrics", "paper"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run; saved with its checkpoints."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    epochs: int = 8
    batch_size: int = 60
    """The paper draws 20 faces a task; where a face carries several labels one batch serves all three."""
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    ema: float = 0.0
    """Decay of the moving average of the weights; 0: none."""
    au_weight: float = 8.0
    expression_weight: float = 1.0
    va_weight: float = 1.0
    focal_gamma: float = 0.0
    temperature: float = 1.5
    """Of the distillation; only with teachers."""
    supervised_share: float = 0.6
    """Of the loss of a labelled task, the rest is distillation; only with teachers."""
    teachers: tuple[str, ...] = ()
    """sha256 of the teachers' checkpoints, so that a run is resumed with the same ones."""
    shown: Literal["disturbed", "clean"] = "disturbed"
    """What the teachers see: the very faces that the student sees, or, once for the whole run, those without
    disturbance and their mirror images; then the student learns to see through it, a step costs nothing for the
    teachers, and they may take other faces than the student."""
    seed: int = 0
    bf16: bool = False
    """Convolutions in bfloat16; two to three times as fast on CPUs with AMX and on GPUs."""
    device: str = "cpu"
    compile: bool = False
    """Run the steps through torch.compile: a quarter faster on CPUs with AMX, after a minute of compilation."""
    start: str = ""
    """sha256 of the checkpoint whose weights the run starts from; empty: a fresh initialisation."""
    checkpoint_minutes: float = 5.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    sequence_length: int = 0
    """Frames of a sequence of the CNN-RNN, of which a batch then holds ``batch_size``; 0: a CNN."""
    cnn: str = ""
    """sha256 of the checkpoint of the CNN under the recurrent heads; only with ``sequence_length``."""
    epoch_steps: int = 0
    """Most batches of an epoch; 0: all. Balanced epochs are longer, and with this both kinds cost the same."""
    drawing: Drawing = "mixed"
    balance: bool = False
    """Balanced sampling: ML-ROS for AUs, class-uniform expressions, a uniform histogram of valence and arousal."""
    epoch_length: EpochLength = "longest"
    """The task whose faces make an epoch of per-task batches."""
    ml_ros_target: float | None = None
    """IRLbl that ML-ROS brings rare action units to; None: the mean, as Charte et al. do."""
    select_by: Selection = "metrics"
    """What the best checkpoint is chosen by, see :func:`selection_score`."""
    preset: str = ""
    """Name of the preset that the options come from, for the record."""

    def input_spec(self) -> InputSpec:
        """What the SDK has to give the network."""
        return input_spec_of(self.network)


def input_spec_of(network: NetworkConfig) -> InputSpec:
    """The faces that a network takes."""
    channels: Literal[1, 3] = 1 if network.channels == 1 else 3
    return InputSpec(network.size, channels, network.template, network.margin, network.aligned_size)


def config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """Undo ``dataclasses.asdict``, as a checkpoint stores it."""
    network = dict(values["network"])
    if "labels" in network:  # checkpoints of before label sets have the shipped models' labels
        given = network["labels"]
        network["labels"] = LabelSet(
            tuple(given["expressions"]), tuple(given["action_units"]), given["valence_arousal"]
        )
    network["widths"], network["blocks"] = tuple(network["widths"]), tuple(network["blocks"])
    return TrainConfig(
        **{
            **values,
            "network": NetworkConfig(**network),
            "augmentation": Augmentation(**values["augmentation"]),
            "betas": tuple(values["betas"]),
            "teachers": tuple(values.get("teachers", ())),
        }
    )


@torch.no_grad()
def logits_of(network: nn.Module, faces: FaceSet, spec: InputSpec, *, batch_size: int = 256) -> dict[str, Array]:
    """A CNN's logits for a whole set, without augmentation.

    Returns:
        ``expression`` (N, E), ``au`` (N, A), ``va`` (N, 40), ``intensity`` (N, A), ``visibility`` (N, 3), ``pose``
        (N, 3), of width 0 where the network does not answer it.
    """
    network.eval()
    device = next(network.parameters()).device
    parts: dict[str, list[Array]] = {name: [] for name in (*TASKS, *FURTHER)}
    for start in range(0, len(faces), batch_size):
        stop = min(start + batch_size, len(faces))
        outputs = network(torch.from_numpy(cut_all(faces, range(start, stop), spec)).to(device))
        for task, part in parts.items():
            part.append(getattr(outputs, task).cpu().numpy())
    return {task: np.concatenate(part) for task, part in parts.items()}


@torch.no_grad()
def taught_clean(teachers: Sequence[Network], faces: FaceSet, config: TrainConfig, *, batch_size: int = 256) -> Outputs:
    """What teachers together say of every face of a set without disturbance; N rows, on the CPU.

    Each is shown the faces that it wants, whatever the student wants, and their mirror images: no label has a side.
    """
    device = torch.device(config.device)
    ready = [(teacher.to(device).eval(), input_spec_of(teacher.config)) for teacher in teachers]
    specs = dict.fromkeys(spec for _, spec in ready)
    parts: list[Outputs] = []
    for start in range(0, len(faces), batch_size):
        rows = range(start, min(start + batch_size, len(faces)))
        answers: list[Outputs] = []
        for spec in specs:
            crops = torch.from_numpy(cut_all(faces, rows, spec)).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
                answers += [
                    in_terms_of(_float(teacher(shown)), teacher.config.labels, config.network.labels)
                    for teacher, wanted in ready
                    if wanted == spec
                    for shown in (crops, crops.flip(2))  # (N, S, S, C)
                ]
        parts.append(together(answers))
    return Outputs(*(torch.cat([getattr(p, name) for p in parts]).float().cpu() for name in (*TASKS, "features")))


def decode(logits: dict[str, Array], *, temperature: float = 1.0) -> dict[str, Array]:
    """Probabilities ``expression`` (N, E) and ``au`` (N, A), and ``va`` (N, 2), of logits (N, C) of one network.

    Valence and arousal are NaN where the network does not answer them.
    """
    expression, au, va = (torch.from_numpy(logits[task]).float() for task in TASKS)
    return {
        "expression": torch.softmax(expression / temperature, 1).numpy(),
        "au": torch.sigmoid(au).numpy(),
        "va": decode_va(va).numpy() if va.shape[1] else np.full((len(va), 2), np.nan, np.float32),
    }


def score(faces: FaceSet, answers: dict[str, Array], au_thresholds: Array) -> dict[str, Any]:
    """``metrics.report`` of probabilities and values as :func:`decode` gives them."""
    return metrics.report(
        expression=faces.expression,
        au=faces.au,
        va=faces.va,
        expression_probability=answers["expression"],
        au_probability=answers["au"],
        va_predicted=answers["va"],
        au_thresholds=au_thresholds,
        labels=faces.label_set,
    )


def selection_score(report: dict[str, Any], by: Selection = "metrics") -> float:
    """What the best checkpoint is chosen by: the sum over the tasks, those without labels left out.

    Args:
        by: "metrics": accuracy, mean AU Pearson and mean CCC, which need no threshold. "paper": the paper's scores,
            (F1 + accuracy) / 2 of the AUs, .67 macro F1 + .33 accuracy of the expressions, and mean CCC.
    """
    if by == "paper":
        return float(sum(report["scores"].values()))
    total = 0.0
    if report["expression"] is not None:
        total += report["expression"]["accuracy"]
    if report["au"] is not None:
        total += report["au"]["pearson"]["mean"]
    if report["va"] is not None:
        total += (report["va"]["valence"]["ccc"] + report["va"]["arousal"]["ccc"]) / 2
    return total


def _learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards the network's; young averages move faster."""
    decay = min(decay, (1 + step) / (10 + step))
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a crash leaves the one before."""
    partial = path.with_name(f".{path.name}.partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours; nothing in it can run code.

    Raises:
        ModelError: missing, damaged, or not a checkpoint of affectkit.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such checkpoint") from error
    except Exception as error:  # torch raises pickle's, zip's and its own errors here
        raise ModelError(f"{path}: cannot be read as a checkpoint ({_one_line(error)})") from error
    if not isinstance(state, dict) or "config" not in state:
        raise ModelError(f"{path}: not a checkpoint of affectkit train")
    try:
        config_from_dict(state["config"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: its description of the network is damaged, or of another affectkit ({_one_line(error)})"
        ) from error
    return state


def _one_line(error: Exception) -> str:
    """What an error says, shortened; some of torch's have a line for every weight."""
    name = type(error).__name__
    text = " ".join(str(error).split()) or name
    text = f"{name}: {text}" if isinstance(error, KeyError | AttributeError) else text
    return text if len(text) <= 200 else f"{text[:200]} ..."


def load_any(path: Path) -> tuple[Network, dict[str, Any]]:
    """The network of a checkpoint, CNN or CNN-RNN, in evaluation mode, and the checkpoint.

    Raises:
        ModelError: it cannot be read, or its weights do not fit its own description.
    """
    if load_checkpoint(path)["config"].get("sequence_length"):
        return load_temporal(path)
    return load_network(path)


def load_network(path: Path) -> tuple[MultitaskCNN, dict[str, Any]]:
    """The CNN of a checkpoint, in evaluation mode, and the checkpoint.

    Raises:
        ModelError: it cannot be read, its weights do not fit its own description, or it is a CNN-RNN.
    """
    state = load_checkpoint(path)
    if state["config"].get("sequence_length"):
        raise ModelError(f"{path}: is a CNN-RNN, and a CNN is needed here; give the run of `affectkit train teacher`")
    network = _described(state, path)
    _fill(network, state, path)
    return network.eval(), state


def load_temporal(path: Path) -> tuple[MultitaskCNNRNN, dict[str, Any]]:
    """The CNN-RNN of a checkpoint, in evaluation mode, and the checkpoint.

    Raises:
        ModelError: it cannot be read, its weights do not fit its own description, or it is a CNN.
    """
    state = load_checkpoint(path)
    if not state["config"].get("sequence_length"):
        raise ModelError(f"{path}: is a CNN, and a CNN-RNN is needed here; give the run of `affectkit train temporal`")
    network = MultitaskCNNRNN(_described(state, path))
    _fill(network, state, path)
    return network.eval(), state


def _described(state: dict[str, Any], path: Path) -> MultitaskCNN:
    """The network that a checkpoint describes, without its weights."""
    try:
        return MultitaskCNN(config_from_dict(state["config"]).network)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise ModelError(f"{path}: describes no possible network ({_one_line(error)})") from error


def _fill(network: nn.Module, state: dict[str, Any], path: Path) -> None:
    try:
        network.load_state_dict(state["network"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: its weights do not fit its own description: {_one_line(error)}") from error


def train(
    config: TrainConfig,
    train_set: FaceSet,
    dev_set: FaceSet,
    run: Path,
    *,
    teachers: Sequence[Network] = (),
    start: nn.Module | None = None,
    cnn: MultitaskCNN | None = None,
    taught: Outputs | None = None,
    resume: bool = False,
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train, keep the checkpoint that is best on ``dev_set`` as ``run/best.pt``, and return its report.

    ``run/last.pt`` holds everything to go on from with ``resume``, to the same numbers as an unbroken run; it is
    written every ``checkpoint_minutes``, after each epoch and on Ctrl-C. ``run/metrics.jsonl`` gets a line an epoch,
    ``run/tensorboard`` the same and the losses in between, and ``run/curves.png`` is drawn at the end. ``run.json``,
    ``progress.json`` and ``dev.npz`` (:mod:`affectkit.train.record`) are for ``affectkit train status`` and ``report``.

    Args:
        teachers: networks whose averaged answers the run learns from beside the labels; none: stage 1.
        start: a network of the same configuration whose weights the run starts from, instead of fresh ones.
        cnn: the frozen CNN under the recurrent heads; with it, and ``config.sequence_length``, a CNN-RNN is trained.
        taught: with ``config.shown`` "clean", what :func:`taught_clean` gave for these teachers and this set, where
            several runs share it; None: it is asked for here.
        on_step: called with (step, steps in all, losses of this step).
        about: what ``run.json`` says beside the configuration: the command, the data.

    Raises:
        TrainingError: a loss is not a finite number; the checkpoints are those of before.
        ModelError: ``resume`` with other settings or faces.
    """
    if {train_set.label_set, dev_set.label_set} != {config.network.labels}:
        raise ValueError("the faces must have the labels of the network, in its order (relabelled brings them there)")
    if (cnn is None) != (config.sequence_length == 0):
        raise ValueError("a CNN-RNN needs both a CNN and a sequence length, a CNN neither")
    if config.shown == "clean" and (config.sequence_length or not teachers):
        raise ValueError("only students of a CNN can learn from what teachers say of clean faces")
    run.mkdir(parents=True, exist_ok=True)
    device = torch.device(config.device)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True  # the same seed gives the same numbers there too
    torch.manual_seed(config.seed)
    network: Network = MultitaskCNN(config.network) if cnn is None else MultitaskCNNRNN(copy.deepcopy(cnn))
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        network.load_state_dict(start.state_dict())
    average = copy.deepcopy(network) if config.ema > 0 else network
    frozen = [_compiled(teacher.to(device).eval().requires_grad_(False), config) for teacher in teachers]
    if config.shown == "clean" and taught is None:
        taught = taught_clean(teachers, train_set, config)
    stepped = _compiled(network, config)
    optimizer = _optimizer(config, network)
    steps_per_epoch = _steps_per_epoch(config, train_set)
    total_steps = steps_per_epoch * config.epochs
    data = _fingerprint(train_set)
    at = _Progress()
    if resume and (run / "last.pt").exists():
        state = load_checkpoint(run / "last.pt")
        if config_from_dict(state["config"]) != config:
            raise ModelError(f"{run}: was begun with other settings; repeat them, or choose another folder")
        if "progress" not in state:
            raise ModelError(f"{run / 'last.pt'}: was written by an older affectkit and cannot be gone on with")
        if state.get("data") != data:
            raise ModelError(f"{run}: was begun on other faces or labels; give the same ones, or choose another folder")
        try:
            network.load_state_dict(state["network"])
            average.load_state_dict(state["average"])
            optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["rng"])
            if device.type == "cuda":
                torch.cuda.set_rng_state_all(state["cuda_rng"])
            at = _Progress(**state["progress"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{run / 'last.pt'}: a part of it is missing or damaged ({_one_line(error)}); train without --resume"
            ) from error

    def save_last() -> None:
        _check_weights(network, run, at.step)
        state = {
            "config": dataclasses.asdict(config),
            "data": data,
            "network": network.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if device.type == "cuda" else [],
            "progress": dataclasses.asdict(at),
        }
        save_atomically(state, run / "last.pt")

    journal = Journal(run, at.step if at.evaluated else at.step - 1)
    record = RunRecord(run, steps=total_steps, epochs=config.epochs)
    record.best(at.best, at.best_epoch)
    record.describe(config, train_set, dev_set, about or {})
    prior = expression_prior(train_set)
    record.update("running", at.step, force=True)
    saved_at = time.monotonic()
    whole = True  # a step is through, and not half done: only then may its state be saved
    try:
        with _interruptible() as interrupted:
            while at.step < total_steps or not at.evaluated:
                if at.evaluated or at.step % steps_per_epoch:
                    epoch, first = divmod(at.step, steps_per_epoch)
                    if first == 0:
                        at.sums = {}
                    at.evaluated = False
                    stream = _epoch(
                        config,
                        network,
                        stepped,
                        average,
                        frozen,
                        optimizer,
                        train_set,
                        epoch,
                        first,
                        steps_per_epoch,
                        taught if config.shown == "clean" else None,
                    )
                    while True:
                        whole = False
                        losses = next(stream, None)
                        if losses is not None:
                            at.step += 1
                            at.sums = {name: at.sums.get(name, 0.0) + value for name, value in losses.items()}
                        whole = True
                        if losses is None:
                            break
                        journal.step(at.step, losses, optimizer.param_groups[0]["lr"])
                        record.update("running", at.step)
                        if on_step is not None:
                            on_step(at.step, total_steps, losses)
                        if interrupted():
                            raise KeyboardInterrupt
                        if time.monotonic() - saved_at > config.checkpoint_minutes * 60:
                            save_last()
                            saved_at = time.monotonic()
                line, chosen, answers = _evaluate(config, average, dev_set, at, steps_per_epoch, prior)
                if line["score"] > at.best:
                    at.best, at.best_epoch = line["score"], line["epoch"]
                    save_atomically(chosen, run / "best.pt")
                    record.save_answers(dev_set, answers, chosen["au_thresholds"])
                at.evaluated = True
                journal.epoch(line)
                record.best(at.best, at.best_epoch)
                record.update("running", at.step, force=True)
                log.info("epoch %d: score %.4f (best %.4f)", line["epoch"], line["score"], at.best)
                save_last()
                if interrupted():
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        if whole:
            save_last()
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


@dataclass(slots=True)
class _Progress:
    """How far a run is."""

    step: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    evaluated: bool = True
    """Whether the epoch that ended last has been measured on the dev part."""
    sums: dict[str, float] = field(default_factory=dict)
    """Of the losses since the epoch began."""


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


def _optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]  # biases and norms are not decayed
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)


def _fingerprint(faces: FaceSet) -> str:
    """What faces and labels a run is trained on, so that it is not resumed on others."""
    digest = hashlib.sha256("\0".join(faces.names).encode())
    values = [faces.expression_target, faces.au, faces.va]
    # Left out where nothing is known, so that runs of before there were such labels can be resumed.
    values += [known for known in (faces.intensity, faces.visible, faces.pose) if not np.isnan(known).all()]
    for labels in values:
        digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()


RELATED = 0.3
"""Least correlation of the convolutions' weights of networks that come from one another."""


@torch.no_grad()
def check_related(networks: Sequence[MultitaskCNN], names: Sequence[str]) -> None:
    """Refuse to average networks that were not trained from one another: the middle of two valleys is a hill.

    Weights that grew from different random ones hardly correlate, those that were trained on do.

    Raises:
        ModelError: see above; the message names the network.
    """
    weights = [
        torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d)]) for network in networks
    ]
    for name, other in zip(names[1:], weights[1:], strict=True):
        correlation = float(torch.corrcoef(torch.stack([weights[0], other]))[0, 1])
        if correlation < RELATED:
            raise ModelError(
                f"{name}: was not trained from the same weights as {names[0]} (their weights correlate by "
                f"{correlation:.2f}), so the average of the two would be worth nothing; export them as an ensemble"
            )


@torch.no_grad()
def write_average(
    networks: Sequence[MultitaskCNN], weights: Sequence[float], dev_set: FaceSet, run: Path
) -> dict[str, Any]:
    """Write the weighted mean of networks of one kind as ``run/best.pt``, and return its report on ``dev_set``."""
    shares = np.asarray(weights) / np.sum(weights)
    states = [network.state_dict() for network in networks]
    mixed = copy.deepcopy(networks[0]).eval()
    mixed.load_state_dict(
        {
            name: torch.stack([share * state[name] for share, state in zip(shares, states, strict=True)]).sum(0)
            if first.dtype.is_floating_point
            else first
            for name, first in states[0].items()
        }
    )
    config = TrainConfig(network=mixed.config)
    _, chosen, answers = _evaluate(config, mixed, dev_set, _Progress(step=1), 1)
    run.mkdir(parents=True, exist_ok=True)
    save_atomically(chosen, run / "best.pt")
    RunRecord(run, steps=0, epochs=0).save_answers(dev_set, answers, chosen["au_thresholds"])
    report: dict[str, Any] = chosen["dev"]
    return report


def _evaluate(
    config: TrainConfig,
    network: nn.Module,
    dev_set: FaceSet,
    at: _Progress,
    steps_per_epoch: int,
    prior: list[float] | None = None,
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Array]]:
    """Measure an epoch on the dev part: its line for the journal, its checkpoint should it be the best, its answers."""
    epoch = at.step // steps_per_epoch
    logits = run_logits(network, dev_set, config)
    temperature = fit_temperature(dev_set.expression, logits["expression"][None])
    answers = decode(logits, temperature=temperature)
    thresholds = fit_thresholds(dev_set.au, answers["au"])
    report = score(dev_set, answers, np.asarray(thresholds)) | report_further(dev_set, logits)
    line = {
        "epoch": epoch,
        "step": at.step,
        "loss": {name: total / steps_per_epoch for name, total in at.sums.items()},
        "dev": report,
        "score": selection_score(
            report if config.select_by == "metrics" else _at_half(dev_set, answers), config.select_by
        ),
    }
    chosen = {
        "config": dataclasses.asdict(config),
        "network": network.state_dict(),
        "epoch": epoch,
        "dev": report,
        "au_thresholds": thresholds,
        "au_thresholds_from": "best F1 of each action unit on the dev part of the training data",
        "expression_temperature": temperature,
    }
    if prior is not None:
        chosen |= {
            "expression_prior": prior,
            "expression_prior_from": "the labels of the faces that were trained on",
            "balanced_temperature": balanced_temperature(dev_set.expression, logits["expression"], prior),
        }
    if isinstance(network, MultitaskCNN) and config.network.visibility:
        chosen |= {
            "visibility_thresholds": _visibility_thresholds(network, dev_set, config),
            "visibility_thresholds_from": "at most 2.5 % of the clear regions called hidden, on faces of the dev part "
            "of the training data, four in ten with something laid over them",
        }
    return line, chosen, answers


@torch.no_grad()
def _visibility_thresholds(network: MultitaskCNN, dev_set: FaceSet, config: TrainConfig) -> list[float]:
    crops, seen = covered_examples(dev_set, config.input_spec())
    device = next(network.parameters()).device
    parts = [network(torch.from_numpy(crops[k : k + 256]).to(device)).visibility for k in range(0, len(crops), 256)]
    return fit_visibility(torch.sigmoid(torch.cat(parts)).cpu().numpy(), seen)


def _at_half(faces: FaceSet, answers: dict[str, Array]) -> dict[str, Any]:
    """The report at the threshold .5, by which the published code compares epochs."""
    return score(faces, answers, np.full(faces.au.shape[1], 0.5))


def _check_weights(network: nn.Module, run: Path, step: int) -> None:
    """Refuse to save weights that are not finite over those that are."""
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise TrainingError(
            f"{run}: after step {step} a weight is not a finite number; last.pt and best.pt are those of before. "
            "Give a lower --learning-rate, or leave out --bf16"
        )


def _compiled(network: nn.Module, config: TrainConfig) -> nn.Module:
    return cast(nn.Module, torch.compile(network)) if config.compile else network


def run_logits(network: nn.Module, faces: FaceSet, config: TrainConfig) -> dict[str, Array]:
    """Logits of a CNN, or of a CNN-RNN by windows of the length it was trained with."""
    spec = config.input_spec()
    if isinstance(network, MultitaskCNNRNN):
        return sequence_logits(network, faces, spec, config.sequence_length)
    return logits_of(network, faces, spec)


def _steps_per_epoch(config: TrainConfig, faces: FaceSet) -> int:
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


def _batches(config: TrainConfig, faces: FaceSet, epoch: int, first: int) -> Iterator[Batch]:
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


def _ahead(made: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each made by another thread while the one before is learned from."""
    with ThreadPoolExecutor(1, "batches") as pool:
        coming = pool.submit(next, made, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, made, None)
            yield batch


def _epoch(
    config: TrainConfig,
    network: nn.Module,
    stepped: nn.Module,
    average: nn.Module,
    teachers: Sequence[nn.Module],
    optimizer: torch.optim.Optimizer,
    train_set: FaceSet,
    epoch: int,
    first: int,
    steps_per_epoch: int,
    answers: Outputs | None,
) -> Iterator[dict[str, float]]:
    """The steps of one epoch from batch ``first`` on; yields the losses of each.

    ``stepped`` is ``network``, compiled or not: what the faces go through. ``answers`` are those of the teachers to
    every face of the set; None: they are shown the batch.
    """
    device = next(network.parameters()).device
    step, total_steps = epoch * steps_per_epoch + first, config.epochs * steps_per_epoch
    for batch in _ahead(_batches(config, train_set, epoch, first)):
        network.train()
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(config, step, total_steps)
        faces = batch.faces.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            outputs = stepped(faces)
            taught = teach(teachers, faces, config.network.labels) if teachers and answers is None else None
        if answers is not None and batch.rows is not None:
            taught = rows_of(answers, batch.rows, device)
        labels = Labels(*(getattr(batch.labels, part.name).to(device) for part in dataclasses.fields(Labels)))
        losses = _losses(config, _float(outputs), None if taught is None else _float(taught), labels)
        values = {name: float(value.detach()) for name, value in losses.items()}
        _check_losses(values, step + 1)
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step += 1
        if average is not network:
            follow(average, network, config.ema, step)
        yield values


def _check_losses(values: Mapping[str, float], step: int) -> None:
    """Stop before a loss that is not finite reaches the weights."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"step {step}: the loss of {name} is {value}, so the run stops; its checkpoints are those of before. "
                "Give a lower --learning-rate, or leave out --bf16"
            )


def _float(outputs: Outputs) -> Outputs:
    """The logits in float32, whatever the network computed in."""
    return Outputs(
        outputs.expression.float(),
        outputs.au.float(),
        outputs.va.float(),
        outputs.features,
        *(getattr(outputs, name).float() for name in FURTHER),
    )


def _losses(config: TrainConfig, outputs: Outputs, taught: Outputs | None, labels: Labels) -> dict[str, Tensor]:
    weights = {
        "au_weight": config.au_weight,
        "expression_weight": config.expression_weight,
        "va_weight": config.va_weight,
    }
    beside = further(outputs, labels)
    extra = sum((BESIDE_WEIGHTS[name] * loss for name, loss in beside.items()), start=outputs.features.sum() * 0)
    if taught is not None:
        parts = student_loss(
            outputs,
            taught,
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
