"""Stages in threads of their own."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from affectkit.prefetch import Beside, ahead


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
        assert len(made) <= taken + 1 + 2 * 3 + 1, "taken, twice a queue, and one that waits"
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


HELD = """
import itertools, sys, time
from affectkit.prefetch import Beside, ahead
def endless():
    try:
        while True:
            time.sleep(0.001)
            yield 0
    finally:
        print("ended", flush=True)
items = ahead(endless(), 2)
next(items)
sys.exit(3)
"""

BUSY = """
import sys, threading, time
import affectkit.cli
from affectkit.__main__ import main
def run():
    threading.Thread(target=time.sleep, args=(100,), name="affectkit ahead").start()
    print("said")
    {ending}
affectkit.cli.main = run
main()
"""


def test_the_end_of_the_process_ends_the_thread() -> None:
    """Python ends it in the middle of a network otherwise, and ONNX Runtime the process, with a line of its own."""
    done = subprocess.run([sys.executable, "-P", "-c", HELD], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (3, "ended\n", "")


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(2)", 2), ("sys.exit()", 0), ("sys.exit('no')", 1), ("", 0)])
def test_the_command_ends_beside_a_thread_that_does_not(ending: str, code: int) -> None:
    program = [sys.executable, "-P", "-c", BUSY.format(ending=ending)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stdout) == (code, "said\n")
    assert done.stderr == ("no\n" if "no" in ending else "")


def test_beside_works_in_order_in_a_thread_of_its_own() -> None:
    done: list[tuple[int, bool]] = []

    def work(item: int) -> None:
        done.append((item, threading.current_thread() is threading.main_thread()))

    for most, here in ((2, False), (0, True)):
        done.clear()
        with Beside(work, most) as beside:
            for item in range(50):
                beside.put(item)
        assert done == [(item, here) for item in range(50)]
    with Beside(work, 2):
        pass  # nothing came, no thread was started


def test_few_wait_beside() -> None:
    begun, goes_on = threading.Semaphore(0), threading.Event()
    put: list[int] = []

    def work(_: int) -> None:
        begun.release()
        goes_on.wait(10)

    def fill(beside: Beside[int]) -> None:
        for item in range(6):
            beside.put(item)
            put.append(item)

    with Beside(work, 2) as beside:
        thread = threading.Thread(target=fill, args=(beside,))
        thread.start()
        assert begun.acquire(timeout=10)
        time.sleep(0.1)
        assert put in ([0, 1], [0, 1, 2])  # one is worked on, two wait
        goes_on.set()
        thread.join(10)
    assert put == list(range(6))


@pytest.mark.parametrize("where", ["put", "end"])
def test_errors_beside_are_raised_where_the_items_come_from(where: str) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            raise OSError("the disk is full")
        done.append(item)

    with pytest.raises(OSError, match="full"), Beside(work, 1) as beside:
        for item in range(2 if where == "end" else 50):
            beside.put(item)
        assert where == "end"
    assert done == [0]


def test_what_waits_beside_is_left_out_after_an_error() -> None:
    done: list[int] = []
    held = threading.Event()

    def work(item: int) -> None:
        held.wait(10)
        done.append(item)

    with pytest.raises(KeyboardInterrupt), Beside(work, 4) as beside:
        for item in range(4):
            beside.put(item)
        threading.Timer(0.05, held.set).start()
        raise KeyboardInterrupt
    assert len(done) <= 1
    assert not [thread for thread in threading.enumerate() if thread.name == "affectkit beside"]
