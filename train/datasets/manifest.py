"""The manifest: one row a face picture, with whatever labels it has; blank means unlabelled.

Columns: ``path`` (relative to the manifest's folder, or absolute), ``set``, ``split`` (train, dev, valid, test),
``video``, ``frame`` (from 0), ``person``, ``expression``, ``valence``, ``arousal`` (-1..1), ``AU<n>`` (0..1; those that
some row has), ``votes_*`` (where some row has votes) and the five points in px of the picture, ``eye_left_x`` to
``mouth_right_y``: left as seen in the picture, (0, 0) the centre of the top left pixel. Without points the whole
picture is the crop. Only ``path`` has to be there.
"""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from affectkit.errors import OutputError, SourceError
from affectkit.outputs.files import write_whole
from affectkit.train.datasets.labels import au_columns, check_table, read_csv
from affectkit.train.datasets.values import POINT_COLUMNS

AU_COLUMNS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")
"""Those of the paper and of the shipped models."""

VOTE_NAMES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""What FER+'s voters could choose, in the order of its files."""

HEAD_COLUMNS = ("path", "set", "split", "video", "frame", "person", "expression", "valence", "arousal")
"""What every manifest has; then come the AUs, the votes and the points."""

TEXT_COLUMNS = ("path", "set", "split", "video", "person", "expression")

ROWS_A_PART = 50_000

Points = tuple[tuple[float, float], ...]
"""Five (x, y) px: eye on the left of the picture, the other eye, nose tip, left and right mouth corner."""


@dataclass(frozen=True, slots=True)
class Row:
    """One face picture."""

    path: str
    set: str
    split: str
    video: str | None = None
    frame: int | None = None
    """Number of the frame in its video, from 0."""
    person: str | None = None
    au: Mapping[str, float] = field(default_factory=dict)
    """By ``AU1`` ...; what is not in it is unlabelled."""
    expression: str | None = None
    votes: Mapping[str, int] | None = None
    """By VOTE_NAMES."""
    valence: float | None = None
    arousal: float | None = None
    landmarks: Points | None = None

    def __post_init__(self) -> None:
        if self.landmarks is not None and [len(point) for point in self.landmarks] != [2] * 5:
            raise ValueError(f"Row.landmarks must be five points (x, y), got {self.landmarks}")

    @property
    def labelled(self) -> bool:
        """Whether it has any label."""
        return bool(self.au) or self.votes is not None or self.expression is not None or self.valence is not None

    def cells(self) -> dict[str, object]:
        """By column; blank ones are left out."""
        cells: dict[str, object] = {name: getattr(self, name) for name in HEAD_COLUMNS}
        cells.update(self.au)
        cells.update({f"votes_{name}": count for name, count in (self.votes or {}).items()})
        numbers = [value for point in self.landmarks or () for value in point]
        cells.update(zip(POINT_COLUMNS, numbers, strict=False))
        return {name: value for name, value in cells.items() if value is not None}


@dataclass(slots=True)
class Prepared:
    """What a reader found."""

    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Number of pictures left out, by reason."""
    unusable: dict[str, str] = field(default_factory=dict)
    """The reasons of ``dropped`` that are a fault of the data, each with where it was first met."""
    notes: Counter[str] = field(default_factory=Counter)
    """Number of pictures that were kept, but changed, by what was done."""

    def drop(self, reason: str, where: object, count: int = 1) -> None:
        """Leave something out because it cannot be used."""
        self.dropped[reason] += count
        self.unusable.setdefault(reason, str(where))

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Leave something out because that is meant."""
        self.dropped[reason] += count

    def add(self, other: Prepared) -> None:
        """Put what another unit found behind this."""
        self.rows += other.rows
        self.dropped += other.dropped
        self.notes += other.notes
        self.unusable = {**other.unusable, **self.unusable}

    def report(self) -> str:
        """How many were kept and dropped, and why."""
        lines = [f"{len(self.rows)} pictures"]
        for split, count in sorted(Counter(row.split for row in self.rows).items()):
            lines.append(f"  {split:8} {count}")
        labelled = {
            "AU": sum(bool(row.au) for row in self.rows),
            "expression": sum(row.expression is not None for row in self.rows),
            "valence/arousal": sum(row.valence is not None for row in self.rows),
        }
        lines += [f"  labelled for {name}: {count}" for name, count in labelled.items()]
        lines += [f"  with five points: {sum(row.landmarks is not None for row in self.rows)}"]
        lines += [f"  {what}: {count}" for what, count in sorted(self.notes.items())]
        lines += [
            f"  left out, {reason}: {count}{self._first(reason)}" for reason, count in sorted(self.dropped.items())
        ]
        return "\n".join(lines)

    def _first(self, reason: str) -> str:
        return f" (first: {self.unusable[reason]})" if reason in self.unusable else ""


def check_manifest_name(path: Path) -> None:
    """Refuse a name that is neither ``.csv`` nor ``.parquet``.

    Raises:
        OutputError: it is neither.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise OutputError(f"{path}: unknown suffix {path.suffix!r} for a manifest; allowed: .csv, .parquet")


def manifest_table(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table, with the columns that some row fills."""
    usual = {name: i for i, name in enumerate(VOTE_NAMES)}
    named = {name for row in rows for name in row.votes or ()}
    votes = [f"votes_{name}" for name in sorted(named, key=lambda name: (usual.get(name, len(usual)), name))]
    units = au_columns({name for row in rows for name in row.au})
    kinds: dict[str, Any] = dict.fromkeys(HEAD_COLUMNS, object)
    kinds.update(dict.fromkeys(("valence", "arousal", *units), "float64"), frame="Int64")
    kinds.update(dict.fromkeys(votes, "Int64"))
    kinds.update(dict.fromkeys(POINT_COLUMNS, "float64"))
    # In parts, because a row's cells as Python objects take ten times the memory of the table.
    parts = [
        pd.DataFrame([row.cells() for row in rows[i : i + ROWS_A_PART]], columns=list(kinds)).astype(kinds)
        for i in range(0, max(1, len(rows)), ROWS_A_PART)
    ]
    return pd.concat(parts, ignore_index=True)


def write_manifest(rows: Sequence[Row], path: Path) -> None:
    """Write ``.csv`` or ``.parquet``, whole or not at all.

    Raises:
        OutputError: another suffix, or it cannot be written.
        SourceError: a picture comes twice in a split.
    """
    check_manifest_name(path)
    table = manifest_table(rows)
    again = table.duplicated(["path", "split"])
    if again.any():
        first = table[again].iloc[0]
        raise SourceError(f"{first['path']}: comes a second time in split {first['split']} of {path}")
    if path.suffix == ".csv":
        write_whole(path, table.to_csv(index=False).encode(), synced=True)
    else:
        data = io.BytesIO()
        table.to_parquet(data, index=False)
        write_whole(path, data.getvalue(), synced=True)


def read_manifest(path: Path, *, au_at: float | None = None, expressions: Sequence[str] | None = None) -> pd.DataFrame:
    """Read and check a manifest; paths become absolute. ``set`` and ``split`` are filled in where they are missing.

    The columns of HEAD_COLUMNS are always there; AUs, votes and points only where the file has them.

    Args:
        au_at: see :func:`affectkit.train.datasets.labels.check_table`.
        expressions: see there.

    Raises:
        SourceError: it cannot be read, has no column ``path``, or a value is not what it should be.
    """
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read as a manifest ({error})") from error
    except SourceError as error:
        raise SourceError(str(error).replace("cannot be read as CSV", "cannot be read as a manifest")) from error
    if "path" not in table.columns:
        raise SourceError(f"{path}: has no column 'path'; write it with `affectkit train prepare`")
    for name, value in (("set", path.stem), ("split", "train")):
        given = table[name] if name in table.columns else pd.Series(pd.NA, index=table.index, dtype=object)
        table[name] = given.astype(object).where(given.notna(), value)
    table = check_table(table, path, key="path", au_at=au_at, expressions=expressions).reset_index(drop=True)
    for name in HEAD_COLUMNS:
        if name not in table.columns:
            kind = "float64" if name in ("frame", "valence", "arousal") else object
            table[name] = pd.Series(float("nan"), index=table.index, dtype=kind)
    for name in TEXT_COLUMNS:
        table[name] = pd.Series([_text(value) for value in table[name]], index=table.index, dtype=object)
    table["path"] = [str(path.parent / name) for name in table["path"]]
    return table


def _text(value: object) -> object:
    """Names that are numbers, as Parquet may have them, become texts; blank ones NaN."""
    return float("nan") if pd.isna(value) else str(value)  # type: ignore[call-overload]


def need(path: Path, what: str) -> Path:
    """``path`` if it is there.

    Raises:
        SourceError: it is not; the message says what it should be.
    """
    if not path.exists():
        raise SourceError(f"{path}: not there; expected {what}")
    return path


def text_lines(path: Path) -> list[str]:
    """All lines of a text file, stripped, blank ones too but for those at its end.

    Tolerates a byte order mark and any encoding of names.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not blank, stripped."""
    return [line for line in text_lines(path) if line]


def relative(path: Path, folder: Path) -> str:
    """``path`` as the manifest in ``folder`` writes it."""
    path, folder = _resolved(path.parent) / path.name, _resolved(folder)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


@lru_cache(maxsize=1024)
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def merged(rows: Iterable[Row]) -> list[Row]:
    """Rows of the same picture and split as one with the labels of all, where the first stood.

    Raises:
        SourceError: two of them disagree about a label.
    """
    by_picture: dict[tuple[str, str], Row] = {}
    for row in rows:
        place = row.path, row.split
        before = by_picture.get(place)
        if before is None:
            by_picture[place] = row
            continue
        both = {name for name in before.au.keys() & row.au.keys() if before.au[name] != row.au[name]}
        for name in ("expression", "votes", "valence", "arousal"):
            if None not in (getattr(before, name), getattr(row, name)) and getattr(before, name) != getattr(row, name):
                both.add(name)
        if both:
            raise SourceError(f"{row.path}: is labelled twice, differently for {', '.join(sorted(both))}")
        filled = {
            name: getattr(row, name)
            for name in ("expression", "votes", "valence", "arousal", "landmarks", "video", "frame", "person")
            if getattr(before, name) is None
        }
        by_picture[place] = dataclasses.replace(before, au={**before.au, **row.au}, **filled)
    return list(by_picture.values())
