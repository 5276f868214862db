"""Where the outputs of each input go, and whether one would replace what is to be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

import click

from affectkit.errors import OutputError
from affectkit.outputs.files import explain_os_error
from affectkit.runs.brought import Transfer, stores
from affectkit.runs.inputs import Input
from affectkit.runs.job import Job
from affectkit.runs.schemes import is_store
from affectkit.sources.names import is_url, split_url


@dataclass(frozen=True, slots=True)
class Places:
    """Where outputs go, as a user says it. Names that end in a slash, or are of folders that exist, are folders."""

    output: str | None = None
    """Of the table; None: ``NAME.csv`` in the current folder."""
    render: str | None = None
    contact_sheet: str | None = None
    keep_tree: bool = False
    """Whether outputs lie below their folders as the inputs below theirs."""
    suffix: str = ".csv"
    """Of the tables in a folder."""

    def named(self) -> tuple[tuple[str, str], ...]:
        """The options that are given, and what they say."""
        pairs = (("-o", self.output), ("--render", self.render), ("--contact-sheet", self.contact_sheet))
        return tuple((option, given) for option, given in pairs if given is not None)


class Plan:
    """The jobs of a command. They are made one after the other as they are asked for, so that none are held."""

    def __init__(
        self, inputs: Sequence[Input], places: Places, transfer: Transfer | None = None, *, several: bool | None = None
    ) -> None:
        """Work out where everything goes.

        Args:
            transfer: where outputs lie that go to a store.
            several: whether outputs have to be folders; None: if there is more than one input.

        Raises:
            click.UsageError: several inputs and no folder, or two inputs that would write the same table.
        """
        self._inputs, self._places = inputs, places
        if several if several is not None else len(inputs) > 1:
            for option, given in places.named():
                if not is_folder(given):
                    mend = f"give --output-dir {given}" if option == "-o" else f"write {given}/ to have it made"
                    raise click.UsageError(f"{given}: with several inputs {option} must be a folder; {mend}")
        if places.keep_tree and (places.output is None or not is_folder(places.output)):
            raise click.UsageError("--keep-tree mirrors folders below --output-dir, which is missing")
        # Looked up once, not for every input.
        self._whole = {given for _, given in places.named() if is_folder(given)}
        self._local = {given: _local(given, transfer or Transfer()) for _, given in places.named()}
        kinds = ((places.output, places.suffix), (places.render, ".mp4"), (places.contact_sheet, ".jpg"))
        self._kinds = tuple(
            None if given is None else (given in self._whole, suffix, given if is_store(given) else None, given)
            for given, suffix in kinds
        )
        self._stored: frozenset[str] | None = None
        self._check_names()
        table = places.output
        if table is not None and is_store(table) and table in self._whole:
            self._stored = frozenset(url for url in stores().there(table) if url.endswith(places.suffix))

    def __len__(self) -> int:
        return len(self._inputs)

    def __iter__(self) -> Iterator[Job]:
        return (self._job(one) for one in self._inputs)

    def folders(self) -> Iterator[Path]:
        """Those of a mirrored tree, and of what goes to a store until it is there; each once."""
        made: set[Path] = set()
        elsewhere = any(is_store(given) for _, given in self._places.named())
        for job in self if self._places.keep_tree or elsewhere else ():
            if job.is_stored_table:
                continue
            for path, url in zip((job.table, job.video, job.sheet), job.urls, strict=True):
                wanted = path is not None and (self._places.keep_tree or url is not None)
                if path is not None and wanted and path.parent not in made:
                    made.add(path.parent)
                    yield path.parent

    def _job(self, one: Input) -> Job:
        places = self._places
        stem = _mirrored_stem(one) if places.keep_tree else _stem(one.name)

        def at(kind: tuple[bool, str, str | None, str] | None) -> tuple[Path | None, str | None]:
            if kind is None:
                return None, None
            is_whole, suffix, url, given = kind
            name = stem + suffix if is_whole else ""
            return self._local[given] / name, None if url is None else url + name

        (table, at_1), (video, at_2), (sheet, at_3) = map(at, self._kinds)
        absent = self._stored is not None and at_1 not in self._stored
        return Job(one.name, table or Path(stem + places.suffix), video, sheet, (at_1, at_2, at_3), absent)

    def _check_names(self) -> None:
        """Refuse two inputs that would write the same table."""
        if len(self._inputs) < 2:
            return
        seen: dict[bytes, int] = {}
        for number, job in enumerate(self):
            key = hashlib.blake2b(os.fsencode(job.table), digest_size=16).digest()
            first = seen.setdefault(key, number)
            if first == number:
                continue
            if self._places.keep_tree:
                mend = "rename one of them, or give it another --output-dir"
            else:
                mend = "give --output-dir DIR --keep-tree, which mirrors their folders"
            other = self._job(self._inputs[first]).name
            raise click.UsageError(f"{job.name}: another input would write {job.outputs[0]} too ({other}); {mend}")


def _local(given: str, transfer: Transfer) -> Path:
    """Where something lies that goes to ``given``: there, or in a place of its own until it is uploaded."""
    if not is_store(given):
        return Path(given)
    base, _, name = given.rpartition("/")
    return transfer.staging(f"{base}/") / name


def _mirrored_stem(one: Input) -> str:
    """The input's place in its tree, without the suffix of a file."""
    folder, _, name = one.mirrored.rpartition("/")
    named = _stem(one.name) if not name or one.below < 0 else PurePath(name).stem
    return f"{folder}/{named}" if folder else named


def is_folder(given: str) -> bool:
    """Whether a name stands for a folder: by the slash at its end, or because there is one."""
    if is_url(given):
        return given.endswith("/")
    return given.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(given)


def _stem(name: str) -> str:
    """What an input's outputs are called: the file's name without its suffix, or the folder's name."""
    if is_url(name):
        return Path(split_url(name).path).stem or "output"
    base = os.path.basename(os.path.abspath(name))  # not resolved: a link's own name is what the user sees
    return (base if os.path.isdir(name) else PurePath(base).stem) or "output"


@contextmanager
def folders_made(*given: str | os.PathLike[str] | None) -> Iterator[None]:
    """Make the folders that are named by a slash at their end, or are no texts; those that nothing came into go again.

    Raises:
        OutputError: one cannot be made.
    """
    made: list[Path] = []
    for name in given:
        if name is None or (isinstance(name, str) and (is_store(name) or not is_folder(name))):
            continue
        path = Path(name)
        missing = [part for part in (path, *path.parents) if not part.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise OutputError(f"{path}: is a file, not a folder; give another name") from error
        except OSError as error:
            raise explain_os_error(path, error) from error
        made += missing
    try:
        yield
    finally:
        for folder in made:  # the inner ones first
            with suppress(OSError):
                folder.rmdir()


def check_clashes(jobs: Iterable[Job]) -> None:
    """Refuse outputs that would replace an input of any job, or lie among the pictures of one.

    Raises:
        OutputError: it names the output.
    """
    inputs: dict[tuple[int, int], str] = {}
    folders: dict[tuple[int, int], str] = {}
    for job in jobs:
        key = _key(job.source)
        if key is not None:
            inputs[key] = job.source
            if os.path.isdir(job.source):
                folders[key] = job.source
    for job in jobs:
        for path in (job.table, job.meta, job.video, job.sheet):
            clash = None if path is None else inputs.get(_key(path) or (-1, -1))
            if clash is not None:
                what = "is the input itself" if clash == job.source else f"is another input ({clash})"
                raise OutputError(f"{path}: {what}; give the output another name")
        if job.sheet is not None and folders:
            folder = folders.get(_key(job.sheet.parent) or (-1, -1))
            if folder is not None:
                raise OutputError(
                    f"{job.sheet}: lies in {folder}, whose pictures are an input: it would be taken for one of them; "
                    "give another folder"
                )


def _key(path: str | Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino)
