"""One reading of labels: each bad value is an error that names file, line, column, value and what is allowed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affectkit.errors import SourceError
from affectkit.train.datasets import labels
from affectkit.train.datasets.labels import POINT_COLUMNS, check_table, read_csv
from affectkit.train.datasets.manifest import HEAD_COLUMNS, Row, merged, read_manifest, write_manifest

POINTS = ((10.0, 10.0), (30.0, 11.0), (20.0, 20.0), (12.0, 30.0), (28.0, 31.0))


def checked(tmp_path: Path, content: str, **options: float) -> pd.DataFrame:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    return check_table(read_csv(path), path, key="image", **options)  # type: ignore[arg-type]


def test_good_labels_become_numbers(tmp_path: Path) -> None:
    table = checked(
        tmp_path,
        "image,expression,valence,arousal,AU01,AU12,votes_neutral,frame,extra\n"
        "a.png,fear,-1,1,0.0,.3333333333333333,7,0,x\n"
        "b.png,,,,,1,,,\n",
    )
    assert table["AU1"].tolist()[0] == 0 and math.isnan(table["AU1"][1]) and table["AU12"][0] == 0.3333333333333333
    assert table["valence"][0] == -1 and np.isnan(table["arousal"][1]) and table["votes_neutral"][0] == 7
    assert table["expression"][0] == "fear" and pd.isna(table["expression"][1]) and table["extra"][0] == "x"
    assert "AU01" not in table.columns


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("AU4", "3", r"'3' is out of range; allowed: 0 to 1, or blank; .*--au-at 2 \(present from 2 on\)"),
        ("AU4", "7", r"'7' is out of range; allowed: 0 to 1, or blank$"),
        ("AU4", "-1", r"'-1' is out of range; allowed: 0 to 1"),
        ("AU4", "yes", r"'yes' is not a number; allowed: 0 to 1"),
        ("AU4", "1_0", r"'1_0' is not a number"),
        ("AU4", "inf", r"'inf' is not a finite number"),
        ("AU4", "nan", r"'nan' is not a number|'nan' is not a finite number"),
        ("valence", "9", r"'9' is out of range; allowed: -1 to 1, or blank"),
        ("valence", "1.0002", r"'1.0002' is out of range"),
        ("arousal", "-inf", r"'-inf' is not a finite number"),
        ("expression", "hapiness", r"unknown expression 'hapiness'; allowed: neutral, .*contempt, other, or blank"),
        ("votes_neutral", "-2", r"'-2' is out of range; allowed: 0 or more"),
        ("votes_neutral", "many", r"'many' is not a number"),
        ("frame", "1.5", r"'1.5' is not a whole number"),
        ("frame", "-1", r"'-1' is out of range; allowed: a whole number from 0"),
        ("split", "Train", r"unknown split 'Train'; allowed: train, dev, valid, test"),
        ("nose_x", "1e9", r"'1e9' is out of range; allowed: px of the picture"),
        ("mouth_left_y", "inf", r"'inf' is not a finite number"),
    ],
)
def test_bad_values(tmp_path: Path, column: str, value: str, says: str) -> None:
    head = ["image", "expression", "valence", "arousal", "AU4", "votes_neutral", "frame", "split", *POINT_COLUMNS]
    good = ["a.png", "fear", "0", "0", "1", "3", "0", "train", *(str(v) for point in POINTS for v in point)]
    bad = ["b.png", *good[1:]]
    bad[head.index(column)] = value
    content = "\n".join(",".join(line) for line in (head, good, bad)) + "\n"
    with pytest.raises(SourceError, match=rf"labels.csv: line 3, column '{column}': {says}"):
        checked(tmp_path, content)


def test_blank_lines_do_not_shift_the_numbers_in_messages(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="line 5, column 'AU4'"):
        checked(tmp_path, "image,AU4\na.png,1\n\nb.png,0\nc.png,9\n")
    assert len(checked(tmp_path, "image,AU4\na.png,1\n\nb.png,0\n\n")) == 2


def test_intensities(tmp_path: Path) -> None:
    table = checked(tmp_path, "image,AU4\na,0\nb,1\nc,2\nd,5\ne,\n", au_at=2)
    assert table["AU4"].tolist()[:4] == [0, 0, 1, 1] and math.isnan(table["AU4"].tolist()[4])
    with pytest.raises(SourceError, match=r"line 2, column 'AU4': '6' is out of range; allowed: 0 to 5"):
        checked(tmp_path, "image,AU4\na,6\n", au_at=2)
    with pytest.raises(SourceError, match="--au-at 9 is out of range"):
        checked(tmp_path, "image,AU4\na,6\n", au_at=9)


def test_names(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 3, column 'image': is blank"):
        checked(tmp_path, "image,AU4\na,1\n,1\n")
    with pytest.raises(SourceError, match=r"line 4, column 'image': 'a' comes a second time, after line 2"):
        checked(tmp_path, "image,AU4\na,1\nb,1\na,0\n")
    with pytest.raises(SourceError, match="has no column 'image'"):
        checked(tmp_path, "name,AU4\na,1\n")
    with pytest.raises(SourceError, match="two columns 'AU4'"):
        checked(tmp_path, "image,AU4,AU04\na,1,1\n")
    assert len(checked(tmp_path, "image,split,AU4\na,train,1\na,valid,1\n")) == 2
    with pytest.raises(SourceError, match="'a' comes a second time in split valid, after line 3"):
        checked(tmp_path, "image,split,AU4\na,train,1\na,valid,1\na,valid,1\n")


def test_what_comes_together(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 2, column 'arousal': is blank, but valence is not"):
        checked(tmp_path, "image,valence,arousal\na,0.5,\n")
    with pytest.raises(SourceError, match=r"column 'arousal': is blank, but valence is not"):
        checked(tmp_path, "image,valence\na,0.5\n")
    head = ",".join(["image", *POINT_COLUMNS])
    some = ",".join(["a", *(["1"] * 9), ""])
    with pytest.raises(SourceError, match=r"column 'mouth_right_y': is blank, but eye_left_x, .* is not; the five"):
        checked(tmp_path, f"{head}\n{some}\n")
    same = ",".join(["a", *(["1"] * 10)])
    with pytest.raises(SourceError, match="both eyes are at the same place"):
        checked(tmp_path, f"{head}\n{same}\n")


def test_tables_of_numbers_are_checked_too(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["a", "b"], "AU4": [1.0, float("inf")]})
    table.to_parquet(tmp_path / "m.parquet")
    with pytest.raises(SourceError, match=r"m.parquet: row 2, column 'AU4': inf is not a finite number"):
        read_manifest(tmp_path / "m.parquet")
    table["AU4"] = [np.nan, 3.0]
    table.to_parquet(tmp_path / "m.parquet")
    with pytest.raises(SourceError, match=r"row 2, column 'AU4': 3 is out of range.*--au-at 2"):
        read_manifest(tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet", au_at=2)["AU4"][1] == 1


def test_other_names_of_expressions_have_to_be_given(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,expression\na.png,pain\n")
    with pytest.raises(SourceError, match="unknown expression 'pain'"):
        read_manifest(tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv", expressions=("neutral", "pain"))["expression"][0] == "pain"


def test_values_one_by_one() -> None:
    assert labels.va_value("1.0002", tolerance=labels.VA_TOLERANCE) == 1 and math.isnan(labels.va_value(" "))
    assert labels.va_value(-1.0009, tolerance=1e-3) == -1 and labels.va_value("0.25") == 0.25
    with pytest.raises(labels.BadLabel):
        labels.va_value("1.002", tolerance=1e-3)
    assert labels.au_value("0.0") == 0 and labels.au_value("3", au_at=2) == 1
    assert labels.expression_name(None) is None and labels.expression_name("other") == "other"
    assert labels.class_index("7.0", 8) == 7 and labels.class_index("-1", 8) == -1
    for bad in ("8", "1.5", "", "a", "-2"):
        with pytest.raises(labels.BadLabel):
            labels.class_index(bad, 8)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_only_the_path_has_to_be_in_a_manifest(tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"]})
    table.to_csv(tmp_path / name, index=False) if name == "m.csv" else table.to_parquet(tmp_path / name)
    read = read_manifest(tmp_path / name)
    assert set(HEAD_COLUMNS) <= set(read.columns) and read["split"].tolist() == ["train"] * 2
    assert read["set"].tolist() == ["m"] * 2 and read["valence"].isna().all() and read["expression"].isna().all()


def test_a_manifest_is_written_whole_and_each_picture_once(tmp_path: Path) -> None:
    rows = [Row("a.png", "s", "train", au={"AU12": 1}), Row("a.png", "s", "valid", expression="fear")]
    write_manifest(rows, tmp_path / "m.csv")
    before = (tmp_path / "m.csv").read_bytes()
    with pytest.raises(SourceError, match=r"a.png: comes a second time in split train"):
        write_manifest([*rows, rows[0]], tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_one_row_a_picture() -> None:
    rows = [
        Row("a", "s", "train", au={"AU1": 1}),
        Row("b", "s", "train", expression="fear"),
        Row("a", "s", "train", valence=0.5, arousal=0.1, landmarks=POINTS),
        Row("a", "s", "valid", expression="anger"),
    ]
    one, two, three = merged(rows)
    assert (one.au, one.valence, one.landmarks) == ({"AU1": 1}, 0.5, POINTS)
    assert two.expression == "fear" and three.split == "valid"
    with pytest.raises(SourceError, match="labelled twice, differently for AU1"):
        merged([rows[0], Row("a", "s", "train", au={"AU1": 0})])


def test_a_manifest_round_trip_keeps_every_digit(tmp_path: Path) -> None:
    points = tuple((float(np.float32(x) / 3), y) for x, y in POINTS)
    row = Row("a.png", "s", "dev", "v", 7, "007", {"AU26": 1 / 3}, "other", {"NF": 3}, -1 / 7, 0.1, points)
    for name in ("m.csv", "m.parquet"):
        write_manifest([row, Row("b.png", "s", "dev")], tmp_path / name)
        table = read_manifest(tmp_path / name)
        first = table.iloc[0]
        assert [first[column] for column in POINT_COLUMNS] == [value for point in points for value in point]
        assert (first["AU26"], first["valence"], first["person"], first["votes_NF"]) == (1 / 3, -1 / 7, "007", 3)
        assert [c for c in table.columns if c.startswith(("AU", "votes_"))] == ["AU26", "votes_NF"]
        assert table[["AU26", "nose_x", "votes_NF", "frame"]].iloc[1].isna().all()
