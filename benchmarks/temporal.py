"""What looking at time is worth: made sequences of FER+ valid, clean and disturbed, and the jitter on a real clip.

    python benchmarks/temporal.py ../shared [-o benchmarks/results/temporal.json]

Compared are a model frame by frame, the same smoothed (every time constant of SMOOTH_S, the best one chosen afterwards,
in its favour), and its temporal sibling, offline and live. Sequences are made by train/synthetic.py at severity 1,
which was fixed on the dev part; accuracy is counted on frames that show one face.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affectkit import Predictor
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.readout import read_out
from affectkit.smooth import Smoother
from affectkit.spec import FURTHER, TASKS, ModelSpec
from affectkit.temporal import TemporalBuffer
from affectkit.train.faces import FaceSet, relabelled
from affectkit.train.metrics import ccc
from affectkit.train.reading import read_set
from affectkit.train.synthetic import MadeSequence, make_sequence
from affectkit.types import Array
from affectkit.windows import WindowConfig

FPS = 25
SMOOTH_S = (0.08, 0.16, 0.24, 0.32, 0.48, 0.64, 0.96, 1.28)


def results_of(affects: list[Affect]) -> list[FrameResult]:
    """One face a frame, 25 frames a second."""
    nowhere = np.zeros((5, 2), np.float32)
    faces = [Face(0, (0.0, 0.0, 1.0, 1.0), 1.0, nowhere, affect) for affect in affects]
    return [FrameResult(i, i / FPS, (face,)) for i, face in enumerate(faces)]


def smoothed(affects: list[Affect], spec: ModelSpec, seconds: float, *, live: bool = False) -> list[Affect]:
    """What --smooth makes of them."""
    smoother = Smoother(seconds, spec.label_thresholds, live=live, labels=spec.labels)
    return [r.faces[0].affect for r in smoother.push(results_of(affects)) + smoother.flush()]


def over_time(predictor: Predictor, carried: dict[str, Array], config: WindowConfig) -> list[Affect]:
    """What the temporal model says of consecutive frames.

    Args:
        carried: what the frame model says of them: ``features`` (M, N, K, F), and what is of the single frame.
    """
    features = carried["features"]
    assert predictor._temporal is not None
    buffer = TemporalBuffer[int](predictor._temporal.run, config, predictor.spec.tasks)
    frames = ((i, i / FPS, False, [0], features[:, [i]]) for i in range(features.shape[1]))
    ready = buffer.push(frames) + buffer.flush()
    outputs = {name: np.stack([answers[0][name] for _, answers in ready], axis=1) for name in TASKS}
    return read_out(outputs | {name: carried[name] for name in FURTHER if name in carried}, predictor.spec)


def scores(faces: FaceSet, made: list[MadeSequence], answers: list[list[Affect]]) -> dict[str, float]:
    """Against the labels of the faces shown."""
    rows = np.concatenate([m.rows for m in made])
    said = [affect for part in answers for affect in part]
    single = np.flatnonzero(rows >= 0)
    shown = faces.take(rows[single])
    expression = np.array([said[i].expression_probabilities.argmax() for i in single])
    labelled = ~np.isnan(shown.expression)
    au = np.stack([said[i].au_probabilities for i in single])
    active = np.stack([said[i].au_active for i in single])
    pearson, f1 = [], []
    for k in range(au.shape[1]):
        known = ~np.isnan(shown.au[:, k])
        if not known.any():  # a unit of the model that the set has no labels of
            continue
        pearson.append(np.corrcoef(au[known, k], shown.au[known, k])[0, 1])
        want, got = shown.au[known, k] >= 0.5, active[known, k]
        f1.append(2 * (want & got).sum() / max(1, want.sum() + got.sum()))
    va = np.array([[said[i].valence, said[i].arousal] for i in single])
    rated = ~np.isnan(shown.va).any(1)
    return {
        "accuracy": float((expression == shown.expression)[labelled].mean()),
        "au_pearson": float(np.mean(pearson)),
        "au_f1": float(np.mean(f1)),
        "ccc_valence": float(ccc(shown.va[rated, 0], va[rated, 0])),
        "ccc_arousal": float(ccc(shown.va[rated, 1], va[rated, 1])),
        "jitter": float(np.mean([jitter(part) for part in answers])),
    }


def curves(affects: list[Affect]) -> Array:
    """(N, A + 2) probabilities of the action units, valence, arousal."""
    return np.array([[*a.au_probabilities, a.valence, a.arousal] for a in affects], float)


def jitter(affects: list[Affect]) -> float:
    """Mean absolute difference from frame to frame."""
    return float(np.nanmean(np.abs(np.diff(curves(affects), axis=0))))


def on_sequences(
    faces: FaceSet, single: Predictor, temporal: Predictor, *, count: int, length: int, severity: float
) -> dict[str, dict[str, float]]:
    """Every way to answer, on the same sequences."""
    made, alone, features = [], [], []
    for k in range(count):
        one = make_sequence(faces, single.spec.input, length, severity=severity, rng=np.random.default_rng((7, k)))
        _, logits = single.predict_aligned(one.disturbed, return_logits=True)
        made.append(one)
        alone.append(read_out(logits, single.spec))  # also of what cannot be seen, as the labels know it
        features.append({name: logits[name] for name in ("features", *FURTHER) if name in logits})
    table = {"frame by frame": scores(faces, made, alone)}
    for seconds in SMOOTH_S:
        table[f"smooth {seconds:g} s"] = scores(faces, made, [smoothed(a, single.spec, seconds) for a in alone])
    assert temporal.spec.temporal is not None
    frames = temporal.spec.temporal.sequence_length
    ways: dict[str, WindowConfig] = {
        "temporal": WindowConfig(frames),
        "temporal, paper's windows": WindowConfig(frames, "paper"),
        "temporal, live, lookahead 0": WindowConfig(frames, "live", 0),
        "temporal, live, lookahead 4": WindowConfig(frames, "live", 4),
        "temporal, live, lookahead 16": WindowConfig(frames, "live", min(16, frames - 1)),
    }
    for name, config in ways.items():
        table[name] = scores(faces, made, [over_time(temporal, f, config) for f in features])
    for seconds in (0.16, 0.48):
        answers = [smoothed(a, single.spec, seconds, live=True) for a in alone]
        table[f"smooth {seconds:g} s, live"] = scores(faces, made, answers)
    return table


def on_clip(clip: Path, single: Predictor, temporal: Predictor) -> dict[str, Any]:
    """Jitter, and how far the curves are those of the frame-by-frame answer."""

    def run(predictor: Predictor, **options: Any) -> list[Affect]:
        return [r.faces[0].affect for r in predictor.stream(clip, max_faces=1, **options) if r.faces]

    plain = run(single)
    ways: dict[str, Callable[[], list[Affect]]] = {
        "frame by frame": lambda: plain,
        "temporal": lambda: run(temporal),
        "temporal, live, lookahead 0": lambda: run(temporal, window="live"),
        "smooth 0.32 s": lambda: run(single, smooth_s=0.32),
    }
    report = {}
    before = curves(plain)
    names = (*single.spec.labels.action_units, "valence", "arousal")
    for name, way in ways.items():
        affects = way()
        now = curves(affects)
        seen = ~np.isnan(before) & ~np.isnan(now)
        pairs = [(before[seen[:, k], k], now[seen[:, k], k]) for k in range(now.shape[1])]
        each = [float(np.corrcoef(*pair)[0, 1]) for pair in pairs]
        report[name] = {
            "jitter": jitter(affects),
            "less": 1 - jitter(affects) / jitter(plain),
            "correlation": dict(zip(names, each, strict=True)),
            "mean_correlation": float(np.mean(each)),
        }
    return report


def main() -> None:
    """Measure, print tables, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="folder with data/ and clips/")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--temporal", default="lite-temporal")
    parser.add_argument("--prefix", default="FER2013Valid/")
    parser.add_argument("--sequences", type=int, default=300)
    parser.add_argument("--length", type=int, default=96)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    faces = read_set(
        data / "ferplus_labels.csv",
        data / "ferplus_images.zip",
        data / "ferplus_landmarks.npz",
        prefix=arguments.prefix,
    )
    report: dict[str, Any] = {"sequences": arguments.sequences, "length": arguments.length}
    with Predictor(arguments.model) as single, Predictor(arguments.temporal, temporal=True) as temporal:
        faces = relabelled(faces, single.spec.labels)
        for name, severity in (("clean", 0.0), ("disturbed", 1.0)):
            table = report[name] = on_sequences(
                faces, single, temporal, count=arguments.sequences, length=arguments.length, severity=severity
            )
            print(f"\n{name:34} {'accuracy':>9} {'AU r':>7} {'AU F1':>7} {'val.':>7} {'aro.':>7} {'jitter':>7}")
            for way, s in table.items():
                print(
                    f"{way:34} {s['accuracy']:9.4f} {s['au_pearson']:7.4f} {s['au_f1']:7.4f} {s['ccc_valence']:7.4f} "
                    f"{s['ccc_arousal']:7.4f} {s['jitter']:7.4f}"
                )
        clip = arguments.shared / "clips/utterance_1.mp4"
        report["clip"] = on_clip(clip, single, temporal)
        print(f"\n{clip.name:34} {'jitter':>9} {'less':>7} {'correlation':>12} {'lowest':>7}")
        for way, r in report["clip"].items():
            lowest = min(r["correlation"].values())
            print(f"{way:34} {r['jitter']:9.4f} {r['less']:7.1%} {r['mean_correlation']:12.3f} {lowest:7.3f}")
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
