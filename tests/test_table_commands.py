"""The commands that read tables: summary, identities, report, cite; and what predict does to the tables it wrote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_tables import made

from affectkit import Table, read_table
from affectkit.report.groups import compared, parse_grouping
from affectkit.report.material import clips_of

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def dyad(tmp_path: Path) -> Path:
    """Ten frames with face 0, then the same person as face 2; face 1 in two of them."""
    rows = [(k, 0 if k < 5 else 2, 0.1 * k, 0.9) for k in range(10)] + [(3, 1, 0.0, 0.4), (4, 1, 0.0, 0.4)]
    made(sorted(rows)).save(tmp_path / "dyad.csv")
    return tmp_path / "dyad.csv"


def test_summary_on_the_terminal_and_as_files(dyad: Path, tmp_path: Path, run_cli: Run) -> None:
    code, out, err = run_cli("summary", dyad)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split()[:6] == ["input", "face", "frames", "of", "seconds", "left"]
    assert out.splitlines()[2].split()[:5] == ["clip.mp4", "1", "2", "10", "0.2"]
    code, out, _ = run_cli("summary", dyad, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    smile = next(row for row in rows if row["measure"] == "AU12" and row["face_id"] == "2")
    assert (smile["frames"], smile["share"], smile["bouts"], smile["frames_left_out"]) == ("5", "1.0", "1", "0")
    code, out, _ = run_cli("summary", dyad, "--format", "csv", "--wide", "--by", "input")
    assert code == 0 and next(csv.DictReader(io.StringIO(out)))["AU12_bouts"] == "1"
    assert run_cli("summary", dyad, dyad, "-o", tmp_path / "s.json")[0] == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert len(told) == 6 and told[0]["table"] == str(dyad) and told[0]["measures"]["AU12"]["kind"] == "action unit"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--by", "nothing"], 2, "no such column"),
        (["--wide"], 2, "--wide is for CSV"),
        (["-o", "s.xlsx"], 2, "unknown suffix '.xlsx'"),
        (["-o", "missing/s.csv"], 1, "does not exist"),
        (["gone.csv"], 1, "No such file"),
    ],
)
def test_summary_refuses(dyad: Path, run_cli: Run, arguments: list[str], code: int, told: str) -> None:
    found, out, err = run_cli("summary", dyad, *arguments)
    assert found == code and out == "" and told in err


def test_identities_are_listed_merged_dropped_and_named(dyad: Path, tmp_path: Path, run_cli: Run) -> None:
    assert run_cli("identities", dyad)[1].count("clip.mp4") == 3
    new = tmp_path / "new.csv"
    code, _, err = run_cli("identities", dyad, "--merge", "2=0", "--drop", "1", "--name", "0=Anna", "-o", new)
    assert code == 0 and "face 2 is 0; face 1 left out; face 0 is Anna" in err
    table = read_table(new)
    assert table["face_id"].tolist() == [0] * 10 and set(table["face_name"]) == {"Anna"}
    assert [sorted(step)[0] for step in table.meta["changed"]] == ["merge", "drop", "name"]
    assert len(read_table(dyad)) == 12  # as it was
    assert run_cli("identities", dyad, "--drop", "1")[0] == 0 and len(read_table(dyad)) == 10


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--merge", "2"], "should look like 3=4"),
        (["--merge", "1=0"], "seen together in 2 frames"),
        (["--drop", "x"], "'x' is no number of a face"),
        (["--drop", "9"], "no face 9"),
        (["--name", "0=A", "--name", "0=B"], "given twice"),
        (["-o", "x.csv"], "nothing to do"),
    ],
)
def test_identities_refuses(dyad: Path, run_cli: Run, arguments: list[str], told: str) -> None:
    before = dyad.read_bytes()
    code, _, err = run_cli("identities", dyad, *arguments)
    assert code == 2 and told in err and dyad.read_bytes() == before


def test_brief_identities_thresholds_and_exports_of_predict(astronaut: Path, tmp_path: Path, run_cli: Run) -> None:
    pytest.importorskip("pympi")
    table = tmp_path / "t.csv"
    code, _, err = run_cli(
        *("predict", astronaut, "-o", table, "--every", "10", "--min-track", "60", "--au-threshold", "AU12=.999,2=0"),
        *("--export", "elan", "--export", "vtt", "--min-confidence", ".5"),
    )
    assert code == 0 and "left out face 0, 1, 2, seen for less than 60 s" in err
    found = read_table(table)
    assert (found["face_id"] == -1).all() and len(found) == 10 and found.meta["faces"] == 0
    assert found.meta["au_thresholds"]["AU12"] == 0.999 and found.meta["au_thresholds"]["AU02"] == 0
    assert found.meta["options"]["min_confidence"] == 0.5
    assert (tmp_path / "t.eaf").is_file() and (tmp_path / "t.vtt").read_text() == "WEBVTT\n"
    again = ("--every", "10", "--min-track", "60", "--au-threshold", "AU12=.999,2=0", "--min-confidence", ".5")
    assert run_cli("predict", astronaut, "-o", table, "--resume", *again)[0] == 0
    assert len(read_table(table).meta["changed"]) == 1  # not done twice


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--min-track", "1", "--format", "openface"], "of the format native"),
        (["--export", "vtt", "--format", "paper"], "of the format native"),
        (["--min-track", "1", "--render", "x.mp4"], "needs all of the input first"),
        (["--au-threshold", "AU12"], "should look like AU04=.4"),
        (["--au-threshold", "AU12=2"], "0 to 1"),
        (["--au-threshold", "AU99=.2"], "has no AU99"),
        (["--min-confidence", "2"], "--min-confidence"),
    ],
)
def test_predict_refuses(
    astronaut: Path, in_an_empty_folder: Path, run_cli: Run, arguments: list[str], told: str
) -> None:
    code, _, err = run_cli("predict", astronaut, *arguments)
    assert code == 2 and told in err and not list(in_an_empty_folder.iterdir())


def test_cite(dyad: Path, run_cli: Run) -> None:
    code, out, _ = run_cli("cite")
    assert code == 0 and "Multitask emotion recognition" in out and "affectkit" in out
    assert run_cli("cite", "--bibtex")[1].count("@") == 2
    code, _, err = run_cli("cite", dyad)
    assert code == 1 and "does not say which model" in err
    table = read_table(dyad)
    table.meta.update(model={"name": "lite", "version": "1", "precision": "fp32"}, versions={"affectkit": "0.1.0"})
    table.save(dyad, overwrite=True)
    assert "affectkit 0.1.0 with its model lite (version 1, float32)" in run_cli("cite", dyad)[1]


def grouped(folder: Path, *, many: int = 4) -> list[Path]:
    """Tables of two conditions: happy ones smile in all frames, others in none."""
    paths = []
    for k in range(many):
        for name, smile in (("happy", 0.8 + k / 100), ("sad", 0.1 + k / 100)):
            path = folder / f"{name}{k}.csv"
            made([(i, 0, smile, 0.9) for i in range(20)], name=f"{name}{k}.mp4").save(path)
            paths.append(path)
    return paths


def test_groups_are_compared(tmp_path: Path) -> None:
    clips = [clip for path in grouped(tmp_path) for clip in clips_of(path)]
    rows, remarks = compared(parse_grouping("mood=happy:happy*,sad:sad*"), clips)
    valence = next(row for row in rows if row.name == "valence")
    assert valence.difference == pytest.approx(0.7) and valence.effect is not None and valence.effect > 10
    assert valence.interval is not None and valence.interval[0] < 0.7 < valence.interval[1] and not remarks
    smile = next(row for row in rows if row.name == "AU12")
    assert smile.what == "share" and smile.values == ((1.0,) * 4, (0.0,) * 4) and smile.effect is None
    few, _ = compared(parse_grouping("mood=happy:happy0*,sad:sad0*"), clips[:2])
    assert few[0].interval is None and few[0].difference is not None
    for text, told in (("mood=a:x*,b:sad*", "no table belongs to a"), ("mood=a:h*,b:happy*", "belongs to a and to b")):
        with pytest.raises(ValueError, match=told):
            compared(parse_grouping(text), clips)
    for text in ("mood", "mood=a:x", "=a:x,b:y", "mood=a:x,a:y", "mood=a,b"):
        with pytest.raises(ValueError, match="should look like"):
            parse_grouping(text)


def test_a_report_holds_everything_and_cannot_be_broken_into(tmp_path: Path, run_cli: Run) -> None:
    pytest.importorskip("plotly")
    nasty = "</script><b>.mp4"
    table = made([(k, 0, 0.05 * k, 0.9) for k in range(20)], name=nasty)
    Table({**table.columns, "face_name": np.array(["<i>Anna"] * 20, dtype=object)}, table.meta).save(tmp_path / "t.csv")
    page = tmp_path / "r.html"
    code, _, err = run_cli("report", tmp_path / "t.csv", *grouped(tmp_path), "-o", page, "--group", "m=A:happy*,B:sad*")
    assert code == 0 and "9 clips" in err
    text = page.read_text()
    assert nasty not in text and "<i>Anna" not in text and "&lt;i&gt;Anna" in text
    data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
    face = data["clips"][0]["faces"][0]
    assert face["name"] == "<i>Anna (face 0)" and face["units"][0]["limit"] == 0.5 and len(data["clips"]) == 9
    assert "t.csv is in no group." in text and "How to cite" in text and "is not there any more" in text
    assert "http://" not in text.split("<script>")[0] and 'src="http' not in text
    assert run_cli("report", tmp_path / "t.csv", "-o", page)[0] == 1  # it is there
    assert "1 clip -> " in run_cli("report", tmp_path / "t.csv", "-o", tmp_path / "one.html")[2]
    assert run_cli("report", tmp_path / "t.csv", "-o", tmp_path / "r.pdf")[0] == 2
    assert run_cli("report", tmp_path / "t.csv", "-o", page, "--overwrite", "--group", "x")[0] == 2
    (tmp_path / "t.csv").write_text("input,frame,face_id,timestamp,success\n")
    code, _, err = run_cli("report", tmp_path / "t.csv", "-o", page, "--overwrite")
    assert code == 1 and err.count("\n") == 1 and page.read_text() == text


def test_a_table_is_not_exported_as_a_model(run_cli: Run) -> None:
    """Who looks for ELAN finds `affectkit export` first."""
    code, _, err = run_cli("export", "t.csv", "-o", "t.eaf", "--format", "elan")
    assert code == 2 and "affectkit identities TABLE --export elan" in err


def test_files_beside_the_table_are_told(astronaut: Path, tmp_path: Path, run_cli: Run) -> None:
    given = ("predict", astronaut, "-o", tmp_path / "t.csv", "--end", ".2", "--export", "vtt", "--export", "boris")
    code, _, err = run_cli(*given)
    assert code == 0 and (tmp_path / "t.vtt").is_file()
    assert f"-> {tmp_path / 't.csv'} and {tmp_path / 't.vtt'} and {tmp_path / 't.boris'} [" in err
