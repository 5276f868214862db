"""Where the outputs of each input go, and whether one would replace what is to be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from urllib.parse import urlsplit

import click

from affectkit.errors import OutputError
from affectkit.outputs.files import explain_os_error
from affectkit.runs.job import Job
from affectkit.runs.locks import OutputLock
from affectkit.sources.names import is_url


def plan(inputs: Sequence[str], output: str | None, render: str | None, contact_sheet: str | None) -> list[Job]:
    """Input and outputs of every job.

    Args:
        output: of the table; a name with a slash at its end, or of a folder that exists, is a folder. The same holds
            for ``render`` and ``contact_sheet``.

    Raises:
        click.UsageError: several inputs and no folder, or two inputs that would write the same table.
    """
    if len(inputs) > 1:
        for option, given in (("-o", output), ("--render", render), ("--contact-sheet", contact_sheet)):
            if given is not None and not is_folder(given):
                raise click.UsageError(
                    f"{given}: with several inputs {option} must be a folder; write {given}/ to have it made"
                )

    folders = {given: Path(given) for given in (output, render, contact_sheet) if given is not None}
    whole = {given for given in folders if is_folder(given)}  # looked up once, not for every input

    def of(name: str) -> Job:
        stem = _stem(name)

        def at(given: str | None, suffix: str) -> Path | None:
            if given is None:
                return None
            return folders[given] / (stem + suffix) if given in whole else folders[given]

        return Job(name, at(output, ".csv") or Path(stem + ".csv"), at(render, ".mp4"), at(contact_sheet, ".jpg"))

    jobs = [of(name) for name in inputs]
    times = Counter(job.table for job in jobs)
    for job in jobs:
        if times[job.table] > 1:
            raise click.UsageError(
                f"{job.source}: another input would write {job.table} too; run them one by one with -o"
            )
    return jobs


def is_folder(given: str) -> bool:
    """Whether a name stands for a folder: by the slash at its end, or because there is one."""
    return given.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(given)


def _stem(name: str) -> str:
    """What an input's outputs are called: the file's name without its suffix, or the folder's name."""
    if is_url(name):
        return Path(urlsplit(name).path).stem or "output"
    path = os.path.abspath(name)  # not resolved: a link's own name is what the user sees
    base = os.path.basename(path)
    return (base if os.path.isdir(path) else PurePath(base).stem) or "output"


@contextmanager
def folders_made(*given: str | None) -> Iterator[None]:
    """Make the folders that are named by a slash at their end; those that nothing came into go again.

    Raises:
        OutputError: one cannot be made.
    """
    made: list[Path] = []
    for name in given:
        if name is None or not is_folder(name):
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


def check_clashes(jobs: Sequence[Job]) -> None:
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


def split_done(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Jobs whose table is complete, and those that are not; a note that outlived its run by a moment is removed."""
    done: list[Job] = []
    rest: list[Job] = []
    for job in jobs:
        if not job.table.exists():
            rest.append(job)
            continue
        done.append(job)
        if job.note.exists():
            with suppress(OSError, OutputError), OutputLock(job.table):
                job.note.unlink(missing_ok=True)
    return done, rest
