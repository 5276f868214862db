"""Faces that are not upright in their crop: turned by quarters until they are, where that shows a face.

Networks that tell what can be seen are trained to see nothing in a crop whose face is not upright, and detectors place
the points of such faces as if they were. So where nothing can be seen although the detector is sure of its face, the
three other ways that the crop can be turned are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from affectkit.readout import visibility_of
from affectkit.spec import ModelSpec
from affectkit.types import Array, UInt8
from affectkit.visibility import hidden_regions

FAIR_SCORE = 0.6
"""Detector's confidence from which a face is worth turning."""

TURNS = (2, 1, 3)
"""Quarter turns counter-clockwise that are tried."""

Turns = npt.NDArray[np.intp]


def turned(
    crops: UInt8,
    outputs: dict[str, Array],
    scores: Array,
    spec: ModelSpec,
    run: Callable[[UInt8], Mapping[str, Array]],
) -> tuple[dict[str, Array], Turns]:
    """Where nothing can be seen in crops as they are, take the answer of a crop that was turned.

    The crop is turned about its centre by 180 and by 90 degrees either way. Of the ways in which brows, eyes and mouth
    can all be seen, by the thresholds, the one with the highest mean visibility counts; where there is none the first
    answer stays. One region would be too little: among three more tries at what is no face there often is one that
    looks like it. Costs one more run of the network for all such faces together, and nothing where there are none.

    Args:
        crops: (N, S, S, C) uint8, upright by the detector's points.
        outputs: what the network said of them, arrays (M, N, ...), among them ``visibility``.
        scores: (N,) the detector's confidence, 0..1.
        run: the network.

    Returns:
        the outputs, new ones where a face was turned; and by how many quarters counter-clockwise each crop was turned
        for them, (N,) 0..3.
    """
    turns = np.zeros(len(crops), np.intp)
    unseen = hidden_regions(visibility_of(outputs, spec), spec).all(1)
    tried = np.flatnonzero(unseen & (scores >= FAIR_SCORE))
    if not len(tried):
        return outputs, turns
    rotated = np.concatenate([np.rot90(crops[tried], turn, axes=(1, 2)) for turn in TURNS])
    answers = run(np.ascontiguousarray(rotated))
    seen = visibility_of(answers, spec)
    means = np.where(hidden_regions(seen, spec).any(1), -1.0, seen.mean(1)).reshape(len(TURNS), len(tried))
    best = means.argmax(0)
    shown = np.flatnonzero(means.max(0) >= 0)
    if not len(shown):
        return outputs, turns
    faces, places = tried[shown], best[shown] * len(tried) + shown
    turns[faces] = np.array(TURNS)[best[shown]]
    changed = {}
    for name, values in outputs.items():
        changed[name] = values.copy()
        changed[name][:, faces] = answers[name][:, places]
    return changed, turns
