"""Shards on disk: each is rendered whole, in any order, by any process, and put in place in one step.

``DIR/pictures/NAME.zip`` holds a shard's pictures (JPEG, stored), ``DIR/rows/NAME.parquet`` its rows; a shard is done
when its rows are there. ``DIR/manifest.parquet`` is all rows one after the other.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pandas as pd

from affectkit.errors import OutputError
from affectkit.outputs.files import written_whole
from affectkit.outputs.json_files import write_text
from affectkit.train.datasets.manifest import HEAD_COLUMNS
from affectkit.train.render.plan import Plan, Sample
from affectkit.types import UInt8

STILLS_A_SHARD = 500
SEQUENCES_A_SHARD = 12
JPEG_QUALITY = 93
_EPOCH = (2020, 1, 1, 0, 0, 0)
"""Time stamp of every picture, so that a shard's bytes depend on the plan alone."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A run of stills or of sequences."""

    kind: str
    index: int
    first: int
    count: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.kind}-{self.index:05d}"


def shards_of(plan: Plan) -> list[Shard]:
    """All shards, stills and sequences in step, so that half a set has both."""
    found: list[tuple[float, Shard]] = []
    for kind, total, size in (
        ("stills", plan.stills, STILLS_A_SHARD),
        ("sequences", plan.sequences, SEQUENCES_A_SHARD),
    ):
        for index, first in enumerate(range(0, total, size)):
            found.append(((first + 1) / total, Shard(kind, index, first, min(size, total - first))))
    return [shard for _, shard in sorted(found, key=lambda item: item[0])]


def open_folder(folder: Path, plan: Plan) -> None:
    """Make the folder, or see that it belongs to the same plan.

    Raises:
        OutputError: it cannot be written, or holds another plan's pictures.
    """
    wanted = dataclasses.asdict(plan)
    note = folder / "plan.json"
    try:
        for part in ("pictures", "rows"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        if note.exists():
            if json.loads(note.read_text(encoding="utf-8")) != wanted:
                raise OutputError(
                    f"{folder}: holds a set of another plan ({note.name}); give its options, or another folder"
                )
        else:
            write_text(note, json.dumps(wanted, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error})") from error


def sweep(folder: Path) -> None:
    """Take away what runs that were killed left half written; not while another run works here."""
    for part in folder.glob("*/*.part*"):
        part.unlink(missing_ok=True)


def is_done(folder: Path, shard: Shard) -> bool:
    """Whether a shard is there."""
    return (folder / "rows" / f"{shard.name}.parquet").exists()


class Maker(Protocol):
    """What renders samples by their numbers."""

    def still(self, number: int) -> Sample:
        """One picture."""

    def sequence(self, number: int) -> Iterator[Sample]:
        """The frames of a moving face."""


def render_all(
    folder: Path, plan: Plan, make: Callable[[], Maker], processes: int, progress: Callable[[int], None]
) -> None:
    """Render what is not there yet.

    Args:
        folder: made by ``open_folder``.
        plan: what to render.
        make: called once in each process; touches OpenGL, which must not be carried over to another process.
        processes: number of them.
        progress: told the number of pictures of each shard.
    """
    missing = [shard for shard in shards_of(plan) if not is_done(folder, shard)]
    if processes == 1:
        if missing:
            maker = make()
            for shard in missing:
                progress(write_shard(folder, shard, maker))
        return
    context = multiprocessing.get_context("fork")  # what was read once is shared
    with context.Pool(processes, initializer=_Worker.start, initargs=(folder, make)) as pool:
        for count in pool.imap_unordered(_Worker.render, missing):
            progress(count)


class _Worker:
    """What a forked process keeps."""

    folder: Path
    maker: Maker

    @staticmethod
    def start(folder: Path, make: Callable[[], Maker]) -> None:
        _Worker.folder, _Worker.maker = folder, make()

    @staticmethod
    def render(shard: Shard) -> int:
        return write_shard(_Worker.folder, shard, _Worker.maker)


def write_shard(folder: Path, shard: Shard, maker: Maker) -> int:
    """Render a shard; its pictures are put in place first, then its rows."""
    target = folder / "pictures" / f"{shard.name}.zip"
    rows = []
    with written_whole(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for sample in samples_of(shard, maker):
            archive.writestr(zipfile.ZipInfo(f"{sample.name}.jpg", _EPOCH), encode(sample.picture))
            rows.append({"path": f"pictures/{target.name}/{sample.name}.jpg", **sample.row})
    with written_whole(folder / "rows" / f"{shard.name}.parquet") as partial:
        pd.DataFrame(rows).to_parquet(partial, index=False)
    return len(rows)


def samples_of(shard: Shard, maker: Maker) -> Iterator[Sample]:
    """The samples of a shard in order."""
    for number in range(shard.first, shard.first + shard.count):
        if shard.kind == "stills":
            yield maker.still(number)
        else:
            yield from maker.sequence(number)


def encode(picture: UInt8) -> bytes:
    """JPEG of an RGB picture."""
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return bytes(data)


def write_manifest(folder: Path, plan: Plan) -> pd.DataFrame:
    """Join the rows of all shards that are there; with the columns of every manifest, blank where nothing is told."""
    parts = [folder / "rows" / f"{shard.name}.parquet" for shard in shards_of(plan) if is_done(folder, shard)]
    table = pd.concat([pd.read_parquet(part).dropna(axis=1, how="all") for part in parts], ignore_index=True)
    for name in HEAD_COLUMNS:
        if name not in table:
            table[name] = pd.Series(np.nan, table.index, dtype="float64")
    table["frame"] = table["frame"].astype("Int64")
    table = table[[*HEAD_COLUMNS, *(name for name in table.columns if name not in HEAD_COLUMNS)]]
    with written_whole(folder / "manifest.parquet") as partial:
        table.to_parquet(partial, index=False)
    return table


def read_pictures(folder: Path, paths: list[str]) -> list[UInt8]:
    """Pictures (RGB) by the manifest's paths."""
    opened: dict[str, zipfile.ZipFile] = {}
    found = []
    for path in paths:
        archive, _, name = path.rpartition("/")
        if archive not in opened:
            opened[archive] = zipfile.ZipFile(folder / archive)
        data = np.frombuffer(opened[archive].read(name), np.uint8)
        found.append(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])
    for handle in opened.values():
        handle.close()
    return found


def write_contact_sheet(
    folder: Path, table: pd.DataFrame, name: str = "contact_sheet.jpg", columns: int = 16, rows: int = 12
) -> Path:
    """A picture of evenly chosen pictures with their strongest units."""
    chosen = table.iloc[np.linspace(0, len(table) - 1, min(columns * rows, len(table))).astype(int)]
    pictures = read_pictures(folder, list(chosen["path"]))
    units = [name for name in table.columns if name.startswith("AU") and name[2:].isdigit()]
    tiles = []
    for picture, values in zip(pictures, chosen[units].to_numpy(float), strict=True):
        strong = [f"{units[k][2:]}:{values[k]:.1f}" for k in np.argsort(-values) if values[k] >= 0.15]
        tile, place = np.ascontiguousarray(picture[..., ::-1]), (2, picture.shape[0] - 3)
        cv2.putText(tile, " ".join(strong)[:26], place, cv2.FONT_HERSHEY_SIMPLEX, 0.28, (0, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    sheet = np.concatenate([np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)])
    cv2.imwrite(str(folder / name), sheet)
    return folder / name
