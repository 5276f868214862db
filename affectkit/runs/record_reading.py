"""``run.jsonl`` read back (:mod:`affectkit.runs.record`): what became of the inputs of a run, here or in a store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectkit.errors import OutputError, SourceError
from affectkit.runs.brought import Transfer, make_staging, stores
from affectkit.runs.record import PREFIX, SUFFIX
from affectkit.runs.schemes import is_store
from affectkit.sources.names import printable


def read_record(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of one file, without what is none."""
    try:
        with path.open("rb") as file:
            for data in file:
                with suppress(ValueError):
                    line = json.loads(data)
                    if isinstance(line, dict) and isinstance(line.get("status"), str):
                        yield line
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def records_of(run: str | os.PathLike[str], transfer: Transfer | None = None) -> list[Path]:
    """The files of a run.

    Args:
        run: its output folder, in a store too, or one file.
        transfer: where those of a store are brought.

    Raises:
        SourceError: there is none.
    """
    name = os.fspath(run)
    if is_store(name):
        return _brought(name, transfer or Transfer())
    path = Path(name)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if _is_record(p.name))
        if not found:
            raise SourceError(f"{path}: has no {PREFIX}{SUFFIX}, which runs of several inputs write there")
        return found
    if not path.is_file():
        raise SourceError(f"{path}: no such run; name the folder of its outputs, or its {PREFIX}{SUFFIX}")
    return [path]


def _is_record(name: str) -> bool:
    return name == f"{PREFIX}{SUFFIX}" or re.fullmatch(rf"{PREFIX}\.\d+-of-\d+{re.escape(SUFFIX)}", name) is not None


def _brought(url: str, transfer: Transfer) -> list[Path]:
    """The files of a run in a store, brought here: beside where its outputs lie until they are uploaded."""
    base = url.rpartition("/")[0] + "/" if url.endswith(SUFFIX) else url.rstrip("/") + "/"
    names = [url.removeprefix(base)] if url.endswith(SUFFIX) else stores().below(base, False)
    folder = transfer.staging(base) / ".records"
    make_staging(folder)
    found = []
    for name in names:
        data = stores().read(base + name) if _is_record(name) else None
        if data is not None:
            (folder / name).write_bytes(data)
            found.append(folder / name)
    if not found:
        raise SourceError(f"{printable(url)}: has no {PREFIX}{SUFFIX}, which runs of several inputs write there")
    return found


def failures_of(run: str | os.PathLike[str], transfer: Transfer | None = None) -> list[dict[str, Any]]:
    """Of each input that failed and was not done since its last line.

    Raises:
        SourceError: there is no such run.
    """
    last: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in records_of(run, transfer):
        for line in read_record(path):
            name = line.get("input")
            if isinstance(name, str) and (name not in last or str(line.get("time")) >= last[name][0]):
                last[name] = (str(line.get("time")), line)
    return [line for _, line in last.values() if line["status"] == "failed"]


def given_by(run: str | os.PathLike[str], transfer: Transfer | None = None) -> dict[str, Any]:
    """The options that the newest run of a folder was started with; empty: not known.

    Raises:
        SourceError: there is no such run.
    """
    started = [line for path in records_of(run, transfer) for line in read_record(path) if line["status"] == "run"]
    newest = max(started, key=lambda line: str(line.get("time")), default={})
    given = newest.get("given")
    return given if isinstance(given, dict) else {}


def other_options(run: str | os.PathLike[str], given: dict[str, Any], transfer: Transfer | None = None) -> None:
    """Refuse to go on with other options than those of a run.

    Raises:
        OutputError: it names the first one that differs.
    """
    before = given_by(run, transfer)
    for name, value in given.items():
        if name in before and before[name] != value:
            raise OutputError(
                f"{run}: that run had {name}={before[name]!r}, now {name}={value!r}; give the same, or another folder"
            )
