"""Windows of a face's sequence: which there are, how they are weighed, and whole clips through them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from affectkit.spec import TASKS
from affectkit.types import Array, Float32, RunNetwork

WindowMode = Literal["overlap", "paper", "live"]


def paper_windows(count: int, length: int) -> list[tuple[int, int]]:
    """(start, stop) of non-overlapping windows, the last one moved back so that it ends on the last frame.

    A clip shorter than the window is one window of its own length.
    """
    if count <= length:
        return [(0, count)]
    starts = [*range(0, count - length, length), count - length]
    return [(start, start + length) for start in starts]


def run_sequence(run: RunNetwork, features: Array, length: int, tasks: Sequence[str] = TASKS) -> dict[str, Array]:
    """The logits of every frame of one sequence, window by window as :func:`paper_windows` cuts it.

    Where the last window reaches back over frames that have an answer already, they keep the one they have.

    Args:
        run: the temporal network: ``features`` (M, B, T, K, F) of K tasks in, logits (M, B, T, C) out.
        features: (M, N, K, F) of N consecutive frames.
        length: frames of a window.
        tasks: outputs that the network has.

    Returns:
        by task (M, N, C).
    """
    parts: dict[str, list[Array]] = {name: [] for name in tasks}
    answered = 0
    for start, stop in paper_windows(features.shape[1], length):
        window = np.ascontiguousarray(features[:, None, start:stop], np.float32)
        outputs: Mapping[str, Array] = run({"features": window})
        for name, part in parts.items():
            part.append(outputs[name][:, 0, answered - start :])
        answered = stop
    return {name: np.concatenate(part, axis=1) for name, part in parts.items()}


def taper(length: int) -> Float32:
    """(T,) weights of a window's frames: 1 at its ends, rising evenly to the middle. At an end there is context on one
    side only, so its answer counts least."""
    position = np.arange(length, dtype=np.float32)
    return np.minimum(position, length - 1 - position) + 1


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """Which windows a sequence is cut into."""

    length: int
    """Frames of a window, T."""
    mode: WindowMode = "overlap"
    lookahead: int = 0
    """``live``: frames after the one that is answered, 0 .. T - 1; 0 answers at once."""
    max_gap_s: float = 0.5
    """Longest time a face may be missing within one sequence."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(WindowMode):
            raise ValueError(f"window must be one of {', '.join(get_args(WindowMode))}, got {self.mode!r}")
        if self.lookahead and self.mode != "live":
            raise ValueError("lookahead goes with live mode only: the others see the whole sequence")
        if not 0 <= self.lookahead < self.length:
            raise ValueError(f"lookahead must be 0 to {self.length - 1} frames, got {self.lookahead}")
        if not 0 <= self.max_gap_s < math.inf:
            raise ValueError(f"max_gap_s must be 0 or more seconds, got {self.max_gap_s}")
