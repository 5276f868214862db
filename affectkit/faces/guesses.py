"""Frames are followed while a search for faces in one of those before is still going on.

Nearly all looks for lost faces find nothing, and so do searches for new ones; each takes as long as following several
frames. So it is taken for granted that they find nothing, and what follows from it is held back until they have
answered. Where one did find something, the tracker goes back to what it knew before that frame, and that frame and
those after it are done again. So whatever comes out is what it would be with one frame after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from affectkit.faces.questions import Asks, by_waiting
from affectkit.faces.remembered import Remembered
from affectkit.faces.tracking import Tracker
from affectkit.forking import Later
from affectkit.types import Frame, TrackedFrame

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Held:
    """A frame that is held back."""

    frame: Frame
    before: Remembered
    """What was known before it."""
    tracked: TrackedFrame | None = None
    """None: an error came in it or before it, and whether it would have without guesses is not known yet."""
    answers: list[Any] = field(default_factory=list)
    """What the first searches in it found."""
    guesses: deque[tuple[Later[Any], Any]] = field(default_factory=deque)
    """Those after them, and what they were thought to find."""
    asked_here: list[Later[Any]] = field(default_factory=list)
    """Those of them that are asked from here alone."""

    def ask(self, pool: Executor) -> Asks:
        """What gives a tracker these answers, and guesses what is not among them."""
        answers = iter(self.answers)

        def guess(search: Callable[[], T], nothing: T) -> T:
            for answer in answers:
                return cast(T, answer)
            if not isinstance(search, Later):  # else it is going on already
                search = Later(pool, search)
                self.asked_here.append(search)
            self.guesses.append((search, nothing))
            return nothing

        return guess


class Guesses:
    """Gives a tracker frames, and back those that are sure. Used by one thread."""

    def __init__(self, tracker: Tracker, pool: Executor, most: int) -> None:
        """Begin without frames.

        Args:
            pool: searches meanwhile.
            most: frames that are held back; then it is waited for what the first one depends on.
        """
        self._tracker, self._pool, self._most = tracker, pool, most
        self._held: deque[_Held] = deque()
        self._now = most
        """Few are held back where a guess was wrong just before: all of them were done for nothing."""

    def put(self, frame: Frame) -> None:
        """Follow the faces of the next frame. Take what is :meth:`sure` before the one after it."""
        failed = bool(self._held) and self._held[-1].tracked is None
        held = _Held(frame, self._tracker.remembered())
        self._held.append(held)
        if not failed:
            self._follow(held)

    def sure(self) -> Iterator[TrackedFrame]:
        """Frames that depend on no guess any more; waits where too many are held back."""
        return self._answered(self._most)

    def rest(self) -> Iterator[TrackedFrame]:
        """All others; waits for what they depend on."""
        return self._answered(0)

    def give_up(self) -> None:
        """No more is asked for."""
        for held in self._held:
            for search in held.asked_here:
                search.give_up()
        self._held.clear()

    def _follow(self, held: _Held) -> None:
        # An error is raised where the frames before it are sure, if it comes there too.
        with suppress(Exception):
            held.tracked = self._tracker.update(held.frame, held.ask(self._pool))

    def _answered(self, most: int) -> Iterator[TrackedFrame]:
        while self._held:
            first = self._held[0]
            if first.guesses:
                search, guess = first.guesses[0]
                wait = len(self._held) > min(most, self._now) or self._held[-1].tracked is None
                if not (wait or search.is_over()):
                    return
                first.guesses.popleft()
                first.answers.append(search())
                right = first.answers[-1] == guess
                self._now = min(self._most, 2 * self._now) if right else 1
                if not right:
                    self._again()
            elif first.tracked is None:
                self._again(by_waiting)
            else:
                self._held.popleft()
                yield first.tracked

    def _again(self, ask: Asks | None = None) -> None:
        """Go back to before the first frame, and do all again with what is known by now.

        Args:
            ask: of the first frame; None: what is not known is guessed.

        Raises:
            Exception: whatever came in the first frame, if nothing was guessed in it.
        """
        first, *later = self._held
        self.give_up()
        self._tracker.go_back(first.before)
        again = _Held(first.frame, first.before, answers=first.answers)
        if ask is None:
            self._follow(again)
        else:
            again.tracked = self._tracker.update(again.frame, ask)
        self._held.append(again)
        for held in later:
            self.put(held.frame)
