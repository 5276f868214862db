"""The manifest: one row a face picture, with whatever labels it has; blank means unlabelled.

Columns: ``path`` (relative to the manifest's folder, or absolute), ``set``, ``split`` (train, dev, valid, test),
``video``, ``frame``, ``person``, ``AU1 .. AU25`` (0..1), ``expression``, ``votes_*``, ``valence``, ``arousal`` (-1..1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from affectkit.errors import OutputError, SourceError

AU_COLUMNS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")

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

COLUMNS = (
    "path",
    "set",
    "split",
    "video",
    "frame",
    "person",
    *AU_COLUMNS,
    "expression",
    *(f"votes_{name}" for name in VOTE_NAMES),
    "valence",
    "arousal",
)


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
    au: tuple[float | None, ...] = (None,) * 8
    expression: str | None = None
    votes: tuple[int, ...] | None = None
    """By VOTE_NAMES."""
    valence: float | None = None
    arousal: float | None = None

    def values(self) -> list[object]:
        """By COLUMNS."""
        votes = self.votes or (None,) * len(VOTE_NAMES)
        head = [self.path, self.set, self.split, self.video, self.frame, self.person]
        return [*head, *self.au, self.expression, *votes, self.valence, self.arousal]


@dataclass(slots=True)
class Prepared:
    """What a reader found."""

    rows: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    """Number of pictures left out, by reason."""

    def report(self) -> str:
        """How many were kept and dropped, and why."""
        lines = [f"{len(self.rows)} pictures"]
        for split, count in sorted(Counter(row.split for row in self.rows).items()):
            lines.append(f"  {split:8} {count}")
        labelled = {
            "AU": sum(any(value is not None for value in row.au) for row in self.rows),
            "expression": sum(row.expression is not None for row in self.rows),
            "valence/arousal": sum(row.valence is not None for row in self.rows),
        }
        lines += [f"  labelled for {name}: {count}" for name, count in labelled.items()]
        lines += [f"  left out, {reason}: {count}" for reason, count in sorted(self.dropped.items())]
        return "\n".join(lines)


def check_manifest_name(path: Path) -> None:
    """Refuse a name that is neither ``.csv`` nor ``.parquet``.

    Raises:
        OutputError: it is neither.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise OutputError(f"{path}: unknown suffix {path.suffix!r} for a manifest; allowed: .csv, .parquet")


def write_manifest(rows: Sequence[Row], path: Path) -> None:
    """Write ``.csv`` or ``.parquet``.

    Raises:
        OutputError: another suffix.
    """
    check_manifest_name(path)
    table = pd.DataFrame([row.values() for row in rows], columns=list(COLUMNS))
    table["frame"] = table["frame"].astype("Int64")
    for name in VOTE_NAMES:
        table[f"votes_{name}"] = table[f"votes_{name}"].astype("Int64")
    for name in (*AU_COLUMNS, "valence", "arousal"):
        table[name] = table[name].astype("float64")
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest; paths become absolute.

    Raises:
        SourceError: it cannot be read, or lacks a column.
    """
    texts = {name: str for name in ("path", "set", "split", "video", "person", "expression")}
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=texts)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read as a manifest ({error})") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise SourceError(f"{path}: has no column {missing[0]!r}; write it with `affectkit train prepare`")
    table["path"] = [str(path.parent / name) for name in table["path"]]
    return table


def need(path: Path, what: str) -> Path:
    """``path`` if it is there.

    Raises:
        SourceError: it is not; the message says what it should be.
    """
    if not path.exists():
        raise SourceError(f"{path}: not there; expected {what}")
    return path


def lines_of(path: Path) -> list[str]:
    """The lines of a text file that are not blank, stripped; tolerates a byte order mark and any encoding of names."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def relative(path: Path, folder: Path) -> str:
    """``path`` as the manifest in ``folder`` writes it."""
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
