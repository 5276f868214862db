"""Probabilities, valence and arousal over time, made steadier by averaging; for any model."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from affectkit.errors import SourceError
from affectkit.state import of_result, to_result
from affectkit.types import Affect, Array, Face, FrameResult, LabelSet

Float = npt.NDArray[np.float64]

FORGET_AFTER = 10
"""Live: a face that was away for so many times the smoothing time is averaged with nothing that came before."""


class Smoother:
    """Averages what is said of each track by real time; nothing is averaged over a cut.

    Of files every value becomes the mean over the frames that are at most half of ``seconds`` before or after it. Live
    it becomes an exponential average with the time constant ``seconds``, which knows the past only. Decisions and the
    expression follow from the averages; the spread of an ensemble stays what its members say of the single frame.
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
        self._last: dict[int, tuple[float, Float]] = {}

    def push(self, results: Iterable[FrameResult]) -> list[FrameResult]:
        """Take the next results; return those that are ready, in order.

        Raises:
            SourceError: a result has no time.
        """
        ready: list[FrameResult] = []
        for result in results:
            if math.isnan(result.time_s):
                raise SourceError(f"{result.name}: has no times to smooth by; leave out --smooth, or give a video")
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
            values = [_values(other.affect) for r in near for other in r.faces if other.track_id == face.track_id]
            faces.append(self._with(face, np.mean(values, axis=0)))
        return dataclasses.replace(result, faces=tuple(faces))

    def _follow(self, result: FrameResult) -> FrameResult:
        if result.cut:
            self._last.clear()
        faces = []
        for face in result.faces:
            values = _values(face.affect)
            if face.track_id in self._last:
                seen_s, average = self._last[face.track_id]
                share = -math.expm1(-max(0.0, result.time_s - seen_s) / self._seconds)
                values = average + share * (values - average)
            self._last[face.track_id] = result.time_s, values
            faces.append(self._with(face, values))
        old_s = result.time_s - FORGET_AFTER * self._seconds
        self._last = {track: kept for track, kept in self._last.items() if kept[0] >= old_s}
        return dataclasses.replace(result, faces=tuple(faces))

    def _with(self, face: Face, values: Float) -> Face:
        first = len(self._labels.expressions)
        expression, au, va = np.split(values, [first, first + len(self._labels.action_units)])
        affect = dataclasses.replace(
            face.affect,
            expression_probabilities=expression.astype(np.float32),
            au_probabilities=au.astype(np.float32),
            au_active=au >= self._thresholds,
            valence=float(va[0]),
            arousal=float(va[1]),
        )
        return dataclasses.replace(face, affect=affect)

    def state(self) -> dict[str, Any]:
        """Everything to go on from, for :mod:`affectkit.state`."""
        last = [[track, time_s, values] for track, (time_s, values) in self._last.items()]
        return {"held": [of_result(result) for result in self._held], "open": self._open, "last": last}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self._held = deque(to_result(stored, self._labels) for stored in state["held"])
        self._open = state["open"]
        self._last = {track: (time_s, values) for track, time_s, values in state["last"]}


def _values(affect: Affect) -> Float:
    """(E + A + 2,) probabilities of expressions and action units, valence, arousal (NaN where the model has none)."""
    va = [affect.valence, affect.arousal]
    return np.concatenate([affect.expression_probabilities, affect.au_probabilities, va]).astype(np.float64)
