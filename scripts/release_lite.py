"""Turn a training run into the embedded model `lite`: export, measure on held-out data, write the card.

    python scripts/release_lite.py RUN ../shared/data

The held-out parts are looked at here and nowhere before.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from affectkit.export.runs import export_runs
from affectkit.models import EMBEDDED
from affectkit.train.data import FaceSet, read_set
from affectkit.train.evaluate import evaluate_model
from affectkit.train.loop import load_network
from affectkit.train.networks import multiply_adds

NAME = "lite"
TRAINED_ON = (
    "FER+ (train part): images of FER-2013, crowd votes of microsoft/FERPlus; AU labels machine-made",
    "muxspace/facial_expressions (persons with crc32 % 5 != 0); AU labels machine-made",
)
LICENCE = "MIT (weights and code); trained on FER-2013 images, which were published for research"

CARD = """\
# {name}

One compact convolutional network for faces in video: expression (7), facial action units (8), valence and arousal.

| | |
|---|---|
| input | aligned face, {size} x {size} px, luma (grey); template `{template}`, 2.7 inter-ocular distances wide |
| network | residual, {parameters:.2f} M parameters, {madds:.0f} M multiply-adds a face |
| outputs | expression logits (7), AU logits (8), 20 bins each of valence and arousal, 128 features a task |
| method | heads and losses of Deng, Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020; \
one network, no distillation; blank labels count as missing |
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

Checkpoint and AU thresholds were chosen on a fixed tenth of FER2013Train that was not trained on. The parts below were
looked at once, after that. One crop a picture, no flips, through the exported ONNX file.

| | FER+ valid | facial_expressions, valid persons |
|---|---|---|
{table}

Expression F1 by class on FER+ valid: {f1}.

AU, Pearson correlation with the soft labels / F1 at the thresholds, FER+ valid:

| AU | Pearson | F1 | threshold |
|---|---|---|---|
{units}

## Limits

- Disgust and fear are rare in both sets and poorly recognised; contempt is not among the classes.
- Both sets lean towards frontal faces of adults, many of them public figures, and nobody recorded age, gender or skin
  tone; how scores differ between groups of people was not measured. Profiles, hands over the face and strong side light
  cost accuracy.
- Single pictures: the network has no memory. Talking moves the mouth, and a frame in the middle of a word may read as
  an expression.
- Probabilities of AUs are probabilities of presence, never intensities.

## What such scores are not

A facial configuration is not an emotion, and no score here says what a person feels, intends or is fit for. Ask people
before you analyse their faces. In the European Union, the AI Act forbids inferring emotions of people at work and in
education save for medical or safety reasons and obliges telling people elsewhere; other places have laws of their own.
"""


def table(reports: list[dict[str, Any]]) -> str:
    """The rows of the card's first table."""
    rows: list[tuple[str, list[str]]] = [
        ("pictures", [str(r["count"]) for r in reports]),
        ("expression accuracy", [f"{r['expression']['accuracy']:.3f}" for r in reports]),
        ("expression macro F1 (7 classes)", [f"{r['expression']['macro_f1']:.3f}" for r in reports]),
        ("expression ECE", [f"{r['ece']:.3f}" for r in reports]),
        ("AU mean Pearson with soft labels", [f"{r['au']['pearson']['mean']:.3f}" for r in reports]),
        ("AU mean F1 at the thresholds", [f"{r['au']['f1']['mean']:.3f}" for r in reports]),
        ("valence CCC (derived labels)", [f"{r['va']['valence']['ccc']:.3f}" for r in reports]),
        ("arousal CCC (derived labels)", [f"{r['va']['arousal']['ccc']:.3f}" for r in reports]),
    ]
    return "\n".join(f"| {name} | {' | '.join(values)} |" for name, values in rows)


def held_out(data: Path) -> dict[str, FaceSet]:
    """The parts that nothing was chosen on."""

    def files(name: str) -> tuple[Path, Path, Path]:
        return data / f"{name}_labels.csv", data / f"{name}_images.zip", data / f"{name}_landmarks.npz"

    return {
        "FER+ valid": read_set(*files("ferplus"), prefix="FER2013Valid/"),
        "facial_expressions valid persons": read_set(*files("facial_expressions"), persons_mod=5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--train-count", type=int, default=34763, help="pictures trained on, as the run printed")
    arguments = parser.parse_args()
    network, state = load_network(arguments.run / "best.pt")
    options: dict[str, Any] = {"name": NAME, "licence": LICENCE, "trained_on": TRAINED_ON}
    with tempfile.TemporaryDirectory() as scratch:  # the card holds what the exported file measures, so export twice
        export_runs([arguments.run], Path(scratch) / NAME, card="", **options)
        reports = {
            name: evaluate_model(Path(scratch) / NAME, faces) for name, faces in held_out(arguments.data).items()
        }
    first = reports["FER+ valid"]
    thresholds = dict(zip([k for k in first["au"]["f1"] if k != "mean"], state["au_thresholds"], strict=True))
    card = CARD.format(
        name=NAME,
        size=network.config.size,
        template=network.config.template,
        parameters=sum(p.numel() for p in network.parameters()) / 1e6,
        madds=multiply_adds(network) / 1e6,
        licence=LICENCE,
        train_count=f"{arguments.train_count:,}",
        table=table(list(reports.values())),
        f1=", ".join(f"{name} {value:.2f}" for name, value in first["expression"]["f1"].items()),
        units="\n".join(
            f"| {unit} | {first['au']['pearson'][unit]:.3f} | {first['au']['f1'][unit]:.3f} | {threshold:.2f} |"
            for unit, threshold in thresholds.items()
        ),
    )
    parity = export_runs([arguments.run], EMBEDDED / NAME, card=card, metrics=reports, overwrite=True, **options)
    for part in parity:
        print(
            f"{part.name}: largest difference from torch {part.largest:.1e} ({part.relative:.1e} of the largest value)"
        )
    print(table(list(reports.values())))


if __name__ == "__main__":
    main()
