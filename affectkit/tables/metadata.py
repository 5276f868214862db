"""How a table in memory was made: what the command line writes into a meta file, of a run in Python."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from affectkit.options import StreamOptions, fields_of
from affectkit.sources.folder import told_in_full
from affectkit.sources.names import printable
from affectkit.tables.table import Table

if TYPE_CHECKING:
    from affectkit.face_results import FrameResult
    from affectkit.sources.base import Source

Progress = Callable[[int, int | None], object]
"""Is told how many frames are done, and of how many, None where that is not known."""


def counted(results: Iterator[FrameResult], source: Source, progress: Progress | None) -> Iterator[FrameResult]:
    """The results, each told to ``progress``, as the last one is once more when the number of all is known."""
    done = 0
    for done, result in enumerate(results, 1):  # noqa: B007 (is told after the loop)
        if progress is not None:
            progress(result.index + 1, source.info.frames)
        yield result
    if progress is not None:
        progress(source.report.frames or done, source.report.frames or done)


def with_origin(
    table: Table, described: Mapping[str, Any], source: Source, asked: StreamOptions, baseline: Any
) -> Table:
    """The table with its meta data.

    Args:
        described: what the predictor says of itself.
        baseline: what was given.
    """
    report, info = source.report, source.info
    options = {name: None if value in (math.inf, -math.inf) else value for name, value in fields_of(asked).items()}
    faces = table.columns["face_id"]
    meta = {
        "input": printable(info.name),
        **described,
        "options": {**options, "baseline": None if baseline is None else str(baseline), "format": "native"},
        "film": None if info.film is None else dataclasses.asdict(info.film),
        "rotation_deg": info.rotation_deg,
        "mirrored": info.mirrored,
        "times": report.times,
        "left_out": told_in_full(report.left_out),
        "frames": {
            "decoded": report.frames,
            "in_table": len({*zip(table.columns["input"].tolist(), table.columns["frame"].tolist(), strict=True)}),
            "without_face": int((faces < 0).sum()),
            "corrupt": report.corrupt,
            "concealed": report.concealed,
            "deinterlaced": report.deinterlaced,
            "reduced": report.reduced,
        },
        "faces": len({int(face) for face in faces if face >= 0}),
        "rows": len(table),
        "complete": report.complete,
        "problem": report.problem or None,
    }
    if asked.aligned:
        meta["detector"] = None
    return dataclasses.replace(table, meta=json.loads(json.dumps(meta)))  # as it is read back
