"""A round of training `lite` beside renderings: photographs keep what a model before it says of them.

    python scripts/train_lite.py RUN START LABELS ../shared/data rendered/manifest.parquet [--epochs 15]

As `affectkit train students --teacher-view clean`, but the teacher is asked about photographs alone, and about
expression, valence and arousal alone: what it says of renderings, and its action units, would contradict labels
that are exact.
LABELS is the folder that scripts/real_labels.py wrote, START the run or the model whose network is trained further.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from affectkit.train.answers import clean_teacher_outputs
from affectkit.train.augmentation import AUGMENTATIONS
from affectkit.train.config import TrainConfig
from affectkit.train.faces import FaceSet, relabelled
from affectkit.train.loop import train
from affectkit.train.networks import Outputs
from affectkit.train.options import read_sets
from affectkit.train.runs import cnns_of

ROOT = Path(__file__).resolve().parents[1]
SETS = ("ferplus", "facial_expressions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "start", "labels", "data"):
        parser.add_argument(name, type=str if name == "start" else Path)
    parser.add_argument("rendered", type=Path, nargs="+")
    parser.add_argument("--teacher", default="lite-ensemble")
    parser.add_argument("--coded", type=Path, help="CSV of faces whose units a person judged: image, AU1, ...")
    parser.add_argument("--coded-times", type=int, default=6, help="how often each of them comes in an epoch")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--au-weight", type=float, default=14.0)
    parser.add_argument("--augmentation", choices=list(AUGMENTATIONS), default="covered-light")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_set, dev_set = faces_of(given.labels, given.data, *given.rendered)
    network = cnns_of(given.start, dev_set)[0][0]
    labels = network.config.labels
    train_set, dev_set = relabelled(train_set, labels), relabelled(dev_set, labels)
    coded = np.empty(0, np.int64)
    if given.coded is not None:
        train_set, coded = with_codes(train_set, pd.read_csv(given.coded))
    teachers, digests = cnns_of(given.teacher, dev_set)
    config = TrainConfig(
        network=network.config,
        epochs=given.epochs,
        batch_size=128,
        optimizer="adamw",
        betas=(0.9, 0.999),
        weight_decay=0.05,
        learning_rate=given.learning_rate,
        schedule="cosine",
        warmup_steps=100,
        ema=0.999,
        au_weight=given.au_weight,
        expression_weight=2.0,
        supervised_share=0.4,
        temperature=1.5,
        teachers=tuple(digests),
        teacher_view="clean",
        bf16=True,
        compile=given.compile,
        seed=1,
        augmentation=AUGMENTATIONS[given.augmentation],
    )
    photographs = np.isnan(train_set.intensity).all(1)
    rows = torch.from_numpy(np.flatnonzero(photographs))
    said = clean_teacher_outputs(teachers, train_set.subset(photographs), config)
    taught = Outputs(
        *(_spread(getattr(said, name), rows, len(train_set)) for name in ("expression", "au", "va")),
        torch.zeros(len(train_set), 1, 1),
    )
    taught.au[:] = torch.nan
    shown = np.concatenate([np.arange(len(train_set)), np.tile(coded, given.coded_times - 1)])
    train_set = train_set.take(shown)
    taught = Outputs(*(getattr(taught, name)[shown] for name in ("expression", "au", "va", "features")))

    def tell(step: int, steps: int, losses: dict[str, float]) -> None:
        if step % 50 == 0:
            print(f"step {step}/{steps}  " + "  ".join(f"{k} {v:.3f}" for k, v in losses.items()), flush=True)

    report = train(
        config,
        train_set,
        dev_set,
        given.run,
        teachers=teachers,
        init_from=network,
        teacher_outputs=taught,
        resume=given.resume,
        on_step=tell,
    )
    print(json.dumps(dataclasses.asdict(config)["learning_rate"]), json.dumps(report["expression"]["accuracy"]))


def faces_of(labels: Path, data: Path, *manifests: Path) -> tuple[FaceSet, FaceSet]:
    """The photographs and what manifests name, to train on and to choose by, without the faces that tests are about."""
    return read_sets(
        {
            "labels": tuple(labels / f"{name}_labels.csv" for name in SETS),
            "images": tuple(data / f"{name}_images.zip" for name in SETS),
            "landmarks": tuple(data / f"{name}_landmarks.npz" for name in SETS),
            "manifests": manifests,
            "leave_out": (ROOT / "benchmarks" / "data" / "ferplus_not_for_training.csv",),
            "tasks": ("expression", "au", "va"),
            "share": 1.0,
            "dev": None,
            "au_at": None,
        }
    )


def with_codes(faces: FaceSet, codes: pd.DataFrame) -> tuple[FaceSet, np.ndarray]:
    """The faces with what was judged in place of their labels, where something was, and the rows of those faces."""
    places = {name: i for i, name in enumerate(faces.names)}
    rows = np.array([places[name] for name in codes["image"] if name in places], np.int64)
    codes = codes[codes["image"].isin(places)]
    au = faces.au.copy()
    for column in codes.columns[1:]:
        k = faces.label_set.action_units.index(f"AU{int(column[2:]):02d}")
        known = codes[column].notna().to_numpy()
        au[rows[known], k] = codes.loc[known, column]
    return dataclasses.replace(faces, au=au), rows


def _spread(values: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """(N, C) answers at some rows of (count, C), NaN in the others."""
    whole = torch.full((count, values.shape[1]), torch.nan)
    whole[rows] = values
    return whole


if __name__ == "__main__":
    main()
