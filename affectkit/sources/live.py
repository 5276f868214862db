"""Cameras, streams from the network, pipes: sources that go on by themselves."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import av.error
import av.stream
import cv2
import numpy as np

from affectkit.errors import SourceError
from affectkit.forking import SameProcess
from affectkit.picture import RgbPicture
from affectkit.sources.base import Described, SourceInfo, SourceReport
from affectkit.sources.converter import FrameConverter, shrunk
from affectkit.sources.fields import Deinterlacer
from affectkit.sources.gate import in_words, open_container
from affectkit.sources.geometry import Geometry
from affectkit.sources.limits import MAX_PIXELS, Opening
from affectkit.sources.names import is_url, printable
from affectkit.sources.streams import announced_length_s, prepare
from affectkit.types import Frame, UInt8

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Shown:
    """A picture of a live source, as it came."""

    time_s: float | None
    """The source's own clock; None: it has none."""
    image: av.VideoFrame | UInt8
    geometry: Geometry = field(default_factory=Geometry)


@dataclass(slots=True, eq=False)
class _LiveRun:
    """What the thread that reads a live source, and the one that takes its pictures, share."""

    report: SourceReport
    over: threading.Event = field(default_factory=threading.Event)
    newest: tuple[int, float, _Shown] | None = None
    """Its number, its time, and it; None: taken already."""
    failure: Exception | None = None
    has_end: bool = False
    """Whether the source says how long it is."""
    missing: str = ""
    """What a recording lacks that ended before the end that it announced, in words."""
    here: SameProcess = field(default_factory=lambda: SameProcess("the live source that is being read"))


LARGEST_STEP_S = 10.0
"""More between two pictures of one connection is a jump of its clock, and no pause."""


def _missing(container: av.container.InputContainer, stream: av.VideoStream, shown_s: float) -> str:
    """What a recording lacks that ended too early, in words; empty: nothing, or it says nothing of its length."""
    announced_s = announced_length_s(container, stream) or 0.0
    if math.isnan(shown_s) or shown_s + max(1.0, 0.02 * announced_s) >= announced_s:
        return ""
    return f"ended after {shown_s:.1f} of {announced_s:.1f} s"


class LiveSource(Described):
    """A source that goes on by itself: a camera, a stream from the network, a pipe, or a file shown at its own pace.

    It is read in a thread of its own. Of the pictures that came since the last one was taken only the newest is kept,
    so nothing ever queues up; the others are counted in ``report.dropped``. A camera or a stream that breaks off is
    opened again, after longer and longer waits; a recording is not, which would begin at its first frame: what it
    lacks is told in ``report``. ``Frame.index`` counts all pictures; ``Frame.time_s`` is seconds since the first one,
    by the source's clock where it has one. It is read in one thread at a time; :meth:`close` may be called in any.
    """

    def __init__(
        self,
        where: int | str | os.PathLike[str],
        *,
        retry_s: float = 60.0,
        stall_s: float = 5.0,
        input_format: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Name the source; it is opened when it is read.

        Args:
            where: number of a camera, a URL (rtsp, http ...), a path (also of a pipe), or ``-`` for standard input.
            retry_s: how long to try to open a source again that broke off; what never opened is not tried again.
            stall_s: how long may pass without a picture before that is reported.
            input_format: as for :func:`open_source`.
            max_pixels: as for :func:`open_source`.

        Raises:
            SourceError: there is no such file.
            ValueError: FFmpeg reads no format of that name; ``max_pixels`` is under 1.
        """
        self._opening = Opening("cpu", input_format, max_pixels)
        name = os.fspath(where) if not isinstance(where, int) else str(where)
        self._camera = int(name) if name.isdecimal() else None
        self._where, self._retry_s, self._stall_s = name, retry_s, stall_s
        self._paces = False  # a file comes as fast as it is read, and has to be held back
        if self._camera is None and name != "-" and not is_url(name):
            path = Path(name)
            if not path.exists():
                raise SourceError(f"{name}: no such file, pipe or camera; give a camera's number, a URL or a path")
            self._paces = path.is_file()
        self._name = f"camera {name}" if self._camera is not None else "stdin" if name == "-" else printable(name)
        self._returns = self._camera is not None or is_url(name)
        self._report = SourceReport()
        self._info = SourceInfo(self._name, None, None, None, None, 0, has_audio=False, paced=True)
        self._changed = threading.Condition()
        self._run = _LiveRun(self._report)

    def frames(self) -> Iterator[Frame]:
        """The newest picture, each time one is asked for; ends when the source does, or :meth:`close` was called.

        A source that broke off and did not come back in time ends too; ``report`` says so.

        Raises:
            SourceError: it cannot be opened, or shows nothing.
        """
        self._report = report = SourceReport()
        self._run = run = _LiveRun(report)  # of its own: the thread of one before may still wait for its source
        reader = threading.Thread(target=self._read, args=(run,), name=f"affectkit {self._name}", daemon=True)
        reader.start()
        developer, size = FrameConverter(), None
        try:
            while (taken := self._take(run, reader)) is not None:
                index, time_s, shown = taken
                image = shown.image
                if isinstance(image, av.VideoFrame):
                    picture, reduced = shrunk(developer.picture(image, shown.geometry))
                else:
                    picture, reduced = RgbPicture(image), 1
                report.resized += size is not None and size != picture.shape
                size = picture.shape
                report.reduced += reduced > 1
                yield Frame(index, time_s, picture, self._name, reduced)
        finally:
            self._end(run)
            reader.join(timeout=2.0)  # one that waits for a silent source ends with the process
        if run.failure is not None:
            raise run.failure
        if not report.frames:
            raise SourceError(f"{self._name}: ended without a single picture; check the source")

    def close(self) -> None:
        """End :meth:`frames`, also from another thread."""
        self._end(self._run)

    def _end(self, run: _LiveRun) -> None:
        if not run.here:  # whoever held the lock is in the process that forked
            return
        run.over.set()
        with self._changed:
            self._changed.notify_all()

    def _take(self, run: _LiveRun, reader: threading.Thread) -> tuple[int, float, _Shown] | None:
        """Wait for a picture that has not been taken; None at the end."""
        run.here.check()
        waited_since, told = time.monotonic(), False
        with self._changed:
            while run.newest is None:
                if run.over.is_set() or not reader.is_alive():
                    return None
                self._changed.wait(0.2)  # not for ever, or Ctrl-C would wait with it
                if not told and time.monotonic() - waited_since > self._stall_s:
                    told = True
                    run.report.stalls += 1
                    log.warning("%s: no picture for %.0f s; still waiting", self._name, self._stall_s)
            taken, run.newest = run.newest, None
            return taken

    def _read(self, run: _LiveRun) -> None:
        """In the thread: keep the newest picture at hand."""
        began: float | None = None
        last_s, offset_s, before_s = -math.inf, 0.0, math.nan
        try:
            for opened, shown in self._connections(run):
                began = time.monotonic() if began is None else began
                now_s = time.monotonic() - began
                time_s, clock_s = now_s, shown.time_s
                if clock_s is not None:
                    # Each connection starts the source's clock again, and some sources jump in between.
                    if opened or not 0 <= clock_s - before_s <= LARGEST_STEP_S:
                        offset_s = (now_s if not self._paces else max(0.0, last_s + 0.04)) - clock_s
                    before_s = clock_s
                    time_s = clock_s + offset_s
                if self._paces:
                    run.over.wait(max(0.0, time_s - now_s))
                time_s = last_s = max(time_s, last_s + 1e-6)
                with self._changed:
                    run.report.dropped += run.newest is not None
                    run.newest = run.report.frames, time_s, shown
                    run.report.frames += 1
                    self._changed.notify_all()
                if run.over.is_set():
                    return
        except Exception as error:
            run.failure = error if isinstance(error, SourceError) else SourceError(f"{self._name}: {error}")
        finally:
            with self._changed:
                self._changed.notify_all()

    def _connections(self, run: _LiveRun) -> Iterator[tuple[bool, _Shown]]:
        """Pictures, each with whether it is the first one after the source was opened."""
        wait_s, lost_at, report, lost = 0.25, 0.0, run.report, False
        while not run.over.is_set():
            problem, seen = "ended", False
            try:
                for shown in self._camera_pictures(run) if self._camera is not None else self._stream_pictures(run):
                    report.reconnects += lost and not seen  # it is back; tries alone do not count
                    yield not seen, shown
                    seen, lost, wait_s = True, False, 0.25
            except (av.error.FFmpegError, OSError) as error:
                problem = in_words(error)
            if not report.frames:
                if problem != "ended":
                    raise SourceError(f"{self._name}: cannot be opened ({problem}); check it, and what else uses it")
                return
            if not self._returns or run.has_end:
                if problem != "ended":
                    report.complete, report.problem = False, f"reading stopped: {problem}"
                elif run.missing and not run.over.is_set():
                    report.complete, report.problem = False, run.missing
                return
            lost_at, lost = time.monotonic() if seen else lost_at, True
            left_s = self._retry_s - (time.monotonic() - lost_at)
            if left_s <= 0:
                report.complete, report.problem = False, f"broke off ({problem}) and did not come back"
                return
            wait_s = min(wait_s, left_s)
            log.warning("%s: broke off (%s); trying again in %.1f s", self._name, problem, wait_s)
            run.over.wait(wait_s)
            wait_s = min(30.0, 2 * wait_s)

    def _stream_pictures(self, run: _LiveRun) -> Iterator[_Shown]:
        # Its own unbuffered file: Python could not end while a thread waits in the lock of sys.stdin's buffer.
        piped = os.fdopen(os.dup(0), "rb", buffering=0) if self._where == "-" else None
        try:
            with open_container(piped or self._where, self._opening, name=self._name) as container:
                stream = prepare(container, self._opening, self._name)
                run.has_end = bool(stream.frames or container.duration)  # a file that a server hands out
                self._paces |= run.has_end and is_url(self._where)
                geometry: Geometry | None = None
                first_s, reached_s = math.nan, math.nan
                fields = Deinterlacer[float | None]()
                for packet in container.demux(stream):
                    if run.over.is_set():
                        return
                    try:
                        pictures = packet.decode()
                    except av.error.FFmpegError:
                        run.report.corrupt += 1
                        continue
                    for frame in pictures:
                        if not isinstance(frame, av.VideoFrame):
                            continue
                        geometry = Geometry.of(frame, stream) if geometry is None else geometry
                        if frame.time is not None:
                            first_s = frame.time if math.isnan(first_s) else first_s
                            reached_s = frame.time
                        run.report.concealed += frame.is_corrupt
                        for done, time_s in fields.push(frame, frame.time):
                            yield _Shown(time_s, done, geometry)
                            run.report.deinterlaced = fields.count
                for done, time_s in fields.flush():
                    yield _Shown(time_s, done, geometry or Geometry())
                run.missing = _missing(container, stream, reached_s - first_s)
        finally:
            if piped is not None:
                piped.close()

    def _camera_pictures(self, run: _LiveRun) -> Iterator[_Shown]:
        assert self._camera is not None
        camera = cv2.VideoCapture(self._camera)
        try:
            if not camera.isOpened():
                raise OSError("no such camera, or it is in use")
            while not run.over.is_set():
                there, picture = camera.read()
                if not there:
                    raise OSError("the camera gave no picture")
                yield _Shown(None, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))
        finally:
            camera.release()
