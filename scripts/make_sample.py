"""Make samples/astronaut.mp4 and samples/astronaut.json.

    pip install scikit-image av opencv-python-headless
    python scripts/make_sample.py samples

scikit-image's photograph of Eileen Collins (NASA, public domain) is moved, turned, zoomed and relit over 4 seconds.
Every frame is one affine map of the photograph, so the landmarks are known exactly.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data

WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 25, 100

GREY = (150, 142, 138)
"""Beyond the photograph, about the colour of its backdrop."""

POINTS = np.array([[204.0, 101.0], [246.0, 103.0], [223.5, 126.0], [203.0, 140.0], [245.0, 141.0]])
"""Eyes, nose tip and mouth corners in the photograph, px, set by hand."""


def placement(t: float) -> np.ndarray:
    """(2, 3) photograph -> frame at ``t`` in 0..1."""
    turn = np.deg2rad(16 * np.sin(2 * np.pi * 1.5 * t))
    zoom = 1.1 + 0.45 * np.sin(np.pi * t) ** 2
    where = np.array([WIDTH / 2 + 130 * np.sin(2 * np.pi * t), HEIGHT / 2 - 5 + 30 * np.sin(2 * np.pi * 2 * t)])
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([linear, where - linear @ POINTS.mean(0)])


def light(t: float) -> np.ndarray:
    """(1, W, 1) brightness over the frame at ``t``."""
    side = 0.25 * np.sin(2 * np.pi * t) * np.linspace(-1, 1, WIDTH)
    return (0.9 + 0.25 * np.sin(2 * np.pi * 0.75 * t) + side)[None, :, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    target: Path = parser.parse_args().target
    target.mkdir(parents=True, exist_ok=True)
    photograph = skimage.data.astronaut()
    truth = []
    with av.open(str(target / "astronaut.mp4"), "w", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for i in range(FRAMES):
            t = i / (FRAMES - 1)
            matrix = placement(t)
            frame = cv2.warpAffine(photograph, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderValue=GREY)
            lit = np.clip(frame * light(t), 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(lit, format="rgb24")))
            truth.append((POINTS @ matrix[:, :2].T + matrix[:, 2]).round(2).tolist())
        output.mux(stream.encode(None))
    document = {"source": "NASA, public domain, through skimage.data.astronaut", "fps": FPS, "landmarks": truth}
    (target / "astronaut.json").write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
