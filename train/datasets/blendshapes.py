"""AU soft labels for any folder of faces, from the blendshapes of MediaPipe's Face Landmarker.

Machine-made labels: a tool's answer turned into numbers, not FACS coding. Needs the extra ``mediapipe`` and the model
file ``face_landmarker.task``, which the user brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from affectkit.errors import MissingDependency, SourceError
from affectkit.sources.opening import IMAGE_SUFFIXES
from affectkit.train.datasets.manifest import AU_COLUMNS, Prepared, Row, need, relative
from affectkit.train.datasets.points import as_points, picture
from affectkit.train.datasets.units import Unit, chunks, collect
from affectkit.types import Array, UInt8

LIPS = 13, 14
"""Mesh points in the middle of the inner upper and lower lip."""

EYE_CORNERS = (33, 133), (362, 263)
"""Mesh points at the outer and inner corners of the two eyes."""

NOSE_TIP = 1
MOUTH = 61, 291
"""Mesh points at its corners; left as seen in the picture first, as for the eyes."""

PICTURES_A_UNIT = 200

Landmarks = Callable[[UInt8], tuple[Mapping[str, float], Array] | None]
"""RGB picture -> blendshape scores by name and the mesh (P, 2) px of its face; None without one."""


def soft_labels(scores: Mapping[str, float], mesh: Array) -> tuple[float, ...]:
    """AU1 AU2 AU4 AU6 AU12 AU15 AU20 AU25 in [0, 1]: ``clip(raw / (2 t), 0, 1)``, .5 at the threshold t of "active".

    AU6 is a proxy, the squint weighted by the root of the smile: the model never answers its own cheekSquint. AU25 is
    the gap of the inner lips over the distance of the eyes' centres.
    """

    def both(name: str) -> float:
        return (scores[f"{name}Left"] + scores[f"{name}Right"]) / 2

    eyes = [mesh[list(corners)].mean(0) for corners in EYE_CORNERS]
    between = float(np.linalg.norm(eyes[1] - eyes[0]))
    gap = float(np.linalg.norm(mesh[LIPS[1]] - mesh[LIPS[0]]))
    raw_and_threshold = (
        (scores["browInnerUp"], 0.40),
        (both("browOuterUp"), 0.45),
        (both("browDown"), 0.40),
        (both("eyeSquint") * both("mouthSmile") ** 0.5, 0.30),
        (both("mouthSmile"), 0.30),
        (both("mouthFrown"), 0.15),
        (both("mouthStretch"), 0.25),
        (gap / between if between > 0 else 0.0, 0.07),
    )
    return tuple(round(float(np.clip(0.5 * raw / t, 0, 1)), 3) for raw, t in raw_and_threshold)


@contextmanager
def face_landmarker(model: Path, *, enlarge_to_px: int = 192) -> Iterator[Landmarks]:
    """MediaPipe's Face Landmarker on single pictures, for as long as the context lasts.

    Args:
        model: ``face_landmarker.task``.
        enlarge_to_px: smaller pictures are enlarged to this side first; the model was made for larger faces.

    Raises:
        MissingDependency: mediapipe is not installed.
        SourceError: the model file is missing.
    """
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mediapipe":
            raise
        raise MissingDependency("mediapipe", "mediapipe", "labelling by blendshapes") from error
    need(model, "MediaPipe's face_landmarker.task")
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True, num_faces=1
    )
    landmarker = vision.FaceLandmarker.create_from_options(options)

    def look(image: UInt8) -> tuple[Mapping[str, float], Array] | None:
        import cv2

        height, width = image.shape[:2]
        scale = max(1.0, enlarge_to_px / min(height, width))
        if scale > 1:
            size = round(width * scale), round(height * scale)
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        answer = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
        if not answer.face_blendshapes:
            return None
        scores = {category.category_name: float(category.score) for category in answer.face_blendshapes[0]}
        mesh = np.array([[point.x * width, point.y * height] for point in answer.face_landmarks[0]])
        return scores, mesh

    try:
        yield look
    finally:
        landmarker.close()


def read(source: Path, target: Path, *, landmarks: Landmarks) -> Prepared:
    """All of :func:`units`."""
    return collect(units(source, target, landmarks=landmarks))


def units(source: Path, target: Path, *, landmarks: Landmarks) -> list[Unit]:
    """Label every picture below a folder, a few hundred a unit; those without a face are left out."""
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not files:
        raise SourceError(f"{source}: no pictures in this folder")

    def part(some: Sequence[Path]) -> Prepared:
        prepared = Prepared()
        for path in some:
            image = picture(path, prepared)
            if image is None:
                continue
            found = landmarks(image)
            if found is None:
                prepared.drop("no face found", path)
                continue
            units = dict(zip(AU_COLUMNS, soft_labels(*found), strict=True))
            points = as_points(five_of_mesh(found[1]))
            prepared.rows.append(Row(relative(path, target), "blendshapes", "train", au=units, landmarks=points))
        return prepared

    return [Unit(name, partial(part, some)) for name, some in chunks(files, PICTURES_A_UNIT)]


def five_of_mesh(mesh: Array) -> Array:
    """(P, 2) -> (5, 2): middles of the eyes' corners, nose tip, mouth corners."""
    return np.stack([*(mesh[list(corners)].mean(0) for corners in EYE_CORNERS), mesh[NOSE_TIP], *mesh[list(MOUTH)]])
