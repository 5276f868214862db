"""Turn a run into the embedded `lite`: export, measure, write a card.

    python scripts/release_lite.py RUN ../shared/data rendered/manifest.parquet [--truth au-truth.md]

The held-out parts are looked at here and nowhere before. RUN holds its thresholds and temperatures already
(scripts/calibrate_lite.py). With the Markdown of benchmarks/au_truth.py the card shows what it measured, which can
only be done when the model is there: so the script is called twice.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from release import class_f1, common_f1, files, group_row, groups_of, held_out, number, write_card

from affectkit.export.runs import export_runs
from affectkit.models import load
from affectkit.train.checkpoints import load_network
from affectkit.train.evaluate import Answers, ask
from affectkit.train.faces import FaceSet
from affectkit.train.networks import multiply_adds
from affectkit.train.reading import read_manifest_faces, read_set
from affectkit.train.runs import checkpoints_of

NAME = "lite"
DATA = Path(__file__).resolve().parents[1] / "benchmarks" / "data"
BY_EYE, CODED = DATA / "ferplus_by_eye.csv", DATA / "ferplus_coded_for_training.csv"
TRAINED_ON = (
    "affectkit train render: renderings of people who do not exist, CC0, action units known exactly",
    "FER+ (train part): images of FER-2013, crowd votes of microsoft/FERPlus",
    "muxspace/facial_expressions (persons with crc32 % 5 != 0)",
)
LICENCE = (
    "MIT (weights and code); the labels of the sets are MIT and Apache-2.0; rights in the pictures of FER-2013 and of "
    "facial_expressions (news photographs, film stills) are unresolved"
)

CARD = """\
# lite

One compact network, with action units that were held against an exact truth: 19 facial action units (presence and
intensity), expression (7), valence and arousal, what of the face can be seen, and the head's pose.

| | |
|---|---|
| input | aligned face, {size} x {size} px, luma (grey); template `{template}`, 2.7 inter-ocular distances wide |
| network | residual, {parameters:.2f} M parameters and {madds:.0f} M multiply-adds a face; action units are read from \
{poolings} means of the last map, all but one weighted by place; weights stored as float16, computed in float32 |
| outputs | logits of expression (7), of AU presence and intensity (19 each), of visibility (brows, eyes, mouth), pose \
in degrees, 20 bins each of valence and arousal, 128 features a task |
| method | Deng, Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020: sets of which each is \
labelled for some of the tasks; the five students of `lite-ensemble` taught expression, valence and arousal of \
photographs all along. Trained from random weights in six minutes of one H200, then for an hour on two CPU cores with \
74,000 renderings of other people (scripts/train_on_gpu.py) |
| licence | {licence} |

## What it was trained on, and what the labels are

- **Renderings** (`affectkit train render`): people who do not exist, with action units, intensities, visibility and
  pose known exactly (docs/facs.md says what each unit is made of). An intensity is the share of the person's own full
  movement, **not** FACS' A to E; presence is taught as likely as the unit is intense. No certified coder has seen
  them.
- **FER+**: 48 x 48 px pictures of FER-2013, found by web search, tight and often blurred. *Expression*: ten people
  voted on each picture; the network learns the share of votes: what people see in a face, not what its owner feels.
  *Valence and arousal*: **derived, not annotated**: the mean of textbook circumplex coordinates under the same votes.
- **facial_expressions** (muxspace): pictures of well-known people, one expression label each.
- On both sets of photographs MediaPipe's blendshapes gave **machine-made** labels of action units, where that tool
  can be believed beside the exact ones, and half of those only (scripts/real_labels.py): without any the network
  called units active in most photographs.
- {coded} faces of FER+ were **coded for AU1, 2, 4, 6, 9, 15, 17 and 20 by a language model** that looked at them
  enlarged (benchmarks/data/ferplus_coded_for_training.csv), each once and without knowing the votes; no certified
  coder has seen them. They came six times as often as others.

Something was laid over a quarter of the training faces (masks, hands, dark glasses, hair, the picture's end), some
stood on their head, and some crops showed no face, so that the network says what it can see.

## Action units against an exact truth

{truth}

**What renderings cannot prove**: the test heads come from the renderer of the training heads (other people, skins,
hair, lights and styles). Real skin folds, slides and shines in other ways.

## Action units on photographs, judged by eye

{eye_count} faces of FER+ that were never trained on, plain cases only, judged by **one coder (a language model that
looked at 48 px pictures), no certified one**, twice in different orders (benchmarks/data/ferplus_by_eye.csv). AUC
needs no threshold.

| AU | AUC | found of those present | called present of those absent | present / absent |
|---|---|---|---|---|
{eye}

Of the faces of FER+ valid that eight of ten voters call sad (afraid): AU1 and AU4 active together in {sad:.0%}
({afraid:.0%}).

## Expression, valence and arousal on held-out pictures

FER+ and facial_expressions are **at home**: other pictures (people) of the sources trained on. "Renderings" are
prototypes (EMFACS) of all strengths from .3 on people of the test part. `--prior balanced` takes all expressions to
be equally common.

| | FER+ valid | facial_expressions, held-out persons | renderings, test people |
|---|---|---|---|
{table}

Expression F1 by class (number of pictures):

| | FER+ valid | facial_expressions, held-out persons | renderings, test people |
|---|---|---|---|
{classes}

Regions that are clear but called hidden, FER+ valid (hands and hair before some faces count as errors here): brows
{emptied[0]:.1%}, eyes {emptied[1]:.1%}, mouth {emptied[2]:.1%}.

### By head pose and face size

Head pose and points are MediaPipe's; "no face found" are pictures in which it saw none, so that the whole picture was
the crop. Face size is the inter-ocular distance in the picture as stored.

| group | pictures | expression accuracy | AU mean Pearson | valence CCC | arousal CCC |
|---|---|---|---|---|---|
{groups}

("AU mean Pearson" is that with the machine-made labels of AU1, 2, 4, 6, 12, 15, 20 and 25, of which most were not
taught.)

## Limits

- Units whose movement is a pixel or two of the crop (7, 14, 18, 20, 23, 24) are weak, on renderings as on people.
- Disgust and fear are rare in the sets of photographs and poorly recognised; contempt is not among the classes.
- Both sets lean towards frontal faces of adults, many of them public figures, and nothing records age, gender or skin
  tone.
- Single pictures: the network has no memory. Talking moves the mouth, and a frame in the middle of a word may read as
  an expression. A person's own resting face may read as a unit: see `--baseline`.

## What such scores are not

A facial configuration is not an emotion, and no score here says what a person feels, intends or is fit for. Ask
people before you analyse their faces. In the European Union, the AI Act forbids inferring emotions of people at work
and in education save for medical or safety reasons and obliges telling people elsewhere; other places have laws of
their own. """

PENDING = "Not measured yet: run benchmarks/au_truth.py."


def rank_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: how often a present face scores over an absent one, ties as halves."""
    present, absent = score[truth], score[~truth]
    if not len(present) or not len(absent):
        return float("nan")
    over = (present[:, None] > absent[None]).mean() + 0.5 * (present[:, None] == absent[None]).mean()
    return float(over)


def by_eye(folder: Path, ferplus: FaceSet) -> tuple[str, int, dict[str, Any]]:
    """The card's rows about faces judged by eye, their number, and the numbers."""
    judged = pd.read_csv(BY_EYE)
    places = {name: i for i, name in enumerate(ferplus.names)}
    faces = ferplus.take(np.array([places[name] for name in judged["image"]]))
    spec, probability = load(folder).spec, ask(folder, faces).decoded()["au"]
    rows, numbers = [], {}
    for column in judged.columns[1:]:
        unit = f"AU{int(column[2:]):02d}"
        if unit not in spec.labels.action_units:
            continue
        k = spec.labels.action_units.index(unit)
        known = judged[column].notna().to_numpy()
        truth, score = judged.loc[known, column].to_numpy() == 1, probability[known, k]
        active = score >= spec.label_thresholds[k]
        found, false = float(active[truth].mean()), float(active[~truth].mean())
        numbers[unit] = {"auc": rank_auc(truth, score), "found": found, "false": false}
        counts = f"{truth.sum()} / {(~truth).sum()}"
        rows.append(f"| {unit} | {numbers[unit]['auc']:.2f} | {found:.0%} | {false:.0%} | {counts} |")
    return "\n".join(rows), len(faces), numbers


def together(folder: Path, faces: FaceSet, answers: Answers, votes: pd.DataFrame, name: str) -> float:
    """Share of the faces that eight of ten call by a name in which AU1 and AU4 are active together."""
    spec = load(folder).spec
    named = (votes.loc[list(faces.names), f"votes_{name}"] >= 8).to_numpy()
    active = answers.decoded()["au"][named] >= spec.label_thresholds
    units = spec.labels.action_units
    return float((active[:, units.index("AU01")] & active[:, units.index("AU04")]).mean())


def emptied(folder: Path, faces: FaceSet, rows: int = 2000) -> list[float]:
    """Share of faces of which brows, eyes and mouth are called hidden."""
    from affectkit import Predictor
    from affectkit.train.crops import crop_all

    spec = load(folder).spec
    with Predictor(folder, temporal=False, precision="fp32") as predictor:
        affects = predictor.predict_aligned(crop_all(faces, range(min(rows, len(faces))), spec.input))
    shares = np.array([a.visibility for a in affects])
    return [float(v) for v in (shares < np.array(spec.visibility_thresholds)).mean(0)]


def table(reports: list[dict[str, Any]]) -> str:
    """The rows of the table about expression, valence and arousal."""
    rows: list[tuple[str, list[str]]] = [
        ("pictures", [str(r["count"]) for r in reports]),
        ("expression accuracy", [number(r["expression"]["accuracy"]) for r in reports]),
        ("expression macro F1, 7 classes", [number(r["expression"]["macro_f1"]) for r in reports]),
        ("expression macro F1, classes with 20 pictures or more", [number(common_f1(r)) for r in reports]),
        ("expression ECE", [number(r["ece"]) for r in reports]),
        ("valence CCC (derived labels)", [number(r["va"] and r["va"]["valence"]["ccc"]) for r in reports]),
        ("arousal CCC (derived labels)", [number(r["va"] and r["va"]["arousal"]["ccc"]) for r in reports]),
    ]
    return "\n".join(f"| {name} | {' | '.join(values)} |" for name, values in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--truth", type=Path, help="Markdown of benchmarks/au_truth.py for the card")
    arguments = parser.parse_args()
    runs = checkpoints_of(arguments.run)
    network = load_network(runs[0])[0]
    rendered, split = read_manifest_faces(arguments.rendered)
    ferplus = read_set(*files(arguments.data, "ferplus"))
    votes = pd.read_csv(files(arguments.data, "ferplus")[0]).set_index("image")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / NAME
        parity = export_runs(runs, folder, name=NAME, licence=LICENCE, trained_on=TRAINED_ON, card="", half=True)
        for one in parity:
            print(f"{one.name}: {one.largest:.1e} from torch at most ({one.relative:.1e} of the largest value)")
        parts = {
            "FER+ valid": held_out(arguments.data, "ferplus"),
            "facial_expressions valid persons": held_out(arguments.data, "facial_expressions"),
        }
        faces = {name: part.faces for name, part in parts.items()}
        faces["renderings, test people"] = rendered.subset((split == "test") & ~np.isnan(rendered.expression))
        answers = {name: ask(folder, part) for name, part in faces.items()}
        reports = {name: answers[name].report(part) for name, part in faces.items()}
        group_rows = []
        for name, part in parts.items():
            for group, mask in groups_of(name, part).items():
                if mask.any():
                    report = answers[name].subset(mask).report(part.faces.subset(mask))
                    group_rows.append(group_row(f"{name}: {group}", report))
        first = reports["FER+ valid"]
        eye, count, eye_numbers = by_eye(folder, ferplus)
        valid, said = faces["FER+ valid"], answers["FER+ valid"]
        both = {name: together(folder, valid, said, votes, name) for name in ("sadness", "fear")}
        config = network.config
        card = CARD.format(
            size=config.size,
            template=config.template,
            parameters=sum(p.numel() for p in network.parameters()) / 1e6,
            madds=multiply_adds(network) / 1e6,
            poolings=config.au_poolings,
            licence=LICENCE,
            truth=arguments.truth.read_text(encoding="utf-8").strip() if arguments.truth else PENDING,
            eye=eye,
            eye_count=count,
            coded=len(pd.read_csv(CODED)),
            sad=both["sadness"],
            afraid=both["fear"],
            table=table(list(reports.values())),
            classes="\n".join(
                f"| {name} | " + " | ".join("{:.2f} ({})".format(*class_f1(r)[name]) for r in reports.values()) + " |"
                for name in first["expression"]["f1"]
            ),
            emptied=emptied(folder, valid),
            groups="\n".join(group_rows),
        )
        metrics = {**reports, "FER+ by eye": eye_numbers, "AU1 and AU4 together": both}
        write_card(folder, card, json.loads(json.dumps(metrics)))
        load(folder)  # every checksum once more
        target = (
            Path(__file__).resolve().parents[1] / "affectkit" / "models" / NAME
        )  # of the source tree, installed or not
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        print(card)


if __name__ == "__main__":
    main()
