"""What a run leaves behind to look at: ``metrics.jsonl``, TensorBoard's event file and a picture of the curves."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.errors import MissingDependency
from affectkit.outputs.json_files import write_text
from affectkit.train.plots import pyplot

METRICS_NAME = "metrics.jsonl"
CURVES_NAME = "curves.png"
STEPS_A_POINT = 20
"""Training steps from one point of TensorBoard's loss curves to the next."""


class Journal:
    """Writes a run's progress; ``close`` also draws the curves."""

    def __init__(self, run: Path, step: int) -> None:
        """Go on at ``step``: what an interrupted run logged after its last checkpoint is taken back.

        Raises:
            MissingDependency: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "tensorboard":
                raise
            raise MissingDependency("tensorboard", "train", "training") from error
        self._run = run
        self._path = run / METRICS_NAME
        kept = [line for line in read_metrics(run) if line["step"] <= step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1 if step else None)

    def step(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        """The losses of one training step."""
        if step % STEPS_A_POINT == 0:
            for name, value in losses.items():
                self._board.add_scalar(f"loss/{name}", value, step)
            self._board.add_scalar("learning rate", learning_rate, step)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """The means of an epoch's losses and what the network reached on the dev part after it."""
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in headlines(line["dev"]).items():
            self._board.add_scalar(f"dev/{name}", value, line["step"])
        self._board.add_scalar("dev/score", line["score"], line["step"])

    def close(self) -> None:
        """Draw the curves and let go of the event file."""
        self._board.close()
        lines = read_metrics(self._run)
        if lines:
            draw_curves(lines, self._run / CURVES_NAME)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; none where there is no such file, and none that was cut off by a crash."""
    path = run / METRICS_NAME
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(text))
    return lines


def headlines(report: Mapping[str, Any]) -> dict[str, float]:
    """The few numbers of ``metrics.report`` that are followed over a run; tasks without labels left out."""
    found: dict[str, float] = {}
    if report.get("expression") is not None:
        found["expression accuracy"] = report["expression"]["accuracy"]
        found["expression macro F1"] = report["expression"]["macro_f1"]
    if report.get("au") is not None:
        found["AU mean Pearson"] = report["au"]["pearson"]["mean"]
        found["AU mean F1"] = report["au"]["f1"]["mean"]
    if report.get("va") is not None:
        found["valence CCC"] = report["va"]["valence"]["ccc"]
        found["arousal CCC"] = report["va"]["arousal"]["ccc"]
    return found


def positive(values: Sequence[float]) -> list[float]:
    """The values with NaN for those that a logarithmic axis cannot show."""
    return [value if value > 0 else math.nan for value in values]


def draw_curves(lines: list[dict[str, Any]], path: Path) -> None:
    """Losses on the left, what was reached on the dev part on the right; both over epochs."""
    plt = pyplot("drawing the curves")
    epochs = [line["epoch"] for line in lines]
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    shown = False
    for name in lines[-1]["loss"]:
        values = positive([line["loss"].get(name, math.nan) for line in lines])
        if not np.isnan(values).all():  # a task without labels costs 0, which has no place on a logarithmic axis
            left.plot(epochs, values, label=name, marker=".")
            shown = True
    left.set_title("loss, mean of the epoch")
    if shown:
        left.set_yscale("log")
    for name in headlines(lines[-1]["dev"]):
        right.plot(epochs, [headlines(line["dev"]).get(name, math.nan) for line in lines], label=name, marker=".")
    right.set_title("dev part")
    for panel in (left, right):
        panel.set_xlabel("epoch")
        panel.grid(alpha=0.3)
        if panel.lines:  # matplotlib warns of a legend of nothing
            panel.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
