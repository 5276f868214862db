"""The section that compares groups of clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from affectkit.report.groups import Compared, Grouping
from affectkit.report.markup import Markup, element, joined, number, table
from affectkit.tables.colours import IDENTITIES


def groups_section(grouping: Grouping, rows: Sequence[Compared], remarks: Sequence[str]) -> Markup:
    """How the levels differ, as a chart and a table."""
    levels = [level for level, _ in grouping.levels]
    two = len(levels) == 2
    heads = ["", "what", *(f"{level}: mean (SD), n" for level in levels)]
    heads += [f"{levels[0]} − {levels[1]}", "95 % interval", "g"] if two else []
    body: list[Sequence[object]] = []
    for one in rows:
        cells: list[object] = [one.name, one.what, *(_mean_sd(values) for values in one.values)]
        if two:
            between = "–" if one.interval is None else f"{number(one.interval[0])} to {number(one.interval[1])}"
            cells += [number(one.difference), between, number(one.effect)]
        body.append(cells)
    return joined(
        element(
            "p",
            "Each identity of each clip counts once. Share: of the frames in which a unit is active, or an expression "
            "the most probable. What differs most, by Hedges' g, comes first; intervals are by the bootstrap "
            "over identities. With so many measures some differ by chance: decide beforehand which ones you test.",
        ),
        element("div", id="groups-plot", class_="groups"),
        element("details", element("summary", "All measures"), table(heads, body), open=len(body) <= 12),
        element("ul", [element("li", one) for one in remarks], class_="plain note") if remarks else None,
    )


def _mean_sd(values: Sequence[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{number(mean)}, {len(values)}"
    deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    return f"{number(mean)} ({number(deviation)}), {len(values)}"


def groups_data(grouping: Grouping, rows: Sequence[Compared]) -> dict[str, Any]:
    """What the script draws of it."""
    return {
        "levels": [level for level, _ in grouping.levels],
        "colours": [IDENTITIES[k % len(IDENTITIES)] for k in range(len(grouping.levels))],
        "measures": [
            {"name": one.name, "what": one.what, "values": [[round(v, 4) for v in level] for level in one.values]}
            for one in rows[:6]
        ],
    }
