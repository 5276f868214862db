"""Bring what `lite` is trained on into a few small files, for scripts/train_on_gpu.py on another machine.

    python scripts/pack_for_gpu.py PACKED LABELS ../shared/data rendered/manifest.parquet [--coded CSV]

LABELS is the folder that scripts/real_labels.py wrote. Writes photos.npz, rendered-train-K.npz, rendered-dev-0.npz
(squares around the crop, a third wider than it, grey, WebP), bank.npz (what is laid over faces) and a file for each
teacher in teachers/. Sixty thousand renderings and both sets of photographs take 150 MB at 128 px.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from disturb_on_gpu import BASE, CROP
from train_lite import ROOT, faces_of, with_codes
from train_on_gpu import UNITS

from affectkit.spec import TEMPLATES, InputSpec
from affectkit.train.crops import crop_matrix, crop_of
from affectkit.train.faces import FaceSet, relabelled
from affectkit.train.occlusion import drawn_layer, no_face
from affectkit.train.reading import read_manifest_faces
from affectkit.train.runs import cnns_of
from affectkit.types import EXPRESSION_NAMES, LabelSet

QUALITY = {"photographs": 80, "rendered": 82}
LAYERS, NO_FACES = 3000, 1500
PART_BYTES = 54 * 2**20


def packed(crops: Iterable[np.ndarray], quality: int) -> tuple[np.ndarray, np.ndarray]:
    """WebP files one behind another, and their lengths."""
    files = [cv2.imencode(".webp", crop[..., 0], [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes() for crop in crops]
    return np.frombuffer(b"".join(files), np.uint8), np.array([len(file) for file in files], np.int32)


def square(side: int) -> InputSpec:
    """What is kept of a face: ``BASE / CROP`` of the crop's width, ``side`` px wide."""
    return InputSpec(side, 1, "tight", BASE / CROP, None)


def squares(faces: FaceSet, side: int) -> Iterator[np.ndarray]:
    """(side, side, 1) of each face."""
    return (crop_of(faces.image(k), faces.landmarks[k], square(side)) for k in range(len(faces)))


def photographs(out: Path, train: FaceSet, dev: FaceSet, coded: np.ndarray, side: int) -> None:
    """Write photos.npz."""
    values = {"coded": coded}
    for part, faces in (("train", train), ("dev", dev)):
        blob, lengths = packed(squares(faces, side), QUALITY["photographs"])
        values |= {f"{part}_blob": blob, f"{part}_len": lengths, f"{part}_va": faces.va}
        values |= {f"{part}_expression": faces.expression_target, f"{part}_index": faces.expression}
        values[f"{part}_au"] = faces.au.astype(np.float16)
    np.savez_compressed(out / "photos.npz", **values)


def renderings(out: Path, part: str, faces: FaceSet, side: int) -> None:
    """Write rendered-PART-K.npz."""
    rows = np.arange(len(faces))
    for k, some in enumerate(np.array_split(rows, max(1, round(len(faces) * 1700 / PART_BYTES)))):
        chosen = faces.take(some)
        blob, lengths = packed(squares(chosen, side), QUALITY["rendered"])
        matrices = [crop_matrix(chosen.image(i), chosen.landmarks[i], square(side)) for i in range(len(chosen))]
        np.savez(
            out / f"rendered-{part}-{k}.npz",
            blob=blob,
            len=lengths,
            expression=chosen.expression_target,
            index=chosen.expression,
            au=chosen.au.astype(np.float16),
            visible=chosen.visible.astype(np.float16),
            pose=chosen.pose,
            turn=np.array([np.degrees(np.arctan2(m[1, 0], m[0, 0])) for m in matrices], np.float32),
        )


def bank(out: Path, faces: FaceSet, false_faces: Path | None) -> None:
    """Write bank.npz: layers for faces that stand where the template has them, more or less, and what is no face."""
    rng, size = np.random.default_rng(5), CROP
    template = np.array(TEMPLATES["tight"]) * size - 0.5
    found: dict[str, list[np.ndarray]] = {"alpha": [], "colour": [], "seen": [], "none": []}
    for _ in range(LAYERS):
        points = template + rng.normal(0, 0.02 * size, (5, 2))
        points[2, 0] += np.clip(rng.normal(0, 0.35), -0.8, 0.8) * 0.12 * size  # turned heads
        points = (points - size / 2) * np.exp(rng.normal(0, 0.06)) + size / 2 + rng.uniform(-0.04, 0.04, 2) * size
        alpha, colour, seen = drawn_layer(rng, size, points, np.full(3, float(rng.uniform(40, 220))))
        if rng.random() < 0.4:
            alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 1.2)))
        found["alpha"].append(np.round(alpha * 255).astype(np.uint8))
        found["colour"].append((np.clip(colour.mean(2), 0, 255) * (alpha > 0)).astype(np.uint8))
        found["seen"].append(seen.astype(np.float16))
    spec = dataclasses.replace(square(CROP), margin=1.0)
    for k in rng.integers(len(faces), size=NO_FACES):
        found["none"].append(no_face(crop_of(faces.image(k), faces.landmarks[k], spec), rng)[..., 0])
    if false_faces is not None:
        taken = np.load(false_faces)["none"]
        found["none"].extend(np.tile(taken, (max(1, NO_FACES // len(taken)), 1, 1)))  # about half of them
    np.savez_compressed(out / "bank.npz", **{name: np.stack(values) for name, values in found.items()})


def teacher(out: Path, name: str, faces: FaceSet) -> None:
    """Write teachers/NAME.pt."""
    members = cnns_of(name, faces)[0]
    states = [{k: v.half() if v.dtype.is_floating_point else v for k, v in m.state_dict().items()} for m in members]
    (out / "teachers").mkdir(exist_ok=True)
    state = {"config": dataclasses.asdict(members[0].config), "members": states}
    torch.save(state, out / "teachers" / f"{Path(name).name}.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("packed", "labels", "data", "rendered"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--coded", type=Path, default=ROOT / "benchmarks" / "data" / "ferplus_coded_for_training.csv")
    parser.add_argument("--teacher", action="append", help="model or run; may be given several times (lite-ensemble)")
    parser.add_argument("--side", type=int, default=BASE, help="of the squares, px")
    parser.add_argument("--false-faces", type=Path, help="what scripts/false_faces.py wrote")
    given = parser.parse_args()
    given.packed.mkdir(parents=True, exist_ok=True)
    train, dev = faces_of(given.labels, given.data)
    for name in given.teacher or ["lite-ensemble"]:
        teacher(given.packed, name, train)
    rendered, split = read_manifest_faces(given.rendered)
    labels = LabelSet(EXPRESSION_NAMES, UNITS, True, intensity=True, visibility=True, pose=True)
    rendered, train, dev = (relabelled(part, labels) for part in (rendered, train, dev))
    train, coded = with_codes(train, pd.read_csv(given.coded))
    photographs(given.packed, train, dev, coded, given.side)
    bank(given.packed, train, given.false_faces)
    for part in ("train", "dev"):
        renderings(given.packed, part, rendered.subset(split == part), given.side)


if __name__ == "__main__":
    main()
