"""A table in memory, by columns, and what can be done with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectkit.documented import fields_shown
from affectkit.errors import needs
from affectkit.types import Array

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from affectkit.tables.summary import Summary


@fields_shown
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Table:
    """Results as columns in memory: one row for each frame and face, one for a frame without a face.

    Methods that change something return a new table, whose ``meta["changed"]`` says what was done. Tables can be
    pickled, and read in any number of threads.
    """

    columns: dict[str, Array]
    """By name: integers as int64, numbers as float64 with NaN where there is no value, texts as objects with None.

    Integer columns that have gaps (``AU01_c`` ... in frames without a face, or of hidden faces) are float64 for that
    reason.
    """
    meta: dict[str, Any] = field(default_factory=dict)
    """How it was made: what ``affectkit predict`` writes into ``TABLE.meta.json``; empty where that is not known."""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Array:
        """The column of that name."""
        try:
            return self.columns[name]
        except KeyError:
            raise KeyError(f"there is no column {name!r}; the table has {', '.join(self.columns)}") from None

    def __repr__(self) -> str:
        from affectkit.tables.display import table_text

        return table_text(self)

    def _repr_html_(self) -> str:
        from affectkit.tables.display import table_html

        return table_html(self)

    def to_pandas(self) -> pandas.DataFrame:
        """As a data frame; needs the extra ``pandas``."""
        with needs("pandas", "pandas", "Table.to_pandas"):
            import pandas
        return pandas.DataFrame(self.columns)

    def records(self) -> Iterator[dict[str, Any]]:
        """The rows one by one, as values that JSON knows; None where there is no value."""
        from affectkit.tables.writing import rows_of

        names = list(self.columns)
        return (dict(zip(names, row, strict=True)) for row in rows_of(self))

    def to_csv(self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> str | None:
        """Write the rows into a file, as ``affectkit predict -o NAME.csv`` does; without a path the text is returned.

        Raises:
            OutputError: it cannot be written, or exists and ``overwrite`` is not given.
        """
        from affectkit.tables.writing import csv_text

        return _written(csv_text(self), path, overwrite)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> str | None:
        """The same as lines of JSON, an object a row, null where there is no value (``-o NAME.jsonl``)."""
        from affectkit.tables.writing import json_lines

        return _written(json_lines(self), path, overwrite)

    def to_parquet(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """The same as Apache Parquet; needs the extra ``parquet``."""
        from affectkit.tables.writing import write_parquet

        write_parquet(self, Path(path), overwrite=overwrite).commit()

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the rows as the suffix says (``.csv``, ``.jsonl``, ``.parquet``), and :attr:`meta` beside them.

        :func:`affectkit.read_table` reads both back.

        Raises:
            OutputError: it cannot be written, exists and ``overwrite`` is not given, or has another suffix.
            MissingDependency: Parquet without pyarrow.
        """
        from affectkit.tables.writing import save

        save(self, path, overwrite=overwrite)

    def export(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write bouts of units and expressions: ``.eaf`` for ELAN (extra ``elan``), ``.vtt``: subtitles, ``.boris``.

        Raises:
            OutputError: it cannot be written, exists and ``overwrite`` is not given, or has another suffix.
            ValueError: the table has several inputs, or no times.
            MissingDependency: ELAN's without pympi-ling.
        """
        from affectkit.tables.exports import export

        export(self, path, overwrite=overwrite)

    def summary(self, by: str | Sequence[str] = ("input", "face_id"), *, gap_s: float = 0.5) -> Summary:
        """Mean, share of active frames, bouts and frames left out, of each identity of each input.

        Args:
            by: columns that hold names or whole numbers; ``()`` sums everything up.
            gap_s: frames in which nothing is told of a unit end its bout only if they last longer, s.

        Raises:
            ValueError: there is no such column, or it holds measured numbers.
        """
        from affectkit.tables.summary import summarised

        return summarised(self, by, gap_s=gap_s)

    def plot(
        self, *columns: str, faces: int | Iterable[int] | None = None, thresholds: bool = True, ax: Axes | None = None
    ) -> Axes:
        """Curves over time, each identity its own, broken where it is not seen; needs the extra ``plot``.

        Args:
            columns: such as ``AU12``, ``valence``; none: valence and arousal, or else the most active unit.
            faces: only these identities; None: all.
            thresholds: whether the thresholds of action units are drawn, where :attr:`meta` knows them.
            ax: matplotlib's axes to draw into; None: those of a new figure.

        Raises:
            ValueError: there is no such column or face, or the table has several inputs.
        """
        from affectkit.tables.plots import plot_table

        return plot_table(self, columns, faces=faces, thresholds=thresholds, ax=ax)

    def filter(
        self,
        *,
        min_confidence: float | None = None,
        min_track_s: float | None = None,
        min_quality: float | None = None,
    ) -> Table:
        """Without what should not count.

        Args:
            min_confidence: rows of faces of which the detector is less sure go (0..1).
            min_track_s: identities that are seen for less time, s, go; counted after the rows of ``min_confidence``.
            min_quality: of faces of less quality nothing is told any more; their rows stay (0..1).

        Raises:
            ValueError: a number is out of range, or the table does not tell.
        """
        from affectkit.tables.filtering import filtered

        return filtered(self, min_confidence=min_confidence, min_track_s=min_track_s, min_quality=min_quality)

    def merge(self, same: Mapping[int, int], *, input: str | None = None) -> Table:
        """Identities that are the same person: ``{3: 4}`` gives the rows of face 3 to face 4.

        Args:
            input: the one that is meant, where the table has several.

        Raises:
            ValueError: there is no such face, or both are seen in the same frame.
        """
        from affectkit.tables.filtering import merged

        return merged(self, same, input=input)

    def drop(self, faces: Iterable[int], *, input: str | None = None) -> Table:
        """Without these identities; errors as of :meth:`merge`."""
        from affectkit.tables.filtering import dropped

        return dropped(self, faces, input=input)

    def name(self, names: Mapping[int, str], *, input: str | None = None) -> Table:
        """Names of identities, ``{0: "Anna"}``, in a column ``face_name``; errors as of :meth:`merge`."""
        from affectkit.tables.filtering import named

        return named(self, names, input=input)

    def baseline(self, baseline: str | os.PathLike[str] | Sequence[float] = "auto") -> Table:
        """Action units told relative to each person's neutral (docs/baseline.md); raw values in further columns.

        Args:
            baseline: ``auto``; ``(START, END)`` or ``"START-END"``, seconds; or a table of the neutral face.

        Raises:
            ValueError: it cannot be understood, the thresholds are not known, or it was done before.
            SourceError: the file is not there or cannot be read, or the inputs have no times.
        """
        from affectkit.tables.relative import relative_to

        return relative_to(self, baseline)


def _written(text: str, path: str | os.PathLike[str] | None, overwrite: bool) -> str | None:
    if path is None:
        return text
    from affectkit.outputs.files import prepare_bytes

    prepare_bytes(Path(path), text.encode("utf-8", "replace"), overwrite=overwrite).commit()
    return None
