"""What may be shared between threads is, by real ones: the answers are those of one alone."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from affectkit import Predictor
from affectkit.types import Detection, UInt8

pytestmark = pytest.mark.slow


def frames_of(path: Path, count: int) -> list[UInt8]:
    with av.open(str(path)) as container:
        found = [frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(count))]  # noqa: B905
    return [np.asarray(image, np.uint8) for image in found]


def works(predictor: Predictor, clip: Path, images: list[UInt8]) -> dict[str, Callable[[], Any]]:
    """What an app does with one predictor, each answer as plain values."""

    def pushed() -> Any:
        session = predictor.session()
        found = [result for k, image in enumerate(images) for result in session.push(image, k / 25)]
        return [result.to_dict() for result in [*found, *session.flush()]]

    return {
        "predict": lambda: predictor.predict(clip, end_s=0.6).to_csv(),
        "stream": lambda: [result.to_dict() for result in predictor.stream(clip, end_s=0.5, every=2)],
        "session": pushed,
        "picture": lambda: [face.to_dict() for face in predictor.predict_image(images[0])],
        "aligned": lambda: [affect.to_dict() for affect in predictor.predict_aligned(np.stack(images)[:, :96, :96])],
        "sequence": lambda: [affect.to_dict() for affect in predictor.predict_sequence(np.stack(images)[:, :96, :96])],
        "describe": predictor.describe,
    }


def test_one_predictor_in_many_threads(tiny_temporal: Path, astronaut: Path) -> None:
    images = frames_of(astronaut, 10)
    with Predictor(tiny_temporal, temporal=True, threads=2) as predictor:
        asked = works(predictor, astronaut, images)
        alone = {name: work() for name, work in asked.items()}
        together = threading.Barrier(5)

        def at_once(k: int) -> dict[str, Any]:
            names = list(asked)
            together.wait(30)
            return {name: asked[name]() for name in names[k % len(names) :] + names[: k % len(names)]}

        with ThreadPoolExecutor(5) as pool:
            for found in pool.map(at_once, range(5)):
                assert found == alone


def test_a_stream_and_a_session_may_change_their_thread(tiny: Path, astronaut: Path) -> None:
    with Predictor(tiny) as predictor:
        expected = [result.to_dict() for result in predictor.stream(astronaut, end_s=0.6)]
        stream, found, pushed = predictor.stream(astronaut, end_s=0.6), [], []
        session, images = predictor.session(), frames_of(astronaut, 4)
        for k in range(len(expected)):
            taker = threading.Thread(target=lambda: found.append(next(stream).to_dict()))
            taker.start()
            taker.join()
            if k < len(images):
                image, time_s = images[k], k / 25
                pusher = threading.Thread(target=lambda i=image, t=time_s: pushed.extend(session.push(i, t)))
                pusher.start()
                pusher.join()
    assert found == expected and [len(result.faces) for result in pushed] == [1] * 4


class Slow:
    """Finds one face, and lets other threads on meanwhile."""

    def detect(self, image: UInt8) -> list[Detection]:
        time.sleep(0.002)
        return [Detection((10, 10, 50, 50), 0.99)]


@pytest.mark.parametrize("lookahead", [0, 3])
def test_one_session_in_four_threads_loses_nothing(tiny_temporal: Path, astronaut: Path, lookahead: int) -> None:
    """Every picture gives a result, or its thread is told that it came too late; the answers are in order."""
    images, found, late = frames_of(astronaut, 40), [], []
    with Predictor(tiny_temporal, temporal=True, detector=Slow()) as predictor:
        session, waiting = predictor.session(lookahead=lookahead), iter(enumerate(images))
        fetching = threading.Lock()

        def push(_: int) -> None:
            while True:
                with fetching:
                    k, image = next(waiting, (-1, None))
                if image is None:
                    return
                try:
                    found.extend(session.push(image, k / 25))
                except ValueError as error:
                    assert "time_s must increase" in str(error)
                    late.append(k)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(push, range(4)))
        found += session.flush()
    assert len(found) + len(late) == 40 and sorted(r.index for r in found) == list(range(len(found)))
    assert {len(result.faces) for result in found} == {1}
    times = [result.time_s for result in sorted(found, key=lambda result: result.index)]
    assert times == sorted({k / 25 for k in range(40)} - {k / 25 for k in late})


def test_one_stream_in_four_threads_gives_each_result_once(tiny_temporal: Path, astronaut: Path) -> None:
    with Predictor(tiny_temporal, temporal=True) as predictor:
        expected = [result.to_dict() for result in predictor.stream(astronaut)]
        stream, found = predictor.stream(astronaut), []

        def take(_: int) -> None:
            for result in stream:
                found.append(result.to_dict())
                time.sleep(0.0005)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(take, range(4)))
    assert sorted(found, key=lambda result: result["frame"]) == expected


def test_a_stream_may_be_closed_by_what_it_calls(tiny: Path, astronaut: Path) -> None:
    with Predictor(tiny) as predictor:
        stream = predictor.stream(astronaut, on_tracked=lambda _: stream.close())
        assert len(list(stream)) <= 32


def test_push_in_several_threads_is_one_camera(tiny: Path, astronaut: Path) -> None:
    images = frames_of(astronaut, 4)
    with Predictor(tiny, detector=Slow()) as predictor:
        together = threading.Barrier(4)

        def push(k: int) -> int:
            together.wait(30)
            try:
                return predictor.push(images[k], k / 25)[0].index
            except ValueError:
                return -1

        with ThreadPoolExecutor(4) as pool:
            indices = [index for index in pool.map(push, range(4)) if index >= 0]
    assert sorted(indices) == list(range(len(indices))) and indices


def test_a_detector_of_ones_own_is_asked_by_one_thread_at_a_time(tiny: Path, astronaut: Path) -> None:
    class Alone:
        inside = threading.Semaphore(1)
        asked = 0

        def detect(self, image: UInt8) -> list[Detection]:
            assert self.inside.acquire(blocking=False), "two threads at once"
            try:
                self.asked += 1
                return [Detection((10, 10, 50, 50), 0.99)]
            finally:
                self.inside.release()

    detector = Alone()
    with Predictor(tiny, detector=detector) as predictor, ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda _: predictor.predict(astronaut, end_s=0.4).to_csv(), range(4)))
    assert len(set(tables)) == 1 and detector.asked == 40


def test_results_can_be_sent(tiny: Path, astronaut: Path) -> None:
    with Predictor(tiny) as predictor:
        table = predictor.predict(astronaut, end_s=0.2)
        (first, *_) = predictor.stream(astronaut, end_s=0.2)
    again, result = pickle.loads(pickle.dumps((table, first)))
    assert again.to_csv() == table.to_csv() and again.meta == table.meta
    assert result.to_dict() == first.to_dict()
