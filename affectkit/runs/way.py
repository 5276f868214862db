"""What decides how an input is gone through, and what its table holds: the same for thousands of inputs but for one."""

from __future__ import annotations

import dataclasses
from typing import Any
from weakref import WeakKeyDictionary

from affectkit.options import OutputOptions, StreamOptions
from affectkit.outputs.json_files import LaidOut, laid_out
from affectkit.outputs.layouts import Layout, layout
from affectkit.predictor import Predictor
from affectkit.runs.made import Facts, facts_of
from affectkit.runs.resume_notes import made_with
from affectkit.sources.limits import Opening


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """How an input is gone through, and all that decides what comes out: worked out once for each."""

    asked: StreamOptions
    outputs: OutputOptions
    opening: Opening
    described: dict[str, Any]
    """The predictor."""
    options: dict[str, Any]
    """As the meta file tells them."""
    told: LaidOut
    """Both, for the meta file."""
    layout: Layout
    """Of the table."""
    contents: Any
    """What tells the input from another one of its name."""

    def facts(self) -> Facts:
        """What a table that is there is compared by."""
        return facts_of(self.described, self.contents, self.options)


def way_of(predictor: Predictor, asked: StreamOptions, outputs: OutputOptions, opening: Opening, contents: Any) -> Way:
    """The way of an input.

    Args:
        contents: what tells it from another one of its name.
    """
    way = _ways.get(predictor)
    if way is None or not (way.asked is asked and way.outputs is outputs and way.opening is opening):
        described, options = predictor.describe(), made_with(asked, outputs, opening)
        told = laid_out(described | ({"detector": None} if asked.aligned else {}) | {"options": options})
        columns = layout(outputs.table_format, uncertainty=outputs.uncertainty, labels=predictor.spec.labels)
        way = _ways[predictor] = Way(asked, outputs, opening, described, options, told, columns, None)
    return Way(asked, outputs, opening, way.described, way.options, way.told, way.layout, contents)


_ways: WeakKeyDictionary[Predictor, Way] = WeakKeyDictionary()
"""The latest of each: of thousands of inputs all but the contents is the same."""
