"""A television scene: three people in 720p with small faces, heads that turn away, a panning camera and cuts.

    python benchmarks/scene.py ../shared/clips [--scene crowd] [-o scene.json] [--keep scene.mp4] [--against PYTHON]

Put together here from real heads before rooms with shelves, clothes and letters, 434 frames, written once as H.264,
then analysed by ``affectkit predict`` as users would, in turns with another installation (``--against``: its Python).
Faces are held against where they were pasted. The crowd: 20 faces in 1080p, 150 frames.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import people

from affectkit.faces.boxes import iou
from affectkit.faces.opening import OpenedMtcnn
from affectkit.outputs.video import VideoWriter
from affectkit.sources.opening import open_source
from affectkit.sources.stills import read_image
from affectkit.types import UInt8

FPS = 25

NOISES = 8
"""Pictures of noise, one after the other and again: drawing one for each frame would take most of the time."""

SIDES = ("X", "Y", "Width", "Height")


@dataclass(frozen=True)
class Actor:
    """A head in a shot."""

    head: int
    """Which of :func:`people.people`."""
    centre: tuple[float, float]
    face_px: float
    sway_px: tuple[float, float] = (6.0, 3.0)
    turned: tuple[tuple[float, float], ...] = ()
    """From when until when, seconds of the shot, it is turned away: its hair is seen."""
    leaves_s: float = 1e9


@dataclass(frozen=True)
class Shot:
    """What is seen between two cuts."""

    frames: int
    room: int
    """Which picture is behind."""
    actors: tuple[Actor, ...]
    pan_px_s: float = 0.0


SHOTS = (
    Shot(
        110,
        0,
        (
            Actor(0, (330, 300), 74, turned=((1.2, 2.6),)),
            Actor(5, (660, 280), 62, (14, 5)),
            Actor(4, (960, 320), 50, turned=((0.4, 1.0), (2.8, 4.4))),
        ),
        pan_px_s=14,
    ),
    Shot(72, 1, (Actor(5, (610, 330), 210, (24, 10), turned=((1.1, 2.0),)),), pan_px_s=-6),
    Shot(
        90,
        2,
        (
            Actor(0, (420, 250), 34, (10, 3)),
            Actor(5, (640, 260), 30, (6, 2), turned=((1.0, 3.6),)),
            Actor(4, (850, 255), 28, (5, 2), leaves_s=2.0),
        ),
        pan_px_s=10,
    ),
    Shot(30, 3, ()),
    Shot(
        132,
        0,
        (
            Actor(0, (340, 300), 74, turned=((0.0, 5.3),)),
            Actor(5, (664, 280), 62, (14, 5), turned=((2.0, 3.0),)),
            Actor(4, (956, 320), 50),
        ),
        pan_px_s=-12,
    ),
)


CROWD = Shot(
    150,
    0,
    tuple(
        Actor(k % 8, (200 + 380 * (k % 5), 170 + 240 * (k // 5)), 72 + 6 * (k % 4), (8 + k % 5, 3 + k % 3))
        for k in range(20)
    ),
)

SCENES = {"television": (1280, 720, SHOTS), "crowd": (1920, 1080, (CROWD,))}


def rooms(clips: Path, rng: np.random.Generator, width: int, height: int) -> list[UInt8]:
    """Four rooms without a face, wider than the scene: pictures of clothes, walls and a sky, before them shelves."""
    sky = next(open_source(clips / "no_face.mp4").frames()).image
    man = next(open_source(clips / "utterance_1.mp4").frames()).image
    group = read_image(clips / "multi_face.jpg")
    body, clothes = man[man.shape[0] // 2 :], group[int(0.72 * group.shape[0]) :]
    views = []
    for image, shelves in ((clothes, 3), (sky, 2), (body, 1), (body[:, ::-1], 0)):
        scale = max((width + 160) / image.shape[1], height / image.shape[0])
        size = int(np.ceil(image.shape[1] * scale)), int(np.ceil(image.shape[0] * scale))
        large = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_CUBIC)
        room = np.array(large[:height, : width + 160], np.uint8)
        for k in range(shelves):
            _shelf(room, 90 + 230 * k, rng)
        views.append(room)
    return views


def _shelf(room: UInt8, bottom: int, rng: np.random.Generator) -> None:
    """A row of books with titles."""
    x = 0
    while x < room.shape[1]:
        width, height = int(rng.integers(10, 34)), int(rng.integers(50, 85))
        colour = [int(value) for value in rng.integers(20, 230, 3)]
        cv2.rectangle(room, (x, bottom - height), (x + width, bottom), colour, -1)
        cv2.rectangle(room, (x, bottom - height), (x + width, bottom), (30, 25, 20), 1)
        text = "".join(rng.choice(list("ABCDEFGHKLMNORST"), 3))
        cv2.putText(room, text, (x + 2, bottom - height // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (235, 230, 210), 1)
        x += width + int(rng.integers(1, 6))
    cv2.rectangle(room, (0, bottom), (room.shape[1], bottom + 7), (70, 50, 35), -1)


def frames(clips: Path, scene: str) -> Iterator[tuple[UInt8, list[tuple[float, float, float, float]]]]:
    """Every frame, and the boxes of the faces in it that look here."""
    rng = np.random.default_rng(11)
    heads = people.people(clips, OpenedMtcnn())
    width, height, shots = SCENES[scene]
    noises = [rng.normal(0, 2.5, (height, width, 3)).astype(np.float32) for _ in range(NOISES)]
    behind = rooms(clips, rng, width, height)
    for shot in shots:
        for i in range(shot.frames):
            t = i / FPS
            left = 80 + shot.pan_px_s * t
            move = np.array([[1, 0, -left], [0, 1, 0]])
            canvas = cv2.warpAffine(behind[shot.room], move, (width, height), borderMode=cv2.BORDER_REFLECT)
            canvas = canvas.astype(np.float32)
            truth = []
            for k, actor in enumerate(shot.actors):
                if t >= actor.leaves_s:
                    continue
                x = actor.centre[0] + actor.sway_px[0] * np.sin(1.7 * t + k) - shot.pan_px_s * t
                y = actor.centre[1] + actor.sway_px[1] * np.sin(2.3 * t + 2 * k)
                away = any(a <= t < b for a, b in actor.turned)
                box = paste(canvas, heads[actor.head], (float(x), float(y)), actor.face_px, away)
                if not away:
                    truth.append(box)
            noisy = canvas + noises[i % len(noises)]
            yield np.clip(noisy, 0, 255).astype(np.uint8), truth


def paste(
    canvas: np.ndarray, head: people.Person, centre: tuple[float, float], face_px: float, away: bool
) -> tuple[float, float, float, float]:
    """Draw a head so that its face's centre is there; its box."""
    x, y, w, h = head.box
    scale = face_px / h
    left, top = centre[0] - (x + w / 2) * scale, centre[1] - (y + h / 2) * scale
    shown = head.picture
    rows, columns = shown.shape[:2]
    if away:  # hair from the crown down
        hair = shown[rows // 16 : rows // 5, columns // 3 : 2 * columns // 3]
        shown = np.asarray(cv2.resize(hair, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)
    small = cv2.GaussianBlur(shown, (0, 0), max(0.01, 0.4 / scale)) if scale < 1 else shown
    first_x, first_y = max(0, int(left)), max(0, int(top))
    size = int(columns * scale) + 2, int(rows * scale) + 2
    part = canvas[first_y : first_y + size[1], first_x : first_x + size[0]]
    size = part.shape[1], part.shape[0]
    matrix = np.array([[scale, 0, left - first_x], [0, scale, top - first_y]])
    picture = cv2.warpAffine(small, matrix, size, flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(head.alpha.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    part += alpha[:, :, None] * (picture - part)
    return left + x * scale, top + y * scale, w * scale, h * scale


def compare(table: Path, truth: list[list[tuple[float, float, float, float]]]) -> dict[str, float]:
    """What a table found of what is there."""
    found: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["success"] == "1":
                found[int(row["frame"])].append(tuple(float(row[f"FaceRect{side}"]) for side in SIDES))
    hits = shown = faces = others = 0
    for index, boxes in enumerate(truth):
        free = list(found[index])
        shown, faces = shown + len(boxes), faces + len(free)
        for box in boxes:
            best = max(free, key=lambda other: iou(box, other), default=None)  # type: ignore[arg-type]
            if best is not None and iou(box, best) >= 0.3:  # type: ignore[arg-type]
                hits += 1
                free.remove(best)
        others += len(free)
    return {"faces_a_frame": faces / len(truth), "found": hits / shown, "others": others}


def main() -> None:
    """Make the scene, run it in turns, print and store the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--scene", choices=SCENES, default="television")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--keep", type=Path, help="keep the scene as this video")
    parser.add_argument("--against", help="Python of another installation, which takes turns")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("options", nargs="*", help="further options of predict, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clip = given.keep or Path(name) / "scene.mp4"
        truth = []
        with VideoWriter(clip, fps=FPS, overwrite=True) as writer:
            for i, (image, boxes) in enumerate(frames(given.clips, given.scene)):
                writer.write(image, i / FPS)
                truth.append(boxes)
        ways = {"this": sys.executable} | ({"other": given.against} if given.against else {})
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        report = {}
        for _ in range(given.runs):
            for way, python in ways.items():
                table = Path(name) / f"{way}.csv"
                command = [python, "-P", "-m", "affectkit", "predict", str(clip), "-o", str(table), "--overwrite", "-q"]
                began = time.perf_counter()
                subprocess.run([*command, *given.options], check=True)
                seconds[way].append(time.perf_counter() - began)
        for way in ways:
            median = float(np.median(seconds[way]))
            report[way] = {"fps": len(truth) / median, "seconds": median}
            report[way] |= compare(Path(name) / f"{way}.csv", truth)
            print(way, {key: round(value, 3) for key, value in report[way].items()}, flush=True)
        if given.output:
            given.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
