"""Files that are not needed any more, kept to be written again under other names.

An input from a store lies on this machine for a moment. To make and remove a file takes some disks longer than to write
it: ext4 without a journal, for one, looks past all that was removed in the last minutes whenever it makes one.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import BinaryIO

MOST = 4
"""Files that are kept."""

_numbers = itertools.count()


def input_name(rest: str) -> str:
    """What a file of this process is called, so that others know whether the process is alive."""
    return f"input-{os.getpid()}-{machine_mark()}-{rest}"


@cache
def machine_mark() -> str:
    """Tells the processes of this machine, or of this container, from those of others that share a folder: each counts
    its own.
    """
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:6]


@dataclass(slots=True)
class _Spares:
    folder: str
    """With a separator at its end."""
    files: list[str] = field(default_factory=list)
    """What is in them stays until they are written: what is emptied first, ext4 puts on the disk at once."""


_kept: _Spares | None = None


@contextmanager
def spare_files_kept(folder: str) -> Iterator[None]:
    """While many inputs are gone through. What is kept goes at the end.

    Args:
        folder: only what lies in it is kept and made. What a killed process leaves there is removed by the next one
            (:func:`affectkit.runs.brought.sweep`).
    """
    global _kept
    before, _kept = _kept, _Spares(os.path.join(folder, ""))
    try:
        yield
    finally:
        spares, _kept = _kept, before
        for path in spares.files if spares is not None else ():
            remove(path)


def put_away(path: str) -> None:
    """A file is not needed any more: keep it, or remove it. Nothing may use it by now."""
    if _kept is not None and path.startswith(_kept.folder) and len(_kept.files) < MOST:
        spare = f"{_kept.folder}{input_name(f'spare{next(_numbers)}')}"
        with suppress(OSError):
            os.rename(path, spare)
            _kept.files.append(spare)
            return
    remove(path)


def made_of_spare(path: str) -> bool:
    """Make a file of this name, which no other has, if there is one to make it of; whether that was done. It is to be
    written by :func:`overwritten`.
    """
    if _kept is None or not _kept.files or not path.startswith(_kept.folder):
        return False
    with suppress(OSError):
        os.rename(_kept.files.pop(), path)
        return True
    return False


@contextmanager
def overwritten(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to be written, whether it is there or not; nothing of what is in it stays."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o666), "wb") as file:
        yield file
        file.truncate()


def remove(path: str | os.PathLike[str]) -> None:
    """If it is there, and that can be done."""
    with suppress(OSError):
        os.unlink(path)
