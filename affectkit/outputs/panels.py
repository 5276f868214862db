"""Where the parts of a face's panel lie, for any set of labels, any number of faces and any size of picture.

Three arrangements, of which the richest that has room is taken: all labels below each other, with the names of the
action units; all labels side by side; of many faces only the strongest. Type is never smaller than ``LEAST_PX``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from affectkit.outputs.lettering import LEAST_PX, text_width
from affectkit.types import AU_TITLES, LabelSet, published_au_name

ROW = 1.4
"""Least height of a row, in sizes of its type; MOST_ROW where there is room."""

MOST_ROW = 2.0

LEAST_BAR = 3.0
"""Least length of a bar, in sizes of its type."""

TITLES_BAR = 6.0
"""The same beside the names of action units."""

STRONGEST = 3
"""Least number of action units and of expressions that are shown of each of many faces."""

MOST_STRONGEST = 6

CHART = 5.0
"""Least height of the chart of valence and arousal, in sizes of the type; MOST_CHART where there is room."""

MOST_CHART = 14.0

MOST_COLUMNS = 3
"""Of action units, side by side."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One label's row, px of its panel."""

    y: int
    height: int
    """Of the row; the bar itself is lower."""
    name_x: int
    title_x: int | None
    """None: there is no room for a title."""
    bar_x: int
    bar_width: int
    right: int
    """Where its number ends."""
    text: int
    """Size of its type."""

    def box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the bar."""
        height = max(5, round(self.height * 0.5))
        return self.bar_x, self.y + (self.height - height) // 2, self.bar_width, height

    @property
    def base(self) -> int:
        """y of the base line of its texts: their figures are as far from the upper end of the row as from the lower."""
        return self.y + (self.height + round(0.72 * self.text)) // 2


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything of one face's panel lies, px."""

    width: int
    height: int
    text: int
    """Size of the type."""
    head: int
    """Size of the headline's type."""
    head_base: int
    """y of the headline's base line."""
    told_base: int | None
    """y of the base line of what is told of the picture; None: it stands in the headline."""
    units: tuple[Bar, ...]
    """Fewer than the model's: those of the strongest."""
    expressions: tuple[Bar, ...]
    circle: tuple[int, int, int] | None
    """Centre and radius of the circle of valence and arousal; None: there is no room for it."""
    captions: tuple[tuple[int, int], ...]
    """x and base line of the two numbers over the chart; of one valence, of the other arousal."""
    chart: tuple[int, int, int, int] | None
    """Left, top, width and height of the chart, without what stands at its axes; None: there are no such values."""


@lru_cache(maxsize=64)
def plan_panel(labels: LabelSet, width: int, height: int, text: int) -> Plan:
    """The richest arrangement that has room in ``width`` x ``height`` px, with type of ``text`` px or somewhat less."""
    least = max(LEAST_PX, round(0.75 * text))
    for arrange in (_stacked, _side_by_side):
        for size in range(text, least - 1, -1):
            plan = arrange(labels, width, height, size)
            if plan is not None:
                return plan
    return _strongest(labels, width, height, min(text, max(least, height // 9)))


def least_height(text: int) -> int:
    """Of a panel, px: its headline and as many rows as ``STRONGEST``."""
    return round(LEAST_PX * 2) + STRONGEST * round(ROW * min(text, LEAST_PX)) + LEAST_PX


def _name_width(labels: LabelSet, text: int) -> int:
    return max((text_width(published_au_name(name), text) for name in labels.action_units), default=0) + text // 2


def _number_width(text: int) -> int:
    return text_width("0.00", text) + text // 2


def _stacked(labels: LabelSet, width: int, height: int, text: int) -> Plan | None:
    """All labels below each other; valence and arousal at the bottom. None: there is no room."""
    units, expressions = len(labels.action_units), len(labels.expressions)
    top = round(3.6 * text)
    gap = text if units and expressions else 0
    below = _va_height(text) if labels.valence_arousal else text // 2
    rows = units + expressions
    if rows and (height - top - gap - below) // rows < round(ROW * text):
        return None
    row = min(round(MOST_ROW * text), (height - top - gap - below) // rows) if rows else 0
    names, numbers, right = _name_width(labels, text), _number_width(text), width - text
    titles = max((text_width(AU_TITLES.get(name, ""), text) for name in labels.action_units), default=0) + text
    words = max((text_width(name, text) for name in labels.expressions), default=0) + text
    bar_x = text + max(names + titles if units else 0, words)
    title_x: int | None = text + names
    if right - numbers - bar_x < TITLES_BAR * text:
        bar_x, title_x = text + max(names, words), None
    if right - numbers - bar_x < LEAST_BAR * text:
        return None
    place = bar_x, right - numbers - bar_x, right, text
    found = tuple(Bar(top + k * row, row, text, title_x, *place) for k in range(units))
    second = top + units * row + gap
    words_at = tuple(Bar(second + k * row, row, text, None, *place) for k in range(expressions))
    end = second + expressions * row
    return _with_va(labels, width, height, text, end, found, words_at)


def _side_by_side(labels: LabelSet, width: int, height: int, text: int) -> Plan | None:
    """Action units in columns, the expressions beside them, valence and arousal below. None: there is no room."""
    units, expressions = len(labels.action_units), len(labels.expressions)
    top, below = round(3.4 * text), _va_height(text) if labels.valence_arousal else text // 2
    for columns in range(1, MOST_COLUMNS + 1):
        rows = max(-(-units // columns), expressions)
        row = min(round(MOST_ROW * text), (height - top - below) // rows) if rows else 0
        if row < round(ROW * text):
            continue
        units_at, words_at = _columns(labels, width, text, top, row, columns)
        if min(bar.bar_width for bar in (*units_at, *words_at)) < LEAST_BAR * text:
            return None
        return _with_va(labels, width, height, text, top + rows * row, units_at, words_at)
    return None


def _columns(
    labels: LabelSet, width: int, text: int, top: int, row: int, columns: int
) -> tuple[tuple[Bar, ...], tuple[Bar, ...]]:
    """Rows of action units in columns, and of expressions in one more; their bars are equally long."""
    units, expressions = len(labels.action_units), len(labels.expressions)
    columns = min(columns, units)
    names, numbers = _name_width(labels, text), _number_width(text)
    words = max((text_width(name, text) for name in labels.expressions), default=0) + text // 2
    bars = columns + bool(expressions)
    taken = columns * (names + numbers) + (words + numbers if expressions else 0) + (bars - 1) * text
    bar = (width - 2 * text - taken) // bars
    in_column = -(-units // columns) if units else 0
    found, x = [], text
    for k in range(units):
        x = text + (k // in_column) * (names + bar + numbers + text)
        found.append(Bar(top + k % in_column * row, row, x, None, x + names, bar, x + names + bar + numbers, text))
    x = found[-1].right + text if units else text
    right = x + words + bar + numbers
    words_at = tuple(Bar(top + k * row, row, x, None, x + words, bar, right, text) for k in range(expressions))
    return tuple(found), words_at


def _strongest(labels: LabelSet, width: int, height: int, text: int) -> Plan:
    """A few rows, and the chart of valence and arousal beside them."""
    top = round(2.1 * text)
    rows = min(MOST_STRONGEST, max(STRONGEST, (height - top) // round(1.9 * text)))
    row = max(text, min(round(MOST_ROW * text), (height - top - text // 3) // rows))
    units, expressions = min(rows, len(labels.action_units)), min(rows, len(labels.expressions))
    beside = round(0.31 * width) if labels.valence_arousal and (units or expressions) else 0
    names, numbers = _name_width(labels, text), _number_width(text)
    words = min(max((text_width(name, text) for name in labels.expressions), default=0), 6 * text) + text // 2
    parts = bool(units) + bool(expressions)
    room = width - beside - text
    taken = (names + numbers if units else 0) + (words + numbers if expressions else 0) + parts * text
    bar = max(text, (room - taken) // max(1, parts))
    x, right = text, text + names + bar + numbers
    units_at = tuple(Bar(top + k * row, row, x, None, x + names, bar, right, text) for k in range(units))
    x = right + text if units else text
    right = x + words + bar + numbers
    words_at = tuple(Bar(top + k * row, row, x, None, x + words, bar, right, text) for k in range(expressions))
    captions: tuple[tuple[int, int], ...] = ()
    chart = None
    if labels.valence_arousal:
        left = width - beside + round(0.8 * text) if beside else 2 * text
        lines = 1 if width - text - left >= _captions_width(text) else 2
        captions = tuple(
            (left if k == 0 or lines == 2 else -1, top + text + k * (lines - 1) * round(1.2 * text)) for k in range(2)
        )
        above = top + round((1.2 * lines + 0.4) * text)
        chart = left, above, width - text - left, max(text, height - above - round(1.6 * text))
    return Plan(width, height, text, text + 1, round(1.5 * text), None, units_at, words_at, None, captions, chart)


def _captions_width(text: int) -> int:
    return text_width("valence +0.00", text) + text_width("arousal +0.00", text) + text


def _va_height(text: int) -> int:
    """Least height of what shows valence and arousal: captions, chart, what stands at its axis."""
    return round((2.3 + CHART + 1.7) * text)


def _with_va(
    labels: LabelSet,
    width: int,
    height: int,
    text: int,
    end: int,
    units: tuple[Bar, ...],
    expressions: tuple[Bar, ...],
) -> Plan:
    """The plan of these rows, with valence and arousal below ``end``."""
    head, head_base, told_base = text + 2, round(1.5 * text), round(2.9 * text)
    if not labels.valence_arousal:
        return Plan(width, height, text, head, head_base, told_base, units, expressions, None, (), None)
    room = height - end
    high = min(round(MOST_CHART * text), room - round(4.0 * text))
    spare = room - high - round(4.0 * text)
    top = end + round(2.3 * text) + min(spare, text)
    radius = min(high // 2, width // 6)
    tick = text_width("-1", text)
    middle = text + tick + text // 3 + radius
    circle = middle, top + high // 2, radius
    left = middle + radius + round(1.2 * text) + 2 * tick
    right = width - text
    base = top - round(0.5 * text)
    return Plan(
        width,
        height,
        text,
        head,
        head_base,
        told_base,
        units,
        expressions,
        circle,
        ((left, base), (-1, base)),
        (left, top, right - left, high),
    )
