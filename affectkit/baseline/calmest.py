"""The calmest seconds of each face: where ``--baseline auto`` takes its neutral values from.

The frames of a face are seen in windows of a second (at least ``WINDOW_FRAMES`` frames), starting a quarter of that
after the one before, none over a cut or a gap. A window counts if the face is at rest in it: the probabilities of its
action units hardly move (standard deviation within the window, mean over the units, at most ``STILL``), it looks
neutral (``neutral`` at least ``NEUTRAL`` in the mean) and can be seen (``quality`` at least ``QUALITY``), each of what
the model tells. Of these the calmest is taken, by the sum of

* the mean of the probabilities: at rest most units are low, and a held smile moves no more than a resting face;
* twice the movement;
* half of what ``neutral`` and ``quality`` lack of 1;
* the share of units that are hidden,

and up to ``WINDOWS`` - 1 others that do not overlap it and are at most ``NEAR`` less calm. The baseline is the median
over the windows of the medians in each. Open lips and jaws and closed eyes (``STATES``) are scored as they are seen,
whoever's they are, and talking opens the mouth: where one of these is over ``OPEN`` in the calmest seconds it has no
baseline and stays as it is. A face that is never at rest has none: of someone who smiles or talks from
beginning to end it would be the smile or the talking. What is held is a few numbers for each face, however long the
input is.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from affectkit.baseline.neutral import Baselines, Float, Neutral, Rule, Seen, median_of, timed

WINDOW_S = 1.0
WINDOW_FRAMES = 10
STRIDES = 4
"""Windows that begin within one."""
GAP_S = 0.5
"""Longest time that a face may be missing within a window."""
STILL = 0.04
"""Measured with ``lite``: talking moves the units by .05 to .17 in the mean, a held expression by .02."""
NEUTRAL = 0.25
QUALITY = 0.25
STATES = frozenset(("AU25", "AU26", "AU27", "AU43", "AU45", "AU46"))
OPEN = 0.3
WINDOWS = 5
NEAR = 0.1

_REASONS = (
    f"is not seen for {WINDOW_S:g} s on end in at least {WINDOW_FRAMES} frames",
    f"has no second in which it is still (its units move by {STILL} or more)",
    f"has no still second in which it looks neutral (neutral below {NEUTRAL})",
    f"is too poorly seen where it is at rest (quality below {QUALITY})",
)


@dataclass(slots=True)
class _Window:
    """A second that is not over."""

    seen: list[Seen]
    times: list[float]
    last: int
    """Count of the frame in which it was seen last."""


@dataclass(order=True, slots=True)
class _Calm:
    calmness: float
    """Smaller than 0; the larger, the calmer."""
    earliness: float
    """Minus the time of its first frame: of two that are as calm the earlier one is taken."""
    end: float
    frames: int = field(compare=False)
    medians: Float = field(compare=False)


@dataclass(slots=True)
class CalmestSeconds:
    """Neutral values of each face, from its calmest seconds."""

    units: Sequence[str]
    """Names of the A action units; of the values the first A are their probabilities."""
    _open: dict[int, _Window] = field(default_factory=dict)
    _best: dict[int, list[_Calm]] = field(default_factory=dict)
    _got: dict[int, int] = field(default_factory=dict)
    """By face, how many of the conditions were met at best."""
    _frame: int = 0
    _index: int = -1

    def add(self, seen: Seen) -> None:
        """Take the next face of the next frame.

        Raises:
            SourceError: the input has no times.
        """
        time_s = timed(seen.time_s)
        if seen.index != self._index:
            self._index = seen.index
            self._frame += 1
        self._got.setdefault(seen.track, 0)
        if np.isnan(seen.values).all():  # nothing is said of it: as if it were missing
            return
        window = self._open.get(seen.track)
        if window is not None:
            away_s = time_s - window.times[-1]
            if seen.cut or away_s <= 0 or (away_s > GAP_S and self._frame - window.last > 1):
                window = None
        if window is None:
            window = self._open[seen.track] = _Window([], [], self._frame)
        window.seen.append(seen)
        window.times.append(time_s)
        window.last = self._frame
        span = time_s - window.times[0]
        if span >= WINDOW_S - 1e-6 and len(window.seen) >= WINDOW_FRAMES:
            self._take(seen.track, window)
            over = next(k for k, at in enumerate(window.times) if at > window.times[0] + span / STRIDES)
            del window.seen[:over], window.times[:over]
        if len(self._open) > 64:  # of faces that have gone nothing is kept
            self._open = {track: w for track, w in self._open.items() if self._frame - w.last <= 1}

    def _take(self, track: int, window: _Window) -> None:
        """Keep a whole window, if it is one of the calmest."""
        values = np.array([seen.values for seen in window.seen])
        values[:, (~np.isnan(values)).sum(0) * 2 < len(values)] = np.nan  # hidden in most of it
        shown = values[:, : len(self.units)]
        shown = shown[:, ~np.isnan(shown).all(0)]
        if not shown.shape[1]:
            return
        movement, activity = float(np.nanstd(shown, axis=0).mean()), float(np.nanmean(shown, axis=0).mean())
        neutral, quality = _mean([s.neutral for s in window.seen]), _mean([s.quality for s in window.seen])
        met = 1
        for there in (movement <= STILL, neutral >= NEUTRAL, quality >= QUALITY):
            if not there:
                break
            met += 1
        self._got[track] = max(self._got[track], met)
        if met <= 3:
            return
        hidden = 1 - shown.shape[1] / len(self.units)
        restless = activity + 2 * movement + (1 - neutral) / 2 + (1 - quality) / 2 + hidden
        best = self._best.setdefault(track, [])
        full = len(best) >= (2 * STRIDES - 1) * WINDOWS  # enough, whichever of them overlap
        if full and -restless < best[0].calmness:
            return
        calm = _Calm(-restless, -window.times[0], window.times[-1], len(values), median_of(values, 1))
        (heapq.heappushpop if full else heapq.heappush)(best, calm)

    def result(self) -> Baselines:
        """The input is over."""
        found = {track: self._neutral(best) for track, best in self._best.items()}
        without = {track: _REASONS[met] for track, met in self._got.items() if track not in found}
        return Baselines(Rule("auto"), found, without)

    def _neutral(self, best: list[_Calm]) -> Neutral:
        chosen: list[_Calm] = []
        for calm in sorted(best, reverse=True):
            apart = all(calm.end <= -other.earliness or other.end <= -calm.earliness for other in chosen)
            if apart and len(chosen) < WINDOWS and (not chosen or calm.calmness >= chosen[0].calmness - NEAR):
                chosen.append(calm)
        chosen.sort(key=lambda calm: calm.end)
        medians = median_of([calm.medians for calm in chosen], 1)
        for k, name in enumerate(self.units):
            if name in STATES and medians[k] > OPEN:
                medians[k :: len(self.units)] = np.nan  # its intensity too
        stretches = tuple((-calm.earliness, calm.end) for calm in chosen)
        return Neutral(medians, sum(calm.frames for calm in chosen), stretches)


def _mean(values: list[float | None]) -> float:
    """Mean of what is told; 1 where nothing is, so that it does not count."""
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if told else 1.0
