"""Faces a second of networks side by side: precisions, or a fused ensemble against one of its members.

    python benchmarks/engine.py lite-fp32 lite-int8 --threads 1 -o benchmarks/results/engine-precisions.json

Models take turns at every repeat, so that a noisy machine is noisy for all of them; medians, and ratios to the first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from affectkit.engines import Engine, open_engine
from affectkit.measurements import machine
from affectkit.models import load


def seconds(engine: Engine, faces: np.ndarray) -> float:
    """One run."""
    began = time.perf_counter()
    engine.run({"faces": faces})
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    engines, spec = {}, load(arguments.models[0]).spec
    for model in arguments.models:
        folder = load(model)
        if folder.spec.input != spec.input:
            parser.error(f"{model} takes other faces than {arguments.models[0]}")
        engines[model] = open_engine(folder.frame_onnx, device=arguments.device, threads=arguments.threads)
    rng = np.random.default_rng(0)
    rows = []
    for count in arguments.batches:
        faces = rng.integers(0, 256, (count, spec.input.size, spec.input.size, spec.input.channels)).astype(np.uint8)
        times: dict[str, list[float]] = {model: [] for model in engines}
        for repeat in range(arguments.repeats + 3):
            for model, engine in engines.items():
                taken = seconds(engine, faces)
                if repeat >= 3:  # the first runs prepare
                    times[model].append(taken)
        first = times[arguments.models[0]]
        for model, taken_all in times.items():
            ratios = [a / b for a, b in zip(first, taken_all, strict=True)]
            median = statistics.median(taken_all)
            rows.append(
                {
                    "model": model,
                    "faces_at_once": count,
                    "faces_per_s": round(count / median, 1),
                    "ms_per_face": round(1000 * median / count, 3),
                    "speed_against_first": round(statistics.median(ratios), 2),
                }
            )
            print("{model:28} {faces_at_once:4} {faces_per_s:9} faces/s  x {speed_against_first}".format(**rows[-1]))
    if arguments.output is not None:
        report = {"device": arguments.device, "threads": arguments.threads, "rows": rows, "machine": machine()}
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
