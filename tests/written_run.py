"""Run folders as the loop leaves them, written by hand, so that each number in them is known."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from patterns import NAN, config

from affectkit.types import LabelSet

LABELS = LabelSet(("neutral", "happiness", "contempt"), ("AU01", "AU12"))


def dev_answers(**changes: Any) -> dict[str, Any]:
    """Six faces: three expressions, two action units; the scores are computed by hand in test_report.py."""
    p = [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]]
    return {
        "names": np.array([f"face_{k}.png" for k in range(6)]),
        "expression": np.array([0, 0, 1, 1, 2, NAN]),
        "au": np.array([[1, NAN], [1, 0], [0, 1], [0, 0], [1, 1], [NAN, NAN]], float),
        "va": np.array([[0.0, 0.0], [1.0, 0.5], [2 / 3, -0.5], [NAN, NAN], [0.0, 0.0], [NAN, NAN]]),
        "expression_probability": np.array(p),
        "au_probability": np.array([[0.9, 0.1], [0.6, 0.2], [0.7, 0.3], [0.2, 0.1], [0.1, 0.9], [0.5, 0.5]]),
        "va_predicted": np.array([[0.0, 0.0], [0.0, 0.5], [2 / 3, -0.5], [0.1, 0.1], [0.0, 0.0], [0.3, 0.3]]),
        "au_thresholds": np.array([0.5, 0.25]),
        "expressions": np.array(LABELS.expressions),
        "action_units": np.array(LABELS.action_units),
        **changes,
    }


def epoch_line(epoch: int, accuracy: float = 0.5) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    return {
        "epoch": epoch,
        "step": 10 * epoch,
        "loss": {"expression": 2 / epoch, "au": 0.5 / epoch, "va": 0.0, "total": 6 / epoch},
        "dev": {
            "count": 6,
            "expression": {
                "count": 5,
                "accuracy": accuracy,
                "macro_f1": accuracy - 0.1,
                "f1": {"neutral": 0.5, "happiness": 0.8, "contempt": 1.0},
                "labels": list(LABELS.expressions),
                "confusion": [[1, 1, 0], [0, 2, 0], [0, 0, 1]],
            },
            "au": {name: {"mean": 0.6, "AU1": 0.5, "AU12": 0.7} for name in ("pearson", "f1", "best_f1")},
            "va": {"valence": {"ccc": 0.4 + epoch / 100, "rmse": 0.2}, "arousal": {"ccc": 0.9, "rmse": 0.1}},
            "ece": 0.12,
            "scores": {"expression": 0.5, "au": 0.6, "va": 0.5},
        },
        "score": accuracy + 1,
    }


def write_run(
    run: Path,
    *,
    lines: Sequence[Mapping[str, Any]] | None = None,
    dev: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    **progress: Any,
) -> Path:
    """A finished teacher of three epochs; ``progress`` changes progress.json, ``settings`` the configuration."""
    run.mkdir(parents=True, exist_ok=True)
    stored = dataclasses.asdict(config())
    stored["network"]["labels"] = dataclasses.asdict(LABELS)
    stored.update(settings or {})
    about = {
        "command": ["/usr/bin/affectkit", "train", "teacher", "-o", "my run", "--labels", "a.csv"],
        "kind": "teacher",
        "affectkit": "0.2.0",
        "started": "2026-11-25T12:00:00+00:00",
        "config": stored,
        "data": data or {"labels": ["/gone/a.csv"], "images": ["/gone/a.zip"], "manifests": [], "tasks": ["au"]},
        "faces": {"train": 48, "dev": 6},
        "label_counts": {"train": {"expression": 40, "au": 30, "va": 20}, "dev": {"expression": 5, "au": 5, "va": 4}},
    }
    (run / "run.json").write_text(json.dumps(about))
    at = {
        "step": 30,
        "steps": 30,
        "epoch": 3,
        "epochs": 3,
        "best_score": 1.9,
        "best_epoch": 2,
        "updated": "2026-11-25T12:01:00+00:00",
        "pid": os.getpid(),
        "state": "finished",
        "message": "",
        **progress,
    }
    (run / "progress.json").write_text(json.dumps(at))
    shown = [epoch_line(1, 0.4), epoch_line(2, 0.8), epoch_line(3, 0.6)] if lines is None else lines
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in shown))
    (run / "best.pt").write_bytes(b"not looked into")
    if dev is not None:
        np.savez(run / "dev.npz", **dev)
    return run
