from __future__ import annotations

import csv
import errno
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectkit.errors import OutputError
from affectkit.face_results import Affect, Face, FrameResult
from affectkit.outputs.json_files import json_text, laid_out, write_json
from affectkit.outputs.layouts import layout
from affectkit.outputs.rows import LateRows
from affectkit.outputs.table import Table, table_of
from affectkit.outputs.writers import SUFFIXES, CsvWriter, open_table
from affectkit.types import AU_NAMES, EXPRESSION_NAMES

NATIVE = [
    "input",
    "frame",
    "face_id",
    "timestamp",
    "confidence",
    "success",
    "FaceRectX",
    "FaceRectY",
    "FaceRectWidth",
    "FaceRectHeight",
    "AU01",
    "AU02",
    "AU04",
    "AU06",
    "AU12",
    "AU15",
    "AU20",
    "AU25",
    "AU01_c",
    "AU02_c",
    "AU04_c",
    "AU06_c",
    "AU12_c",
    "AU15_c",
    "AU20_c",
    "AU25_c",
    "neutral",
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "expression",
    "valence",
    "arousal",
]


def face(track_id: int = 0, *, spread: bool = False) -> Face:
    affect = Affect(
        expression_probabilities=np.array([0.1, 0, 0, 0, 0.6, 0, 0.3], np.float32),
        au_probabilities=np.linspace(0, 0.7, 8).astype(np.float32),
        au_active=np.arange(8) > 4,
        valence=0.25,
        arousal=-0.125,
        au_std=np.full(8, 0.01, np.float32) if spread else None,
        valence_std=0.02 if spread else None,
        arousal_std=0.03 if spread else None,
    )
    points = np.array([[18, 34], [32, 34], [25, 42], [19, 50], [31, 50]], np.float32)
    return Face(track_id, (10.0, 20.5, 30.0, 40.126), 0.9876543, points, affect)


RESULTS = (
    FrameResult(0, 0.0, (face(),), "clip.mp4"),
    FrameResult(1, 1001 / 30000, (), "clip.mp4"),
    FrameResult(2, 2002 / 30000, (face(0), face(3)), "clip.mp4"),
    FrameResult(3, math.nan, (), 'clip, with "odd" name.mp4'),
)


def write(path: Path, **options: Any) -> Path:
    with open_table(path, layout(**options)) as sink:
        for result in RESULTS:
            sink.write(result)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_native_csv(tmp_path: Path) -> None:
    rows = read_csv(write(tmp_path / "t.csv"))
    assert list(rows[0]) == NATIVE
    assert [(r["frame"], r["face_id"], r["success"]) for r in rows] == [
        ("0", "0", "1"),
        ("1", "-1", "0"),
        ("2", "0", "1"),
        ("2", "3", "1"),
        ("3", "-1", "0"),
    ]
    first, missing = rows[0], rows[1]
    assert first["confidence"] == "0.987654" and first["FaceRectHeight"] == "40.13"
    assert first["AU25"] == "0.7" and first["AU25_c"] == "1" and first["AU01_c"] == "0"
    assert first["expression"] == "happiness" and first["arousal"] == "-0.125"
    assert float(missing["timestamp"]) == pytest.approx(1001 / 30000, abs=1e-9)
    assert all(missing[name] == "" for name in [*NATIVE[6:], "confidence"])
    assert rows[4]["input"] == 'clip, with "odd" name.mp4' and rows[4]["timestamp"] == ""


def test_json_lines(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in write(tmp_path / "t.jsonl").read_text().splitlines()]
    assert list(lines[0]) == NATIVE
    assert lines[1]["AU12"] is None and lines[1]["face_id"] == -1 and lines[4]["timestamp"] is None
    assert lines[0]["AU15_c"] == 1 and lines[0]["happiness"] == pytest.approx(0.6)


def test_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.read_parquet(write(tmp_path / "t.parquet"))
    assert list(frame.columns) == NATIVE and len(frame) == 5
    assert frame["frame"].dtype == "int32" and frame["AU12"].isna().tolist() == [False, True, False, False, True]
    assert frame["expression"][0] == "happiness"


def test_uncertainty_columns(tmp_path: Path) -> None:
    extra = [*(f"{name}_std" for name in AU_NAMES), "expression_entropy", "valence_std", "arousal_std"]
    rows = read_csv(write(tmp_path / "t.csv", uncertainty=True))
    assert list(rows[0]) == NATIVE + extra
    entropy = -(0.1 * math.log(0.1) + 0.6 * math.log(0.6) + 0.3 * math.log(0.3))
    assert float(rows[0]["expression_entropy"]) == pytest.approx(entropy, abs=1e-5)
    assert rows[0]["AU01_std"] == "" and rows[0]["valence_std"] == ""
    row = layout(uncertainty=True).rows(FrameResult(0, 0.0, (face(spread=True),)))[0]
    assert row[-3] == pytest.approx(entropy, abs=1e-5) and row[-2:] == [0.02, 0.03]


def test_openface(tmp_path: Path) -> None:
    rows = read_csv(write(tmp_path / "t.csv", table_format="openface"))
    decisions = [f"{name}_c" for name in AU_NAMES]
    assert list(rows[0]) == ["frame", "face_id", "timestamp", "confidence", "success", *decisions]
    assert [r["frame"] for r in rows] == ["1", "2", "3", "3", "4"]
    assert rows[1]["success"] == "0" and rows[1]["AU12_c"] == ""


def test_pyfeat(tmp_path: Path) -> None:
    rows = read_csv(write(tmp_path / "t.csv", table_format="pyfeat"))
    assert [name for name in rows[0] if "AU" in name] == list(AU_NAMES)  # its reader takes every such column for an AU
    assert {"Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "FaceScore", "frame"} <= set(rows[0])
    assert list(rows[0])[:5] == ["input", "frame", "approx_time", "timestamp", "Identity"]
    assert [row["Identity"] for row in rows][:2] == ["Person_0", ""] and float(rows[1]["timestamp"]) > 0
    assert rows[0]["Happy"] == "0.6" and rows[0]["approx_time"] == "00:00" and rows[0]["FaceRectX"] == "10.0"


def test_paper(tmp_path: Path) -> None:
    rows = read_csv(write(tmp_path / "t.csv", table_format="paper"))
    units = ["AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25"]
    assert list(rows[0]) == ["frames_ids", *units, "EXPR", "valence", "arousal"]
    assert rows[0]["EXPR"] == str(EXPRESSION_NAMES.index("happiness")) and rows[0]["AU25"] == "1"


def test_unknown_format_and_uncertainty_where_it_has_no_place() -> None:
    with pytest.raises(ValueError, match="native, openface, pyfeat, paper"):
        layout("excel")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no columns for uncertainty"):
        layout("openface", uncertainty=True)


def test_table_in_memory() -> None:
    table = table_of(RESULTS)
    assert isinstance(table, Table) and len(table) == 5 and list(table.columns) == NATIVE
    assert table["frame"].dtype == np.int64 and table["frame"].tolist() == [0, 1, 2, 2, 3]
    assert math.isnan(table["AU12"][1]) and table["expression"][1] is None
    pytest.importorskip("pandas")
    assert table.to_pandas().groupby("frame").size().tolist() == [1, 1, 2, 1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_half_done_under_the_final_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text("precious")
    with pytest.raises(OutputError, match="overwrite=True"):
        open_table(path, layout())
    with pytest.raises(RuntimeError), open_table(path, layout(), overwrite=True) as sink:
        sink.write(RESULTS[0])
        assert path.read_text() == "precious"
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_text() == "precious"
    with open_table(path, layout(), overwrite=True) as sink:
        sink.write(RESULTS[0])
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() != b"precious"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_table_still_has_its_columns(tmp_path: Path, suffix: str) -> None:
    with open_table(tmp_path / f"t{suffix}", layout()):
        pass
    assert (tmp_path / f"t{suffix}").exists()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CsvWriter, "_write_rows", full)
    with pytest.raises(OutputError, match="disk is full"), open_table(tmp_path / "t.csv", layout()) as sink:
        sink.write(RESULTS[0])
    assert list(tmp_path.iterdir()) == []


def test_bad_targets(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist; create it first"):
        open_table(tmp_path / "no" / "t.csv", layout())
    with pytest.raises(OutputError, match=r"unknown suffix '.xlsx'; allowed: .csv, .jsonl, .parquet"):
        open_table(tmp_path / "t.xlsx", layout())
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        open_table(tmp_path / "d.csv", layout())


def test_write_json_replaces_in_one_step(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"a": 1})
    write_json(tmp_path / "m.json", {"a": 2})
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": 2}
    assert len(list(tmp_path.iterdir())) == 1


def test_json_text_is_that_of_the_standard_library() -> None:
    inner = {"a": 1, "b": [1.5, None, True, '\u00fc\n"x'], "c": {}, "d": [], "e": {"f": (1, [2, {"g": math.nan}])}}
    document = {"x": inner, "y": [inner, []], "z": "text", "": -0.0, "n": 1e300}
    assert json_text(document) == json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_go_on_where_the_note_says(tmp_path: Path, suffix: str) -> None:
    """What was written after the note is written again."""
    whole = write(tmp_path / f"whole{suffix}")
    path = tmp_path / f"t{suffix}"
    sink = open_table(path, layout())
    for result in RESULTS[:2]:
        sink.write(result)
    resume_from = sink.position()
    sink.write(RESULTS[3])
    sink.suspend()
    assert not path.exists()
    with open_table(path, layout(), resume_from=resume_from) as again:
        for result in RESULTS[2:]:
            again.write(result)
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, whole.name])


def test_clocks_of_pyfeat_and_frame_numbers_of_openface(tmp_path: Path) -> None:
    late = [FrameResult(9000, 3725.9, (face(),), "clip.mp4"), FrameResult(9001, 61.0, (), "clip.mp4")]
    assert [str(row[2]) for r in late for row in layout("pyfeat").rows(r)] == ["62:05", "01:01"]
    assert [row[0] for r in late for row in layout("openface").rows(r)] == [9001, 9002]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": [], "b": {}, "c": None, "d": "\u00e4\n", "e": [1, [2.5, {"f": True}]]},
        {"long": {f"name {k}": [k, k / 3, None, "x" * 20] for k in range(40)}, "short": 1},
    ],
    ids=("nothing", "small", "long"),
)
def test_documents_are_laid_out_as_json_does(document: dict[str, Any]) -> None:
    for _ in range(2):  # the second time what is long is remembered
        assert json_text(document) == json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    parts = {"before": 0, **document, "after": True}
    joined = json_text({"before": 0}, laid_out(document) if document else {}, {"after": True})
    assert joined == json.dumps(parts, indent=2, ensure_ascii=False) + "\n"


def test_rows_of_a_short_parquet_table_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a long one, and what a note is to tell of, are in one; a line ends where its row does."""
    parquet = pytest.importorskip("pyarrow.parquet")
    name = "odd \u2028\x85 name.mp4"
    results = [FrameResult(k, k / 10, (face(),), name) for k in range(8)]

    def made() -> list[str]:
        return sorted("".join(path.suffixes[-2:]) for path in tmp_path.iterdir())

    tables = []
    for most in (LateRows.MOST, 1000):
        monkeypatch.setattr(LateRows, "MOST", most)
        with open_table(tmp_path / "t.parquet", layout(), overwrite=True) as sink:
            sink.write(results[0])
            for result in results[1:]:
                assert ".parquet.rows" not in made() or most == 1000
                sink.write(result)
            assert (".parquet.rows" in made()) == (most == 1000)
        assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
        tables.append(parquet.read_table(tmp_path / "t.parquet"))
    assert tables[0].equals(tables[1]) and tables[0].column("input").to_pylist() == [name] * 8
    sink = open_table(tmp_path / "u.parquet", layout())
    sink.write(results[0])
    rows, length = sink.position()
    assert rows.stat().st_size == length > 0
    sink.abort()
