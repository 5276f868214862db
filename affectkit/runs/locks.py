"""One run at a time on an output: a lock beside it, which the system lets go of when its process dies.

The lock is a file ``.NAME.lock`` that is locked with ``flock``, and removed while the lock is held. A file of that name
that is not locked is what a killed run left.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from affectkit.errors import OutputError
from affectkit.outputs.files import explain_os_error, real_target, short_stem

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

LOOKS_EVERY_S = 0.05

_LISTED = sys.platform.startswith("linux")
"""Whether the system tells which process has a lock. Elsewhere its number is written into the file, which takes some
disks milliseconds more to remove then."""

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
        real = real_target(target)
        self.path = real.with_name(f".{short_stem(real)}{real.suffix}.lock")
        self._file: int | None = None
        self.held = False
        """False while it is not, and on a file system that has no locks."""
        self.after_a_death = False
        """Whether the run that held it before was killed, and may have left something."""

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
            raise explain_os_error(self._target, error) from error
        try:
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
        if not _LISTED:
            with suppress(OSError):
                os.truncate(file, 0)
                os.write(file, str(os.getpid()).encode())
        return True

    def _whose(self) -> str:
        with suppress(OSError, ValueError):
            process = _holder(self.path) if _LISTED else int(self.path.read_text()[:20])
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
            self.path.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(self._file)
        self._file, self.held = None, False


class OutputLocks:
    """The locks of several outputs, all or none. Use as a context manager."""

    def __init__(self, *targets: Path | None, patience_s: float = 0.0) -> None:
        self._locks = [OutputLock(target, patience_s=patience_s) for target in targets if target is not None]

    @property
    def held(self) -> bool:
        """Whether nothing else can be writing these outputs."""
        return all(lock.held for lock in self._locks)

    @property
    def after_a_death(self) -> bool:
        """Whether a run on one of them was killed."""
        return any(lock.after_a_death for lock in self._locks)

    def __enter__(self) -> Self:
        try:
            for lock in self._locks:
                lock.__enter__()
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()

    def _let_go(self) -> None:
        for lock in reversed(self._locks):
            lock.__exit__(None, None, None)


def is_locked(target: Path) -> bool:
    """Whether a run is writing this output now, on a file system that has locks."""
    lock = OutputLock(target)
    if not lock.path.exists():
        return False
    try:
        with lock:
            return False
    except OutputError:
        return True


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
