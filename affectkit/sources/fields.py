"""Interlaced video: every frame is made of two fields that were taken one after the other, and shows combs where
something moved between them."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Generic, TypeVar

import av
import av.error
from av.filter import Graph

Tag = TypeVar("Tag")


class Deinterlacer(Generic[Tag]):
    """Frames in, the same frames out, in order; those that are marked as interlaced made of their first field.

    FFmpeg's bwdif fills in the other lines, from the fields before and after where nothing moves. It sees the next
    frame before it gives one, so that from the first marked frame on what comes out is one frame late. Until then
    nothing is computed.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._waiting: deque[tuple[av.VideoFrame, Tag]] = deque()
        self._pushed = 0
        self.count = 0
        """Marked frames so far."""

    def push(self, frame: av.VideoFrame, tag: Tag) -> list[tuple[av.VideoFrame, Tag]]:
        """Take a frame; return those that are ready, each with what it was tagged with."""
        shape = frame.width, frame.height, frame.format.name
        ready: list[tuple[av.VideoFrame, Tag]] = []
        marked = bool(frame.interlaced_frame)
        if self._graph is not None and shape != self._shape:
            ready = self.flush()
        if self._graph is None:
            if not marked:
                return [*ready, (frame, tag)]
            self._open(frame)
            self._shape = shape
        self.count += marked
        self._waiting.append((frame, tag))
        assert self._graph is not None
        # Numbered again: bwdif looks at the order only, and a source's times may be anything.
        pts, base = frame.pts, frame.time_base
        frame.pts, frame.time_base = self._pushed, Fraction(1, 25)
        self._pushed += 1
        try:
            self._graph.push(frame)
        except av.error.FFmpegError:  # a kind of pixels that bwdif has no way from
            self._graph = None
            return [*ready, *self._as_they_are()]
        finally:
            frame.pts, frame.time_base = pts, base
        return ready + self._pull()

    def flush(self) -> list[tuple[av.VideoFrame, Tag]]:
        """No more frames: return what is left."""
        if self._graph is None:
            return []
        try:
            self._graph.push(None)
            ready = self._pull()
        except av.error.FFmpegError:
            ready = []
        self._graph = None
        return ready + self._as_they_are()

    def _as_they_are(self) -> list[tuple[av.VideoFrame, Tag]]:
        left = list(self._waiting)
        self._waiting.clear()
        return left

    def _open(self, frame: av.VideoFrame) -> None:
        graph = Graph()
        graph.threads = 1  # the stages of a run work side by side already
        nodes = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)),
            graph.add("bwdif", "mode=send_frame:deint=interlaced"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        self._graph = graph

    def _pull(self) -> list[tuple[av.VideoFrame, Tag]]:
        ready: list[tuple[av.VideoFrame, Tag]] = []
        while self._graph is not None and self._waiting:
            try:
                done = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
            if not isinstance(done, av.VideoFrame):
                break
            frame, tag = self._waiting.popleft()
            done.pts, done.time_base = frame.pts, frame.time_base
            ready.append((done, tag))
        return ready
