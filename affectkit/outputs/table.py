"""Results as a table in memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from itertools import chain

import numpy as np

from affectkit.face_results import FrameResult
from affectkit.outputs.layouts import Layout, Value, layout
from affectkit.tables.table import Table as Table
from affectkit.types import Array


def table_of(results: Iterable[FrameResult], table: Layout | None = None) -> Table:
    """Collect results as columns.

    Args:
        table: the columns; None: the native ones of what the first face's model answers.
    """
    if table is None:
        table, results = _layout_for(results)
    return columns_of(table, [row for result in results for row in table.rows(result)])


def columns_of(table: Layout, rows: list[list[Value]]) -> Table:
    """Rows of a layout as columns."""
    columns: dict[str, Array] = {}
    for k, name in enumerate(table.columns):
        values = [row[k] for row in rows]
        if name in table.texts:
            columns[name] = np.array(values, dtype=object)
        elif name in table.integers and None not in values:
            columns[name] = np.array(values, dtype=np.int64)
        else:
            columns[name] = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    return Table(columns)


def _layout_for(results: Iterable[FrameResult]) -> tuple[Layout, Iterable[FrameResult]]:
    """The native layout that the first face asks for, and all of the results."""
    following, before = iter(results), list[FrameResult]()
    for result in following:
        before.append(dataclasses.replace(result, image=None))  # pictures are large, and no column needs them
        if result.faces:
            return layout(labels=result.faces[0].affect.labels), chain(before, following)
    return layout(), before
