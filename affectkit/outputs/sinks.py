"""Where results go: what takes them has, and what one does when it is over."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from affectkit.face_results import FrameResult


class Sink(Protocol):
    """Where results go. Used as a context manager: completed on success, undone when an exception passes."""

    def write(self, result: FrameResult) -> None:
        """Take the next frame's result."""
        ...

    def close(self) -> None:
        """Complete the output and give it its final name."""
        ...

    def abort(self) -> None:
        """Remove what was written; whatever stood under the final name stays."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TableSink(Sink, Protocol):
    """A sink whose output a later run can continue when this one was interrupted."""

    def position(self) -> tuple[Path, int]:
        """The file that rows are appended to, and its length so far, all of which is on the disk by then."""
        ...

    def suspend(self) -> None:
        """Let go of the file and leave it, for a later run to continue."""
        ...

    def prepare(self) -> None:
        """Write all that is missing, so that nothing but the final name is. Where that fails the rows are left."""
        ...

    def check(self) -> None:
        """Refuse what was prepared its final name, where another program has taken it meanwhile. The rows are left."""
        ...

    def commit(self) -> None:
        """Give what was prepared its final name. Where that fails the rows are left."""
        ...

    @property
    def held(self) -> bytes | None:
        """What was prepared, where it is not on the disk."""
        ...


class Completed:
    """A context that completes an output on success, and undoes it when an exception passes."""

    def close(self) -> None:
        """Complete the output and give it its final name."""
        raise NotImplementedError

    def abort(self) -> None:
        """Remove what was written; whatever stood under the final name stays."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
