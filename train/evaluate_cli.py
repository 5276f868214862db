"""The commands of ``affectkit train`` that look at data and at trained models."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from affectkit import models
from affectkit.errors import OutputError, SourceError
from affectkit.train.calibrate import RULES, Rule, check_writable, fit_temperature, fit_thresholds, write_calibration
from affectkit.train.challenge import faces_of_crops, read_lengths, write_predictions
from affectkit.train.datasets.points import mtcnn
from affectkit.train.distribution import distributions, plot
from affectkit.train.evaluate import ask, evaluate_model, labels_of_model
from affectkit.train.faces import FaceSet, answerable, in_videos, relabelled
from affectkit.train.options import FILE, data_options, part_options, read_part, read_sets
from affectkit.train.splits import read_manifest_part
from affectkit.types import LabelSet

_FOLDER = click.Path(path_type=Path, file_okay=False)
_MODEL_HELP = "Name or folder of a model, a training run, a folder of students' runs, or a checkpoint."


@click.command()
@click.option("--model", default="lite", show_default=True, help=_MODEL_HELP)
@part_options
@click.option("--members", is_flag=True, help="Also each member by itself, and the ensemble by either rule.")
@click.option("--device", default="auto", show_default=True, help="Of a model folder's engine.")
def evaluate(model: str, members: bool, device: str, **part: Any) -> None:
    """Measure a model on labelled pictures and print one JSON object."""
    faces, _ = read_part(**part)
    _say_what_is_unknown(faces, labels_of_model(model))
    json.dump(evaluate_model(model, faces, device=device, members=members), sys.stdout, indent=2)
    click.echo()


def _say_what_is_unknown(faces: FaceSet, labels: LabelSet) -> None:
    """What the faces are labelled for and the model does not answer, on stderr: it is not in the report."""
    taught = answerable(faces)
    lost = [name for name in taught.action_units if name not in labels.action_units]
    unknown = set(taught.expressions) - set(labels.expressions)
    held = {taught.expressions[int(k)] for k in np.unique(faces.expression[~np.isnan(faces.expression)])} & unknown
    lost += sorted(held)
    lost += ["valence", "arousal"] if taught.valence_arousal and not labels.valence_arousal else []
    if lost:
        click.echo(f"the model does not answer {', '.join(lost)}: these labels are not measured", err=True)


@click.command()
@click.option("--model", type=_FOLDER, required=True, help="A model folder.")
@part_options
@click.option("--rule", type=click.Choice(list(RULES)), default="best-f1", show_default=True)
@click.option("--device", default="auto", show_default=True)
def calibrate(model: Path, rule: Rule, device: str, **part: Any) -> None:
    """Fit the AU thresholds and the expression temperature of a model folder on labelled pictures.

    Both are written into the folder with their provenance; where the pictures have no labels for one, it stays.
    """
    check_writable(model)
    faces, where = read_part(**part)
    spec = models.load(model).spec
    faces = relabelled(faces, spec.labels)
    has_au, has_expression = not np.isnan(faces.au).all(), not np.isnan(faces.expression).all()
    if not has_au and not has_expression:
        raise SourceError(f"{where}: no face with an AU or expression label is left")
    answers = ask(model, faces, device=device)
    if has_au:
        thresholds = fit_thresholds(faces.au, answers.decoded()["au"], rule=rule)
        write_calibration(model, thresholds=thresholds, provenance=f"{rule} of each action unit on {where}")
        for name, threshold in zip(spec.labels.action_units, thresholds, strict=True):
            click.echo(f"{name} {threshold:.4f}")
    if has_expression:
        order = [answers.spec.expression_labels.index(name) for name in spec.labels.expressions]
        logits = answers.logits["expression"][:, :, order]
        if answers.spec.ensemble == "logits":
            logits = logits.mean(0, keepdims=True)
        temperature = fit_temperature(faces.expression, logits)
        write_calibration(model, temperature=temperature, provenance=where)
        click.echo(f"expression temperature {temperature:.4f}")
    click.echo(f"wrote {model / 'model.json'}", err=True)


@click.command()
@click.option("--model", default="lite", show_default=True, help=_MODEL_HELP)
@click.option("--crops", type=click.Path(path_type=Path, exists=True, file_okay=False), help="cropped_aligned/.")
@click.option(
    "--points",
    type=click.Choice(["detect", "none"]),
    default="detect",
    show_default=True,
    help="How --crops are cut for the model: by the points of the face found in each, or whole (for a model that was "
    "trained on such crops without points).",
)
@click.option("--manifest", type=FILE, help="Manifest of `affectkit train prepare` instead of --crops.")
@click.option("--split", help="Only this part of the manifest.")
@click.option(
    "--lengths", type=FILE, help="Text file with a line `VIDEO FRAMES` a video; the rest end with their last crop."
)
@click.option("-o", "--output", type=_FOLDER, required=True, help="Folder for AU_Set/, EXPR_Set/ and VA_Set/.")
@click.option("--members", is_flag=True, help="Also each member by itself, in member_0/ and on.")
@click.option("--overwrite", is_flag=True)
@click.option("--device", default="auto", show_default=True, help="Of a model folder's engine.")
def predict(
    model: str,
    crops: Path | None,
    points: str,
    manifest: Path | None,
    split: str | None,
    lengths: Path | None,
    output: Path,
    members: bool,
    overwrite: bool,
    device: str,
) -> None:
    """Write a model's predictions in the ABAW challenge's format: a file a video and task, a line a frame.

    AUs are 0/1 at the model's thresholds. Frames without a crop get -1 (AU, EXPR) and -5 (VA), as in the annotations.
    """
    if (crops is None) == (manifest is None):
        raise click.UsageError("give either --crops or --manifest")
    if crops is not None and split is not None:
        raise click.UsageError("--split goes with --manifest")
    faces = _faces(crops, manifest, split, detect=points == "detect")
    if output.exists() and any(output.iterdir()) and not overwrite:
        raise OutputError(f"{output}: is not empty; give --overwrite to write into it, or another folder")
    frames = {} if lengths is None else read_lengths(lengths)
    answers = ask(model, faces, device=device)
    count = write_predictions(answers, faces, output, lengths=frames)
    if members:
        for k in range(answers.spec.members):
            write_predictions(answers.member(k), faces, output / f"member_{k}", lengths=frames)
    click.echo(f"wrote {count} videos into {output}", err=True)


def _faces(crops: Path | None, manifest: Path | None, split: str | None, *, detect: bool) -> FaceSet:
    if crops is not None and not detect:
        return faces_of_crops(crops)
    if crops is not None:
        with mtcnn() as find:
            faces = faces_of_crops(crops, find=find)
        whole = int(np.isnan(faces.landmarks).any((1, 2)).sum())
        if whole:
            click.echo(f"no face was found in {whole} of {len(faces)} crops; these are taken whole", err=True)
        return faces
    assert manifest is not None
    faces = in_videos(read_manifest_part(manifest, split))
    if not len(faces):
        raise SourceError(f"{manifest}: no face of a video is left" + (f" by --split {split}" if split else ""))
    return faces


@click.command()
@data_options
@click.option("--plot", "picture", type=click.Path(path_type=Path, dir_okay=False), help="Also draw it: a .png.")
@click.option("--seed", type=int, default=0, show_default=True)
def distribution(picture: Path | None, **options: Any) -> None:
    """Show how often an epoch shows each label, before and after balancing."""
    train_set, _ = read_sets(options)
    found = distributions(train_set, seed=options["seed"])
    click.echo("\n\n".join(one.table() for one in found))
    if picture is not None:
        plot(found, picture)
        click.echo(f"wrote {picture}", err=True)
