"""How much a network's answers move when a crop hardly does: the noise of its rounding, beside the time it takes.

    python benchmarks/int8_noise.py affectkit/models/lite-int8 OTHER_FOLDER ../shared/clips/utterance_1.mp4 ...

Crops of the faces of each clip (at the points of `lite`), moved by .02 % of the crop's width in a random direction, or
with a level more or less in 2 % of the pixels, against the same crops as they are: 99th percentiles of differences of
AU probabilities, of all values and of a crop's largest. Time: one thread, one crop, the models in turns, 2nd and 25th
percentile of 200 runs, which other work on the machine hardly touches.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from affectkit import Predictor
from affectkit.align import crop_face
from affectkit.engines import open_engine
from affectkit.models import load
from affectkit.readout import sigmoid
from affectkit.sources.opening import open_source

MOVED, CHANGED, MOST, RUNS = 0.0002, 0.02, 240, 200


def crops_of(clip: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(crops as they are, crops disturbed), each (N, S, S, C), by kind of disturbance."""
    rng = np.random.default_rng(0)
    spec = load("lite").spec.input
    with Predictor("lite", precision="fp32", threads=1) as predictor:
        points = [[face.landmarks for face in result.faces] for result in predictor.stream(clip)]
    plain, moved, changed = [], [], []
    for index, frame in enumerate(open_source(clip).frames()):
        if index >= min(len(points), MOST):
            break
        for five in map(np.asarray, points[index] * 2):
            width = 2.7 * np.linalg.norm(five[0] - five[1])
            angle = rng.uniform(0, 2 * np.pi)
            crop = crop_face(frame.picture, five, spec)
            level = np.where(rng.random(crop.shape) < CHANGED, rng.choice([-1, 1], crop.shape), 0)
            plain.append(crop)
            moved.append(
                crop_face(frame.picture, five + MOVED * width * np.array([np.cos(angle), np.sin(angle)]), spec)
            )
            changed.append(np.clip(crop.astype(int) + level, 0, 255).astype(np.uint8))
    return {"moved": (np.stack(plain), np.stack(moved)), "levels": (np.stack(plain), np.stack(changed))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, help="model folders and clips")
    given = parser.parse_args().paths
    models, clips = [path for path in given if path.is_dir()], [path for path in given if not path.is_dir()]
    engines = {path: open_engine(path / "frame.onnx", device="cpu", threads=1) for path in models}
    one = None
    for clip in clips:
        for kind, (plain, disturbed) in crops_of(clip).items():
            one = plain[:1]
            for path, engine in engines.items():
                before, after = (
                    np.concatenate([engine.run({"faces": x[k : k + 32]})["au"][0] for k in range(0, len(x), 32)])
                    for x in (plain, disturbed)
                )
                apart = np.abs(sigmoid(after) - sigmoid(before))
                every, largest = np.quantile(apart, 0.99), np.quantile(apart.max(1), 0.99)
                print(f"{clip.stem:12s} {kind:7s} {path.name:16s} {every:.4f} / {largest:.4f}", flush=True)
    if one is None:
        return
    times: dict[Path, list[float]] = {path: [] for path in models}
    for _ in range(RUNS):
        for path, engine in engines.items():
            start = time.perf_counter()
            engine.run({"faces": one})
            times[path].append(1e3 * (time.perf_counter() - start))
    for path, taken in times.items():
        print(f"{path}: {np.quantile(taken, 0.02):.3f} ms a face, {np.quantile(taken, 0.25):.3f}")


if __name__ == "__main__":
    main()
