"""Neutral values from a file: a table that affectkit wrote, or a picture or video of the neutral face."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affectkit.baseline.calmest import CalmestSeconds
from affectkit.baseline.finders import FromFile, FromSeconds
from affectkit.baseline.neutral import MOST_FRAMES, TABLES, Float, Neutral, Rule, median_of
from affectkit.errors import SourceError, needs
from affectkit.face_results import Affect
from affectkit.options import StreamOptions
from affectkit.sources.names import printable
from affectkit.types import LabelSet

if TYPE_CHECKING:
    from affectkit.predictor import Predictor

Finder = FromSeconds | FromFile | CalmestSeconds


def finder_of(rule: Rule, predictor: Predictor, options: StreamOptions) -> Finder:
    """What finds the neutral values of an input's faces; a file is read now.

    Args:
        options: those that the input is gone through with.

    Raises:
        ValueError: the model has no action units.
        SourceError: the file cannot be read, shows no face, or was made by another model.
    """
    labels = predictor.spec.labels
    if not labels.action_units:
        raise ValueError(f"baseline= is for action units, and model {predictor.spec.name!r} has none; leave it out")
    if rule.kind == "seconds":
        return FromSeconds(rule)
    if rule.kind == "auto":
        return CalmestSeconds(labels.action_units)
    if Path(rule.file).suffix.lower() in TABLES:
        _check_model(Path(rule.file), predictor.describe()["model"]["sha256"])
        return FromFile(rule, _of_table(Path(rule.file), labels))
    return FromFile(rule, {None: _of_video(rule.file, predictor, options)})


def values_of(affect: Affect) -> Float:
    """(V,) the values of a face that a baseline is for, see :class:`affectkit.baseline.neutral.Neutral`."""
    parts = [affect.au_probabilities]
    if affect.labels.intensity:
        told = affect.au_intensities
        parts.append(np.full_like(affect.au_probabilities, np.nan) if told is None else told)
    return np.concatenate(parts).astype(np.float64)


def _of_video(source: str, predictor: Predictor, options: StreamOptions) -> Neutral:
    """Of all frames of a picture or video that shows one face at a time."""
    rows: list[Float] = []
    with predictor.stream(source, **options.for_neutral().keywords()) as results:
        for result in results:
            if len(result.faces) > 1:
                raise SourceError(
                    f"{printable(source)}: shows {len(result.faces)} faces at once, of which none is known to be the "
                    "neutral one; give a picture or video that shows the person alone, or max_faces=1"
                )
            told = [values_of(face.affect) for face in result.faces]
            rows += [values for values in told if not np.isnan(values).all()]
            if len(rows) >= MOST_FRAMES:
                break
    return _neutral(rows, printable(source))


def _neutral(rows: list[Float], where: object) -> Neutral:
    if not rows:
        raise SourceError(
            f"{where}: shows no face whose action units can be told, so it is no baseline; give another file"
        )
    return Neutral(median_of(rows, 1), len(rows))


def _check_model(path: Path, checksums: dict[str, str]) -> None:
    """Refuse a table whose meta file names another model; one without a meta file is taken as it is."""
    meta = path.with_name(path.name + ".meta.json")
    try:
        made_by = json.loads(meta.read_text(encoding="utf-8"))["model"]
        same, name = made_by["sha256"] == checksums, made_by["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not same:
        raise SourceError(
            f"{path}: was made by another model ({name}), whose values are no baseline here; make it with this one"
        )


def _of_table(path: Path, labels: LabelSet) -> dict[int | None, Neutral]:
    """By face id; of one face, or a table without ids, under None."""
    rows: dict[int | None, list[Float]] = {}
    found: tuple[list[str], str | None] | None = None
    number, before = 1, math.nan
    try:
        for row in _rows(path):
            if found is None:
                found = _columns(path, row, labels)
            columns, ids = found
            frame = _number(row.get("frame"))
            if ids is None and frame == before:
                raise ValueError("several faces in one frame, and no column face_id to tell them apart")
            before = frame
            values = np.array([_number(row[name]) for name in columns])
            if ((values < 0) | (values > 1)).any():
                raise ValueError("a value is not within 0..1")
            if not np.isnan(values).all():
                kept = rows.setdefault(None if ids is None else int(_number(row[ids])), [])
                if len(kept) < MOST_FRAMES:
                    kept.append(values)
            number += 1
    except (ValueError, KeyError, TypeError, AttributeError, OSError, csv.Error) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{path}: row {number}: cannot be read ({told}); give another baseline") from error
    if len(rows) <= 1:
        return {None: _neutral(next(iter(rows.values()), []), path)}
    return {track: _neutral(kept, path) for track, kept in rows.items()}


def _columns(path: Path, row: dict[str, Any], labels: LabelSet) -> tuple[list[str], str | None]:
    """The columns of the values, raw ones where there are such, and the one of the face's id."""
    wanted = [*labels.action_units, *(f"{name}_i" for name in labels.action_units if labels.intensity)]
    columns = [name if f"{name}_raw" not in row else f"{name}_raw" for name in wanted]
    pyfeat = {f"AU{name[10:]}_i": name for name in row if name.startswith("intensity_")}
    columns = [pyfeat.get(name, name) for name in columns]
    lacking = [name for name in columns if name not in row]
    if lacking:
        raise SourceError(
            f"{path}: has no column {lacking[0]}, which a baseline for this model needs; give a table that was made "
            "with it, in the format native or pyfeat"
        )
    return columns, "face_id" if "face_id" in row else None


def _number(value: Any) -> float:
    """NaN where there is no value."""
    return math.nan if value is None or value == "" else float(value)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a table, by column."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        yield from _parquet_rows(path)
        return
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True) if kind == ".csv" else map(json.loads, file):
            if kind == ".csv" and (None in row or None in row.values()):
                raise ValueError("it has more or fewer values than there are columns")
            yield row


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    with needs("pyarrow", "parquet", "reading Parquet"):
        import pyarrow
        import pyarrow.parquet
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=4096):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise SourceError(f"{path}: is no Parquet table ({error}); give another baseline") from error
