"""AFEW-VA: a folder a clip, with PNG frames and a JSON ``frames -> {id -> {landmarks, valence, arousal}}``, -10..10."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import five_points
from affectkit.train.datasets.labels import located, number
from affectkit.train.datasets.manifest import Prepared, Row, relative
from affectkit.train.datasets.points import picture, save_cut_out
from affectkit.train.datasets.units import Unit, collect
from affectkit.types import Array

LARGEST = 10.0


def read(source: Path, target: Path) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target))


def units(source: Path, target: Path) -> list[Unit]:
    """A unit a clip; faces are cut out by their 68 points, to ``target/afew-va/CLIP/00000.png``."""
    files = sorted(source.glob("*/*.json")) or sorted(source.glob("*/*/*.json"))  # as published: in twelve parts
    if not files:
        raise SourceError(f"{source}: has no CLIP/CLIP.json; is this AFEW-VA's folder?")
    return [Unit(file.parent.name, partial(_clip, file, target)) for file in files]


def _clip(file: Path, target: Path) -> Prepared:
    clip, prepared = file.parent.name, Prepared()
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        frames, actor = sorted(document["frames"].items()), document.get("actor")
        labels_of = [(name, dict(labels)) for name, labels in frames]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise SourceError(f"{file}: not a label file of AFEW-VA ({error!r})") from error
    for i, (name, labels) in enumerate(labels_of):
        where = file.parent / f"{name}.png"
        values = []
        for column in ("valence", "arousal"):
            with located(file, column=f"{column} of frame {name}"):
                values.append(number(labels.get(column), -LARGEST, LARGEST) / LARGEST)
        points = _five(labels.get("landmarks"))
        if math.isnan(sum(values)):
            prepared.drop("without valence and arousal", f"{file}: frame {name}")
        elif not where.is_file():
            prepared.drop("without a picture", where)
        elif points is None:
            prepared.drop("without landmarks", f"{file}: frame {name}")
        else:
            image = picture(where, prepared)
            path = target / "afew-va" / clip / f"{name}.png"
            five = None if image is None else save_cut_out(image, points, path, where, prepared)
            if five is not None:
                frame = int(name) if name.isdecimal() else i
                prepared.rows.append(
                    Row(
                        relative(path, target),
                        "afew-va",
                        "train",
                        clip,
                        frame,
                        actor and str(actor),
                        valence=values[0],
                        arousal=values[1],
                        landmarks=five,
                    )
                )
    return prepared


def _five(landmarks: object) -> Array | None:
    """The five of 68 points; None where there are none, or another number of them."""
    try:
        points = np.asarray(landmarks, np.float64)
    except (ValueError, TypeError):
        return None
    return five_points(points) if points.shape == (68, 2) and np.isfinite(points).all() else None
