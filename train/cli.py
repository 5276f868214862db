"""``affectkit train ...``: loaded only when one of its commands is named."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from affectkit.errors import SourceError
from affectkit.models import sha256
from affectkit.predictor import Predictor
from affectkit.train.calibrate import RULES, Rule, fit_thresholds, write_thresholds
from affectkit.train.data import (
    FaceSet,
    Split,
    join,
    read_manifest_splits,
    read_set,
    select_split,
    without_derived_va,
)
from affectkit.train.distribution import distributions, plot
from affectkit.train.evaluate import answers_of, evaluate_model
from affectkit.train.loop import TrainConfig, load_network, train
from affectkit.train.networks import MultitaskCNN, NetworkConfig, multiply_adds, resnet50_config
from affectkit.train.prepare_cli import prepare
from affectkit.types import AU_NAMES

_FILE = click.Path(path_type=Path, dir_okay=False)

STEPS_A_LINE = 50


Command = Callable[..., None]

_DATA: tuple[Callable[[Command], Command], ...] = (
    click.option("--labels", type=_FILE, multiple=True, help="CSV of a set; repeat for several sets."),
    click.option("--images", type=_FILE, multiple=True, help="Zip of its pictures, in the same order."),
    click.option("--landmarks", type=_FILE, multiple=True, help="npz of its points, in the same order."),
    click.option(
        "--manifest", "manifests", type=_FILE, multiple=True, help="Manifest of `affectkit train prepare`; may repeat."
    ),
)

_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    *_DATA,
    click.option(
        "-o",
        "--output",
        "run",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder of the run: checkpoints and metrics.jsonl.",
    ),
    click.option("--backbone", type=click.Choice(["lite", "resnet50"]), default="lite", show_default=True),
    click.option("--size", type=click.IntRange(min=16), help="Side of the face, px.  [default: 64, resnet50 112]"),
    click.option("--batch-size", type=click.IntRange(min=2), default=60, show_default=True),
    click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adam", show_default=True),
    click.option("--learning-rate", type=float, default=1e-4, show_default=True),
    click.option("--beta1", type=float, default=0.5, show_default=True),
    click.option("--weight-decay", type=float, default=0.0, show_default=True),
    click.option("--schedule", type=click.Choice(["constant", "cosine"]), default="constant", show_default=True),
    click.option("--warmup-steps", type=click.IntRange(min=0), default=0, show_default=True),
    click.option(
        "--ema",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="Decay of the moving average of the weights; 0: none.",
    ),
    click.option("--au-weight", type=float, default=8.0, show_default=True),
    click.option("--expression-weight", type=float, default=1.0, show_default=True),
    click.option("--va-weight", type=float, default=1.0, show_default=True),
    click.option("--focal-gamma", type=float, default=0.0, show_default=True, help="Focal loss for AUs; 0: none."),
    click.option(
        "--drawing",
        type=click.Choice(["mixed", "per-task"]),
        default="mixed",
        show_default=True,
        help="mixed: every face once an epoch, all its labels count; per-task: one part of each batch a task.",
    ),
    click.option("--balance", is_flag=True, help="ML-ROS, class-uniform expressions, uniform valence-arousal bins."),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--bf16", is_flag=True, help="Convolutions in bfloat16: faster on GPUs and on CPUs with AMX."),
    click.option("--device", default="cpu", show_default=True, help="A torch device."),
    click.option("--checkpoint-minutes", type=float, default=5.0, show_default=True),
    click.option("--resume", is_flag=True, help="Go on with the run in the output folder."),
)


def _training_options(command: Command) -> Command:
    """What teacher and students share; the defaults are the paper's."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _data_options(command: Command) -> Command:
    """Where the labelled faces are."""
    for option in reversed(_DATA):
        command = option(command)
    return command


@click.command()
@_training_options
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
def teacher(run: Path, resume: bool, **options: Any) -> None:
    """Train one network on all three tasks, each learned from the faces labelled for it.

    FER2013Valid and every fifth person are left out; a tenth of FER2013Train chooses the checkpoint and the AU
    thresholds.
    """
    train_set, dev_set = _read_sets(options)
    _train(_config(options), train_set, dev_set, run, resume=resume)


@click.command()
@_training_options
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--teacher",
    "teachers",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    multiple=True,
    help="Run or checkpoint of the teacher; repeat it for an ensemble.",
)
@click.option("--count", type=click.IntRange(min=1), default=5, show_default=True, help="Number of students.")
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=1.5, show_default=True)
@click.option("--supervised-share", type=click.FloatRange(0, 1), default=0.6, show_default=True)
def students(run: Path, resume: bool, teachers: tuple[Path, ...], count: int, seed: int, **options: Any) -> None:
    """Train students, each from a fresh initialisation, on the labels and a teacher's answers.

    Each gets a folder of its own in the output folder, student_0 and on; student k has the seed --seed + 1 + k.
    """
    train_set, dev_set = _read_sets(options)
    files = [path / "best.pt" if path.is_dir() else path for path in teachers]
    networks = [load_network(path)[0] for path in files]
    digests = tuple(sha256(path) for path in files)
    for k in range(count):
        config = dataclasses.replace(_config({**options, "seed": seed + 1 + k}), teachers=digests)
        click.echo(f"student {k}", err=True)
        _train(config, train_set, dev_set, run / f"student_{k}", teachers=networks, resume=resume)


def _config(options: dict[str, Any]) -> TrainConfig:
    values = dict(options)
    backbone, size, beta1 = values.pop("backbone"), values.pop("size"), values.pop("beta1")
    network = NetworkConfig() if backbone == "lite" else resnet50_config(channels=1)
    network = dataclasses.replace(network, size=size or network.size)
    return TrainConfig(network=network, betas=(beta1, 0.999), **values)


def _read_sets(options: dict[str, Any]) -> tuple[FaceSet, FaceSet]:
    """The faces to train on, and those to choose checkpoints by; takes the options of ``_DATA`` out of ``options``."""
    labels, images, landmarks, manifests = (options.pop(k) for k in ("labels", "images", "landmarks", "manifests"))
    if len(labels) != len(images) or len(landmarks) not in (0, len(labels)):
        raise click.UsageError("give --labels, --images and, if at all, --landmarks once for every set")
    if not labels and not manifests:
        raise click.UsageError("give --labels and --images, or --manifest")
    train_sets, dev_sets = [], []
    for label_file, image_file, point_file in zip(labels, images, landmarks or (None,) * len(labels), strict=True):
        faces = _without_derived_va(read_set(label_file, image_file, point_file), label_file)
        train_sets.append(select_split(faces, "train"))
        dev_sets.append(select_split(faces, "dev"))
    for path in manifests:
        part, chosen_by = read_manifest_splits(path)
        train_sets.append(_without_derived_va(part, path))
        dev_sets.append(chosen_by)
    train_set, dev_set = join(train_sets), join(dev_sets)
    if not len(train_set) or not len(dev_set):
        raise SourceError(
            "no faces are left to train on, or none to choose checkpoints by; see train/README.md on splits"
        )
    return train_set, dev_set


def _without_derived_va(faces: FaceSet, where: Path) -> FaceSet:
    kept = without_derived_va(faces)
    if kept is not faces:
        click.echo(f"{where.name}: valence and arousal only repeat the expression; they are left out", err=True)
    return kept


def _train(
    config: TrainConfig,
    train_set: FaceSet,
    dev_set: FaceSet,
    run: Path,
    *,
    teachers: Sequence[MultitaskCNN] = (),
    resume: bool,
) -> None:
    """Train one network with its progress on stderr; its report on the dev part goes to stdout."""
    if not resume and (run / "last.pt").exists():
        raise click.UsageError(f"{run} holds a run already; give --resume to go on with it, or another folder")
    network = MultitaskCNN(config.network)
    parameters = sum(p.numel() for p in network.parameters())
    click.echo(
        f"{len(train_set)} faces to train on, {len(dev_set)} to choose by; {parameters / 1e6:.2f} M parameters, "
        f"{multiply_adds(network) / 1e6:.0f} M multiply-adds a face",
        err=True,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def on_step(step: int, steps: int, losses: dict[str, float]) -> None:
        if step % STEPS_A_LINE == 0:
            line = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
            click.echo(f"step {step}/{steps}  {line}", err=True)

    report = train(config, train_set, dev_set, run, teachers=teachers, resume=resume, on_step=on_step)
    click.echo(json.dumps(report, indent=2))


@click.command()
@click.option("--model", default="lite", show_default=True, help="Name or folder of a model.")
@click.option("--labels", type=_FILE, required=True, help="CSV with a row an image.")
@click.option("--images", type=_FILE, required=True, help="Zip with the pictures.")
@click.option("--landmarks", type=_FILE, help="npz with landmark5; without it each whole picture is the crop.")
@click.option("--prefix", default="", help="Only images whose name begins with it (FER2013Valid/).")
@click.option("--persons-mod", type=click.IntRange(min=1), help="Only persons with crc32(person) % N == 0.")
@click.option("--device", default="auto", show_default=True)
def evaluate(
    model: str,
    labels: Path,
    images: Path,
    landmarks: Path | None,
    prefix: str,
    persons_mod: int | None,
    device: str,
) -> None:
    """Measure a model on labelled pictures and print one JSON object."""
    faces = read_set(labels, images, landmarks, prefix=prefix, persons_mod=persons_mod)
    if not len(faces):
        raise SourceError(f"{labels}: no row is left by --prefix {prefix!r} and --persons-mod {persons_mod}")
    json.dump(evaluate_model(model, faces, device=device), sys.stdout, indent=2)
    click.echo()


@click.command()
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), required=True, help="A model folder.")
@click.option("--labels", type=_FILE, required=True, help="CSV with a row an image.")
@click.option("--images", type=_FILE, required=True, help="Zip with the pictures.")
@click.option("--landmarks", type=_FILE, help="npz with landmark5.")
@click.option("--prefix", default="", help="Only images whose name begins with it.")
@click.option("--split", type=click.Choice(["dev", "valid"]), help="Only this part, as training divides the sets.")
@click.option("--rule", type=click.Choice(list(RULES)), default="best-f1", show_default=True)
@click.option("--device", default="auto", show_default=True)
def calibrate(
    model: Path,
    labels: Path,
    images: Path,
    landmarks: Path | None,
    prefix: str,
    split: Split | None,
    rule: Rule,
    device: str,
) -> None:
    """Fit the AU thresholds of a model folder on labelled pictures, and write them into it with their provenance."""
    faces = read_set(labels, images, landmarks, prefix=prefix)
    if split is not None:
        faces = select_split(faces, split)
    if not len(faces) or np.isnan(faces.au).all():
        raise SourceError(f"{labels}: no face with an AU label is left")
    with Predictor(model, device=device, batch_size=128) as predictor:
        answers = answers_of(predictor, faces)
    thresholds = fit_thresholds(faces.au, answers["au"], rule=rule)
    part = "".join((f", images {prefix}..." if prefix else "", f", split {split}" if split else ""))
    folder = write_thresholds(
        model, thresholds, f"{rule} of each action unit on {labels.name}{part} ({len(faces)} faces)"
    )
    for name, threshold in zip(AU_NAMES, thresholds, strict=True):
        click.echo(f"{name} {threshold:.4f}")
    click.echo(f"wrote {folder / 'model.json'}", err=True)


@click.command()
@_data_options
@click.option("--plot", "picture", type=click.Path(path_type=Path, dir_okay=False), help="Also draw it: a .png.")
@click.option("--seed", type=int, default=0, show_default=True)
def distribution(picture: Path | None, **options: Any) -> None:
    """Show how often an epoch shows each label, before and after balancing."""
    train_set, _ = _read_sets(options)
    found = distributions(train_set, seed=options["seed"])
    click.echo("\n\n".join(one.table() for one in found))
    if picture is not None:
        plot(found, picture)
        click.echo(f"wrote {picture}", err=True)


COMMANDS: dict[str, click.Command] = {
    "prepare": prepare,
    "distribution": distribution,
    "teacher": teacher,
    "students": students,
    "evaluate": evaluate,
    "calibrate": calibrate,
}
