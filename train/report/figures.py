"""The report's drawings: SVG that stays sharp in print, in colours that the colour-blind tell apart (Okabe & Ito)."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from affectkit.train.distribution import Distribution
from affectkit.train.journal import headlines, positive
from affectkit.train.plots import pyplot
from affectkit.train.report.answers import DevAnswers
from affectkit.train.report.scores import Calibration
from affectkit.types import Array

INK, SOFT, GRID = "#1d2733", "#5d6b7a", "#dfe4ea"
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, SOFT, INK)
MARKERS = "osD^vPX*"

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "path",  # the same letters on every machine, without a font in the file
    "svg.hashsalt": "affectkit",  # the same file for the same run
}


@contextmanager
def _drawing(purpose: str) -> Iterator[Any]:
    """pyplot in the report's style; whatever it opened is closed."""
    plt = pyplot(purpose)
    with plt.rc_context(_STYLE):
        try:
            yield plt
        finally:
            plt.close("all")


def _svg(drawn: Any) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, dpi=160)
    return buffer.getvalue()


def curves(lines: Sequence[Mapping[str, Any]], epochs: int | None) -> bytes:
    """Losses on the left, what was reached on the dev part on the right."""
    with _drawing("drawing the curves") as plt:
        drawn, (left, right) = plt.subplots(1, 2, figsize=(10.1, 3.7), layout="constrained")
        at = [line["epoch"] for line in lines]
        for k, name in enumerate(lines[-1]["loss"]):
            values = positive([_value(line.get("loss", {}), name) for line in lines])
            if not np.isnan(values).all():
                colour = INK if name == "total" else COLOURS[k % 6]
                left.plot(
                    at, values, label=name, color=colour, marker=MARKERS[k % 8], ls="--" if name == "total" else "-"
                )
        if left.lines:
            left.set_yscale("log")
            ticker = plt.matplotlib.ticker
            left.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))  # also where all lies within one decade
            left.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
            left.yaxis.set_minor_formatter(ticker.NullFormatter())
        left.set_title("Training loss, mean of the epoch (logarithmic)")
        shown = [headlines(line["dev"]) for line in lines]
        for k, name in enumerate(shown[-1]):
            values = [_value(one, name) for one in shown]
            right.plot(at, values, label=name, color=COLOURS[k % 6], marker=MARKERS[k % 8])
        best = max(lines, key=lambda line: _value(line, "score"))
        right.axvline(best["epoch"], color=SOFT, lw=1, ls=":", label="kept checkpoint")
        right.set_title("Scores on the dev part")
        for panel in (left, right):
            panel.set_xlabel("epoch")
            panel.set_xlim(min(0.5, at[0]), max(epochs or 0, at[-1]) + 0.5)
            panel.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
            if panel.lines:
                panel.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3, columnspacing=1.2, handlelength=1.6)
        return _svg(drawn)


def _value(of: Mapping[str, Any], name: str) -> float:
    value = of.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def confusion(names: Sequence[str], counts: Array) -> bytes:
    """Counts and percent of the row in each cell, shaded by the percent."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(3.6, 0.78 * len(names) + 1.2)
    with _drawing("drawing the confusion matrix") as plt:
        drawn, panel = plt.subplots(figsize=(side + 0.9, side), layout="constrained")
        shades = plt.matplotlib.colors.LinearSegmentedColormap.from_list(
            "report", ["#ffffff", "#9ecae1", BLUE, "#003f66"]
        )
        panel.imshow(share, cmap=shades, vmin=0, vmax=1, aspect="equal")
        for i in range(len(names)):
            for j in range(len(names)):
                if counts[i].sum() == 0:
                    continue
                colour = "white" if share[i, j] > 0.45 else INK if counts[i, j] else "#a9b3bd"
                panel.text(j, i - 0.1, f"{share[i, j]:.0%}", ha="center", va="center", color=colour, fontsize=9.5)
                panel.text(j, i + 0.24, f"{counts[i, j]}", ha="center", va="center", color=colour, fontsize=7)
        panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
        panel.set_yticks(range(len(names)), [f"{name} ({n})" for name, n in zip(names, counts.sum(1), strict=True)])
        panel.set_xlabel("answer")
        panel.set_ylabel("label (faces)")
        panel.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        panel.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        panel.grid(visible=False)
        panel.grid(which="minor", color="white", linewidth=1.5)
        panel.tick_params(which="both", length=0, labelcolor=INK)
        panel.spines[:].set_visible(False)
        return _svg(drawn)


def reliability(found: Calibration) -> bytes:
    """How often the answer was right against how sure it was, and how many answers were that sure."""
    bins = len(found.count)
    edges = np.linspace(0, 1, bins + 1)
    with _drawing("drawing the reliability diagram") as plt:
        drawn, (upper, lower) = plt.subplots(
            2, 1, figsize=(4.4, 4.8), height_ratios=(3.4, 1), sharex=True, layout="constrained"
        )
        there = found.count > 0
        upper.plot([0, 1], [0, 1], color=SOFT, lw=1, ls="--", label="perfectly calibrated")
        upper.bar(
            edges[:-1], np.nan_to_num(found.true), 1 / bins, align="edge", color=SKY, edgecolor="white", label="right"
        )
        upper.plot(found.said[there], found.true[there], color=BLUE, marker="o", lw=1.2)
        upper.text(0.03, 0.72, f"ECE {found.error:.3f}", transform=upper.transAxes, fontsize=11, weight="bold")
        upper.set_ylabel("share of right answers")
        upper.set_ylim(0, 1)
        upper.legend(loc="upper left")
        lower.bar(
            edges[:-1], found.count / max(1, found.count.sum()), 1 / bins, align="edge", color=SOFT, edgecolor="white"
        )
        lower.set_ylabel("faces")
        lower.yaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
        lower.set_xlabel("probability of the answer")
        lower.set_xlim(0, 1)
        return _svg(drawn)


def unit_calibration(found: Mapping[str, Calibration], thresholds: Sequence[float]) -> bytes:
    """A small reliability diagram for each action unit, with its threshold."""
    across = min(4, len(found))
    down = math.ceil(len(found) / across)
    with _drawing("drawing the calibration of the action units") as plt:
        drawn, panels = plt.subplots(
            down,
            across,
            figsize=(2.52 * across, 2.2 * down + 0.3),
            sharex=True,
            sharey=True,
            squeeze=False,
            layout="constrained",
        )
        for panel in panels.flat[len(found) :]:
            panel.set_visible(False)
        for panel, (name, one), threshold in zip(panels.flat, found.items(), thresholds, strict=False):
            there = one.count > 0
            size = 8 + 90 * one.count[there] / max(1, one.count.max())
            panel.plot([0, 1], [0, 1], color=SOFT, lw=0.9, ls="--")
            panel.axvline(threshold, color=ORANGE, lw=1.2, ls=":")
            panel.plot(one.said[there], one.true[there], color=BLUE, lw=1)
            panel.scatter(one.said[there], one.true[there], s=size, color=BLUE, alpha=0.75, lw=0)
            panel.set_title(f"{name}   ECE {one.error:.3f}")
            panel.set_xlim(-0.03, 1.03)
            panel.set_ylim(-0.03, 1.03)
            panel.set_xticks([0, 0.5, 1])
            panel.set_yticks([0, 0.5, 1])
        drawn.supxlabel("probability", fontsize=9)
        drawn.supylabel("mean label", fontsize=9)
        return _svg(drawn)


def valence_arousal(answers: DevAnswers, scores: Mapping[str, Mapping[str, float]]) -> bytes:
    """Answer against label, a panel each; the dots are a picture, as thousands of them would make the file slow."""
    labelled = answers.has_va
    alpha = float(np.clip(60 / math.sqrt(max(1, labelled.sum())) / 4, 0.12, 0.8))
    with _drawing("drawing valence and arousal") as plt:
        drawn, panels = plt.subplots(1, 2, figsize=(8.6, 4.3), layout="constrained")
        for k, (panel, name) in enumerate(zip(panels, ("valence", "arousal"), strict=True)):
            panel.plot([-1, 1], [-1, 1], color=SOFT, lw=1, ls="--")
            x, y = answers.va[labelled, k], answers.va_predicted[labelled, k]
            panel.scatter(x, y, s=9, color=(BLUE, RED)[k], alpha=alpha, lw=0, rasterized=True)
            numbers = "   ".join(f"{key.upper()} {scores[name][key]:.3f}" for key in ("ccc", "rmse"))
            panel.set_title(f"{name.capitalize()}   {numbers}")
            panel.set_xlim(-1.02, 1.02)
            panel.set_ylim(-1.02, 1.02)
            panel.set_xticks([-1, -0.5, 0, 0.5, 1])
            panel.set_yticks([-1, -0.5, 0, 0.5, 1])
            panel.set_aspect("equal")
            panel.set_xlabel("label")
            panel.set_ylabel("answer")
        return _svg(drawn)


def distribution(one: Distribution) -> bytes:
    """Share of an epoch's labels before and after balancing."""
    many = len(one.names) > 40
    x = np.arange(len(one.names))
    before, after = one.before / max(1, one.before.sum()), one.after / max(1, one.after.sum())
    with _drawing("drawing the distribution of the labels") as plt:
        drawn, panel = plt.subplots(figsize=(10.1, 2.8), layout="constrained")
        if many:
            panel.fill_between(x, before, step="mid", color=SOFT, alpha=0.55, lw=0, label="as it is")
            panel.step(x, after, where="mid", color=ORANGE, lw=1.1, label="after balancing")
            panel.set_xlabel("occupied cells of the valence-arousal grid, most frequent first")
        else:
            panel.bar(x - 0.2, before, 0.38, label="as it is", color="#9aa7b4")
            panel.bar(x + 0.2, after, 0.38, label="after balancing", color=ORANGE)
            crowded = len(x) > 9
            panel.set_xticks(x, one.names, rotation=30 if crowded else 0, ha="right" if crowded else "center")
            panel.tick_params(axis="x", length=0, labelcolor=INK)
            panel.grid(visible=False, axis="x")
        panel.yaxis.set_major_formatter(plt.matplotlib.ticker.PercentFormatter(1, decimals=0))
        panel.set_ylabel("share of the labels")
        panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
        return _svg(drawn)
