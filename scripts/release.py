"""Turn training runs into an embedded model: export, calibrate on the dev part, measure on held-out data, write a card.

    python scripts/release.py lite-ensemble STUDENTS ../shared/data

`lite` has a script of its own, release_lite.py.

The held-out parts are looked at here and nowhere before. Needs what `pip install -e '.[dev]'` installs.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from affectkit.export.runs import export_runs
from affectkit.models import EMBEDDED, SPEC_NAME, load, read_spec, sha256
from affectkit.train.calibrate import fit_temperature, fit_thresholds, write_calibration
from affectkit.train.checkpoints import load_network
from affectkit.train.evaluate import Answers, ask
from affectkit.train.faces import FaceSet
from affectkit.train.networks import multiply_adds
from affectkit.train.reading import read_set
from affectkit.train.runs import checkpoints_of
from affectkit.train.splits import select_split
from affectkit.types import Array

TRAINED_ON = (
    "FER+ (train part): images of FER-2013, crowd votes of microsoft/FERPlus; AU labels machine-made",
    "muxspace/facial_expressions (persons with crc32 % 5 != 0); AU labels machine-made",
)
LICENCE = "MIT (weights and code); trained on FER-2013 images, which were published for research"
CARD_NAME = "MODEL_CARD.md"
COMMON = 20
"""Pictures of a class from which on its F1 counts in "macro F1, classes with 20 pictures or more"."""

WHAT = {
    "lite-ensemble": (
        "Five compact convolutional networks in one graph, whose answers are averaged,",
        "five students, each from a fresh initialisation, which learned from the labels and from a teacher for 12 "
        "epochs, and then for 8 more, with less disturbed pictures, from `lite` of the first round; their spread "
        "(`--uncertainty`) says how much they disagree",
    ),
}

CARD = """\
# {name}

{what} for faces in video: expression (7), facial action units (8), valence and arousal.

| | |
|---|---|
| input | aligned face, {size} x {size} px, luma (grey); template `{template}`, 2.7 inter-ocular distances wide |
| network | residual, {parameters:.2f} M parameters and {madds:.0f} M multiply-adds a face{times}; weights stored as \
float16, computed in float32 |
| outputs | expression logits (7), AU logits (8), 20 bins each of valence and arousal, 128 features a task |
| method | Deng, Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020: {how}; blank labels count \
as missing |
| licence | {licence} |

## What it was trained on, and what the labels are

{train_count} pictures from two public sets, all grey:

- **FER+**: 48 x 48 px pictures of FER-2013, found by web search, tight and often blurred. *Expression*: ten people
  voted on each picture; the network learns the share of votes. These are labels of what people see in a face, not of
  what its owner feels. *Valence and arousal*: **derived, not annotated**: the mean of textbook circumplex coordinates
  under the same votes. They carry no information beyond the votes. *AUs*: see below.
- **facial_expressions** (muxspace): pictures of well-known people, one expression label each, very unbalanced (mostly
  neutral and happiness). Its valence and arousal only repeat the label and were not used.
- **Action units are machine-made soft labels** on both sets: formulas over the 52 blendshape scores and the mesh of
  MediaPipe's Face Landmarker. No certified FACS coder has seen these pictures. The scores below say how well the
  network reproduces that tool's answer, **not** how well it agrees with FACS coding. AU6 is a proxy (eye squint and
  smile together), because that tool never answers its cheek raiser.

Training pictures were disturbed (size down to 24 px, blur, compression, light, noise, occlusion, jittered alignment),
because faces in video are smaller and rougher than these.

## Measured on held-out pictures

Checkpoints, AU thresholds and the temperature of the expression probabilities ({temperature:.2f}) were chosen on a
fixed tenth of FER2013Train that was not trained on. The parts below were looked at after that. One crop a picture, no
flips, through the exported ONNX file.

| | FER+ valid | facial_expressions, held-out persons |
|---|---|---|
{table}

Expression F1 by class (number of pictures):

| | FER+ valid | facial_expressions, held-out persons |
|---|---|---|
{classes}

AU, Pearson correlation with the soft labels / F1 at the thresholds, FER+ valid:

| AU | Pearson | F1 | threshold |
|---|---|---|---|
{units}

### By head pose and face size

Head pose and points are MediaPipe's; "no face found" are pictures in which it saw none, so that they have neither AU
labels nor points, and the whole picture was the crop. Face size is the inter-ocular distance in the picture as stored.

| group | pictures | expression accuracy | AU mean Pearson | valence CCC | arousal CCC |
|---|---|---|---|---|---|
{groups}

## Limits

- Disgust and fear are rare in both sets and poorly recognised; contempt is not among the classes.
- Both sets lean towards frontal faces of adults, many of them public figures. Age, gender and skin
  tone were not recorded, and how scores differ between groups of people was not measured. Profiles, hands over the face
  and strong side light cost accuracy.
- Single pictures: the network has no memory. Talking moves the mouth, and a frame in the middle of a word may read as
  an expression.
- Probabilities of AUs are probabilities of presence, never intensities.

## What such scores are not

A facial configuration is not an emotion, and no score here says what a person feels, intends or is fit for. Ask people
before you analyse their faces. In the European Union, the AI Act forbids inferring emotions of people at work and in
education save for medical or safety reasons and obliges telling people elsewhere; other places have laws of their own.
"""


class HeldOut(NamedTuple):
    """A part that nothing was chosen on, with what its pictures are grouped by."""

    faces: FaceSet
    yaw_deg: Array
    """(N,), NaN where no face was found."""
    inter_ocular_px: Array
    """(N,), NaN where no face was found."""


def files(data: Path, name: str) -> tuple[Path, Path, Path]:
    """Labels, pictures and points of a set."""
    return data / f"{name}_labels.csv", data / f"{name}_images.zip", data / f"{name}_landmarks.npz"


def held_out(data: Path, name: str) -> HeldOut:
    """The held-out part of a set."""
    faces = select_split(read_set(*files(data, name)), "test")
    with np.load(files(data, name)[2]) as archive:
        yaw = dict(zip(map(str, archive["image"]), archive["pose_deg"][:, 1].astype(float), strict=True))
    distance = np.linalg.norm(faces.landmarks[:, 1] - faces.landmarks[:, 0], axis=1)
    return HeldOut(faces, np.array([yaw.get(name, np.nan) for name in faces.names]), distance)


def groups_of(name: str, part: HeldOut) -> dict[str, Array]:
    """Masks (N,) of the pictures in each group."""
    turned, size = np.abs(part.yaw_deg), part.inter_ocular_px
    small, large = (16, 20) if name == "FER+ valid" else (50, 60)
    return {
        "turned by less than 10°": turned < 10,
        "10° to 25°": (turned >= 10) & (turned < 25),
        "25° and more": turned >= 25,
        f"inter-ocular distance under {small} px": size < small,
        f"{small} to {large} px": (size >= small) & (size < large),
        f"{large} px and more": size >= large,
        "no face found": np.isnan(turned),
    }


def number(value: float | None) -> str:
    """Three digits, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:.3f}"


def group_row(name: str, report: dict[str, Any]) -> str:
    """One row of the card's table of groups."""
    expression, au, va = report["expression"], report["au"], report["va"]
    values = [
        expression and expression["accuracy"],
        au and au["pearson"]["mean"],
        va and va["valence"]["ccc"],
        va and va["arousal"]["ccc"],
    ]
    return f"| {name} | {report['count']} | {' | '.join(map(number, values))} |"


def class_f1(report: dict[str, Any]) -> dict[str, tuple[float, int]]:
    """F1 and number of pictures of each expression."""
    counts = np.array(report["expression"]["confusion"]).sum(1)
    return {name: (f1, int(n)) for (name, f1), n in zip(report["expression"]["f1"].items(), counts, strict=True)}


def common_f1(report: dict[str, Any]) -> float:
    """Macro F1 over the classes with enough pictures to say something."""
    return float(np.mean([f1 for f1, count in class_f1(report).values() if count >= COMMON]))


def table(reports: list[dict[str, Any]]) -> str:
    """The rows of the card's first table."""
    rows: list[tuple[str, list[str]]] = [
        ("pictures", [str(r["count"]) for r in reports]),
        ("expression accuracy", [number(r["expression"]["accuracy"]) for r in reports]),
        ("expression macro F1, 7 classes", [number(r["expression"]["macro_f1"]) for r in reports]),
        (f"expression macro F1, classes with {COMMON} pictures or more", [number(common_f1(r)) for r in reports]),
        ("expression ECE", [number(r["ece"]) for r in reports]),
        ("AU mean Pearson with soft labels", [number(r["au"]["pearson"]["mean"]) for r in reports]),
        ("AU mean F1 at the thresholds", [number(r["au"]["f1"]["mean"]) for r in reports]),
        ("valence CCC (derived labels)", [number(r["va"]["valence"]["ccc"]) for r in reports]),
        ("arousal CCC (derived labels)", [number(r["va"]["arousal"]["ccc"]) for r in reports]),
    ]
    return "\n".join(f"| {name} | {' | '.join(values)} |" for name, values in rows)


def calibrate(folder: Path, dev: FaceSet) -> None:
    """Thresholds and temperature of the model as exported, on the dev part."""
    answers = ask(folder, dev)
    where = f"the dev tenth of FER2013Train ({len(dev)} faces)"
    thresholds = fit_thresholds(dev.au, answers.decoded()["au"])
    write_calibration(folder, thresholds=thresholds, provenance=f"best F1 of each action unit on {where}")
    temperature = fit_temperature(dev.expression, answers.logits["expression"])
    write_calibration(folder, temperature=temperature, provenance=where)


def write_card(folder: Path, card: str, metrics: dict[str, Any]) -> None:
    """Put the card and what was measured into a model folder."""
    (folder / CARD_NAME).write_text(card, encoding="utf-8")
    spec = read_spec(folder)
    spec = dataclasses.replace(spec, metrics=metrics, files={**spec.files, CARD_NAME: sha256(folder / CARD_NAME)})
    (folder / SPEC_NAME).write_text(spec.to_json(), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(WHAT))
    parser.add_argument("runs", type=Path, help="a run, or a folder of students' runs")
    parser.add_argument("data", type=Path)
    parser.add_argument("--train-count", type=int, default=34763, help="pictures trained on, as the run printed")
    parser.add_argument("--dev-only", action="store_true", help="stop before the held-out parts; print the dev part")
    arguments = parser.parse_args()
    runs = checkpoints_of(arguments.runs)
    networks = [load_network(run)[0] for run in runs]
    dev = select_split(read_set(*files(arguments.data, "ferplus")), "dev")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / arguments.name
        parity = export_runs(
            runs, folder, name=arguments.name, licence=LICENCE, trained_on=TRAINED_ON, card="", half=True
        )
        for one in parity:
            print(f"{one.name}: {one.largest:.1e} from torch at most ({one.relative:.1e} of the largest value)")
        calibrate(folder, dev)
        if arguments.dev_only:
            print(table([ask(folder, dev).report(dev)] * 2))
            return
        parts = {
            "FER+ valid": held_out(arguments.data, "ferplus"),
            "facial_expressions valid persons": held_out(arguments.data, "facial_expressions"),
        }
        answers: dict[str, Answers] = {name: ask(folder, part.faces) for name, part in parts.items()}
        reports = {name: answers[name].report(part.faces) for name, part in parts.items()}
        group_rows = []
        for name, part in parts.items():
            for group, mask in groups_of(name, part).items():
                if mask.any():
                    report = answers[name].subset(mask).report(part.faces.subset(mask))
                    group_rows.append(group_row(f"{name}: {group}", report))
        spec = load(folder).spec
        what, how = WHAT[arguments.name]
        first = reports["FER+ valid"]
        unit_names = [name for name in first["au"]["f1"] if name != "mean"]
        config = networks[0].config
        card = CARD.format(
            name=arguments.name,
            what=what,
            how=how,
            size=config.size,
            template=config.template,
            parameters=sum(p.numel() for p in networks[0].parameters()) / 1e6,
            madds=multiply_adds(networks[0]) / 1e6,
            times=f", times {len(networks)}" if len(networks) > 1 else "",
            licence=LICENCE,
            train_count=f"{arguments.train_count:,}",
            temperature=spec.expression_temperature,
            table=table(list(reports.values())),
            classes="\n".join(
                f"| {name} | " + " | ".join("{:.2f} ({})".format(*class_f1(r)[name]) for r in reports.values()) + " |"
                for name in first["expression"]["f1"]
            ),
            units="\n".join(
                f"| {unit} | {first['au']['pearson'][unit]:.3f} | {first['au']['f1'][unit]:.3f} | {threshold:.2f} |"
                for unit, threshold in zip(unit_names, spec.au_thresholds, strict=True)
            ),
            groups="\n".join(group_rows),
        )
        write_card(folder, card, reports)
        load(folder)  # every checksum once more
        target = EMBEDDED / arguments.name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
    print(table(list(reports.values())))


if __name__ == "__main__":
    main()
