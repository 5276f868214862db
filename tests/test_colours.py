"""Colours of reports and plots are told apart, by the colour-blind too."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from test_overlay import EYES, seen_as

from affectkit.tables.colours import EXPRESSIONS, of_expressions

SEVEN = tuple(EXPRESSIONS)


def least_apart(names: tuple[str, ...], eyes: str) -> float:
    """Smallest CIE76 difference of two expressions' colours."""
    colours = [bytes.fromhex(colour[1:]) for colour in of_expressions(names).values()]
    seen = [seen_as((one[0], one[1], one[2]), EYES[eyes]) for one in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2))


@pytest.mark.parametrize("eyes", EYES)
def test_expressions_are_told_apart(eyes: str) -> None:
    """Chips of a legend are small and lie apart: that takes ten times what can just be seen side by side."""
    assert least_apart(SEVEN, eyes) > (40 if eyes == "all" else 25)
    others = ("contempt", "confusion", "boredom", "pain", "interest", "doubt")
    assert least_apart((*SEVEN, *others), eyes) > (25 if eyes == "all" else 15)


def test_expressions_stand_out_from_the_page() -> None:
    """Contrast with white (WCAG 2.1); neutral, which the others lie on, is pale on purpose."""
    for name, colour in EXPRESSIONS.items():
        srgb = np.array(list(bytes.fromhex(colour[1:]))) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        contrast = 1.05 / (float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
        assert contrast > {"neutral": 1.4, "happiness": 1.9}.get(name, 3), name  # yellow that is dark is brown
