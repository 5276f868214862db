"""Identities against a known truth: clips of several real faces that cross, hide, come and go, put together here.

    python benchmarks/people.py ../shared/clips [-o benchmarks/results/people.json] [--show FOLDER]

IDF1 (Ristani et al., ECCV workshops 2016) says how much of the time each person had the right id, MOTA (Bernardin &
Stiefelhagen 2008) counts faces missed, seen where none is, and changes of id. A face is to be found in a frame where at
least half of it shows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from affectkit.faces.boxes import iou
from affectkit.faces.mtcnn import Mtcnn
from affectkit.faces.opening import OpenedMtcnn
from affectkit.faces.tracking import Tracker
from affectkit.picture import RgbPicture
from affectkit.sources.opening import open_source
from affectkit.sources.stills import read_image
from affectkit.types import Detection, Frame, UInt8

WIDTH, HEIGHT, FPS = 960, 540, 25
FACE_PX = 110

Path2D = Callable[[float], tuple[float, float] | None]
"""Seconds -> centre of the face in px; None: it is not there."""


@dataclass(frozen=True)
class Person:
    """A cut-out head."""

    picture: UInt8  # (H, W, 3)
    alpha: np.ndarray  # (H, W) 0..1
    box: tuple[float, float, float, float]  # of the face in the picture


def cut_out(image: UInt8, face: Detection) -> Person:
    """A head with its hair, in an ellipse with soft edges, scaled so that the face is FACE_PX high."""
    x, y, w, h = face.box
    scale = FACE_PX / h
    width, height = int(1.7 * w * scale), int(1.75 * h * scale)
    left, top = x - 0.35 * w, y - 0.40 * h
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    picture = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    yy, xx = np.mgrid[0:height, 0:width]
    radius = np.hypot((xx - width / 2) / (width / 2), (yy - height / 2) / (height / 2))
    alpha = np.clip((1 - radius) / 0.12, 0, 1)
    return Person(np.asarray(picture, np.uint8), alpha, (0.35 * w * scale, 0.40 * h * scale, w * scale, h * scale))


def people(clips: Path, mtcnn: Mtcnn) -> list[Person]:
    """Eight people: five of one picture, and one each of three others."""
    group = read_image(clips / "multi_face.jpg")
    found = sorted(mtcnn.detect(group), key=lambda d: d.box[0])
    heads = [cut_out(group, face) for face in found[:5]]
    for name in ("single_face.jpg", "rgba.png"):
        image = read_image(clips / name)
        heads.append(cut_out(image, mtcnn.detect(image)[0]))
    frame = next(open_source(clips / "utterance_1.mp4").frames())
    heads.append(cut_out(frame.image, mtcnn.detect(frame.image)[0]))
    return heads


def line(*points: tuple[float, float, float]) -> Path2D:
    """Straight from point to point: (second, x, y); not there before the first and after the last."""

    def at(t: float) -> tuple[float, float] | None:
        for (t0, x0, y0), (t1, x1, y1) in pairwise(points):
            if t0 <= t <= t1:
                share = (t - t0) / (t1 - t0)
                return x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        return None

    return at


@dataclass(frozen=True)
class Scene:
    """A clip: who moves how (the last ones in front), and what else passes in front of them."""

    seconds: float
    actors: list[tuple[int, Path2D]]
    walls: list[tuple[float, float, float, float]] = ()  # type: ignore[assignment]
    """Upright bars that hide what is behind: first second, last second, left, width."""
    other_shot: tuple[float, float] | None = None
    """From when until when another shot is shown."""


SCENES = {
    "two cross": Scene(6, [(0, line((0, 150, 270), (6, 810, 280))), (1, line((0, 810, 260), (6, 150, 270)))]),
    "two cross and turn back": Scene(
        8,
        [
            (2, line((0, 200, 250), (4, 520, 260), (8, 200, 250))),
            (3, line((0, 760, 260), (4, 440, 270), (8, 760, 260))),
        ],
    ),
    "two, one hidden for a second": Scene(
        6,
        [(5, line((0, 250, 270), (6, 300, 270))), (6, line((0, 700, 250), (6, 680, 260)))],
        walls=[(2.0, 3.0, 620, 160)],
    ),
    "one walks behind a pillar": Scene(6, [(7, line((0, 120, 270), (6, 840, 270)))], walls=[(0, 6, 420, 130)]),
    "three cross": Scene(
        8,
        [
            (0, line((0, 120, 200), (8, 840, 220))),
            (4, line((0, 840, 260), (8, 120, 240))),
            (5, line((0, 480, 300), (4, 520, 230), (8, 480, 300))),
        ],
    ),
    "five, crossing, coming and going": Scene(
        12,
        [
            (0, line((0, 100, 180), (12, 860, 180))),
            (1, line((1, 860, 330), (11, 100, 330))),
            (2, line((0, 300, 380), (5, 300, 120), (10, 320, 380))),
            (3, line((3, 600, 120), (7, 660, 400), (12, 600, 140))),
            (6, line((2, 480, 400), (4, 480, 260), (8, 480, 250))),
        ],
        walls=[(5.0, 6.0, 240, 150)],
    ),
    "two, and a cut to another shot and back": Scene(
        6, [(1, line((0, 300, 260), (6, 320, 265))), (4, line((0, 660, 270), (6, 640, 262)))], other_shot=(2.0, 4.0)
    ),
}


def render(scene: Scene, heads: list[Person]) -> Iterator[tuple[UInt8, list[tuple[int, tuple[float, ...]]]]]:
    """Frames, and for each who is to be found in it: (person, box)."""
    rng = np.random.default_rng(5)
    yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH]
    room = np.stack([90 + 40 * np.sin(xx / 170), 100 + 30 * np.cos(yy / 130), 110 + xx * 0.03], -1)
    other = np.stack([200 - yy * 0.1, 190 + 0 * xx, 60 + xx * 0.1], -1)
    for i in range(round(scene.seconds * FPS)):
        t = i / FPS
        if scene.other_shot and scene.other_shot[0] <= t < scene.other_shot[1]:
            yield np.clip(other + rng.normal(0, 3, other.shape), 0, 255).astype(np.uint8), []
            continue
        canvas = room.copy()
        owner = np.full((HEIGHT, WIDTH), -1)
        boxes: dict[int, tuple[float, float, float, float]] = {}
        for who, path in scene.actors:
            place = path(t)
            if place is not None:
                boxes[who] = paste(canvas, owner, heads[who], who, place)
        for first, last, left, width in scene.walls:
            if first <= t <= last:
                canvas[:, int(left) : int(left + width)] = (70, 60, 50)
                owner[:, int(left) : int(left + width)] = -2
        truth: list[tuple[int, tuple[float, ...]]] = []
        for who, box in boxes.items():
            x, y, w, h = box
            area = owner[max(0, int(y)) : int(y + h), max(0, int(x)) : int(x + w)]
            if (area == who).sum() >= 0.5 * w * h * 0.78:  # an ellipse fills about so much of its box
                truth.append((who, box))
        yield np.clip(canvas + rng.normal(0, 3, canvas.shape), 0, 255).astype(np.uint8), truth


def paste(
    canvas: np.ndarray, owner: np.ndarray, head: Person, who: int, centre: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Draw a head so that its face's centre is there; its box."""
    x, y, w, h = head.box
    left, top = centre[0] - x - w / 2, centre[1] - y - h / 2
    matrix = np.array([[1, 0, left], [0, 1, top]])
    picture = cv2.warpAffine(head.picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(head.alpha, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    canvas += alpha[:, :, None] * (picture - canvas)
    owner[alpha > 0.5] = who
    return left + x, top + y, w, h


def measure(scene: Scene, heads: list[Person], mtcnn: Mtcnn, show: Path | None) -> dict[str, float]:
    """Run the tracker over a scene, and compare."""
    tracker = Tracker(mtcnn)
    together: dict[tuple[int, int], int] = {}
    true_count = found_count = misses = false = switches = 0
    last: dict[int, int] = {}
    writer = None
    if show is not None:
        writer = cv2.VideoWriter(str(show), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for i, (image, truth) in enumerate(render(scene, heads)):
        faces = tracker.update(Frame(i, i / FPS, RgbPicture(image), "scene")).faces
        overlap = np.zeros((len(truth), len(faces)))
        for r, c in np.ndindex(*overlap.shape):
            overlap[r, c] = iou(truth[r][1], faces[c].detection.box)  # type: ignore[arg-type]
        rows, columns = linear_sum_assignment(-overlap)
        pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= 0.3]
        true_count, found_count = true_count + len(truth), found_count + len(faces)
        misses, false = misses + len(truth) - len(pairs), false + len(faces) - len(pairs)
        for r, c in pairs:
            who, track = truth[r][0], faces[c].track_id
            together[who, track] = together.get((who, track), 0) + 1
            switches += last.setdefault(who, track) != track
            last[who] = track
        if writer is not None:
            drawn = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            for face in faces:
                x, y, w, h = (int(side) for side in face.detection.box)
                cv2.rectangle(drawn, (x, y), (x + w, y + h), (0, 255, 255), 2)
                cv2.putText(drawn, str(face.track_id), (x, y - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 255, 255), 2)
            writer.write(drawn)
    if writer is not None:
        writer.release()
    persons, tracks = sorted({p for p, _ in together}), sorted({t for _, t in together})
    counts = np.array([[together.get((p, t), 0) for t in tracks] for p in persons])
    best = linear_sum_assignment(-counts)
    right = int(counts[best].sum())
    return {
        "idf1": 2 * right / (true_count + found_count),
        "mota": 1 - (misses + false + switches) / true_count,
        "id_switches": switches,
        "ids": len(tracks),
        "people": len(persons),
        "ids_used_for_two": int(((counts > 0).sum(0) > 1).sum()),
        "missed": misses / true_count,
        "false": false / true_count,
    }


def main() -> None:
    """Measure every scene, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--show", type=Path, help="folder for the scenes as videos with boxes and ids")
    parser.add_argument("--only", help="only the scene of this name")
    arguments = parser.parse_args()
    mtcnn = OpenedMtcnn()
    heads = people(arguments.clips, mtcnn)
    results = {}
    print(f"{'scene':42} {'IDF1':>6} {'MOTA':>6} {'switches':>9} {'ids':>4} {'people':>7} {'missed':>7} {'false':>7}")
    for name, scene in SCENES.items():
        if arguments.only not in (None, name):
            continue
        show = arguments.show / f"{name.replace(' ', '_')}.mp4" if arguments.show else None
        r = results[name] = measure(scene, heads, mtcnn, show)
        print(
            f"{name:42} {r['idf1']:6.3f} {r['mota']:6.3f} {r['id_switches']:9.0f} {r['ids']:4.0f} {r['people']:7.0f} "
            f"{r['missed']:7.1%} {r['false']:7.1%}"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
