"""Options that commands of ``affectkit train`` share, and the faces that they name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import click
import numpy as np

from affectkit.errors import SourceError
from affectkit.spec import TEMPLATES
from affectkit.train.augmentation import AUGMENTATIONS
from affectkit.train.batches import EpochLength
from affectkit.train.config import Selection, TrainConfig
from affectkit.train.datasets.labels import read_csv
from affectkit.train.faces import FaceSet, answerable, fixed_share, join, only_tasks, relabelled, without_derived_va
from affectkit.train.networks import CONFIGS, TASKS, NetworkConfig
from affectkit.train.presets import PRESETS, apply_preset
from affectkit.train.reading import read_manifest_faces, read_set
from affectkit.train.splits import Split, as_named, read_manifest_part, splits_of, with_dev
from affectkit.types import Array

Command = Callable[..., None]
Option = Callable[[Command], Command]

FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING = click.Path(path_type=Path, exists=True)

_AU_AT = click.option(
    "--au-at",
    type=click.FloatRange(0, 5, min_open=True),
    help="Action units are intensities from 0 to 5, present from this one on (2: as the paper takes DISFA's).",
)

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
    click.option(
        "--dev",
        metavar="NAME|SHARE|VIDEO,...",
        help="What chooses the checkpoint: a split (valid), a share of the videos or persons (0.1), or names of some.  "
        "[default: split dev, else a tenth]",
    ),
    click.option(
        "--leave-out",
        type=FILE,
        multiple=True,
        help="CSV whose column image or path names pictures that are not to be used, as of a test; may repeat.",
    ),
    _AU_AT,
)

_PART: tuple[Option, ...] = (
    click.option("--labels", type=FILE, help="CSV with a row an image."),
    click.option("--images", type=FILE, help="Zip with the pictures."),
    click.option("--landmarks", type=FILE, help="npz with landmark5; without it each whole picture is the crop."),
    click.option("--manifest", type=FILE, help="Manifest of `affectkit train prepare` instead of these three."),
    click.option("--prefix", default="", help="Only images whose name begins with it (FER2013Valid/)."),
    click.option("--persons-mod", type=click.IntRange(min=1), help="Only persons with crc32(person) % N == 0."),
    click.option("--split", help="Only this part, as training divides the set: train, dev or test (held out)."),
    click.option("--dev", help="With --split: how training was told to divide the set (its --dev)."),
    _AU_AT,
)

_OPTIMISATION: tuple[Option, ...] = (
    click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        is_eager=True,
        callback=apply_preset,
        help="Other defaults for these options; paper: as the paper says, see train/README.md.",
    ),
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
    click.option(
        "--sampling",
        type=click.Choice(["mixed", "per-task"]),
        default="mixed",
        show_default=True,
        help="mixed: every face once an epoch, all its labels count; per-task: one part of each batch a task.",
    ),
    click.option(
        "--epoch-length",
        type=click.Choice(get_args(EpochLength)),
        default="longest",
        show_default=True,
        help="With per-task: an epoch ends with the task with the most faces, or with the fewest.",
    ),
    click.option(
        "--select-by",
        type=click.Choice(get_args(Selection)),
        default="metrics",
        show_default=True,
        help="What chooses the checkpoint: accuracy, AU Pearson and CCC; or the paper's scores at the threshold 0.5.",
    ),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--bf16", is_flag=True, help="Convolutions in bfloat16: faster on GPUs and on CPUs with AMX."),
    click.option("--device", default="cpu", show_default=True, help="A torch device."),
    click.option("--compile", is_flag=True, help="Through torch.compile: faster steps after a minute of compilation."),
    click.option("--checkpoint-minutes", type=float, default=5.0, show_default=True),
    click.option("--resume", is_flag=True, help="Continue the run in the output folder."),
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
    click.option(
        "--template",
        type=click.Choice(list(TEMPLATES)),
        default="tight",
        show_default=True,
        help="How faces are cut by their five points; pictures without points are taken as cut so already.",
    ),
    click.option("--batch-size", type=click.IntRange(min=2), default=60, show_default=True),
    click.option("--balance", is_flag=True, help="ML-ROS, class-uniform expressions, uniform valence-arousal bins."),
    click.option(
        "--ml-ros-target",
        type=click.FloatRange(min=1),
        help="Imbalance ratio that --balance brings rare AUs to (the published code: 2).  [default: the mean]",
    ),
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
    """The run that the options of :data:`cnn_options` describe; its labels are those of the usual set."""
    values = {**options, "augmentation": AUGMENTATIONS[options["augmentation"]]}
    network = network_of(values)
    return TrainConfig(network=network, betas=(values.pop("beta1"), values.pop("beta2")), **values)


def network_of(values: dict[str, Any]) -> NetworkConfig:
    """The network that options describe, which are taken out of ``values``."""
    backbone, size, channels, template = (values.pop(name) for name in ("backbone", "size", "channels", "template"))
    network = CONFIGS[backbone]
    network = dataclasses.replace(
        network, size=size or network.size, channels=int(channels or network.channels), template=template
    )
    if template != "published":
        return network
    # As published: the aligned face is resized to 1.2 times the side, of which the middle is taken.
    aligned = int(network.size * 1.2)
    return dataclasses.replace(network, aligned_size=aligned, margin=network.size / aligned)


def about_data(options: dict[str, Any]) -> dict[str, Any]:
    """The data options as ``run.json`` keeps them: absolute paths, so that the run's report finds them again."""
    paths = {name: [str(path.absolute()) for path in options[name]] for name in ("labels", "images", "landmarks")}
    paths["manifests"] = [str(path.absolute()) for path in options["manifests"]]
    paths["leave_out"] = [str(path.absolute()) for path in options["leave_out"]]
    return {**paths, **{name: options[name] for name in ("tasks", "share", "dev", "au_at")}}


def read_sets(options: dict[str, Any]) -> tuple[FaceSet, FaceSet]:
    """The faces to train on, and those to choose checkpoints by; takes :data:`data_options` out of ``options``.

    Both have the label set that the faces to train on teach (:func:`affectkit.train.faces.answerable`).

    Raises:
        SourceError: a file is missing or damaged, a label is impossible, a part is empty, or nothing is labelled.
    """
    labels, images, landmarks, manifests = (options.pop(k) for k in ("labels", "images", "landmarks", "manifests"))
    tasks, share, dev, au_at = (options.pop(k) for k in ("tasks", "share", "dev", "au_at"))
    unwanted = names_to_leave_out(options.pop("leave_out"))
    if len(labels) != len(images) or len(landmarks) not in (0, len(labels)):
        raise click.UsageError("give --labels, --images and, if at all, --landmarks once for every set")
    if not labels and not manifests:
        raise click.UsageError("give --labels and --images, or --manifest")
    whole: list[tuple[FaceSet, Array, Path]] = []
    for label_file, image_file, point_file in zip(labels, images, landmarks or (None,) * len(labels), strict=True):
        faces = read_set(label_file, image_file, point_file, au_at=au_at)
        whole.append((faces, splits_of(faces), label_file))
    named = any((split == "dev").any() for _, split, _ in whole)  # one set's dev part serves all that are files
    for path in manifests:
        whole.append((*read_manifest_faces(path, au_at=au_at), path))
    train_sets, dev_sets = [], []
    for k, (faces, split, path) in enumerate(whole):
        if dev is not None or k >= len(labels) or not named:
            split = with_dev(faces, split, path, dev)
        kept = _without_derived_va(faces, path)
        if unwanted:
            wanted = np.array([not _named_in(unwanted, name) for name in kept.names])
            kept, split = kept.subset(wanted), split[wanted]
        train_sets.append(kept.subset(split == "train"))
        dev_sets.append(kept.subset(split == "dev"))
    train_set = only_tasks(fixed_share(join(train_sets), share), tasks)
    dev_set = only_tasks(join(dev_sets), tasks)
    _check_parts(train_set, dev_set, [path for _, _, path in whole])
    return _with_what_is_taught(train_set, dev_set, tasks)


def names_to_leave_out(files: Sequence[Path]) -> frozenset[str]:
    """The names in the column ``image`` or ``path`` of some CSV files.

    Raises:
        SourceError: one cannot be read, or has no such column.
    """
    names: set[str] = set()
    for file in files:
        table = read_csv(file)
        column = next((name for name in ("image", "path") if name in table.columns), None)
        if column is None:
            raise SourceError(f"{file}: has no column 'image' or 'path', which --leave-out needs")
        names |= set(table[column].dropna().astype(str).str.strip())
    return frozenset(names)


def _named_in(names: frozenset[str], picture: str) -> bool:
    """Whether a picture, or the end of its path from any folder on, is among some names."""
    parts = Path(picture).parts
    return any("/".join(parts[k:]) in names for k in range(len(parts))) or picture in names


def _check_parts(train_set: FaceSet, dev_set: FaceSet, paths: Sequence[Path]) -> None:
    names = ", ".join(path.name for path in paths)
    if not len(train_set):
        raise SourceError(f"{names}: no face is in the part to train on (split train); see train/README.md on splits")
    if not len(dev_set):
        raise SourceError(
            f"{names}: no face is in the part that chooses the checkpoint (split dev); name one with --dev, such as "
            "--dev valid or --dev 0.1"
        )


def _with_what_is_taught(train_set: FaceSet, dev_set: FaceSet, tasks: Sequence[str]) -> tuple[FaceSet, FaceSet]:
    """Both parts with the label set that the first one teaches; says what is missing."""
    labelled, chosen_by = train_set.labelled(), dev_set.labelled()
    if not any(labelled[task].any() for task in tasks):
        raise SourceError(f"no face to train on has a label of {' or '.join(tasks)}, so there is nothing to learn")
    context = click.get_current_context(silent=True)
    asked = context is not None and context.get_parameter_source("tasks") is click.core.ParameterSource.COMMANDLINE
    for task in tasks:
        if not labelled[task].any():
            if asked:
                raise SourceError(f"--tasks {task}: no face to train on has a label of it")
            click.echo(f"no face to train on is labelled for {task}", err=True)
        elif not chosen_by[task].any():
            click.echo(f"no face of the dev part is labelled for {task}: it does not help to choose", err=True)
    labels = answerable(train_set)
    return relabelled(train_set, labels), relabelled(dev_set, labels)


def _without_derived_va(faces: FaceSet, where: Path) -> FaceSet:
    kept = without_derived_va(faces)
    if kept is not faces:
        click.echo(f"{where.name}: valence and arousal that only repeat the expression are left out", err=True)
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
    dev: str | None = None,
    au_at: float | None = None,
) -> tuple[FaceSet, str]:
    """The faces that :data:`part_options` name, and that in words.

    Raises:
        SourceError: a file is missing or damaged, a label is impossible, or no face is left.
    """
    if dev is not None and split is None:
        raise click.UsageError("--dev says how --split divides the set; give both")
    if manifest is not None:
        if labels or images or landmarks or prefix or persons_mod:
            raise click.UsageError("--manifest goes with --split only: it names its pictures and labels itself")
        where, faces = manifest, read_manifest_part(manifest, split, dev=dev, au_at=au_at)
    elif labels is None or images is None:
        raise click.UsageError("give --labels and --images, or --manifest")
    else:
        where = labels
        faces = read_set(labels, images, landmarks, prefix=prefix, persons_mod=persons_mod, au_at=au_at)
        if split is not None:
            if split not in get_args(Split):
                raise click.BadParameter(f"{split!r} is not {', '.join(get_args(Split))}", param_hint="--split")
            faces = _split_of_set(faces, where, cast(Split, split), dev)
    chosen = [f"images {prefix}..."] if prefix else []
    chosen += [f"persons with crc32 % {persons_mod} == 0"] if persons_mod else []
    chosen += [f"split {split}"] if split else []
    if not len(faces):
        raise SourceError(f"{where}: no row is left by {', '.join(chosen) or 'reading it'}")
    return faces, ", ".join([where.name, *chosen]) + f" ({len(faces)} faces)"


def _split_of_set(faces: FaceSet, where: Path, split: Split, dev: str | None) -> FaceSet:
    splits = splits_of(faces)
    name = as_named(splits, split)
    if dev is not None or (name != "valid" and not (splits == "dev").any()):
        splits = with_dev(faces, splits, where, dev)
    return faces.subset(splits == name)
