"""A table in memory, by columns."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from affectkit.answers import FrameResult
from affectkit.errors import MissingDependency
from affectkit.outputs.layouts import Layout, Value, layout
from affectkit.types import Array

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Results as columns in memory."""

    columns: dict[str, Array]
    """By name: integers as int64, numbers as float64 with NaN where there is no value, texts as objects with None.

    Integer columns that have gaps (``AU01_c`` ... in frames without a face, or of hidden faces) are float64 for that
    reason.
    """

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Array:
        """The column of that name."""
        return self.columns[name]

    def to_pandas(self) -> pandas.DataFrame:
        """As a data frame; needs the extra ``pandas``."""
        try:
            import pandas
        except ModuleNotFoundError as error:
            if error.name != "pandas":
                raise
            raise MissingDependency("pandas", "pandas", "Table.to_pandas") from error
        return pandas.DataFrame(self.columns)


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
