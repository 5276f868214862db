"""Action units relative to a person's neutral: the formula, the rules but ``auto``, the tables, and what is refused."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import write_clip
from test_resume import clip as clip
from test_resume import killed

from affectkit import FakeEngine, Predictor, models
from affectkit.baseline.corrected import Corrector
from affectkit.baseline.finders import FromFile, FromSeconds
from affectkit.baseline.neutral import LEAST_FRAMES, Neutral, Rule, Seen, median_of, parse_rule
from affectkit.errors import OutputError, SourceError
from affectkit.options import OutputOptions
from affectkit.runs import run as jobs
from affectkit.runs.run import Job, run_job
from affectkit.types import Array, Detection, UInt8

Run = Callable[..., tuple[int, str, str]]

AUS = 8
HIGH_BROWS = {20: {"AU01": 0.9, "AU12": 0.01}, 80: {"AU01": 0.99, "AU12": 0.8}, 140: {"AU01": 0.2, "AU12": 0.3}}
"""Probabilities that the engine below gives a face of this brightness; .05 of the other units."""


class Faces:
    """A detector that sees as many faces side by side as are asked for."""

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def detect(self, image: UInt8) -> list[Detection]:
        height, width = image.shape[:2]
        width //= self.count
        points = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]]) * [width, height]
        return [
            Detection(
                (width * (k + 0.25), height / 4, width / 2, height / 2),
                0.99 - k / 100,
                points + np.array([k * width, 0]),
            )
            for k in range(self.count)
        ]

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        return list(self.detect(image))

    def close(self) -> None:
        """Nothing to free."""


def brightness_engine(told: Mapping[int, Mapping[str, float]] = HIGH_BROWS) -> FakeEngine:
    """Says of each face what ``told`` says of its brightness, to within 10."""

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        faces = inputs["faces"]
        au = np.full((1, len(faces), AUS), 0.05)
        expression = np.zeros((1, len(faces), 7))
        for k, face in enumerate(faces):
            level = float(face.mean())
            nearest = min(told, key=lambda known: abs(known - level))
            assert abs(nearest - level) < 10
            for name, value in told[nearest].items():
                if name == "neutral":
                    expression[0, k, 0] = math.log(6 * value / (1 - value))
                else:
                    au[0, k, ["AU01", "AU02", "AU04", "AU06", "AU12", "AU15", "AU20", "AU25"].index(name)] = value
        logits = np.log(au / (1 - au)).astype(np.float32)
        spec = models.read_spec(Path(__file__).parent / "data" / "tiny")
        return {
            "expression": expression.astype(np.float32),
            "au": logits,
            "va": np.zeros((1, len(faces), spec.task_widths["va"]), np.float32),
            "features": np.zeros((1, len(faces), len(spec.tasks), spec.feature_width), np.float32),
        }

    return FakeEngine(answer)


def pictures(*levels: int | Sequence[int]) -> UInt8:
    """(T, 64, 96 K, 3): a frame of each brightness, or of several side by side."""
    frames = []
    for level in levels:
        sides = [level] if isinstance(level, int) else level
        frames.append(np.concatenate([np.full((64, 96, 3), side, np.uint8) for side in sides], axis=1))
    return np.stack(frames)


@pytest.fixture
def predictor(tiny: Path) -> Iterator[Predictor]:
    with Predictor(tiny, detector=Faces(), engine=brightness_engine()) as made:
        yield made


@pytest.fixture
def pair(tiny: Path) -> Iterator[Predictor]:
    """Of two faces a frame."""
    with Predictor(tiny, detector=Faces(2), engine=brightness_engine()) as made:
        yield made


def relative(value: float, base: float) -> float:
    return max(0.0, (value - base) / (1 - base))


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        return list(csv.DictReader(path.read_text().splitlines()))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    import pyarrow.parquet

    return list(pyarrow.parquet.read_table(path).to_pylist())


def test_the_formula_rises_stays_within_0_to_1_and_never_adds() -> None:
    values = np.linspace(0, 1, 1001)
    for base in (0.0, 0.02, 0.5, 0.96, 0.999, 1.0):
        told = Neutral(np.full(1, base), 10).relative(values[:, None])[:, 0]
        assert (np.diff(told) >= 0).all() and told.min() >= 0 and told.max() <= 1
        assert (told <= values + 1e-12).all()
        assert told[values <= min(base, 0.99)].max() == pytest.approx(0) and told[-1] == pytest.approx(1)
    assert Neutral(np.array([0.6]), 1).relative(np.array([0.8])) == pytest.approx([0.5])


def test_what_is_not_known_stays_as_it_is() -> None:
    told = Neutral(np.array([np.nan, 0.5]), 10).relative(np.array([[0.7, np.nan], [0.1, 0.75]]))
    np.testing.assert_allclose(told, [[0.7, np.nan], [0.1, 0.5]])
    medians = median_of(np.array([[0.1, np.nan, 0.3], [0.2, np.nan, np.nan], [0.9, np.nan, np.nan]]), 2)
    np.testing.assert_allclose(medians, [0.2, np.nan, np.nan])
    rows = np.random.default_rng(0).random((6, 40))
    rows[np.random.default_rng(1).random(rows.shape) < 0.3] = np.nan
    np.testing.assert_allclose(median_of(rows, 1), np.nanmedian(rows, axis=0))


@pytest.mark.parametrize(
    ("given", "kind"), [("auto", "auto"), ("0-3", "seconds"), (".5-2.25", "seconds"), ((1, 2.5), "seconds")]
)
def test_what_is_understood(given: Any, kind: str) -> None:
    assert parse_rule(given).kind == kind


def test_a_file_may_be_called_like_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0-3").touch()
    assert parse_rule("0-3").kind == "seconds" and parse_rule("./0-3").kind == "file"
    assert parse_rule(Path("0-3")).kind == "file"


@pytest.mark.parametrize("given", ["3-0", "2-2", (1.0,), (0, math.inf), (math.nan, 1)])
def test_ranges_that_are_none(given: Any) -> None:
    with pytest.raises(ValueError, match=r"START"):
        parse_rule(given)


@pytest.mark.parametrize("given", ["gone.csv", "-1-3", "0:3", ""])
def test_what_is_neither(given: str) -> None:
    with pytest.raises(SourceError, match=r"neither auto, nor START-END"):
        parse_rule(given)


def test_named_seconds(predictor: Predictor) -> None:
    frames = pictures(*[20] * 10, *[80] * 5, *[140] * 5)
    table = predictor.predict(frames, fps=10, baseline=(0, 1))
    raw = predictor.predict(frames, fps=10)
    np.testing.assert_allclose(table["AU01_raw"], raw["AU01"])
    assert table["AU01"] == pytest.approx([0] * 10 + [relative(0.99, 0.9)] * 5 + [0] * 5, abs=1e-5)
    assert table["AU12"] == pytest.approx([0] * 10 + [relative(0.8, 0.01)] * 5 + [relative(0.3, 0.01)] * 5, abs=1e-5)
    assert raw["AU01_c"].tolist() == [1] * 15 + [0] * 5
    assert table["AU01_c"].tolist() == [0] * 10 + [1] * 5 + [0] * 5
    assert table["baseline"].tolist() == [1] * 20
    assert [name for name in table.columns if name not in raw.columns] == ["baseline", *(f"{u}_raw" for u in _UNITS)]
    same = [name for name in raw.columns if not name.startswith("AU")]
    assert all(raw[name].tolist() == table[name].tolist() for name in same)


_UNITS = ("AU01", "AU02", "AU04", "AU06", "AU12", "AU15", "AU20", "AU25")


def test_a_word_among_the_neutral_frames_does_not_count(predictor: Predictor) -> None:
    table = predictor.predict(pictures(*[20] * 6, *[80] * 4, 20), fps=10, baseline="0-1.1")
    assert table["AU12"][0] == 0 and table["AU12"][6] == pytest.approx(relative(0.8, 0.01), abs=1e-5)


def test_each_face_has_its_own(pair: Predictor) -> None:
    frames = pictures(*[(20, 140)] * 10, (80, 80))
    table = pair.predict(frames, fps=10, baseline=(0, 1))
    last = {int(i): k for k, i in enumerate(table["face_id"])}
    assert table["AU01"][last[0]] == pytest.approx(relative(0.99, 0.9), abs=1e-5)
    assert table["AU01"][last[1]] == pytest.approx(relative(0.99, 0.2), abs=1e-5)


def test_a_face_that_is_not_there_in_these_seconds_stays_raw(tmp_path: Path, predictor: Predictor) -> None:
    source = write_clip(tmp_path / "c.mp4", list(pictures(*[20] * 10, *[80] * 5)), fps=10)
    job = Job(str(source), tmp_path / "c.csv")
    outcome = run_job(predictor, job, outputs=OutputOptions(baseline="1.2-5"))
    assert "no baseline for 1 of 1 faces" in outcome.remarks[0] and "3 frames from 1.2 to 5 s" in outcome.remarks[0]
    rows = rows_of(job.table)
    assert {row["baseline"] for row in rows} == {"0"} and all(row["AU01"] == row["AU01_raw"] for row in rows)
    assert [row["AU01_c"] for row in rows] == ["1"] * 15
    meta = json.loads(job.meta.read_text())
    assert meta["baseline"]["faces"] == {} and list(meta["baseline"]["faces_without"]) == ["0"]
    assert meta["options"]["baseline"] == "1.2-5"


def test_seen_often_enough() -> None:
    finder = FromSeconds(Rule("seconds", 0, 1))
    for k in range(LEAST_FRAMES):
        values = np.array([0.5, np.nan if k else 0.2])
        finder.add(Seen(k, k / 10, 3, values))
        finder.add(Seen(k, k / 10, 4, np.full(2, np.nan)))
    found = finder.result()
    np.testing.assert_allclose(found.found[3].values, [0.5, np.nan])
    assert found.found[3].seconds == ((0.0, (LEAST_FRAMES - 1) / 10),) and list(found.without) == [4]
    with pytest.raises(SourceError, match="no times"):
        finder.add(Seen(0, None, 0, np.zeros(2)))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("table_format", ["native", "openface", "pyfeat", "paper"])
def test_every_format_has_the_corrected_and_the_raw_values(
    suffix: str, table_format: Any, tmp_path: Path, predictor: Predictor
) -> None:
    source = write_clip(tmp_path / "c.mp4", list(pictures(*[20] * 10, *[80] * 3)), fps=10)
    out, plain = tmp_path / f"out{suffix}", tmp_path / f"plain{suffix}"
    run_job(predictor, Job(str(source), out), outputs=OutputOptions(table_format=table_format, baseline="0-1"))
    run_job(predictor, Job(str(source), plain), outputs=OutputOptions(table_format=table_format))
    rows, raw = rows_of(out), rows_of(plain)
    assert list(rows[0]) == [*raw[0], "baseline", *(f"{unit}_raw" for unit in _UNITS)]
    decided = {"native": "AU01_c", "openface": "AU01_c", "paper": "AU1"}.get(table_format)
    told = {"native": "AU12", "pyfeat": "AU12"}.get(table_format)
    for row, before in zip(rows, raw, strict=True):
        assert int(row["baseline"]) == 1
        smiles = float(row["AU12_raw"]) > 0.5
        if decided:
            assert (int(before[decided]), int(row[decided])) == (1, int(smiles))
        if told:
            assert float(before[told]) == float(row["AU12_raw"])
            assert float(row[told]) == pytest.approx(relative(0.8, 0.01) if smiles else 0, abs=1e-4)
        unchanged = {name for name in before if not name.startswith("AU")}
        assert all(row[name] == before[name] for name in unchanged)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert json.loads((tmp_path / f"out{suffix}.meta.json").read_text())["baseline"]["faces"]["0"]["frames"] == 10


def test_frames_without_a_face_keep_their_row(tmp_path: Path, tiny: Path) -> None:
    with Predictor(tiny, detector=_Sometimes(), engine=brightness_engine()) as predictor:
        table = predictor.predict(pictures(*[20] * 12, *[250] * 3), fps=10, baseline=(0, 1))
    assert len(table) == 15 and np.isnan(table["baseline"][12:]).all() and np.isnan(table["AU01_raw"][12:]).all()


class _Sometimes(Faces):
    """Sees no face in a white picture."""

    def detect(self, image: UInt8) -> list[Detection]:
        return [] if image.mean() > 200 else super().detect(image)

    def follow(self, image: UInt8, faces: Sequence[Detection]) -> list[Detection | None]:
        return [*self.detect(image)] or [None] * len(faces)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_of_the_neutral_face(suffix: str, tmp_path: Path, predictor: Predictor) -> None:
    source = write_clip(tmp_path / "neutral.mp4", list(pictures(*[20] * 5)))
    neutral = tmp_path / f"neutral{suffix}"
    run_job(predictor, Job(str(source), neutral))
    frames = pictures(80, 140)
    table = predictor.predict(frames, baseline=neutral)  # no times are needed
    assert table["AU01"] == pytest.approx([relative(0.99, 0.9), 0], abs=1e-4)
    # One that was corrected itself counts by its raw values.
    again = tmp_path / f"again{suffix}"
    run_job(predictor, Job(str(source), again), outputs=OutputOptions(baseline="0-1"))
    assert predictor.predict(frames, baseline=again)["AU01"] == pytest.approx(table["AU01"], abs=1e-6)


def test_a_picture_or_video_of_the_neutral_face(tmp_path: Path, predictor: Predictor, pair: Predictor) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "neutral.png"), pictures(20)[0])
    clip = write_clip(tmp_path / "neutral.mp4", list(pictures(*[20] * 3)))
    for neutral in (tmp_path / "neutral.png", clip):
        table = predictor.predict(pictures(80), baseline=neutral)
        assert table["AU01"] == pytest.approx([relative(0.99, 0.9)], abs=1e-3)
    two = write_clip(tmp_path / "two.mp4", list(pictures((20, 20))))
    with pytest.raises(SourceError, match="shows 2 faces at once"):
        pair.predict(pictures((80, 80)), baseline=two)
    with Predictor(models.find("lite"), detector=_Sometimes(), engine=brightness_engine()) as sometimes:
        white = write_clip(tmp_path / "white.mp4", list(pictures(250)))
        with pytest.raises(SourceError, match="shows no face"):
            sometimes.predict(pictures(80), baseline=white)


def seen(index: int, *tracks: int) -> list[Seen]:
    return [Seen(index, None, track, np.full(1, 0.5)) for track in tracks]


def test_whose_a_file_of_one_face_is() -> None:
    neutral, rule = Neutral(np.array([0.2]), 3), Rule("file", file="n.csv")
    alone = FromFile(rule, {None: neutral})
    for one in [*seen(0, 0), *seen(1, 0), *seen(5, 3)]:  # lost, and found under another id
        alone.add(one)
    assert sorted(alone.result().found) == [0, 3] and not alone.result().remarks()
    several = FromFile(rule, {None: neutral})
    for one in [*seen(0, 0, 1), *seen(1, 1), *seen(2, 1, 2)]:
        several.add(one)
    found = several.result()
    assert sorted(found.found) == [1] and sorted(found.without) == [0, 2]
    assert "taken for face 1's" in found.remarks()[0] and "2 of 3 faces, which keep their raw" in found.remarks()[1]
    assert FromFile(rule, {None: neutral}).result().found == {}


def test_a_file_of_several_faces_goes_by_their_ids(tmp_path: Path, pair: Predictor) -> None:
    source = write_clip(tmp_path / "n.mp4", list(pictures(*[(20, 140)] * 3)))
    run_job(pair, Job(str(source), tmp_path / "n.csv"))
    job = Job(str(write_clip(tmp_path / "c.mp4", list(pictures((80, 80))))), tmp_path / "c.csv")
    run_job(pair, job, outputs=OutputOptions(baseline=str(tmp_path / "n.csv")))
    told = {row["face_id"]: float(row["AU01"]) for row in rows_of(job.table)}
    assert told["0"] == pytest.approx(relative(0.99, 0.9), abs=1e-3)
    assert told["1"] == pytest.approx(relative(0.99, 0.2), abs=1e-3)
    unmatched = FromFile(Rule("file", file="n.csv"), {0: Neutral(np.array([0.2]), 3), 7: Neutral(np.array([0.2]), 3)})
    for one in seen(0, 4, 7):
        unmatched.add(one)
    assert list(unmatched.result().found) == [7] and unmatched.result().without[4] == "n.csv has faces 0, 7 only"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("frame,AU01\n0,0.5\n", "has no column AU02"),
        ("a,b\n", "shows no face"),
        ("", "shows no face"),
        ("face_id," + ",".join(_UNITS) + "\n0" + ",x" * 8 + "\n", "row 1: cannot be read"),
        ("face_id," + ",".join(_UNITS) + "\n0" + ",1.5" * 8 + "\n", "not within 0..1"),
        ("face_id," + ",".join(_UNITS) + "\n0,1\n", "row 1"),
        ("face_id," + ",".join(_UNITS) + "\n-1" + "," * 8 + "\n", "shows no face"),
        ("frame," + ",".join(_UNITS) + ("\n0" + ",.5" * 8) * 2 + "\n", "several faces in one frame"),
    ],
)
def test_tables_that_will_not_do(text: str, told: str, tmp_path: Path, predictor: Predictor) -> None:
    path = tmp_path / "n.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=told):
        predictor.predict(pictures(20), baseline=path)


@pytest.mark.parametrize("name", ["n.csv", "n.jsonl", "n.parquet", "n.png", "n.mp4"])
def test_files_that_are_none(name: str, tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)))
    with pytest.raises(SourceError, match=name):
        predictor.predict(pictures(20), baseline=tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(SourceError, match=name):
        predictor.predict(pictures(20), baseline=tmp_path / name)


def test_a_table_of_another_model(tmp_path: Path, predictor: Predictor, tiny_ensemble: Path) -> None:
    source = write_clip(tmp_path / "n.mp4", list(pictures(*[20] * 2)))
    run_job(predictor, Job(str(source), tmp_path / "n.csv"))
    with Predictor(tiny_ensemble, detector=Faces()) as other, pytest.raises(SourceError, match="another model"):
        other.predict(pictures(80), baseline=tmp_path / "n.csv")


def test_a_model_without_action_units(tiny_expressions: Path) -> None:
    with Predictor(tiny_expressions, detector=Faces()) as predictor, pytest.raises(ValueError, match="has none"):
        predictor.predict(pictures(20), baseline="auto")


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--baseline", "0-3", "--render", "x.mp4"], 2, "leave out one of them"),
        (["--baseline", "0-3", "--start", "4"], 2, "nothing is left"),
        (["--baseline", "3-4", "--end", "3"], 2, "nothing is left"),
        (["--baseline", "3-1"], 2, "START must be before END"),
        (["--baseline", "nothing"], 1, "neither auto"),
    ],
)
def test_misuse_is_said_before_anything_is_done(
    options: list[str], code: int, told: str, astronaut: Path, tmp_path: Path, run_cli: Run
) -> None:
    found, _, err = run_cli("predict", astronaut, "-o", tmp_path / "a.csv", *options)
    assert found == code and told in err and err.count("error") <= 1 and not list(tmp_path.iterdir())


def test_pictures_without_times_have_no_seconds(tmp_path: Path, predictor: Predictor) -> None:
    import cv2

    for rule in ("auto", "0-1"):
        with pytest.raises(SourceError, match="no times"):
            predictor.predict(pictures(20, 20), baseline=rule)
    (tmp_path / "in").mkdir()
    for k in range(3):
        cv2.imwrite(str(tmp_path / "in" / f"{k}.png"), pictures(20)[0])
    read = []
    with pytest.raises(SourceError, match="no times"):  # at the first row, not at the end
        job = Job(str(tmp_path / "in"), tmp_path / "out.csv")
        run_job(
            predictor,
            job,
            outputs=OutputOptions(baseline="auto"),
            watch=lambda results, _: (read.append(r) or r for r in results),
        )
    assert len(read) == 1 and not (tmp_path / "out.csv").exists()


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with_to_the_same_table(
    clip: Path, tmp_path: Path, tiny_temporal: Path, run_cli: Run
) -> None:
    options = ("--model", str(tiny_temporal), "--smooth", "0.2", "--device", "cpu", "--baseline", "1-3")
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert run_cli("predict", clip, "-o", whole, "-q", *options)[0] == 0
    assert killed(clip, out, 60_000, *options) and not out.exists()
    assert run_cli("predict", clip, "-o", out, "--resume", *options[:-1], "1-2")[0] == 2
    code, _, err = run_cli("predict", clip, "-o", out, "--resume", *options)
    assert code == 0 and "resumed at frame" in err
    assert out.read_bytes() == whole.read_bytes()
    metas = [json.loads(path.with_name(path.name + ".meta.json").read_text()) for path in (out, whole)]
    assert metas[0]["baseline"] == metas[1]["baseline"] and metas[0]["baseline"]["faces"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_interrupted_run_is_gone_on_with(
    suffix: str, tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C among the frames, and while the table is made of the rows."""
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0)
    source = write_clip(tmp_path / "c.mp4", list(pictures(*[20] * 100, *[80] * 100)))
    whole, job = Job(str(source), tmp_path / f"whole{suffix}"), Job(str(source), tmp_path / f"out{suffix}")
    run_job(predictor, whole, outputs=OutputOptions(baseline="0-1"))
    add, correct, calls = jobs.Counts.add, Corrector.correct, 0

    def interrupt_frames(self: jobs.Counts, result: Any) -> None:
        add(self, result)
        if self.read == 150:
            raise KeyboardInterrupt

    def interrupt_table(self: Corrector, row: Any, neutral: Neutral) -> None:
        nonlocal calls
        calls += 1
        if calls == 50:
            raise KeyboardInterrupt
        correct(self, row, neutral)

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Counts, "add", interrupt_frames)
        with pytest.raises(jobs.Interrupted):
            run_job(predictor, job, outputs=OutputOptions(baseline="0-1"))
    with monkeypatch.context() as patch:
        patch.setattr(Corrector, "correct", interrupt_table)
        with pytest.raises(KeyboardInterrupt):
            run_job(predictor, job, outputs=OutputOptions(baseline="0-1", resume=True))
    assert not job.table.exists() and job.note.exists()
    assert run_job(predictor, job, outputs=OutputOptions(baseline="0-1", resume=True)).resumed_at is not None
    assert rows_of(job.table) == rows_of(whole.table)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_several_at_once_are_the_same_as_one_by_one(astronaut: Path, tmp_path: Path, tiny: Path, run_cli: Run) -> None:
    inputs = []
    for name in ("a", "b"):
        inputs.append(tmp_path / f"{name}.mp4")
        inputs[-1].symlink_to(astronaut)
    for folder, more in (("one", ()), ("two", ("-j", "2"))):
        (tmp_path / folder).mkdir()
        options = ("--model", tiny, "--baseline", "0-1", "-q", "--end", "2")
        assert run_cli("predict", *inputs, "-o", tmp_path / folder, *options, *more)[0] == 0
    for name in ("a.csv", "b.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert {row["baseline"] for row in rows_of(tmp_path / "two" / "b.csv")} == {"1"}


def test_on_a_full_disk_nothing_is_left(tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    from affectkit.baseline import corrected

    def full(self: object, rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corrected._Csv, "_write_table", full)
    source = write_clip(tmp_path / "c.mp4", list(pictures(*[20] * 10)), fps=10)
    with pytest.raises(OutputError, match="disk is full"):
        run_job(predictor, Job(str(source), tmp_path / "c.csv"), outputs=OutputOptions(baseline="0-1"))
    assert not (tmp_path / "c.csv").exists() and not [p for p in tmp_path.iterdir() if "partial" in p.name]
