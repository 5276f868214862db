"""Turn a run of `affectkit train synthetic` into the embedded lite-temporal, with a card.

    python scripts/release_temporal.py RUN
    python benchmarks/temporal.py ../shared -o benchmarks/results/temporal.json
    python scripts/release_temporal.py RUN --measured benchmarks/results/temporal.json --truth au-truth.md

The first call makes the model that the benchmark measures, the last one puts what was measured into its card.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from affectkit.export.runs import export_runs
from affectkit.models import EMBEDDED, load
from affectkit.spec import ModelSpec
from affectkit.train.checkpoints import load_temporal, save_atomically
from affectkit.train.runs import checkpoint_of

NAME, FRAME_MODEL = "lite-temporal", "lite"

CARD = """\
# lite-temporal

`lite` that looks at sequences: a bidirectional GRU a task over the features of 32 consecutive frames of a face (Deng,
Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020: CNN-RNN on a frozen CNN). It answers more
steadily than `lite` frame by frame, and better where frames are blurred, noisy, half hidden or missing.

| | |
|---|---|
| input | features of `lite`, whose frame.onnx is used as it is (named in model.json by its sha256, not copied) |
| network | 3 GRUs of 64 units in each direction; {parameters:.2f} M parameters, float32 |
| outputs | logits of expression (7) and AU presence (19), 20 bins each of valence and arousal; intensity, visibility \
and pose are those of `lite`, of the single frame |
| licence | {licence} |

## What it was trained on: no videos of people

The two open sets hold no labelled videos, so it was trained on

- **sequences made of single pictures** (train/synthetic.py, `affectkit train synthetic`): a face of FER+ is held for 8
  to 40 frames, then another person's face takes its place, at once or by blending; the head drifts a little. What it
  should say is what `lite` says of the clean frames;
- **151 rendered sequences of 32 frames** (`affectkit train render --sequences`, train part; each four times, otherwise
  disturbed): units that come, stay and go, faces that speak, faces at rest. What it should say are the labels: a
  speaking face without an expression is neutral.

What the network sees is disturbed from frame to frame as video is: alignment that jitters, blur, compression, flicker,
noise, things passing in front, missing frames. So it has learned when to trust a frame and when its neighbours. Real
changes that last a few frames only may be softened; `lite` frame by frame keeps them.

## Talking faces

Rendered neutral faces that talk, test part (benchmarks/au_truth.py, 1,280 frames; changes of the expression a second,
correlation of AU25 with the lips, delay of a unit's onset in frames):

| | changes | called neutral | AU25 r | AU12, AU20 on | jitter | delay |
|---|---|---|---|---|---|---|
{talking}

## Measured

On {count} sequences of {length} frames made of FER+ valid, at the severity that was fixed beforehand on the dev part
of FER2013Train; accuracy is counted on frames that show one face. "Smooth" is `--smooth` of `lite` at the best of
eight time constants on these very sequences.

| | accuracy, clean | disturbed: accuracy | AU Pearson | CCC valence / arousal | jitter |
|---|---|---|---|---|---|
{table}

On clean sequences AU Pearson falls from {clean_single:.3f} to {clean_temporal:.3f} and mean AU F1 from
{clean_single_f1:.3f} to {clean_temporal_f1:.3f}: steadiness costs some of the small changes.

On a real clip of a man speaking (309 frames), the mean absolute difference of AU probabilities, valence and arousal
from frame to frame is {less:.0%} lower than frame by frame; the curves correlate with the frame-by-frame ones at
{mean:.2f} on average ({lowest:.2f} at the lowest, {lowest_name}). Windows overlap; `benchmarks/temporal.py` measures
all of it. How strongly training asks for steadiness was chosen on that clip, and that of the expression on 40 rendered
faces of the train part that talk.

The AU thresholds are those of `lite`; the temperature was fitted on disturbed sequences made of the dev part.

## Limits

All of `lite`'s (its card says what the labels are: **valence and arousal are derived**), and: live without lookahead
it knows the past only, and gains less; real speech was never seen. What such scores are not, consent and the law: see
the card of `lite`.
"""

PENDING = "# lite-temporal\n\nNot measured yet.\n"

WAYS = ("frame by frame", "temporal", "temporal, live, lookahead 0", "temporal, live, lookahead 16")


def with_thresholds(run: Path, frame: ModelSpec, target: Path) -> Path:
    """The run with the frame model's thresholds, which the heads learned to answer like.

    Its own were fitted on the labels of photographs, which are machine-made and know eight units only.
    """
    network, state = load_temporal(checkpoint_of(run))
    units = network.config.labels.action_units
    thresholds = dict(zip(frame.au_labels, frame.au_thresholds, strict=True))
    target.mkdir()
    changed = {
        **state,
        "au_thresholds": [thresholds[name] for name in units],
        "au_thresholds_from": f"those of {FRAME_MODEL}: {frame.au_thresholds_from}",
    }
    save_atomically(changed, target / "best.pt")
    return target


def talking_rows(truth: Path | None) -> str:
    """The rows about talking faces, of the ways that belong to this model and of smoothing."""
    if truth is None:
        return "| not measured | | | | | | |"
    rows = []
    for line in truth.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 10 and cells[0].startswith(f"{FRAME_MODEL}, "):
            way = re.sub(rf"{NAME} \w+", NAME, cells[0].removeprefix(f"{FRAME_MODEL}, "))
            rows.append(
                f"| {way} | {cells[1]} | {cells[2]} | {cells[3]} | {cells[4]}, {cells[5]} | {cells[7]} | {cells[8]} |"
            )
    return "\n".join(rows)


def card_of(measured: dict[str, Any], licence: str, parameters: float, talking: str) -> str:
    """The card's text."""
    disturbed, clean, clip = measured["disturbed"], measured["clean"], measured["clip"]["temporal"]
    best = max((way for way in disturbed if way.endswith(" s")), key=lambda way: disturbed[way]["accuracy"])
    rows = []
    for way in (WAYS[0], best, *WAYS[1:]):
        d = disturbed[way]
        rows.append(
            f"| {way} | {clean[way]['accuracy']:.3f} | {d['accuracy']:.3f} | {d['au_pearson']:.3f} | "
            f"{d['ccc_valence']:.3f} / {d['ccc_arousal']:.3f} | {d['jitter']:.3f} |"
        )
    lowest = min(clip["correlation"], key=lambda name: clip["correlation"][name])
    return CARD.format(
        licence=licence,
        parameters=parameters,
        talking=talking,
        count=measured["sequences"],
        length=measured["length"],
        table="\n".join(rows),
        clean_single=clean["frame by frame"]["au_pearson"],
        clean_temporal=clean["temporal"]["au_pearson"],
        clean_single_f1=clean["frame by frame"]["au_f1"],
        clean_temporal_f1=clean["temporal"]["au_f1"],
        less=clip["less"],
        mean=clip["mean_correlation"],
        lowest=clip["correlation"][lowest],
        lowest_name=lowest,
    )


def main() -> None:
    """Export, with or without what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--measured", type=Path, help="JSON of benchmarks/temporal.py")
    parser.add_argument("--truth", type=Path, help="Markdown of benchmarks/au_truth.py, for talking faces")
    arguments = parser.parse_args()
    frame = load(FRAME_MODEL).spec
    measured = json.loads(arguments.measured.read_text()) if arguments.measured else None
    parameters = sum(3 * 64 * (128 + 64 + 2) * 2 + 129 * width for width in (7, 19, 40)) / 1e6
    card = PENDING if measured is None else card_of(measured, frame.licence, parameters, talking_rows(arguments.truth))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / NAME
        export_runs(
            [with_thresholds(arguments.run, frame, Path(scratch) / "run")],
            folder,
            name=NAME,
            licence=frame.licence,
            trained_on=(
                *frame.trained_on,
                "the heads: sequences made of FER+ (train part), and rendered sequences, see the card",
            ),
            card=card,
            metrics=None if measured is None else {"made sequences of FER+ valid": measured},
            frame_model=FRAME_MODEL,
        )
        target = EMBEDDED / NAME
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
    load(NAME)


if __name__ == "__main__":
    main()
