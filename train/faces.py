"""Sets of labelled face pictures: joining them, choosing rows, and bringing them to a network's labels."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from affectkit.train.losses import Labels
from affectkit.train.pictures import read_picture
from affectkit.types import Array, Float32, LabelSet, UInt8


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
        return read_picture(image) if isinstance(image, Path) else image

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
