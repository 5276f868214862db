"""One sample: who, how it looks, what it does, what hides it; a picture and its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.train.datasets.values import intensity_column
from affectkit.train.render import lens, looks, occluders, sampling
from affectkit.train.render.assets import Assets, read_assets
from affectkit.train.render.backgrounds import background
from affectkit.train.render.camera import Camera
from affectkit.train.render.facs import AU_NAMES
from affectkit.train.render.folds import fold_maps
from affectkit.train.render.geometry import Library, Rig, build_rig, load_library, problems
from affectkit.train.render.gpu import PARTS
from affectkit.train.render.people import person, rng_of
from affectkit.train.render.plan import Plan, Sample
from affectkit.train.render.scene import Model, Studio, Take
from affectkit.types import Array

DRAWN_SHARE = 1.25
"""Faces are drawn this much larger than they are kept, which smooths their edges."""
ATTEMPTS = 12
"""Persons drawn for one number until one has a neutral face that is neutral."""
Folds = Mapping[str, Array]
POINTS = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
"""Of landmark5; left as seen in the picture."""
REGIONS = ("brows", "eyes", "mouth")
FRAMES_PER_S = 25.0


class Producer:
    """Renders samples of a plan by their numbers, in any order."""

    def __init__(self, plan: Plan, library: Library, assets: Assets) -> None:
        self.plan = plan
        self._library = library
        self._assets = assets
        self._drawn_px = round(plan.size * DRAWN_SHARE)
        self._studio = Studio(library, assets, self._drawn_px)
        self._names = tuple(library.shapes.local)
        self._cast: tuple[int, Rig, Folds, int] | None = None

    @property
    def device(self) -> str:
        """What draws."""
        return self._studio.renderer.device

    def still(self, number: int) -> Sample:
        """Render still ``number``; the first of each identity is a plain neutral face."""
        plan = self.plan
        identity, variant = divmod(number, plan.stills_each)
        rng = rng_of(plan.seed, "still", number)
        plain = variant == 0
        action = sampling.still(rng, "neutral" if plain else None)
        scene = self._scene(rng, identity, variant, plain=plain)
        camera = scene.camera(rng, plain=plain)
        take = self._studio.take(scene.model, scene.setting, camera, action.strengths, action.gaze)
        layers = []
        if not plain and rng.random() < 0.2:
            layers.append(occluders.occluder(rng, scene.place(take)))
        return self._finish(rng, f"{number:06d}", scene, action, camera, take, layers)

    def sequence(self, number: int) -> Iterator[Sample]:
        """Render the frames of sequence ``number``."""
        plan = self.plan
        rng = rng_of(plan.seed, "sequence", number)
        identity = int(rng.integers(plan.identities))
        scene = self._scene(rng, identity, plan.stills_each + number)
        actions = sampling.sequence(rng, plan.frames)
        base, wander = (
            scene.camera(rng),
            [sampling.sway(rng, plan.frames, spread) for spread in (2.5, 4.0, 1.5, 0.006, 0.006)],
        )
        layer, since = None, int(rng.integers(-10, plan.frames)) if rng.random() < 0.15 else plan.frames
        for t, action in enumerate(actions):
            pitch, yaw, roll, right, up = (float(course[t]) for course in wander)
            camera = Camera(
                float(np.clip(base.pitch + pitch, -32, 32)),
                float(np.clip(base.yaw + yaw, -48, 48)),
                base.roll + roll,
                base.distance,
                base.eye_share,
                (base.shift[0] + right, base.shift[1] + up),
            )
            take = self._studio.take(scene.model, scene.setting, camera, action.strengths, action.gaze)
            if t >= since and layer is None:
                layer = occluders.occluder(rng, scene.place(take))
            sample = self._finish(rng, f"{number:05d}_{t:02d}", scene, action, camera, take, [layer] if layer else [])
            yield Sample(sample.name, sample.picture, {**sample.row, "video": f"s{number:05d}", "frame": t})

    def cast(self, identity: int) -> tuple[Rig, Folds, int]:
        """The person of a number, the folds, and how many before were turned away."""
        if self._cast is None or self._cast[0] != identity:
            for attempt in range(ATTEMPTS):
                rig = build_rig(self._library, person(self.plan.seed, identity, self._names, attempt))
                if not problems(rig):
                    break
            self._cast = (identity, rig, fold_maps(rig.person), attempt)
        return self._cast[1:]

    def _scene(self, rng: np.random.Generator, identity: int, variant: int, *, plain: bool = False) -> Scene:
        rig, folds, attempt = self.cast(identity)
        who, assets, seed = rig.person, self._assets, self.plan.seed
        given = looks.choices(
            seed,
            who.split,
            skins=list(assets.skins),
            hair=list(assets.hair),
            brows=list(assets.brows),
            lashes=list(assets.lashes),
        )
        look = looks.look(seed, who, variant, given, dress_up=not plain)
        setting = looks.setting(rng, given)
        picture = background(rng, self._drawn_px)
        how = lens.flaws(rng, setting.whiteness, clean=plain)
        return Scene(self._studio.invite(rig, look, folds), setting, picture, how, attempt)

    def _finish(
        self,
        rng: np.random.Generator,
        name: str,
        scene: Scene,
        action: sampling.Action,
        camera: Camera,
        take: Take,
        layers: list[occluders.Layer],
    ) -> Sample:
        drawn = np.where((take.shot.parts > 0)[..., None], take.shot.picture, scene.background)
        hidden = np.zeros((self._drawn_px, self._drawn_px), np.float32)
        for layer in layers:
            drawn = drawn * (1 - layer.alpha[..., None]) + layer.colour * layer.alpha[..., None]
            hidden = 1 - (1 - hidden) * (1 - layer.alpha)
        picture = lens.develop(rng, drawn, self.plan.size, scene.flaws)
        scale = self.plan.size / self._drawn_px
        points = (take.landmark5 + 0.5) * scale - 0.5
        row = {
            "set": "rendered",
            "split": scene.model.rig.person.split,
            "video": None,
            "frame": None,
            "person": f"p{scene.model.rig.person.number:05d}",
            **action.driven(),
            **take.measures.labels(),
            **_intensities({**action.driven(), **take.measures.labels()}),
            "expression": action.expression or None,
            "expression_strength": action.expression_strength,
            **visibility(take, hidden, dark_glasses=scene.model.look.dark_glasses),
            **{f"{name}_{axis}": float(points[k, i]) for k, name in enumerate(POINTS) for i, axis in enumerate("xy")},
            "pitch": camera.pitch,
            "yaw": camera.yaw,
            "roll": camera.roll,
            "gaze_pitch": action.gaze[0],
            "gaze_yaw": action.gaze[1],
            "kind": action.kind,
            "occluder": "+".join(layer.kind for layer in layers) or None,
            **scene.columns(),
            "lip_gap": take.measures.lip_gap,
            "jaw_drop": take.measures.jaw_drop,
            "lid_closure_left": take.measures.lid_closure[0],
            "lid_closure_right": take.measures.lid_closure[1],
            "asymmetry": max((abs(a - b) for a, b in action.strengths.values()), default=0.0),
        }
        return Sample(name, picture, row)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A dressed person, the light and what is behind."""

    model: Model
    setting: looks.Setting
    background: Array
    """(S, S, 3) 0..255."""
    flaws: lens.Flaws
    attempt: int
    """How many persons were turned away before this one."""

    def camera(self, rng: np.random.Generator, *, plain: bool = False) -> Camera:
        """Draw a view by lot; a plain one is nearly from the front."""
        spread = (3.0, 5.0, 1.5) if plain else (10.0, 19.0, 7.0)
        if not plain and rng.random() < 0.2:
            yaw = rng.uniform(-45, 45)
        else:
            yaw = rng.normal(0, spread[1])
        return Camera(
            float(np.clip(rng.normal(0, spread[0]), -30, 30)),
            float(np.clip(yaw, -45, 45)),
            float(np.clip(rng.normal(0, spread[2]), -30, 30)),
            self.setting.distance,
            float(rng.uniform(0.20, 0.30)),
            (float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
        )

    def place(self, take: Take) -> occluders.Place:
        """Where the face is, for what hides it."""
        inside = take.shot.bare_parts == PARTS["head"]
        skin = take.shot.picture[inside].mean(0) if inside.any() else np.full(3, 128.0)
        return occluders.Place(len(take.shot.picture), take.landmark5, take.outline, skin)

    def columns(self) -> dict[str, Any]:
        """What a benchmark may slice by."""
        who, look, how = self.model.rig.person, self.model.look, self.flaws
        return {
            "years": who.years,
            "male": who.male,
            "african": who.ancestry[0],
            "asian": who.ancestry[1],
            "caucasian": who.ancestry[2],
            "skin_tone": who.melanin,
            "folds": who.fold_gain,
            "skin": look.skin[0],
            "hair": look.hair or None,
            "brows": look.brows,
            "stubble": look.stubble,
            "make_up": look.make_up,
            "glasses": look.glasses or None,
            "dark_glasses": look.dark_glasses,
            "style": self.setting.style,
            "light": self.setting.rig,
            "lens": self.setting.lens,
            "blur": how.blur,
            "motion": how.motion,
            "shrink": how.shrink,
            "noise": how.noise,
            "jpeg_quality": how.quality or None,
            "grey": how.grey,
            "turned_away": self.attempt,
            "neutral_lip_gap": self.model.rig.gap,
        }


def visibility(take: Take, hidden: Array, *, dark_glasses: bool) -> dict[str, float]:
    """How much of brows, eyes and mouth is seen of what the head alone, in a frame without an end, would show; 0..1.

    Args:
        take: the picture.
        hidden: (S, S) how much is covered by what was laid over it.
        dark_glasses: whether lenses hide the eyes.
    """
    shot, found = take.shot, {}
    clear = (shot.parts == shot.bare_parts) | ((shot.parts == PARTS["lens"]) & (not dark_glasses))
    for region in REGIONS:
        inside = shot.bare_parts == PARTS[region]
        count = int(inside.sum())
        found[f"visible_{region}"] = float(((1 - hidden) * clear)[inside].sum() / count) if count else 0.0
    return found


def _intensities(units: Mapping[str, float]) -> dict[str, float]:
    """The columns of the intensities.

    The same numbers stand in the columns of presence: from which share of the movement on a coder would mark a unit
    is not known, and if any share is as likely as another, the probability that it is marked is the intensity.
    """
    return {intensity_column(name): value for name, value in units.items()}


def labels_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The intensities of a row."""
    return {name: float(row[name]) for name in AU_NAMES}


def read_everything(folder: Path) -> tuple[Library, Assets]:
    """What every process needs, read once; the assets first, since they may be missing."""
    assets = read_assets(folder)
    return load_library(), assets
