"""Inputs that are elsewhere and are read here, and outputs that go elsewhere: object stores and web servers."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from affectkit.errors import OutputError, SourceError, needs
from affectkit.options import StreamOptions, fields_of
from affectkit.outputs.files import short_stem
from affectkit.outputs.spare_files import input_name, machine_mark, made_of_spare, put_away, remove
from affectkit.runs.fetch import MAX_BYTES, Facts, fetch_http, http_facts
from affectkit.runs.job import Job
from affectkit.runs.schemes import is_http, is_store
from affectkit.sources.base import Source, SourceInfo, SourceReport
from affectkit.sources.limits import Opening
from affectkit.sources.names import split_url
from affectkit.sources.opening import open_source
from affectkit.types import Frame

_LISTS = ("mpegurl", "dash+xml")
"""In the MIME type of what is a list of other files, which FFmpeg reads where it is."""

OLD_S = 7 * 86400.0
"""Age at which a fetched input belongs to no process any more."""

LONGEST_SUFFIX = 16
"""Of the file that an input is brought to: object stores have longer names than disks."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How inputs are brought here."""

    scratch: str | None = None
    """Folder for them, and for outputs until they are uploaded; None: the system's for temporary files."""
    max_bytes: int = MAX_BYTES
    """Of one input; a larger one is not fetched."""

    @property
    def place(self) -> str:
        """The folder's path; of each user another one."""
        return self.scratch or f"{tempfile.gettempdir()}{os.sep}affectkit-{_user()}"

    def folder(self) -> str:
        """Made when it is needed.

        Raises:
            OutputError: it cannot be made.
        """
        # Asked of every input: on a machine that runs for weeks such folders are tidied away.
        make_staging(self.place, mode=0o700)
        return self.place

    def staging(self, base: str) -> Path:
        """Where the outputs of a folder of a store lie until they are uploaded: for each another place.

        Raises:
            OutputError: as :meth:`folder`.
        """
        return Path(self.folder(), f"outputs-{hashlib.sha256(base.encode()).hexdigest()[:16]}")


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An input that is from elsewhere."""

    path: Path | str
    """Where it lies here, or the URL of what is read where it is."""
    name: str
    """What tables and messages call it."""
    contents: list[Any]
    """What tells it from another one of its name."""

    def open(self, opening: Opening) -> Source:
        """Open it under its own name.

        Raises:
            AffectKitError: as :func:`affectkit.open_source`.
        """
        try:
            return _Renamed(open_source(self.path, **fields_of(opening)), self)
        except SourceError as error:
            raise self._named(error) from error

    def _named(self, error: SourceError) -> SourceError:
        return type(error)(str(error).replace(str(self.path), self.name))


class _Renamed:
    """A source under another name."""

    def __init__(self, source: Source, fetched: Fetched) -> None:
        self._source, self._fetched = source, fetched

    @property
    def info(self) -> SourceInfo:
        """See :class:`Source`; its name is still the path, from which the sound is taken."""
        return self._source.info

    @property
    def report(self) -> SourceReport:
        """See :class:`Source`."""
        return self._source.report

    def frames(
        self, *, start_s: float = -math.inf, end_s: float = math.inf, every: int = 1, first: int = 0
    ) -> Iterator[Frame]:
        """See :class:`Source`."""
        try:
            for frame in self._source.frames(start_s=start_s, end_s=end_s, every=every, first=first):
                yield dataclasses.replace(frame, name=self._fetched.name)
        except SourceError as error:
            raise self._fetched._named(error) from error


@cache
def stores() -> ModuleType:
    """The module that knows object stores.

    Raises:
        MissingDependency: fsspec is not installed.
    """
    with needs("fsspec", "cloud", "an object store"):
        from affectkit.runs import stores as found
    return found


@dataclass(slots=True)
class Stopwatch:
    """Adds up the time of what is done in it: a context manager, which is entered again and again."""

    seconds: float = 0.0
    _since: float = 0.0

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic() - self._since


def is_elsewhere(source: str) -> bool:
    """Whether an input is in a store, or on a web server."""
    return is_store(source) or is_http(source)


def facts_of_input(source: str) -> Facts | None:
    """Size and mark of an input that is elsewhere; None: a stream without an end, or a playlist.

    Raises:
        SourceError: it cannot be asked for.
    """
    if is_store(source):
        found: Facts = stores().facts(source)
        return found
    facts = http_facts(source)
    return None if facts.size is None or any(kind in facts.kind for kind in _LISTS) else facts


@contextmanager
def brought(
    job: Job, facts: Facts | None, asked: StreamOptions, transfer: Transfer, clock: Stopwatch
) -> Iterator[Fetched | None]:
    """An input from elsewhere, brought here; it is removed at the end.

    What has no end is read where it is, and so is a recording on a web server that can give parts of it, where only a
    part is asked for, or where it is too large.

    Args:
        facts: as of :func:`facts_of_input`.
        clock: times the transfer.

    Raises:
        SourceError: it cannot be had, or is too large.
    """
    source = job.source
    if facts is None:
        yield None
        return
    large = facts.size is not None and facts.size > transfer.max_bytes
    part = (asked.start_s, asked.end_s) != (-math.inf, math.inf)
    if is_http(source) and facts.ranges and (large or part):
        yield Fetched(source, job.name, facts.contents())
        return
    if large:
        raise SourceError(
            f"{job.name}: has {(facts.size or 0) / 2**30:.1f} GiB, more than --max-download allows; give it more"
        )
    sweep(transfer)
    path = _own_file(transfer, split_url(source).path.rpartition("/")[2])
    try:
        with clock:
            _fetch(job, path, facts)
        yield Fetched(path, job.name, facts.contents())
    except BaseException:
        remove(path)
        raise
    put_away(path)


def _fetch(job: Job, path: str, facts: Facts) -> None:
    try:
        if is_store(job.source):
            stores().fetch(job.source, path, facts.size)
        else:
            fetch_http(job.source, path, facts)
    except OSError as error:  # the file cannot be made, or its last bytes have no room
        raise SourceError(
            f"{job.name}: cannot be kept in {os.path.dirname(path)} ({error.strerror or error}); "
            "free some space, or give --scratch"
        ) from error


def make_staging(folder: str | Path, mode: int = 0o777) -> None:
    """Make a folder that something from a store or for one lies in for a while.

    Raises:
        OutputError: it cannot be made.
    """
    if os.path.isdir(folder):
        return
    try:
        Path(folder).mkdir(mode, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror}); give another one with --scratch") from error


def _own_file(transfer: Transfer, name: str) -> str:
    """Where an input is brought: no other one has the name. In no folder of its own, which would have to be made and
    removed for each, milliseconds on some disks.
    """
    suffix = os.path.splitext(name)[1]
    suffix = suffix if len(os.fsencode(suffix)) <= LONGEST_SUFFIX else ""
    unique = input_name(f"{_token(os.getpid())}-{next(_numbers)}-{short_stem(name)}{suffix}")
    path = os.path.join(transfer.folder(), unique)
    made_of_spare(path)
    return path


_numbers = itertools.count()


@cache
def _token(process: int) -> str:
    """Tells a process from others of its number, as there are in containers."""
    return secrets.token_hex(4)


def upload(job: Job, *, people: bool = True, held: Mapping[Path, bytes] | None = None) -> None:
    """Bring those of a job's outputs to their store that go to one; the table last, so that where it is, everything is.

    Args:
        held: those that are not on the disk.
        people: whether there was a face, without which there is no contact sheet.

    Raises:
        SourceError: the store does not take them.
    """
    table, video, sheet = job.urls
    pairs = [(job.meta, table and f"{table}.meta.json"), (job.video, video), (job.sheet, sheet), (job.table, table)]
    gone = [(path, url) for path, url in pairs if path is not None and url is not None]
    held = held or {}
    for path, url in gone:
        if path in held:
            stores().write(held[path], url)
        elif (people or path != job.sheet) and os.path.exists(path):
            stores().put(path, url)
    for path in [path for path, _ in gone if path not in held]:
        remove(path)


@cache
def sweep(transfer: Transfer) -> None:
    """Remove inputs that killed processes of this machine left, and old ones of others; once in a process.

    Other machines and containers that share the folder have processes of their own, of which nothing is known here.
    """
    for left in Path(transfer.folder()).glob("input-*"):
        number, _, rest = left.name.removeprefix("input-").partition("-")
        if not number.isdecimal():
            continue
        with suppress(OSError):
            if rest.startswith(f"{machine_mark()}-") and os.name != "nt":
                try:
                    os.kill(int(number), 0)
                except ProcessLookupError:
                    _remove(left)
            elif time.time() - left.stat().st_mtime > OLD_S:
                _remove(left)


def _remove(left: Path) -> None:
    """A file, or a folder of an older version."""
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        remove(left)
