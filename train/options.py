"""Options that commands of ``affectkit train`` share, and the faces that they name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

import click

from affectkit.errors import SourceError
from affectkit.train.data import (
    AUGMENTATIONS,
    FaceSet,
    Split,
    fixed_share,
    join,
    only_tasks,
    read_manifest_split,
    read_manifest_splits,
    read_set,
    select_split,
    without_derived_va,
)
from affectkit.train.loop import TrainConfig
from affectkit.train.networks import CONFIGS, TASKS

Command = Callable[..., None]
Option = Callable[[Command], Command]

FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING = click.Path(path_type=Path, exists=True)

_DATA: tuple[Option, ...] = (
    click.option("--labels", type=FILE, multiple=True, help="CSV of a set; repeat for several sets."),
    click.option("--images", type=FILE, multiple=True, help="Zip of its pictures, in the same order."),
    click.option("--landmarks", type=FILE, multiple=True, help="npz of its points, in the same order."),
    click.option(
        "--manifest", "manifests", type=FILE, multiple=True, help="Manifest of `affectkit train prepare`; may repeat."
    ),
    click.option(
        "--tasks",
        type=click.Choice(TASKS),
        multiple=True,
        default=TASKS,
        show_default=True,
        help="Use the labels of this task; repeat for several.",
    ),
    click.option(
        "--share",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Train on this share of the faces, always the same ones.",
    ),
)

_PART: tuple[Option, ...] = (
    click.option("--labels", type=FILE, help="CSV with a row an image."),
    click.option("--images", type=FILE, help="Zip with the pictures."),
    click.option("--landmarks", type=FILE, help="npz with landmark5; without it each whole picture is the crop."),
    click.option("--manifest", type=FILE, help="Manifest of `affectkit train prepare` instead of these three."),
    click.option("--prefix", default="", help="Only images whose name begins with it (FER2013Valid/)."),
    click.option("--persons-mod", type=click.IntRange(min=1), help="Only persons with crc32(person) % N == 0."),
    click.option("--split", help="Only this part, as training divides the set: train, dev or valid."),
)

_OPTIMISATION: tuple[Option, ...] = (
    click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adam", show_default=True),
    click.option("--learning-rate", type=float, default=1e-4, show_default=True),
    click.option("--beta1", type=float, default=0.5, show_default=True),
    click.option("--beta2", type=float, default=0.999, show_default=True),
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
        "--augmentation",
        type=click.Choice(list(AUGMENTATIONS)),
        default="full",
        show_default=True,
        help="How much the pictures are disturbed.",
    ),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--bf16", is_flag=True, help="Convolutions in bfloat16: faster on GPUs and on CPUs with AMX."),
    click.option("--device", default="cpu", show_default=True, help="A torch device."),
    click.option("--compile", is_flag=True, help="Through torch.compile: faster steps after a minute of compilation."),
    click.option("--checkpoint-minutes", type=float, default=5.0, show_default=True),
    click.option("--resume", is_flag=True, help="Go on with the run in the output folder."),
    click.option(
        "-o",
        "--output",
        "run",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder of the run: checkpoints, metrics.jsonl, tensorboard/, curves.png.",
    ),
)

_CNN: tuple[Option, ...] = (
    click.option("--backbone", type=click.Choice(list(CONFIGS)), default="lite", show_default=True),
    click.option("--size", type=click.IntRange(min=16), help="Side of the face, px.  [default: lite 64, others 112]"),
    click.option(
        "--channels",
        type=click.Choice(["1", "3"]),
        help="1: luma, 3: RGB (grey pictures are repeated).  [default: resnet50 3, others 1]",
    ),
    click.option("--batch-size", type=click.IntRange(min=2), default=60, show_default=True),
    click.option(
        "--drawing",
        type=click.Choice(["mixed", "per-task"]),
        default="mixed",
        show_default=True,
        help="mixed: every face once an epoch, all its labels count; per-task: one part of each batch a task.",
    ),
    click.option("--balance", is_flag=True, help="ML-ROS, class-uniform expressions, uniform valence-arousal bins."),
    click.option(
        "--epoch-steps", type=click.IntRange(min=0), default=0, show_default=True, help="Most steps an epoch; 0: all."
    ),
)

_TEACHING: tuple[Option, ...] = (
    click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=1.5, show_default=True),
    click.option("--supervised-share", type=click.FloatRange(0, 1), default=0.6, show_default=True),
)


def _with(*groups: tuple[Option, ...]) -> Option:
    def add(command: Command) -> Command:
        for group in reversed(groups):
            for option in reversed(group):
                command = option(command)
        return command

    return add


data_options = _with(_DATA)
"""Where the faces to train on are."""
part_options = _with(_PART)
"""Where the faces to measure on are."""
cnn_options = _with(_DATA, _CNN, _OPTIMISATION)
"""What teacher and students share; the defaults are the paper's."""
sequence_options = _with(_DATA, _OPTIMISATION, _TEACHING)
"""What training the recurrent heads takes; the defaults are the paper's."""
teaching_options = _with(_TEACHING)
"""How much is learned from a teacher."""


def config_of(options: dict[str, Any]) -> TrainConfig:
    """The run that the options of :data:`cnn_options` describe."""
    values = {**options, "augmentation": AUGMENTATIONS[options["augmentation"]]}
    backbone, size, channels = (values.pop(name) for name in ("backbone", "size", "channels"))
    network = CONFIGS[backbone]
    network = dataclasses.replace(network, size=size or network.size, channels=int(channels or network.channels))
    return TrainConfig(network=network, betas=(values.pop("beta1"), values.pop("beta2")), **values)


def read_sets(options: dict[str, Any]) -> tuple[FaceSet, FaceSet]:
    """The faces to train on, and those to choose checkpoints by; takes :data:`data_options` out of ``options``.

    Raises:
        SourceError: a file is missing or damaged, or no face is left.
    """
    labels, images, landmarks, manifests = (options.pop(k) for k in ("labels", "images", "landmarks", "manifests"))
    tasks, share = options.pop("tasks"), options.pop("share")
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
    train_set = only_tasks(fixed_share(join(train_sets), share), tasks)
    dev_set = only_tasks(join(dev_sets), tasks)
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


def read_part(
    *,
    labels: Path | None,
    images: Path | None,
    landmarks: Path | None,
    manifest: Path | None,
    prefix: str,
    persons_mod: int | None,
    split: str | None,
) -> tuple[FaceSet, str]:
    """The faces that :data:`part_options` name, and that in words.

    Raises:
        SourceError: a file is missing or damaged, or no face is left.
    """
    if manifest is not None:
        if labels or images or landmarks or prefix or persons_mod:
            raise click.UsageError("--manifest goes with --split only: it names its pictures and labels itself")
        where, faces = manifest, read_manifest_split(manifest, split)
    elif labels is None or images is None:
        raise click.UsageError("give --labels and --images, or --manifest")
    else:
        where, faces = labels, read_set(labels, images, landmarks, prefix=prefix, persons_mod=persons_mod)
        if split is not None:
            if split not in get_args(Split):
                raise click.BadParameter(f"{split!r} is not {', '.join(get_args(Split))}", param_hint="--split")
            faces = select_split(faces, cast(Split, split))
    chosen = [f"images {prefix}..."] if prefix else []
    chosen += [f"persons with crc32 % {persons_mod} == 0"] if persons_mod else []
    chosen += [f"split {split}"] if split else []
    if not len(faces):
        raise SourceError(f"{where}: no row is left by {', '.join(chosen) or 'reading it'}")
    return faces, ", ".join([where.name, *chosen]) + f" ({len(faces)} faces)"
