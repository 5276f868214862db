"""How a tracker asks what takes long to find out: by waiting, or by guessing (:mod:`affectkit.faces.guesses`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Asks(Protocol):
    """Gives what a search finds."""

    def __call__(self, search: Callable[[], T], nothing: T, /) -> T:
        """What ``search`` answers, or is thought to.

        Args:
            search: answers the same whenever and in whatever thread it is called.
            nothing: what it answers where it finds nothing.
        """
        ...


def by_waiting(search: Callable[[], T], nothing: T, /) -> T:
    """What it does answer."""
    return search()
