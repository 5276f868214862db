"""AFEW-VA: a folder a clip, with PNG frames and a JSON ``frames -> {id -> {landmarks, valence, arousal}}``, -10..10."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import paper_crop, save
from affectkit.train.datasets.manifest import Prepared, Row, relative
from affectkit.video import read_image

LARGEST = 10.0
CROP_PX = 160


def read(source: Path, target: Path) -> Prepared:
    """AFEW-VA: valence and arousal; faces are cut by their 68 points.

    They are written to ``target/afew-va/CLIP/00000.png``.
    """
    files = sorted(source.glob("*/*.json")) or sorted(source.glob("*/*/*.json"))  # as published: in twelve parts
    if not files:
        raise SourceError(f"{source}: has no CLIP/CLIP.json; is this AFEW-VA's folder?")
    prepared = Prepared()
    for file in files:
        clip = file.parent.name
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            frames, actor = document["frames"], document.get("actor")
        except (ValueError, KeyError, AttributeError) as error:
            raise SourceError(f"{file}: not a label file of AFEW-VA ({error!r})") from error
        for name, labels in sorted(frames.items()):
            picture = file.parent / f"{name}.png"
            if not picture.is_file():
                prepared.dropped["without a picture"] += 1
                continue
            points = np.asarray(labels["landmarks"], np.float64)
            valence, arousal = float(labels["valence"]) / LARGEST, float(labels["arousal"]) / LARGEST
            if points.shape != (68, 2) or not (abs(valence) <= 1 and abs(arousal) <= 1):
                raise SourceError(f"{file}: frame {name} has {points.shape} points, or values beyond -10 to 10")
            path = target / "afew-va" / clip / f"{name}.png"
            try:
                save(paper_crop(read_image(picture), points, CROP_PX), path)
            except ValueError:
                prepared.dropped["points coincide"] += 1
                continue
            prepared.rows.append(
                Row(
                    relative(path, target),
                    "afew-va",
                    "train",
                    clip,
                    int(name),
                    actor,
                    valence=valence,
                    arousal=arousal,
                )
            )
    return prepared
