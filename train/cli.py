"""``affectkit train ...``: loaded only when one of its commands is named."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from affectkit.models import sha256
from affectkit.train.answers import clean_teacher_outputs
from affectkit.train.augmentation import AUGMENTATIONS
from affectkit.train.averaging import check_related, write_average
from affectkit.train.checkpoints import load_temporal
from affectkit.train.config import TrainConfig
from affectkit.train.evaluate_cli import calibrate, distribution, evaluate, predict
from affectkit.train.faces import FaceSet, answerable, common, in_videos, relabelled, union
from affectkit.train.initial import adapted, like, origins
from affectkit.train.loop import train
from affectkit.train.networks import (
    MultitaskCNN,
    MultitaskCNNRNN,
    NetworkConfig,
    Outputs,
    multiply_adds,
    widths_of,
)
from affectkit.train.options import (
    EXISTING,
    about_data,
    cnn_options,
    config_of,
    data_options,
    read_sets,
    sequence_options,
    teaching_options,
)
from affectkit.train.prepare_cli import prepare
from affectkit.train.presets import PRESETS
from affectkit.train.pretrained import initial_network
from affectkit.train.reading import read_manifest_faces
from affectkit.train.renamed import RenamingCommand
from affectkit.train.render.cli import render
from affectkit.train.report import report
from affectkit.train.runs import BEST_NAME, checkpoint_of, cnns_of
from affectkit.train.status import status

STEPS_A_LINE = 50
"""Training steps from one line of losses to the next, where there is no terminal for a progress bar."""


_INIT_HELP = (
    "What the weights start from: a run, a checkpoint, a model (lite), a released 0.pth, or the VGG group's ResNet-50 "
    "(resnet50_ferplus_dag.pth). The network is like it where the options do not say otherwise.  [default: fresh]"
)


@click.command(cls=RenamingCommand)
@cnn_options
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--init", help=_INIT_HELP)
@click.option(
    "--pretrained",
    type=EXISTING,
    help="dlib_face_recognition_resnet_model_v1.dat, to initialise --backbone resnet29 from.  [default: nothing]",
)
def teacher(run: Path, resume: bool, pretrained: Path | None, init: str | None, **options: Any) -> None:
    """Train one network on all three tasks, each learned from the faces labelled for it.

    What no face is labelled for, the network does not answer. FER2013Valid and every fifth person are left out; a tenth
    of FER2013Train, of a manifest its part dev or a tenth of the videos, chooses the checkpoint and the AU thresholds.
    """
    if init is not None and pretrained is not None:
        raise click.UsageError("give --init or --pretrained, not both")
    about = {"kind": "teacher", "data": about_data(options)}
    train_set, dev_set = read_sets(options)
    config = _answering(config_of(options), train_set)
    init_from = None
    if pretrained is not None:
        config = dataclasses.replace(config, init_from=sha256(pretrained))
        init_from = initial_network(pretrained, config, train_set)
    elif init is not None:
        networks, digests = origins(init, dev_set)
        if len(networks) != 1:
            raise click.UsageError(f"--init {init}: has {len(networks)} members; name one of them")
        config, init_from = _initialised(config, networks[0], digests[0], init)
    _train(config, train_set, dev_set, run, init_from=init_from, resume=resume, about=about)


def _answering(config: TrainConfig, faces: FaceSet) -> TrainConfig:
    """The run whose network answers all that these faces teach."""
    network = dataclasses.replace(
        config.network,
        labels=faces.label_set,
        intensity=not np.isnan(faces.intensity).all(),
        visibility=not np.isnan(faces.visible).all() or config.augmentation.cover > 0,
        pose=not np.isnan(faces.pose).all(),
    )
    return dataclasses.replace(config, network=network)


def _initialised(config: TrainConfig, origin: MultitaskCNN, digest: str, init: str) -> tuple[TrainConfig, MultitaskCNN]:
    """The run that starts from a network's weights: one like it, but for the faces that options say it should see."""
    context = click.get_current_context()
    default = click.core.ParameterSource.DEFAULT

    def said(name: str) -> bool:
        return context.get_parameter_source(name) is not default

    network = config.network
    if not said("backbone") or network.backbone == origin.config.backbone:
        # A template may be one of a size, so that both are taken.
        faces = ("size", "template", "margin", "aligned_size") if said("template") else ("size",) * said("size")
        asked = {name: getattr(network, name) for name in (*faces, *("channels",) * said("channels"))}
        network = dataclasses.replace(like(origin, network), **asked)
    config = dataclasses.replace(config, network=network, init_from=digest)
    return config, adapted(origin, network, init, seed=config.seed)


@click.command(cls=RenamingCommand)
@cnn_options
@teaching_options
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--teacher",
    "teachers",
    required=True,
    multiple=True,
    help="Run or checkpoint of the teacher, or a model such as lite; repeat it for an ensemble.",
)
@click.option(
    "--teacher-view",
    type=click.Choice(["disturbed", "clean"]),
    default="disturbed",
    show_default=True,
    help="What the teachers see: what the student sees, or each face, and its mirror image, without disturbance, asked "
    "once: faster, and for teachers that take other faces.",
)
@click.option("--count", type=click.IntRange(min=1), default=5, show_default=True, help="Number of students.")
@click.option("--init", help=f"{_INIT_HELP} Of several members student k takes member k.")
def students(
    run: Path, resume: bool, teachers: tuple[str, ...], count: int, seed: int, init: str | None, **options: Any
) -> None:
    """Train students, each from a fresh initialisation, on the labels and a teacher's answers.

    They answer all that the labels or a teacher say. Each gets a folder of its own in the output folder, student_0 and
    on; student k has the seed --seed + 1 + k.
    """
    about = {"kind": "student", "data": about_data(options)}
    train_set, dev_set = read_sets(options)
    given = [cnns_of(path, dev_set) for path in teachers]
    networks = [network for named, _ in given for network in named]
    digests = tuple(digest for _, named in given for digest in named)
    labels = union([train_set.label_set, *(network.config.labels for network in networks)])
    train_set, dev_set = relabelled(train_set, labels), relabelled(dev_set, labels)
    init_networks, init_digests = origins(init, dev_set) if init is not None else ([], [])
    teacher_outputs = None
    for k in range(count):
        config = dataclasses.replace(config_of({**options, "seed": seed + 1 + k}), teachers=digests)
        config, init_from = _answering(config, train_set), None
        if init is not None:
            member = k % len(init_networks)
            config, init_from = _initialised(config, init_networks[member], init_digests[member], init)
        if config.teacher_view != "clean":
            for path, (named, _) in zip(teachers, given, strict=True):
                _check_teacher(path, named, config.network)
        if config.teacher_view == "clean" and teacher_outputs is None:
            click.echo("asking the teachers", err=True)
            teacher_outputs = clean_teacher_outputs(networks, train_set, config)
        click.echo(f"student {k}", err=True)
        _train(
            config,
            train_set,
            dev_set,
            run / f"student_{k}",
            teachers=networks,
            teacher_outputs=teacher_outputs,
            init_from=init_from,
            resume=resume,
            about=about,
        )


@click.command(cls=RenamingCommand)
@sequence_options
@click.option("--cnn", required=True, help="Run, checkpoint or model (lite) with the CNN, which stays as it is.")
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
def temporal(run: Path, resume: bool, cnn: str, teachers: tuple[Path, ...], augmentation: str, **options: Any) -> None:
    """Train recurrent heads (CNN-RNN) on a frozen CNN, from sequences of labelled video frames.

    The sets must name each face's video and frame, as manifests do. Without --teacher it is the teacher of the second
    stage; with it a student.
    """
    if teachers and options["preset"]:
        _as_student(options)
    about = {"kind": "temporal", "data": about_data(options)}
    train_set, dev_set = map(in_videos, read_sets(options))
    files = [checkpoint_of(path) for path in teachers]
    network, digest = _one_cnn(cnn, dev_set)
    network, train_set, dev_set = _in_common(network, cnn, train_set, dev_set, taught=bool(teachers))
    config = TrainConfig(
        network=network.config,
        betas=(options.pop("beta1"), options.pop("beta2")),
        cnn=digest,
        teachers=tuple(map(sha256, files)),
        augmentation=AUGMENTATIONS[augmentation],
        **options,
    )
    networks = [load_temporal(path)[0] for path in files]
    for path, taught_by in zip(teachers, networks, strict=True):
        _check_teacher(path, [taught_by], network.config)
    _train(config, train_set, dev_set, run, teachers=networks, cnn=network, resume=resume, about=about)


def _as_student(options: dict[str, Any]) -> None:
    """A preset's values for recurrent heads with a teacher, where the command line does not say otherwise."""
    context = click.get_current_context()
    for name, value in PRESETS[options["preset"]]["temporal --teacher"].items():
        if context.get_parameter_source(name) is click.core.ParameterSource.DEFAULT_MAP and name in options:
            options[name] = value


def _in_common(
    network: MultitaskCNN, name: str, train_set: FaceSet, dev_set: FaceSet, *, taught: bool
) -> tuple[MultitaskCNN, FaceSet, FaceSet]:
    """The network without what no frame is labelled for, and the faces with its labels.

    Recurrent heads that nothing teaches would answer at random; with a teacher they learn all that the network answers.
    """
    labels = network.config.labels
    if not taught:
        labels = common(labels, answerable(relabelled(train_set, labels)))
    if labels != network.config.labels:
        left_out = sorted({*network.config.labels.action_units} - {*labels.action_units})
        tasks = [task for task in network.config.tasks if not widths_of(labels)[task]]
        click.echo(f"no frame is labelled for {', '.join(tasks or left_out)}: the heads do not answer it", err=True)
        config = dataclasses.replace(network.config, labels=labels)
        network = adapted(network, config, name, seed=0).eval()
    return network, relabelled(train_set, labels), relabelled(dev_set, labels)


@click.command()
@data_options
@click.option("--cnn", default="lite", show_default=True, help="Exported model under the heads; it stays as it is.")
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    default=("lite-ensemble",),
    show_default=True,
    help="Exported model that says what is right for the clean frames; repeat it for an ensemble.",
)
@click.option("--sequences", type=click.IntRange(min=1), default=6000, show_default=True, help="To train on.")
@click.option("--dev-sequences", type=click.IntRange(min=1), default=400, show_default=True, help="To choose by.")
@click.option(
    "--moving",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Manifest of labelled videos (affectkit train render --sequences) to train on beside the made sequences; "
    "each video's first frames count, and its expressions and action units as they are labelled.",
)
@click.option("--sequence-length", type=click.IntRange(min=2), default=32, show_default=True, help="Frames.")
@click.option(
    "--severity",
    type=click.FloatRange(min=0),
    default=1.4,
    show_default=True,
    help="Strongest disturbance; a fifth of the sequences is clean.",
)
@click.option(
    "--flutter",
    type=click.FloatRange(min=0),
    default=0.3,
    show_default=True,
    help="How much the features waver for a few frames at a time, which the heads learn not to follow.",
)
@click.option(
    "--steadiness",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Weight of changes of action units, valence and arousal from frame to frame that the teacher's answers do not "
    "have.",
)
@click.option(
    "--expression-steadiness",
    type=click.FloatRange(min=0),
    default=40.0,
    show_default=True,
    help="The same of the expression: a mouth that speaks passes through shapes that look like expressions.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Sequences.")
@click.option("--epochs", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--learning-rate", type=float, default=3e-3, show_default=True)
@click.option("--weight-decay", type=float, default=0.02, show_default=True)
@click.option("--ema", type=click.FloatRange(0, 1, max_open=True), default=0.995, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--output", "run", type=click.Path(path_type=Path, file_okay=False), required=True)
def synthetic(
    run: Path,
    cnn: str,
    teachers: tuple[str, ...],
    sequences: int,
    dev_sequences: int,
    moving: tuple[Path, ...],
    sequence_length: int,
    severity: float,
    flutter: float,
    steadiness: float,
    expression_steadiness: float,
    seed: int,
    **options: Any,
) -> None:
    """Train recurrent heads on sequences made of single faces, where there are no labelled videos.

    The heads learn to say of disturbed frames what a teacher says of the clean ones; see train/synthetic.py.
    """
    from affectkit.predictor import Predictor
    from affectkit.train.rendered_sequences import joined, moving_features
    from affectkit.train.synthetic_run import make_features, train_on_features

    _check_new(run)
    train_set, dev_set = read_sets(options)
    network, digest = _one_cnn(cnn, dev_set)
    train_set, dev_set = (relabelled(faces, network.config.labels) for faces in (train_set, dev_set))
    config = TrainConfig(
        network=network.config,
        optimizer="adamw",
        betas=(0.9, 0.999),
        cnn=digest,
        teachers=teachers,
        sequence_length=sequence_length,
        au_weight=7.0,  # of the mean over the eight action units
        va_weight=0.5,
        seed=seed,
        **options,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def severities(rng: np.random.Generator) -> float:
        return 0.0 if rng.random() < 0.2 else float(rng.uniform(0.1, severity))

    def tell(done: int) -> None:
        if done % 250 == 0:
            click.echo(f"{done} sequences made", err=True)

    with Predictor(cnn, temporal=False, precision="fp32") as seeing, ExitStack() as opened:
        taught_by = [opened.enter_context(Predictor(name, temporal=False, precision="fp32")) for name in teachers]
        common: dict[str, Any] = {"length": sequence_length, "severities": severities, "on_sequence": tell}
        dev = make_features(dev_set, seeing, taught_by, count=dev_sequences, seed=seed + 1, **common)
        made = make_features(train_set, seeing, taught_by, count=sequences, seed=seed, **common)
        for k, manifest in enumerate(moving):
            faces, split = read_manifest_faces(manifest)
            faces = relabelled(faces.subset(split == "train"), network.config.labels)
            made = joined(made, moving_features(faces, seeing, taught_by, seed=seed + 2 + k, **common))
    report = train_on_features(
        config,
        network,
        made,
        dev,
        dev_set,
        run,
        flutter=flutter,
        steadiness=steadiness,
        expression_steadiness=expression_steadiness,
    )
    json.dump(report, sys.stdout, indent=2)
    click.echo()


@click.command()
@data_options
@click.option(
    "--member",
    "members",
    required=True,
    multiple=True,
    type=(str, click.FloatRange(min=0, min_open=True)),
    metavar="MODEL WEIGHT",
    help="Run, checkpoint or model, and how much it counts; repeat it.",
)
@click.option("-o", "--output", "run", type=click.Path(path_type=Path, file_okay=False), required=True)
def average(run: Path, members: tuple[tuple[str, float], ...], **options: Any) -> None:
    """Average the weights of networks that come from one another, and measure the result on the dev part.

    Runs that began with the same weights lie in one valley, and the middle of it is often better than its sides
    (Wortsman et al., "Model soups", ICML 2022). Of networks with different initialisations it is worth nothing.
    """
    _check_new(run)
    _, dev_set = read_sets(options)
    networks: list[MultitaskCNN] = []
    for name, _ in members:
        named, _ = cnns_of(name, dev_set)
        if len(named) != 1 or named[0].config != (networks or named)[0].config:
            raise click.UsageError(f"--member {name}: has {len(named)} networks, or another one than the first")
        networks += named
    check_related(networks, [name for name, _ in members])
    dev_set = relabelled(dev_set, networks[0].config.labels)
    report = write_average(networks, [weight for _, weight in members], dev_set, run)
    json.dump(report, sys.stdout, indent=2)
    click.echo()


def _check_new(run: Path) -> None:
    """Refuse a folder with a run in it, for commands that cannot resume one."""
    if (run / BEST_NAME).exists():
        raise click.UsageError(f"{run} holds a run already; give another folder")


def _one_cnn(cnn: str, faces: FaceSet) -> tuple[MultitaskCNN, str]:
    """The only network of ``--cnn``, and a digest of its weights."""
    members, digests = cnns_of(cnn, faces)
    if len(members) != 1:
        raise click.UsageError(f"--cnn {cnn}: has {len(members)} members; train heads on each of their runs by itself")
    return members[0], digests[0]


def _check_teacher(
    path: str | Path, networks: Sequence[MultitaskCNN | MultitaskCNNRNN], student: NetworkConfig
) -> None:
    """A teacher that is shown the student's disturbed faces has to want the same ones."""
    for network in networks:
        wants, given = (
            {name: getattr(config, name) for name in ("size", "channels", "template", "margin")}
            for config in (network.config, student)
        )
        if wants != given:
            raise click.UsageError(
                f"--teacher {path}: takes other faces ({wants}) than the student ({given}); with --teacher-view clean "
                "it may"
            )


def _train(
    config: TrainConfig,
    train_set: FaceSet,
    dev_set: FaceSet,
    run: Path,
    *,
    teachers: Sequence[MultitaskCNN | MultitaskCNNRNN] = (),
    init_from: MultitaskCNN | None = None,
    cnn: MultitaskCNN | None = None,
    teacher_outputs: Outputs | None = None,
    resume: bool,
    about: dict[str, Any],
) -> None:
    """Train one network with its progress on stderr; its report on the dev part goes to stdout."""
    if not resume and (run / "last.pt").exists():
        raise click.UsageError(f"{run} holds a run already; give --resume to continue it, or another folder")
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
                config,
                train_set,
                dev_set,
                run,
                teachers=teachers,
                init_from=init_from,
                cnn=cnn,
                teacher_outputs=teacher_outputs,
                resume=resume,
                on_step=on_step,
                about={"command": ["affectkit", *sys.argv[1:]], **about},
            )
        except KeyboardInterrupt:
            click.echo(f"interrupted; {run} is kept: give --resume to continue it", err=True)
            raise
    json.dump(report, sys.stdout, indent=2)
    click.echo()


COMMANDS: dict[str, click.Command] = {
    "prepare": prepare,
    "distribution": distribution,
    "teacher": teacher,
    "students": students,
    "temporal": temporal,
    "synthetic": synthetic,
    "average": average,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "predict": predict,
    "status": status,
    "report": report,
    "render": render,
}
