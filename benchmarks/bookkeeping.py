"""Many inputs in one command: what each costs beside the work on its frames.

    python benchmarks/bookkeeping.py [--inputs 10000] [--model lite]

One picture, linked under as many names, goes through `affectkit predict` in this process, and once more through
Predictor.stream alone. The difference, by input, is bookkeeping: the plan, checks, the lock, two files that are written
and renamed, a line of run.jsonl, the summary. Also for the first and the last tenth, and the memory, to see whether
it grows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from affectkit import cli
from affectkit.predictor import Predictor
from affectkit.runs import anywhere as jobs
from affectkit.sources.opening import open_source


def main() -> None:
    """Measure, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--model", default="lite")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "one.png"), np.full((48, 48, 3), 90, np.uint8))
        inputs = [str(folder / f"i{k:06}.png") for k in range(arguments.inputs)]
        for path in inputs:
            os.link(folder / "one.png", path)
        (folder / "tables").mkdir()
        before = len(os.listdir(folder / "tables"))
        with Predictor(arguments.model, device="cpu") as predictor:
            list(predictor.stream(inputs[0]))
            began, used = time.perf_counter(), time.process_time()
            for path in inputs:
                for _ in predictor.stream(open_source(path)):
                    pass
            frames_s, frames_cpu_s = time.perf_counter() - began, time.process_time() - used
        ends: list[tuple[float, float]] = []
        run_in_way = jobs.run_in_way

        def noted(*given: object, **options: object) -> object:
            outcome = run_in_way(*given, **options)  # type: ignore[arg-type]
            ends.append((time.perf_counter(), time.process_time()))
            peaks.append(psutil.Process().memory_info().rss / 1e6)
            return outcome

        jobs.run_in_way = noted  # type: ignore[assignment]
        listed = folder / "list.txt"
        listed.write_text("\n".join(inputs))
        peaks: list[float] = []
        sys.argv = ["affectkit", "predict", "--inputs", str(listed), "--output-dir", f"{folder}/tables"]
        sys.argv += ["--model", arguments.model]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            cli.main()
        made = len(os.listdir(folder / "tables")) - before
    assert made == 2 * arguments.inputs + 1 and said.getvalue().count(": 1 frame") == arguments.inputs, made
    count, tenth = arguments.inputs - 1, max(1, arguments.inputs // 10)
    whole_s, whole_cpu_s = (after - before for before, after in zip(ends[0], ends[-1], strict=True))  # without start-up
    first, last = ends[tenth][1] - ends[0][1], ends[-1][1] - ends[-tenth - 1][1]
    frames, frames_cpu = 1000 * frames_s / arguments.inputs, 1000 * frames_cpu_s / arguments.inputs
    whole, whole_cpu = 1000 * whole_s / count, 1000 * whole_cpu_s / count
    print(f"{arguments.inputs} inputs of one frame, {arguments.model}")
    print(f"  frames alone           {frames:7.3f} ms an input, {frames_cpu:7.3f} ms of CPU time")
    print(f"  affectkit predict      {whole:7.3f} ms an input, {whole_cpu:7.3f} ms of CPU time")
    print(f"  bookkeeping            {whole - frames:7.3f} ms an input, {whole_cpu - frames_cpu:7.3f} ms of CPU time")
    print(f"  last tenth / first     {last / first:7.2f} (CPU time)")
    print(f"  memory                 {peaks[tenth]:7.0f} MB after a tenth, {peaks[-1]:.0f} at the end")


if __name__ == "__main__":
    main()
