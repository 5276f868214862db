"""Reading what photograph.py has kept."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from affectkit.types import Array, UInt8
from truth.ask import SPOILS, spoil
from truth.shots import SPOILS as SPOILT_EACH

Named = tuple[str, str, UInt8, Array]


def truth_of(folder: Path, names: list[str]) -> pd.DataFrame:
    """All rows of these files."""
    return pd.concat([pd.read_parquet(folder / "rows" / f"{name}.parquet") for name in names], ignore_index=True)


def pictures(folder: Path, rows: pd.DataFrame) -> Iterator[tuple[str, UInt8]]:
    """Names and RGB pictures of rows, file by file."""
    for file, some in rows.groupby("file", sort=False):
        with zipfile.ZipFile(folder / "pictures" / f"{file}.zip") as archive:
            for name in some["name"]:
                data = np.frombuffer(archive.read(f"{name}.jpg"), np.uint8)
                yield name, np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def to_spoil(stills: pd.DataFrame) -> pd.DataFrame:
    """The rows whose pictures are spoilt in every way: some clean random combinations of each head."""
    clean = stills[(stills["part"] == "random") & stills["clean"]]
    return clean[clean["index"] < 2 * SPOILT_EACH]


def stills(folder: Path, rows: pd.DataFrame) -> Iterator[Named]:
    """Every picture as it is, and those of ``to_spoil`` in every way: name, way, picture, nose (2,)."""
    noses = dict(zip(rows["name"], rows[["nose_x", "nose_y"]].to_numpy(float), strict=True))
    spoilt = set(to_spoil(rows)["name"])
    for number, (name, image) in enumerate(pictures(folder, rows)):
        yield name, "", image, noses[name]
        for way in SPOILS if name in spoilt else ():
            scale = float(way[5:]) if way.startswith("size") else 1.0
            yield name, way, spoil(image, way, number), noses[name] * scale


def sequences(folder: Path, rows: pd.DataFrame) -> Iterator[tuple[list[str], list[UInt8], list[Array]]]:
    """Names, pictures and noses of the frames of each sequence."""
    for _, some in rows.groupby("file", sort=False):
        some = some.sort_values("index")
        found = list(pictures(folder, some))
        yield (
            [name for name, _ in found],
            [image for _, image in found],
            list(some[["nose_x", "nose_y"]].to_numpy(float)),
        )
