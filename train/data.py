"""Labelled face pictures: reading, splitting, cutting and augmenting them.

Reads the form described in train/README.md: a CSV with one row an image, a zip with the pictures, and optionally an npz
with five points a face. A blank label is a missing one and becomes NaN.
"""

from __future__ import annotations

import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import torch

from affectkit.align import face_matrix, fit_aligned
from affectkit.errors import SourceError
from affectkit.picture import RgbPicture, to_channels, warp
from affectkit.spec import InputSpec
from affectkit.train.balance import ClassUniformSampler, EpochSampler, Index, MlRosSampler, VaHistogramSampler
from affectkit.train.covering import HIDDEN, UPRIGHT_DEG, cover, no_face
from affectkit.train.datasets.labels import POINT_COLUMNS, au_columns, check_table, read_csv
from affectkit.train.datasets.manifest import read_manifest
from affectkit.train.datasets.points import read_landmarks
from affectkit.train.datasets.values import POSE_COLUMNS, VISIBLE_COLUMNS, intensity_column
from affectkit.train.losses import Labels
from affectkit.types import EXPRESSION_NAMES, REGIONS, Array, Float32, LabelSet, UInt8, published_au_name
from affectkit.visible import regions_of

Split = Literal["train", "dev", "valid"]


def _nothing() -> Float32:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FaceSet:
    """Pictures of one face each, with whatever labels they have; N rows."""

    names: tuple[str, ...]
    images: tuple[UInt8 | Path, ...]
    """Grey (H, W) or RGB (H, W, 3) as stored; a path is read when it is needed, for sets that do not fit in memory."""
    landmarks: Float32
    """(N, 5, 2) px; NaN: unknown, the whole picture is the crop."""
    expression: Float32
    """(N,) index into ``label_set.expressions``, NaN where unlabelled: what accuracy is measured on."""
    expression_target: Float32
    """(N, E) what is trained on: the share of votes where there are votes, else one-hot; NaN rows: unlabelled."""
    au: Float32
    """(N, A) in [0, 1] in the order of ``label_set.action_units``, NaN where unlabelled."""
    va: Float32
    """(N, 2) in [-1, 1], NaN where unlabelled."""
    person: tuple[str, ...]
    """Empty where unknown."""
    video: tuple[str, ...] = ()
    """N names, empty where a face belongs to no video; () stands for that everywhere."""
    frame: Float32 = field(default_factory=lambda: np.empty(0, np.float32))
    """(N,) number of the frame in its video, NaN where it belongs to none; () stands for that everywhere."""
    source: tuple[str, ...] = ()
    """The data set that each face is of, empty where unknown; () stands for that everywhere."""
    label_set: LabelSet = field(default_factory=LabelSet)
    """What the columns of the labels are."""
    intensity: Float32 = field(default_factory=_nothing)
    """(N, A) share of the person's full movement, 0..1, NaN where unknown; () stands for that everywhere."""
    visible: Float32 = field(default_factory=_nothing)
    """(N, 3) visible shares of brows, eyes and mouth, 0..1, NaN where unknown; () stands for that everywhere."""
    pose: Float32 = field(default_factory=_nothing)
    """(N, 3) pitch, yaw, roll in the picture, degrees, NaN where unknown; () stands for that everywhere."""

    def __post_init__(self) -> None:
        for name, width in (("intensity", self.au.shape[1]), ("visible", 3), ("pose", 3)):
            values = getattr(self, name)
            # What is unknown throughout follows the shape of the labels, also of a copy with others.
            if values.shape != (len(self.names), width) and np.isnan(values).all():
                object.__setattr__(self, name, np.full((len(self.names), width), np.nan, np.float32))
        if not self.video:
            object.__setattr__(self, "video", ("",) * len(self.names))
        if not self.source:
            object.__setattr__(self, "source", ("",) * len(self.names))
        if not len(self.frame):
            object.__setattr__(self, "frame", np.full(len(self.names), np.nan, np.float32))

    def __len__(self) -> int:
        return len(self.names)

    def image(self, row: int) -> UInt8:
        """The picture of one row."""
        image = self.images[row]
        return _read_picture(image) if isinstance(image, Path) else image

    def subset(self, keep: Array) -> FaceSet:
        """The rows where ``keep`` (N,) is true."""
        return self.take(np.flatnonzero(keep))

    def take(self, rows: Array) -> FaceSet:
        """The rows of these numbers, in their order; one may come several times."""
        return FaceSet(
            names=tuple(self.names[i] for i in rows),
            images=tuple(self.images[i] for i in rows),
            landmarks=self.landmarks[rows],
            expression=self.expression[rows],
            expression_target=self.expression_target[rows],
            au=self.au[rows],
            va=self.va[rows],
            person=tuple(self.person[i] for i in rows),
            video=tuple(self.video[i] for i in rows),
            frame=self.frame[rows],
            source=tuple(self.source[i] for i in rows),
            label_set=self.label_set,
            intensity=self.intensity[rows],
            visible=self.visible[rows],
            pose=self.pose[rows],
        )

    def labelled(self) -> dict[str, Array]:
        """(N,) by task: whether a face has a label of it."""
        none = np.zeros(len(self), bool)
        known = ~np.isnan(self.expression_target).any(1) if self.label_set.expressions else none
        units = np.logical_not(np.isnan(self.au).all(1)) if self.label_set.action_units else none
        return {"expression": np.asarray(known), "au": np.asarray(units), "va": np.asarray(~np.isnan(self.va).any(1))}

    def labels(self) -> Labels:
        """All labels as tensors."""
        return Labels(torch.from_numpy(self.expression_target), torch.from_numpy(self.au), torch.from_numpy(self.va))


def join(sets: Sequence[FaceSet]) -> FaceSet:
    """One set after the other; where one knows labels that another does not, the other's are blank there."""
    labels = union([s.label_set for s in sets])
    sets = [relabelled(s, labels) for s in sets]
    return FaceSet(
        names=tuple(name for s in sets for name in s.names),
        images=tuple(image for s in sets for image in s.images),
        landmarks=np.concatenate([s.landmarks for s in sets]),
        expression=np.concatenate([s.expression for s in sets]),
        expression_target=np.concatenate([s.expression_target for s in sets]),
        au=np.concatenate([s.au for s in sets]),
        va=np.concatenate([s.va for s in sets]),
        person=tuple(person for s in sets for person in s.person),
        video=tuple(video for s in sets for video in s.video),
        frame=np.concatenate([s.frame for s in sets]),
        source=tuple(source for s in sets for source in s.source),
        label_set=labels,
        intensity=np.concatenate([s.intensity for s in sets]),
        visible=np.concatenate([s.visible for s in sets]),
        pose=np.concatenate([s.pose for s in sets]),
    )


def union(sets: Sequence[LabelSet]) -> LabelSet:
    """Every label that one of the sets has, in the usual order."""
    return LabelSet.of(
        (name for s in sets for name in s.expressions),
        (name for s in sets for name in s.action_units),
        valence_arousal=any(s.valence_arousal for s in sets),
    )


def relabelled(faces: FaceSet, labels: LabelSet) -> FaceSet:
    """The same faces with the columns of another label set.

    Labels that it does not have are dropped: a face whose expression is none of its classes becomes unlabelled for
    expression. Those that only it has are blank.
    """
    if labels == faces.label_set:
        return faces
    old, count = faces.label_set, len(faces)
    au = np.full((count, len(labels.action_units)), np.nan, np.float32)
    intensity = au.copy()
    for k, name in enumerate(labels.action_units):
        if name in old.action_units:
            au[:, k] = faces.au[:, old.action_units.index(name)]
            intensity[:, k] = faces.intensity[:, old.action_units.index(name)]
    place = {name: i for i, name in enumerate(labels.expressions)}
    moved = np.array([*(place.get(name, np.nan) for name in old.expressions), np.nan], np.float32)
    target = np.zeros((count, len(labels.expressions)), np.float32)
    for k, name in enumerate(old.expressions):
        if name in place:
            target[:, place[name]] = faces.expression_target[:, k]
    kept = target.sum(1) if labels.expressions else np.zeros(count, np.float32)
    # A target of which half or more lies on classes that are gone says too little about the others.
    target = np.where((kept > 0.5)[:, None], target / np.where(kept > 0.5, kept, 1)[:, None], np.nan)
    index = np.where(np.isnan(faces.expression), len(old.expressions), faces.expression).astype(int)
    return dataclasses.replace(
        faces,
        expression=moved[index],
        expression_target=target.astype(np.float32),
        au=au,
        va=faces.va if labels.valence_arousal else np.full_like(faces.va, np.nan),
        label_set=labels,
        intensity=intensity,
    )


def answerable(faces: FaceSet) -> LabelSet:
    """The label set of what these faces teach: of a task that no face is labelled for, nothing.

    Action units without a label are left out one by one. Expressions stay together, also those that no face has: they
    exclude each other, and what never occurs is never answered.
    """
    labelled = faces.labelled()
    units = [name for k, name in enumerate(faces.label_set.action_units) if not np.isnan(faces.au[:, k]).all()]
    expressions = faces.label_set.expressions if labelled["expression"].any() else ()
    return LabelSet.of(expressions, units, valence_arousal=bool(labelled["va"].any()))


def common(labels: LabelSet, others: LabelSet) -> LabelSet:
    """The part of ``labels`` that ``others`` has too; expressions, which exclude each other, all or none."""
    return LabelSet.of(
        labels.expressions if others.expressions else (),
        [name for name in labels.action_units if name in others.action_units],
        valence_arousal=labels.valence_arousal and others.valence_arousal,
    )


def only_tasks(faces: FaceSet, tasks: Sequence[str]) -> FaceSet:
    """Blank the labels of every other task (``expression``, ``au``, ``va``), as for a single-task network."""

    def kept(values: Float32, task: str) -> Float32:
        return values if task in tasks else np.full_like(values, np.nan)

    return dataclasses.replace(
        faces,
        expression=kept(faces.expression, "expression"),
        expression_target=kept(faces.expression_target, "expression"),
        au=kept(faces.au, "au"),
        va=kept(faces.va, "va"),
        intensity=kept(faces.intensity, "au"),
    )


def in_videos(faces: FaceSet) -> FaceSet:
    """The faces that name the video and frame they come from, each once with all its labels.

    Sets that label a frame for several tasks in several files (Aff-Wild2) have a row for each.
    """
    first: dict[tuple[str, str, float], int] = {}
    merged = dataclasses.replace(
        faces,
        expression=faces.expression.copy(),
        expression_target=faces.expression_target.copy(),
        au=faces.au.copy(),
        va=faces.va.copy(),
    )
    keep = np.zeros(len(faces), bool)
    for i, video in enumerate(faces.video):
        frame = float(faces.frame[i])
        if not video or np.isnan(frame):
            continue
        row = first.setdefault((video, faces.person[i], frame), i)
        keep[row] = True
        if row != i:
            for values in (merged.expression, merged.expression_target, merged.au, merged.va):
                values[row] = np.where(np.isnan(values[row]), values[i], values[row])
    return merged.subset(keep)


def fixed_share(faces: FaceSet, share: float) -> FaceSet:
    """About ``share`` of the faces, always the same ones: chosen by a checksum of their names, in steps of 1/1000."""
    if share >= 1:
        return faces
    return faces.subset(np.array([zlib.crc32(name.encode()) % 1000 < round(share * 1000) for name in faces.names]))


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
        images=_read_images(images, names),
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


def _read_images(path: Path, names: Sequence[str]) -> tuple[UInt8, ...]:
    images = []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                images.append(_decode(np.frombuffer(archive.read(name), np.uint8), f"{path}: {name}"))
    except KeyError as error:
        raise SourceError(f"{path}: {error.args[0]}; every image of the label file must be in it") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: cannot be read as a zip ({error})") from error
    return tuple(images)


def _read_picture(path: Path) -> UInt8:
    try:
        if path.parent.suffix == ".zip" and path.parent.is_file():
            return _decode(np.frombuffer(_archive(path.parent).read(path.name), np.uint8), str(path))
        return _decode(np.fromfile(path, np.uint8), str(path))
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: is not in the zip, or the zip is damaged ({error})") from error


@lru_cache(maxsize=64)
def _archive(path: Path) -> zipfile.ZipFile:
    """A zip of pictures, kept open: a manifest names pictures of a few of them in any order."""
    return zipfile.ZipFile(path)


def _decode(data: UInt8, where: str) -> UInt8:
    """The picture in a file's bytes: grey (H, W) or RGB (H, W, 3)."""
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if image is None or image.dtype != np.uint8:
        raise SourceError(f"{where} is not an 8-bit picture")
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


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


def without_derived_va(faces: FaceSet) -> FaceSet:
    """Blank valence and arousal that only repeat the expression, as sets have them that label expressions alone.

    Looked at in each data set by itself, among the faces that carry both: the values are derived where every class has
    one and the same pair. Faces with valence and arousal alone keep theirs, for nothing else says them.
    """
    both = ~np.isnan(faces.expression) & ~np.isnan(faces.va).any(1)
    va = faces.va.copy()
    sources = np.array(faces.source, object)
    for name in dict.fromkeys(faces.source):
        rows = both & (sources == name)
        if rows.any() and _follows(faces.va[rows], faces.expression[rows]):
            va[rows] = np.nan
    return dataclasses.replace(faces, va=va) if np.isnan(va[both]).any() else faces


def _follows(va: Float32, expression: Float32) -> bool:
    """Whether each class of expression has one pair of values, and some class more than one face to say so."""
    classes = [va[expression == k] for k in np.unique(expression)]
    return all(np.ptp(v, axis=0).max() <= 1e-6 for v in classes) and any(len(v) > 1 for v in classes)


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
    return faces.subset(splits_of(faces) == split)


def crop_matrix(image: UInt8, landmarks: Array, spec: InputSpec, *, wobble: Array | None = None) -> Float32:
    """(2, 3) picture -> crop: by the five points; without them the whole picture, or by ``aligned_size`` its middle.

    Args:
        wobble: (5, 2) px of the crop by which the points are off, as a detector's are.
    """
    if not np.isnan(landmarks).any():
        matrix = face_matrix(landmarks, spec)
        if wobble is None:
            return matrix
        # Moved where they are found, so that every template reacts as it would to a detector that errs so.
        return face_matrix(landmarks + wobble @ np.linalg.inv(matrix[:, :2]).T, spec)
    height, width = image.shape[:2]
    side = spec.aligned_size or spec.size
    fx, fy, cut_off = side / width, side / height, (side - spec.size) // 2
    return np.array([[fx, 0, (fx - 1) / 2 - cut_off], [0, fy, (fy - 1) / 2 - cut_off]], np.float32)


def cut(image: UInt8, landmarks: Array, spec: InputSpec) -> UInt8:
    """The crop that the network is given, (S, S, C), exactly as the SDK cuts it."""
    if np.isnan(landmarks).any():
        return fit_aligned(image, spec)
    return cropped(image, crop_matrix(image, landmarks, spec), spec.size, spec.channels)


def cropped(image: UInt8, matrix: Array, size: int, channels: int) -> UInt8:
    """The square (size, size, C) along ``matrix`` (2, 3) that the SDK would cut, of a grey or an RGB picture."""
    if image.ndim == 3:  # luma is taken before anything is sampled, there and here
        return RgbPicture(image).crop(matrix, size, channels)
    return to_channels(warp(image, matrix, size), channels)


def cut_all(faces: FaceSet, rows: Iterable[int], spec: InputSpec) -> UInt8:
    """The crops of some faces of a set, (N, S, S, C), without disturbance."""
    return np.stack([cut(faces.image(i), faces.landmarks[i], spec) for i in rows])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training pictures are disturbed: the sets are sharp, frontal and grey, faces in video are not."""

    rotate_deg: float = 10.0
    scale: float = 0.10
    """Largest change of size, as a fraction."""
    shift: float = 0.04
    """Largest shift, as a fraction of the crop."""
    point_noise: float = 0.02
    """Standard deviation of each landmark, as a fraction of the crop: detectors disagree by about that."""
    small: float = 0.35
    """Probability of a face with fewer pixels than the crop, down to ``smallest``."""
    smallest: float = 0.375
    """As a fraction of the crop: 24 of 64 px."""
    blur: float = 0.25
    compress: float = 0.25
    light: float = 0.6
    noise: float = 0.25
    occlude: float = 0.25
    whole_px: bool = False
    """Shift by whole pixels, as a random crop of a larger picture does."""
    cover: float = 0.0
    """Probability that something lies over the face, see :mod:`affectkit.train.covering`."""
    turn: float = 0.0
    """Probability of a face that is turned by over 45 degrees in its crop, which is then taught to be invisible."""
    elsewhere: float = 0.0
    """Probability of a crop that shows no face."""


AUGMENTATIONS: dict[str, Augmentation] = {
    "full": Augmentation(),
    "light": Augmentation(
        rotate_deg=7.0,
        scale=0.07,
        shift=0.03,
        point_noise=0.015,
        small=0.2,
        blur=0.1,
        compress=0.1,
        light=0.5,
        noise=0.1,
        occlude=0.05,
    ),
    "covered": Augmentation(
        scale=0.15, shift=0.05, small=0.3, blur=0.2, occlude=0.0, cover=0.25, turn=0.04, elsewhere=0.04
    ),
    "covered-light": Augmentation(
        rotate_deg=8.0,
        scale=0.10,
        shift=0.04,
        point_noise=0.015,
        small=0.2,
        blur=0.1,
        compress=0.1,
        light=0.5,
        noise=0.1,
        occlude=0.0,
        cover=0.2,
        turn=0.04,
        elsewhere=0.06,
    ),
    "paper": Augmentation(
        rotate_deg=0.0,
        scale=0.0,
        shift=11 / 112,
        point_noise=0.0,
        small=0.0,
        blur=0.0,
        compress=0.0,
        light=0.0,
        noise=0.0,
        occlude=0.0,
        whole_px=True,
    ),
}
"""``full`` to learn from nothing; ``light`` for the last epochs, nearer to what the network will mostly be shown;
``covered``: in wider variety, with things over the face, faces on their head and crops without one, for networks that
are to say what they can see; ``covered-light``: the same, less disturbed otherwise, for their last epochs;
``paper``: a random crop of 112 px of a face of 134, and a flip."""


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """A disturbed crop and what that did to the face."""

    crop: UInt8
    """(S, S, C)."""
    linear: Array
    """(2, 2) of the matrix from the picture to the crop; mirrored where its determinant is negative."""
    seen: Array | None
    """(3,) shares of what was visible of brows, eyes and mouth that still are; None: nothing was covered."""
    face: bool
    """Whether there is a face, and upright."""


def augment(image: UInt8, landmarks: Array, spec: InputSpec, how: Augmentation, rng: np.random.Generator) -> UInt8:
    """A disturbed crop (S, S, C); the same for the same generator state."""
    return disturb(image, landmarks, spec, how, rng).crop


def disturb(image: UInt8, landmarks: Array, spec: InputSpec, how: Augmentation, rng: np.random.Generator) -> Disturbed:
    """A disturbed crop and what can be seen in it; the same for the same generator state."""
    size = spec.size
    known = not np.isnan(landmarks).any()
    wobble = rng.normal(0, how.point_noise * size, (5, 2)) if known and how.point_noise else None
    matrix = crop_matrix(image, landmarks, spec, wobble=wobble)
    angle = np.deg2rad(rng.uniform(-how.rotate_deg, how.rotate_deg))
    face = True
    if how.turn and rng.random() < how.turn:
        angle, face = np.deg2rad(rng.uniform(UPRIGHT_DEG + 15, 345 - UPRIGHT_DEG)), False
    zoom = np.exp(rng.uniform(-1, 1) * np.log1p(how.scale))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    centre = (size - 1) / 2
    turn = zoom * np.array([[np.cos(angle) * flip, -np.sin(angle)], [np.sin(angle) * flip, np.cos(angle)]])
    if how.whole_px:
        most = round(how.shift * size)
        offset = rng.integers(-most, most + 1, 2).astype(np.float64)
    else:
        offset = rng.uniform(-how.shift, how.shift, 2) * size
    gone = bool(how.elsewhere) and rng.random() < how.elsewhere
    beside = gone and rng.random() < 0.5
    if beside or not face:  # beside the face: forehead, neck, background; points of a face on its head are off, too
        far = rng.uniform(0.55, 0.95) if beside else rng.uniform(0, 0.3)
        towards = rng.uniform(0, 2 * np.pi)
        offset = offset + far * size * np.array([np.cos(towards), np.sin(towards)])
    shift = centre + offset - turn @ [centre, centre]
    matrix = turn @ matrix + np.column_stack([np.zeros((2, 2)), shift])
    whole = matrix
    target = size
    if rng.random() < how.small:
        target = int(rng.integers(max(1, round(how.smallest * size)), size))
        matrix = matrix * (target / size)
    crop = cropped(image, matrix, target, spec.channels)
    if target != size:
        enlarged = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
        crop = np.asarray(enlarged, np.uint8).reshape(size, size, -1)
    seen = None
    if face and known and not gone and how.cover and rng.random() < how.cover:
        points = landmarks @ whole[:, :2].T + whole[:, 2]  # (5, 2) px of the crop
        if np.linalg.det(whole[:, :2]) < 0:
            points = points[[1, 0, 2, 4, 3]]  # mirrored: left stays left as seen
        covered = cover(crop, points, rng)
        crop, seen = covered.crop, covered.seen
    if gone:
        crop, face = crop if beside else no_face(crop, rng), False
    return Disturbed(_disturb(crop, how, rng), whole[:, :2], seen, face)


def _disturb(crop: UInt8, how: Augmentation, rng: np.random.Generator) -> UInt8:
    size, channels = crop.shape[0], crop.shape[2]
    if rng.random() < how.light:
        x = np.linspace(0, 1, 256, dtype=np.float32) ** np.exp(rng.uniform(-0.5, 0.5))
        x = (x - 0.5) * np.exp(rng.uniform(-0.5, 0.2)) + 0.5 + rng.uniform(-0.15, 0.15)
        crop = np.clip(x * 255, 0, 255).astype(np.uint8)[crop]
        if rng.random() < 0.5:  # light from one side
            direction = rng.uniform(0, 2 * np.pi)
            ramp = np.linspace(-1, 1, size, dtype=np.float32)
            shade = 1 + rng.uniform(0, 0.5) * (np.cos(direction) * ramp[None, :] + np.sin(direction) * ramp[:, None])
            crop = np.clip(crop * shade[:, :, None], 0, 255).astype(np.uint8)
    if rng.random() < how.occlude:
        height, width = (rng.uniform(0.1, 0.4, 2) * size).astype(int)
        top, left = int(rng.integers(0, size - height)), int(rng.integers(0, size - width))
        crop = crop.copy()
        crop[top : top + height, left : left + width] = rng.integers(0, 256)
    if rng.random() < how.blur:
        sigma = float(rng.uniform(0.4, 1.5))
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), np.uint8).reshape(size, size, channels)
    if rng.random() < how.noise:
        crop = np.clip(crop + rng.normal(0, rng.uniform(1, 10), crop.shape), 0, 255).astype(np.uint8)
    if rng.random() < how.compress:
        quality = int(rng.integers(20, 90))
        _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        crop = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(crop)


@dataclass(frozen=True, slots=True)
class Batch:
    """Faces and labels of one step; sequences have the labels of all their frames, one sequence after another."""

    faces: torch.Tensor  # (N, S, S, C) uint8; sequences: (B, T, S, S, C)
    labels: Labels
    rows: torch.Tensor | None = None  # (N,) which rows of the set they are; None: sequences


Drawing = Literal["mixed", "per-task"]
"""``mixed``: every face once an epoch, all its labels count. ``per-task``: the paper's way, see :func:`plan_epoch`."""

EpochLength = Literal["longest", "shortest"]
"""Which task's faces make an epoch of ``per-task`` batches."""


class _LabelledRows(EpochSampler):
    """Every labelled row once, shuffled."""

    def __init__(self, labelled: Array, *, seed: int) -> None:
        super().__init__(seed)
        self._rows = np.flatnonzero(labelled)

    def order(self) -> Index:
        """See :class:`EpochSampler`."""
        return np.asarray(self._rng().permutation(self._rows))


def task_samplers(
    faces: FaceSet, *, seed: int, balance: bool, ml_ros_target: float | None = None
) -> dict[str, EpochSampler]:
    """For each task that has labels, the order of its faces in an epoch: the paper's balanced one, or plain."""
    labelled = faces.labelled() | {"expression": np.asarray(~np.isnan(faces.expression))}
    balanced: dict[str, Callable[[], EpochSampler]] = {
        "expression": lambda: ClassUniformSampler(faces.expression, seed=seed),
        "au": lambda: MlRosSampler(faces.au, seed=seed + 1, target=ml_ros_target),
        "va": lambda: VaHistogramSampler(faces.va, seed=seed + 2),
    }
    samplers: dict[str, EpochSampler] = {}
    for k, (task, rows) in enumerate(labelled.items()):
        if rows.any():
            samplers[task] = balanced[task]() if balance else _LabelledRows(rows, seed=seed + k)
    return samplers


Plan = list[list[tuple[str | None, Index]]]
"""The batches of an epoch; each is a list of (task, rows), see :func:`plan_epoch`."""


def plan_epoch(
    faces: FaceSet,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    drawing: Drawing = "mixed",
    balance: bool = False,
    most: int | None = None,
    epoch_length: EpochLength = "longest",
    ml_ros_target: float | None = None,
) -> Plan:
    """The rows of every batch of an epoch, which depend on the arguments alone.

    ``mixed``: each batch is one group of rows whose labels all count (task None); with ``balance`` the rows are those
    of the three balanced samplers together. ``per-task``: each batch holds one group a task, and only that task's
    labels of it count; an epoch lasts as long as the task with the most faces (those with fewer repeat), or, with
    ``epoch_length`` "shortest", as the one with the fewest.

    The last, smaller batch is left out: batch statistics of a handful of faces disturb more than they teach. An epoch
    has at most ``most`` batches: balanced ones are longer, and with it both kinds cost the same.

    Raises:
        SourceError: no face is labelled, or a batch is too small for a part a task.
    """
    orders: dict[str, Index] = {}
    if drawing == "per-task" or balance:
        samplers = task_samplers(faces, seed=seed, balance=balance, ml_ros_target=ml_ros_target)
        for task, sampler in samplers.items():
            sampler.set_epoch(epoch)
            orders[task] = sampler.order()
        if not orders:
            raise SourceError("no face is labelled for any task, so there is nothing to draw")
    if drawing == "mixed":
        rows = np.concatenate(list(orders.values())) if balance else np.arange(len(faces))
        order = np.random.default_rng((seed, epoch)).permutation(rows)
        starts = range(0, len(order) - batch_size + 1, batch_size)[:most]
        return [[(None, order[i : i + batch_size])] for i in starts]
    size = batch_size // len(orders)
    if size < 2:
        raise SourceError(
            f"a batch of {batch_size} has no two faces for each of {len(orders)} tasks; give --batch-size "
            f"{2 * len(orders)} or more"
        )
    extent = max if epoch_length == "longest" else min
    count = extent(len(order) for order in orders.values()) // size
    wrapped = {task: np.resize(order, count * size) for task, order in orders.items()}
    return [[(task, order[k * size : (k + 1) * size]) for task, order in wrapped.items()] for k in range(count)[:most]]


def batches(
    faces: FaceSet,
    spec: InputSpec,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    first: int = 0,
    how: Augmentation | None = None,
    drawing: Drawing = "mixed",
    balance: bool = False,
    most: int | None = None,
    epoch_length: EpochLength = "longest",
    ml_ros_target: float | None = None,
) -> Iterator[Batch]:
    """The batches of :func:`plan_epoch` from ``first`` on; each draw's disturbance follows from (seed, epoch, draw)."""
    how = how or Augmentation()
    plan = plan_epoch(
        faces,
        batch_size=batch_size,
        seed=seed,
        epoch=epoch,
        drawing=drawing,
        balance=balance,
        most=most,
        epoch_length=epoch_length,
        ml_ros_target=ml_ros_target,
    )
    for step in range(first, len(plan)):
        crops, parts = [], []
        for task, rows in plan[step]:
            shown = []
            for i in rows:
                # A face drawn twice in an epoch is disturbed anew: the number of draws so far is part of its seed.
                rng = np.random.default_rng((seed, epoch, int(i), step if balance or drawing == "per-task" else 0))
                shown.append(disturb(faces.image(i), faces.landmarks[i], spec, how, rng))
            crops += [one.crop for one in shown]
            parts.append(labels_as_seen(faces, rows, shown, task, taught_visible=how.cover > 0))
        labels = Labels(*(torch.cat([getattr(part, f.name) for part in parts]) for f in dataclasses.fields(Labels)))
        drawn = torch.from_numpy(np.concatenate([rows for _, rows in plan[step]]))
        yield Batch(torch.from_numpy(np.stack(crops)), labels, drawn)


def labels_of(faces: FaceSet, rows: Index, task: str | None = None) -> Labels:
    """The labels of some rows; all but those of ``task`` blank, if one is given."""

    def part(values: Float32, name: str) -> torch.Tensor:
        kept = values[rows] if task in (None, name) else np.full_like(values[rows], np.nan)
        return torch.from_numpy(kept)

    return Labels(part(faces.expression_target, "expression"), part(faces.au, "au"), part(faces.va, "va"))


def labels_as_seen(
    faces: FaceSet, rows: Index, shown: Sequence[Disturbed], task: str | None = None, *, taught_visible: bool = False
) -> Labels:
    """The labels of disturbed faces: what can no longer be seen is not taught, the head is turned as its crop is.

    Args:
        task: see :func:`labels_of`.
        taught_visible: what nobody labelled counts as visible where nothing lies over it, and as hidden where there is
            no upright face.
    """
    plain = labels_of(faces, rows, task)
    expression, au, va = plain.expression.clone(), plain.au.clone(), plain.va.clone()
    intensity = torch.from_numpy(faces.intensity[rows] if task in (None, "au") else faces.intensity[rows] * np.nan)
    visible, pose = faces.visible[rows], faces.pose[rows].copy()
    if taught_visible:
        visible = np.where(np.isnan(visible), 1.0, visible)
        visible = visible * np.stack([np.ones(3) if one.seen is None else one.seen for one in shown])
    needed = [[region in regions_of(name) for region in REGIONS] for name in faces.label_set.action_units]  # (A, 3)
    # (N, 3) and (A, 3) -> (N, A); nothing is hidden where nothing is known.
    hidden = torch.from_numpy(((visible < HIDDEN)[:, None] & np.array(needed, bool).reshape(-1, 3)[None]).any(2))
    for k, one in enumerate(shown):
        pose[k] = _pose_in_crop(pose[k], one.linear)
        if not one.face:
            visible[k], pose[k], hidden[k] = 0.0 if taught_visible else np.nan, np.nan, True
            expression[k], va[k] = torch.nan, torch.nan
    au[hidden], intensity[hidden] = torch.nan, torch.nan
    return Labels(expression, au, va, intensity, torch.from_numpy(visible.astype(np.float32)), torch.from_numpy(pose))


def _pose_in_crop(pose: Array, linear: Array) -> Array:
    """(3,) pitch, yaw, roll of a head in a picture -> in the crop that ``linear`` (2, 2) makes of it, degrees."""
    mirrored = -1.0 if np.linalg.det(linear) < 0 else 1.0
    # y points down, so that a positive turn of the matrix is clockwise as seen, and roll counts the other way.
    turn = np.degrees(np.arctan2(linear[1, 0] * mirrored, linear[0, 0] * mirrored))
    return np.array([pose[0], mirrored * pose[1], mirrored * pose[2] - turn], np.float32)
