"""Files that are written: checked before any work, complete or not at all, and never in place of what is no file."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from affectkit.errors import OutputError

LONGEST_STEM = 200
"""Bytes: names have at most 255, and something is added to them."""


def real_target(path: Path) -> Path:
    """Where a file of this name is written: a link stays, and what it leads to is what is replaced.

    Raises:
        OutputError: a link that leads in a circle.
    """
    if not os.path.islink(path):
        return path
    real = Path(os.path.realpath(path))
    if os.path.islink(real):
        raise OutputError(f"{path}: is a link that leads to no place; remove it, or give another name")
    return real


def check_target(path: Path, *, overwrite: bool) -> Path:
    """Refuse a target before any work is done; where it is written (:func:`real_target`).

    Raises:
        OutputError: its folder is missing or cannot be written to, it exists and may not be replaced, or it is no file
            (a folder, a pipe, a device).
    """
    try:
        real, mode = path, None
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                real, mode = real_target(path), None
                mode = os.stat(real).st_mode
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            raise OutputError(f"{path}: the folder {real.parent} does not exist; create it first") from None
        if mode is not None:
            if stat.S_ISDIR(mode):
                raise OutputError(f"{path}: is a folder; give the name of a file")
            if not stat.S_ISREG(mode):
                raise OutputError(f"{path}: is a pipe or a device, which a file would replace; give another name")
            if not overwrite:
                raise OutputError(f"{path}: exists already; give overwrite=True to replace it, or another name")
        folder = real.parent
        if not os.access(folder, os.W_OK):
            if not os.path.isdir(folder):
                raise OutputError(f"{path}: the folder {folder} does not exist; create it first")
            raise OutputError(f"{path}: the folder {folder} cannot be written to; check its permissions")
        return real
    except OSError as error:  # a name that is too long
        raise explain_os_error(path, error) from error


def explain_os_error(path: Path, error: Exception) -> OutputError:
    """An error of writing (OSError, or FFmpeg's with the same fields), in words that say what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path}: the disk is full; free some space or write elsewhere")
    if number == errno.EFBIG:
        return OutputError(f"{path}: is too large for this disk, or for the limit (ulimit -f); write elsewhere")
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"{path}: cannot be written ({reason}); check the path and its permissions")


def short_stem(path: Path | str) -> str:
    """A file's name without its suffix, short enough for something to be added; those of two files are never the same.

    Of a path it is the last part. Names that are too long, or are no text, get a digest in place of what is left out.
    """
    name = path if isinstance(path, str) else path.name
    dot = name.rfind(".")
    stem = name[:dot] if 0 < dot < len(name) - 1 else name  # as Path.stem, which takes longer
    if stem.isascii() and len(stem) <= LONGEST_STEM:  # most names, and of each input it is asked for several times
        return stem
    data = os.fsencode(stem)
    short = data[:LONGEST_STEM].decode("utf-8", "ignore")
    if short == stem:
        return short
    digest = hashlib.sha256(data).hexdigest()[:12]
    return f"{data[: LONGEST_STEM - 13].decode('utf-8', 'ignore')}~{digest}"


def hidden_stem(path: Path) -> str:
    """What the names begin with of all that is unfinished of a file: ``.NAME.partial``.

    A suffix follows, last, since some writers choose the container by it; before it the number of the process, where
    that matters. Nothing of another file has such a name: ``t.12.csv`` is unfinished as ``.t.12.partial.csv``, and not
    as ``.t.partial.12.csv``.
    """
    return f".{short_stem(path)}.partial"


class PartialFile:
    """A temporary name beside the target that becomes the target at the end."""

    def __init__(self, target: Path, *, overwrite: bool = False, path: Path | None = None) -> None:
        """Choose the name; nothing is written.

        Args:
            path: the temporary file, where an interrupted run left one.

        Raises:
            OutputError: as of :func:`check_target`.
        """
        self.target, self._overwrite = target, overwrite
        self._real = check_target(target, overwrite=overwrite)
        if path is None:
            path = self._real.with_name(f"{hidden_stem(self._real)}.{os.getpid()}{target.suffix}")
        self.path = path

    def check(self) -> None:
        """Refuse to replace what another program may have made meanwhile.

        Raises:
            OutputError: the final name is taken by now, and may not be.
        """
        if not self._overwrite:
            check_target(self.target, overwrite=False)

    def commit(self, *, keep: bool = False) -> None:
        """Give it the final name.

        Args:
            keep: where that fails, leave it as it is; else it is removed.

        Raises:
            OutputError: it cannot be had, or is taken by now and may not be replaced.
        """
        try:
            self.check()
            os.replace(self.path, self._real)
        except (OSError, OutputError) as error:
            if not keep:
                self.discard()
            raise error if isinstance(error, OutputError) else explain_os_error(self.target, error) from error

    def discard(self) -> None:
        """Remove it if it is there."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def opened_empty(path: str, flags: int) -> int:
    """An opener for ``open``, which empties only what is not empty: ext4 would put what is written after that on the
    disk at once, and wait for it.
    """
    file = os.open(path, flags & ~os.O_TRUNC, 0o666)
    if flags & os.O_TRUNC and os.fstat(file).st_size:
        os.ftruncate(file, 0)
    return file


@contextmanager
def written_whole(path: Path, *, overwrite: bool = True, at: Path | None = None) -> Iterator[Path]:
    """A temporary name to write a file under, which has its final one at the end; where writing fails, none is left.

    Args:
        at: the temporary name, for what a killed process leaves to be replaced by the next; None: one of this process.

    Raises:
        OutputError: as of :func:`check_target`, or the disk is full.
    """
    partial = PartialFile(path, overwrite=overwrite, path=at)
    try:
        yield partial.path
    except OSError as error:
        partial.discard()
        raise explain_os_error(path, error) from error
    except BaseException:
        partial.discard()
        raise
    partial.commit()


def write_whole(path: Path, data: bytes, *, overwrite: bool = True, synced: bool = False) -> None:
    """Write a file, complete or not at all.

    Args:
        synced: whether it also outlives a power cut a moment later, which takes longer.

    Raises:
        OutputError: as of :func:`check_target`, or the disk is full.
    """
    with written_whole(path, overwrite=overwrite) as partial, partial.open("wb") as file:
        file.write(data)
        if synced:
            file.flush()
            os.fsync(file.fileno())


def prepare_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> PartialFile:
    """Write a whole file under its temporary name; ``commit`` gives it the final one.

    Raises:
        OutputError: as of :func:`check_target`, or the disk is full.
    """
    partial = PartialFile(path, overwrite=overwrite)
    try:
        partial.path.write_bytes(data)
    except OSError as error:
        partial.discard()
        raise explain_os_error(path, error) from error
    except BaseException:
        partial.discard()
        raise
    return partial
