"""Reading labelled sets: the form described in train/README.md, and manifests.

A CSV with one row an image, a zip with the pictures, and optionally an npz with five points a face; or a manifest that
`affectkit train prepare` or `render` wrote. A blank label is a missing one and becomes NaN.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affectkit.errors import SourceError
from affectkit.train.datasets.labels import POINT_COLUMNS, au_columns, check_table, read_csv
from affectkit.train.datasets.manifest import read_manifest
from affectkit.train.datasets.points import read_landmarks
from affectkit.train.datasets.values import POSE_COLUMNS, VISIBLE_COLUMNS, intensity_column
from affectkit.train.faces import FaceSet
from affectkit.train.pictures import read_images
from affectkit.types import EXPRESSION_NAMES, Array, Float32, LabelSet, published_au_name


def read_set(
    labels: Path,
    images: Path,
    landmarks: Path | None = None,
    *,
    prefix: str = "",
    persons_mod: int | None = None,
    au_at: float | None = None,
) -> FaceSet:
    """Read one set; rows are joined by the column ``image``.

    Args:
        labels: CSV with ``image`` and any of ``expression, valence, arousal, AU<n>, votes_*, person, video, frame``.
        images: zip whose members are named as in ``image``.
        landmarks: npz with ``image`` and ``landmark5`` (N, 5, 2) px.
        prefix: keep the rows whose image begins with it.
        persons_mod: keep the rows with ``crc32(person) % persons_mod == 0``.
        au_at: action units are intensities of 0 to 5, present from this one on.

    Raises:
        SourceError: a file is missing or damaged, a label is impossible, or a picture of a kept row is not in the zip.
    """
    table = read_csv(labels)
    if "image" not in table.columns:
        raise SourceError(f"{labels}: has no column 'image'")
    table = check_table(table, labels, key="image", au_at=au_at)
    keep = table["image"].str.startswith(prefix)
    if persons_mod is not None:
        if "person" not in table.columns:
            raise SourceError(f"{labels}: has no column 'person', which selecting by person needs")
        keep &= table["person"].fillna("").map(lambda person: zlib.crc32(person.encode()) % persons_mod == 0)
    table = table[keep].reset_index(drop=True)
    names = tuple(table["image"])
    return FaceSet(
        names=names,
        images=read_images(images, names),
        landmarks=_read_landmarks(landmarks, names),
        **_labels_of_table(table),
    )


def _labels_of_table(table: pd.DataFrame) -> dict[str, Any]:
    """The fields of a FaceSet that a checked table holds, but for pictures and points."""
    votes = [c.removeprefix("votes_") for c in table.columns if c.startswith("votes_")]
    named = table["expression"].dropna().unique() if "expression" in table.columns else ()
    labels = LabelSet.of((*EXPRESSION_NAMES, *sorted(named)), au_columns(table))
    expression = _expression_index(table, labels)
    return {
        "expression": expression,
        "expression_target": _expression_target(table, votes, expression, labels),
        "au": _numbers(table, [published_au_name(name) for name in labels.action_units]),
        "va": _numbers(table, ("valence", "arousal")),
        "person": _texts(table, "person"),
        "source": _texts(table, "set"),
        "label_set": labels,
        "intensity": _numbers(table, [intensity_column(published_au_name(name)) for name in labels.action_units]),
        "visible": _numbers(table, VISIBLE_COLUMNS),
        "pose": _numbers(table, POSE_COLUMNS),
        **_videos(table),
    }


def _texts(table: pd.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(table[column].fillna("").astype(str)) if column in table.columns else ("",) * len(table)


def _videos(table: pd.DataFrame) -> dict[str, Any]:
    """``video`` and ``frame`` of a FaceSet; nothing where the table has no such columns."""
    if not {"video", "frame"} <= set(table.columns):
        return {}
    frame = pd.to_numeric(table["frame"], errors="coerce").to_numpy(np.float32, na_value=np.nan)
    return {"video": tuple(table["video"].fillna("").astype(str)), "frame": frame}


def read_manifest_faces(path: Path, *, au_at: float | None = None) -> tuple[FaceSet, Array]:
    """All faces of a manifest (:mod:`affectkit.train.datasets`), and the name of each one's split (N,).

    Raises:
        SourceError: it cannot be read, or a label is impossible.
    """
    table = read_manifest(path, au_at=au_at)
    points = _numbers(table, POINT_COLUMNS).reshape(-1, 5, 2)
    faces = FaceSet(
        names=tuple(table["path"]),
        images=tuple(Path(name) for name in table["path"]),
        landmarks=points,
        **_labels_of_table(table),
    )
    return faces, table["split"].to_numpy(object, copy=True)


def _read_landmarks(path: Path | None, names: Sequence[str]) -> Float32:
    points = np.full((len(names), 5, 2), np.nan, np.float32)
    stored = {} if path is None else read_landmarks(path)
    for i, name in enumerate(names):
        if name in stored:
            points[i] = stored[name]
    return points


def _numbers(table: pd.DataFrame, columns: Sequence[str]) -> Float32:
    blank = pd.Series(np.nan, index=table.index)
    values = [table.get(column, blank).to_numpy(np.float32) for column in columns]
    return np.stack(values, axis=1) if values else np.empty((len(table), 0), np.float32)


def _expression_index(table: pd.DataFrame, labels: LabelSet) -> Float32:
    if "expression" not in table.columns:
        return np.full(len(table), np.nan, np.float32)
    order = {name: float(i) for i, name in enumerate(labels.expressions)}
    return table["expression"].map(order).to_numpy(np.float32)


def _expression_target(table: pd.DataFrame, votes: Sequence[str], index: Float32, labels: LabelSet) -> Float32:
    """(N, E) one-hot labels, replaced by the share of votes where the rows have votes.

    As FER+'s authors do (Barsoum et al., ICMI 2016) a single vote counts as an outlier. A picture of which the label
    set's classes have less than half of the votes is unlabelled.

    Args:
        votes: what could be voted for.
        index: (N,) of the labels.
    """
    target = np.full((len(table), len(labels.expressions)), np.nan, np.float32)
    known = ~np.isnan(index)
    target[known] = np.eye(len(labels.expressions), dtype=np.float32)[index[known].astype(int)]
    if not set(EXPRESSION_NAMES) <= set(votes):
        return target
    everything = table[[f"votes_{name}" for name in votes]].to_numpy(np.float32)
    counted = np.zeros((len(table), len(labels.expressions)), np.float32)
    for k, name in enumerate(labels.expressions):
        if name in votes:
            counted[:, k] = table[f"votes_{name}"]
    counted = np.where(counted > 1, counted, 0)
    total = counted.sum(1)
    voted = total >= 0.5 * np.maximum(everything.sum(1), 1)
    target[voted] = counted[voted] / total[voted, None]
    target[~voted & ~np.isnan(everything).any(1)] = np.nan
    return target
