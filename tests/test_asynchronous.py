"""``async for``: the event loop goes on, a slow consumer slows the source down, cancelling closes."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectkit import AsyncResultStream, FakeEngine, LiveSource, Predictor, SourceError
from affectkit.types import Array, Detection, UInt8

LIMIT_S = 20
"""After which a test that waits for ever has failed."""


class Middle:
    """Finds one face, in the middle."""

    def detect(self, image: UInt8) -> list[Detection]:
        height, width = image.shape[:2]
        return [Detection((width / 4, height / 4, width / 2, height / 2), 0.99)]


def pictures(count: int, told: Callable[[int], None] = lambda _: None) -> Iterator[UInt8]:
    for k in range(count):
        told(k)
        yield np.full((60, 80, 3), k % 255, np.uint8)


def ours() -> set[str]:
    """Names of the threads of streams that are still there."""
    return {thread.name for thread in threading.enumerate() if thread.name == "affectkit async"}


def gone(seconds: float = 5) -> bool:
    """Whether they end within this time."""
    until = time.monotonic() + seconds
    while ours() and time.monotonic() < until:
        time.sleep(0.005)
    return not ours()


async def all_of(stream: AsyncResultStream) -> list[Any]:
    return [result async for result in stream]


def run(task: Any) -> Any:
    return asyncio.run(asyncio.wait_for(task, LIMIT_S))


def test_several_tasks_may_read_one_stream(tiny: Path) -> None:
    """Each result is given once, and all of them end; with another end than the first task's they waited for ever."""

    async def read() -> list[list[int]]:
        with Predictor(tiny, detector=Middle()) as predictor:
            async with predictor.astream(pictures(70), fps=25) as stream:

                async def taken() -> list[int]:
                    found = []
                    async for result in stream:
                        found.append(result.index)
                        await asyncio.sleep(0)
                    return found

                return list(await asyncio.gather(*(taken() for _ in range(4))))

    found = run(read())
    assert sorted(index for part in found for index in part) == list(range(70))
    assert all(part == sorted(part) for part in found) and gone()


def test_the_results_are_those_of_stream(tiny: Path, astronaut: Path) -> None:
    with Predictor(tiny) as predictor:
        expected = [result.to_dict() for result in predictor.stream(astronaut, end_s=1, every=2)]
        found = run(all_of(predictor.astream(astronaut, end_s=1, every=2)))
    assert [result.to_dict() for result in found] == expected and len(found) == 13 and gone()


def test_the_event_loop_goes_on_while_the_network_works(tiny: Path) -> None:
    released = threading.Event()
    with Predictor(tiny) as real:
        fake = FakeEngine.of(real.spec)

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        assert released.wait(LIMIT_S), "the event loop stands still"
        return fake.run(inputs)

    async def both() -> int:
        asyncio.get_running_loop().call_later(0.02, released.set)  # only a loop that goes on gets to it
        return len(await all_of(predictor.astream(pictures(3), fps=25)))

    with Predictor(tiny, engine=FakeEngine(answer), detector=Middle()) as predictor:
        assert run(both()) == 3


def test_a_consumer_that_stops_stops_the_source(tiny: Path) -> None:
    drawn: list[int] = []

    async def some() -> int:
        stream = predictor.astream(pictures(500, drawn.append), fps=25)
        for _ in range(3):
            await anext(stream)
        before = len(drawn)
        await asyncio.sleep(0.1)
        assert len(drawn) == before  # nothing is computed that was not asked for
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return before

    with Predictor(tiny, detector=Middle(), batch_size=4) as predictor:
        assert run(some()) <= 8 and gone()


def test_cancelling_closes_the_source(tiny: Path) -> None:
    closed, waits = threading.Event(), threading.Event()

    def slow() -> Iterator[UInt8]:
        try:
            yield from pictures(2)
            waits.set()
            closed.wait(0.2)  # a source that is slow
            yield from pictures(100)
        finally:
            closed.set()

    async def cancelled() -> None:
        task = asyncio.create_task(all_of(predictor.astream(slow(), fps=25)))
        while not waits.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Predictor(tiny, detector=Middle(), batch_size=64) as predictor:
        run(cancelled())
        assert closed.wait(5) and gone()


def test_leaving_and_letting_go_close_it(tiny: Path) -> None:
    async def left() -> None:
        async with predictor.astream(pictures(50), fps=25) as results:
            async for _ in results:
                break
        assert not ours()

    async def let_go() -> None:
        async for _ in predictor.astream(pictures(50), fps=25):
            break
        gc.collect()

    with Predictor(tiny, detector=Middle(), batch_size=2) as predictor:
        run(left())
        run(let_go())
        assert gone()
        run(predictor.astream(pictures(1), fps=25).aclose())  # never started


def test_errors_come_where_they_are_awaited(tiny: Path, tmp_path: Path) -> None:
    with Predictor(tiny) as predictor:
        with pytest.raises(ValueError, match="every must be at least 1"):
            predictor.astream("video.mp4", every=0)
        with pytest.raises(TypeError, match="a live source has no option every; it takes"):
            predictor.astream(LiveSource("http://localhost/"), every=2)
        with pytest.raises(SourceError, match="no such file"):
            run(all_of(predictor.astream(tmp_path / "nowhere.mp4")))
        assert gone()


def test_a_live_source_is_woken_when_nothing_comes(tiny: Path, tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "camera"
    os.mkfifo(pipe)
    source = LiveSource(pipe)

    async def cancelled() -> None:
        task = asyncio.create_task(all_of(predictor.astream(source, smooth_s=0.1)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Predictor(tiny, detector=Middle()) as predictor:
        run(cancelled())
        with open(pipe, "wb"):  # lets the thread go that waits for a writer
            pass
        assert gone()


def test_several_at_once_do_not_disturb_each_other(tiny: Path, astronaut: Path) -> None:
    async def several() -> list[list[Any]]:
        return await asyncio.gather(*(all_of(predictor.astream(astronaut, end_s=0.4)) for _ in range(3)))

    with Predictor(tiny) as predictor:
        one = [result.to_dict() for result in predictor.stream(astronaut, end_s=0.4)]
        for found in run(several()):
            assert [result.to_dict() for result in found] == one
