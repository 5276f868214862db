"""Memory that inputs leave behind: nothing holds it, and the system does not get it back by itself."""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Callable
from functools import cache

EVERY = 100
"""Inputs from one time to the next."""

_ended = itertools.count(1)


def input_ended() -> None:
    """One more input has ended in this process: from time to time give back what was freed.

    The stages of each input run in threads of their own. glibc has a heap for each of them, up to eight a core, and
    keeps in each what was freed there, pages of it between pieces that are still in use. So a process that goes through
    thousands of inputs grows, though it holds no more than at first.
    """
    if next(_ended) % EVERY == 0:
        give_back()


def give_back() -> None:
    """Give the system the pages that hold nothing, of all heaps; only glibc knows how."""
    trim = _trim()
    if trim is not None:
        trim(0)


def is_known() -> bool:
    """Whether that can be done here."""
    return _trim() is not None


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return None
    return found
