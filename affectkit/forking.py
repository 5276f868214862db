"""What does not come along when a process forks: threads, and with them pools, locks that they hold, and networks.

A child of :func:`os.fork` has only the thread that forked. Whoever waits there for one of the others waits for ever.
What is made here begins again in the child, or says at once that it cannot.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, Protocol, TypeVar
from weakref import WeakSet

from affectkit.errors import EngineError

T = TypeVar("T")
P = ParamSpec("P")


class Forked(Protocol):
    """Something that has to be told that it is in a child now."""

    def after_fork(self) -> None:
        """Begin again. The child has no other thread yet."""
        ...


_told: WeakSet[Any] = WeakSet()
_left_behind: WeakSet[Any] = WeakSet()


def tell_after_fork(thing: Forked) -> None:
    """Call ``thing.after_fork()`` in children of this process, as long as ``thing`` is held by others."""
    _told.add(thing)


def left_behind(thing: Any) -> None:
    """In children of this process, never free this: freeing it would wait for its threads, and there are none."""
    _left_behind.add(thing)


def _in_child() -> None:
    for thing in list(_left_behind):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # the end of the child does not free it either
    for thing in list(_told):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_child)


class Workers(Executor):
    """A pool of threads that a forked child has of its own."""

    def __init__(self, threads: int, name: str) -> None:
        """Start none yet: each is started when there is work for it."""
        self._threads, self._name = threads, name
        self._pool = ThreadPoolExecutor(threads, name)
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Take new threads."""
        self._pool = ThreadPoolExecutor(self._threads, self._name)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See :class:`concurrent.futures.Executor`."""
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See :class:`concurrent.futures.Executor`."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


class Later(Generic[T]):
    """What a function answers, computed in a pool meanwhile; in a child that forks before it is there, once more."""

    def __init__(self, pool: Executor, function: Callable[[], T]) -> None:
        """Begin.

        Args:
            function: what answers the same whenever it is called.
        """
        self._function, self._process = function, os.getpid()
        self._future = pool.submit(function)

    def __call__(self) -> T:
        """The answer; waits for it, or computes it here if the pool has not come to it yet."""
        if os.getpid() != self._process or self._future.cancel():
            return self._function()
        return self._future.result()

    def is_over(self) -> bool:
        """Whether the answer is there."""
        return os.getpid() == self._process and self._future.done()

    def give_up(self) -> None:
        """The answer is hardly asked for any more: leave it out, unless it is being computed."""
        if os.getpid() == self._process:
            self._future.cancel()


class Lock:
    """A lock that is free in a forked child, whoever holds it in the parent. Its thread may take it again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        tell_after_fork(self)

    def after_fork(self) -> None:
        """Be free: who held it is not there."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class SameProcess:
    """Remembers in which process something began whose threads no other one has."""

    def __init__(self, what: str, advice: str = "begin a new one here") -> None:
        """Begin here.

        Args:
            what: how the message of :meth:`check` calls it, such as ``this stream``.
            advice: what the message says to do.
        """
        self._what, self._advice, self._process = what, advice, os.getpid()

    def __bool__(self) -> bool:
        return os.getpid() == self._process

    def check(self) -> None:
        """Refuse to go on in a child.

        Raises:
            EngineError: this is another process.
        """
        if not self:
            raise EngineError(f"{self._what} belongs to the process that this one was forked from; {self._advice}")


OF_A_DEVICE = "open it after forking, or start processes with the method 'spawn'"
"""What to do about a network on a GPU, which no child can use."""
