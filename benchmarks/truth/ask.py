"""What models say of the pictures: one row a picture, kept in FOLDER/predictions."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

import affectkit
from affectkit import Predictor
from affectkit.errors import ModelError
from affectkit.train.datasets.blendshapes import NOSE_TIP, soft_labels
from affectkit.train.datasets.manifest import AU_COLUMNS
from affectkit.train.render.facs import AU_NAMES
from affectkit.types import Array, UInt8, published_au_name
from truth.talking import FPS

SMOOTH_S = 0.3
BLENDSHAPES = {
    "AU5": "eyeWide",
    "AU7": "eyeSquint",
    "AU9": "noseSneer",
    "AU10": "mouthUpperUp",
    "AU14": "mouthDimple",
    "AU17": "mouthShrugLower",
    "AU18": "mouthPucker",
    "AU24": "mouthPress",
    "AU26": "jawOpen",
    "AU43": "eyeBlink",
}
"""MediaPipe's for units beyond the eight of ``soft_labels``, on at .5. AU23 has none."""

SEEN = ("confidence", "quality", "pitch", "yaw", "roll")
"""Columns of a table beside the units that are kept; of a model that has them."""

Row = dict[str, Any]


class Affectkit:
    """A model of this package, from a picture to a row of its table, as ``affectkit predict`` does."""

    def __init__(self, model: str) -> None:
        self.predictor = Predictor(model, threads=1)  # the results do not depend on it, and nothing waits for a core
        self.name = Path(model).name
        told = map(published_au_name, self.predictor.spec.labels.action_units)
        self.units = [name for name in told if name in AU_NAMES]  # of others there is no truth
        self._ways: dict[str, tuple[Predictor, dict[str, Any]]] = {}
        live, smooth = {"window": "live"}, {"smooth_s": SMOOTH_S}
        if not self.predictor.temporal:
            self._ways |= {"frame by frame": (self.predictor, {}), f"smooth {SMOOTH_S}": (self.predictor, smooth)}
            self._ways[f"smooth {SMOOTH_S}, live"] = self.predictor, {**smooth, **live}
        try:
            temporal = self.predictor if self.predictor.temporal else Predictor(model, temporal=True, threads=1)
        except ModelError:
            return
        recurrent = f"{temporal.spec.name} {_digest(temporal)[:4]}"
        self._ways |= {recurrent: (temporal, {}), f"{recurrent}, live": (temporal, live)}

    @property
    def key(self) -> str:
        """Of the model's files and the package's code: the predictions' name in the cache."""
        digest = hashlib.sha256(_digest(self.predictor).encode())
        for path in sorted(Path(affectkit.__file__).parent.glob("**/*.py")):
            if not {"train", "export"} & set(path.parts):
                digest.update(path.read_bytes())
        return f"{self.name}-{digest.hexdigest()[:12]}"

    @property
    def note(self) -> str:
        """What was run."""
        spec = self.predictor.spec
        return f"{spec.name} {spec.version}, {spec.precision}, {len(self.units)} units"

    @property
    def ways(self) -> list[str]:
        """How sequences are gone through."""
        return list(self._ways)

    def close(self) -> None:
        """Free the networks."""
        for predictor in {id(one): one for one, _ in self._ways.values()}.values():
            predictor.close()

    def still(self, image: UInt8, nose: Array) -> Row:
        """One picture; the face whose box holds the nose (2,)."""
        return _row(self.predictor.predict(image), self.units, [nose])[0]

    def sequence(self, images: list[UInt8], noses: list[Array], way: str) -> list[Row]:
        """The frames of a sequence."""
        predictor, options = self._ways[way]
        return _row(predictor.predict(np.stack(images), fps=FPS, **options), self.units, noses)


def _digest(predictor: Predictor) -> str:
    """Of a model's files, so that what another one of the same name once said is not taken for its answer."""
    files = {name: value for name, value in predictor.describe()["model"].items() if name != "path"}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


class MediaPipe:
    """Face Landmarker, its blendshapes read as action units."""

    name = "mediapipe"
    units = tuple(sorted({*AU_COLUMNS, *BLENDSHAPES}, key=lambda unit: int(unit[2:])))
    ways = ("video mode",)

    def __init__(self, model: Path) -> None:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision

        self._mediapipe, self._vision = mediapipe, vision
        self._base = BaseOptions(model_asset_path=str(model))
        self.note = f"MediaPipe {mediapipe.__version__} Face Landmarker, blendshapes"
        self.key = f"mediapipe-{mediapipe.__version__}-{hashlib.sha256(model.read_bytes()).hexdigest()[:8]}"
        self._still = self._open(vision.RunningMode.IMAGE)

    def _open(self, mode: Any) -> Any:
        options = self._vision.FaceLandmarkerOptions(
            base_options=self._base, running_mode=mode, output_face_blendshapes=True, num_faces=1
        )
        return self._vision.FaceLandmarker.create_from_options(options)

    def _image(self, image: UInt8) -> Any:
        return self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image, np.uint8)
        )

    def still(self, image: UInt8, nose: Array) -> Row:
        """One picture."""
        return _read_blendshapes(self._still.detect(self._image(image)), image, nose)

    def sequence(self, images: list[UInt8], noses: list[Array], way: str) -> list[Row]:
        """The frames of a sequence."""
        del way
        with self._open(self._vision.RunningMode.VIDEO) as landmarker:
            answers = [landmarker.detect_for_video(self._image(image), 40 * k) for k, image in enumerate(images)]
        return [_read_blendshapes(*one) for one in zip(answers, images, noses, strict=True)]

    def close(self) -> None:
        """Let the landmarker go; left to the interpreter's end it complains."""
        self._still.close()


def blendshape_units(scores: dict[str, float], mesh: Array) -> dict[str, float]:
    """Units 0..1 by name; .5 is "on"."""
    found = dict(zip(AU_COLUMNS, soft_labels(scores, mesh), strict=True))
    for unit, name in BLENDSHAPES.items():
        sides = [scores[key] for key in (name, f"{name}Left", f"{name}Right") if key in scores]
        found[unit] = float(np.mean(sides))
    return found


def _read_blendshapes(answer: Any, image: UInt8, nose: Array) -> Row:
    if not answer.face_blendshapes:
        return {"found": False}
    height, width = image.shape[:2]
    mesh = np.array([[point.x * width, point.y * height] for point in answer.face_landmarks[0]])
    if np.linalg.norm(mesh[NOSE_TIP] - nose) > np.ptp(mesh[:, 0]):
        return {"found": False}
    units = blendshape_units({shape.category_name: shape.score for shape in answer.face_blendshapes[0]}, mesh)
    return {
        "found": True,
        **{f"p.{name}": value for name, value in units.items()},
        **{f"c.{name}": float(value >= 0.5) for name, value in units.items()},
    }


def _row(table: Any, units: list[str], noses: list[Array]) -> list[Row]:
    """Of each frame the row of the face that holds the nose, with columns p.AU1, c.AU1, i.AU1 ..."""
    data = table.to_pandas()
    found: list[Row] = []
    for frame, nose in enumerate(noses):
        rows = data[(data["frame"] == frame) & (data["success"] == 1)]
        inside = (rows["FaceRectX"] <= nose[0]) & (nose[0] <= rows["FaceRectX"] + rows["FaceRectWidth"])
        inside &= (rows["FaceRectY"] <= nose[1]) & (nose[1] <= rows["FaceRectY"] + rows["FaceRectHeight"])
        rows = rows[inside]
        if rows.empty:
            found.append({"found": False})
            continue
        best = rows.loc[rows["confidence"].astype(float).idxmax()]
        row: Row = {"found": True}
        for unit in units:
            name = f"AU{int(unit[2:]):02d}"
            for prefix, column in (("p", name), ("c", f"{name}_c"), ("i", f"{name}_i")):
                if column in rows:
                    row[f"{prefix}.{unit}"] = _number(best[column])
        for column in (name for name in rows if name.startswith("visible_") or name in SEEN):
            row[f"told.{column}"] = _number(best[column])
        expression = best.get("expression")
        row["expression"] = expression if isinstance(expression, str) else ""
        found.append(row)
    return found


def _number(value: Any) -> float:
    return float("nan") if value is None or pd.isna(value) else float(value)


def answers(
    model: Affectkit | MediaPipe,
    cache: Path,
    wanted: list[tuple[str, str]],
    pictures: Callable[[set[tuple[str, str]]], Iterator[tuple[str, str, UInt8, Array]]],
) -> pd.DataFrame:
    """Rows of stills, from the cache as far as they are there; what is asked again is put there every now and then.

    Args:
        model: to ask.
        cache: folder.
        wanted: names and ways of spoiling ("" for none).
        pictures: gives name, way, picture and nose (2,) of those in a set.
    """
    target = cache / f"{model.key}-stills.parquet"
    kept = pd.read_parquet(target) if target.exists() else pd.DataFrame({"name": [], "spoilt": []})
    missing = set(wanted) - set(zip(kept["name"], kept["spoilt"], strict=True))
    rows: list[Row] = []
    total, start = len(missing), time.monotonic()
    for name, spoilt, image, nose in pictures(missing) if missing else ():
        rows.append({"name": name, "spoilt": spoilt, **model.still(image, nose)})
        if len(rows) % 250 == 0 or len(rows) == total:
            _keep(pd.concat([kept, pd.DataFrame(rows)], ignore_index=True), target)
            rate = len(rows) / (time.monotonic() - start)
            print(f"{model.name}: {len(rows)} of {total} pictures, {rate:.0f} a second", flush=True)
    every = pd.concat([kept, pd.DataFrame(rows)], ignore_index=True) if rows else kept
    return every.merge(pd.DataFrame(wanted, columns=["name", "spoilt"]), on=["name", "spoilt"])


def moving_answers(
    model: Affectkit | MediaPipe,
    cache: Path,
    wanted: list[str],
    pictures: Callable[[str], tuple[list[str], list[UInt8], list[Array]]],
) -> pd.DataFrame:
    """Rows of the frames of sequences, for each way of going through them (column ``way``).

    Args:
        model: to ask.
        cache: folder.
        wanted: files, a sequence each.
        pictures: gives names, pictures and noses (2,) of a sequence.
    """
    target = cache / f"{model.key}-moving.parquet"
    kept = pd.read_parquet(target) if target.exists() else pd.DataFrame({"file": [], "way": []})
    done = set(zip(kept["file"], kept["way"], strict=True))
    for file in wanted:
        missing = [way for way in model.ways if (file, way) not in done]
        if not missing:
            continue
        names, images, noses = pictures(file)
        for way in missing:
            told = model.sequence(images, noses, way)
            rows = [{"file": file, "name": name, "way": way, **row} for name, row in zip(names, told, strict=True)]
            kept = pd.concat([kept, pd.DataFrame(rows)], ignore_index=True)
        _keep(kept, target)
    return kept[kept["file"].isin(wanted) & kept["way"].isin(model.ways)].drop(columns="file")


def _keep(table: pd.DataFrame, target: Path) -> pd.DataFrame:
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(target, index=False)
    return table


def spoil(image: UInt8, way: str, seed: int) -> UInt8:
    """A picture as codecs, lenses and distance leave it."""
    if way.startswith("jpeg"):
        data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(way[5:])])[1]
        return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    if way.startswith("blur"):
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(way[5:])), np.uint8)
    if way.startswith("size"):
        share = float(way[5:])
        return np.asarray(cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)
    if way.startswith("noise"):
        grain = np.random.default_rng(seed).normal(0, float(way[6:]), image.shape)
        return np.asarray(np.clip(image + grain, 0, 255), np.uint8)
    if way.startswith("dark"):
        return np.asarray(image * float(way[5:]), np.uint8)
    return image


SPOILS = ("jpeg 30", "jpeg 10", "blur 1.5", "blur 3", "size .5", "size .33", "noise 20", "dark .3")
