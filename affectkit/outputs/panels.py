"""Where the parts of a face's panel lie, for any set of labels and any number of faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from affectkit.types import LabelSet


@dataclass(frozen=True, slots=True)
class PanelLayout:
    """Where the parts of one face's panel lie, in units of which ``width`` x ``height`` fill it."""

    width: int
    height: int
    text: float
    """Size of the labels, in OpenCV's font scale."""
    title: tuple[float, int]
    """Size of the headline, and where its right part ends."""
    row: int
    """Height of a row of bars; less where a model has so many labels that there is no room for it."""
    units: tuple[int, int, int, int, int]
    """Action units: x of the number, of the name, of the bar, width of the bar, y of the first row."""
    expressions: tuple[int, int, int, int]
    """x of the name, of the bar, width of the bar, y of the first row."""
    circle: tuple[int, int, int]
    """Centre and radius of the circle of valence and arousal."""
    trace: tuple[int, int, int, int]
    """Left, top, width and height of their moving trace."""
    bottom: tuple[int, int]
    """Where the last bar has to end: above valence and arousal, and without them."""
    stacked: bool
    """Whether the expressions stand below the action units, not beside them."""


ALONE = PanelLayout(
    440,
    688,
    0.5,
    (0.56, 426),
    27,
    (14, 62, 226, 200, 40),
    (14, 226, 200, 276),
    (76, 580, 62),
    (166, 526, 260, 112),
    (492, 676),
    True,
)

TWO = PanelLayout(
    440,
    340,
    0.4,
    (0.56, 426),
    21,
    (14, 52, 178, 72, 36),
    (268, 344, 82, 36),
    (72, 274, 50),
    (146, 238, 280, 82),
    (212, 330),
    False,
)

CROWD = PanelLayout(
    440,
    136,
    0.33,
    (0.44, 302),
    13,
    (8, 36, 124, 54, 28),
    (188, 248, 54, 28),
    (332, 76, 24),
    (364, 46, 68, 62),
    (132, 132),
    False,
)

LEAST_ROW = 12
"""Lower rows could not be read: the action units stand in two or three columns then, without their titles."""

MOST_COLUMNS = 3

TEXT_A_ROW = 0.024
"""Size of the text for a height of a row of 1."""

GAP = 20
"""Between action units and the expressions below them, in units of a panel."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Where one label's row lies, in units of its panel."""

    y: float
    height: float
    text: float
    name_x: int
    title_x: int | None
    """None: there is no room for a title."""
    bar_x: float
    bar_width: float

    def box(self, u: float) -> tuple[float, float, float, float]:
        """x, y, width and height of the bar, px; ``u`` px are a unit."""
        return self.bar_x * u, self.y * u, self.bar_width * u, self.height * u


@lru_cache(maxsize=64)
def bars(plan: PanelLayout, labels: LabelSet) -> tuple[list[Bar], list[Bar]]:
    """The rows of the action units and of the expressions."""
    number_x, title_x, bar_x, bar_width, top = plan.units
    units, expressions = len(labels.action_units), len(labels.expressions)
    below = expressions if plan.stacked else 0
    room = plan.bottom[not labels.valence_arousal] - top - (GAP if units and below else 0)
    columns = 1
    while columns < MOST_COLUMNS and (-(-units // columns) + below) * LEAST_ROW > room:
        columns += 1
    in_column = -(-units // columns)
    row = min(plan.row, room / max(1, in_column + below))
    if columns == 1:
        found = [_bar_at(plan, top, row, k, number_x, title_x, bar_x, bar_width) for k in range(units)]
    else:
        width = (bar_x + bar_width - number_x) // columns
        number_width = title_x - number_x
        found = []
        for k in range(units):
            x = number_x + (k // in_column) * width
            bar = x + number_width, width - number_width - 8
            found.append(_bar_at(plan, top, row, k % in_column, x, None, *bar))
    name_x, bar_x, bar_width, _ = plan.expressions
    if plan.stacked:
        top += round(row * in_column) + GAP if units else 0
    else:
        row = min(plan.row, room / max(1, expressions))
        if not units:  # they have the place to themselves
            name_x, _, bar_x, bar_width, _ = plan.units
    return found, [_bar_at(plan, top, row, k, name_x, None, bar_x, bar_width) for k in range(expressions)]


def _bar_at(
    plan: PanelLayout, top: float, row: float, k: int, name_x: int, title_x: int | None, bar_x: float, width: float
) -> Bar:
    text = plan.text if row == plan.row else min(plan.text, TEXT_A_ROW * row)
    return Bar(top + row * k, row * 0.55, text, name_x, title_x, bar_x, width)
