"""Sequences of one face's features -> the CNN-RNN's answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from affectkit.types import Array, RunNetwork

LOGITS = ("expression", "au", "va")


def paper_windows(count: int, length: int) -> list[tuple[int, int]]:
    """(start, stop) of non-overlapping windows, the last one moved back so that it ends on the last frame.

    A clip shorter than the window is one window of its own length.
    """
    if count <= length:
        return [(0, count)]
    starts = [*range(0, count - length, length), count - length]
    return [(start, start + length) for start in starts]


def run_sequence(run: RunNetwork, features: Array, length: int) -> dict[str, Array]:
    """The logits of every frame of one sequence, window by window as :func:`paper_windows` cuts it.

    Where the last window reaches back over frames that have an answer already, they keep the one they have.

    Args:
        run: the temporal network: ``features`` (M, B, T, 3, F) in, logits (M, B, T, C) out.
        features: (M, N, 3, F) of N consecutive frames.
        length: frames of a window.

    Returns:
        ``expression``, ``au`` and ``va`` (M, N, C).
    """
    parts: dict[str, list[Array]] = {name: [] for name in LOGITS}
    answered = 0
    for start, stop in paper_windows(features.shape[1], length):
        window = np.ascontiguousarray(features[:, None, start:stop], np.float32)
        outputs: Mapping[str, Array] = run({"features": window})
        for name, part in parts.items():
            part.append(outputs[name][:, 0, answered - start :])
        answered = stop
    return {name: np.concatenate(part, axis=1) for name, part in parts.items()}
