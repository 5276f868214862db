"""Draw docs/temporal.png: which frames an answer comes from, in each mode.

    python scripts/draw_windows.py docs/temporal.png

The windows drawn are those that affectkit.temporal really runs: they are recorded from a buffer.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from affectkit.temporal import TemporalBuffer
from affectkit.train.plots import pyplot
from affectkit.types import Array
from affectkit.windows import WindowConfig, taper

LENGTH, FRAMES = 8, 21
MODES = {
    "overlap (files): half over each other, averaged with a taper; the last one is moved back": WindowConfig(LENGTH),
    "paper: side by side; the last one is moved back, frames that have an answer keep it": WindowConfig(
        LENGTH, "paper"
    ),
    "live, lookahead 0: each answer at once, from the past only": WindowConfig(LENGTH, "live", 0),
    "live, lookahead 3: each answer 3 frames later, from the past and these 3": WindowConfig(LENGTH, "live", 3),
}


def windows(config: WindowConfig) -> list[tuple[int, int]]:
    """First frame and length of every window that is run for FRAMES frames."""
    seen: list[tuple[int, int]] = []

    def network(inputs: Mapping[str, Array]) -> dict[str, Array]:
        features = inputs["features"]
        seen.extend((int(first), features.shape[2]) for first in features[0, :, 0, 0, 0])
        return {name: features[..., 0, :] for name in ("expression", "au", "va")}

    buffer = TemporalBuffer[int](network, config)
    for i in range(FRAMES):
        buffer.push([(i, i / 25, False, [0], np.full((1, 1, 3, 1), i, np.float32))])
    buffer.flush()
    return seen


def main() -> None:
    """Draw one panel a mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    plt = pyplot("drawing")
    found = {title: windows(config) for title, config in MODES.items()}
    heights = [len(part) * (0.5 if len(part) > 5 else 1) + 1 for part in found.values()]
    figure, panels = plt.subplots(len(MODES), 1, figsize=(10, 0.22 * sum(heights) + 2.5), height_ratios=heights)
    for axes, (title, config) in zip(panels, MODES.items(), strict=True):
        for row, (first, length) in enumerate(found[title]):
            weights = taper(length) / taper(length).max() if config.mode == "overlap" else np.ones(length)
            answered = range(0)
            if config.mode == "live":  # the last window answers all that still wait
                last = first + length - config.lookahead
                whole = row == len(found[title]) - 1 and config.lookahead
                answered = range(last, FRAMES) if whole else range(last - 1, last)
            for k in range(length):
                shade = 0.2 if answered else 0.15 + 0.6 * weights[k]
                hit = first + k in answered
                axes.barh(-row, 0.92, left=first + k - 0.46, color="#e69f00" if hit else (0.34, 0.7, 0.91, shade))
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlim(-0.6, FRAMES - 0.4)
        axes.set_xticks(range(FRAMES))
        axes.tick_params(labelsize=8)
        axes.set_yticks([])
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    panels[-1].set_xlabel(f"frame; a clip of {FRAMES} frames, windows of {LENGTH} (the shipped model has 32)")
    figure.text(
        0.99,
        0.005,
        "blue: frames a window sees, darker: counts more; orange: the one it answers",
        ha="right",
        fontsize=8,
    )
    figure.tight_layout(rect=(0, 0.015, 1, 1))
    figure.savefig(parser.parse_args().output, dpi=100)


if __name__ == "__main__":
    main()
