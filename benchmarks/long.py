"""Whether time and memory stay the same over a long video: a clip, looped into one file of 20,000 frames, to a table.

python benchmarks/long.py ../shared/clips/utterance_1.mp4 -o benchmarks/results/long.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import psutil

from affectkit import Predictor, open_source
from affectkit.measurements import machine
from affectkit.outputs.layouts import layout
from affectkit.outputs.writers import open_table

STEP = 1000


def looped(clip: Path, target: Path, frames: int) -> Path:
    """The frames of a clip again and again, at 25 a second."""
    with av.open(str(target), "w") as output:
        stream = None
        done = 0
        while done < frames:
            for frame in open_source(clip).frames():
                if stream is None:
                    stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "20"})
                    stream.height, stream.width = frame.picture.shape
                    stream.pix_fmt = "yuv420p"
                picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
                picture.pts, picture.time_base = done, Fraction(1, 25)
                output.mux(stream.encode(picture))
                done += 1
                if done == frames:
                    break
        assert stream is not None
        output.mux(stream.encode(None))
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # as `affectkit predict` does
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as scratch, Predictor() as predictor:
        path = looped(arguments.clip, Path(scratch) / "long.mp4", arguments.frames)
        rows = []
        began, count = time.perf_counter(), 0
        with open_table(Path(scratch) / "table.csv", layout(labels=predictor.spec.labels), overwrite=True) as sink:
            for result in predictor.stream(path):
                sink.write(result)
                count += 1
                if count % STEP == 0:
                    now = time.perf_counter()
                    resident = process.memory_info().rss / 2**20
                    rows.append({"frames": count, "ms_a_frame": 1000 * (now - began) / STEP, "resident_mb": resident})
                    began = now
        ids = {line.split(",")[2] for line in (Path(scratch) / "table.csv").read_text().splitlines()[1:]}
    rows = [{name: round(value, 3) for name, value in row.items()} for row in rows]
    for row in rows:
        print("{frames:7.0f} frames  {ms_a_frame:6.2f} ms a frame  {resident_mb:6.1f} MB".format(**row))
    report = {"clip": arguments.clip.name, "frames": count, "ids": len(ids), "steps": rows, "machine": machine()}
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
