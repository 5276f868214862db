"""Rendered faces: what is drawn by lot, the FACS table, shards, and, where everything is installed, true labels."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="affectkit.train needs it")

from click.testing import CliRunner

from affectkit.errors import MissingDependency, OutputError, SourceError
from affectkit.train.render import lens, looks, occluders, sampling, writing
from affectkit.train.render.assets import read_assets
from affectkit.train.render.camera import Camera, project, projection_matrix, rotation, view_matrix
from affectkit.train.render.cli import render
from affectkit.train.render.facs import (
    ACTION_UNITS,
    AU_NAMES,
    DISTRACTORS,
    FAMILIES,
    MEASURED,
    PAIRS,
    PROTOTYPES,
    VISEMES,
    Recipe,
    settle,
)
from affectkit.train.render.folds import FOLDS, fold_depths, fold_maps, fold_picture
from affectkit.train.render.makehuman import read_attachment, read_obj, read_target
from affectkit.train.render.muscles import muscles
from affectkit.train.render.people import held_out, person, rng_of, split_of
from affectkit.train.render.plan import Plan, Sample
from affectkit.train.render.shapes import macro_weights
from affectkit.types import EXPRESSION_NAMES

pytestmark = pytest.mark.slow

SEED = 5
LOCAL = ("chin-width", "l-eye-scale", "r-eye-scale", "mouth-angles")
MOVEMENTS = {**ACTION_UNITS, **DISTRACTORS}


def shapes_of(recipe: Recipe) -> set[str]:
    return {name for family in FAMILIES for name in getattr(recipe, family)}


# --- the FACS table


def test_the_table_names_only_what_there_is() -> None:
    assert set(MEASURED) < set(AU_NAMES)
    assert {unit for pair in PAIRS for unit in pair} <= {*AU_NAMES, "AU22"}
    assert {unit for prototype in PROTOTYPES for unit in (*prototype.needed, *prototype.possible)} <= set(AU_NAMES)
    assert {prototype.expression for prototype in PROTOTYPES} == set(EXPRESSION_NAMES) - {"neutral"}
    assert {unit for shape in VISEMES.values() for unit in shape} <= set(MOVEMENTS)
    own = muscles(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32))
    for name, recipe in MOVEMENTS.items():
        assert shapes_of(recipe), name
        for shape in shapes_of(recipe):
            assert ("{" in shape or shape.endswith("|")) <= recipe.sided, f"{name}: {shape}"
            if shape.startswith("own:"):
                assert shape.format(side="left") in own, f"{name}: {shape}"


def test_no_unit_holds_what_belongs_to_another() -> None:
    apart = ("UpperUp", "LowerDown", "jawOpen", "parling", "apart", "Funnel")
    for name in ("AU6", "AU12", "AU14", "AU15", "AU17", "AU18", "AU20", "AU23", "AU24"):
        assert not [shape for shape in shapes_of(ACTION_UNITS[name]) if any(word in shape for word in apart)], name
    for name in ("AU1", "AU2", "AU4"):
        assert all("row" in shape for shape in shapes_of(ACTION_UNITS[name])), name
    assert not any(
        "Smile" in shape or "puller" in shape for name in ("AU6", "AU20") for shape in shapes_of(MOVEMENTS[name])
    )


def test_a_raised_and_knitted_brow_keeps_both() -> None:
    alone, both = settle({"AU4": 1.0}), settle({"AU1": 1.0, "AU4": 1.0})
    assert alone["AU4_down"] == alone["AU4_together"] == both["AU4_together"] == 1
    assert both["AU4_down"] < 0.3
    assert both["AU1"] > 0.7


def test_settling_only_takes_away() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        given = {str(name): float(rng.random()) for name in rng.choice(AU_NAMES, 5, replace=False)}
        left = settle(given)
        assert all(0 <= left[name] <= value for name, value in given.items() if name != "AU4")


def test_muscles_are_mirror_images() -> None:
    points = np.asarray([[0.2, 6.62, 1.4], [-0.2, 6.62, 1.4]], np.float32)
    found = muscles(points, np.zeros_like(points))
    left, right = found["own:corner_pull_left"], found["own:corner_pull_right"]
    assert left[0] == pytest.approx(right[1] * [-1, 1, 1])
    assert left[0, 0] > 0.02 and left[0, 1] > 0.02
    assert abs(left[1]).max() < abs(left[0]).max() / 4


# --- what is drawn by lot


def test_a_sample_depends_on_seed_and_number_alone() -> None:
    forwards = [sampling.still(rng_of(SEED, "still", k)) for k in range(40)]
    backwards = [sampling.still(rng_of(SEED, "still", k)) for k in reversed(range(40))][::-1]
    assert forwards == backwards
    assert forwards != [sampling.still(rng_of(SEED + 1, "still", k)) for k in range(40)]
    assert sampling.sequence(rng_of(SEED, "sequence", 3), 32) == sampling.sequence(rng_of(SEED, "sequence", 3), 32)
    assert person(SEED, 3, LOCAL).local == person(SEED, 3, LOCAL).local != person(SEED, 4, LOCAL).local


def test_labels_are_what_is_driven() -> None:
    action = sampling.Action("pair", {"AU12": (0.2, 0.6), "funnel": (1.0, 1.0), "AU25": (0.5, 0.5)})
    told = action.driven()
    assert told["AU12"] == 0.6
    assert set(told) == set(AU_NAMES) - set(MEASURED)
    assert sum(told.values()) == 0.6


@pytest.mark.parametrize("kind", list(sampling.KINDS))
def test_stills(kind: str) -> None:
    for k in range(150):
        action = sampling.still(rng_of(SEED, kind, k), kind)
        assert set(action.strengths) <= set(MOVEMENTS)
        assert all(0 <= value <= 1 for pair in action.strengths.values() for value in pair)
        assert action.expression in ("", *EXPRESSION_NAMES)
        if kind == "neutral":
            assert action.expression == "neutral" and not any(action.driven().values())
        if kind == "distractor":
            assert not any(action.driven().values())
        if kind == "speech":
            brows = {"AU1", "AU2", "AU4"} & set(action.strengths)
            assert action.expression == ("" if brows else "neutral")
        if max(action.strengths.get("AU43", (0,))) > 0.3:
            assert not {"AU5", "AU7"} & set(action.strengths)


def test_every_unit_and_expression_comes_in_every_strength() -> None:
    actions = [sampling.still(rng_of(SEED, "still", k)) for k in range(3000)]
    for name in AU_NAMES:
        values = np.asarray([max(action.strengths.get(name, (0.0, 0.0))) for action in actions])
        shown = values[values > 0]
        assert len(shown) > 100, name
        assert np.ptp(np.quantile(shown, [0.1, 0.9])) > 0.4, name
    assert {action.expression for action in actions} == {"", *EXPRESSION_NAMES}
    both = [min(max(action.strengths.get(name, (0.0, 0.0))) for name in ("AU1", "AU4")) for action in actions]
    assert sum(value > 0.3 for value in both) > 60


@pytest.mark.parametrize("kind", ["talk", "rest"])
def test_sequences_without_events_drive_nothing_but_speech_and_lids(kind: str) -> None:
    spoken = {"AU18", "AU24", "AU25", "AU26", "AU43"} if kind == "talk" else {"AU43"}
    for k in range(40):
        for action in sampling.sequence(rng_of(SEED, kind, k), 32, kind):
            assert {name for name in action.strengths if name.startswith("AU")} <= spoken
            assert action.expression == "neutral"


def test_sequences_are_smooth_and_come_and_go() -> None:
    peaks = []
    for k in range(40):
        actions = sampling.sequence(rng_of(SEED, "events", k), 32, "events")
        for name in set(AU_NAMES) - set(MEASURED):
            course = np.asarray([max(action.strengths.get(name, (0.0, 0.0))) for action in actions])
            assert abs(np.diff(course)).max() < 0.6, (name, k)
            peaks.append(course.max())
    assert sum(peak > 0.5 for peak in peaks) > 20


def test_splits_are_of_people_and_hold_out_what_they_look_like() -> None:
    splits = pd.Series([split_of(SEED, k) for k in range(3000)]).value_counts(normalize=True)
    assert splits["train"] == pytest.approx(0.8, abs=0.03)
    assert splits["test"] == pytest.approx(0.12, abs=0.03)
    names = {kind: [f"{kind}{k}" for k in range(9)] for kind in ("skins", "hair", "brows", "lashes")}
    train, dev, test = (looks.choices(SEED, split, **names) for split in ("train", "dev", "test"))
    assert train == dev
    for kind in ("skins", "hair", "brows", "lashes", "rigs", "glasses"):
        assert not set(getattr(train, kind)) & set(getattr(test, kind)), kind
    assert set(train.styles) & set(test.styles) == {"photo"}
    assert len(held_out(SEED, "rigs", looks.LIGHT_RIGS, looks.HELD_OUT_SETTINGS)) == 3
    for k in range(60):
        who = person(SEED, k, LOCAL)
        given = test if who.split == "test" else train
        chosen = looks.look(SEED, who, 1, given)
        assert set(chosen.skin) <= set(given.skins) and chosen.hair in ("", *given.hair)
        assert looks.setting(rng_of(SEED, "light", k), given).rig in given.rigs


def test_a_person_stays_the_same_and_dresses_otherwise() -> None:
    names = {kind: [f"{kind}{k}" for k in range(9)] for kind in ("skins", "hair", "brows", "lashes")}
    who, given = person(SEED, 8, LOCAL), looks.choices(SEED, "train", **names)
    variants = [looks.look(SEED, who, variant, given) for variant in range(30)]
    assert len({(look.skin, look.hair, look.brows, look.iris_size) for look in variants}) == 1
    assert len({look.glasses for look in variants}) > 1


def test_macro_weights_are_shares() -> None:
    found = macro_weights(years=30, male=0.3, muscle=0.5, weight=0.7, ancestry=(0.2, 0.3, 0.5))
    assert sum(value for name, value in found.items() if "muscle" not in name) == pytest.approx(1)
    assert sum(value for name, value in found.items() if "muscle" in name) == pytest.approx(1)
    assert macro_weights(years=90, male=1, muscle=1, weight=0.5, ancestry=(1, 0, 0)) == pytest.approx(
        {"african-male-old": 1.0, "male-old-maxmuscle-averageweight": 1.0}
    )


# --- pictures


def test_angles_turn_as_the_shared_sets_say() -> None:
    ahead = np.asarray([0.0, 0.0, 1.0])
    assert (rotation(0, 20, 0) @ ahead)[0] > 0.3  # towards the picture's right
    assert (rotation(20, 0, 0) @ ahead)[1] < -0.3  # down
    assert (rotation(0, 0, 20) @ [1.0, 0.0, 0.0])[1] > 0.3  # counter-clockwise


def test_the_eyes_are_as_far_apart_as_was_asked_for() -> None:
    camera = Camera(0, 0, 0, distance=9, eye_share=0.25, shift=(0.1, 0.05))
    eyes = np.asarray([[-0.3, 7.0, 0.5], [0.3, 7.0, 0.5]])
    view, projection = view_matrix(camera, np.asarray([0, 7.0, 0.5])), projection_matrix(camera, 0.6)
    left, right = project(eyes, view, projection, 200)
    assert right[0] - left[0] == pytest.approx(50)
    assert (left + right) / 2 == pytest.approx([99.5 + 20, 99.5 - 10])


@pytest.mark.parametrize("kind", list(occluders.KINDS))
def test_occluders_say_what_they_hide(kind: str) -> None:
    outline = np.asarray([[s * 20 + 80, 60 + 8 * k] for s in (1, -1) for k in range(7)], float)
    place = occluders.Place(
        160, np.asarray([[60, 70], [100, 70], [80, 90], [66, 110], [94, 110]], float), outline, np.full(3, 150.0)
    )
    for k in range(10):
        layer = occluders.occluder(rng_of(SEED, kind, k), place, kind)
        assert layer.alpha.shape == (160, 160) and layer.colour.shape == (160, 160, 3)
        assert layer.alpha.min() >= 0 and 0.2 < layer.alpha.max() <= 1
        assert layer.colour.min() >= 0 and layer.colour.max() <= 255
        assert np.array_equal(layer.alpha, occluders.occluder(rng_of(SEED, kind, k), place, kind).alpha)


def test_pictures_are_developed() -> None:
    for k in range(30):
        rng = rng_of(SEED, "lens", k)
        how = lens.flaws(rng, np.ones(3))
        picture = lens.develop(rng, np.full((160, 160, 3), 120.0), 128, how)
        assert picture.shape == (128, 128, 3) and picture.dtype == np.uint8
    still = replace(
        how, contrast=1.0, brightness=0.0, blur=0.0, motion=0.0, shrink=1.0, noise=0.0, quality=0, grey=False
    )
    assert np.all(lens.develop(rng, np.full((160, 160, 3), 120.0), 128, still) == 120)


def test_folds_deepen_with_their_units() -> None:
    who = person(SEED, 2, LOCAL)
    maps = fold_maps(who)
    assert set(maps) == set(fold_depths(who, {}))
    rest, knitted = fold_depths(who, {}), fold_depths(who, {"AU4": (1.0, 0.0)})
    assert knitted["brow_furrow_left"] > rest["brow_furrow_left"]
    assert knitted["brow_furrow_right"] == rest["brow_furrow_right"]
    assert fold_depths(who, {"AU1": (1, 1)})["brow_oblique_left"] == rest["brow_oblique_left"]
    assert {unit for fold in FOLDS.values() for name in fold.by for unit in name.split("+")} <= set(AU_NAMES)
    assert fold_picture(maps, knitted).shape == (256, 256, 4)


# --- files


def test_makehuman_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nvt 0 0\nvt 1 1\ng body\nf 1/1 2/2 3/1\n")
    mesh = read_obj(tmp_path / "m.obj")
    assert mesh.faces.tolist() == [[0, 1, 2, 2]] and mesh.groups.tolist() == ["body"]
    (tmp_path / "a.target").write_text("# comment\n1 .5 0 -1\n")
    assert read_target(tmp_path / "a.target", 3).tolist() == [[0, 0, 0], [0.5, 0, -1], [0, 0, 0]]
    (tmp_path / "a.mhclo").write_text(
        "x_scale 0 1 2.0\ny_scale 1 2 1.0\nz_scale 0 1 1.0\nverts 0\nmaterial m\n1\n0 1 2 0.5 0.5 0 1 0 0\n"
        "delete_verts\n3\n"
    )
    placed = read_attachment(tmp_path / "a.mhclo").place(mesh.vertices)
    assert placed.tolist() == [[1, 0, 0], [1, 0, 0]]  # the second: halfway, and an offset of 1 at half the size
    for name in ("none.obj", "a.target"):
        with pytest.raises(SourceError):
            read_obj(tmp_path / name)
    with pytest.raises(SourceError, match="no skins"):
        read_assets(tmp_path)


def test_subdivision_rounds_a_cube_and_keeps_a_plane_flat() -> None:
    pytest.importorskip("scipy", reason="the extra render")
    from affectkit.train.render.subdivision import refine

    corners = np.asarray([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    cube = np.asarray([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    matrix, quads = refine(cube, 8)
    assert quads.shape == (24, 4)
    assert np.asarray(matrix.sum(1)).ravel() == pytest.approx(1)
    rounded = matrix @ corners - 0.5
    assert np.ptp(np.linalg.norm(rounded[:8], axis=1)) < 1e-5 and np.linalg.norm(rounded[0]) < np.sqrt(0.75)
    grid = np.asarray([[x, y, 0] for x in range(4) for y in range(4)], np.float32)
    faces = np.asarray([[4 * x + y, 4 * x + y + 4, 4 * x + y + 5, 4 * x + y + 1] for x in range(3) for y in range(3)])
    flat = refine(faces, 16)[0] @ grid
    assert abs(flat[:, 2]).max() == 0 and flat.min() >= 0 and flat.max() <= 3


class FakeMaker:
    """Grey pictures whose brightness is their number."""

    made = 0

    def still(self, number: int) -> Sample:
        FakeMaker.made += 1
        row: dict[str, Any] = {
            "set": "rendered",
            "split": "train",
            "video": None,
            "frame": None,
            "person": f"p{number}",
        }
        row |= {name: 0.0 for name in AU_NAMES} | {"expression": "neutral"}
        return Sample(f"{number:06d}", np.full((48, 48, 3), number % 200, np.uint8), row)

    def sequence(self, number: int) -> Iterator[Sample]:
        for frame in range(3):
            sample = self.still(number)
            yield Sample(f"{number}_{frame}", sample.picture, {**sample.row, "video": f"s{number}", "frame": frame})


PLAN = Plan(seed=1, stills=1100, sequences=20, frames=3, identities=50, size=48)


def test_shards_hold_every_sample_once() -> None:
    shards = writing.shards_of(PLAN)
    for kind, total in (("stills", 1100), ("sequences", 20)):
        numbers = [k for shard in shards if shard.kind == kind for k in range(shard.first, shard.first + shard.count)]
        assert sorted(numbers) == list(range(total))
    assert {shard.kind for shard in shards[:2]} == {"stills", "sequences"}


def test_a_run_that_was_killed_ends_in_the_same_files(tmp_path: Path) -> None:
    def render_into(folder: Path) -> dict[str, bytes]:
        writing.open_folder(folder, PLAN)
        writing.sweep(folder)
        writing.render_all(folder, PLAN, FakeMaker, 1, lambda count: None)
        writing.write_manifest(folder, PLAN)
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    whole = render_into(tmp_path / "a")
    (tmp_path / "b").mkdir()
    render_into(tmp_path / "b")
    (tmp_path / "b" / "rows" / "stills-00001.parquet").unlink()
    (tmp_path / "b" / "pictures" / "stills-00002.zip").write_bytes(b"half")
    (tmp_path / "b" / "rows" / "stills-00002.parquet").unlink()
    (tmp_path / "b" / "pictures" / "stills-00002.part77").write_bytes(b"half")
    before = FakeMaker.made
    assert render_into(tmp_path / "b") == whole
    assert FakeMaker.made - before == 600
    table = pd.read_parquet(tmp_path / "b" / "manifest.parquet")
    assert len(table) == 1160 and table["path"].is_unique
    assert table["frame"].notna().sum() == 60
    picture = writing.read_pictures(tmp_path / "b", [table["path"][150]])[0]
    assert abs(picture.astype(int) - 150).max() <= 2 or table["video"].notna()[150]
    assert writing.write_contact_sheet(tmp_path / "b", table).exists()


def test_several_processes_make_the_same(tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        writing.open_folder(tmp_path / name, PLAN)
        writing.render_all(tmp_path / name, PLAN, FakeMaker, processes, lambda count: None)
    for path in (tmp_path / "one").rglob("*.zip"):
        assert path.read_bytes() == (tmp_path / "two" / "pictures" / path.name).read_bytes()


def test_another_plan_or_a_closed_folder_is_refused(tmp_path: Path) -> None:
    writing.open_folder(tmp_path / "a", PLAN)
    with pytest.raises(OutputError, match="another plan"):
        writing.open_folder(tmp_path / "a", replace(PLAN, seed=2))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        writing.open_folder(tmp_path / "file" / "b", PLAN)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(render, ["-o", str(tmp_path / "o"), "--assets", str(tmp_path)])
    assert isinstance(result.exception, MissingDependency)
    assert "affectkit[render]" in str(result.exception)


# --- with everything installed

ASSETS = Path(os.environ.get("AFFECTKIT_MAKEHUMAN", Path(__file__).parents[2] / "shared" / "data" / "makehuman_cc0"))


def missing() -> str:
    """Why nothing can be rendered here; empty: it can."""
    absent = [name for name in ("anny", "moderngl", "scipy") if importlib.util.find_spec(name) is None]
    if absent:
        return f"{absent[0]} is not installed (the extra render)"
    return "" if (ASSETS / "base").is_dir() else f"no assets at {ASSETS} (AFFECTKIT_MAKEHUMAN)"


@pytest.fixture(scope="module")
def library() -> Any:
    if missing():
        pytest.skip(missing())
    from affectkit.train.render.geometry import load_library

    return load_library()


@pytest.fixture(scope="module")
def producer(library: Any) -> Any:
    from affectkit.errors import DeviceUnavailable
    from affectkit.train.render.produce import Producer

    try:
        return Producer(Plan(SEED, 60, 2, 4, 6, 128), library, read_assets(ASSETS))
    except DeviceUnavailable as error:
        pytest.skip(str(error))


def test_labels_are_true_on_the_mesh(library: Any) -> None:
    from affectkit.train.render.geometry import build_rig, pose, problems

    rigs = [build_rig(library, person(SEED, k, tuple(library.shapes.local))) for k in range(12)]
    rigs = [rig for rig in rigs if not problems(rig)]
    assert len(rigs) >= 9
    for rig in rigs:

        def told(rig: Any = rig, **strengths: float) -> dict[str, float]:
            return pose(library, rig, {name: (value, value) for name, value in strengths.items()})[1].labels()

        assert told() == {"AU25": 0, "AU26": 0, "AU43": 0}
        for name in ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU24"):
            assert max(told(**{name: 1.0}).values()) < 0.3, name
        assert told(AU25=1.0)["AU25"] > 0.5 > 0.1 > told(AU25=1.0)["AU26"]
        assert told(AU26=1.0)["AU26"] > 0.5
        assert told(AU43=1.0)["AU43"] > 0.9
        rising = [told(AU25=value)["AU25"] for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
        assert rising == sorted(rising)


def test_the_brow_moves_as_facs_says(library: Any) -> None:
    from affectkit.train.render.geometry import build_rig, pose

    inner, outer = (
        [int(np.argmin(np.linalg.norm(library.head.base - p, axis=1)))] for p in ([0.15, 7.43, 1.5], [0.45, 7.43, 1.35])
    )
    rigs = [build_rig(library, person(SEED, k, tuple(library.shapes.local))) for k in range(8)]

    def moved(unit: dict[str, float], at: list[int], axis: int) -> float:
        strengths = {name: (value, value) for name, value in unit.items()}
        return float(np.mean([(pose(library, rig, strengths)[0] - rig.neutral)[at, axis] for rig in rigs]))

    assert moved({"AU1": 1}, inner, 1) > 0.02 and moved({"AU1": 1}, inner, 1) > 1.5 * moved({"AU1": 1}, outer, 1)
    assert moved({"AU2": 1}, outer, 1) > 0.02 and moved({"AU2": 1}, outer, 1) > 1.5 * moved({"AU2": 1}, inner, 1)
    assert moved({"AU4": 1}, inner, 1) < -0.01 and moved({"AU4": 1}, inner, 0) < -0.005
    assert moved({"AU1": 1, "AU4": 1}, inner, 1) > 0.01 and moved({"AU1": 1, "AU4": 1}, inner, 0) < -0.005


def test_pictures_are_the_same_twice_and_rows_are_complete(producer: Any) -> None:
    from affectkit.train.render.produce import Producer

    again = Producer(producer.plan, producer._library, producer._assets)
    order = [13, 3, 40]
    first, second = {k: producer.still(k) for k in order}, {k: again.still(k) for k in reversed(order)}
    for k in order:
        assert np.array_equal(first[k].picture, second[k].picture)
        assert first[k].row == second[k].row
        row = first[k].row
        assert all(0 <= row[name] <= 1 for name in (*AU_NAMES, "visible_brows", "visible_eyes", "visible_mouth"))
        assert row["eye_left_x"] < row["eye_right_x"] and row["mouth_left_x"] < row["mouth_right_x"]
        assert row["eye_left_y"] < row["mouth_left_y"]
    frames = list(producer.sequence(1))
    assert [frame.row["frame"] for frame in frames] == [0, 1, 2, 3]
    assert frames[0].row["person"] == frames[-1].row["person"]


def test_a_neutral_face_is_neutral_and_in_the_picture(producer: Any) -> None:
    for identity in range(6):
        sample = producer.still(identity * producer.plan.stills_each)
        assert sample.row["expression"] == "neutral" and sample.row["occluder"] is None
        assert max(sample.row[name] for name in AU_NAMES) < 0.05
        assert sample.row["visible_mouth"] > 0.9
        assert sample.picture.std() > 10
