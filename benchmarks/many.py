"""Ten copies of a clip to ten tables: one process with one thread, and two processes with one thread each, in turns.

    python benchmarks/many.py ../shared/clips/utterance_1.mp4 -o benchmarks/results/many.json

From the start of the command to its end. The tables have to be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from affectkit.measurements import machine


def run(clips: list[Path], out: Path, *more: str, cores: set[int] | None = None) -> float:
    """Seconds that `affectkit predict` takes for all clips, on some cores only."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [sys.executable, "-m", "affectkit", "predict", *map(str, clips), "-o", str(out), "-q", *more]
    began = time.perf_counter()
    bound = None if cores is None else (lambda: os.sched_setaffinity(0, cores))
    subprocess.run(command, check=True, preexec_fn=bound)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        clips = [Path(scratch) / f"clip_{k}{arguments.clip.suffix}" for k in range(10)]
        for clip in clips:
            shutil.copyfile(arguments.clip, clip)
        one, two = Path(scratch) / "one", Path(scratch) / "two"
        first, second = sorted(os.sched_getaffinity(0))[:2]
        seconds: dict[str, list[float]] = {"one": [], "two": []}
        for _ in range(arguments.repeats):
            seconds["one"].append(run(clips, one, cores={first}))
            seconds["two"].append(run(clips, two, "-j", "2", cores={first, second}))
        same = all((one / p.name).read_bytes() == p.read_bytes() for p in two.glob("*.csv"))
        tables = len(list(two.glob("*.csv")))
    ratio = statistics.median(a / b for a, b in zip(seconds["one"], seconds["two"], strict=True))
    print(
        f"one process {seconds['one']}\ntwo processes {seconds['two']}\nx {ratio:.2f}, {tables} tables, equal: {same}"
    )
    if arguments.output is not None:
        report = {"clip": arguments.clip.name, "seconds": seconds, "ratio": ratio, "equal": same, "machine": machine()}
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
