"""How far a run of several processes is: a line for each input at work and one for the whole; in a pipe plain lines."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from affectkit.cli.common import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from affectkit.runs.job import Job
    from affectkit.runs.told import Told

PLAIN_S = 30.0
"""Time from one line to the next where no terminal shows them."""

STEPS = 1000
"""Of the whole, so that it moves with parts of inputs too."""


@dataclass(slots=True)
class _Part:
    """An input at work."""

    since: float
    done: int = 0
    first: int = 0
    """Frames that were done when it was first heard of: of a run that is resumed."""
    total: int | None = None
    line: TaskID | None = None

    def share(self) -> float:
        """How much of it is done, 0..1; 0 where its length is not known."""
        return min(1.0, self.done / self.total) if self.total else 0.0


@dataclass(slots=True)
class _Sums:
    ended: int = 0
    failed: int = 0
    frames: int = 0
    parts: dict[str, _Part] = field(default_factory=dict)


class ManyWatch:
    """Shows how far several inputs are that are worked on side by side. A context manager; ``quiet`` shows nothing."""

    def __init__(self, inputs: int, *, quiet: bool) -> None:
        """Set up.

        Args:
            inputs: how many there are.
        """
        self._inputs, self._quiet = inputs, quiet
        self._sums = _Sums()
        self._since = self._told_at = time.monotonic()
        self._stack = ExitStack()
        self._progress: Progress | None = None
        self._whole: TaskID | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            self._progress = self._stack.enter_context(_progress())
            self._whole = self._progress.add_task(self._headline(), total=STEPS, told="")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def told(self, job: Job, told: Told) -> None:
        """An input is so far."""
        now = time.monotonic()
        part = self._sums.parts.setdefault(job.source, _Part(now, first=told.done))
        part.done, part.total = told.done, told.total
        if self._progress is not None:
            rate = (part.done - part.first) / max(1e-3, now - part.since)
            if part.line is None:
                part.line = self._progress.add_task(Path(job.source).name or job.source, told="")
            shown = f"{part.done}/{part.total or '?'}  {rate:.0f} fps"
            self._progress.update(part.line, completed=part.done, total=part.total, told=shown)
        self._show(now)

    def ended(self, job: Job, *, failed: bool, frames: int = 0) -> None:
        """An input is through, or cannot be."""
        part = self._sums.parts.pop(job.source, None)
        self._sums.ended += 1
        self._sums.failed += failed
        self._sums.frames += frames
        if self._progress is not None and part is not None and part.line is not None:
            self._progress.remove_task(part.line)
        self._show(time.monotonic())

    def _show(self, now: float) -> None:
        share = (self._sums.ended + sum(part.share() for part in self._sums.parts.values())) / max(1, self._inputs)
        told = self._left(now, share)
        if self._progress is not None and self._whole is not None:
            shown = f"{self._rate(now):.0f} fps{told and f'  {told}'}"
            self._progress.update(self._whole, description=self._headline(), completed=STEPS * share, told=shown)
        elif not self._quiet and now - self._told_at >= PLAIN_S:
            self._told_at = now
            say(", ".join(filter(None, (self._headline(), f"{self._rate(now):.0f} fps", told))))

    def _headline(self) -> str:
        failed = f", {self._sums.failed} failed" if self._sums.failed else ""
        return f"{self._sums.ended} of {self._inputs} inputs{failed}"

    def _rate(self, now: float) -> float:
        at_work = sum(part.done - part.first for part in self._sums.parts.values())
        return (self._sums.frames + at_work) / max(1e-3, now - self._since)

    def _left(self, now: float, share: float) -> str:
        """Time left, as far as it can be told: by the share that is done, of inputs that are taken to be alike."""
        return "" if share <= 0 or share >= 1 else f"{in_words((now - self._since) * (1 - share) / share)} left"


def in_words(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 100:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
