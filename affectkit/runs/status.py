"""How a run of many inputs is doing, by its ``run.jsonl``."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from affectkit.runs.record import time_left
from affectkit.runs.record_reading import read_record, records_of
from affectkit.sources.names import on_one_line

RECENT_S = 600.0
"""The rate is that of this time before the newest line."""

SHOWN = 5
"""Slowest inputs, and reasons."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the lines of a run, of all its shards, come to. Of each input its last line counts."""

    inputs: int
    """That it was started with, in all shards that were started."""
    done: int
    """Inputs whose table is there, those among them that a later run found there."""
    failed: int
    frames: int
    """Of the tables that the run wrote."""
    running: int
    """Shards whose last run has not ended: it is at work, or was killed."""
    quiet_s: float
    """Since the newest line."""
    inputs_per_s: float
    """Lately; 0: too few lines tell."""
    left_s: float | None
    """None: nothing runs, or nothing tells."""
    slowest: tuple[tuple[str, float], ...]
    """Inputs and their seconds."""
    reasons: tuple[tuple[str, int, str], ...]
    """Of failures: what is wrong, how often, and one of the inputs."""
    hosts: dict[str, int]
    """Inputs that ended on each machine."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        left = self.inputs - self.done - self.failed
        told = [f"{self.done} of {self.inputs} inputs are done, {self.failed} failed, {left} are left"]
        told.append(f"{self.frames} frames; lately {self.inputs_per_s:.3g} inputs a second")
        if self.running:
            ends = "" if self.left_s is None else f"; about {time_left(self.left_s)} left"
            told.append(f"{self.running} at work, or killed: the last line is {time_left(self.quiet_s)} old{ends}")
        else:
            told.append("nothing is at work")
        if len(self.hosts) > 1:
            told.append("by machine: " + ", ".join(f"{name} {count}" for name, count in sorted(self.hosts.items())))
        if self.slowest:
            told += ["slowest:", *(f"  {seconds:8.1f} s  {name}" for name, seconds in self.slowest)]
        if self.reasons:
            told += ["failed:", *(f"  {count:6}  {reason}  (as {name})" for reason, count, name in self.reasons)]
            told.append("again: affectkit predict --retry-failed RUN, with the same options")
        return [on_one_line(line) for line in told]


@dataclass(slots=True)
class _Shard:
    """What the lines of one file come to."""

    inputs: int = 0
    running: bool = False
    began: float = 0.0
    times: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Input:
    status: str
    time: float
    seconds: float
    reason: str
    host: str


def status_of(run: str | os.PathLike[str], *, now: float | None = None) -> Status:
    """Read a run's lines.

    Args:
        run: its output folder, or one ``run.jsonl``.
        now: seconds since 1970; None: now.

    Raises:
        SourceError: there is no such run.
    """
    now = datetime.datetime.now(datetime.UTC).timestamp() if now is None else now
    shards: list[_Shard] = []
    last: dict[str, _Input] = {}
    frames, newest = 0, 0.0
    for path in records_of(run):
        shard = _Shard()
        shards.append(shard)
        for line in read_record(path):
            time_s = _seconds_of(line)
            newest = max(newest, time_s)
            if line["status"] == "run":
                shard.running, shard.began = True, time_s
                shard.inputs = shard.inputs if line.get("retried") and shard.inputs else int(line.get("inputs") or 0)
            elif line["status"] == "ended":
                shard.running = False
            elif isinstance(line.get("input"), str):
                shard.times.append(time_s)
                frames += int(line.get("frames") or 0) if line["status"] == "done" else 0
                _note(last, line, time_s)
    counts = Counter("failed" if one.status == "failed" else "done" for one in last.values())
    inputs = max(sum(shard.inputs for shard in shards), len(last))
    rate = _rate(shards, newest)
    running = sum(shard.running for shard in shards)
    left = inputs - len(last)
    return Status(
        inputs,
        counts["done"],
        counts["failed"],
        frames,
        running,
        max(0.0, now - newest),
        rate,
        left / rate if running and rate else None,
        _slowest(last),
        _reasons(last),
        dict(Counter(one.host for one in last.values() if one.status != "skipped")),
    )


def _seconds_of(line: dict[str, Any]) -> float:
    try:
        return datetime.datetime.fromisoformat(str(line.get("time"))).timestamp()
    except ValueError:
        return 0.0


def _note(last: dict[str, _Input], line: dict[str, Any], time_s: float) -> None:
    """Of each input the newest line. One that was there already keeps what was said when it was done."""
    name = line["input"]
    before = last.get(name)
    if before is not None and (time_s < before.time or (line["status"] == "skipped" and before.status == "done")):
        return
    seconds = float(line.get("seconds") or 0)
    last[name] = _Input(line["status"], time_s, seconds, str(line.get("reason") or ""), str(line.get("host") or ""))


def _rate(shards: list[_Shard], newest: float) -> float:
    """Inputs a second, lately, of all shards together."""
    rate = 0.0
    for shard in shards:
        since = max(shard.began, newest - RECENT_S)
        lately = sum(time_s >= since for time_s in shard.times)
        if lately and newest > since:
            rate += lately / (newest - since)
    return rate


def _slowest(last: dict[str, _Input]) -> tuple[tuple[str, float], ...]:
    timed = sorted(((one.seconds, name) for name, one in last.items() if one.status == "done"), reverse=True)
    return tuple((name, seconds) for seconds, name in timed[:SHOWN])


def _reasons(last: dict[str, _Input]) -> tuple[tuple[str, int, str], ...]:
    """What is wrong, without the names that messages begin with, which make every reason another one."""
    found: dict[str, list[str]] = {}
    for name, one in last.items():
        if one.status == "failed":
            place, _, reason = one.reason.partition(": ")
            found.setdefault(reason or place or "unknown", []).append(name)
    often = sorted(found.items(), key=lambda pair: -len(pair[1]))
    return tuple((reason, len(names), names[0]) for reason, names in often[:SHOWN])
