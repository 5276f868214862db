"""What each choice of the paper brings or costs, one at a time: the column "measured" of train/README.md's table.

    python scripts/deviations.py ../shared/data OUT        # continues where it was stopped

`lite` at 64 px on the fixed quarter of the training pictures that scripts/ablation.py takes, with its settings and
number of steps; everything but the choice named is alike. Measured on FER+ valid.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from ablation import SETTINGS, SHARE, read

from affectkit.models import sha256
from affectkit.train.augmentation import AUGMENTATIONS
from affectkit.train.checkpoints import load_network
from affectkit.train.evaluate import ask
from affectkit.train.faces import FaceSet, fixed_share, join
from affectkit.train.loop import train
from affectkit.train.networks import NetworkConfig
from affectkit.train.splits import select_split

LITE = NetworkConfig()
PUBLISHED = dataclasses.replace(LITE, template="published", margin=112 / 134)
CHOICES: dict[str, dict[str, Any]] = {
    "our defaults": {},
    "cut of the face": {"network": PUBLISHED},
    "augmentation": {"augmentation": AUGMENTATIONS["paper"]},
    "batch": {"sampling": "per-task", "batch_size": 63},
    "balancing, mean": {"balance": True},
    "balancing, target 2": {"balance": True, "ml_ros_target": 2.0},
    "selection": {"select_by": "paper"},
    "dropout": {"network": dataclasses.replace(LITE, dropout=0.0)},
}
STUDENTS: dict[str, dict[str, Any]] = {"student, AU weight 8": {}, "student, AU weight 1": {"au_weight": 1.0}}


def headline(model: Path, faces: FaceSet) -> dict[str, float]:
    """The numbers of one row."""
    report = ask(model, faces).report(faces)
    return {
        "accuracy": report["expression"]["accuracy"],
        "macro F1": report["expression"]["macro_f1"],
        "AU Pearson": report["au"]["pearson"]["mean"],
        "AU F1": report["au"]["f1"]["mean"],
        "CCC": (report["va"]["valence"]["ccc"] + report["va"]["arousal"]["ccc"]) / 2,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    sets = [read(arguments.data, name) for name in ("ferplus", "facial_expressions")]
    train_set = fixed_share(join([select_split(faces, "train") for faces in sets]), SHARE)
    dev_set, test_set = (select_split(sets[0], split) for split in ("dev", "test"))  # type: ignore[arg-type]
    settings = dataclasses.replace(SETTINGS, epoch_steps=len(train_set) // SETTINGS.batch_size)
    rows = {}
    for name, changes in {**CHOICES, **STUDENTS}.items():
        run = arguments.out / name.replace(", ", "_").replace(" ", "_")
        config, teachers = dataclasses.replace(settings, **changes), []
        if name in STUDENTS:
            teacher = arguments.out / "our_defaults" / "best.pt"
            teachers = [load_network(teacher)[0]]
            config = dataclasses.replace(config, teachers=(sha256(teacher),), seed=1)
        train(config, train_set, dev_set, run, teachers=teachers, resume=True)
        rows[name] = headline(run, test_set)
        print(name, json.dumps(rows[name]), file=sys.stderr, flush=True)
    (arguments.out / "table.json").write_text(json.dumps(rows, indent=2) + "\n")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in row.values())} |")


if __name__ == "__main__":
    main()
