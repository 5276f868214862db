"""Tables in memory: read back, saved, filtered, merged, summed up, plotted."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import affectkit
from affectkit import Predictor, Table, read_table
from affectkit.errors import OutputError, SourceError, UnknownSuffix

THRESHOLDS = {"AU12": 0.5, "AU25": 0.4}


def made(rows: list[tuple[int, int, float, float]], *, fps: float = 10.0, name: str = "clip.mp4", **more: Any) -> Table:
    """A table of rows (frame, face, AU12, confidence); valence is AU12 - .5, quality the confidence."""
    frame, face, smile, sure = (np.array(column) for column in zip(*rows, strict=True))
    smile, none = smile.astype(float), face < 0
    blank = np.where(none, np.nan, 1.0)
    smile = smile * blank
    hidden = np.isnan(smile)
    columns = {
        "input": np.array([name] * len(rows), dtype=object),
        "frame": frame.astype(np.int64),
        "face_id": face.astype(np.int64),
        "timestamp": frame / fps,
        "confidence": sure * blank,
        "success": (~none).astype(np.int64),
        **{f"FaceRect{side}": 10.0 * blank for side in ("X", "Y", "Width", "Height")},
        "quality": sure * blank,
        "AU12": smile,
        "AU25": smile / 2,
        "AU12_c": np.where(hidden, np.nan, smile >= 0.5),
        "AU25_c": np.where(hidden, np.nan, smile / 2 >= 0.4),
        "neutral": 1 - smile,
        "happiness": smile,
        "expression": np.array(
            [None if h else "happiness" if s > 0.5 else "neutral" for h, s in zip(hidden, smile, strict=True)],
            dtype=object,
        ),
        "valence": smile - 0.5,
        "arousal": 0.0 * smile,
    }
    return Table(columns, {"input": name, "au_thresholds": THRESHOLDS, **more})


@pytest.fixture(scope="module")
def two() -> Table:
    """Ten frames of face 0, who smiles in 2..4 and 7; face 1, unsure, in 3 and 4; nothing in frame 9."""
    smiles = [0.0, 0.1, 0.9, 0.8, 0.7, 0.2, 0.0, 0.6, math.nan]
    rows = [(k, 0, smile, 0.9) for k, smile in enumerate(smiles)]
    rows += [(3, 1, 0.0, 0.4), (4, 1, 0.0, 0.4), (9, -1, 0.0, 0.0)]
    return made(sorted(rows))


@pytest.fixture(scope="module")
def predicted(astronaut: Path) -> Table:
    with Predictor() as predictor:
        return predictor.predict(astronaut)


def test_a_table_knows_how_it_was_made(predicted: Table, astronaut: Path) -> None:
    assert predicted.meta["input"] == str(astronaut) and predicted.meta["frames"]["in_table"] == 100
    assert predicted.meta["faces"] == 1 and predicted.meta["complete"] is True
    assert set(predicted.meta["au_thresholds"]) == set(predicted.meta["labels"]["action_units"])
    json.dumps(predicted.meta, allow_nan=False)
    assert (
        repr(predicted)
        == f"<Table {astronaut}: 100 frames, 1 face; 19 action units, 7 expressions, valence and arousal>"
    )


def test_python_and_command_line_write_the_same_meta_data(
    predicted: Table, astronaut: Path, tmp_path: Path, run_cli: Any
) -> None:
    assert run_cli("predict", astronaut, "-o", tmp_path / "t.csv", "-q")[0] == 0
    written = read_table(tmp_path / "t.csv")
    for name, value in predicted.meta.items():
        if name != "options":
            assert written.meta[name] == value, name
    assert predicted.meta["options"].items() <= written.meta["options"].items()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_saved_and_read_back(predicted: Table, tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"t{suffix}"
    predicted.save(path)
    again = read_table(path)
    assert list(again.columns) == list(predicted.columns) and again.meta == predicted.meta
    for name, values in predicted.columns.items():
        assert again[name].dtype == values.dtype, name
        np.testing.assert_array_equal(again[name], values)
    with pytest.raises(OutputError, match="exists already"):
        predicted.save(path)
    again.save(path, overwrite=True)
    assert path.read_bytes() and read_table(path).meta == predicted.meta


@pytest.mark.slow
def test_text_is_what_the_command_line_writes(predicted: Table, two: Table, astronaut: Path, tmp_path: Path) -> None:
    from affectkit.outputs.layouts import layout
    from affectkit.outputs.writers import open_table

    with Predictor() as predictor, open_table(tmp_path / "t.csv", layout(labels=predictor.spec.labels)) as sink:
        for result in predictor.stream(astronaut):
            sink.write(result)
    assert predicted.to_csv() == (tmp_path / "t.csv").read_text()
    line = json.loads((two.to_json() or "").splitlines()[-1])
    assert line["face_id"] == -1 and line["AU12"] is None and line["AU12_c"] is None and line["timestamp"] == 0.9
    assert next(two.records())["AU12_c"] == 0 and isinstance(next(two.records())["AU12_c"], int)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("input,frame,face_id,timestamp,success\n", "no rows"),
        ("frames_ids,AU1,EXPR\n0,1,2\n", "looks like the format paper"),
        ("input,frame,approx_time,AU12\nx,0,0,1\n", "looks like the format pyfeat"),
        ("frame,face_id,timestamp,confidence,success,AU12_c\n1,0,0,1,1,1\n", "looks like the format openface"),
        ("input;frame;face_id;timestamp;success\nx;0;0;0;1\n", "separated by ';'"),
        ("input,frame,face_id,timestamp,success\nx,0,0,0\n", "row 1 has 4 values, and there are 5 columns"),
        ("input,frame,face_id,timestamp,success\nx,0,0,soon,1\n", "row 1, column timestamp: 'soon' is no number"),
        ("input,frame,face_id,timestamp,success\nx,0,0,1e999,1\n", "is no number"),
        ("input,frame,face_id,timestamp,success\nx,0.5,0,0,1\n", "row 1, column frame: 0.5 is no whole number"),
        ("input,frame,face_id,timestamp,success\nx,,0,0,1\n", "column frame: an empty value"),
        ("input,frame,face_id,timestamp,success\nx,0,0,0,1\nx,0,0,0,1\n", "row 2: face 0 is in frame 0 twice"),
        ("input,frame,face_id,timestamp,success\n,0,0,0,1\n", "names no input"),
        ("input,frame,face_id,timestamp,success,AU12\nx,0,0,0,1,12\n", "not within 0..1"),
        ("input,frame,frame,face_id,timestamp,success\nx,0,0,0,0,1\n", "'frame' twice"),
        ('input,frame,face_id,timestamp,success\n"x,0,0,0,1\n', "cannot be read"),
    ],
)
def test_what_is_no_table(tmp_path: Path, run_cli: Any, text: str, told: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"t\.csv") as raised:
        read_table(path)
    assert told in str(raised.value)
    code, out, err = run_cli("summary", path)
    assert code == 1 and out == "" and err.count("\n") == 1 and told in err


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(UnknownSuffix, match="allowed are"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(SourceError, match="No such file"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"input,frame\xff\xfe\n")
    with pytest.raises(SourceError, match="cannot be read"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.jsonl").write_text('{"input": "x", "frame": 0, "face_id": 0, "timestamp": 0, "success": 1}\n[]\n')
    with pytest.raises(SourceError, match="row 2: is no JSON object"):
        read_table(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl").write_text('{"input": "x", "frame": 0, "face_id": 0, "timestamp": 0, "success": 1}\n{}\n')
    with pytest.raises(SourceError, match="row 2: has other names"):
        read_table(tmp_path / "t.jsonl")
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SourceError, match="no Parquet table"):
        read_table(tmp_path / "t.parquet")


def test_meta_files_of_others(tmp_path: Path, two: Table) -> None:
    two.save(tmp_path / "t.csv")
    (tmp_path / "t.csv.meta.json").write_text("[1]")
    with pytest.raises(SourceError, match="is no meta file"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv.meta.json").write_text('{"model": 7, "frames": [], "au_thresholds": "?"}')  # of another version
    odd = read_table(tmp_path / "t.csv")
    assert odd.summary().groups[0].frames == 9 and odd.drop([1]).meta["changed"][0]["faces"] == [["clip.mp4", 1]]
    with pytest.raises(ValueError, match="thresholds of the action units are not known"):
        odd.baseline((0, 1))


def test_summary_with_known_answers(two: Table) -> None:
    first, second = two.summary()
    assert first.key == {"input": "clip.mp4", "face_id": 0}
    assert (first.file_frames, first.frames, first.left_out, first.seconds) == (10, 9, 1, 0.9)
    smile = first.measures["AU12"]
    assert (smile.told, smile.left_out, smile.bouts) == (8, 1, 2)
    assert smile.share == pytest.approx(4 / 8) and smile.mean == pytest.approx(3.3 / 8, abs=1e-6)
    assert smile.bout_s == pytest.approx((0.3 + 0.1) / 2)
    assert first.measures["happiness"].share == pytest.approx(4 / 8) and first.measures["valence"].share is None
    assert (second.frames, second.confidence, second.measures["AU12"].bouts) == (2, 0.4, 0)
    whole = two.summary(by=()).groups[0]
    assert whole.frames == 11 and whole.measures["AU12"].bouts == 2
    wide = two.summary().records(wide=True)
    assert len(wide) == 2 and wide[0]["AU12_bouts"] == 2 and wide[0]["arousal_mean"] == 0
    assert len(two.summary().records()) == 12


def test_bouts_end_at_gaps_only_if_they_are_long() -> None:
    def bouts(*frames: int) -> int | None:
        there = [(k, 0, 0.9, 1.0) if k in frames else (k, -1, 0.0, 0.0) for k in range(20)]
        return made(there).summary().groups[0].measures["AU12"].bouts

    assert bouts(0, 1, 2, 3) == 1
    assert bouts(0, 1, 6, 7) == 1  # .4 s are missing
    assert bouts(0, 1, 12, 13) == 2


def test_inputs_without_faces_and_without_times_are_summed_up() -> None:
    empty = made([(k, -1, 0.0, 0.0) for k in range(3)])
    (group,) = empty.summary()
    assert (group.frames, group.file_frames, group.key["face_id"]) == (0, 3, -1) and not group.measures
    assert "none" in str(empty.summary())
    still = made([(0, 0, 0.9, 1.0)])
    still.columns["timestamp"][:] = np.nan
    (group,) = still.summary()
    assert group.seconds is None and group.measures["AU12"].bouts == 1 and group.measures["AU12"].bout_s is None


def test_summary_by_other_columns(two: Table) -> None:
    condition = np.array(["talk" if frame < 5 else "rest" for frame in two["frame"]], dtype=object)
    table = Table({**two.columns, "condition": condition}, two.meta)
    assert [(g.key["condition"], g.frames) for g in table.summary(by="condition")] == [("rest", 4), ("talk", 7)]
    with pytest.raises(ValueError, match="measured numbers"):
        two.summary(by="AU12")
    with pytest.raises(ValueError, match="no such column"):
        two.summary(by="conditon")


def test_what_should_not_count_is_left_out_and_said(two: Table) -> None:
    sure = two.filter(min_confidence=0.5)
    assert sure["face_id"].tolist() == [0] * 9 + [-1] and sure.meta["changed"] == [
        {"min_confidence": 0.5, "rows": 2, "faces": [["clip.mp4", 1]]}
    ]
    assert two.filter(min_track_s=0.5).to_csv() == sure.to_csv() == two.drop([1]).to_csv()
    none = two.filter(min_track_s=10)
    assert none["frame"].tolist() == list(range(10)) and (none["face_id"] == -1).all() and np.isnan(none["AU12"]).all()
    assert none["success"].sum() == 0 and none.summary().groups[0].file_frames == 10
    clear = two.filter(min_quality=0.5)
    assert len(clear) == len(two) and np.isnan(clear["AU12"][clear["face_id"] == 1]).all()
    assert (clear["quality"][clear["face_id"] == 1] == 0.4).all() and clear["expression"][3 + 1] is None
    for wrong in ({"min_confidence": 2}, {"min_quality": -1}, {"min_track_s": -1}, {"min_quality": math.nan}):
        with pytest.raises(ValueError, match="must be 0"):
            two.filter(**wrong)  # type: ignore[arg-type]


def test_min_quality_is_that_of_predict(predicted: Table, astronaut: Path) -> None:
    least = float(np.median(predicted["quality"]))
    with Predictor(min_quality=least) as predictor:
        table = predictor.predict(astronaut)
    filtered = predicted.filter(min_quality=least)
    same = [a == b for a, b in zip(filtered.to_csv().splitlines(), table.to_csv().splitlines(), strict=True)]  # type: ignore[union-attr]
    assert sum(same) >= len(same) - 2  # the table's quality is rounded


def test_identities_are_merged_and_named() -> None:
    table = made([(0, 0, 0.1, 1.0), (1, 3, 0.2, 1.0), (2, 3, 0.3, 1.0), (2, 4, 0.3, 1.0), (3, 5, 0.3, 1.0)])
    assert table.merge({3: 0}).name({0: "Anna"})["face_name"].tolist() == ["Anna", "Anna", "Anna", None, None]
    assert table.name({0: "Anna"}).merge({3: 0})["face_name"].tolist() == ["Anna", "Anna", "Anna", None, None]
    assert table.merge({5: 3, 3: 0})["face_id"].tolist() == [0, 0, 0, 4, 0]
    named = table.name({4: "Ben"})
    assert list(named.columns)[2:4] == ["face_id", "face_name"]
    assert [group.key["face_name"] for group in named.summary()] == [None, None, "Ben", None]
    for wrong, told in (
        ({3: 4}, "3 and 4 are seen together in 1 frames, first in frame 2"),
        ({3: 3}, "circle"),
        ({9: 3}, "no face 9"),
    ):
        with pytest.raises(ValueError, match=told):
            table.merge(wrong)
    with pytest.raises(ValueError, match="no name"):
        table.name({0: " "})


def test_a_baseline_is_that_of_predict(predicted: Table, astronaut: Path, tmp_path: Path) -> None:
    with Predictor() as predictor:
        wanted = predictor.predict(astronaut, baseline=(0, 1))
    found = predicted.baseline((0, 1))
    assert list(found.columns) == list(wanted.columns)
    for name, values in wanted.columns.items():
        if values.dtype != object:
            assert found[name] == pytest.approx(values, abs=2e-6, nan_ok=True), name
    assert found.meta["baseline"]["faces"]["0"]["frames"] == 25 and found.meta["changed"] == [{"baseline": "0-1"}]
    predicted.save(tmp_path / "neutral.csv")
    assert predicted.baseline(tmp_path / "neutral.csv")["baseline"].tolist() == [1] * 100
    assert "not" not in str(predicted.baseline("auto").meta["baseline"]["rule"])
    with pytest.raises(ValueError, match="baseline already"):
        found.baseline()
    with pytest.raises(ValueError, match="knows no network"):
        predicted.baseline(astronaut)


def test_results_are_json_and_have_short_names(astronaut: Path, tmp_path: Path) -> None:
    with Predictor() as predictor, predictor.stream(astronaut, keep_images=True) as results:
        result = next(results)
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["frame"] == 0 and told["faces"][0]["face_id"] == 0 and told["faces"][0]["expression"] == "happiness"
    assert told["faces"][0]["action_units"]["AU12"] == pytest.approx(
        result.faces[0].affect.action_units["AU12"], abs=1e-6
    )
    assert told["faces"][0] == json.loads(json.dumps(result.faces[0].to_dict()))
    assert repr(result) == "<FrameResult 0 at 0.00 s: face 0 happiness>"
    assert len(repr(result.faces[0])) < 200 and "AU12" in repr(result.faces[0]) and "array" not in repr(result.faces[0])
    result.save(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text()) == told
    with pytest.raises(UnknownSuffix):
        result.save(tmp_path / "r.gif")
    pytest.importorskip("matplotlib")
    result.save(tmp_path / "r.png")
    assert next(iter(affectkit.open_source(tmp_path / "r.png").frames())).image.shape == (825, 1350, 3)
    with pytest.raises(OutputError, match="exists"):
        result.save(tmp_path / "r.png")


def test_plots(two: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = two.plot("AU12", ax=figure.subplots())
    curves = {line.get_label(): line for line in ax.get_lines()}
    assert set(curves) == {"face 0 AU12", "face 1 AU12", "threshold of AU12"}
    x, y = curves["face 1 AU12"].get_xdata(), curves["face 1 AU12"].get_ydata()
    assert x[3] == pytest.approx(0.3) and np.isnan(y[:3]).all() and np.isnan(y[5:]).all()  # broken where it is not seen
    assert ax.get_xlabel() == "time (s)"
    assert len(two.plot(faces=0, ax=figure.add_subplot()).get_lines()) == 2
    with pytest.raises(ValueError, match="no column of numbers 'AU99'"):
        two.plot("AU99", ax=ax)
    with pytest.raises(ValueError, match="no face 7"):
        two.plot("AU12", faces=7, ax=ax)


def test_names_in_letters_that_matplotlib_s_typeface_lacks(two: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are boxes and a warning unless a typeface of the machine is named; matplotlib's STIX stands for one."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    for families, missing in ((("STIXGeneral",), False), (("no such family",), True)):
        monkeypatch.setattr("affectkit.tables.plots._OF_MACHINES", families)
        named = two.name({0: "Zoë", 1: "⌣"})
        named.columns["input"] = np.array(["⌣.mp4"] * len(named), dtype=object)
        ax = named.plot("AU12", ax=figure.subplots())
        assert "⌣ AU12" in ax.get_legend_handles_labels()[1] and ax.get_title(loc="left") == "⌣.mp4"
        with pytest.warns(UserWarning, match="missing from") if missing else contextlib.nullcontext():
            figure.savefig(io.BytesIO(), format="png")
        figure.clear()


def test_html_for_notebooks(predicted: Table, two: Table) -> None:
    html = predicted._repr_html_()
    assert html.count("data:image/jpeg;base64,") == 1 and "<polyline" in html and len(html) < 60_000
    odd = Table({**two.columns, "input": np.array(["<b>.mp4"] * len(two), dtype=object)})
    assert "<b>.mp4" not in odd._repr_html_() and "data:image" not in odd._repr_html_()
    assert two.summary()._repr_html_().count("<tr>") == 3


def test_progress_is_told(astronaut: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with Predictor() as predictor:
        predictor.predict(astronaut, every=20, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 100), (21, 100), (41, 100), (61, 100), (81, 100), (100, 100)]


def test_bouts_for_elan_are_opened_again(two: Table, tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi.Elan")
    two.name({0: "Anna"}).export(tmp_path / "t.eaf")
    found = elan.Eaf(str(tmp_path / "t.eaf"))
    assert set(found.get_tier_names()) == {"Anna expression", "Anna AU12", "Anna AU25", "face 1 expression"}
    assert found.get_annotation_data_for_tier("Anna AU12") == [(200, 500, "AU12"), (700, 800, "AU12")]
    told = found.get_annotation_data_for_tier("Anna expression")
    assert [one[2] for one in sorted(told)] == ["neutral", "happiness", "neutral", "happiness"]
    with pytest.raises(OutputError, match="exists already"):
        two.export(tmp_path / "t.eaf")


def test_bouts_as_subtitles_and_for_boris(two: Table, tmp_path: Path) -> None:
    two.export(tmp_path / "t.vtt")
    text = (tmp_path / "t.vtt").read_text()
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.200\nface 0: neutral\n")
    assert "00:00:00.300 --> 00:00:00.400\nface 0: happiness AU12 AU25\nface 1: neutral\n" in text
    two.export(tmp_path / "t.boris")
    project = json.loads((tmp_path / "t.boris").read_text())
    events = project["observations"]["t"]["events"]
    assert [one[0] for one in events if one[1:3] == ["face 0", "AU12"]] == [0.2, 0.5, 0.7, 0.8]
    assert {one["code"] for one in project["behaviors_conf"].values()} == {"AU12", "AU25", "neutral", "happiness"}
    assert len(events) % 2 == 0 and events == sorted(events, key=lambda one: one[0])
    with pytest.raises(UnknownSuffix, match=r"\.eaf, \.vtt, \.boris"):
        two.export(tmp_path / "t.srt")
    still = made([(0, 0, 0.9, 1.0)])
    still.columns["timestamp"][:] = np.nan
    with pytest.raises(ValueError, match="no times"):
        still.export(tmp_path / "s.vtt")
