"""The rows of a table that is not complete yet: a file beside it, which a later run can continue."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TextIO


class LateRows:
    """Rows that wait in memory, and are a file only when they are many, or are to be on the disk.

    Most tables are of short inputs: to make and remove a file for each takes longer than all that is written into it.
    """

    MOST = 1 << 18
    """Characters that wait."""

    def __init__(self, open_file: Callable[[], TextIO], *, at_once: bool) -> None:
        """Open no file yet.

        Args:
            at_once: but for one that is there, and is continued.
        """
        self._open, self._waiting, self._size = open_file, list[str](), 0
        self._file = open_file() if at_once else None

    @property
    def is_none(self) -> bool:
        """Whether no file was made."""
        return self._file is None

    def write(self, text: str) -> int:
        """Take lines."""
        if self._file is not None:
            return self._file.write(text)
        self._waiting.append(text)
        self._size += len(text)
        if self._size > self.MOST:
            self._made()
        return len(text)

    def _made(self) -> TextIO:
        if self._file is None:
            self._file = self._open()
            self._file.writelines(self._waiting)
            self._waiting.clear()
        return self._file

    def flush(self) -> None:
        """Make the file, where there is none yet, and leave nothing out of it."""
        self._made().flush()

    def fileno(self) -> int:
        """Of the file, which is made."""
        return self._made().fileno()

    def close(self) -> None:
        """No more lines come."""
        if self._file is not None:
            self._file.close()

    def lines(self) -> Iterator[str]:
        """All lines, after :meth:`close`."""
        if self._file is None:
            yield from io.StringIO("".join(self._waiting), newline="\n")
            return
        with open(self._file.name, encoding="utf-8", newline="\n") as lines:
            yield from lines
