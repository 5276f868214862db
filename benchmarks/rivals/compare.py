"""affectkit and what a user would run instead, side by side: same clip, same machine, same cores, in turns.

    pip install -r benchmarks/rivals/requirements.txt
    python -m benchmarks.rivals.compare CLIP --landmarker face_landmarker.task -o benchmarks/results/rivals.json

What is not installed is left out, with the reason. Every way runs in a process of its own that has loaded its models;
they take turns, so that a noisy machine is noisy for all of them. Medians, and ratios of runs that were neighbours.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from affectkit.measurements import machine
from benchmarks.rivals.worker import WAYS


class Way:
    """A worker process."""

    def __init__(self, name: str, clip: Path, options: dict[str, object]) -> None:
        command = [sys.executable, "-m", "benchmarks.rivals.worker", name, str(clip), json.dumps(options)]
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:  # libraries print what they like before
            word, _, self.note = line.strip().partition(" ")
            if word in ("ready", "absent"):
                break
        else:
            word, self.note = "absent", "it failed to start"
        self.there = word == "ready"

    def run(self) -> tuple[int, float, int]:
        """Frames, seconds and faces of one time through the clip."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        while True:
            parts = self.process.stdout.readline().split()
            if len(parts) == 3 and parts[0].isdecimal():
                return int(parts[0]), float(parts[1]), int(parts[2])
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name}: ended with code {self.process.returncode}")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--landmarker", help="MediaPipe's face_landmarker.task")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--faces", type=int, help="most faces of a frame, for all ways; default: what each does itself")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--slow-frames", type=int, default=40, help="frames of the published demo's way")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    ways: list[Way] = []
    for name in arguments.ways:
        most = arguments.slow_frames if name == "published" else 10**9
        options = {
            "landmarker": arguments.landmarker,
            "faces": arguments.faces,
            "model": arguments.model,
            "most": most,
        }
        way = Way(name, arguments.clip, options)
        if way.there:
            ways.append(way)
        else:
            print(f"{name:12} left out: {way.note}")
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    faces: dict[str, float] = {}
    for repeat in range(arguments.repeats + 1):
        for way in ways:
            if way.name == "published" and repeat > 2:  # minutes each
                continue
            frames, seconds, found = way.run()
            faces[way.name] = round(found / frames, 3)
            if repeat:  # the first one prepares
                rates[way.name].append(frames / seconds)
    rows = []
    for way in ways:
        way.close()
        ours, theirs = rates.get("affectkit", []), rates[way.name]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=False)) if ours else None
        rows.append(
            {
                "way": way.name,
                "what": way.note,
                "fps": round(statistics.median(theirs), 1),
                "fps_all": [round(rate, 1) for rate in theirs],
                "faces_a_frame": faces[way.name],
                "affectkit_is_times_as_fast": None if ratio is None else round(ratio, 2),
            }
        )
        print("{way:12} {fps:9} fps   affectkit x {affectkit_is_times_as_fast}   {what}".format(**rows[-1]))
    if arguments.output is not None:
        document = {"clip": arguments.clip.name, "faces": arguments.faces, "ways": rows, "machine": machine()}
        arguments.output.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
