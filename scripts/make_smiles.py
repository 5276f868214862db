"""Make samples/smiles/: rendered people in two conditions, whose muscles are known in every frame.

    python -P scripts/make_smiles.py samples/smiles --assets ../shared/data/makehuman_cc0

Needs the extras render and train; the clips are CC0. Eight people of the renderer's test part (nothing was trained on
them), two clips each, of 4 s: a second at rest, then three in which the person blinks, looks about, moves the head and
once raises the brows, in both alike; in condition "film" the person also smiles (AU12 with AU6), in "wait" not.
`truth.json` has what was driven: for each clip the intensity of AU1, 2, 6 and 12 in each frame, 0 to 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from affectkit.train.render import looks
from affectkit.train.render.assets import Assets
from affectkit.train.render.backgrounds import background
from affectkit.train.render.camera import Camera
from affectkit.train.render.folds import fold_maps
from affectkit.train.render.geometry import Library, Rig, build_rig, problems
from affectkit.train.render.people import person, rng_of, split_of
from affectkit.train.render.produce import read_everything
from affectkit.train.render.sampling import lids_of
from affectkit.train.render.scene import Studio
from affectkit.types import Array, UInt8

SEED, FIRST, PEOPLE = 0, 200_000, 8
DRAWN_PX, KEPT_PX, FPS, FRAMES = 448, 224, 15, 60
REST_S = 1.0
CONDITIONS = ("wait", "film")
TOLD = ("AU1", "AU2", "AU6", "AU12")


def bump(times: Array, start: float, rise: float, hold: float) -> Array:
    """0..1: up in ``rise`` seconds, held, and down as fast."""
    up = np.clip((times - start) / rise, 0, 1)
    down = np.clip((times - start - rise - hold) / rise, 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * (up - down)))


def movements(number: int, condition: str) -> dict[str, Array]:
    """Intensities in each frame, and ``pitch``, ``yaw``, ``gaze``, degrees."""
    rng = rng_of(SEED, "smiles", number, CONDITIONS.index(condition))
    times = np.arange(FRAMES) / FPS
    brows = rng.uniform(0.35, 0.6) * bump(times, rng.uniform(1.2, 2.6), 0.25, rng.uniform(0.3, 0.6))
    blinks = sum(bump(times, at, 0.08, 0.04) for at in (rng.uniform(0.3, 0.7), rng.uniform(1.4, 3.6)))
    phase, found = rng.uniform(0, 2 * np.pi, 2), {"AU1": brows, "AU2": brows, "AU43": np.minimum(blinks, 1)}
    found["pitch"] = rng.uniform(-4, 4) + 2.5 * np.sin(2 * np.pi * 0.4 * times + phase[0])
    found["yaw"] = rng.uniform(-8, 8) + 4 * np.sin(2 * np.pi * 0.3 * times + phase[1])
    found["gaze"] = 6 * bump(times, rng.uniform(1.2, 2.8), 0.1, 0.5) * rng.choice((-1, 1))
    smile = np.zeros(FRAMES)
    if condition == "film":
        smile = rng.uniform(0.45, 0.85) * bump(times, rng.uniform(1.2, 1.6), 0.4, rng.uniform(0.8, 1.3))
    return found | {"AU12": smile, "AU6": rng.uniform(0.5, 0.9) * smile}


class Room:
    """Where the clips are taken."""

    def __init__(self, library: Library, assets: Assets) -> None:
        self._library, self._assets = library, assets
        self._studio = Studio(library, assets, DRAWN_PX)

    def rig(self, number: int) -> Rig | None:
        """The person of a number; None: of the other parts, or with a face that is not neutral at rest."""
        if split_of(SEED, number) != "test":
            return None
        rig = build_rig(self._library, person(SEED, number, tuple(self._library.shapes.local), 0))
        return None if problems(rig) else rig

    def pictures(self, rig: Rig, number: int, condition: str) -> Iterator[UInt8]:
        """The frames of one clip."""
        rng = rng_of(SEED, "smiles room", number, CONDITIONS.index(condition))
        kinds = ("skins", "hair", "brows", "lashes")
        given = looks.choices(SEED, "test", **{kind: list(getattr(self._assets, kind)) for kind in kinds})
        look = replace(looks.look(SEED, rig.person, 0, given), glasses="", dark_glasses=False)
        setting, behind = looks.setting(rng, given), background(rng, DRAWN_PX)
        model = self._studio.invite(rig, look, fold_maps(rig.person))
        moved = movements(number, condition)
        for k in range(FRAMES):
            camera = Camera(float(moved["pitch"][k]), float(moved["yaw"][k]), 0.0, setting.distance, 0.21, (0.0, 0.0))
            gaze = (0.0, float(moved["gaze"][k]))
            strengths = {unit: (float(moved[unit][k]),) * 2 for unit in (*TOLD, "AU43") if moved[unit][k] > 0}
            take = self._studio.take(model, setting, camera, strengths | lids_of(gaze), gaze)
            picture = np.where((take.shot.parts > 0)[..., None], take.shot.picture, behind)
            small = cv2.resize(picture.astype(np.float32), (KEPT_PX, KEPT_PX), interpolation=cv2.INTER_AREA)
            yield np.clip(np.rint(small), 0, 255).astype(np.uint8)


def write(path: Path, pictures: Iterator[UInt8]) -> None:
    """An MP4, H.264."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "25", "preset": "veryslow"})
        stream.width = stream.height = KEPT_PX
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, FPS)
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())


def main() -> None:
    """Write all clips and the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--assets", type=Path, required=True, help="folder with base/skins ...")
    arguments = parser.parse_args()
    arguments.target.mkdir(parents=True, exist_ok=True)
    room, truth, number, done = Room(*read_everything(arguments.assets)), {}, FIRST, 0
    while done < PEOPLE:
        rig = room.rig(number)
        if rig is not None:
            done += 1
            for condition in CONDITIONS:
                name = f"person{done}-{condition}.mp4"
                write(arguments.target / name, room.pictures(rig, number, condition))
                moved = movements(number, condition)
                truth[name] = {f"AU{int(unit[2:]):02d}": [round(float(x), 3) for x in moved[unit]] for unit in TOLD}
                print(name, (arguments.target / name).stat().st_size, flush=True)
        number += 1
    document = {"source": "rendered by scripts/make_smiles.py, CC0", "fps": FPS, "rest_s": REST_S, "clips": truth}
    (arguments.target / "truth.json").write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
