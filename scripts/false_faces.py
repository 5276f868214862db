"""What the detector takes for faces and is none: crops that a network is to learn to say nothing of.

    python scripts/false_faces.py false.npz [--pictures 12000] [--seed 0]

Letters, dots, ovals and noise are drawn, lit and blurred by lot, with no face among them; what MTCNN finds there is cut
as a face would be: something in one picture of fifty, half of that with a score of .9 and more, so that no bar keeps it
away. ``none`` in the file: (L, 96, 96) uint8, for scripts/pack_for_gpu.py.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import cv2
import numpy as np

from affectkit.faces.opening import open_detector
from affectkit.spec import InputSpec
from affectkit.train.crops import crop_of
from affectkit.train.render.backgrounds import background
from affectkit.types import Array, UInt8

SPEC = InputSpec(96, 1, "tight", 1.0, None)
SIDE = 256
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pictures", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found, scores = crops(given.pictures, given.seed)
    np.savez_compressed(given.out, none=found, score=scores)
    print(f"{len(found)} crops of {given.pictures} pictures, {np.sum(scores >= 0.9)} with a score of .9 and more")


def crops(pictures: int, seed: int) -> tuple[UInt8, Array]:
    """Crops (L, 96, 96) of what is taken for a face, and the detector's scores."""
    detector = open_detector("mtcnn", min_face_px=32)
    found, scores = [], []
    for k in range(pictures):
        picture = drawn(np.random.default_rng((seed, k)))
        for detection in detector.detect(picture):
            found.append(crop_of(picture, detection.landmarks, SPEC)[..., 0])
            scores.append(detection.score)
    return np.asarray(found, np.uint8).reshape(-1, SPEC.size, SPEC.size), np.asarray(scores, np.float32)


def drawn(rng: np.random.Generator) -> UInt8:
    """A picture (256, 256, 3) of shapes on a background."""
    picture = background(rng, SIDE)
    for _ in range(int(rng.integers(1, 4))):
        shape = lettered(rng) if rng.random() < 0.6 else dotted(rng)
        picture = laid_over(picture, shape, rng)
    if rng.random() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4))
    noisy = picture + rng.normal(0, rng.uniform(0, 6), picture.shape)
    return np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8))


def lettered(rng: np.random.Generator) -> Array:
    """(256, 256) 0..1: some letters or digits in a row, thick or thin, turned a little."""
    word = "".join(rng.choice(list(string.ascii_letters + string.digits + "&%@:;8B"), int(rng.integers(1, 6))))
    scale = rng.uniform(1.5, 7)
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    place = int(rng.uniform(-20, SIDE * 0.5)), int(rng.uniform(SIDE * 0.4, SIDE))
    thick = max(1, int(scale * rng.uniform(1, 7)))
    cv2.putText(canvas, word, place, int(rng.choice(FONTS)), scale, 255, thick, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.normal(0, 12), rng.uniform(0.7, 1.2))
    return np.asarray(cv2.warpAffine(canvas, turn, (SIDE, SIDE)) / 255.0, np.float32)


def dotted(rng: np.random.Generator) -> Array:
    """(256, 256) 0..1: ovals and bars, some of them where eyes and a mouth would be."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    middle, size = rng.uniform(70, SIDE - 70, 2), rng.uniform(30, 90)
    spots = [(-0.4, -0.3), (0.4, -0.3), (0, 0.1), (0, 0.5)] if rng.random() < 0.6 else rng.uniform(-1, 1, (6, 2))
    for spot in spots:
        x, y = middle + size * (np.asarray(spot) + rng.normal(0, 0.12, 2))
        axes = tuple(int(v) for v in np.maximum(size * rng.uniform(0.05, 0.45, 2), 1))
        cv2.ellipse(canvas, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def laid_over(picture: Array, shape: Array, rng: np.random.Generator) -> Array:
    """A shape in a colour, lit from one side, with soft or hard edges and a shadow."""
    soft = cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.6, 6))[..., None]
    down, across = np.gradient(cv2.GaussianBlur(shape, (0, 0), rng.uniform(2, 10)))
    towards = rng.uniform(0, 2 * np.pi)
    light = (np.cos(towards) * across + np.sin(towards) * down)[..., None] * rng.uniform(0, 12)
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.array([1.0, 0.75, 0.6]) * rng.uniform(60, 255)
    shadow = np.roll(soft, rng.integers(-8, 9, 2), (0, 1)) * rng.uniform(0, 0.6)
    under = picture * (1 - shadow)
    return np.asarray(under * (1 - soft) + np.clip(colour * (1 + light), 0, 255) * soft, np.float32)


if __name__ == "__main__":
    main()
