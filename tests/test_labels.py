"""Models that answer other labels than the shipped ones: through every output, and no column for what a model lacks."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from make_tiny_model import EXPRESSIONS_ONLY, SHIPPED, TWELVE, expected, expected_sequence, write, write_temporal
from synthetic import edit_spec, write_clip

from affectkit import benchmark, models
from affectkit.engines import FakeEngine
from affectkit.errors import EngineError, ModelError
from affectkit.export.triton import write_triton
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.outputs.drawing import VALENCE
from affectkit.outputs.layouts import Layout, layout
from affectkit.outputs.lettering import LEAST_PX, text_width
from affectkit.outputs.overlay import Overlay
from affectkit.outputs.panels import plan_panel
from affectkit.outputs.table import table_of
from affectkit.outputs.writers import open_table
from affectkit.predictor import Predictor
from affectkit.readout import sigmoid, softmax
from affectkit.runs import run as jobs
from affectkit.spec import ModelSpec
from affectkit.types import AU_TITLES, EXPRESSION_NAMES, LabelSet

Run = Callable[..., tuple[int, str, str]]

UNITS_ONLY = LabelSet((), ("AU01", "AU05", "AU09", "AU17"), valence_arousal=False)
VA_ONLY = LabelSet((), ())
SETS = {"labels": TWELVE, "expressions": EXPRESSIONS_ONLY, "units": UNITS_ONLY, "va": VA_ONLY}
BOX = ["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model and its temporal relative of each set of labels."""
    root = tmp_path_factory.mktemp("models")
    for name, labels in SETS.items():
        write(root / name, 1, labels)
        write_temporal(root / f"{name}-temporal", root / name, labels)
    return {name: root / name for name in SETS}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, astronaut: Path) -> Path:
    """40 frames: the astronaut, and a second of black without a face."""
    import av

    with av.open(str(astronaut)) as container:
        frames = [
            frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(15), strict=False)
        ]
    return write_clip(tmp_path_factory.mktemp("clip") / "short.mp4", [*frames, *[np.zeros_like(frames[0])] * 25])


def columns(table_format: str, labels: LabelSet) -> list[str]:
    """What a table of such a model has, written down apart from the code."""
    units, expressions = list(labels.action_units), list(labels.expressions)
    va = ["valence", "arousal"] if labels.valence_arousal else []
    if table_format == "native":
        head = ["input", "frame", "face_id", "timestamp", "confidence", "success", *BOX]
        return [*head, *units, *(f"{u}_c" for u in units), *expressions, *(["expression"] if expressions else []), *va]
    if table_format == "openface":
        return [
            "frame",
            "face_id",
            "timestamp",
            "confidence",
            "success",
            *(f"{'AU45' if u == 'AU43' else u}_c" for u in units),
        ]
    if table_format == "paper":
        return ["frames_ids", *(f"AU{int(u[2:])}" for u in units), *(["EXPR"] if expressions else []), *va]
    emotions = ["Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger"] if expressions else []
    emotions += ["Other"] if "other" in expressions else []
    return ["input", "frame", "approx_time", "timestamp", "Identity", *BOX, "FaceScore", *units, *emotions, *va]


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a table of any kind, an absent value as None."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def faces_of(labels: LabelSet, *, members: int = 1) -> Affect:
    """An answer of a model with these labels, another value for each."""
    weights = np.arange(1, len(labels.expressions) + 1)
    units = np.linspace(0.05, 0.95, len(labels.action_units)).astype(np.float32)
    va = (0.25, -0.5) if labels.valence_arousal else (math.nan, math.nan)
    std = None if members == 1 else (units / 10).astype(np.float32)
    return Affect((weights / max(1, weights.sum())).astype(np.float32), units, units >= 0.5, *va, std, labels=labels)


def result(index: int, *affects: Affect, size: tuple[int, int] = (360, 640)) -> FrameResult:
    points = np.array([[40, 50], [70, 50], [55, 65], [42, 80], [68, 80]], np.float32)
    faces = tuple(Face(k, (20.0 + 90 * k, 20, 80, 90), 0.9, points, affect) for k, affect in enumerate(affects))
    return FrameResult(index, index / 25, faces, "clip.mp4", np.full((*size, 3), 60, np.uint8))


# The label set and the spec


@pytest.mark.parametrize("name", SETS)
def test_a_spec_of_any_labels_goes_through_json(name: str, folders: dict[str, Path]) -> None:
    spec, labels = models.read_spec(folders[name]), SETS[name]
    assert spec.labels == labels and ModelSpec.from_json(spec.to_json()) == spec
    assert spec.tasks == tuple(
        task
        for task, there in zip(
            ("expression", "au", "va"),
            (labels.expressions, labels.action_units, labels.valence_arousal),
            strict=True,
        )
        if there
    )
    assert spec.task_widths.get("au", 0) == len(labels.action_units) == len(spec.label_thresholds)
    document = json.loads(spec.to_json())
    assert (document["tasks"]["va"] is None) is not labels.valence_arousal


def test_a_task_may_be_null(tiny: Path) -> None:
    document = json.loads((tiny / "model.json").read_text())
    document.pop("digest")
    document["tasks"] |= {"expression": None, "au": None}
    spec = ModelSpec.from_json(json.dumps(document))
    assert spec.labels == VA_ONLY and spec.tasks == ("va",) and spec.au_thresholds == ()
    del document["tasks"]["au"]
    with pytest.raises(ModelError, match="'au' is missing"):
        ModelSpec.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("au", ["AU01", "AU1"], "model 'tiny-labels'.*'AU1' is no name of an action unit; it should look like 'AU12'"),
        ("au", ["AU01", "AU001"], "'AU001' is no name"),
        ("au", "AU01", "list of names, got 'AU01'"),
        ("au", ["AU01", 2], "list of names"),
        ("expression", ["neutral", "Happy"], "'Happy' is no name of an expression.*small letters"),
        ("expression", ["neutral", "neutral"], "an expression is named twice: neutral, neutral"),
        ("expression", ["neutral"], "one expression alone"),
        ("expression", ["neutral", "frame"], "cannot be called 'frame': tables have another column"),
    ],
)
def test_impossible_labels_are_refused(tiny_labels: Path, task: str, labels: Any, message: str) -> None:
    document = json.loads((tiny_labels / "model.json").read_text())
    document.pop("digest")
    document["tasks"][task]["labels"] = labels
    document["tasks"]["au"]["thresholds"] = [0.5] * len(document["tasks"]["au"]["labels"])
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(document))


def test_no_labels_at_all(tiny: Path) -> None:
    spec = models.read_spec(tiny)
    with pytest.raises(ModelError, match="needs expressions, action units, or valence and arousal"):
        dataclasses.replace(spec, expression_labels=(), au_labels=(), au_thresholds=(), valence_arousal=False)


def test_an_affect_holds_what_its_labels_say() -> None:
    affect = faces_of(TWELVE)
    assert list(affect.action_units) == list(TWELVE.action_units) and affect.expression == "other"
    assert list(affect.expressions) == [*EXPRESSION_NAMES, "other"]
    flat = dataclasses.replace(affect, expression_probabilities=np.full(8, 1 / 8, np.float32))
    assert flat.expression_entropy == pytest.approx(math.log(8))
    nothing = faces_of(UNITS_ONLY)
    assert nothing.expression == "" and nothing.expressions == {} and math.isnan(nothing.expression_entropy)
    assert math.isnan(nothing.valence)
    with pytest.raises(ValueError, match=r"should be \(8,\).*\(12,\) as its labels say; got \(7,\), \(8,\), \(8,\)"):
        Affect(np.zeros(7, np.float32), np.zeros(8, np.float32), np.zeros(8, bool), 0.0, 0.0, labels=TWELVE)


# What the networks answer


def test_each_value_stands_under_its_name(tiny_labels: Path, tmp_path: Path) -> None:
    """Also where the model lists its labels in an order of its own."""
    crops = np.stack([np.full((16, 16, 1), value, np.uint8) for value in (30, 200)])
    logits = expected(crops, 2, TWELVE)
    want_units = sigmoid(logits["au"]).mean(0)
    want_expressions = softmax(logits["expression"]).mean(0)
    write(tmp_path / "turned", 2, TWELVE)
    turned = LabelSet(TWELVE.expressions[::-1], TWELVE.action_units[::-1])

    def turn(document: dict[str, Any]) -> None:
        document["tasks"]["expression"]["labels"] = list(turned.expressions)
        document["tasks"]["au"] |= {"labels": list(turned.action_units), "thresholds": np.linspace(0, 1, 12).tolist()}

    edit_spec(tmp_path / "turned", turn)
    for folder, own in ((tiny_labels, TWELVE), (tmp_path / "turned", turned)):
        with Predictor(folder, device="cpu") as predictor:
            affects = predictor.predict_aligned(crops)
            thresholds = dict(zip(own.action_units, predictor.spec.au_thresholds, strict=True))
        for k, affect in enumerate(affects):
            assert affect.labels == TWELVE
            for name, value in zip(own.action_units, want_units[k], strict=True):
                assert affect.action_units[name] == pytest.approx(value, abs=1e-5)
                place = TWELVE.action_units.index(name)
                assert affect.au_active[place] == (affect.au_probabilities[place] >= thresholds[name])
            for name, value in zip(own.expressions, want_expressions[k], strict=True):
                assert affect.expressions[name] == pytest.approx(value, abs=1e-5)
            assert affect.au_std is not None and affect.au_std.shape == (12,)


def test_what_a_network_answers_beyond_its_spec_is_refused(tiny: Path, tiny_expressions: Path) -> None:
    everything = FakeEngine.of(models.read_spec(tiny))
    crop = np.zeros((1, 16, 16, 1), np.uint8)
    with pytest.raises(EngineError, match=r"output 'au' should be None, got \(1, 1, 8\)"):
        Predictor(tiny_expressions, engine=everything).predict_aligned(crop)
    with pytest.raises(EngineError, match=r"output 'au' should be \(1, 1, 8\), got None"):
        Predictor(tiny, engine=FakeEngine.of(models.read_spec(tiny_expressions))).predict_aligned(crop)


def test_a_fake_engine_of_any_labels(tiny_labels: Path, tiny_expressions: Path) -> None:
    crops = np.zeros((3, 16, 16, 1), np.uint8)
    engine = FakeEngine.of(models.read_spec(tiny_labels), {"other": 5.0, "AU26": 4.0, "AU10": -4.0})
    affect = Predictor(tiny_labels, engine=engine).predict_aligned(crops)[2]
    assert affect.expression == "other" and affect.valence == pytest.approx(0)
    assert affect.action_units["AU26"] > 0.9 and affect.action_units["AU10"] < 0.1
    assert affect.action_units["AU07"] == 0.5
    only = FakeEngine.of(models.read_spec(tiny_expressions), {"fear": 3.0})
    assert Predictor(tiny_expressions, engine=only).predict_aligned(crops)[0].expression == "fear"
    with pytest.raises(ValueError, match="no label 'AU12'; it has neutral"):
        FakeEngine.of(models.read_spec(tiny_expressions), {"AU12": 1.0})


@pytest.mark.parametrize("name", SETS)
def test_sequences(name: str, folders: dict[str, Path]) -> None:
    labels = SETS[name]
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (5, 16, 16, 1), dtype=np.uint8)
    with Predictor(folders[name], temporal=True, device="cpu") as predictor:
        affects, logits = predictor.predict_sequence(crops, return_logits=True)
    features = expected(crops, 1, labels)["features"][:, None]  # (1, 1, 5, K, F)
    want = expected_sequence(features, labels)
    assert logits.keys() == want.keys() and len(affects) == 5 and affects[0].labels == labels
    for task, values in logits.items():
        assert values == pytest.approx(want[task][:, 0], abs=1e-4)


# Tables


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("table_format", ["native", "openface", "pyfeat", "paper"])
@pytest.mark.parametrize("name", SETS)
def test_an_absent_label_is_an_absent_column(name: str, table_format: Any, suffix: str, tmp_path: Path) -> None:
    labels = SETS[name]
    affect = faces_of(labels)
    path = tmp_path / f"t{suffix}"
    with open_table(path, layout(table_format, labels=labels)) as sink:
        sink.write(result(0))  # the columns are known before there is a face
        sink.write(result(1, affect, affect))
    rows = read(path)
    assert len(rows) == 3 and list(rows[2]) == columns(table_format, labels)
    values = rows[2]
    decided = {"native": "AU{:02d}_c", "openface": "AU{:02d}_c", "paper": "AU{:d}"}
    likely = {"native": "AU{:02d}", "pyfeat": "AU{:02d}"}
    for unit, probability in affect.action_units.items():
        number = int(unit[2:])
        if table_format in likely:
            assert float(values[likely[table_format].format(number)]) == pytest.approx(probability, abs=1e-5)
        if table_format in decided:
            number = 45 if (table_format, number) == ("openface", 43) else number
            assert int(values[decided[table_format].format(number)]) == int(probability >= 0.5)
    for expression, probability in affect.expressions.items():
        shown = {"happiness": "Happy", "sadness": "Sad"}.get(expression, expression.capitalize())
        for column in {expression, shown} & values.keys():
            assert float(values[column]) == pytest.approx(probability, abs=1e-5)
    if table_format == "paper" and labels.expressions:
        assert int(values["EXPR"]) == labels.expressions.index(affect.expression)
    if labels.valence_arousal and table_format != "openface":
        assert (float(values["valence"]), float(values["arousal"])) == (0.25, -0.5)
    assert all(rows[0][column] is None for column in {*labels.action_units, "valence", "Happy"} & rows[0].keys())


@pytest.mark.parametrize("name", SETS)
def test_uncertainty_of_what_there_is(name: str) -> None:
    labels = SETS[name]
    added = layout(uncertainty=True, labels=labels).columns[len(layout(labels=labels).columns) :]
    va = ["valence_std", "arousal_std"] if labels.valence_arousal else []
    entropy = ["expression_entropy"] if labels.expressions else []
    assert list(added) == [*(f"{unit}_std" for unit in labels.action_units), *entropy, *va]
    (row,) = layout(uncertainty=True, labels=labels).rows(result(0, faces_of(labels, members=2)))
    assert len(row) == len(layout(uncertainty=True, labels=labels).columns)


def test_a_table_in_memory_takes_the_labels_of_its_first_face() -> None:
    table = table_of([result(0), result(1, faces_of(UNITS_ONLY)), result(2)])
    assert list(table.columns) == columns("native", UNITS_ONLY) and len(table) == 3
    assert math.isnan(table["AU17"][0]) and table["AU17"][1] == pytest.approx(0.95)
    assert list(table_of([result(0)]).columns) == columns("native", SHIPPED)


def test_results_of_two_models_do_not_mix() -> None:
    table: Layout = layout(labels=TWELVE)
    with pytest.raises(ValueError, match=r"AU01, AU05, AU09, AU17 does not fit into a table for neutral.*of its own"):
        table.rows(result(0, faces_of(UNITS_ONLY)))


# The command line, from the video to every output


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_predict_with_all_of_its_outputs(
    name: str, folders: dict[str, Path], clip: Path, tmp_path: Path, run_cli: Run
) -> None:
    labels = SETS[name]
    outputs = ("-o", tmp_path / "t.jsonl", "--render", tmp_path / "v.mp4", "--contact-sheet", tmp_path / "s.png")
    code, _, err = run_cli(
        "predict", clip, "--model", folders[name], "--smooth", "0.2", "--uncertainty", "--device", "cpu", *outputs
    )
    assert code == 0, err
    rows = read(tmp_path / "t.jsonl")
    assert list(rows[0]) == list(layout(uncertainty=True, labels=labels).columns) and len(rows) == 40
    assert rows[0]["success"] == 1 and rows[39]["success"] == 0
    assert (tmp_path / "v.mp4").stat().st_size > 1000 and (tmp_path / "s.png").stat().st_size > 1000
    meta = json.loads((tmp_path / "t.jsonl.meta.json").read_text())
    assert meta["labels"] == json.loads(json.dumps(dataclasses.asdict(labels)))
    assert list(meta["au_thresholds"]) == list(labels.action_units)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labels", "expressions"])
def test_over_time_and_smoothed_a_run_is_gone_on_with(
    name: str,
    folders: dict[str, Path],
    astronaut: Path,
    tmp_path: Path,
    run_cli: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0)
    options = ("--model", folders[name], "--temporal", "--smooth", "0.2", "-q", "--device", "cpu")
    out, add = tmp_path / "out.csv", jobs.Counts.add

    def interrupt(self: jobs.Counts, result: FrameResult) -> None:
        add(self, result)
        if self.read == 60:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Counts, "add", interrupt)
        assert run_cli("predict", astronaut, "-o", out, *options)[0] == 130
    assert (tmp_path / ".out.csv.resume").exists()
    assert run_cli("predict", astronaut, "-o", out, "--resume", *options)[0] == 0
    assert run_cli("predict", astronaut, "-o", tmp_path / "whole.csv", *options)[0] == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert list(read(out)[0]) == columns("native", SETS[name])


@pytest.mark.slow
def test_a_run_is_not_gone_on_with_under_other_labels(
    astronaut: Path, tmp_path: Path, run_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names stand in model.json alone, whose checksum no file has."""
    monkeypatch.setattr(jobs, "CHECKPOINT_S", 0)
    write(tmp_path / "m", 1, UNITS_ONLY)
    add = jobs.Counts.add

    def interrupt(self: jobs.Counts, result: FrameResult) -> None:
        add(self, result)
        if self.read == 60:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jobs.Counts, "add", interrupt)
        assert run_cli("predict", astronaut, "-o", tmp_path / "o.csv", "-q", "--model", tmp_path / "m")[0] == 130
    labels = ["AU01", "AU05", "AU09", "AU26"]
    edit_spec(tmp_path / "m", lambda document: document["tasks"]["au"].update(labels=labels))
    code, _, err = run_cli("predict", astronaut, "-o", tmp_path / "o.csv", "--resume", "--model", tmp_path / "m")
    assert code == 2 and "another labels" in err and "AU26" in err


@pytest.mark.slow
def test_live_prints_what_there_is(folders: dict[str, Path], clip: Path, run_cli: Run) -> None:
    code, out, err = run_cli("live", clip, "--no-window", "--model", folders["units"], "--smooth", "0.2")
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert list(rows[0]) == [*columns("native", UNITS_ONLY), "lookahead", "dropped"]


def test_models_show_and_verify(tiny_labels: Path, tiny_expressions: Path, run_cli: Run) -> None:
    code, out, _ = run_cli("models", "show", tiny_labels)
    assert code == 0 and "surprise, other\n" in out and "AU26 0.50" in out and "lacks" not in out
    code, out, _ = run_cli("models", "show", tiny_expressions)
    assert code == 0 and "lacks       action units, valence and arousal" in out and "thresholds" not in out
    for folder, outputs in ((tiny_labels, 4), (tiny_expressions, 2)):
        code, out, err = run_cli("verify", folder, "--device", "cpu")
        assert code == 0, err
        *table, verdict = out.splitlines()
        assert len(table) == 1 + outputs and "passed" in verdict


@pytest.mark.slow
def test_the_benchmark_writes_such_tables(tiny_expressions: Path, clip: Path, tmp_path: Path) -> None:
    with Predictor(tiny_expressions, device="cpu") as predictor:
        frames, _ = benchmark.to_table(predictor, str(clip), tmp_path, render=True)
    assert frames == 40 and list(read(tmp_path / "table.csv")[0]) == columns("native", EXPRESSIONS_ONLY)


# The overlay

MANY = [
    SHIPPED,
    TWELVE,
    *SETS.values(),
    LabelSet.of((*EXPRESSION_NAMES, "contempt"), list(AU_TITLES)[:20]),
    LabelSet.of((*EXPRESSION_NAMES, "contempt", "confusion", "other"), [*AU_TITLES, "AU99"]),
    LabelSet(("neutral", "pain"), ()),
]


SIZES = [(446, 665, 13), (446, 332, 13), (446, 133, 13), (446, 111, 13), (670, 998, 20), (670, 199, 20), (352, 306, 12)]
"""Width, height and type of panels: of one, two, five and six faces at 720p, one and five at 1080p, a low picture."""


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("labels", MANY, ids=lambda labels: f"{len(labels.action_units)}-{len(labels.expressions)}")
def test_every_label_has_a_place_of_its_own(size: tuple[int, int, int], labels: LabelSet) -> None:
    """Or, where there is no room for all, the strongest have: three at least."""
    plan = plan_panel(labels, *size)
    for bars, names in ((plan.units, labels.action_units), (plan.expressions, labels.expressions)):
        assert min(3, len(names)) <= len(bars) <= len(names)
    rows = (*plan.units, *plan.expressions)
    cells = [(bar.name_x, bar.y, bar.right, bar.y + bar.height) for bar in rows]
    if plan.chart is not None:
        left, top, width, height = plan.chart
        cells.append((left, min(base for _, base in plan.captions) - plan.text, left + width, top + height + plan.text))
    assert (plan.chart is not None) is labels.valence_arousal
    for k, (left, top, right, bottom) in enumerate(cells):
        assert left >= 0 and right <= plan.width and top >= plan.head_base and bottom <= plan.height
        for other in cells[:k]:
            apart = left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
            assert apart, (cells[k], other)
    assert all(bar.text >= LEAST_PX and bar.height >= bar.text and bar.bar_width >= bar.text for bar in rows)
    for bar in plan.units:  # its name ends where the bar or the title begins
        assert bar.name_x + text_width("AU99", bar.text) <= (bar.title_x or bar.bar_x)


def test_the_shipped_labels_are_all_shown_of_one_and_two_faces() -> None:
    for labels in (SHIPPED, LabelSet.of(EXPRESSION_NAMES, list(AU_TITLES)[:19])):
        for size in SIZES[:2]:
            plan = plan_panel(labels, *size)
            assert len(plan.units) == len(labels.action_units) and len(plan.expressions) == 7
        assert all(bar.title_x is not None for bar in plan_panel(labels, *SIZES[0]).units)
    assert len(plan_panel(labels, *SIZES[3]).units) == 3


@pytest.mark.slow
@pytest.mark.parametrize("faces", [1, 2, 3, 8])
@pytest.mark.parametrize("labels", MANY, ids=lambda labels: f"{len(labels.action_units)}-{len(labels.expressions)}")
def test_drawing(labels: LabelSet, faces: int, folders: dict[str, Path]) -> None:
    spec = dataclasses.replace(
        models.read_spec(folders["va"]),
        expression_labels=labels.expressions,
        au_labels=labels.action_units,
        au_thresholds=(0.5,) * len(labels.action_units),
        valence_arousal=labels.valence_arousal,
    )
    picture = Overlay(spec).draw(result(0, *[faces_of(labels)] * faces))
    assert bool((picture == VALENCE).all(-1).any()) is labels.valence_arousal


# Exports


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", SETS)
def test_exports(name: str, folders: dict[str, Path], tmp_path: Path, run_cli: Run) -> None:
    labels = SETS[name]
    code, out, err = run_cli("export", f"{folders[name]}-temporal", "-o", tmp_path / "half", "--precision", "fp16")
    assert code == 0, err
    for words, there in (
        ("of the expressions", labels.expressions),
        ("of the AU decisions", labels.action_units),
        ("valence and arousal differ", labels.valence_arousal),
    ):
        assert (words in out) is bool(there)
    spec = models.load(tmp_path / "half").spec
    assert spec.labels == labels and spec.precision == "fp16"
    agreement = json.loads((tmp_path / "half" / "parity.json").read_text())["golden_agreement"]
    assert (agreement["au"] is None) is not bool(labels.action_units)

    write_triton(models.load(f"{folders[name]}-temporal"), tmp_path / "r")
    for part, last in ((f"{name}_temporal", []), (f"{name}_temporal_temporal", None)):
        folder = tmp_path / "r" / part
        graph = onnx.load(folder / "1" / "model.onnx").graph
        wanted = [*spec.tasks, *(["features"] if last is not None else [])]
        assert [value.name for value in graph.output] == wanted
        text = (folder / "config.pbtxt").read_text()
        assert [task for task in ("expression", "au", "va", "features") if f'name: "{task}"' in text] == [
            *spec.tasks,
            "features",
        ]
        files = {path.name for path in folder.glob("*.txt")}
        assert files == {f"{task}.txt" for task in spec.tasks if task != "va"}
    card = (tmp_path / "r" / "README.md").read_text()
    assert ("`au`" in card) is bool(labels.action_units) and f"`features` (1, {len(spec.tasks)}, 4)" in card


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labels", "expressions"])
def test_networks_of_torch_are_exported_with_the_outputs_they_have(name: str, tmp_path: Path) -> None:
    import torch
    from patterns import SMALL

    from affectkit.export.to_onnx import write_model_folder
    from affectkit.export.verify import problems, verify
    from affectkit.spec import InputSpec, TemporalSpec
    from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNN, TemporalHeads

    torch.manual_seed(0)
    labels = SETS[name]
    spec = ModelSpec(
        name=name,
        version="1",
        licence="MIT",
        trained_on=("nothing",),
        input=InputSpec(16, 1, "tight"),
        au_thresholds=(0.5,) * len(labels.action_units),
        au_thresholds_from="made up",
        members=1,
        feature_width=FEATURE_WIDTH,
        expression_labels=labels.expressions,
        au_labels=labels.action_units,
        valence_arousal=labels.valence_arousal,
        temporal=TemporalSpec(8, FEATURE_WIDTH, "bidirectional"),
    )
    config = dataclasses.replace(SMALL, labels=labels)
    members, heads = [MultitaskCNN(config)], [TemporalHeads(labels)]
    write_model_folder(members, spec, tmp_path / name, card="x", temporal=heads, half=name == "labels")
    folder = models.load(tmp_path / name)
    parity = verify(folder, device="cpu")
    assert problems(parity, "fp32") == []
    assert [one.name for one in parity] == [*spec.tasks, "features", *(f"sequence_{task}" for task in spec.tasks)]
    with Predictor(tmp_path / name, device="cpu") as predictor:
        affects = predictor.predict_sequence(np.zeros((3, 16, 16, 1), np.uint8))
    assert affects[0].labels == labels
    with pytest.raises(EngineError, match="output '"):
        other = [MultitaskCNN(dataclasses.replace(SMALL, labels=LabelSet((), ("AU26", "AU27"))))]
        write_model_folder(other, dataclasses.replace(spec, temporal=None), tmp_path / "other", card="x")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("labels", [TWELVE, EXPRESSIONS_ONLY], ids=["labels", "expressions"])
def test_a_network_is_trained_exported_and_run(labels: LabelSet, clip: Path, tmp_path: Path, run_cli: Run) -> None:
    """Bright upper half: the first expression and action unit; bright lower half: the last ones."""
    from patterns import SMALL, config, faces_with_a_pattern

    from affectkit.train.evaluate import ask
    from affectkit.train.loop import train

    def relabelled(count: int, seed: int) -> Any:
        faces = faces_with_a_pattern(count, seed)
        up = faces.expression == 4
        index = np.where(up, 0, len(labels.expressions) - 1)
        au = np.zeros((count, len(labels.action_units)), np.float32)
        if labels.action_units:
            au[up, 0], au[~up, -1] = 1, 1
        va = faces.va if labels.valence_arousal else np.full_like(faces.va, np.nan)
        target = np.eye(len(labels.expressions), dtype=np.float32)[index]
        return dataclasses.replace(
            faces, expression=index.astype(np.float32), expression_target=target, au=au, va=va, label_set=labels
        )

    network = dataclasses.replace(SMALL, labels=labels)
    held_out = relabelled(40, 2)
    train(config(epochs=6, network=network), relabelled(200, 0), relabelled(60, 1), tmp_path / "run")
    code, _, err = run_cli("export", tmp_path / "run", "-o", tmp_path / "model")
    assert code == 0, err
    spec = models.load(tmp_path / "model").spec
    assert spec.labels == labels
    with Predictor(tmp_path / "model", device="cpu") as predictor:
        affects, logits = predictor.predict_aligned(
            np.stack([held_out.image(k)[..., None] for k in range(len(held_out))]), return_logits=True
        )
    through_torch = ask(tmp_path / "run", held_out).logits
    for task in spec.tasks:
        assert logits[task] == pytest.approx(through_torch[task], abs=1e-4)
    said = [affect.expression for affect in affects]
    assert (
        np.mean([name == labels.expressions[int(k)] for name, k in zip(said, held_out.expression, strict=True)]) > 0.9
    )
    if labels.action_units:
        decided = np.stack([affect.au_probabilities > 0.5 for affect in affects])
        assert (decided[:, [0, -1]] == held_out.au[:, [0, -1]]).mean() > 0.9 and not decided[:, 1:-1].any()
    outputs = ("-o", tmp_path / "t.csv", "--render", tmp_path / "v.mp4", "--device", "cpu")
    code, _, err = run_cli("predict", clip, "--model", tmp_path / "model", *outputs)
    assert code == 0, err
    assert list(read(tmp_path / "t.csv")[0]) == columns("native", labels)
