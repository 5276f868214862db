"""Files in the format of the ABAW challenge: a text file a video and task, one header line, then a line a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.outputs.json_files import write_text
from affectkit.sources.stills import read_image
from affectkit.train.balance import Index
from affectkit.train.datasets.manifest import lines_of
from affectkit.train.datasets.points import FindPoints, in_crop
from affectkit.train.evaluate import Answers
from affectkit.train.faces import FaceSet
from affectkit.train.sequences import videos
from affectkit.types import Float32, LabelSet, published_au_name

PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class _Form:
    """The files of one task."""

    header: str
    nothing: str
    """The line of a frame without a face, as the annotations mark frames to leave out."""


def _forms(labels: LabelSet) -> dict[str, _Form]:
    """By folder, for the tasks that a model answers."""
    forms = {}
    if labels.action_units:
        units = [published_au_name(name) for name in labels.action_units]
        forms["AU_Set"] = _Form(",".join(units), ",".join(["-1"] * len(units)))
    if labels.expressions:
        forms["EXPR_Set"] = _Form(",".join(name.capitalize() for name in labels.expressions), "-1")
    if labels.valence_arousal:
        forms["VA_Set"] = _Form("valence,arousal", "-5,-5")
    return forms


def faces_of_crops(folder: Path, *, find: FindPoints | None = None) -> FaceSet:
    """The faces of ``FOLDER/VIDEO/00001.jpg`` ...: the picture numbered i + 1 is frame i, as in Aff-Wild2.

    Args:
        find: finds the five points by which a model cuts the crops; one without a found face, and without ``find``
            every one, is taken whole.

    Raises:
        SourceError: no such picture is there, or a name is no frame number.
    """
    pictures = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in PICTURES)
    if not pictures:
        raise SourceError(f"{folder}: no pictures VIDEO/00001.jpg in it; give the folder cropped_aligned")
    for path in pictures:
        if not path.stem.isdecimal() or int(path.stem) < 1:
            raise SourceError(f"{path}: its name should be the frame's number, from 1 on")
    count, labels = len(pictures), LabelSet()  # all blank: the model says what it answers
    return FaceSet(
        names=tuple(path.relative_to(folder).as_posix() for path in pictures),
        images=tuple(pictures),
        landmarks=np.stack([_points(path, find) for path in pictures]),
        expression=np.full(count, np.nan, np.float32),
        expression_target=np.full((count, len(labels.expressions)), np.nan, np.float32),
        au=np.full((count, len(labels.action_units)), np.nan, np.float32),
        va=np.full((count, 2), np.nan, np.float32),
        person=("",) * count,
        video=tuple(path.parent.name for path in pictures),
        frame=np.array([int(path.stem) - 1 for path in pictures], np.float32),
        label_set=labels,
    )


def _points(path: Path, find: FindPoints | None) -> Float32:
    """(5, 2) px of the face in a crop; NaN where none is found, or is looked for."""
    points = None if find is None else in_crop(read_image(path), find)
    return np.full((5, 2), np.nan, np.float32) if points is None else np.asarray(points, np.float32)


def read_lengths(path: Path) -> dict[str, int]:
    """Frames of each video, from lines ``VIDEO FRAMES``.

    Raises:
        SourceError: a line is not of that form.
    """
    lengths = {}
    for line in lines_of(path):
        name, _, number = line.rpartition(" ")
        if not name.strip() or not number.isdecimal():
            raise SourceError(f"{path}: expected lines 'VIDEO FRAMES', got {line!r}")
        lengths[name.strip()] = int(number)
    return lengths


def write_predictions(answers: Answers, faces: FaceSet, folder: Path, *, lengths: Mapping[str, int]) -> int:
    """Write ``FOLDER/{AU,EXPR,VA}_Set/VIDEO.txt``, of the tasks that the model has, and return the number of videos.

    A video has a line for each of its ``lengths`` frames, or, where that is unknown, up to its last face. One with
    several people has a file for each, as Aff-Wild2 names them.

    Raises:
        SourceError: a name or a length is impossible; nothing is written then.
    """
    lines_of_frame = _lines_of_frames(answers)
    forms = _forms(answers.spec.labels)
    texts: dict[str, dict[str, list[str]]] = {}
    for name in lengths:
        texts[name] = {task: [form.nothing] * lengths[name] for task, form in forms.items()}
    for rows in videos(faces):
        name, frames = _name(faces, rows), faces.frame[rows].astype(int)
        if Path(name).name != name:
            raise SourceError(f"{name!r}: a video's name becomes a file's; it cannot be a path")
        length = lengths.get(name, int(frames[-1]) + 1)
        if frames[-1] >= length:
            raise SourceError(f"{name}: has a face in frame {frames[-1]}, but --lengths gives it {length} frames")
        lines = texts[name] = {task: [form.nothing] * length for task, form in forms.items()}
        for row, frame in zip(rows, frames, strict=True):
            for task in forms:
                lines[task][frame] = lines_of_frame[task][row]
    for task, form in forms.items():
        (folder / task).mkdir(parents=True, exist_ok=True)
        for name, lines in texts.items():
            write_text(folder / task / f"{name}.txt", "\n".join([form.header, *lines[task]]) + "\n")
    return len(texts)


def _lines_of_frames(answers: Answers) -> dict[str, list[str]]:
    """By task, what stands in the line of each of the N faces."""
    decoded = answers.decoded()
    lines = {
        "AU_Set": [",".join(str(int(on)) for on in row) for row in decoded["au"] >= answers.thresholds()],
        "VA_Set": [",".join(f"{value:.4f}" for value in row) for row in decoded["va"]],
    }
    if answers.spec.labels.expressions:
        lines["EXPR_Set"] = [str(int(row.argmax())) for row in decoded["expression"]]
    return lines


def _name(faces: FaceSet, rows: Index) -> str:
    """The file's name of one person in one video: the video's, with the person's where there are several."""
    row = int(rows[0])
    video, person = faces.video[row], faces.person[row]
    if person.startswith(video):  # Aff-Wild2: VIDEO_left, VIDEO_right
        return person
    people = {faces.person[i] for i, name in enumerate(faces.video) if name == video}
    return video if len(people) == 1 else f"{video}_{person or 'unknown'}"
