"""A preparation in steps: what is done is kept, whatever happens to the rest.

A reader gives a list of units (a video, a clip, a subject, a chunk of pictures). Each finished one is a line of a
journal beside the manifest; the same command, given again after an interruption, continues behind it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from affectkit import __version__
from affectkit.errors import OutputError, SourceError
from affectkit.train.datasets.manifest import Prepared, Row

FORMAT = 1
"""Of the journal; one of another format is refused."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a data set that is read by itself."""

    name: str
    """The same in every run, and no other unit's."""
    read: Callable[[], Prepared]


def collect(units: Sequence[Unit]) -> Prepared:
    """All units, one after another, without a journal.

    Raises:
        SourceError: of the first unit that cannot be read.
    """
    prepared = Prepared()
    for unit in units:
        prepared.add(unit.read())
    return prepared


def chunks(items: Sequence[Item], size: int, name: str = "pictures") -> Iterator[tuple[str, Sequence[Item]]]:
    """Parts of a sequence, each with a name for its unit."""
    for start in range(0, len(items), size):
        part = items[start : start + size]
        yield f"{name} {start + 1} to {start + len(part)}", part


class Journal:
    """The units that are done, in a file that survives whatever ends the run.

    Each line holds a whole unit; a line that was cut off is forgotten.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Take up the journal at ``path``, or begin one.

        Raises:
            SourceError: it was made with other options, from another source, or by another affectkit.
            OutputError: it cannot be written.
        """
        self._path = path
        self.done: dict[str, Prepared] = {}
        wanted = {"format": FORMAT, "affectkit": __version__, **header}
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        if whole:
            self._compare(self._parsed(whole[0]), wanted)
            for line in whole[1:]:
                document = self._parsed(line)
                self.done[document["unit"]] = _prepared(document)
        if lines != whole:
            os.truncate(path, sum(map(len, whole)))
        if not whole:
            self._append(wanted)

    def add(self, unit: str, prepared: Prepared) -> None:
        """Note a unit that is done; it is on the disk when this returns."""
        self._append({"unit": unit, **_document(prepared)})
        self.done[unit] = prepared

    def remove(self) -> None:
        """Delete the file, which is not needed any more when the manifest is written."""
        self._path.unlink(missing_ok=True)

    def _append(self, document: Mapping[str, Any]) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(json.dumps(document).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror})") from error

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            document = json.loads(line)
        except ValueError as error:
            raise SourceError(f"{self._path}: is damaged; delete it to begin again") from error
        if not isinstance(document, dict):
            raise SourceError(f"{self._path}: is damaged; delete it to begin again")
        return document

    def _compare(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        for name in wanted:
            if found.get(name) != wanted[name]:
                there, here = _difference(found.get(name), wanted[name])
                raise SourceError(
                    f"{self._path}: an interrupted preparation with another {name} ({there}, not {here}); "
                    "give the same command to continue, or delete that file to begin again"
                )


def _difference(there: Any, here: Any) -> tuple[str, str]:
    """Only what differs of two dicts; anything else as it is."""
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return str(there), str(here)
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return tuple(", ".join(f"{name} {side.get(name)}" for name in names) for side in (there, here))  # type: ignore[return-value]


def _document(prepared: Prepared) -> dict[str, Any]:
    rows = []
    for row in prepared.rows:
        fields = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
        fields["au"] = dict(row.au) or None
        fields["votes"] = None if row.votes is None else dict(row.votes)
        rows.append({name: value for name, value in fields.items() if value is not None})
    return {
        "rows": rows,
        "dropped": dict(prepared.dropped),
        "unusable": prepared.unusable,
        "notes": dict(prepared.notes),
    }


def _prepared(document: Mapping[str, Any]) -> Prepared:
    rows = []
    for fields in document["rows"]:
        points = fields.pop("landmarks", None)
        rows.append(Row(**fields, landmarks=points and tuple((x, y) for x, y in points)))
    return Prepared(rows, Counter(document["dropped"]), dict(document["unusable"]), Counter(document["notes"]))


def run_units(
    units: Sequence[Unit], journal: Journal, *, strict: bool, say: Callable[[str], None]
) -> tuple[Prepared, dict[str, str]]:
    """Read the units that the journal does not have; a bad one does not keep the others from being read.

    Args:
        strict: a unit with pictures that cannot be used is a bad one.
        say: is told how far it is.

    Returns:
        what all good units hold, in their order, and the error of each bad one.
    """
    twice = [name for name, count in Counter(unit.name for unit in units).items() if count > 1]
    if twice:
        raise SourceError(f"two parts of the data set are called {twice[0]!r}; give one copy of it")
    prepared = Prepared()
    errors: dict[str, str] = {}
    for number, unit in enumerate(units, start=1):
        where = f"[{number}/{len(units)}] {unit.name}"
        done = journal.done.get(unit.name)
        if done is None:
            try:
                done = unit.read()
                if strict and done.unusable:
                    reason, example = next(iter(done.unusable.items()))
                    raise SourceError(
                        f"{example}: {reason} ({done.dropped[reason]} in {unit.name}), and --strict is given"
                    )
            except SourceError as error:
                errors[unit.name] = str(error)
                say(f"{where}: {error}")
                continue
            journal.add(unit.name, done)
            say(f"{where}: {len(done.rows)} pictures, {done.dropped.total()} left out")
        prepared.add(done)
    return prepared, errors
