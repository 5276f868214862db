"""Turn a run of `affectkit train synthetic` into the embedded lite-temporal, with a card.

    python scripts/release_temporal.py RUN
    python benchmarks/temporal.py ../shared -o benchmarks/results/temporal.json
    python scripts/release_temporal.py RUN --measured benchmarks/results/temporal.json

The first call makes the model that the benchmark measures, the last one puts what was measured into its card.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from affectkit.export.runs import export_runs
from affectkit.models import EMBEDDED, load

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
| outputs | as `lite`: expression logits (7), AU logits (8), 20 bins each of valence and arousal |
| licence | {licence} |

## What it was trained on: no videos

**The two open sets hold no labelled videos, so it was trained on sequences made of single pictures**
(train/synthetic.py, `affectkit train synthetic`): a face of FER+ is held for 8 to 40 frames,
then another person's face takes its place, at once or by blending; the head drifts a little. What the network sees is
disturbed from frame to frame as video is: alignment that jitters, blur, compression, flicker, noise, things passing
in front, missing frames. What it should say is what `lite-ensemble` and `lite` say of the clean frames. So it has
learned when to trust a frame and when its neighbours, and **nothing of how real expressions begin and end**. Real
changes that last a few frames only may be softened, as blends of a few frames are the fastest gradual changes it has
seen; `lite` frame by frame keeps them.

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
all of it. How strongly training asks for steadiness was chosen on that clip.

The AU thresholds and the temperature were fitted on disturbed sequences made of the dev part.

## Limits

All of `lite`'s (its card says what the labels are: **the AU labels are machine-made, valence and arousal are
derived**), and: live without lookahead it knows the past only, and gains less; speech is not modelled. What such
scores are not, consent and the law: see the card of `lite`.
"""

PENDING = "# lite-temporal\n\nNot measured yet.\n"

WAYS = ("frame by frame", "temporal", "temporal, live, lookahead 0", "temporal, live, lookahead 16")


def card_of(measured: dict[str, Any], licence: str, parameters: float) -> str:
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
    parser.add_argument("--measured", type=Path)
    arguments = parser.parse_args()
    frame = load(FRAME_MODEL).spec
    measured = json.loads(arguments.measured.read_text()) if arguments.measured else None
    parameters = sum(3 * 64 * (128 + 64 + 2) * 2 + 129 * width for width in (7, 8, 40)) / 1e6
    card = PENDING if measured is None else card_of(measured, frame.licence, parameters)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / NAME
        export_runs(
            [arguments.run],
            folder,
            name=NAME,
            licence=frame.licence,
            trained_on=(*frame.trained_on, "the heads: sequences made of FER+ (train part), see the card"),
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
