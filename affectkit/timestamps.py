"""Times that an app gives with its pictures: checked, since a wrong one spoils everything that looks over time."""

from __future__ import annotations

import logging
import math
import numbers

log = logging.getLogger(__name__)

PICTURES = 5
"""Steps from one to the next that are looked at."""

LONG_S = 5.0
"""If all of these are longer, they are likely to be milliseconds."""


class Clock:
    """Checks the times of one camera's pictures."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._steps = 0

    def check(self, time_s: float) -> None:
        """Take the next picture's time, and warn once where seconds look like milliseconds.

        Raises:
            ValueError: it is NaN or endless, or not later than the one before.
            TypeError: it is no number.
        """
        if isinstance(time_s, bool) or not isinstance(time_s, numbers.Real):
            raise TypeError(f"time_s must be a number of seconds, got {time_s!r}")
        if not math.isfinite(time_s):
            raise ValueError(f"time_s must be a number of seconds, got {time_s}")
        if time_s <= self._last:
            raise ValueError(
                f"time_s must increase: got {time_s:g} after {self._last:g}; reset() the session for another clock"
            )
        if self._steps >= 0 and math.isfinite(self._last):
            self._steps = self._steps + 1 if time_s - self._last > LONG_S else -1
            if self._steps == PICTURES:
                log.warning(
                    "warning: the last %d pictures are %.0f s and more apart; times are in seconds, not milliseconds",
                    PICTURES,
                    LONG_S,
                )
                self._steps = -1
        self._last = time_s
