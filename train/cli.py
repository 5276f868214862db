"""``affectkit train ...``: loaded only when one of its commands is named."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from affectkit.errors import SourceError
from affectkit.train.data import join, read_set, select_split, without_derived_va
from affectkit.train.evaluate import evaluate_model
from affectkit.train.loop import TrainConfig, train
from affectkit.train.networks import MultitaskCNN, NetworkConfig, multiply_adds

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--labels", type=_FILE, required=True, multiple=True, help="CSV of a set; repeat for several sets.")
@click.option("--images", type=_FILE, required=True, multiple=True, help="Zip of its pictures, in the same order.")
@click.option("--landmarks", type=_FILE, multiple=True, help="npz of its points, in the same order.")
@click.option(
    "-o",
    "--output",
    "run",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the run: checkpoints and metrics.jsonl.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--batch-size", type=click.IntRange(min=2), default=60, show_default=True)
@click.option("--optimizer", type=click.Choice(["adam", "adamw"]), default="adam", show_default=True)
@click.option("--learning-rate", type=float, default=1e-4, show_default=True)
@click.option("--beta1", type=float, default=0.5, show_default=True)
@click.option("--weight-decay", type=float, default=0.0, show_default=True)
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), default="constant", show_default=True)
@click.option("--warmup-steps", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--ema",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Decay of the moving average of the weights; 0: none.",
)
@click.option("--au-weight", type=float, default=8.0, show_default=True)
@click.option("--expression-weight", type=float, default=1.0, show_default=True)
@click.option("--va-weight", type=float, default=1.0, show_default=True)
@click.option("--focal-gamma", type=float, default=0.0, show_default=True, help="Focal loss for the AUs; 0: none.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--bf16", is_flag=True, help="Convolutions in bfloat16: faster on GPUs and on CPUs with AMX.")
@click.option("--device", default="cpu", show_default=True, help="A torch device.")
@click.option("--checkpoint-minutes", type=float, default=5.0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on with the run in the output folder.")
def teacher(
    labels: tuple[Path, ...],
    images: tuple[Path, ...],
    landmarks: tuple[Path, ...],
    run: Path,
    beta1: float,
    resume: bool,
    **values: Any,
) -> None:
    """Train one network on all three tasks, each learned from the faces labelled for it.

    The defaults are the paper's. FER2013Valid and every fifth person are left out; a tenth of FER2013Train chooses the
    checkpoint and the AU thresholds.
    """
    if len(labels) != len(images) or len(landmarks) not in (0, len(labels)):
        raise click.UsageError("give --labels, --images and, if at all, --landmarks once for every set")
    if not resume and (run / "last.pt").exists():
        raise click.UsageError(f"{run} holds a run already; give --resume to go on with it, or another folder")
    config = TrainConfig(**values, betas=(beta1, 0.999))
    points = landmarks or (None,) * len(labels)
    sets = []
    for label_file, image_file, point_file in zip(labels, images, points, strict=True):
        faces = read_set(label_file, image_file, point_file)
        kept = without_derived_va(faces)
        if kept is not faces:
            click.echo(
                f"{label_file.name}: valence and arousal only repeat the expression; they are left out", err=True
            )
        sets.append(kept)
    train_set = join([select_split(faces, "train") for faces in sets])
    dev_set = join([select_split(faces, "dev") for faces in sets])
    if not len(train_set) or not len(dev_set):
        raise SourceError("no faces are left to train on, or none (a tenth of FER2013Train) to choose checkpoints by")
    network = MultitaskCNN(NetworkConfig())
    parameters = sum(p.numel() for p in network.parameters())
    click.echo(
        f"{len(train_set)} faces to train on, {len(dev_set)} to choose by; {parameters / 1e6:.2f} M parameters, "
        f"{multiply_adds(network) / 1e6:.0f} M multiply-adds a face",
        err=True,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    every = 50

    def on_step(step: int, steps: int, losses: dict[str, float]) -> None:
        if step % every == 0:
            line = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
            click.echo(f"step {step}/{steps}  {line}", err=True)

    report = train(config, train_set, dev_set, run, resume=resume, on_step=on_step)
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


COMMANDS: dict[str, click.Command] = {"teacher": teacher, "evaluate": evaluate}
