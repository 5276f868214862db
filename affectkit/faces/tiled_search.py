"""P-Net's levels, and P-Net over a large picture in strips: the same answer, in memory that does not grow with it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from affectkit.types import Float32, RunNetwork, UInt8

WINDOW_PX = 12
STRIDE_PX = 2
"""What one cell of the answer sees, and the way to the next one."""

PYRAMID_FACTOR = 0.709
"""From one level of the pyramid to the next."""

STRIP_PIXELS = 1 << 17
"""Of the picture that are looked at in one go: what the first layers make of them stays in the cache, a third faster on
large pictures, and takes some 15 MB."""

Indices = npt.NDArray[np.intp]


def candidates(pnet: RunNetwork, image: UInt8, threshold: float) -> tuple[Indices, Indices, Float32, Float32]:
    """Cells of P-Net's answer whose probability is at least ``threshold``, row by row.

    The cells of rows r to s - 1 see the picture's rows 2 r to 2 (s - 1) + 11, and nothing else; so each strip is
    computed by itself, to the last bit as in the whole.

    Args:
        image: RGB uint8 (H, W, 3), 12 px or more each way.

    Returns:
        rows (N,), columns (N,), probabilities (N,), and offsets (N, 4) of the box's sides.
    """
    height, width = image.shape[:2]
    cells = max(1, -(-(height - WINDOW_PX) // STRIDE_PX) + 1)  # P-Net's pooling counts half a window at the edge
    each = max(1, (STRIP_PIXELS // width - WINDOW_PX) // STRIDE_PX + 1)
    found = []
    for first in range(0, cells, each):
        last = first + each
        end = height if last >= cells else (last - 1) * STRIDE_PX + WINDOW_PX
        answer = pnet({"images": np.ascontiguousarray(image[first * STRIDE_PX : end])[None]})
        probability = answer["probability"][0]
        rows, columns = np.nonzero(probability >= threshold)
        found.append((rows + first, columns, probability[rows, columns], answer["offsets"][0][:, rows, columns].T))
    if len(found) == 1:
        return found[0]
    rows, columns, scores, offsets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, columns, scores, offsets


def pyramid(height: int, width: int, min_face_px: int, steps: int = 1) -> list[float]:
    """Scales at which P-Net's window covers faces from ``min_face_px`` to about the picture's shorter side.

    Args:
        steps: levels in place of each one of the original.
    """
    first = WINDOW_PX / min_face_px
    shorter = min(height, width)
    if shorter < min_face_px:
        return []
    count = max(1, round(math.log(shorter / WINDOW_PX) / math.log(1 / PYRAMID_FACTOR) - 1))
    scales = [first * PYRAMID_FACTOR ** (i / steps) for i in range(count * steps)]
    # The original's count is right for faces of 20 px; for larger ones its last levels would be under one window.
    return [scale for scale in scales if int(shorter * scale) >= WINDOW_PX]
