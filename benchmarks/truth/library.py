"""Reading what photograph.py has kept."""

from __future__ import annotations

import zipfile
import zlib
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


def wanted(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Name and way of spoiling ("" for none) of all stills."""
    return [(name, "") for name in rows["name"]] + [(name, way) for name in to_spoil(rows)["name"] for way in SPOILS]


def stills(folder: Path, rows: pd.DataFrame, missing: set[tuple[str, str]]) -> Iterator[Named]:
    """The missing ones of ``wanted``: name, way, picture, nose (2,)."""
    rows = rows[rows["name"].isin({name for name, _ in missing})]
    noses = dict(zip(rows["name"], rows[["nose_x", "nose_y"]].to_numpy(float), strict=True))
    for name, image in pictures(folder, rows):
        for way in ("", *SPOILS):
            if (name, way) in missing:
                scale = float(way[5:]) if way.startswith("size") else 1.0
                yield name, way, spoil(image, way, zlib.crc32(name.encode())), noses[name] * scale


def sequence(folder: Path, rows: pd.DataFrame, file: str) -> tuple[list[str], list[UInt8], list[Array]]:
    """Names, pictures and noses (2,) of the frames of a sequence."""
    rows = rows[rows["file"] == file].sort_values("index")
    found = list(pictures(folder, rows))
    noses = list(rows[["nose_x", "nose_y"]].to_numpy(float))
    return [name for name, _ in found], [image for _, image in found], noses
