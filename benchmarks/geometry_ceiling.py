"""How well the intensities of rendered faces could be told by who saw the geometry without error: the labels' ceiling.

    python benchmarks/geometry_ceiling.py [--people 2500]

Each person has units of his or her own (other shapes, gains, directions, neighbours mixed in: docs/facs.md), so that
one might think that a unit of a person never seen cannot be told. A small network is taught on the places of some 250
vertices of the skin, of people of the train part, and asked about people of the test part: Pearson within a head in
random combinations, as in benchmarks/au_truth.py. Once it is shown how far each vertex is from the person's neutral
face, once the places alone, as a network that sees one picture must do without the neutral one; both also with the
depths of the folds. Needs the extra ``render`` and no pictures: nothing is drawn.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from itertools import count, islice

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from truth.cast import SEED, rig_of
from truth.measures import EIGHT
from truth.scores import pearson_within

from affectkit.train.render import sampling
from affectkit.train.render.facs import AU_NAMES
from affectkit.train.render.folds import fold_depths
from affectkit.train.render.geometry import (
    LEFT_LIDS,
    LIP_COLUMNS,
    MOUTH_CORNERS,
    Library,
    load_library,
    pose,
)
from affectkit.train.render.people import rng_of, split_of
from affectkit.types import Array

FIRST, FIRST_TEST = 200_000, 300_000
VERTICES, HEADS, EACH, EACH_TEST = 250, 60, 12, 60
EPOCHS, BATCH = 40, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=2500, help="that are learned from")
    people = parser.parse_args().people
    torch.manual_seed(0)
    library = load_library()
    taught = shown(library, islice(numbers(FIRST, "train"), people), EACH)
    asked = shown(library, islice(numbers(FIRST_TEST, "test"), HEADS), EACH_TEST)
    print(f"{people} people, {len(taught['truth'])} poses; asked about {HEADS} others")
    for parts in (("moved",), ("moved", "folds"), ("places",), ("places", "folds")):
        seen, new = (np.concatenate([some[part] for part in parts], 1) for some in (taught, asked))
        told = answers(seen, taught["truth"], new)
        found = {
            unit: pearson_within(asked["head"], asked["truth"][:, k], told[:, k]) for k, unit in enumerate(AU_NAMES)
        }
        eight = np.mean([found[unit] for unit in EIGHT])
        further = np.mean([r for unit, r in found.items() if unit not in EIGHT])
        units = ", ".join(f"{unit} {r:.2f}" for unit, r in found.items())
        print(f"{' and '.join(parts)}: the eight {eight:.3f}, further {further:.3f} ({units})", flush=True)


def numbers(first: int, split: str) -> Iterator[int]:
    """Of people of a part."""
    return (number for number in count(first) if split_of(SEED, number) == split)


def shown(library: Library, people: Iterator[int], each: int) -> dict[str, Array]:
    """Random combinations: how far vertices moved and where they are (over the distance of the eyes), the depths of the
    folds, and the truth.
    """
    vertices = of_the_face(library)
    rows: dict[str, list[Array]] = {name: [] for name in ("moved", "places", "folds", "truth", "head")}
    for number in people:
        rig = rig_of(library, number)
        if rig is None:
            continue
        rng = rng_of(SEED, "ceiling", number)
        middle = (rig.eyes[0][0] + rig.eyes[1][0]) / 2
        for _ in range(each):
            action = sampling.still(rng, "random")
            moved, measures = pose(library, rig, action.strengths)
            truth = {**action.driven(), **measures.labels()}
            rows["moved"].append((moved - rig.neutral)[vertices].ravel() / rig.eye_distance)
            rows["places"].append((moved[vertices] - middle).ravel() / rig.eye_distance)
            rows["folds"].append(np.array([*fold_depths(rig.person, action.strengths).values()]))
            rows["truth"].append(np.array([truth[unit] for unit in AU_NAMES]))
            rows["head"].append(np.array(number))
    return {name: np.stack(values).astype(np.float32) for name, values in rows.items()}


def of_the_face(library: Library) -> Array:
    """Vertices in the front of the face by lot, with those of lids, lips and the corners of the mouth."""
    base = library.head.base
    x, y, z = base[:13380].T
    front = np.flatnonzero((y > 6.2) & (y < 7.9) & (z > 0.35) & (np.abs(x) < 0.65))
    named = [*LEFT_LIDS, *(vertex for pair in (*LIP_COLUMNS, *MOUTH_CORNERS) for vertex in pair)]
    return np.union1d(np.random.default_rng(0).choice(front, VERTICES, replace=False), named)


def answers(seen: Array, truth: Array, new: Array) -> Array:
    """What a network with two hidden layers says of ``new``, taught on ``seen`` and ``truth``."""
    centre, spread = seen.mean(0), seen.std(0) + 1e-6
    x, y = torch.from_numpy((seen - centre) / spread), torch.from_numpy(truth)
    width = x.shape[1]
    layers: list[nn.Module] = []
    for width_in, width_out in ((width, 512), (512, 512)):
        layers += [nn.Linear(width_in, width_out), nn.ReLU(), nn.Dropout(0.1)]
    network = nn.Sequential(*layers, nn.Linear(512, truth.shape[1]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps)))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            noisy = x[rows] + 0.05 * torch.randn(BATCH, width)
            loss = F.binary_cross_entropy_with_logits(network(noisy), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        return np.asarray(torch.sigmoid(network(torch.from_numpy((new - centre) / spread))).numpy())


if __name__ == "__main__":
    main()
