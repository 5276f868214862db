"""The temporal part by itself: windows over features, with a network whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from affectkit.temporal import run_sequence
from affectkit.types import Array


@pytest.mark.parametrize("count", [1, 5, 31, 32, 33, 70])
def test_every_frame_is_answered_once_by_its_window(count: int) -> None:
    """The network answers with the frame's own number and the first number of its window."""
    asked: list[int] = []

    def network(inputs: Mapping[str, Array]) -> dict[str, Array]:
        features = inputs["features"]
        assert features.dtype == np.float32 and features.flags.c_contiguous and features.shape[:2] == (2, 1)
        asked.append(features.shape[2])
        own = features[:, :, :, 0, 0]
        first = np.broadcast_to(own[:, :, :1], own.shape)
        return {"expression": np.stack([own, first], -1), "au": own[..., None], "va": own[..., None]}

    features = np.zeros((2, count, 3, 4))
    features[:, :, 0, 0] = np.arange(count)
    logits = run_sequence(network, features, 32)
    assert logits["au"][..., 0].tolist() == [list(range(count))] * 2
    starts = [0] * min(count, 32) + [1] * (count == 33) + ([32] * 32 + [38] * 6 if count == 70 else [])
    assert logits["expression"][0, :, 1].tolist() == starts
    assert asked == ([count] if count <= 32 else [32] * (2 if count == 33 else 3))
