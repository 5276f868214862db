"""Tables in programs that people use, py-feat's own readers, R, pandas: types and values, not only that they open."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from affectkit import Detection, FakeEngine, Predictor
from affectkit.options import OutputOptions, StreamOptions
from affectkit.outputs.layouts import TableFormat
from affectkit.runs.job import Job, Outcome
from affectkit.runs.run import run_job
from affectkit.types import UInt8

pytestmark = pytest.mark.slow

UNITS = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26]
"""Of ``lite``, without the closed eyes, 43, whose name is another one in OpenFace."""

PEERS = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
"""Of the environment that `make peers` makes."""

Write = Callable[[TableFormat], tuple[Path, Outcome]]


class Two:
    """Finds two faces, and none in the second frame."""

    def __init__(self) -> None:
        self.frames = 0

    def detect(self, image: UInt8) -> list[Detection]:
        self.frames += 1
        if self.frames == 2:
            return []
        return [Detection((100, 50, 80, 100), 0.97), Detection((400, 50, 90, 100), 0.96)]


@pytest.fixture
def write(astronaut: Path, tmp_path: Path) -> Write:
    """Three frames of two faces that are known to the last number, in a format."""

    def written(table_format: TableFormat) -> tuple[Path, Outcome]:
        engine = FakeEngine.constant(
            happiness=0.75, AU12=0.8, AU12_i=0.5, AU43=0.875, AU43_i=0.25, valence=0.5, arousal=-0.25, pitch=10
        )
        path = tmp_path / f"{table_format}.csv"
        with Predictor(engine=engine, detector=Two()) as predictor:
            asked, outputs = StreamOptions(end_s=0.1), OutputOptions(table_format=table_format)
            return path, run_job(predictor, Job(str(astronaut), path), asked, outputs=outputs)

    return written


def check_faces(rows: Any, *, face: str, ids: list[Any]) -> None:
    """Three frames: two faces, none, two faces."""
    assert len(rows) == 5 and [None if pd.isna(value) else value for value in rows[face]] == ids


def test_pandas(write: Write) -> None:
    path, _ = write("native")
    table = pd.read_csv(path)
    check_faces(table, face="face_id", ids=[0, 1, -1, 0, 1])
    assert table["timestamp"].tolist() == pytest.approx([0, 0, 0.04, 0.08, 0.08])
    assert table["AU12"].tolist()[:2] == pytest.approx([0.8, 0.8], abs=1e-5) and table["AU12"].isna().sum() == 1
    assert set(table["expression"].dropna()) == {"happiness"} and table["AU12_c"].dropna().tolist() == [1] * 4


def test_openface_columns_and_scale(write: Write) -> None:
    path, outcome = write("openface")
    table = pd.read_csv(path)
    assert list(table.columns[:5]) == ["frame", "face_id", "timestamp", "confidence", "success"]
    regressed = [name for name in map(str, table) if name.endswith("_r")]
    assert regressed == [f"AU{number:02d}_r" for number in (*UNITS, 45)]
    assert table["AU12_r"].tolist()[:2] == pytest.approx([2.5, 2.5], abs=1e-3)  # half of 0 to 5
    assert table["AU45_r"][0] == pytest.approx(1.25, abs=1e-3) and table["AU45_c"][0] == 1
    assert table["frame"].tolist() == [1, 1, 2, 3, 3] and table["success"].tolist() == [1, 1, 0, 1, 1]
    assert outcome.remarks == ()


def test_a_model_without_intensities_says_so(tiny: Path, astronaut: Path, tmp_path: Path) -> None:
    with Predictor(tiny) as predictor:
        job, outputs = Job(str(astronaut), tmp_path / "t.csv"), OutputOptions(table_format="openface")
        outcome = run_job(predictor, job, StreamOptions(end_s=0.1), outputs=outputs)
    assert outcome.remarks == ("the model tells no intensities, so the table has no columns AUxx_r, only AUxx_c",)
    assert not [name for name in map(str, pd.read_csv(job.table)) if name.endswith("_r")]


def test_pyfeat_columns(write: Write) -> None:
    table = pd.read_csv(write("pyfeat")[0])
    assert [name for name in map(str, table) if "AU" in name] == [f"AU{number:02d}" for number in (*UNITS, 43)]
    check_faces(table, face="Identity", ids=["Person_0", "Person_1", None, "Person_0", "Person_1"])
    assert table["timestamp"].tolist() == pytest.approx([0, 0, 0.04, 0.08, 0.08])
    assert table["intensity_12"][0] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.skipif(not PEERS.is_file(), reason="py-feat is not here: make peers, which asks a package index for it")
def test_py_feat_reads_it(write: Write, tmp_path: Path) -> None:
    """Its own readers, of all of py-feat as it is installed, in a process of the environment of ``make peers``."""
    paths = [str(write(name)[0]) for name in ("pyfeat", "openface", "native")]
    script = Path(__file__).parent / "peers" / "read_by_py_feat.py"
    done = subprocess.run([str(PEERS), str(script), *paths], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["version"] == "2.1.5" and told["types"] == ["Fex", "Fex"]  # docs/columns.md names it
    assert list(told["aus"]) == [f"AU{number:02d}" for number in (*UNITS, 43)]
    assert told["aus"]["AU12"] == pytest.approx([0.8, 0.8, None, 0.8, 0.8], abs=1e-5)
    assert told["aus"]["AU43"][:2] == pytest.approx([0.875, 0.875], abs=1e-5)
    assert told["mean of AU12"] == pytest.approx(0.8, abs=1e-5)
    assert set(told["emotions"]) == {"Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger"}
    assert told["emotions"]["Happy"][0] == pytest.approx(0.75, abs=1e-5)
    assert sum(column[0] for column in told["emotions"].values()) == pytest.approx(1, abs=1e-4)
    boxes = [told["faceboxes"][f"FaceRect{side}"] for side in ("X", "Y", "Width", "Height")]
    assert [side[:3] for side in boxes] == [[100, 400, None], [50, 50, None], [80, 90, None], [100, 100, None]]
    assert told["faceboxes"]["FaceScore"][:2] == [0.97, 0.96]
    assert told["time"]["frame"] == [0, 0, 1, 2, 2]
    assert told["identities"] == ["Person_0", "Person_1", None, "Person_0", "Person_1"]
    assert told["openface"]["AU12_r"] == pytest.approx([2.5, 2.5, None, 2.5, 2.5], abs=1e-3)
    assert told["openface"]["AU45_c"] == [1, 1, None, 1, 1] and told["openface"]["success"] == [1, 1, 0, 1, 1]
    assert told["openface's time"]["frame"] == [1, 1, 2, 3, 3]
    assert told["openface's time"]["timestamp"] == pytest.approx([0, 0, 0.04, 0.08, 0.08])
    # What docs/columns.md warns of.
    assert told["refused"] == {"poses": "KeyError", "landmarks": "KeyError", "gazes": "AttributeError"}
    assert told["openface's units"] == "KeyError"
    assert told["native"] == {"units": 57, "emotions": 0}


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_reads_it(write: Write, tmp_path: Path) -> None:
    paths = {name: write(name)[0] for name in ("native", "openface", "pyfeat")}
    script = tmp_path / "read.R"
    script.write_text(
        """
paths <- commandArgs(trailingOnly = TRUE)
for (path in paths) {
  t <- read.csv(path)
  kinds <- sapply(t, function(column) class(column)[1])
  cat(nrow(t), kinds[["frame"]], sum(is.na(t$AU12), is.na(t$AU12_c)), paste(kinds[grep("^AU", names(t))], collapse=","))
  cat(" ", t$timestamp[3], t$AU12[1], t$AU12_r[1], t$face_id[2], t$Identity[2], "\\n")
}
"""
    )
    command = ["Rscript", "--vanilla", str(script), *map(str, paths.values())]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    native, openface, pyfeat = (line.split() for line in lines)
    assert native[:3] == ["5", "integer", "2"] and openface[:3] == ["5", "integer", "1"]
    kinds = native[3].split(",")
    assert set(kinds) == {"numeric", "integer"} and set(openface[3].split(",")) == {"numeric", "integer"}
    assert set(pyfeat[3].split(",")) == {"numeric"}
    assert float(native[4]) == 0.04 and float(native[5]) == pytest.approx(0.8, abs=1e-5) and native[6] == "1"
    assert float(openface[5]) == pytest.approx(2.5, abs=1e-3) and pyfeat[6] == "Person_1"


def test_the_meta_file_is_json_for_all(write: Write) -> None:
    path, _ = write("native")
    meta = json.loads(path.with_name(path.name + ".meta.json").read_text())
    assert meta["labels"]["action_units"][0] == "AU01" and meta["frames"]["in_table"] == 3
