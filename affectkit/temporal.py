"""Sequences of one face's features -> the CNN-RNN's answers, for whole clips and while a video runs.

A *sequence* is what one track was seen in, without a cut and without a gap of more than ``max_gap_s``. A shorter gap is
closed: the frames before and after it are neighbours. Windows of the sequence go through the recurrent network; which
ones, and how their answers become one, is the mode:

* ``overlap``: windows of T frames, half of it apart, are averaged with a taper that trusts the middle of a window most.
  The last window is moved back so that it ends with the sequence, and counts for the frames that were still open.
* ``paper``: windows that do not overlap; the last one is moved back, and frames that have an answer keep it.
* ``live``: a frame is answered ``lookahead`` frames later, from the last T frames that are known by then.

In all of them a sequence shorter than T is one window of its own length.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from affectkit.serialization import State
from affectkit.spec import TASKS
from affectkit.types import Array, Float32, RunNetwork
from affectkit.windows import WindowConfig, taper

PICTURES_A_SECOND = 25
"""Pictures have no times; a gap among them is counted as if they came at this rate."""

WINDOWS_AT_ONCE = 64
"""Bounds the memory of one call."""

Logits = dict[str, Array]
"""``expression`` (M, E), ``au`` (M, A), ``va`` (M, 2 * bins) of one face, each where the model has that task."""

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class _Pending(Generic[Item]):
    """A frame whose faces have not all been answered."""

    item: Item
    answers: list[Logits | None]
    number: int
    """Count of frames before it."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item]):
    """One face of one frame, as part of its sequence."""

    features: Float32  # (M, K, F)
    frame: _Pending[Item]
    place: int
    """Which of the frame's faces it is."""
    total: Logits | None = None
    """Weighted sum of the answers so far."""
    weight: float = 0.0

    def add(self, answer: Logits, weight: float) -> None:
        """Count one more window's answer."""
        weighted = {name: values * np.float32(weight) for name, values in answer.items()}
        before = self.total
        self.total = weighted if before is None else {name: before[name] + weighted[name] for name in weighted}
        self.weight += float(weight)

    def finish(self) -> None:
        """No window will say more."""
        assert self.total is not None
        self.frame.answers[self.place] = {name: values / np.float32(self.weight) for name, values in self.total.items()}


@dataclass(slots=True, eq=False)
class _Sequence(Generic[Item]):
    """What is remembered of one track."""

    entries: list[_Entry[Item]] = field(default_factory=list)
    """From where the last window began; older ones are answered, and no window to come needs them."""
    next: int = 0
    """Of ``entries``, the one that the next window begins with; in ``live`` mode the first without an answer."""
    missing_since_s: float | None = None
    """Time of the first frame without it since it was seen."""


@dataclass(slots=True, eq=False)
class _Job(Generic[Item]):
    """A window to run, and what becomes of its answers."""

    entries: list[_Entry[Item]]
    weights: Float32
    """(T,) how much each answer counts; 0: the frame keeps what it has."""
    final: slice
    """Entries that need no further window."""


class TemporalBuffer(Generic[Item]):
    """Features of frames in, in the order of time; the same frames with the answers of all their faces out.

    Every frame goes through the CNN once, whatever number of windows it is in. What is kept is bounded: of each track
    at most two windows, and the frames that wait for an answer, which are as many plus those of a gap.
    """

    def __init__(self, run: RunNetwork, config: WindowConfig, tasks: Sequence[str] = TASKS) -> None:
        """Wire the network.

        Args:
            run: the temporal network: ``features`` (M, B, T, K, F) of K tasks in, logits (M, B, T, C) out.
            tasks: outputs that the network has.
        """
        self._run, self._tasks = run, tasks
        self._config = config
        self._hop = max(1, config.length // 2) if config.mode == "overlap" else config.length
        self.reset()

    def reset(self) -> None:
        """Forget all tracks and frames."""
        self._pending: deque[_Pending[Item]] = deque()
        self._sequences: dict[int, _Sequence[Item]] = {}
        self._jobs: list[_Job[Item]] = []
        self._frames = 0
        self._last_s = math.nan
        self._step_s = math.nan

    def push(
        self, frames: Iterable[tuple[Item, float, bool, Sequence[int], Float32]]
    ) -> list[tuple[Item, list[Logits]]]:
        """Take the next frames; return those that are ready, in order, with the logits of each face.

        Args:
            frames: (item, time in seconds or NaN, whether a cut precedes it, ids of its N tracks, their features
                (M, N, K, F)).
        """
        for item, time_s, cut, tracks, features in frames:
            self._take(item, time_s, cut, tracks, features)
        self._run_jobs()
        return self._ready(self._config.lookahead)

    def flush(self) -> list[tuple[Item, list[Logits]]]:
        """The video is over: return the frames that are left, and forget everything."""
        for track in list(self._sequences):
            self._end(track)
        self._run_jobs()
        ready = self._ready(0)
        self.reset()
        return ready

    def _take(self, item: Item, time_s: float, cut: bool, tracks: Sequence[int], features: Float32) -> None:
        if math.isnan(time_s):
            time_s = self._frames / PICTURES_A_SECOND
        step_s = time_s - self._last_s
        # A source that stood still, was joined, or starts again. Frames that are far apart by choice are no gap.
        typical_s = 0.0 if math.isnan(self._step_s) else self._step_s
        stalled = step_s < 0 or step_s > max(self._config.max_gap_s, 2 * typical_s)
        if self._frames == 1 and step_s >= 0:
            stalled = False  # the first step says what is typical
        if cut or stalled:
            for track in list(self._sequences):
                self._end(track)
        if step_s >= 0:  # also after a stall: a source may have become slow for good
            self._step_s = step_s
        self._last_s = time_s
        frame = _Pending(item, [None] * len(tracks), self._frames)
        self._frames += 1
        self._pending.append(frame)
        for place, track in enumerate(tracks):
            if track in self._sequences and self._is_over(self._sequences[track], time_s):
                self._end(track)
            sequence = self._sequences.setdefault(track, _Sequence())
            sequence.missing_since_s = None
            sequence.entries.append(_Entry(np.ascontiguousarray(features[:, place], np.float32), frame, place))
        for track, sequence in list(self._sequences.items()):
            if track not in tracks:
                if sequence.missing_since_s is None:
                    sequence.missing_since_s = time_s
                elif self._is_over(sequence, time_s):
                    self._end(track)
                    continue
            if self._config.mode == "live":
                self._answer_live(sequence, frame.number - self._config.lookahead)
            else:
                self._cut_windows(sequence)

    def _is_over(self, sequence: _Sequence[Item], time_s: float) -> bool:
        since = sequence.missing_since_s
        return since is not None and time_s - since > self._config.max_gap_s

    def _cut_windows(self, sequence: _Sequence[Item]) -> None:
        """Run every whole window that there is, and forget what no window needs any more."""
        length, hop = self._config.length, self._hop
        while len(sequence.entries) >= sequence.next + length:
            # The window before has gone: what lies before this one is answered, and a last one begins later.
            sequence.entries = sequence.entries[sequence.next :]
            self._jobs.append(_Job(sequence.entries[:length], self._weights(length), slice(0, hop)))
            sequence.next = hop

    def _answer_live(self, sequence: _Sequence[Item], until: int) -> None:
        """Answer the faces of the frames up to number ``until`` from the last T frames."""
        while sequence.next < len(sequence.entries) and sequence.entries[sequence.next].frame.number <= until:
            self._answer_rest(sequence, count=1)
        spare = min(sequence.next, len(sequence.entries) - self._config.length)
        if spare > 0:
            sequence.entries = sequence.entries[spare:]
            sequence.next -= spare

    def _answer_rest(self, sequence: _Sequence[Item], count: int | None = None) -> None:
        """Run the last T entries, and answer from there those that are open, or the first ``count`` of them."""
        first = max(0, len(sequence.entries) - self._config.length)
        entries = sequence.entries[first:]
        opened = sequence.next - first
        until = len(entries) if count is None else opened + count
        weights = self._weights(len(entries))
        weights[:opened] = weights[until:] = 0
        self._jobs.append(_Job(entries, weights, slice(opened, until)))
        sequence.next = first + until

    def _end(self, track: int) -> None:
        """Answer what is left of a sequence, and forget it."""
        sequence = self._sequences.pop(track)
        whole = self._config.mode != "live" and sequence.next and len(sequence.entries) == self._config.length
        if whole and self._config.mode == "overlap":  # the last window ended here: nothing is to be added
            weights = np.zeros(len(sequence.entries), np.float32)
            self._jobs.append(_Job(sequence.entries, weights, slice(sequence.next, None)))
        elif sequence.next < len(sequence.entries):
            self._answer_rest(sequence)

    def _weights(self, length: int) -> Float32:
        return taper(length) if self._config.mode == "overlap" else np.ones(length, np.float32)

    def _run_jobs(self) -> None:
        """Run the windows, as many at once as have the same length, and add up what they say."""
        jobs, self._jobs = self._jobs, []
        lengths = sorted({len(job.entries) for job in jobs if job.weights.any()})
        answers: dict[int, Logits] = {}
        for length in lengths:
            same = [i for i, job in enumerate(jobs) if len(job.entries) == length and job.weights.any()]
            for start in range(0, len(same), WINDOWS_AT_ONCE):
                part = same[start : start + WINDOWS_AT_ONCE]
                windows = [
                    np.stack([entry.features for entry in jobs[i].entries], axis=1) for i in part
                ]  # (M, T, K, F)
                outputs = self._run({"features": np.stack(windows, axis=1)})
                for place, i in enumerate(part):
                    answers[i] = {name: outputs[name][:, place] for name in self._tasks}  # (M, T, C)
        for i, job in enumerate(jobs):
            for t in np.flatnonzero(job.weights):
                job.entries[t].add({name: values[:, t] for name, values in answers[i].items()}, job.weights[t])
            for entry in job.entries[job.final]:
                entry.finish()

    def _ready(self, delay: int) -> list[tuple[Item, list[Logits]]]:
        """The frames before the first one with a face that is not answered.

        Args:
            delay: frames that have to follow; those without a face wait as long as the others.
        """
        ready = []
        while self._pending and self._frames - 1 - self._pending[0].number >= delay:
            answers = [answer for answer in self._pending[0].answers if answer is not None]
            if len(answers) < len(self._pending[0].answers):
                break
            ready.append((self._pending.popleft().item, answers))
        return ready

    def state(self) -> State:
        """Everything to resume from, for :mod:`affectkit.runs.state`; the items are the caller's to make storable."""
        numbers = {frame.number: i for i, frame in enumerate(self._pending)}
        past = {e.frame.number for s in self._sequences.values() for e in s.entries} - numbers.keys()
        return {
            "pending": [[frame.number, frame.item, frame.answers] for frame in self._pending],
            "past": sorted(past),
            "sequences": [
                [
                    track,
                    sequence.next,
                    sequence.missing_since_s,
                    [[e.features, e.frame.number, e.place, e.total, e.weight] for e in sequence.entries],
                ]
                for track, sequence in self._sequences.items()
            ],
            "frames": self._frames,
            "last_s": self._last_s,
            "step_s": self._step_s,
        }

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self.reset()
        frames: dict[int, _Pending[Any]] = {number: _Pending(None, [], number) for number in state["past"]}
        for number, item, answers in state["pending"]:
            frames[number] = _Pending(item, list(answers), number)
            self._pending.append(frames[number])
        for track, first, missing_since_s, entries in state["sequences"]:
            rebuilt = [_Entry(f, frames[number], place, total, weight) for f, number, place, total, weight in entries]
            self._sequences[track] = _Sequence(rebuilt, first, missing_since_s)
        self._frames, self._last_s, self._step_s = state["frames"], state["last_s"], state["step_s"]
