"""What multitask learning, distillation and balancing each bring, at the same budget and seed: train/README.md's table.

    python scripts/ablation.py ../shared/data OUT            # continues where it was stopped
    python scripts/ablation.py ../shared/data OUT --one-label

Trains, without and with balancing, three single-task networks, the multitask teacher and five students on a fixed
quarter of the training pictures (6 epochs, 64 px, the same number of steps each), and prints the table. With
--one-label each picture keeps the labels of one task only, which is the case the method is made for.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.models import sha256
from affectkit.train.checkpoints import load_network
from affectkit.train.config import TrainConfig
from affectkit.train.evaluate import ask
from affectkit.train.faces import FaceSet, fixed_share, join, only_tasks, without_derived_va
from affectkit.train.loop import train
from affectkit.train.networks import TASKS
from affectkit.train.reading import read_set
from affectkit.train.splits import select_split

SHARE = 0.25
STUDENTS = 5
COMMON = 20
"""Pictures of a class in the held-out part from which on its F1 counts for facial_expressions."""
SETTINGS = TrainConfig(
    epochs=6,
    batch_size=64,
    optimizer="adamw",
    learning_rate=1.5e-3,
    betas=(0.9, 0.999),
    weight_decay=0.05,
    schedule="cosine",
    warmup_steps=80,
    ema=0.99,
    bf16=True,
)
COLUMNS = (
    "FER+ accuracy",
    "macro F1",
    "AU Pearson",
    "AU F1",
    "valence CCC",
    "arousal CCC",
    "facial_expressions accuracy",
    "macro F1 (classes >= 20)",
)


def read(data: Path, name: str) -> FaceSet:
    """One of the two open sets."""
    files = (data / f"{name}_{part}" for part in ("labels.csv", "images.zip", "landmarks.npz"))
    return without_derived_va(read_set(*files))


def one_label(faces: FaceSet) -> FaceSet:
    """Each face keeps the labels of one of the tasks it is labelled for, chosen by a checksum of its name."""
    labelled = {
        "expression": ~np.isnan(faces.expression_target).any(1),
        "au": ~np.isnan(faces.au).all(1),
        "va": ~np.isnan(faces.va).any(1),
    }
    kept = []
    for i, name in enumerate(faces.names):
        there = [task for task in TASKS if labelled[task][i]]
        kept.append(there[zlib.crc32(b"one label " + name.encode()) % len(there)] if there else "")

    def part(values: Any, task: str) -> Any:
        blanked = values.copy()
        blanked[np.array(kept) != task] = np.nan
        return blanked

    return dataclasses.replace(
        faces,
        expression=part(faces.expression, "expression"),
        expression_target=part(faces.expression_target, "expression"),
        au=part(faces.au, "au"),
        va=part(faces.va, "va"),
    )


def numbers(model: Path, held_out: dict[str, FaceSet]) -> list[float | None]:
    """One row of the table."""
    ferplus, other = (ask(model, faces).report(faces) for faces in held_out.values())
    confusion = np.array(other["expression"]["confusion"])
    counted = [f1 for f1, n in zip(other["expression"]["f1"].values(), confusion.sum(1), strict=True) if n >= COMMON]
    return [
        ferplus["expression"]["accuracy"],
        ferplus["expression"]["macro_f1"],
        ferplus["au"]["pearson"]["mean"],
        ferplus["au"]["f1"]["mean"],
        ferplus["va"]["valence"]["ccc"],
        ferplus["va"]["arousal"]["ccc"],
        other["expression"]["accuracy"],
        float(np.mean(counted)),
    ]


def only(row: list[float | None], task: str) -> list[float | None]:
    """A single-task network's row: blank where it was taught nothing."""
    columns = {"expression": (0, 1, 6, 7), "au": (2, 3), "va": (4, 5)}[task]
    return [value if k in columns else None for k, value in enumerate(row)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--one-label", action="store_true")
    parser.add_argument("--plain-only", action="store_true", help="leave the balanced half out")
    arguments = parser.parse_args()
    sets = [read(arguments.data, name) for name in ("ferplus", "facial_expressions")]
    train_set = fixed_share(join([select_split(faces, "train") for faces in sets]), SHARE)
    if arguments.one_label:
        train_set = one_label(train_set)
    dev_set = select_split(sets[0], "dev")
    held_out = {"FER+": select_split(sets[0], "test"), "facial_expressions": select_split(sets[1], "test")}
    steps = len(train_set) // SETTINGS.batch_size
    print(f"{len(train_set)} pictures, {steps} steps an epoch", file=sys.stderr)

    def fit(name: str, teacher: Path | None = None, tasks: tuple[str, ...] = TASKS, **changes: Any) -> Path:
        """Train one network, unless that was done before; its run."""
        run = arguments.out / name
        if not (run / "done").exists():
            config = dataclasses.replace(SETTINGS, epoch_steps=steps, **changes)
            networks = []
            if teacher is not None:
                config = dataclasses.replace(config, teachers=(sha256(teacher / "best.pt"),))
                networks = [load_network(teacher / "best.pt")[0]]
            train(config, only_tasks(train_set, tasks), only_tasks(dev_set, tasks), run, teachers=networks, resume=True)
            (run / "done").touch()
        print(f"trained {name}", file=sys.stderr)
        return run

    rows: dict[str, list[float | None]] = {}
    for balance in (False,) if arguments.plain_only else (False, True):
        kind = "balanced" if balance else "plain"
        for task in TASKS:
            run = fit(f"{kind}/only_{task}", tasks=(task,), balance=balance)
            rows[f"{task} only, {kind}"] = only(numbers(run, held_out), task)
        teacher = fit(f"{kind}/teacher", balance=balance)
        rows[f"multitask teacher, {kind}"] = numbers(teacher, held_out)
        students = arguments.out / kind / "students"
        for k in range(STUDENTS):
            fit(f"{kind}/students/student_{k}", teacher=teacher, balance=balance, seed=1 + k)
        rows[f"one student, {kind}"] = numbers(students / "student_0", held_out)
        rows[f"five students, {kind}"] = numbers(students, held_out)
    (arguments.out / "table.json").write_text(json.dumps({"columns": COLUMNS, "rows": rows}, indent=2) + "\n")
    print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join('' if v is None else f'{v:.3f}' for v in row)} |")


if __name__ == "__main__":
    main()
