"""Pictures of people (FER+ at its known points): combinations that real faces show, and mouths that are hidden."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from affectkit import Predictor
from affectkit.train.render import occluders
from affectkit.train.render.people import rng_of
from affectkit.types import Array, UInt8
from truth.ask import Affectkit, MediaPipe
from truth.measures import LOWER
from truth.scores import mean

VOTES = 8
"""Of ten: from which a face is called by an expression here."""
HIDDEN_FACES = 200
"""Clear faces on which masks and hands are pasted."""
PASTED_PX, ENLARGED_PX = 96, 192
"""Sides of the pictures in which things are pasted, and of those that MediaPipe gets."""
ATTEMPTS, COVERED = 16, 0.8
"""Things drawn by lot until one covers this share of the lips' points; else the one that covers most."""
HIDERS = ("mask", "hand", "microphone", "cut")
_MOUTH = slice(48, 68)


def read(folder: Path) -> pd.DataFrame:
    """FER+'s labels and points: valid, and of train who is named sad or afraid by eight of ten."""
    table = pd.read_csv(folder / "ferplus_labels.csv")
    points = np.load(folder / "ferplus_landmarks.npz")
    if list(points["image"]) != list(table["image"]):
        raise SystemExit(f"{folder}: the landmarks are not in the order of the labels")
    for name in ("landmark5", "landmark68", "pose_deg"):
        table[name] = list(points[name])
    table["valid"] = table["image"].str.contains("Valid")
    votes = [name for name in table if name.startswith("votes_")]
    named = table[votes].idxmax(axis=1).str[6:]
    table["named"] = named.where(table[votes].max(axis=1) >= VOTES, "")
    kept = table["valid"] | table["named"].isin(["sadness", "fear"])
    seen = np.isfinite(np.stack(table["landmark5"].to_list()).reshape(len(table), -1)).all(axis=1)
    return table[kept & seen & (table["votes_NF"] == 0)].reset_index(drop=True)


def measure(model: Affectkit | MediaPipe, folder: Path, cache: Path) -> dict[str, Any]:
    """Numbers of one model."""
    table = read(folder)
    told = _cached(model, cache, "real", table, lambda: _plain(table, folder))
    joined = pd.concat([table.drop(columns=["landmark5", "landmark68", "pose_deg"]), told], axis=1)
    clear = clear_faces(table)
    for column in (f"{prefix}.{unit}" for prefix in "pc" for unit in ("AU1", "AU4", "AU12")):
        if column not in joined:  # of a model without this unit
            joined[column] = np.nan
    found: dict[str, Any] = {"faces": len(table), "found": float(joined["found"].mean())}
    for name in ("sadness", "fear"):
        for part, some in (("valid", joined[joined["valid"]]), ("train", joined[~joined["valid"]])):
            found[f"{name}, {part}"] = _together(some[some["named"] == name])
    parted = joined["AU25"] >= 0.5
    valid = joined["valid"]
    for name, rows in {
        "AU12 on, happy": valid & (joined["named"] == "happiness"),
        "AU12 on, neutral, lips closed": valid & (joined["named"] == "neutral") & ~parted,
        "AU12 on, neutral, lips parted": valid & (joined["named"] == "neutral") & parted,
        "AU12 on, sad or afraid": joined["named"].isin(["sadness", "fear"]),
    }.items():
        found[name] = {"faces": int(rows.sum()), "share": mean(joined.loc[rows & joined["found"], "c.AU12"])}
    on = joined.loc[valid, [f"c.{unit}" for unit in model.units]].fillna(0).to_numpy(float)
    found["on"] = dict(zip(model.units, on.mean(axis=0).tolist(), strict=True))
    found["together"] = (on.T @ on / len(on)).tolist()
    lower = [f"p.{unit}" for unit in model.units if unit in LOWER]
    found["hidden"] = {}
    for kind in ("", *HIDERS):
        rows = table.loc[clear].reset_index(drop=True)
        answers = _cached(
            model, cache, f"real-{kind or 'clear'}", rows, lambda k=kind, r=rows: _hidden(r, folder, k, cache)
        )
        there = answers[answers["found"].astype(bool)]
        found["hidden"][kind or "clear"] = {
            "faces": len(rows),
            "found": float(answers["found"].mean()),
            "empty": float(there[lower].isna().to_numpy().mean()) if len(there) else float("nan"),
        }
    return found


def _together(rows: pd.DataFrame) -> dict[str, Any]:
    """AU1 and AU4 of faces."""
    rows = rows[rows["found"].astype(bool)]
    one, four = rows["c.AU1"].fillna(0) >= 0.5, rows["c.AU4"].fillna(0) >= 0.5
    least = rows[["p.AU1", "p.AU4"]].min(axis=1)
    numbers: dict[str, Any] = {"faces": len(rows), "au1": mean(one), "au4": mean(four), "both": mean(one & four)}
    return {**numbers, "largest_min": float(least.max()) if len(rows) else float("nan")}


def clear_faces(table: pd.DataFrame) -> list[int]:
    """Rows of valid faces named by eight of ten, seen from the front, by a fixed draw."""
    yaw = np.abs(np.stack(table["pose_deg"].to_list())[:, 1])
    able = np.flatnonzero((table["valid"] & (table["named"] != "")).to_numpy() & (yaw < 20))
    return sorted(np.random.default_rng(14).permutation(able)[:HIDDEN_FACES].tolist())


def _plain(table: pd.DataFrame, folder: Path) -> Iterator[tuple[UInt8, Array]]:
    with zipfile.ZipFile(folder / "ferplus_images.zip") as archive:
        for name, points in zip(table["image"], table["landmark5"], strict=True):
            grey = np.asarray(cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE))
            yield np.repeat(grey[..., None], 3, axis=2), np.asarray(points, np.float32)


def _hidden(table: pd.DataFrame, folder: Path, kind: str, cache: Path) -> Iterator[tuple[UInt8, Array]]:
    """The faces with something pasted over the mouth; drawn once, then kept."""
    plain = list(_plain(table, folder))
    if not kind:
        return iter(plain)
    points = [five for _, five in plain]
    kept = cache / f"pasted-{kind}.npz"
    if kept.exists():
        with np.load(kept) as archive:
            images = [archive[name] for name in archive.files]
    else:
        meshes = [np.asarray(mesh) for mesh in table["landmark68"]]
        images = [cover(image, five, meshes[k], kind, k) for k, (image, five) in enumerate(plain)]
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(kept, *images)
    return zip(images, points, strict=True)


def cover(image: UInt8, points: Array, mesh: Array, kind: str, number: int) -> UInt8:
    """A face with its mouth hidden; ``mesh`` (68, 2) in the usual order."""
    if kind == "cut":
        nose, mouth = float(points[2, 1]), float(points[3:, 1].mean())
        end = round(nose + rng_of(0, "t_rcut", number).uniform(0.1, 0.6) * (mouth - nose))
        return np.ascontiguousarray(image[: max(end, 8)])
    scale = PASTED_PX / image.shape[0]
    large = cv2.resize(image, (PASTED_PX, PASTED_PX), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    skin = large[
        np.clip(int(points[2, 1] * scale), 0, PASTED_PX - 1), np.clip(int(points[2, 0] * scale), 0, PASTED_PX - 1)
    ]
    place = occluders.Place(PASTED_PX, points * scale, outline_of(mesh) * scale, skin)
    lips = np.clip(np.round(mesh[_MOUTH] * scale), 0, PASTED_PX - 1).astype(int)
    best, most = None, -1.0
    for attempt in range(ATTEMPTS):
        layer = occluders.occluder(rng_of(0, "t_real", number, attempt), place, kind)
        covered = float(layer.alpha[lips[:, 1], lips[:, 0]].mean())
        if covered > most:
            best, most = layer, covered
        if most >= COVERED:
            break
    assert best is not None
    grey = best.colour.mean(axis=2, keepdims=True)
    done = large * (1 - best.alpha[..., None]) + grey * best.alpha[..., None]
    size = image.shape[1::-1]
    return np.asarray(np.clip(cv2.resize(done, size, interpolation=cv2.INTER_AREA), 0, 255), np.uint8)


def outline_of(mesh: Array) -> Array:
    """The lower face (14, 2) as ``scene.OUTLINE`` has it, from 68 points: the picture's right half, then its left."""
    halves = []
    for jaw in ((14, 13, 10, 9), (2, 3, 6, 7)):
        cheek, side, low, chin = mesh[list(jaw)]
        nose = mesh[29]
        halves += [nose, nose + 0.45 * (cheek - nose), nose + 0.8 * (cheek - nose), side, low, chin, mesh[8]]
    return np.asarray(halves)


def _cached(model: Affectkit | MediaPipe, cache: Path, kind: str, rows: pd.DataFrame, pictures: Any) -> pd.DataFrame:
    target = cache / f"{model.key}-{kind}.parquet"
    if target.exists():
        kept = pd.read_parquet(target)
        if len(kept) == len(rows):
            return kept
    told = pd.DataFrame([_ask(model, image, points) for image, points in pictures()])
    target.parent.mkdir(parents=True, exist_ok=True)
    told.to_parquet(target, index=False)
    return told


def _ask(model: Affectkit | MediaPipe, image: UInt8, points: Array) -> dict[str, Any]:
    """At the known points; MediaPipe, which takes none, in a picture enlarged as for its own labels."""
    if isinstance(model, MediaPipe):
        scale = ENLARGED_PX / image.shape[1]
        large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        return model.still(np.asarray(large, np.uint8), points[2] * scale)
    return _at_points(model.predictor, image, points)


def _at_points(predictor: Predictor, image: UInt8, points: Array) -> dict[str, Any]:
    faces = predictor.predict_image(image, landmarks=points[None])
    if not faces:
        return {"found": False}
    affect = faces[0].affect
    row: dict[str, Any] = {"found": True, "expression": affect.expression}
    told = zip(affect.labels.action_units, affect.au_probabilities, affect.au_active, strict=True)
    for name, value, active in told:
        unit = f"AU{int(name[2:])}"
        empty = not np.isfinite(value)
        row |= {f"p.{unit}": float(value), f"c.{unit}": float("nan") if empty else float(active)}
    return row
