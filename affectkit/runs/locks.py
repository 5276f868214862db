"""One run at a time on an output: a lock beside it, which the system lets go of when its process dies.

What is locked, with ``flock``, is on Linux the unfinished output itself, ``.NAME.partial.SUFFIX``: to make and remove
one more file for each of thousands of inputs takes some disks longer than to write their tables. Elsewhere it is a file
``.NAME.SUFFIX.lock``, removed while the lock is held. A file of that name that is not locked is what a killed or
interrupted run left.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from affectkit.errors import OutputError
from affectkit.outputs.files import explain_os_error, hidden_stem, real_target, short_stem

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

LOOKS_EVERY_S = 0.05

_IN_PLACE = sys.platform.startswith("linux")
"""Whether the unfinished output is what is locked. Windows does not rename a file that is open, and only Linux lists
which process has a lock; elsewhere its number is written into the file."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What file systems without locks answer."""


class OutputLock:
    """Held while one output is written. Use as a context manager."""

    def __init__(self, target: Path, *, patience_s: float = 0.0) -> None:
        """Name it; nothing is locked yet.

        Args:
            patience_s: how long to wait for a run that is about to end, as one does that was killed a moment ago.
        """
        self._target, self._patience_s = target, patience_s
        self._file: int | None = None
        self.held = False
        """False while it is not, and on a file system that has no locks."""
        self.after_a_death = False
        """Whether the run that held it before was killed, and may have left something."""

    @cached_property
    def path(self) -> Path:
        """What is locked."""
        real = real_target(self._target)
        name = f"{hidden_stem(real)}{real.suffix}" if _IN_PLACE else f".{short_stem(real)}{real.suffix}.lock"
        return real.with_name(name)

    @property
    def unfinished(self) -> Path | None:
        """Where the output can be written until it is finished and renamed: in what is locked; None: elsewhere."""
        return self.path if _IN_PLACE and self.held else None

    def __enter__(self) -> Self:
        until = time.monotonic() + self._patience_s
        while not self._take():
            if time.monotonic() >= until:
                raise OutputError(
                    f"{self._target}: another run is writing it{self._whose()}; let that one finish, or end it first"
                )
            time.sleep(LOOKS_EVERY_S)
        return self

    def _take(self) -> bool:
        """Try once; False where another run has it."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            try:
                file, left = os.open(self.path, flags | os.O_EXCL, 0o666), False
            except FileExistsError:
                file, left = os.open(self.path, flags, 0o666), True
        except OSError as error:
            self._check_way()
            raise explain_os_error(self._target, error) from error
        try:
            self._check_way()  # a pipe can be opened, and would become the output
            _lock(file)
            if not _is(self.path, file):  # whoever had it removed it before it could be locked here
                os.close(file)
                return False if self._patience_s else self._take()
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(file)
                if isinstance(error, BlockingIOError | PermissionError):
                    return False
                raise explain_os_error(self._target, error) from error
            log.warning("%s: this file system has no locks; see to it that only one run writes here", self._target)
            self._file, self.after_a_death = file, True
            return True
        self._file, self.held, self.after_a_death = file, True, left
        if not _IN_PLACE:
            with suppress(OSError):
                os.truncate(file, 0)
                os.write(file, str(os.getpid()).encode())
        return True

    def _check_way(self) -> None:
        """Refuse what has the name of what is locked, and is no file of a run.

        Raises:
            OutputError: it names it.
        """
        with suppress(FileNotFoundError, NotADirectoryError):
            if not stat.S_ISREG(os.lstat(self.path).st_mode):
                raise OutputError(f"{self._target}: {self.path} is in its way, and no file of a run; remove it")

    def _whose(self) -> str:
        with suppress(OSError, ValueError):
            process = _holder(self.path) if _IN_PLACE else int(self.path.read_text()[:20])
            return f" (process {process})"
        return ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if sys.platform == "win32":  # a file that is open cannot be removed there
            os.close(self._file)
        with suppress(OSError):
            # What has something in it is the output by now, or what an interrupted run is continued from.
            if not _IN_PLACE or (os.fstat(self._file).st_size == 0 and _is(self.path, self._file)):
                self.path.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(self._file)
        self._file, self.held = None, False


class OutputLocks:
    """The locks of several outputs, all or none. Use as a context manager, or :meth:`take` them later."""

    def __init__(self, table: Path, *others: Path | None, patience_s: float = 0.0) -> None:
        targets = (table, *(target for target in others if target is not None))
        self._locks = [OutputLock(target, patience_s=patience_s) for target in targets]
        self.taken = False
        """Whether they are, or it was tried on a file system without locks."""

    @property
    def unfinished(self) -> Path | None:
        """Where the table can be written until it is finished (:attr:`OutputLock.unfinished`)."""
        return self._locks[0].unfinished

    @property
    def held(self) -> bool:
        """Whether nothing else can be writing these outputs."""
        return all(lock.held for lock in self._locks)

    @property
    def after_a_death(self) -> bool:
        """Whether a run on one of them was killed."""
        return any(lock.after_a_death for lock in self._locks)

    @property
    def left(self) -> bool:
        """Whether there is what another run has locked, or was killed with."""
        return any(os.path.lexists(lock.path) for lock in self._locks)

    def take(self) -> None:
        """Take those that are not held.

        Raises:
            OutputError: another run has one of them.
        """
        try:
            for lock in self._locks:
                if not lock.held:
                    lock.__enter__()
        except BaseException:
            self._let_go()
            raise
        self.taken = True

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def _let_go(self) -> None:
        self.taken = False
        for lock in reversed(self._locks):
            lock.__exit__(None, None, None)


def _lock(file: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> int:
    """The process that has locked a file, by the system's list. Devices are not compared: some file systems have others
    there than elsewhere.

    Raises:
        OSError: the list or the file cannot be read.
        ValueError: the file is not listed.
    """
    number = os.stat(path).st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, _, process, where, *_ = line.split()
        if kind == "FLOCK" and where.endswith(f":{number}") and int(process) > 0:
            return int(process)
    raise ValueError(path)


def _is(path: Path, file: int) -> bool:
    """Whether a path still leads to this open file."""
    try:
        there, here = os.stat(path), os.fstat(file)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
