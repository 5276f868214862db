"""Batches of cropped frames -> results: what the network says, over time where the model does so, and smoothed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from affectkit.align import crop_frame, without_picture
from affectkit.baseline.live import LiveBaseline
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.faces.tracking import Tracker
from affectkit.forking import Lock, SameProcess, left_behind
from affectkit.inference import Reader
from affectkit.picture import RgbPicture
from affectkit.serialization import State, of_tracked, to_tracked
from affectkit.smooth import Smoother
from affectkit.spec import ModelSpec
from affectkit.temporal import Logits, TemporalBuffer
from affectkit.timestamps import Clock
from affectkit.types import Array, CroppedFrame, Detection, Frame, TrackedFrame, UInt8, check_image

Waiting: TypeAlias = tuple[TrackedFrame, dict[str, Array]]
"""A frame whose sequence is not over, and what was said of its N faces singly, arrays (M, N, ...) by output."""


class Postprocessing:
    """The second half of the pipeline, from crops on. Takes batches of frames, gives results back in order."""

    def __init__(
        self,
        reader: Reader,
        spec: ModelSpec,
        buffer: TemporalBuffer[Waiting] | None,
        smoother: Smoother | None,
        *,
        lookahead: int | None,
        keep_images: bool,
        on_tracked: Callable[[TrackedFrame], None] | None = None,
        aligned: bool = False,
    ) -> None:
        """Wire the stages.

        Args:
            reader: asks the network that looks at single faces, and reads out the answers.
            buffer: for models that look at sequences.
            lookahead: what the results say of it.
            on_tracked: is shown every frame, with its picture, when it comes in.
            aligned: the crops are whole pictures.
        """
        self._aligned = aligned
        self._reader, self._spec, self._buffer, self._smoother = reader, spec, buffer, smoother
        self._lookahead, self._keep_images, self._on_tracked = lookahead, keep_images, on_tracked

    def push(self, batch: Sequence[CroppedFrame]) -> list[FrameResult]:
        """Take the next frames; return the results that are ready."""
        if self._on_tracked is not None:
            for frame in batch:
                self._on_tracked(frame.tracked)
        counts = [len(frame.crops) for frame in batch]
        crops = np.concatenate([frame.crops for frame in batch])
        detections = [face.detection for frame in batch for face in frame.tracked.faces]
        shares = [np.ones((len(frame.crops), 3)) if frame.inside is None else frame.inside for frame in batch]
        inside = np.concatenate(shares)
        outputs = self._reader.ask(crops, detections, inside=inside, aligned=self._aligned) if len(crops) else None
        if self._buffer is None:
            affects = iter([] if outputs is None else self._reader.read(outputs))
            results = [self._result(frame.tracked, affects) for frame in batch]
            return results if self._smoother is None else self._smoother.push(results)
        empty = np.zeros((self._spec.members, 0, len(self._spec.tasks), self._spec.feature_width), np.float32)
        features = empty if outputs is None else outputs["features"]
        carried = {} if outputs is None else {name: outputs[name] for name in self._reader.carried}
        stops = np.cumsum(counts)
        return self._answered(
            self._buffer.push(
                (
                    (
                        frame.tracked if self._keep_images else without_picture(frame.tracked),
                        {name: values[:, stop - count : stop] for name, values in carried.items()},
                    ),
                    frame.tracked.frame.time_s,
                    frame.tracked.cut,
                    [face.track_id for face in frame.tracked.faces],
                    features[:, stop - count : stop],
                )
                for frame, count, stop in zip(batch, counts, stops, strict=True)
            )
        )

    def flush(self) -> list[FrameResult]:
        """The source is over: return what is left."""
        results = [] if self._buffer is None else self._answered(self._buffer.flush())
        return results if self._smoother is None else results + self._smoother.flush()

    def _answered(self, ready: list[tuple[Waiting, list[Logits]]]) -> list[FrameResult]:
        faces = [answer for _, answers in ready for answer in answers]
        affects: Iterator[Affect] = iter(())
        if faces:
            outputs = {name: np.stack([answer[name] for answer in faces], axis=1) for name in self._spec.tasks}
            for name in self._reader.carried:  # what a frame shows is the frame's, whatever its sequence says
                outputs[name] = np.concatenate([said[name] for (_, said), answers in ready if answers], axis=1)
            affects = iter(self._reader.read(outputs))
        results = [self._result(tracked, affects) for (tracked, _), _ in ready]
        return results if self._smoother is None else self._smoother.push(results)

    def _result(self, tracked: TrackedFrame, affects: Iterator[Affect]) -> FrameResult:
        frame = tracked.frame
        found = [in_file(t.detection, frame.reduced) for t in tracked.faces]
        faces = tuple(
            Face(t.track_id, face.box, face.score, face.landmarks, next(affects))
            for t, face in zip(tracked.faces, found, strict=True)
        )
        image = frame.image if self._keep_images else None
        return FrameResult(
            frame.index, frame.time_s, faces, frame.name, image, tracked.cut, self._lookahead, frame.reduced
        )

    def state(self) -> State:
        """Everything to resume from, for :mod:`affectkit.runs.state`."""
        buffer = None
        if self._buffer is not None:
            buffer = self._buffer.state()
            buffer["pending"] = [
                [number, [of_tracked(tracked), said], answers] for number, (tracked, said), answers in buffer["pending"]
            ]
        return {"buffer": buffer, "smoother": None if self._smoother is None else self._smoother.state()}

    def restore(self, state: State) -> None:
        """Go on from :meth:`state`."""
        if self._buffer is not None:
            pending = [
                [number, (to_tracked(tracked), said), answers]
                for number, (tracked, said), answers in state["buffer"]["pending"]
            ]
            self._buffer.restore({**state["buffer"], "pending": pending})
        if self._smoother is not None:
            self._smoother.restore(state["smoother"])


def in_file(face: Detection, reduced: int) -> Detection:
    """A face of a picture that was read at a fraction of its size, in the pixels of the file."""
    if reduced == 1:
        return face
    # Pixels are counted from the middle of the first one, which here is the middle of several.
    shift = (reduced - 1) / 2
    x, y, width, height = (side * reduced for side in face.box)
    points = (face.landmarks * reduced + shift).astype(np.float32)
    return Detection((x + shift, y + shift, width, height), face.score, points)


def resumed(postprocessing: Postprocessing, tracker: Tracker, state: Mapping[str, Any]) -> int:
    """Take over the state of an interrupted stream; the index of its next frame."""
    postprocessing.restore(state["finisher"])
    if state["tracker"] is not None:
        tracker.restore(state["tracker"])
    return int(state["last"]) + 1


class ResultStream(Iterator[FrameResult]):
    """Results of a source, one a frame, in order; what it can be resumed from if it is interrupted.

    Who stops before the end closes it, or takes it in a ``with``, so that the source is let go of at once. Several
    threads may take results from it: each result is given once, and one thread works while the others wait. It ends in
    the process that began it: a forked child is refused.
    """

    def __init__(
        self, batches: Iterable[list[CroppedFrame]], postprocessing: Postprocessing, tracker: Tracker | None
    ) -> None:
        self._batches, self._postprocessing, self._tracker = iter(batches), postprocessing, tracker
        if isinstance(self._batches, Generator):
            left_behind(self._batches)
        self._ready: deque[FrameResult] = deque()
        self._over = False
        self._last = -1
        self._began: SameProcess | None = None
        self._taking = Lock()

    def __next__(self) -> FrameResult:
        """The next frame's result."""
        with self._taking:
            if self._began is None:
                self._began = SameProcess("this stream")
            self._began.check()
            while not self._ready:
                if self._over:
                    raise StopIteration
                batch = next(self._batches, None)
                if batch is None:
                    self._over = True
                    self._ready.extend(self._postprocessing.flush())
                else:
                    self._last = batch[-1].tracked.frame.index
                    self._ready.extend(self._postprocessing.push(batch))
            return self._ready.popleft()

    def ready(self) -> list[FrameResult]:
        """The results that are there already, without waiting for any: the rest of the batch, perhaps none."""
        with self._taking:
            taken = list(self._ready)
            self._ready.clear()
            return taken

    def close(self) -> None:
        """Read no further: the source is let go of and its threads end. There are no more results after that.

        Where another thread is waiting for a result, that one is computed first.
        """
        with self._taking:
            self._over = True
            self._ready.clear()
            if self._began is not None and not self._began:
                return  # its threads are in the process that this one was forked from
            if isinstance(self._batches, Generator):
                self._batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def checkpoint(self) -> State | None:
        """What :meth:`affectkit.Predictor.stream` can resume from, right after the result that was given last.

        None between the results of one batch: ask again after the next one.
        """
        with self._taking:
            if self._ready or self._over or self._last < 0:
                return None
            tracker = None if self._tracker is None else self._tracker.state_at(self._last)
            if self._tracker is not None and tracker is None:
                return None
            return {"last": self._last, "tracker": tracker, "finisher": self._postprocessing.state()}


class Session:
    """One camera's frames, taken as they come. Made by :meth:`affectkit.Predictor.session`.

    In a ``with`` it forgets everything at the end; what still waits for later pictures :meth:`flush` returns before.
    It may be called in any thread: ``await asyncio.to_thread(session.push, image, time_s)`` keeps an event loop going.
    One picture is worked on after the other, since each is compared with the one before: a thread that brings an older
    one than another thread has brought is refused. Sessions of one predictor do not disturb each other.
    """

    def __init__(
        self,
        tracker: Tracker,
        spec: ModelSpec,
        postprocessing: Postprocessing,
        name: str,
        baseline: LiveBaseline | None = None,
    ) -> None:
        self._tracker, self._spec, self._postprocessing, self._name = tracker, spec, postprocessing, name
        self._baseline = baseline
        self._count = 0
        self._clock = Clock()
        self._working = Lock()

    def push(self, image: UInt8, time_s: float) -> list[FrameResult]:
        """Take the next picture.

        Args:
            image: RGB uint8 (H, W, 3); its size may change.
            time_s: when it was taken, seconds of any clock; each later than the one before.

        Returns:
            the results that are ready, in order: with a lookahead of 0 that of this picture, else the one of
            ``lookahead`` pictures before (none at first).

        Raises:
            ValueError: the time is no number, or not later than that of the picture before.
            TypeError: the picture is no array of uint8, or the time no number.
        """
        picture = RgbPicture(check_image(image))  # refuses what is none, whatever its time
        with self._working:
            self._clock.check(time_s)
            return self.take(Frame(self._count, time_s, picture, self._name))

    def take(self, frame: Frame) -> list[FrameResult]:
        """Like :meth:`push` for a frame that has its number, time and name."""
        with self._working:
            self._count = frame.index + 1
            return self._told(self._postprocessing.push([crop_frame(self._tracker.update(frame), self._spec.input)]))

    def _told(self, results: list[FrameResult]) -> list[FrameResult]:
        return results if self._baseline is None else self._baseline.apply(results)

    def flush(self) -> list[FrameResult]:
        """No more pictures: return what still waited for later ones, and forget all tracks."""
        with self._working:
            results = self._told(self._postprocessing.flush())
            self.reset()
            return results

    def reset(self) -> None:
        """Forget all tracks and what waits; ids begin at 0 again."""
        with self._working:
            self._postprocessing.flush()
            self._tracker.reset()
            if self._baseline is not None:
                self._baseline.reset()
            self._count = 0
            self._clock = Clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
