"""How far a run is, shown on a terminal while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectkit.face_results import FrameResult
    from affectkit.sources.base import Source


class Watch:
    """Shows frames, fps and time left of one input on a terminal."""

    def __init__(self, name: str, *, end_s: float) -> None:
        """Set up.

        Args:
            name: of the input, as messages name it.
        """
        self._name = name
        self._end_s = end_s
        self._stack = ExitStack()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, results: Iterator[FrameResult], source: Source) -> Iterator[FrameResult]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        from affectkit.runs.told import expected_frames

        class Rate(ProgressColumn):
            """Frames a second."""

            def render(self, task: Any) -> Text:
                return Text(f"{task.finished_speed or task.speed or 0:.0f} fps")

        total = expected_frames(source.info, self._end_s)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        progress = self._stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = progress.add_task(Path(self._name).name or self._name, total=total)
        for result in results:
            progress.update(task, completed=result.index + 1)
            yield result
        progress.update(task, total=source.report.frames, completed=source.report.frames)
