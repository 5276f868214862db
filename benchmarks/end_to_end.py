"""Frames a second from a video to a table, and the memory it takes.

    python benchmarks/end_to_end.py ../shared/clips/utterance_1.mp4 --repeats 5 --loops 20 -o benchmarks/results/x.json

One warm-up, then the median of the repeats, each to a CSV on disk. Memory is the peak of this process; growth is the
resident size after looping the clip compared with that after the first time.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from importlib import metadata
from pathlib import Path

import psutil

from affectkit import Predictor, open_source
from affectkit.sinks import layout, open_table


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    packages = ("affectkit", "numpy", "av", "opencv-python-headless", "onnxruntime")
    return {
        "cpu": cpu,
        "cores": psutil.cpu_count(),
        "python": platform.python_version(),
        "commit": commit,
        **{name: metadata.version(name) for name in packages},
    }


def to_table(predictor: Predictor, clip: Path, folder: Path) -> tuple[int, float]:
    """Frames and seconds of one run."""
    begun = time.perf_counter()
    frames = 0
    with open_table(folder / "table.csv", layout(), overwrite=True) as sink:
        for result in predictor.stream(open_source(clip)):
            sink.write(result)
            frames += 1
    return frames, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--loops", type=int, default=0, help="also loop the clip this often and look at memory")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    process = psutil.Process()
    begun = time.perf_counter()
    with Predictor() as predictor, tempfile.TemporaryDirectory() as scratch:
        ready_s = time.perf_counter() - begun
        frames, first_s = to_table(predictor, arguments.clip, Path(scratch))
        after_first = process.memory_info().rss
        rates = []
        for _ in range(arguments.repeats):
            frames, seconds = to_table(predictor, arguments.clip, Path(scratch))
            rates.append(frames / seconds)
        resident = []
        for _ in range(arguments.loops):
            to_table(predictor, arguments.clip, Path(scratch))
            resident.append(process.memory_info().rss)
    report = {
        "clip": arguments.clip.name,
        "frames": frames,
        "fps_median": round(statistics.median(rates), 1),
        "fps_all": [round(rate, 1) for rate in rates],
        "fps_first": round(frames / first_s, 1),
        "ready_s": round(ready_s, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "resident_after_first_mb": round(after_first / 2**20, 1),
        "resident_while_looping_mb": [round(size / 2**20, 1) for size in resident],
        "machine": machine(),
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
