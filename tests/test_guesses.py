"""Frames that are followed while it is still searched in those before them: the same as one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_watch import Place, Region, Seen, frame

from affectkit import Predictor
from affectkit.faces.tracked_frames import track
from affectkit.faces.tracking import Tracker
from affectkit.forking import Later
from affectkit.runs.state import pack
from affectkit.types import Detection, Frame, TrackedFrame, UInt8

FRAMES = 160


def places(i: int) -> list[Place]:
    """One walks, another is lost and comes back again and again, a third comes late; for a while there is none."""
    there: list[Place] = [] if 70 <= i < 90 else [(80.0 + i, 90.0, 60.0)]
    flickers = 100 <= i < 130 and i % 8 < 4
    if not (20 <= i < 33 or 41 <= i < 44 or 66 <= i < 91 or flickers):
        there.append((400.0, 120.0, 80.0))
    return [*there, (300.0, 260.0, 50.0)] if i >= 119 else there


class Slow(Seen):
    """Answers after as long as is said, and, where it is told to, not before other frames were asked for."""

    def __init__(self, places: Callable[[int], list[Place]], takes_s: float) -> None:
        super().__init__(places)
        self.takes_s = takes_s
        self.farthest = -1
        self.ahead: dict[int, int] = {}
        """By frame in which a look was over, the last one that was followed meanwhile."""

    def detect_in(self, image: UInt8, region: Region) -> list[Detection]:
        time.sleep(self.takes_s)
        return super().detect_in(image, region)

    def detect_large_in(self, image: UInt8, region: Region, smallest_px: float) -> list[Detection]:
        found = super().detect_large_in(image, region, smallest_px)
        time.sleep(self.takes_s)
        self.ahead[int(image[0, 0, 0])] = self.farthest
        return found

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        self.farthest = int(image[0, 0, 0])
        return super().follow(image, faces)


def frames(last: int = FRAMES, first: int = 0) -> Iterator[Frame]:
    for i in range(first, last):
        # A cut now and then, to what was shown before.
        yield frame(i, places(i), 200 if 140 <= i < 150 else 60)


def plain(tracked: TrackedFrame) -> tuple[Any, ...]:
    faces = [(f.track_id, f.detection.box, f.detection.score, f.detection.landmarks.tolist()) for f in tracked.faces]
    return tracked.frame.index, tracked.cut, faces


def one_by_one(tracker: Tracker, coming: Iterator[Frame]) -> list[tuple[tuple[Any, ...], bytes]]:
    """Each frame with what is known after it."""
    return [(plain(tracker.update(one)), stored(tracker, one.index)) for one in coming]


def stored(tracker: Tracker, index: int) -> bytes:
    state = tracker.state_at(index)
    assert state is not None
    return bytes(pack(state))


@pytest.mark.parametrize("takes_s", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("held", [1, 3, 8])
def test_guessing_gives_what_one_frame_after_the_other_gives(held: int, takes_s: float) -> None:
    """And the state after each frame that is given is that of going one by one, whatever is known of later ones."""
    expected = one_by_one(Tracker(Seen(places), states_kept=FRAMES), frames())
    assert len({len(faces) for (_, _, faces), _ in expected}) == 4, "none, one, two and three"
    detector = Slow(places, takes_s)
    with ThreadPoolExecutor(2) as pool:
        tracker = Tracker(detector, states_kept=40, pool=pool)
        found = [(plain(t), stored(tracker, t.frame.index)) for t in track(frames(), tracker, held=held)]
    assert found == expected
    if takes_s == 0.02 and held > 1:
        assert any(meanwhile > i for i, meanwhile in detector.ahead.items()), "frames were followed meanwhile"
    if takes_s:
        assert len(detector.looks) >= len({i for i, _, _ in detector.looks}), "looked for in frames done again, too"


@pytest.mark.parametrize("stop", [22, 31, 33, 42, 69, 92, 104, 120])
def test_what_is_given_can_be_resumed_from(stop: int) -> None:
    expected = [row for row, _ in one_by_one(Tracker(Seen(places), states_kept=FRAMES), frames())]
    with ThreadPoolExecutor(2) as pool:
        first, second = (Tracker(Slow(places, 0.003), states_kept=40, pool=pool) for _ in range(2))
        given = track(frames(), first, held=6)
        began = [plain(next(given)) for _ in range(stop + 1)]
        state = first.state_at(stop)
        given.close()  # type: ignore[attr-defined]
        assert state is not None
        second.restore(state)
        assert began + [plain(t) for t in track(frames(first=stop + 1), second, held=6)] == expected


def test_a_look_that_finds_something_is_done_once_and_few_are_held_back_then() -> None:
    """Where guesses are wrong again and again, not all that was followed meanwhile is done for nothing."""

    class Counts(Slow):
        followed = 0

        def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
            self.followed += 1
            return super().follow(image, faces)

    def flickering(i: int) -> list[Place]:
        return [(80.0, 90.0, 60.0)] + ([(400.0, 120.0, 80.0)] if i < 10 or i % 4 < 2 else [])

    detector = Counts(flickering, 0.004)
    shown = [frame(i, flickering(i)) for i in range(100)]
    with ThreadPoolExecutor(2) as pool:
        rows = [plain(t) for t in track(iter(shown), Tracker(detector, pool=pool), held=8)]
    assert rows == [row for row, _ in one_by_one(Tracker(Seen(flickering)), iter(shown))]
    assert detector.followed < 100 + 100, "as with one frame held back; with eight each wrong guess costs eight"


@pytest.mark.parametrize("breaks_at", [30, 46])
def test_errors_come_where_they_would(breaks_at: int) -> None:
    """After the frames before them, and not where they come of a guess that was wrong."""

    class Breaks(Slow):
        def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
            # While the second face is away and nothing is known of it: so it is at 30; at 46 by a wrong guess.
            if int(image[0, 0, 0]) == breaks_at and len(faces) == 1:
                raise ValueError("broken here")
            return super().follow(image, faces)

    with ThreadPoolExecutor(2) as pool:
        given = track(frames(60), Tracker(Breaks(places, 0.03), pool=pool), held=8)
        found: list[int] = []
        if breaks_at == 30:
            with pytest.raises(ValueError, match="broken here"):
                found.extend(t.frame.index for t in given)
            assert found == list(range(30))
        else:
            assert [t.frame.index for t in given] == list(range(60))


def test_an_error_of_the_source_comes_after_the_frames_before_it() -> None:
    def damaged() -> Iterator[Frame]:
        yield from frames(26)
        raise OSError("no more")

    with ThreadPoolExecutor(2) as pool:
        found: list[int] = []
        with pytest.raises(OSError, match="no more"):
            found.extend(t.frame.index for t in track(damaged(), Tracker(Slow(places, 0.02), pool=pool), held=8))
    assert found == list(range(26))


def test_what_was_not_come_to_is_computed_where_it_is_asked_for() -> None:
    goes_on, here = threading.Event(), threading.get_ident()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(goes_on.wait, 10)
        answer = Later(pool, threading.get_ident)
        assert not answer.is_over() and answer() == here
        goes_on.set()
        there = Later(pool, threading.get_ident)
        pool.submit(int).result()
        assert there.is_over() and there() != here


def test_nothing_is_held_back_of_a_camera_or_without_a_pool() -> None:
    """A frame is given before the next one is asked for."""
    asked: list[int] = []

    def camera() -> Iterator[Frame]:
        for one in frames(30):
            asked.append(one.index)
            yield one

    for tracked in track(camera(), Tracker(Slow(places, 0.0)), held=8):
        assert asked[-1] == tracked.frame.index


@pytest.mark.slow
def test_threads_make_no_difference(tiny: Path, astronaut: Path, tmp_path: Path) -> None:
    """A face that is covered and comes back: tables of one thread and of two, byte by byte."""
    from affectkit.faces.opening import OpenedMtcnn
    from affectkit.outputs.video import VideoWriter
    from affectkit.sources.opening import open_source

    detector = OpenedMtcnn()
    shown = next(open_source(astronaut).frames()).image
    ((x, y, w, h),) = (face.box for face in detector.detect(shown))
    detector.close()
    covered = shown.copy()
    covered[max(0, int(y - 0.3 * h)) : int(y + 1.3 * h), max(0, int(x - 0.3 * w)) : int(x + 1.3 * w)] = 90
    clip = tmp_path / "covered.mp4"
    with VideoWriter(clip, fps=25) as writer:
        for i in range(90):
            away = 20 <= i < 31 or 40 <= i < 47 or 60 <= i < 80
            moved = np.roll(covered if away else shown, i % 5, 1)
            writer.write(np.ascontiguousarray(moved), i / 25)
    tables = []
    for threads in (1, 2):
        with Predictor(tiny, threads=threads) as predictor:
            tables.append(str(predictor.predict(clip).to_csv()))
    assert tables[0] == tables[1] and tables[0].count("\n") == 91
