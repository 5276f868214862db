"""How far `affectkit identities --match` can be trusted: false matches and false non-matches of its descriptor.

Two questions, which are not the same: other photographs of a person, perhaps years apart (facial_expressions, whose
file names are the persons'; its part that no model here learned from), and the same recording (halves of the clips).

    python -P benchmarks/match.py ../shared/data ../shared/clips samples -o benchmarks/results/match.json
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import zipfile
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from affectkit import Predictor, Table
from affectkit.tables.matching import DOUBTFUL, SURE, described, people_of, score_of

SAME_PERSON = {"noface_face": "single_face"}
"""Clips that show the same man, before the same door."""

MOST_OF_ONE = 6
"""Pictures of a person; some have hundreds."""


def photographs(data: Path) -> list[tuple[str, Any]]:
    """(person, descriptor) of the held-out persons, of each with at least two pictures."""
    with (data / "facial_expressions_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stored = np.load(data / "facial_expressions_landmarks.npz", allow_pickle=False)
    points = dict(zip(stored["image"].tolist(), stored["landmark5"], strict=True))
    by_person = defaultdict(list)
    for row in rows:
        held_out = zlib.crc32(row["person"].encode()) % 5 == 0
        if held_out and np.isfinite(points[row["image"]]).all():
            by_person[row["person"]].append(row["image"])
    found = []
    with zipfile.ZipFile(data / "facial_expressions_images.zip") as images:
        for person, names in by_person.items():
            for name in names[:MOST_OF_ONE] if len(names) > 1 else ():
                picture = np.asarray(Image.open(io.BytesIO(images.read(name))).convert("RGB"), np.uint8)
                found.append((person, described(picture, points[name].astype(np.float32))))
    return found


def rates(same: Any, others: Any) -> dict[str, float]:
    """Of pairs of one person and of two: how often each bar is wrong."""
    told: dict[str, float] = {"pairs_of_one_person": len(same), "pairs_of_two": len(others)}
    for name, bar in (("sure", SURE), ("doubtful", DOUBTFUL)):
        told[f"{name}_false_match"] = float(np.mean(others >= bar))
        told[f"{name}_false_non_match"] = float(np.mean(same < bar))
    bars = np.quantile(same, np.linspace(0, 1, 101))
    told["equal_error"] = float(min(max((same < bar).mean(), (others >= bar).mean()) for bar in bars))
    return told


def of_photographs(data: Path) -> dict[str, float]:
    found = photographs(data)
    people, values = np.array([person for person, _ in found]), np.stack([value for _, value in found])
    first, second = np.triu_indices(len(found), 1)
    none, whole = score_of(values[0], values[0] * 0), score_of(values[0], values[0])  # linear in the cosine
    scores = none + (whole - none) * (values @ values.T)[first, second]
    one = people[first] == people[second]
    told = rates(scores[one], scores[~one])
    told["median_of_one_person"], told["median_of_two"] = float(np.median(scores[one])), float(np.median(scores[~one]))
    return told | {"people": len(set(people.tolist()))}


def of_halves(folders: list[Path]) -> dict[str, Any]:
    """The longest identity of each clip: its first half against the second halves of all."""
    halves = []
    with Predictor() as predictor:
        for clip in (path for folder in folders for path in sorted(folder.iterdir())):
            if clip.suffix not in (".mp4", ".mov"):
                continue
            table = predictor.predict(clip, every=4, max_faces=1)
            ids = table["face_id"][table["face_id"] >= 0].astype(int)
            if len(ids):
                longest = table["face_id"] == np.bincount(ids).argmax()
                early = table["timestamp"] < np.median(table["timestamp"][longest])
                who = SAME_PERSON.get(clip.stem, clip.stem)
                halves.append((who, *(person(table, longest & half) for half in (early, ~early))))
    found = [(a[0] == b[0], score_of(a[1], b[2])) for a, b in itertools.product(halves, repeat=2)]
    same, others = (sorted(score for one, score in found if one == wanted) for wanted in (True, False))
    return rates(np.array(same), np.array(others)) | {
        "clips": len(halves),
        "lowest_of_one_person": same[0],
        "highest_of_two": others[-1],
    }


def person(table: Table, rows: Any) -> Any:
    """The descriptor of what one identity is in these rows."""
    part = Table({name: values[rows] for name, values in table.columns.items()}, table.meta)
    (one,) = people_of(part, None, ()).values()
    return one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    told = {"other_photographs": of_photographs(given.data), "same_recording": of_halves(given.clips)}
    text = json.dumps(told, indent=1)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
