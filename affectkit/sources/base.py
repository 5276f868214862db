"""What every source promises, and what it tells of itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from affectkit.documented import fields_shown
from affectkit.sources.streams import Film
from affectkit.types import Frame


@fields_shown
@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says of itself before it is read."""

    name: str
    """As given: path, URL, or ``array``."""
    width: int | None
    """Upright, px; None where unknown."""
    height: int | None
    frames: int | None
    """Number of frames where it is known beforehand (a container may be wrong)."""
    fps: float | None
    """Average rate; None for pictures without times."""
    rotation_deg: int
    """Clockwise turn that was applied to bring the picture upright: 0, 90, 180 or 270."""
    has_audio: bool
    mirrored: bool = False
    """Whether left and right were exchanged before the turn, as the file asks for."""
    paced: bool = False
    """Whether frames come when they come (a camera, a stream, an iterator), and not as fast as they are read."""
    alone: bool = False
    """Whether its pictures need have nothing to do with each other: a folder of them, without times."""
    film: Film | None = None
    """Of a video: its format, and which of its video streams is read."""


@fields_shown
@dataclass(frozen=True, slots=True)
class LeftOut:
    """What lies in a folder of pictures and is not read."""

    name: str
    reason: str
    worth_telling: bool = True
    """Whether a user might miss it."""


@fields_shown
@dataclass(slots=True)
class SourceReport:
    """What reading a source came to; filled while it is read."""

    frames: int = 0
    """Decoded, whether or not they were handed out."""
    corrupt: int = 0
    """Packets or pictures that could not be decoded and were left out."""
    concealed: int = 0
    """Frames that were decoded with damage, their missing parts filled in by the decoder."""
    complete: bool = True
    """False where the source ended before the end it announces, or a part was unreadable."""
    problem: str = ""
    """In words, where something was wrong."""
    dropped: int = 0
    """Live: frames that came while one before was worked on, and were left out for a newer one."""
    reconnects: int = 0
    """Live: times that the source broke off and came back; tries that led to nothing do not count."""
    stalls: int = 0
    """Live: times that no frame came for longer than the source was given."""
    resized: int = 0
    """Live: times that the picture changed its size."""
    times: dict[str, Any] | None = None
    """Where the times come from: :meth:`affectkit.sources.timing.Clock.told`. None: there are none."""
    deinterlaced: int = 0
    """Frames that were made of two fields each."""
    reduced: int = 0
    """Pictures of more than 40 megapixels, and such frames in RGB, that were read at a whole fraction of their size."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Of a folder: what lies in it and was not read."""


@runtime_checkable
class Source(Protocol):
    """Frames in order, once. It is read in one thread at a time; for several, open it several times."""

    @property
    def info(self) -> SourceInfo:
        """What is known beforehand."""
        ...

    @property
    def report(self) -> SourceReport:
        """What was seen so far."""
        ...

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """Decode; hand out the frames with ``start_s <= time < end_s`` whose index is a multiple of ``every``.

        Those with an index under ``first`` were handed out in another run already, and are only decoded.

        All frames are decoded and counted, so ``Frame.index`` is exact whatever is left out. Frames without a time are
        never left out by time.
        """
        ...


class Described:
    """What the sources share: what is known of them beforehand, and what reading them came to."""

    _info: SourceInfo
    _report: SourceReport

    @property
    def info(self) -> SourceInfo:
        """See :class:`Source`."""
        return self._info

    @property
    def report(self) -> SourceReport:
        """See :class:`Source`."""
        return self._report
