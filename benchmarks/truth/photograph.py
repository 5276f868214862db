"""Pictures of the shots, kept in FOLDER/pictures/NAME.zip and FOLDER/rows/NAME.parquet, a head or sequence each."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affectkit.errors import OutputError
from affectkit.train.render import lens, looks, occluders
from affectkit.train.render.assets import Assets
from affectkit.train.render.backgrounds import background
from affectkit.train.render.camera import Camera
from affectkit.train.render.folds import fold_maps
from affectkit.train.render.geometry import Library
from affectkit.train.render.gpu import PARTS
from affectkit.train.render.people import rng_of
from affectkit.train.render.produce import POINTS, read_everything, visibility
from affectkit.train.render.sampling import Action
from affectkit.train.render.scene import Model, Studio, Take
from affectkit.train.render.writing import encode
from affectkit.types import Array, UInt8
from truth import cast, files
from truth.shots import Shot

DRAWN_PX, KEPT_PX = 208, 192
"""Larger than the renderings for training, with room around the face: it is to be found by detectors."""
VERSION = 1
COVERED = 0.3
"""Visible share of the mouth up to which it is hidden; what is to hide it is drawn again until it does."""
_EPOCH = (2020, 1, 1, 0, 0, 0)


class Photographer:
    """Takes the pictures of one head after the other."""

    def __init__(self, library: Library, assets: Assets) -> None:
        self._library, self._assets = library, assets
        self._studio = Studio(library, assets, DRAWN_PX)

    def head(self, number: int, wanted: Iterable[Shot]) -> Iterator[tuple[str, UInt8, dict[str, Any]]]:
        """Name, picture and row of each shot of a head; none where no draw of the number has a neutral face."""
        rig = cast.rig_of(self._library, number)
        if rig is None:
            return
        folds, names = fold_maps(rig.person), self._assets
        kinds = {"skins": names.skins, "hair": names.hair, "brows": names.brows, "lashes": names.lashes}
        given = looks.choices(cast.SEED, "test", **{kind: list(found) for kind, found in kinds.items()})
        for shot in wanted:
            rng = rng_of(cast.SEED, "t_set", number, shot.setting)
            dressed = shot.part not in ("curve", "talk", "onset")
            look = looks.look(cast.SEED, rig.person, shot.variant, given, dress_up=dressed)
            if shot.subject == "sunglasses":
                look = dataclasses.replace(look, glasses=look.glasses or given.glasses[0], dark_glasses=True)
            setting = looks.setting(rng, given)
            behind = background(rng, DRAWN_PX)
            flaws = _scaled(lens.flaws(rng, setting.whiteness, clean=shot.clean))
            camera = _camera(rng, setting.distance, shot)
            model = self._studio.invite(rig, look, folds)
            take = self._studio.take(model, setting, camera, shot.strengths, shot.gaze)
            picture, hidden, take = self._hide(shot, model, take, np.where(_shown(take), take.shot.picture, behind))
            done = lens.develop(rng_of(cast.SEED, "t_noise", number, shot.index), picture, KEPT_PX, flaws)
            scale = KEPT_PX / DRAWN_PX
            points = (take.landmark5 + 0.5) * scale - 0.5
            seen = visibility(take, hidden, dark_glasses=look.dark_glasses)
            if shot.subject == "cut":
                done = np.ascontiguousarray(done[: _cut_at(shot, points)])
            row = {
                "name": shot.name,
                "head": number,
                "part": shot.part,
                "index": shot.index,
                "subject": shot.subject,
                "level": shot.level,
                "clean": shot.clean,
                **Action("", shot.strengths).driven(),
                **take.measures.labels(),
                **seen,
                "pitch": camera.pitch,
                "yaw": camera.yaw,
                "roll": camera.roll,
                **{
                    f"{name}_{axis}": float(points[k, i])
                    for k, name in enumerate(POINTS)
                    for i, axis in enumerate("xy")
                },
                **_person(model),
                "glasses": look.glasses,
                "style": setting.style,
                "light": setting.rig,
                "lip_gap": take.measures.lip_gap,
            }
            yield shot.name, done, row

    def _hide(self, shot: Shot, model: Model, take: Take, drawn: Array) -> tuple[Array, Array, Take]:
        """The picture with what lies over the face, and how much of it is hidden (S, S)."""
        hidden = np.zeros((DRAWN_PX, DRAWN_PX), np.float32)
        if shot.part != "hidden" or shot.subject == "sunglasses":
            return drawn, hidden, take
        if shot.subject == "cut":
            hidden[_cut_at(shot, take.landmark5) :] = 1
            return drawn, hidden, take
        inside = take.shot.bare_parts == PARTS["head"]
        skin = take.shot.picture[inside].mean(0) if inside.any() else np.full(3, 128.0)
        place = occluders.Place(DRAWN_PX, take.landmark5, take.outline, skin)
        dark, best, least = model.look.dark_glasses, None, 2.0
        for attempt in range(24):
            rng = rng_of(cast.SEED, "t_over", shot.head, shot.index, attempt)
            layer = occluders.occluder(rng, place, shot.subject)
            left = visibility(take, layer.alpha, dark_glasses=dark)["visible_mouth"]
            if left < least:
                best, least = layer, left
            if least <= COVERED:
                break
        assert best is not None
        alpha = best.alpha[..., None]
        return drawn * (1 - alpha) + best.colour * alpha, best.alpha, take


def _shown(take: Take) -> Array:
    return np.asarray((take.shot.parts > 0)[..., None])


def _scaled(flaws: lens.Flaws) -> lens.Flaws:
    """Blur is told in pixels of pictures of 128."""
    return dataclasses.replace(flaws, blur=flaws.blur * KEPT_PX / 160, motion=flaws.motion * KEPT_PX / 160)


def _camera(rng: np.random.Generator, distance: float, shot: Shot) -> Camera:
    drawn = np.clip(rng.normal(0, (6.0, 12.0, 5.0)), (-20, -40, -15), (20, 40, 15))
    frontal = shot.part in ("curve", "talk", "onset")
    pitch, yaw = (float(drawn[0]), float(drawn[1])) if shot.pose is None else shot.pose
    roll = 0.0 if frontal else float(drawn[2])
    return Camera(
        float(pitch),
        float(yaw),
        roll,
        distance,
        float(rng.uniform(0.20, 0.27)),
        (float(rng.normal(0, 0.02)), float(rng.normal(0, 0.02))),
    )


def _cut_at(shot: Shot, points: Array) -> int:
    """The row from which a picture is cut off, between nose and mouth."""
    share = float(rng_of(cast.SEED, "t_cut", shot.head, shot.index).uniform(0.1, 0.6))
    nose, mouth = float(points[2, 1]), float(points[3:, 1].mean())
    return round(nose + share * (mouth - nose))


def _person(model: Model) -> dict[str, Any]:
    who = model.rig.person
    return {"years": who.years, "male": who.male, "melanin": who.melanin, "skin": model.look.skin[0]}


def photograph(folder: Path, assets: Path | None, *, heads: int, processes: int) -> list[str]:
    """Take the pictures that are not there yet; the names of all files that belong to a set with this many heads.

    Raises:
        OutputError: the folder holds pictures of another version of this benchmark.
    """
    for part in ("pictures", "rows"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    note, wanted = folder / "set.json", {"version": VERSION, "drawn": DRAWN_PX, "kept": KEPT_PX}
    library, found = None, None
    if note.exists():
        kept = json.loads(note.read_text())
        if {key: kept.get(key) for key in wanted} != wanted:
            raise OutputError(f"{folder}: holds pictures of another version of this benchmark; give another folder")
    else:
        library, found = _read(assets)
        numbers, others = cast.numbers(tuple(library.shapes.local))
        kept = {**wanted, "heads": numbers, "others": others}
        note.write_text(json.dumps(kept) + "\n")
    wanted_files = files.files_of(kept["heads"], kept["others"], heads)
    missing = {name: job for name, job in wanted_files.items() if not (folder / "rows" / f"{name}.parquet").exists()}
    if missing:
        if library is None or found is None:
            library, found = _read(assets)
        with multiprocessing.get_context("fork").Pool(processes, _Worker.start, (folder, library, found)) as pool:
            for k, name in enumerate(pool.imap_unordered(_Worker.work, missing.items()), 1):
                print(f"rendered {name}: {k} of {len(missing)} files", flush=True)
    return list(wanted_files)


def _read(assets: Path | None) -> tuple[Library, Assets]:
    if assets is None:
        raise SystemExit("pictures are missing: give --assets, a folder in the layout of makehuman-assets")
    return read_everything(assets)


class _Worker:
    """What a forked process keeps."""

    folder: Path
    photographer: Photographer

    @staticmethod
    def start(folder: Path, library: Library, assets: Assets) -> None:
        _Worker.folder, _Worker.photographer = folder, Photographer(library, assets)

    @staticmethod
    def work(job: tuple[str, tuple[str, int, int]]) -> str:
        name, (kind, number, which) = job
        wanted = files.shots_in(kind, number, which)
        target = _Worker.folder / "pictures" / f"{name}.zip"
        partial, rows = target.with_suffix(f".part{os.getpid()}"), []
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for shot_name, picture, row in _Worker.photographer.head(number, wanted):
                archive.writestr(zipfile.ZipInfo(f"{shot_name}.jpg", _EPOCH), encode(picture))
                rows.append({**row, "file": name})
        os.replace(partial, target)
        done = _Worker.folder / "rows" / f"{name}.parquet"
        pd.DataFrame(rows).to_parquet(done.with_suffix(f".part{os.getpid()}"), index=False)
        os.replace(done.with_suffix(f".part{os.getpid()}"), done)
        return name
