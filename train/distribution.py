"""How often an epoch shows each label, before and after balancing: a table and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.train.balance import VA_GRID, Float, Index, va_cells
from affectkit.train.batches import task_samplers
from affectkit.train.faces import FaceSet
from affectkit.train.plots import pyplot


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts of one task's labels in an epoch without and with balancing."""

    task: str
    names: tuple[str, ...]
    before: Float
    after: Float

    def table(self) -> str:
        """Fixed-width text: count and share of each label, before and after; of many only the first."""
        lines = [f"{self.task:12} {'before':>9} {'share':>7} {'after':>9} {'share':>7}"]
        totals = max(1.0, self.before.sum()), max(1.0, self.after.sum())
        shown = slice(MOST_LINES)
        for name, before, after in zip(self.names[shown], self.before[shown], self.after[shown], strict=True):
            lines.append(f"{name:12} {before:9.0f} {before / totals[0]:7.1%} {after:9.0f} {after / totals[1]:7.1%}")
        if len(self.names) > MOST_LINES:
            lines.append(f"... and {len(self.names) - MOST_LINES} more")
        return "\n".join(lines)


MOST_LINES = 12
"""Of a table; the histogram of valence and arousal has hundreds of bins."""


def distributions(faces: FaceSet, *, seed: int = 0) -> list[Distribution]:
    """One for each task that has labels; for valence and arousal the occupied bins, most frequent first."""
    plain, balanced = (
        {name: sampler.order() for name, sampler in task_samplers(faces, seed=seed, balance=on).items()}
        for on in (False, True)
    )
    found = []
    for task, order in plain.items():
        before, names = _counts(faces, task, order)
        after, _ = _counts(faces, task, balanced[task])
        if task == "va":
            by_count = np.argsort(-before, kind="stable")
            by_count = by_count[before[by_count] > 0]
            before, after, names = before[by_count], after[by_count], tuple(names[i] for i in by_count)
        found.append(Distribution(task, names, before, after))
    return found


def _counts(faces: FaceSet, task: str, rows: Index) -> tuple[Float, tuple[str, ...]]:
    if task == "expression":
        names = faces.label_set.expressions
        return np.bincount(faces.expression[rows].astype(int), minlength=len(names)).astype(float), names
    if task == "au":
        return (np.nan_to_num(faces.au[rows]) >= 0.5).sum(0).astype(float), faces.label_set.action_units
    counts = np.bincount(va_cells(faces.va)[rows], minlength=VA_GRID**2).astype(float)
    low, high = np.nanmin(faces.va, axis=0), np.nanmax(faces.va, axis=0)
    middle = low + (high - low) * (np.arange(VA_GRID)[:, None] + 0.5) / VA_GRID  # (bins, 2)
    return counts, tuple(f"{valence:+.2f} {arousal:+.2f}" for valence in middle[:, 0] for arousal in middle[:, 1])


def plot(found: list[Distribution], path: Path) -> None:
    """Bars before and after, one panel a task; needs matplotlib."""
    plt = pyplot("plotting")
    figure, panels = plt.subplots(len(found), 1, figsize=(9, 3.2 * len(found)), squeeze=False)
    for panel, one in zip(panels[:, 0], found, strict=True):
        x = np.arange(len(one.names))
        panel.bar(x - 0.2, one.before / max(1, one.before.sum()), 0.4, label="before", color="#9aa3ad")
        panel.bar(x + 0.2, one.after / max(1, one.after.sum()), 0.4, label="after balancing", color="#e69f00")
        if len(x) <= 12:
            panel.set_xticks(x, one.names)
        else:
            panel.set_xlabel("bins of the valence-arousal histogram, most frequent first")
        panel.set_ylabel("share of the epoch")
        panel.set_title(one.task)
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
