"""Which faces train, choose the checkpoint or are held out: fixed parts of two sets, the dev part of any other."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.faces import FaceSet
from affectkit.train.reading import read_manifest_faces
from affectkit.types import Array, UInt8

Split = Literal["train", "dev", "test", "valid"]
"""``test`` is the held-out part, looked at once; sets whose publishers call theirs ``valid`` keep that."""

SHARE = 0.1
"""Of the groups of ``train`` that become ``dev`` where nothing else is said."""

NAMED = 5
"""Names that a message lists of many."""


def with_dev(faces: FaceSet, split: Array, where: Path, dev: str | None = None) -> Array:
    """The split of each face (N,), in which some are ``dev``.

    Args:
        faces: of the whole set.
        split: (N,) as its labels or its manifest say.
        where: the set's file, for messages.
        dev: None: the split ``dev``, or, where there is none, a tenth of ``train``. A share such as ``0.2`` of
            ``train`` and ``dev`` together. The name of a split, such as ``valid``. Or names of videos or persons, with
            commas between them.

    Raises:
        SourceError: no such split, video or person, or ``train`` cannot be divided.
    """
    split = split.copy()
    if dev is None:
        return split if (split == "dev").any() else _shared_out(faces, split, where, SHARE)
    share = _as_share(dev)
    if share is not None:
        split[split == "dev"] = "train"
        return _shared_out(faces, split, where, share)
    if dev in set(split):
        split[split == dev] = "dev"
        return split
    return _named(faces, split, where, [name.strip() for name in dev.split(",")])


def _as_share(dev: str) -> float | None:
    try:
        share = float(dev)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise SourceError(f"--dev {dev}: a share must lie between 0 and 1, such as 0.1")
    return share


def _named(faces: FaceSet, split: Array, where: Path, names: Sequence[str]) -> Array:
    """The split in which the faces of these videos or persons are ``dev``, and those that were are ``train``."""
    known = np.isin(split, ("train", "dev"))
    videos, persons = np.array(faces.video, object), np.array(faces.person, object)
    chosen = np.zeros(len(faces), bool)
    for name in names:
        rows = known & ((videos == name) | (persons == name))
        if not rows.any():
            there = sorted({*videos[known], *persons[known]} - {""}) or ["none is named"]
            listed = ", ".join(there[:NAMED]) + (f" and {len(there) - NAMED} more" if len(there) > NAMED else "")
            splits = ", ".join(sorted(set(split)))
            raise SourceError(
                f"{where}: --dev {name}: no split, video or person of that name; splits: {splits}; videos and persons "
                f"to train on: {listed}"
            )
        chosen |= rows
    split[split == "dev"] = "train"
    split[chosen] = "dev"
    return split


def group_of(faces: FaceSet, row: int) -> bytes:
    """What must stay on one side: the video or the person, else the picture's pixels, so that twins stay together."""
    name = faces.video[row] or faces.person[row]
    return name.encode() if name else faces.image(row).tobytes()


def _shared_out(faces: FaceSet, split: Array, where: Path, share: float) -> Array:
    """The split in which about ``share`` of the groups of ``train`` are ``dev``: always the same, by a checksum.

    At least one group is, so that sets of a few videos can be used as well.
    """
    rows = np.flatnonzero(split == "train")
    numbers = np.array([zlib.crc32(group_of(faces, int(i))) for i in rows], np.int64)
    groups = np.unique(numbers)
    if len(rows) and len(groups) < 2:
        raise SourceError(
            f"{where}: all faces to train on are of one video or person, of which no part can be kept to choose the "
            "checkpoint by; name another part, such as --dev valid"
        )
    chosen = groups[groups % 1000 < round(share * 1000)] if share != SHARE else groups[groups % 10 == 0]
    if not len(chosen):
        chosen = groups[np.argsort(groups % 1000, kind="stable")][:1]
    if len(chosen) == len(groups):
        chosen = groups[np.argsort(groups % 1000, kind="stable")][:-1]
    split[rows[np.isin(numbers, chosen)]] = "dev"
    return split


def read_manifest_part(
    path: Path, split: str | None = None, *, dev: str | None = None, au_at: float | None = None
) -> FaceSet:
    """The faces of one split of a manifest, as :func:`with_dev` divides it, or all of them."""
    faces, splits = read_manifest_faces(path, au_at=au_at)
    if split is None:
        return faces
    return faces.subset(with_dev(faces, splits, path, dev) == as_named(splits, split))


def as_named(splits: Array, split: str) -> str:
    """A split's name in a set: where none is called ``test``, that means the held-out part ``valid``."""
    return "valid" if split == "test" and not (splits == "test").any() else split


def split_of(name: str, person: str, image: UInt8) -> Split:
    """Where a picture belongs, fixed once and for all.

    FER2013Valid (and Test) and persons with ``crc32 % 5 == 0`` are for the last look. A tenth of FER2013Train, chosen
    by the pixels so that exact twins stay together, is the dev part on which checkpoints and thresholds are chosen.
    """
    if name.startswith(("FER2013Valid/", "FER2013Test/")) or (person and zlib.crc32(person.encode()) % 5 == 0):
        return "valid"
    if name.startswith("FER2013Train/") and zlib.crc32(image.tobytes()) % 10 == 0:
        return "dev"
    return "train"


def splits_of(faces: FaceSet) -> Array:
    """(N,) names: the split of each row by :func:`split_of`."""
    return np.array([split_of(faces.names[i], faces.person[i], faces.image(i)) for i in range(len(faces))], object)


def select_split(faces: FaceSet, split: Split) -> FaceSet:
    """The rows of one split."""
    splits = splits_of(faces)
    return faces.subset(splits == as_named(splits, split))
