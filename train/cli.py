"""``affectkit train ...``: loaded only when one of its commands is named."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from affectkit.models import sha256
from affectkit.train.data import AUGMENTATIONS, FaceSet, in_videos
from affectkit.train.evaluate_cli import calibrate, distribution, evaluate, predict
from affectkit.train.loop import TrainConfig, load_network, load_temporal, train
from affectkit.train.networks import MultitaskCNN, MultitaskCNNRNN, NetworkConfig, multiply_adds
from affectkit.train.options import EXISTING, cnn_options, config_of, read_sets, sequence_options, teaching_options
from affectkit.train.prepare_cli import prepare
from affectkit.train.runs import checkpoint_of

STEPS_A_LINE = 50
"""Training steps from one line of losses to the next, where there is no terminal for a progress bar."""


@click.command()
@cnn_options
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
def teacher(run: Path, resume: bool, **options: Any) -> None:
    """Train one network on all three tasks, each learned from the faces labelled for it.

    FER2013Valid and every fifth person are left out; a tenth of FER2013Train chooses the checkpoint and the AU
    thresholds.
    """
    train_set, dev_set = read_sets(options)
    _train(config_of(options), train_set, dev_set, run, resume=resume)


@click.command()
@cnn_options
@teaching_options
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--teacher",
    "teachers",
    type=EXISTING,
    required=True,
    multiple=True,
    help="Run or checkpoint of the teacher; repeat it for an ensemble.",
)
@click.option("--count", type=click.IntRange(min=1), default=5, show_default=True, help="Number of students.")
@click.option(
    "--start",
    type=EXISTING,
    help="Run or checkpoint whose weights the students start from.  [default: a fresh initialisation each]",
)
def students(
    run: Path, resume: bool, teachers: tuple[Path, ...], count: int, seed: int, start: Path | None, **options: Any
) -> None:
    """Train students, each from a fresh initialisation, on the labels and a teacher's answers.

    Each gets a folder of its own in the output folder, student_0 and on; student k has the seed --seed + 1 + k.
    """
    train_set, dev_set = read_sets(options)
    files = [checkpoint_of(path) for path in teachers]
    networks = [load_network(path)[0] for path in files]
    begun, origin = "", None
    if start is not None:
        begun, origin = sha256(checkpoint_of(start)), load_network(checkpoint_of(start))[0]
    for k in range(count):
        config = config_of({**options, "seed": seed + 1 + k})
        config = dataclasses.replace(config, teachers=tuple(map(sha256, files)), start=begun)
        if origin is not None and origin.config != config.network:
            raise click.UsageError(f"--start {start}: is another network than the one to train: {origin.config}")
        _check_teachers(teachers, networks, config.network)
        click.echo(f"student {k}", err=True)
        _train(config, train_set, dev_set, run / f"student_{k}", teachers=networks, start=origin, resume=resume)


@click.command()
@sequence_options
@click.option("--cnn", type=EXISTING, required=True, help="Run or checkpoint of the CNN, which stays as it is.")
@click.option(
    "--teacher",
    "teachers",
    type=EXISTING,
    multiple=True,
    help="Run of a CNN-RNN to learn from as well, as the students do; repeat it for an ensemble.",
)
@click.option("--sequence-length", type=click.IntRange(min=2), default=32, show_default=True, help="Frames.")
@click.option("--batch-size", type=click.IntRange(min=1), default=12, show_default=True, help="Sequences.")
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
def temporal(run: Path, resume: bool, cnn: Path, teachers: tuple[Path, ...], augmentation: str, **options: Any) -> None:
    """Train recurrent heads (CNN-RNN) on a frozen CNN, from sequences of labelled video frames.

    The sets must name each face's video and frame, as manifests do. Without --teacher it is the teacher of the second
    stage; with it a student.
    """
    train_set, dev_set = map(in_videos, read_sets(options))
    files = [checkpoint_of(path) for path in teachers]
    network, _ = load_network(checkpoint_of(cnn))
    config = TrainConfig(
        network=network.config,
        betas=(options.pop("beta1"), options.pop("beta2")),
        cnn=sha256(checkpoint_of(cnn)),
        teachers=tuple(map(sha256, files)),
        augmentation=AUGMENTATIONS[augmentation],
        **options,
    )
    networks = [load_temporal(path)[0] for path in files]
    _check_teachers(teachers, networks, network.config)
    _train(config, train_set, dev_set, run, teachers=networks, cnn=network, resume=resume)


def _check_teachers(
    paths: Sequence[Path], networks: Sequence[MultitaskCNN | MultitaskCNNRNN], student: NetworkConfig
) -> None:
    """A teacher is shown the student's faces: it has to want the same ones."""
    for path, network in zip(paths, networks, strict=True):
        wants, given = (
            {name: getattr(config, name) for name in ("size", "channels", "template", "margin")}
            for config in (network.config, student)
        )
        if wants != given:
            raise click.UsageError(f"--teacher {path}: takes other faces ({wants}) than the student ({given})")


def _train(
    config: TrainConfig,
    train_set: FaceSet,
    dev_set: FaceSet,
    run: Path,
    *,
    teachers: Sequence[MultitaskCNN | MultitaskCNNRNN] = (),
    start: MultitaskCNN | None = None,
    cnn: MultitaskCNN | None = None,
    resume: bool,
) -> None:
    """Train one network with its progress on stderr; its report on the dev part goes to stdout."""
    if not resume and (run / "last.pt").exists():
        raise click.UsageError(f"{run} holds a run already; give --resume to go on with it, or another folder")
    if config.compile and config.device == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        raise click.UsageError("--compile needs a C++ compiler, and none is installed; leave it out, or install g++")
    network = MultitaskCNN(config.network)
    parameters = sum(p.numel() for p in network.parameters())
    click.echo(
        f"{len(train_set)} faces to train on, {len(dev_set)} to choose by; {parameters / 1e6:.2f} M parameters, "
        f"{multiply_adds(network) / 1e6:.0f} M multiply-adds a face",
        err=True,
    )
    console = Console(stderr=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=None)

        def on_step(step: int, steps: int, losses: dict[str, float]) -> None:
            line = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
            progress.update(bar, completed=step, total=steps, description=line)
            if not console.is_terminal and step % STEPS_A_LINE == 0:
                click.echo(f"step {step}/{steps}  {line}", err=True)

        try:
            report = train(
                config, train_set, dev_set, run, teachers=teachers, start=start, cnn=cnn, resume=resume, on_step=on_step
            )
        except KeyboardInterrupt:
            click.echo(f"interrupted; {run} is kept: give --resume to go on with it", err=True)
            raise
    json.dump(report, sys.stdout, indent=2)
    click.echo()


COMMANDS: dict[str, click.Command] = {
    "prepare": prepare,
    "distribution": distribution,
    "teacher": teacher,
    "students": students,
    "temporal": temporal,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "predict": predict,
}
