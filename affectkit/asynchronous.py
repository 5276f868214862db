"""Results for ``async for``: computed in a thread of their own, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Self, TypeAlias

from affectkit.face_results import FrameResult

Asked: TypeAlias = "tuple[asyncio.AbstractEventLoop, asyncio.Future[list[FrameResult] | None]]"
"""Who waits for results, and where they are put; None is the end."""

CLOSES_IN_S = 2.0
"""Longest time that closing waits for the thread; one that waits for a silent source ends by itself, later."""


class _Worker:
    """What the thread holds; not the stream itself, which is closed when it is let go of."""

    def __init__(self, begin: Callable[[], Iterable[FrameResult]]) -> None:
        self._begin = begin
        self._results: Iterator[FrameResult] | None = None
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.closed = threading.Event()

    def ask(self) -> asyncio.Future[list[FrameResult] | None]:
        """The next results, at least one, or None at the end; computed only now."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="affectkit async", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        wanted: asyncio.Future[list[FrameResult] | None] = loop.create_future()
        self._asked.put((loop, wanted))
        return wanted

    def stop(self, wake: Callable[[], None]) -> None:
        """End the thread as soon as what it works on is done; from any thread, any number of times.

        Args:
            wake: ends the wait for a source that goes on by itself.
        """
        wake()
        if self._thread is None:
            self._close()
        else:
            self._asked.put(None)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            loop, wanted = asked
            result: list[FrameResult] | None = None
            failure: BaseException | None = None
            try:
                result = self._next()
            except BaseException as error:  # it is raised where the results are awaited
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: no task waits any more
                loop.call_soon_threadsafe(_answer, wanted, result, failure)
            if result is None:
                break
            del asked, wanted, result
        self._close()

    def _next(self) -> list[FrameResult] | None:
        if self._results is None:
            self._results = iter(self._begin())
        first = next(self._results, None)
        return None if first is None else [first, *getattr(self._results, "ready", list)()]

    def _close(self) -> None:
        close = getattr(self._results, "close", None)
        if close is not None:
            close()
        self.closed.set()


def _answer(
    wanted: asyncio.Future[list[FrameResult] | None], result: list[FrameResult] | None, failure: BaseException | None
) -> None:
    if wanted.done():  # cancelled
        return
    if failure is None:
        wanted.set_result(result)
    else:
        wanted.set_exception(failure)


class AsyncResultStream(AsyncIterator[FrameResult]):
    """Results of a source, one a frame, in order, for ``async for``. Made by :meth:`affectkit.Predictor.astream`.

    Nothing is computed that was not asked for, but for the rest of a batch and what the stages have ready for the next:
    a consumer that is slow slows the source down. A task that is cancelled while it waits closes the stream; so do
    leaving an ``async with``, :meth:`aclose`, and letting go of it. Several tasks may read it: each result is given
    once.
    """

    def __init__(self, begin: Callable[[], Iterable[FrameResult]], wake: Callable[[], None] = lambda: None) -> None:
        """Wrap the results of a source.

        Args:
            begin: opens the source; it is called, read and closed in the thread.
            wake: ends a wait for the source, from another thread.
        """
        self._worker, self._wake = _Worker(begin), wake
        self._ready: deque[FrameResult] = deque()
        self._over = False
        self._asking = asyncio.Lock()

    async def __anext__(self) -> FrameResult:
        """The next frame's result."""
        if not self._ready:
            async with self._asking:  # one task asks, the others find what it was given
                if not self._ready:
                    await self._ask()
        return self._ready.popleft()

    async def _ask(self) -> None:
        """Have results, at least one."""
        if self._over:
            raise StopAsyncIteration
        try:
            found = await self._worker.ask()
        except BaseException:  # cancelled, or the source failed
            self._stop()
            raise
        if found is None:
            self._over = True
            raise StopAsyncIteration
        self._ready.extend(found)

    def _stop(self) -> None:
        if not self._over:
            self._over = True
            self._ready.clear()
            self._worker.stop(self._wake)

    async def aclose(self) -> None:
        """Read no further: the source is let go of and its threads end. There are no more results after that."""
        self._stop()
        await asyncio.get_running_loop().run_in_executor(None, self._worker.closed.wait, CLOSES_IN_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            self._stop()
