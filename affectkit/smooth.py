"""Probabilities, valence and arousal over time, made steadier by averaging; for any model."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from affectkit.errors import SourceError
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.serialization import State, of_result, to_result
from affectkit.types import Array, LabelSet

Float = npt.NDArray[np.float64]

FORGET_AFTER = 10
"""Live: a face that was away for so many times the smoothing time is averaged with nothing that came before."""


class Smoother:
    """Averages what is said of each track by real time; nothing is averaged over a cut.

    Of files every value becomes the mean over the frames that are at most half of ``seconds`` before or after it. Live
    it becomes an exponential average with the time constant ``seconds``, which knows the past only. Decisions and the
    expression follow from the averages; the spread of an ensemble stays what its members say of the single frame, and
    so do visibility, pose and quality.

    What is empty in a frame stays empty there, and counts for no other frame: a hidden action unit goes on, once it is
    seen again, as after any gap.
    """

    def __init__(
        self, seconds: float, au_thresholds: Array, *, live: bool = False, labels: LabelSet | None = None
    ) -> None:
        """Set up.

        Args:
            seconds: over which time, > 0.
            au_thresholds: (A,) in the order of ``labels.action_units``.
            labels: what the model answers; None: as the shipped models do.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"smoothing takes a positive number of seconds, got {seconds}")
        self._seconds, self._thresholds, self._live = seconds, np.asarray(au_thresholds, np.float64), live
        self._labels = labels or LabelSet()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._held: deque[FrameResult] = deque()
        self._open = 0  # of these, how many at the end have not been given back
        self._last: dict[int, tuple[Float, Float]] = {}
        """By track when each value was last there, and its average."""

    def push(self, results: Iterable[FrameResult]) -> list[FrameResult]:
        """Take the next results; return those that are ready, in order.

        Raises:
            SourceError: a result has no time.
        """
        ready: list[FrameResult] = []
        for result in results:
            if math.isnan(result.time_s):
                raise SourceError(
                    f"{result.name}: has no times to smooth by; leave out smooth_s=, or give a video, or fps= for "
                    "the frames of one"
                )
            if self._live:
                ready.append(self._follow(result))
                continue
            if result.cut or (self._held and result.time_s < self._held[-1].time_s):
                ready += self.flush()
            self._held.append(result)
            self._open += 1
            ready += self._centred(result.time_s - self._seconds / 2)
        return ready

    def flush(self) -> list[FrameResult]:
        """Return what is left, and forget everything."""
        ready = self._centred(math.inf)
        self.reset()
        return ready

    def _centred(self, before_s: float) -> list[FrameResult]:
        """Those of a time before ``before_s``: all that their means are made of is there."""
        ready = []
        while self._open and self._held[-self._open].time_s < before_s:
            result = self._held[-self._open]
            near = [r for r in self._held if abs(r.time_s - result.time_s) <= self._seconds / 2 + 1e-9]
            ready.append(self._averaged(result, near))
            self._held[-self._open] = dataclasses.replace(result, image=None)  # pictures are large
            self._open -= 1
            oldest_s = (self._held[-self._open].time_s if self._open else result.time_s) - self._seconds / 2 - 1e-9
            while len(self._held) > self._open and self._held[0].time_s < oldest_s:
                self._held.popleft()
        return ready

    def _averaged(self, result: FrameResult, near: list[FrameResult]) -> FrameResult:
        faces = []
        for face in result.faces:
            same = [_values(other.affect) for r in near for other in r.faces if other.track_id == face.track_id]
            faces.append(self._with(face, _mean(np.array(same), of=_values(face.affect))))
        return dataclasses.replace(result, faces=tuple(faces))

    def _follow(self, result: FrameResult) -> FrameResult:
        if result.cut:
            self._last.clear()
        faces = []
        for face in result.faces:
            values = _values(face.affect)
            there = ~np.isnan(values)
            seen_s = np.where(there, result.time_s, -math.inf)
            kept = values
            if face.track_id in self._last:
                before_s, average = self._last[face.track_id]
                known = ~np.isnan(average)
                # Of each value by itself: one that was empty for long depends little on what it was before.
                shares = np.array([self._share(result.time_s - last_s) for last_s in before_s.tolist()])
                values = np.where(there & known, average + shares * (values - average), values)
                kept = np.where(there, values, average)
                seen_s = np.where(there, result.time_s, before_s)
            self._last[face.track_id] = seen_s, kept
            faces.append(self._with(face, values))
        old_s = result.time_s - FORGET_AFTER * self._seconds
        self._last = {track: kept for track, kept in self._last.items() if kept[0].max() >= old_s}
        return dataclasses.replace(result, faces=tuple(faces))

    def _share(self, passed_s: float) -> float:
        """What the newest value counts for, so long after the one before."""
        return -math.expm1(-max(0.0, passed_s) / self._seconds)

    def _with(self, face: Face, values: Float) -> Face:
        first, units = len(self._labels.expressions), len(self._labels.action_units)
        expression, au, va, intensity = np.split(values, [first, first + units, first + units + 2])
        affect = dataclasses.replace(
            face.affect,
            expression_probabilities=expression.astype(np.float32),
            au_probabilities=au.astype(np.float32),
            au_active=au >= self._thresholds,
            valence=float(va[0]),
            arousal=float(va[1]),
            au_intensities=intensity.astype(np.float32) if face.affect.au_intensities is not None else None,
        )
        return dataclasses.replace(face, affect=affect)

    def state(self) -> State:
        """Everything to resume from, for :mod:`affectkit.runs.state`."""
        last = [[track, time_s, values] for track, (time_s, values) in self._last.items()]
        return {"held": [of_result(result) for result in self._held], "open": self._open, "last": last}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        self._held = deque(to_result(stored, self._labels) for stored in state["held"])
        self._open = state["open"]
        self._last = {track: (time_s, values) for track, time_s, values in state["last"]}


def _values(affect: Affect) -> Float:
    """(E + A + 2,) probabilities of expressions and action units, valence, arousal (NaN where there are none); behind
    them the A intensities of a model that tells."""
    va = np.array([affect.valence, affect.arousal])
    parts: list[Array] = [affect.expression_probabilities, affect.au_probabilities, va]
    if affect.au_intensities is not None:
        parts.append(affect.au_intensities)
    return np.concatenate(parts).astype(np.float64)


def _mean(values: Float, *, of: Float) -> Float:
    """(C,) mean of those of the values (F, C) that are there; NaN where ``of`` is."""
    there = ~np.isnan(values)
    if there.all():
        return np.asarray(values.mean(0))
    total = np.where(there, values, 0).sum(0) / np.maximum(1, there.sum(0))
    return np.asarray(np.where(np.isnan(of), np.nan, total))
