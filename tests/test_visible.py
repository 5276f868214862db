"""What cannot be seen is empty: which units, in which tables, and how good the picture of a face is."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from make_tiny_model import BANDS, MARK, SEEN, SIZE

from affectkit import FakeEngine, ModelSpec, Predictor, models, open_source
from affectkit.align import crop_face
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.outputs.layouts import layout
from affectkit.outputs.table import table_of
from affectkit.outputs.writers import SUFFIXES, open_table
from affectkit.readout import read_out
from affectkit.spec import InputSpec
from affectkit.types import AU_TITLES, REGIONS, Array, Detection, LabelSet, UInt8
from affectkit.visibility import UNIT_REGIONS, hidden_regions, inside, quality, regions_of, sharpness, withheld

Cli = Callable[..., tuple[int, str, str]]


def crop(*seen: str, mark: bool = True) -> UInt8:
    """(S, S, 3): a face to tiny-seen of which these regions can be seen."""
    image = np.full((SIZE, SIZE, 3), 40, np.uint8)
    if mark:
        image[MARK] = 255
    for name, rows in zip(REGIONS, BANDS, strict=True):
        if name in seen:
            image[rows] = 255
    return image


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Where:
    """A detector that sees one face, whose points are given, in every picture."""

    def __init__(self, points: Array, score: float = 0.99) -> None:
        self.points, self.score = np.asarray(points, np.float32), score

    def detect(self, image: UInt8) -> list[Detection]:
        height, width = image.shape[:2]
        return [Detection((0.0, 0.0, float(width), float(height)), self.score, self.points)]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        return list(self.detect(image))

    def close(self) -> None:
        """Nothing to free."""


def as_it_is(folder: Path) -> Where:
    """The whole picture of the input's size is the crop."""
    return Where(models.read_spec(folder).input.template_px())


def judged(folder: Path, **logits: float) -> Affect:
    """What is said of a face of which the network says this."""
    spec = models.read_spec(folder)
    with Predictor(folder, engine=FakeEngine.of(spec, logits)) as predictor:
        (affect,) = predictor.predict_aligned(np.zeros((1, SIZE, SIZE, 1), np.uint8))
    return affect


def empty_units(affect: Affect) -> set[str]:
    return {name for name, value in affect.action_units.items() if math.isnan(value)}


def test_each_unit_has_its_place() -> None:
    assert set(AU_TITLES) <= set(UNIT_REGIONS)
    assert regions_of("AU01") == regions_of("AU02") == regions_of("AU04") == ("brows",)
    assert {name for name in AU_TITLES if "eyes" in regions_of(name)} == {
        *("AU05", "AU06", "AU07", "AU09", "AU43", "AU45", "AU46")
    }
    assert set(regions_of("AU09")) == {"eyes", "mouth"}
    for number in (10, 12, 14, 15, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28):
        assert regions_of(f"AU{number}") == ("mouth",)
    assert regions_of("AU21") == regions_of("AU99") == REGIONS


@pytest.mark.parametrize(
    ("hidden", "empty"),
    [
        ((), set()),
        (("brows",), {"AU01", "AU04", "AU21"}),
        (("eyes",), {"AU06", "AU09", "AU21", "AU43"}),
        (("mouth",), {"AU09", "AU12", "AU21", "AU25"}),
        (("brows", "eyes"), {"AU01", "AU04", "AU06", "AU09", "AU21", "AU43"}),
    ],
)
def test_units_of_hidden_regions_are_empty(hidden: tuple[str, ...], empty: set[str], tiny_seen: Path) -> None:
    affect = judged(tiny_seen, **dict.fromkeys(hidden, -10.0), **{name: 5.0 for name in SEEN.action_units})
    assert empty_units(affect) == empty
    assert {name for name, value in affect.intensities.items() if math.isnan(value)} == empty
    assert affect.au_active.tolist() == [name not in empty for name in SEEN.action_units]
    assert affect.expression and math.isfinite(affect.valence)
    assert affect.visibility is not None and (affect.visibility < 0.5).tolist() == [r in hidden for r in REGIONS]
    upper = 0.0 if {"brows", "eyes"} & set(hidden) else 1.0
    assert affect.visible_upper == pytest.approx(upper, abs=1e-3)
    assert affect.visible_lower == pytest.approx(0.0 if "mouth" in hidden else 1.0, abs=1e-3)


def test_the_threshold_itself_is_seen(tiny_seen: Path) -> None:
    assert not empty_units(judged(tiny_seen, brows=0.0))
    assert empty_units(judged(tiny_seen, brows=-0.001)) == {"AU01", "AU04", "AU21"}


def test_of_no_face_nothing_is_said(tiny_seen: Path) -> None:
    affect = judged(tiny_seen, brows=-9.0, eyes=-9.0, mouth=-9.0, happiness=9.0, pitch=5.0)
    assert np.isnan(affect.expression_probabilities).all() and affect.expression == ""
    assert math.isnan(affect.expression_entropy) and math.isnan(affect.valence) and math.isnan(affect.arousal)
    assert affect.au_hidden.all() and not affect.au_active.any()
    assert affect.au_intensities is not None and np.isnan(affect.au_intensities).all()
    assert affect.pose is not None and np.isnan(affect.pose).all()
    assert affect.visible_upper is not None and affect.quality is not None and affect.quality < 0.01


def test_a_network_that_answers_no_numbers_has_seen_nothing(tiny_seen: Path) -> None:
    spec = models.read_spec(tiny_seen)
    assert hidden_regions(np.array([[np.nan, 0.2, 0.5]]), spec).tolist() == [[True, True, False]]


def test_models_that_do_not_tell_are_left_alone(tiny: Path) -> None:
    affect = judged(tiny)
    assert (affect.au_intensities, affect.visibility, affect.pose, affect.quality) == (None,) * 4
    assert (affect.visible_upper, affect.visible_lower, affect.intensities) == (None, None, {})
    assert withheld([affect], models.read_spec(tiny)) == [affect]


def test_the_spread_of_an_ensemble_is_empty_too(tiny_seen: Path) -> None:
    spec = dataclasses.replace(models.read_spec(tiny_seen), members=2)
    engine = FakeEngine.of(spec, {"mouth": -10.0})
    outputs = engine.run({"faces": np.zeros((1, SIZE, SIZE, 1), np.uint8)})
    outputs["visibility"][1, 0, 2] = 10  # one member of two sees a mouth: .5 in the mean
    (affect,) = withheld(read_out(outputs, spec), spec)
    assert affect.au_std is not None and not np.isnan(affect.au_std).any()
    outputs["visibility"][1, 0, 2] = -1
    (affect,) = withheld(read_out(outputs, spec), spec)
    assert affect.au_std is not None and np.isnan(affect.au_std).tolist() == affect.au_hidden.tolist()
    assert affect.au_hidden.any() and not affect.au_hidden.all()


# --- tables -----------------------------------------------------------------------------------------------------------

SEEN_COLUMNS = ["pitch", "yaw", "roll", "visible_upper", "visible_lower", "quality"]
UNITS = list(SEEN.action_units)
HIDDEN_MOUTH = {"AU09", "AU12", "AU21", "AU25"}


def results(folder: Path, frames: list[UInt8], **options: Any) -> list[FrameResult]:
    with Predictor(folder, detector=as_it_is(folder)) as predictor:
        return list(predictor.stream(np.stack(frames), fps=25, **options))


@pytest.mark.parametrize("table_format", ["native", "openface", "pyfeat", "paper"])
def test_columns_and_empty_values_of_each_format(table_format: Any, tiny_seen: Path) -> None:
    seen, no_mouth, nothing = results(tiny_seen, [crop(*REGIONS), crop("brows", "eyes"), crop(mark=False)])
    labels = models.read_spec(tiny_seen).labels
    table = layout(table_format, labels=labels)
    plain = layout(table_format, labels=SEEN)
    new = [name for name in table.columns if name not in plain.columns]
    strengths = {
        "openface": [f"{name}_r".replace("43", "45") for name in UNITS],
        "pyfeat": [f"intensity_{name[2:]}" for name in UNITS],
    }
    assert sorted(new) == sorted(SEEN_COLUMNS + strengths.get(table_format, [f"{name}_i" for name in UNITS]))
    assert [name for name in table.columns if name in plain.columns] == list(plain.columns)
    rows = [dict(zip(table.columns, table.rows(r)[0], strict=True)) for r in (seen, no_mouth, nothing)]
    assert all(rows[0][name] is not None for name in new)
    kept = {"input", "frame", "face_id", "timestamp", "confidence", "success", "frames_ids", "approx_time", "FaceScore"}
    kept |= {"Identity"}
    kept |= {name for name in table.columns if name.startswith("FaceRect")}
    for name, value in rows[1].items():
        unit = name.removesuffix("_c").removesuffix("_i").removesuffix("_r").replace("intensity_", "AU")
        unit = f"AU{int(unit[2:]):02d}" if unit.startswith("AU") else ""
        assert (value is None) == (unit in HIDDEN_MOUTH), name
    for name, value in rows[2].items():
        assert (value is not None) == (name in kept | {"visible_upper", "visible_lower", "quality"}), name
    (gap,) = table.rows(FrameResult(0, 0.0, ()))
    assert len(gap) == len(table.columns)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_are_empty_where_nothing_was_seen(suffix: str, tiny_seen: Path, tmp_path: Path) -> None:
    path, labels = tmp_path / f"t{suffix}", models.read_spec(tiny_seen).labels
    with open_table(path, layout(labels=labels)) as sink:
        for result in results(tiny_seen, [crop(*REGIONS), crop("brows", "eyes"), crop(mark=False)]):
            sink.write(result)
    rows: list[dict[str, Any]]
    if suffix == ".csv":
        rows = [{k: v or None for k, v in row.items()} for row in read_rows(path)]
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(path).to_pylist()
    assert [row["AU12"] is None for row in rows] == [False, True, True]
    assert [row["AU12_c"] is None for row in rows] == [False, True, True]
    assert [row["AU12_i"] is None for row in rows] == [False, True, True]
    assert [row["AU01"] is None for row in rows] == [False, False, True]
    assert [row["expression"] is None for row in rows] == [False, False, True]
    assert [row["valence"] is None for row in rows] == [False, False, True]
    assert all(row["visible_lower"] is not None for row in rows)


def test_results_of_models_that_tell_more_do_not_fit_into_a_smaller_table(tiny_seen: Path) -> None:
    (result,) = results(tiny_seen, [crop(*REGIONS)])
    with pytest.raises(ValueError, match=r"pitch.*does not fit"):
        layout(labels=SEEN).rows(result)
    columns = table_of([result]).columns
    assert columns["AU12_i"].dtype == np.float64 and "quality" in columns


def test_columns_in_memory_have_gaps(tiny_seen: Path) -> None:
    table = table_of(results(tiny_seen, [crop(*REGIONS), crop("brows", "eyes")]))
    assert np.isnan(table["AU12_c"]).tolist() == [False, True] and table["AU01_c"].dtype == np.int64
    assert table.to_pandas()["AU12"].isna().tolist() == [False, True]


def test_no_expression_is_called_like_a_column() -> None:
    for name in SEEN_COLUMNS:
        with pytest.raises(ValueError, match="another column"):
            LabelSet((name, "neutral"))


# --- quality ----------------------------------------------------------------------------------------------------------


def test_the_formula() -> None:
    size, sharp = np.array([0.8, 1.0, 1.0]), np.array([1.0, 0.5, 1.0])
    visibility = np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], np.float32)
    assert quality(size, sharp, visibility, None).tolist() == pytest.approx([0.8, 0.5 * 2 / 3, 0])
    pose = np.array([[60, 0, 170], [0, -60, 0], [0, 0, 0]], np.float32)  # the roll does not matter
    assert quality(size, sharp, visibility, pose).tolist() == pytest.approx([0.4, 0.5 / 3, 0])
    assert quality(np.ones(2), np.ones(2), np.ones((2, 3)), np.array([[100, 0, 0], [0, 91, 0]])).tolist() == [0, 0]


@pytest.fixture(scope="module")
def sharp_face(astronaut: Path, astronaut_points: Array) -> tuple[UInt8, Array]:
    frames = [frame.image for frame in open_source(astronaut).frames()]
    return frames[-1], astronaut_points[-1]


def test_blurred_faces_are_less_sharp(sharp_face: tuple[UInt8, Array]) -> None:
    image, points = sharp_face
    spec = InputSpec(64, 1, "tight")
    px = float(np.hypot(*(points[1] - points[0]))) / (0.37 * 64)  # a px of the crop, in px of the picture
    found = []
    for blur in (0, 1, 2, 4):
        soft = cv2.GaussianBlur(image, (0, 0), blur * px) if blur else image
        found.append(float(sharpness(crop_face(np.asarray(soft, np.uint8), points, spec)[None])[0]))
    assert found == sorted(found, reverse=True) and found[0] > 0.6 and found[2] < 0.3 and found[3] < 0.15
    moved = np.asarray(cv2.blur(image, (round(8 * px), 1)), np.uint8)  # to the side only
    assert sharpness(crop_face(moved, points, spec)[None])[0] < 0.4


def test_sharpness_does_not_depend_on_contrast_nor_noise_much(sharp_face: tuple[UInt8, Array]) -> None:
    image, points = sharp_face
    spec = InputSpec(64, 3, "tight")
    whole = crop_face(image, points, spec)
    pale = (whole // 2 + 60).astype(np.uint8)
    (sharp, of_pale) = sharpness(np.stack([whole, pale]))
    assert of_pale == pytest.approx(sharp, abs=0.05)
    soft = cv2.GaussianBlur(whole, (0, 0), 2)
    noisy = np.clip(soft + np.random.default_rng(0).normal(0, 5, soft.shape), 0, 255).astype(np.uint8)
    assert sharpness(noisy[None])[0] < sharp / 2
    assert sharpness(np.full((1, 64, 64, 1), 90, np.uint8)).tolist() == [0]


def test_small_faces_are_worth_less(tiny_seen: Path) -> None:
    """The same face in pictures of half the input's side: half as much detail."""
    rng = np.random.default_rng(0)
    fine = rng.integers(200, 256, (1, SIZE, SIZE, 3), np.uint8)
    points = models.read_spec(tiny_seen).input.template_px()
    with Predictor(tiny_seen) as predictor:
        (large,) = predictor.predict_image(fine[0], landmarks=points[None])
        (small,) = predictor.predict_image(fine[0, ::2, ::2].copy(), landmarks=(points[None] + 0.5) / 2 - 0.5)
        (aligned,) = predictor.predict_aligned(fine)
    assert large.affect.quality == pytest.approx(aligned.quality, rel=1e-3) and aligned.quality is not None
    assert small.affect.quality is not None and small.affect.quality < 0.6 * aligned.quality


def test_faces_of_low_quality_are_not_judged(tiny_seen: Path) -> None:
    grey = np.full((SIZE, SIZE, 3), 230, np.uint8)  # no detail at all
    with Predictor(tiny_seen, detector=as_it_is(tiny_seen), min_quality=0.1) as predictor:
        poor, good = predictor.stream(np.stack([grey, crop(*REGIONS)]), fps=25)
        assert predictor.describe()["min_quality"] == 0.1
    affect = poor.faces[0].affect
    assert affect.quality == 0 and affect.visible_upper == pytest.approx(1, abs=0.01)
    assert affect.pose is not None and np.isfinite(affect.pose).all()
    assert affect.au_hidden.all() and affect.expression == "" and math.isnan(affect.valence)
    assert poor.faces[0].score == pytest.approx(0.99) and poor.faces[0].track_id == 0
    assert good.faces[0].affect.expression and good.faces[0].affect.quality is not None


def test_a_quality_that_cannot_be_asked_for(tiny: Path, tiny_seen: Path) -> None:
    with pytest.raises(ValueError, match="does not tell how well a face can be seen"):
        Predictor(tiny, min_quality=0.5)
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="min_quality must be"):
            Predictor(tiny_seen, min_quality=value)


# --- pose -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0, 30, -30, 100, 175, -120])
def test_the_roll_is_that_in_the_picture(angle: float, tiny_seen: Path) -> None:
    """The network says 10 degrees of each crop; the points are turned counter-clockwise as seen."""
    spec = models.read_spec(tiny_seen)
    turn = math.radians(angle)
    centre = spec.input.template_px() - (SIZE - 1) / 2
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])  # y points down
    points = centre @ rotation.T + 50
    image = np.full((100, 100, 3), 240, np.uint8)
    with Predictor(tiny_seen) as predictor:
        (face,) = predictor.predict_image(image, landmarks=points[None])
    assert face.affect.pose is not None
    assert face.affect.pose[2] == pytest.approx((angle + 10 + 180) % 360 - 180, abs=0.01)
    assert face.affect.pose[0] == pytest.approx(40 * (240 / 255 - 0.5), abs=0.05)


# --- over time and in runs --------------------------------------------------------------------------------------------


def hidden_mouths(pattern: str) -> list[UInt8]:
    """A frame a letter: s seen, m mouth hidden, n nothing can be seen."""
    kinds = {"s": crop(*REGIONS), "m": crop("brows", "eyes"), "n": crop(mark=False)}
    return [kinds[letter] for letter in pattern]


PATTERN = "sssmmsssssnnsssmssss"


@pytest.mark.parametrize("window", ["overlap", "live"])
def test_sequences_are_empty_where_the_frame_shows_nothing(window: Any, tiny_seen_temporal: Path) -> None:
    found = results(tiny_seen_temporal, hidden_mouths(PATTERN), window=window)
    affects = [result.faces[0].affect for result in found]
    assert ["AU12" in empty_units(affect) for affect in affects] == [letter in "mn" for letter in PATTERN]
    assert ["AU01" in empty_units(affect) for affect in affects] == [letter == "n" for letter in PATTERN]
    assert [affect.expression == "" for affect in affects] == [letter == "n" for letter in PATTERN]
    assert all(affect.quality is not None for affect in affects)
    m = hidden_mouths("s")[0].mean() / 255
    assert affects[0].intensities["AU06"] == pytest.approx(1 / (1 + math.exp(-(4 * m - 2 / 4))), abs=1e-3)


def test_a_sequence_of_aligned_faces(tiny_seen_temporal: Path, tiny_seen: Path) -> None:
    crops = np.stack(hidden_mouths("ssmns"))
    with Predictor(tiny_seen_temporal) as predictor:
        over_time, logits = predictor.predict_sequence(crops, return_logits=True)
    with Predictor(tiny_seen) as predictor:
        single, raw = predictor.predict_aligned(crops, return_logits=True)
    assert set(logits) == {"expression", "au", "va"}
    assert set(raw) == {"expression", "au", "va", "intensity", "visibility", "pose", "features"}
    assert raw["pose"].shape == (1, 5, 3) and raw["intensity"].shape == (1, 5, len(UNITS))
    for one, other in zip(over_time, single, strict=True):
        assert empty_units(one) == empty_units(other) and one.quality == other.quality


@pytest.mark.parametrize("temporal", [False, True])
@pytest.mark.parametrize("smooth_s", [0.0, 0.2])
def test_an_interrupted_stream_goes_on_to_the_same_rows(
    temporal: bool, smooth_s: float, tiny_seen: Path, tiny_seen_temporal: Path
) -> None:
    from affectkit.runs.state import pack, unpack

    folder = tiny_seen_temporal if temporal else tiny_seen
    frames = np.stack(hidden_mouths(PATTERN * 2))
    with Predictor(folder, detector=as_it_is(folder), batch_size=4) as predictor:
        whole = list(predictor.stream(frames, fps=25, smooth_s=smooth_s))
        before, state = [], None
        with predictor.stream(frames, fps=25, smooth_s=smooth_s) as stream:
            for result in stream:
                before.append(result)
                if len(before) >= 13 and (state := stream.checkpoint()) is not None:
                    break
        stored = unpack(pack(state), "here")
        after = list(predictor.stream(frames, fps=25, smooth_s=smooth_s, resume=stored))
    table = layout(labels=models.read_spec(folder).labels)
    rows = [[table.rows(result) for result in part] for part in (whole, before + after)]
    assert rows[0] == rows[1] and len(before) < len(whole)


def test_the_command_line(tiny_seen: Path, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for is done for each input, and written down."""
    for name, image in (("a", crop(*REGIONS)), ("b", crop("brows", "eyes"))):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), image)
    (tmp_path / "out").mkdir()
    options = ("--model", tiny_seen, "--aligned", "--prior", "balanced", "--min-quality", "0.01")
    code, _, err = run_cli("predict", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out", *options)
    assert code == 0, err
    for name, empty in (("a", False), ("b", True)):
        (row,) = read_rows(tmp_path / "out" / f"{name}.csv")
        assert (row["AU12"] == "") is empty and row["quality"]
        meta = json.loads((tmp_path / "out" / f"{name}.csv.meta.json").read_text())
        assert (meta["prior"], meta["min_quality"]) == ("balanced", 0.01)
        assert meta["visibility_thresholds"] == {"brows": 0.5, "eyes": 0.5, "mouth": 0.5}
        assert meta["labels"]["intensity"] is meta["labels"]["visibility"] is meta["labels"]["pose"] is True
    code, out, _ = run_cli("models", "show", tiny_seen)
    assert "visible     brows from 0.50" in out and "intensities, head pose" in out and "prior       neutral" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--prior", "balanced"), "does not state how common each expression was"),
        (("--min-quality", "0.5"), "does not tell how well a face can be seen"),
        (("--min-quality", "2"), "2.0 is not in the range"),
        (("--prior", "flat"), "'flat' is not one of"),
    ],
)
def test_misuse(
    options: tuple[str, ...], says: str, tiny: Path, tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "p.png"), crop())
    monkeypatch.chdir(tmp_path)
    code, _, err = run_cli("predict", tmp_path / "p.png", "--model", tiny, *options)
    assert code == 2 and says in err and "Traceback" not in err
    assert list(tmp_path.glob("*.csv*")) == []


def test_another_prior_is_another_run(tiny_seen: Path, tmp_path: Path) -> None:
    from affectkit.options import OutputOptions, StreamOptions
    from affectkit.runs.job import Job
    from affectkit.runs.resume_notes import fingerprint
    from affectkit.sources.limits import Opening

    path = tmp_path / "p.png"
    cv2.imwrite(str(path), crop())
    made, options_of_a_run = [], (StreamOptions(), OutputOptions(), Opening())
    for options in ({}, {"prior": "balanced"}, {"min_quality": 0.5}):
        with Predictor(tiny_seen, **options) as predictor:  # type: ignore[arg-type]
            made.append(fingerprint(predictor.describe(), Job(str(path), tmp_path / "t.csv"), None, *options_of_a_run))
    assert made[0]["prior"] != made[1]["prior"] and made[0]["min_quality"] != made[2]["min_quality"]


# --- prior ------------------------------------------------------------------------------------------------------------


def test_balanced_divides_by_the_prior(tiny_seen: Path) -> None:
    spec = models.read_spec(tiny_seen)
    prior = np.array(spec.expression_prior)
    logits = np.random.default_rng(0).normal(0, 1, 7)
    said = dict(zip(spec.expression_labels, logits.tolist(), strict=True))
    with Predictor(tiny_seen, engine=FakeEngine.of(spec, said), prior="balanced") as predictor:
        (affect,) = predictor.predict_aligned(np.zeros((1, SIZE, SIZE, 1), np.uint8))
    natural = np.exp(logits) / np.exp(logits).sum()
    divided = (natural / prior) ** (1 / 2.0)  # tiny-seen's balanced temperature
    assert affect.expression_probabilities == pytest.approx(divided / divided.sum(), rel=1e-5)
    outputs = FakeEngine.of(spec, said).run({"faces": np.zeros((1, SIZE, SIZE, 1), np.uint8)})
    plain = dataclasses.replace(spec, balanced_temperature=None, expression_temperature=1.0)
    (affect,) = read_out(outputs, plain, "balanced")
    assert affect.expression_probabilities == pytest.approx(natural / prior / (natural / prior).sum(), rel=1e-5)
    (affect,) = read_out(outputs, plain)
    assert affect.expression_probabilities == pytest.approx(natural, rel=1e-5)


def test_the_prior_goes_by_name(tiny_seen: Path) -> None:
    """A model may list its expressions in an order of its own; the prior is in that order."""
    spec = models.read_spec(tiny_seen)
    assert spec.expression_prior is not None
    turned = dataclasses.replace(
        spec, expression_labels=spec.expression_labels[::-1], expression_prior=spec.expression_prior[::-1]
    )
    faces = np.zeros((1, SIZE, SIZE, 1), np.uint8)
    (one,), (other,) = (read_out(FakeEngine.of(s).run({"faces": faces}), s, "balanced") for s in (spec, turned))
    assert one.expression_probabilities == pytest.approx(other.expression_probabilities)


def test_impossible_priors_are_refused(tiny_seen: Path, tiny: Path) -> None:
    spec = models.read_spec(tiny_seen)
    from affectkit.errors import ModelError

    for prior in ((0.5, 0.5), (0.4, 0.1, 0.1, 0.0, 0.25, 0.1, 0.05), (0.5,) * 7):
        with pytest.raises(ModelError, match="the prior must be a share over 0"):
            dataclasses.replace(spec, expression_prior=prior)
    with pytest.raises(ModelError, match="balanced temperature must be positive"):
        dataclasses.replace(spec, balanced_temperature=0.0)
    with pytest.raises(ModelError, match="goes with a prior"):
        dataclasses.replace(spec, expression_prior=None)
    with pytest.raises(ValueError, match="does not state how common"):
        Predictor(tiny, prior="balanced")
    with pytest.raises(ValueError, match="prior must be natural or balanced"):
        Predictor(tiny_seen, prior="uniform")  # type: ignore[arg-type]


# --- model.json -------------------------------------------------------------------------------------------------------


def test_a_spec_with_all_of_it_goes_through_json(tiny_seen: Path) -> None:
    spec = models.read_spec(tiny_seen)
    document = json.loads(spec.to_json())
    assert document["format_version"] == 2 and ModelSpec.from_json(spec.to_json()) == spec
    assert spec.further_widths == {"intensity": 8, "visibility": 3, "pose": 3}
    assert (spec.labels.intensity, spec.labels.visibility, spec.labels.pose) == (True, True, True)
    only_prior = dataclasses.replace(spec, intensity=False, pose=False, visibility_thresholds=None)
    assert json.loads(only_prior.to_json())["format_version"] == 1  # older ones answer it naturally, and rightly


@pytest.mark.parametrize("name", models.embedded_names())
def test_the_text_of_other_models_stays_what_it_was(name: str) -> None:
    spec = models.read_spec(models.find(name))
    if not spec.further_widths and spec.expression_prior is None:
        assert spec.to_json() == (models.find(name) / "model.json").read_text()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(format_version=1), "'intensity' needs the format 2"),
        (lambda d: d["tasks"].update(gaze={}), "no such task: 'gaze'"),
        (lambda d: d["tasks"]["visibility"].update(labels=["eyes", "brows", "mouth"]), "labels of 'visibility' must"),
        (lambda d: d["tasks"]["visibility"].update(thresholds=[0.5, 0.5]), "three visibility thresholds"),
        (lambda d: d["tasks"]["visibility"].update(thresholds=[0.5, 0.5, 0]), "three visibility thresholds"),
        (lambda d: d["tasks"]["visibility"].pop("thresholds"), "'thresholds' is missing"),
        (lambda d: d["tasks"]["intensity"]["labels"].reverse(), "labels of 'intensity' must"),
        (lambda d: d["tasks"]["expression"].update(prior=["x"]), "wrong kind"),
    ],
)
def test_impossible_specs_are_refused(change: Callable[[dict[str, Any]], None], says: str, tiny_seen: Path) -> None:
    from affectkit.errors import ModelError

    document = json.loads((tiny_seen / "model.json").read_text())
    document.pop("digest")
    change(document)
    with pytest.raises(ModelError, match=says):
        ModelSpec.from_json(json.dumps(document))


def test_outputs_and_spec_belong_together(tiny: Path, tiny_seen: Path) -> None:
    from affectkit.errors import EngineError

    spec = models.read_spec(tiny_seen)
    faces = np.zeros((1, SIZE, SIZE, 1), np.uint8)
    fewer = FakeEngine.of(dataclasses.replace(spec, pose=False))
    with Predictor(tiny_seen, engine=fewer) as predictor, pytest.raises(EngineError, match="'pose' should be"):
        predictor.predict_aligned(faces)
    more = FakeEngine.of(spec)
    with Predictor(tiny, engine=more) as predictor, pytest.raises(EngineError, match="'intensity' should be None"):
        predictor.predict_aligned(faces)


def test_fake_answers_have_the_names_of_all_outputs(tiny_seen: Path) -> None:
    affect = judged(tiny_seen, AU12_i=2.0, yaw=20.0, roll=-4.0)
    assert affect.intensities["AU12"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert affect.pose == pytest.approx([0, 20, -4])
    with pytest.raises(ValueError, match=r"no label 'nose'.*AU12_i.*brows.*pitch"):
        FakeEngine.of(models.read_spec(tiny_seen), {"nose": 1.0})


def test_an_affect_holds_arrays_of_its_lengths() -> None:
    good = Affect(np.zeros(7, np.float32), np.zeros(8, np.float32), np.zeros(8, bool), 0.0, 0.0)
    for name, length in (("au_intensities", 7), ("visibility", 2), ("pose", 4)):
        with pytest.raises(ValueError, match="should be"):
            dataclasses.replace(good, **{name: np.zeros(length, np.float32)})
    with pytest.raises(ValueError, match="intensities are those of action units"):
        LabelSet.of(("a", "b"), intensity=True)
    assert Face(0, (0, 0, 1, 1), 1.0, np.zeros((5, 2), np.float32), good).affect.quality is None


FIVE = np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])
"""Eyes 40 px apart at height 40, the mouth 40 px below them: brows at 28, give or take 5; lips 72 to 88."""


@pytest.mark.parametrize(
    ("width", "height", "shares"),
    [
        (100, 100, (1, 1, 1)),
        (100, 88, (1, 1, 2 / 3)),  # rows 72 and 80 of the lips, not 88
        (100, 70, (1, 1, 0)),
        (100, 34, (1, 0, 0)),  # eyes begin at 36
        (100, 33, (2 / 3, 0, 0)),  # 22.8, 28, not 33.2
        (52, 100, (0.5, 0.5, 2 / 3)),  # the right half is missing; of the lips 35 and 50 are there
    ],
)
def test_shares_that_lie_in_the_picture(width: int, height: int, shares: tuple[float, ...]) -> None:
    assert inside(FIVE, width, height) == pytest.approx(shares)


def test_points_before_the_first_row_are_outside() -> None:
    assert inside(FIVE - [0, 30], 100, 100) == pytest.approx([1 / 3, 1, 1])  # rows -7.2, -2 and 3.2 of the brows
    turned = FIVE[:, ::-1]  # a face on its side
    assert inside(turned, 100, 100) == pytest.approx([1, 1, 1])
    assert inside(turned, 70, 100) == pytest.approx([1, 1, 0])


def test_what_the_edge_cuts_off_is_hidden(tiny_seen: Path, tmp_path: Path) -> None:
    """The network sees a mouth in what is beyond the edge: the crop repeats the last row, and that is white."""
    spec = models.read_spec(tiny_seen)
    points = spec.input.template_px()
    face = crop(*REGIONS)
    mouth = int(points[3:, 1].min()) - 6
    with Predictor(tiny_seen, detector=Where(points)) as predictor:
        (whole,) = predictor.predict_image(face)
        cut = np.ascontiguousarray(face[:mouth])
        cut[-1] = 255
        (short,) = predictor.predict_image(cut)
        (known,) = predictor.predict_image(cut, landmarks=points[None])
        (result,) = predictor.stream([cut])
    assert not empty_units(whole.affect) and whole.affect.visible_lower == pytest.approx(1, abs=0.1)
    for found in (short, known, result.faces[0]):
        assert found.affect.visible_lower == 0 and {"AU12", "AU25"} <= empty_units(found.affect)
        assert "AU01" not in empty_units(found.affect)
