"""A stream of hours: memory, time a frame, and what is remembered, from beginning to end.

    python benchmarks/stream.py samples/astronaut.mp4 [--hours 1] [-o benchmarks/results/stream.json]

The clip is shown over and over, forwards and backwards, with a cut, a picture without a face and a stall now and then,
as fast as the session takes the frames; its times say 25 a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import psutil

from affectkit import Predictor, open_source

FPS, BLOCK = 25, 1000


def main() -> None:
    """Run, print a line every ten minutes of the stream, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--model", default="lite-temporal")
    parser.add_argument("--lookahead", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    pictures = [frame.image for frame in open_source(arguments.clip).frames()]
    shown = [*pictures, *pictures[::-1]]
    other = np.full_like(pictures[0], 200)
    process = psutil.Process()
    blocks = []
    with Predictor(arguments.model) as predictor:
        session = predictor.session(lookahead=arguments.lookahead, smooth_s=0.2)
        count = round(arguments.hours * 3600 * FPS)
        given = faces = 0
        stalled_s = 0.0
        began = time.perf_counter()
        for i in range(count):
            image = other if i % 3000 < 10 else shown[i % len(shown)]
            stalled_s += 20.0 * (i % 20000 == 19999)
            results = session.push(image, i / FPS + stalled_s)
            given += len(results)
            faces += sum(len(result.faces) for result in results)
            if (i + 1) % BLOCK == 0:
                now = time.perf_counter()
                state = session._finisher.state()["buffer"]
                blocks.append(
                    {
                        "frames": i + 1,
                        "ms_a_frame": (now - began) / BLOCK * 1000,
                        "resident_mb": process.memory_info().rss / 1e6,
                        "waiting": len(state["pending"]),
                    }
                )
                began = now
                if (i + 1) % (15 * BLOCK) == 0:
                    print(blocks[-1], flush=True)
        given += len(session.flush())
    settled = blocks[max(1, len(blocks) // 20) :]
    memory = [block["resident_mb"] for block in settled]
    tenth = max(1, len(settled) // 10)
    first, last = (
        statistics.median(block["ms_a_frame"] for block in part) for part in (settled[:tenth], settled[-tenth:])
    )
    report = {
        "frames": count,
        "answered": given,
        "faces": faces,
        "memory_mb": [min(memory), max(memory)],
        "memory_growth": max(memory[-tenth:]) / min(memory[:tenth]) - 1,
        "ms_a_frame_first_tenth": first,
        "ms_a_frame_last_tenth": last,
        "most_waiting": max(block["waiting"] for block in blocks),
        "blocks": blocks,
    }
    print(json.dumps({name: value for name, value in report.items() if name != "blocks"}, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
