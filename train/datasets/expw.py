"""ExpW: ``label.lst`` with lines ``name face_id top left right bottom confidence label``, and the pictures.

The box may leave the picture; its border continues there.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from affectkit.errors import SourceError
from affectkit.train.datasets.crops import box_crop, save
from affectkit.train.datasets.manifest import Prepared, Row, lines_of, relative
from affectkit.types import EXPRESSION_NAMES
from affectkit.video import read_image

LABEL_MAP = (1, 2, 3, 4, 5, 6, 0)
"""ExpW's angry disgust fear happy sad surprise neutral, as indices into EXPRESSION_NAMES."""

PICTURE_FOLDERS = ("origin", "image/origin", "image", ".")
CROP_PX = 160


def read(source: Path, target: Path, *, min_confidence: float = 0.0) -> Prepared:
    """ExpW: expressions; each face becomes a crop.

    They are written to ``target/expw/NAME_FACE.png``.

    Args:
        min_confidence: leave out boxes below it (ExpW's detector gives up to about 100).
    """
    label_file = next((p for p in (source / "label.lst", source / "label" / "label.lst") if p.is_file()), None)
    if label_file is None:
        raise SourceError(f"{source}: has no label.lst; is this ExpW's folder?")
    prepared = Prepared()
    lines = [line.split() for line in lines_of(label_file)]
    for name, group in groupby(lines, key=lambda parts: parts[0]):
        picture = _find(source, name)
        image = None
        for parts in group:
            try:
                face, top, left, right, bottom = map(int, parts[1:6])
                confidence, label = float(parts[6]), EXPRESSION_NAMES[LABEL_MAP[int(parts[7])]]
            except (ValueError, IndexError) as error:
                raise SourceError(f"{label_file}: cannot read {' '.join(parts)!r}") from error
            if confidence < min_confidence:
                prepared.dropped["box of low confidence"] += 1
            elif picture is None:
                prepared.dropped["without a picture"] += 1
            elif right <= left or bottom <= top:
                prepared.dropped["empty box"] += 1
            else:
                image = read_image(picture) if image is None else image
                path = target / "expw" / f"{Path(name).stem}_{face}.png"
                save(box_crop(image, left, top, right, bottom, CROP_PX), path)
                prepared.rows.append(Row(relative(path, target), "expw", "train", expression=label))
    return prepared


def _find(source: Path, name: str) -> Path | None:
    return next((p for p in (source / folder / name for folder in PICTURE_FOLDERS) if p.is_file()), None)
