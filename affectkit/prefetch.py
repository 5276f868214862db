"""Stages side by side: what one computes while the next one still works on what came before; and what is done with
results while further ones are computed."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from affectkit.forking import SameProcess

T = TypeVar("T")

WAKES_S = 0.5
"""How often a thread that waits looks up: some systems let Ctrl-C through only then."""

LEAVES_IN_S = 2.0
"""Time that a thread is given to end; one that waits for a silent source ends with the process."""


class _Queue(Generic[T]):
    """What the two threads share."""

    def __init__(self, items: Iterator[T], most: int) -> None:
        self._items, self._most = items, most
        self._ready: deque[T] = deque()
        self._failure: BaseException | None = None
        self._over = self._stopped = False
        self._changed = threading.Condition()
        self._here = SameProcess("this stream")

    def produce(self) -> None:
        """In the thread: fill the queue until there are no more items, or no more are wanted."""
        try:
            for item in self._items:
                with self._changed:
                    while len(self._ready) >= self._most and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # it is raised where the items are taken
            self._failure = error
        finally:
            if isinstance(self._items, Generator):
                self._items.close()  # here, and not in whatever thread it is collected in
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def take(self) -> Iterator[T]:
        """The items, in order."""
        while True:
            self._here.check()
            with self._changed:
                while not self._ready and not self._over:
                    self._changed.wait(WAKES_S)
                if not self._ready:
                    break
                # All at once: where the two threads wake each other for every item they do little else.
                taken, self._ready = self._ready, deque()
                self._changed.notify_all()
            while taken and not self._stopped:
                yield taken.popleft()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """No more items are taken."""
        if not self._here:  # its thread, which may have held the lock, is in the process that forked
            self._stopped = True
            return
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()


_running: dict[threading.Thread, _Queue[Any]] = {}
"""Those that were not closed yet."""


@atexit.register
def _end_all() -> None:
    """An iterator that is held until the end of the process, as the traceback of an error does, is never closed.

    Python ends such threads wherever they are, and some libraries the whole process then.
    """
    running = dict(_running)
    for queue in running.values():
        queue.stop()
    for thread in running:
        thread.join(LEAVES_IN_S)


def ahead(items: Iterator[T], most: int) -> Iterator[T]:
    """The same items in the same order, computed in a thread of their own.

    Of those that were not asked for yet there are never more than twice ``most``, and one that waits for its place.

    The thread begins when the first item is asked for, and ends with the last one, with an error, which is raised here,
    or when this iterator is closed or let go.
    """
    queue = _Queue(items, most)
    thread = threading.Thread(target=queue.produce, name="affectkit ahead", daemon=True)
    _running[thread] = queue
    thread.start()
    try:
        yield from queue.take()
    finally:
        queue.stop()
        _running.pop(thread, None)
        if thread is not threading.current_thread():
            thread.join(LEAVES_IN_S)


class Beside(Generic[T]):
    """Does something with items, in their order, in a thread of its own. A context manager.

    Its end waits until all is done; where an exception passes, what waits is left out. An error is raised by the next
    :meth:`put`, or at the end.
    """

    def __init__(self, work: Callable[[T], None], most: int) -> None:
        """Start the thread when the first item comes.

        Args:
            most: items that may wait; ``put`` waits while there are as many. 0: no thread, all is done in ``put``.
        """
        self._work, self._most = work, most
        self._waiting: deque[T] = deque()
        self._failure: BaseException | None = None
        self._over = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Take the next item."""
        if self._most == 0:
            self._work(item)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="affectkit beside", daemon=True)
            self._thread.start()
        with self._changed:
            while len(self._waiting) >= self._most and self._failure is None:
                self._changed.wait(WAKES_S)
            self._raise()
            self._waiting.append(item)
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._over = True
            raise failure

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._over:
                    self._changed.wait()
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._changed.notify_all()
            try:
                self._work(item)
            except BaseException as error:  # it is raised where the next item comes from
                with self._changed:
                    self._failure, self._over = error, True
                    self._waiting.clear()
                    self._changed.notify_all()
                return
            del item

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        with self._changed:
            self._over = True
            if kind is not None:
                self._waiting.clear()
            self._changed.notify_all()
        while self._thread.is_alive():
            self._thread.join(WAKES_S)
        if kind is None:
            self._raise()
