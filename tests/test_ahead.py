"""Stages in threads of their own."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from affectkit.ahead import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "affectkit ahead"]


def gone() -> bool:
    """Whether all threads have ended, given a moment."""
    for _ in range(200):
        if not threads():
            return True
        time.sleep(0.01)
    return False


def test_the_same_items_in_the_same_order() -> None:
    assert list(ahead(iter(range(1000)), 3)) == list(range(1000))
    assert list(ahead(ahead(iter(range(100)), 1), 5)) == list(range(100))
    assert list(ahead(iter(()), 1)) == []
    assert gone()


def test_nothing_begins_before_the_first_item_is_asked_for() -> None:
    items = ahead(iter(range(3)), 2)
    assert not threads()
    assert next(items) == 0 and threads()
    assert list(items) == [1, 2] and gone()


def test_no_more_than_so_many_are_computed_ahead() -> None:
    made: list[int] = []

    def count() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    items = ahead(count(), 3)
    for taken in range(20):
        assert next(items) == taken
        time.sleep(0.002)
        assert len(made) <= taken + 1 + 2 * 3 + 1, "taken, twice a belt, and one that waits"
    items.close()  # type: ignore[attr-defined]
    assert gone()


def test_an_error_comes_after_the_items_before_it() -> None:
    def fails() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("broken here")

    items = ahead(fails(), 5)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="broken here"):
        next(items)
    assert gone()


@pytest.mark.parametrize("how", ["close", "forget"])
def test_letting_go_ends_the_thread_and_closes_what_it_reads(how: str) -> None:
    closed_in: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread().name)

    items = ahead(ahead(endless(), 2), 2)
    assert next(items) == 0
    if how == "close":
        items.close()  # type: ignore[attr-defined]
    del items
    gc.collect()
    assert gone() and closed_in == ["affectkit ahead"]
