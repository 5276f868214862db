"""``affectkit train prepare`` as a command: units, interruptions, strictness, points by the real detector, sets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from affectkit.errors import SourceError
from affectkit.predictor import Predictor
from affectkit.sources.opening import open_source
from affectkit.sources.stills import read_image
from affectkit.train.datasets import crops, open_sets, three_files
from affectkit.train.datasets.manifest import Prepared, Row, read_manifest
from affectkit.train.datasets.units import Journal, Unit, chunks, run_units
from affectkit.train.datasets.values import POINT_COLUMNS
from affectkit.train.reading import read_set
from affectkit.train.splits import split_of
from affectkit.types import Array, UInt8

Cli = Callable[..., tuple[int, str, str]]

FIVE = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)


def aff_wild(root: Path, videos: int = 5, *, frames: int = 3) -> Path:
    for k in range(videos):
        (root / "cropped_aligned" / f"v{k}").mkdir(parents=True)
        for i in range(frames):
            level = np.full((20, 20, 3), 40 * k + i, np.uint8)
            cv2.imwrite(str(root / "cropped_aligned" / f"v{k}" / f"{i + 1:05d}.jpg"), level)
        folder = root / "VA_Set" / ("Training_Set" if k % 2 else "Validation_Set")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"v{k}.txt").write_text("valence,arousal\n" + "\n".join(f"0.{i},-0.{k}" for i in range(frames)))
    return root


# --- units and their journal ------------------------------------------------------------------------------------------


def unit(name: str, read: list[str], *, stop: bool = False) -> Unit:
    def made() -> Prepared:
        read.append(name)
        if stop:
            raise KeyboardInterrupt
        points = tuple((float(np.float32(x) / np.float32(3)), y) for x, y in FIVE.tolist())
        prepared = Prepared([Row(f"{name}.png", "s", "train", au={"AU1": 1 / 3}, votes={"NF": 1}, landmarks=points)])
        prepared.drop("no face found", f"{name}: here")
        prepared.notes["clipped"] += 1
        return prepared

    return Unit(name, made)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    read: list[str] = []
    whole, _ = run_units([unit(name, read) for name in "abc"], Journal(tmp_path / "w", {}), strict=False, say=print)
    read.clear()
    with pytest.raises(KeyboardInterrupt):
        units = [unit("a", read), unit("b", read), unit("c", read, stop=True)]
        run_units(units, Journal(tmp_path / "j", {}), strict=False, say=print)
    read.clear()
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"unit": "c", "rows": [{"pa')  # cut off in the middle of a line
    told: list[str] = []
    resumed, errors = run_units(
        [unit(name, read) for name in "abc"], Journal(tmp_path / "j", {}), strict=False, say=told.append
    )
    assert read == ["c"] and not errors and told == ["[3/3] c: 1 pictures, 1 left out"]
    assert resumed == whole and resumed.unusable == {"no face found": "a: here"}
    assert [json.loads(line).get("unit") for line in (tmp_path / "j").read_bytes().splitlines()] == [None, *"abc"]


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j", {"set": "disfa", "options": {"thin": True, "strict": False}})
    with pytest.raises(SourceError, match=r"another options \(thin True, not thin False\); .* delete that file"):
        Journal(tmp_path / "j", {"set": "disfa", "options": {"thin": False, "strict": False}})
    header = json.loads((tmp_path / "j").read_text())
    for name, value in (("format", 99), ("affectkit", "0.0.1")):
        (tmp_path / "j").write_text(json.dumps({**header, name: value}) + "\n")
        with pytest.raises(SourceError, match=rf"another {name} \({value}, not"):
            Journal(tmp_path / "j", {"set": "disfa", "options": {"thin": True, "strict": False}})
    (tmp_path / "j").write_text("rubbish\n")
    with pytest.raises(SourceError, match="is damaged; delete it"):
        Journal(tmp_path / "j", {})


def test_a_bad_unit_does_not_end_the_others(tmp_path: Path) -> None:
    def bad() -> Prepared:
        raise SourceError("b.txt: line 7: no")

    read: list[str] = []
    units = [unit("a", read), Unit("b", bad), unit("c", read)]
    prepared, errors = run_units(units, Journal(tmp_path / "j", {}), strict=False, say=print)
    assert read == ["a", "c"] and errors == {"b": "b.txt: line 7: no"} and len(prepared.rows) == 2
    prepared, errors = run_units([unit("a", read)], Journal(tmp_path / "k", {}), strict=True, say=print)
    assert errors == {"a": "a: here: no face found (1 in a), and --strict is given"} and not prepared.rows


def test_two_units_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="two parts of the data set are called 'a'"):
        run_units([unit("a", []), unit("a", [])], Journal(tmp_path / "j", {}), strict=False, say=print)


def test_chunks() -> None:
    assert list(chunks("abcde", 2, "letters")) == [
        ("letters 1 to 2", "ab"),
        ("letters 3 to 4", "cd"),
        ("letters 5 to 5", "e"),
    ]


# --- the command ------------------------------------------------------------------------------------------------------


def test_an_interrupted_command_goes_on_to_the_same_bytes(
    tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affectkit.train.datasets import aff_wild2

    source = aff_wild(tmp_path / "aff")
    command = ["train", "prepare", "aff-wild2", source, "--points", "none", "-o"]
    assert run_cli(*command, tmp_path / "whole")[0] == 0
    real = aff_wild2._Reader.person
    read: list[str] = []

    def interrupted(self: aff_wild2._Reader, person: str, files: list[tuple[str, str, Path]]) -> Prepared:
        read.append(person)
        if person == "v3" and read.count("v3") == 1:
            raise KeyboardInterrupt
        return real(self, person, files)

    monkeypatch.setattr(aff_wild2._Reader, "person", interrupted)
    assert run_cli(*command, tmp_path / "parts")[0] != 0
    assert not (tmp_path / "parts" / "manifest.csv").exists()
    code, _, err = run_cli(*command, tmp_path / "parts")
    assert code == 0 and read == ["v0", "v1", "v2", "v3", "v3", "v4"] and "[5/5] v4: 3 pictures, 0 left out" in err
    for name in ("manifest.csv", "report.txt"):
        whole, parts = (tmp_path / folder / name for folder in ("whole", "parts"))
        assert parts.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["manifest.csv", "report.txt"]


def test_other_options_after_an_interruption_are_refused(tmp_path: Path, run_cli: Cli) -> None:
    source = aff_wild(tmp_path / "aff")
    (source / "VA_Set" / "Training_Set" / "v1.txt").write_text("v,a\n9,9\n")
    command = ["train", "prepare", "aff-wild2", source, "--points", "none", "-o", tmp_path / "out"]
    assert run_cli(*command)[0] == 1
    code, _, err = run_cli(*command, "--thin")
    assert code == 1 and "another options (thin False, not thin True)" in " ".join(err.split())


SLOW = """
import sys, time
from affectkit.train.datasets import aff_wild2
real = aff_wild2._Reader.person
def slow(self, person, files):
    prepared = real(self, person, files)
    if person == "v2":
        print("reached", flush=True)
        time.sleep(60)
    return prepared
aff_wild2._Reader.person = slow
from affectkit.cli import main
main()
"""


@pytest.mark.slow
def test_kill_9_in_the_middle(tmp_path: Path, run_cli: Cli) -> None:
    source = aff_wild(tmp_path / "aff")
    command = ["train", "prepare", "aff-wild2", str(source), "--points", "none", "-o"]
    assert run_cli(*command, tmp_path / "whole")[0] == 0
    run = subprocess.Popen(
        [sys.executable, "-P", "-c", SLOW, *command, str(tmp_path / "parts")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with run:
        assert run.stdout is not None and run.stdout.readline() == "reached\n"
        time.sleep(0.1)
        os.kill(run.pid, signal.SIGKILL)
    assert not (tmp_path / "parts" / "manifest.csv").exists()
    code, _, err = run_cli(*command, tmp_path / "parts")
    assert code == 0 and "[3/5] v2" in err and "] v1" not in err
    assert (tmp_path / "parts" / "manifest.csv").read_bytes() == (tmp_path / "whole" / "manifest.csv").read_bytes()


def test_errors_keep_going_and_correcting(tmp_path: Path, run_cli: Cli) -> None:
    source = aff_wild(tmp_path / "aff")
    bad = source / "VA_Set" / "Training_Set" / "v1.txt"
    good = bad.read_text()
    bad.write_text("v,a\n0,0\n0,1.01\n")
    command = ["train", "prepare", "aff-wild2", source, "--points", "none", "-o"]
    code, _, err = run_cli(*command, tmp_path / "out")
    assert code == 1 and "1 of 5 parts cannot be read" in err and "v1.txt: line 3: '1.01' is out of range" in err
    assert not (tmp_path / "out" / "manifest.csv").exists()
    code, out, _ = run_cli(*command, tmp_path / "without", "--keep-going")
    assert (
        code == 0 and "left out whole, v1: " in out and len(read_manifest(tmp_path / "without" / "manifest.csv")) == 12
    )
    bad.write_text(good)
    code, _, err = run_cli(*command, tmp_path / "out")
    assert code == 0 and "v1: 3 pictures" in err and "v0" not in err  # the others were kept
    assert len(read_manifest(tmp_path / "out" / "manifest.csv")) == 15


def test_strict(tmp_path: Path, run_cli: Cli) -> None:
    source = aff_wild(tmp_path / "aff")
    (source / "cropped_aligned" / "v2" / "00002.jpg").unlink()
    command = ["train", "prepare", "aff-wild2", source, "--points", "none"]
    code, out, _ = run_cli(*command, "-o", tmp_path / "lenient")
    assert code == 0 and "left out, VA without a crop: 1 (first: " in out and "v2/00002.jpg" in out
    code, _, err = run_cli(*command, "-o", tmp_path / "strict", "--strict")
    assert code == 1 and "v2/00002.jpg: VA without a crop (1 in v2), and --strict is given" in " ".join(err.split())
    command += ["--thin", "--strict"]  # what is left out on purpose is no error
    (source / "VA_Set" / "Validation_Set" / "v2.txt").unlink()
    assert run_cli(*command, "-o", tmp_path / "thinned")[0] == 0


def test_nothing_usable_is_an_error(tmp_path: Path, run_cli: Cli) -> None:
    source = aff_wild(tmp_path / "aff", videos=1)
    (source / "VA_Set" / "Validation_Set" / "v0.txt").write_text("v,a\n-5,-5\n")
    code, _, err = run_cli("train", "prepare", "aff-wild2", source, "--points", "none", "-o", tmp_path / "out")
    assert code == 1 and "nothing that can be used was found" in err and "VA marked as invalid: 1" in err
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_a_csv_through_the_command(tmp_path: Path, run_cli: Cli) -> None:
    (tmp_path / "p").mkdir()
    cv2.imwrite(str(tmp_path / "p" / "a.png"), np.zeros((20, 20), np.uint8))
    (tmp_path / "x.csv").write_text("name,e,v,arousal,AU12\na.png,1,10,0,3\n")
    command = ["train", "prepare", "csv", tmp_path / "x.csv", "-o", tmp_path / "out", "--points", "none"]
    command += ["--pictures", tmp_path / "p", "--map", "name=path", "--map", "e=expression", "--map", "v=valence"]
    command += ["--expression-names", "0=neutral,1=anger", "--au-at", "2"]
    code, _, err = run_cli(*command)
    assert code == 1 and "column 'v' (valence): '10' is out of range" in " ".join(err.split())
    for option, value in (("--va-range", "10"), ("--map", "v")):
        code, _, err = run_cli(*command, option, value)
        assert code == 1 and "should look like" in err
    assert run_cli(*command, "--va-range", "-10..10")[0] == 0
    table = read_manifest(tmp_path / "out" / "manifest.csv")
    assert table[["expression", "valence", "arousal", "AU12"]].iloc[0].tolist() == ["anger", 1, 0, 1]


# --- points by the real detector --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_points_of_crops_are_those_that_predict_finds(tmp_path: Path, astronaut: Path, run_cli: Cli) -> None:
    source = aff_wild(tmp_path / "aff", videos=1, frames=2)
    for frame in open_source(astronaut).frames():
        if frame.index in (0, 60):
            path = source / "cropped_aligned" / "v0" / f"{1 + (frame.index > 0):05d}.jpg"
            crops.save(np.ascontiguousarray(frame.image), path)
    assert run_cli("train", "prepare", "aff-wild2", source, "-o", tmp_path / "out")[0] == 0
    table = read_manifest(tmp_path / "out" / "manifest.csv")
    assert len(table) == 2
    with Predictor() as predictor:
        for _, line in table.iterrows():
            (face,) = predictor.predict_image(read_image(Path(line["path"])))
            stored = line[list(POINT_COLUMNS)].to_numpy(np.float32).reshape(5, 2)
            assert np.array_equal(stored, face.landmarks)


def test_a_cut_out_is_the_picture_itself() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 500, 3)).astype(np.uint8)
    points = FIVE + np.array([200.25, 150.5])
    part, moved = crops.cut_out(image, points)
    left, top = np.round((points - moved)[0]).astype(int)
    assert part.shape[0] in (201, 202) and np.array_equal(
        part, image[top : top + part.shape[0], left : left + part.shape[1]]
    )
    assert np.allclose(moved + np.array([left, top]), points)
    large, moved = crops.cut_out(np.kron(image, np.ones((5, 5, 1), np.uint8)), points * 5 + 2)
    assert max(large.shape) <= 384 and np.hypot(*(moved[1] - moved[0])) == pytest.approx(200 / 3, abs=1e-6)
    with pytest.raises(ValueError, match="beyond the picture"):
        crops.cut_out(image, points + 1000)


def test_a_crop_is_the_same_from_the_cut_out(astronaut: Path, astronaut_points: np.ndarray) -> None:
    from affectkit.align import crop_face
    from affectkit.spec import InputSpec

    spec = InputSpec(size=64, channels=3, template="tight")
    frame = next(iter(open_source(astronaut).frames()))
    part, points = crops.cut_out(frame.image, astronaut_points[0])
    assert np.array_equal(
        crop_face(np.ascontiguousarray(part), points, spec), crop_face(frame.image, astronaut_points[0], spec)
    )


# --- three files and one manifest -------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, Path, Path]:
    rng = np.random.default_rng(1)
    names = [f"FER2013Train/fer{i}.png" for i in range(30)] + ["FER2013Valid/fer0.png", "Ann_1.jpg", "Bob_1.jpg"]
    persons = [""] * 31 + ["Ann", "Bob"]
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as archive:
        for name in names:
            image = rng.integers(0, 256, (48, 48) if name.endswith("png") else (50, 60, 3)).astype(np.uint8)
            archive.writestr(name, cv2.imencode(Path(name).suffix, image)[1].tobytes())
    count = len(names)
    table = pd.DataFrame({"image": names, "person": persons, "AU1": rng.uniform(0, 1, count).round(3)})
    table["expression"] = ["fear", None, "neutral"] * 11
    table["votes_neutral"], table["votes_NF"] = rng.integers(0, 10, count), 1
    table["valence"], table["arousal"] = rng.uniform(-1, 1, count), rng.uniform(-1, 1, count)
    table.to_csv(tmp_path / "l.csv", index=False)
    points = (FIVE / 2 + rng.normal(0, 1, (count - 1, 5, 2))).astype(np.float16)
    points[3] = np.nan
    np.savez(tmp_path / "p.npz", image=np.array(names[:-1]), landmark5=points)
    return tmp_path / "l.csv", tmp_path / "i.zip", tmp_path / "p.npz"


def test_a_set_as_a_manifest_is_the_same_set(three: tuple[Path, Path, Path], tmp_path: Path, run_cli: Cli) -> None:
    labels, images, landmarks = three
    command = ["train", "prepare", "set", "--labels", labels, "--images", images, "--landmarks", landmarks]
    code, out, _ = run_cli(*command, "-o", tmp_path / "out")
    assert code == 0 and "without landmarks in the file: 2" in out
    table = read_manifest(tmp_path / "out" / "manifest.csv")
    faces = read_set(labels, images, landmarks)
    stored = table[list(POINT_COLUMNS)].to_numpy(np.float32).reshape(-1, 5, 2)
    assert np.array_equal(stored, faces.landmarks, equal_nan=True) and np.isnan(stored).any()
    with zipfile.ZipFile(images) as archive:
        for i, path in enumerate(table["path"]):
            assert Path(path).read_bytes() == archive.read(faces.names[i])
            assert table["split"][i] == split_of(faces.names[i], faces.person[i], faces.image(i))
    assert np.array_equal(table[["valence", "arousal"]].to_numpy(np.float32), faces.va)
    assert np.array_equal(table["AU1"].to_numpy(np.float32), faces.au[:, 0])
    assert table["votes_neutral"].tolist() == pd.read_csv(labels)["votes_neutral"].tolist()
    assert set(table["split"]) == {"train", "dev", "valid"}


def test_sets_that_do_not_fit_together(three: tuple[Path, Path, Path], tmp_path: Path) -> None:
    labels, images, _ = three
    for content, says in (
        ("image,AU1\ngone.png,1\n", "has no 'gone.png'"),
        ("image,AU1\nAnn_1.jpg,3\n", r"line 2, column 'AU1': '3' is out of range"),
        ("image\nAnn_1.jpg\nAnn_1.jpg\n", "comes a second time, after line 2"),
    ):
        labels.write_text(content)
        with pytest.raises(SourceError, match=says):
            three_files.read(labels, tmp_path / "out", images=images)
    with zipfile.ZipFile(images, "a") as archive:
        archive.writestr("../x.png", b"x")
    labels.write_text("image\n../x.png\n")
    with pytest.raises(SourceError, match="leaves the folder"):
        three_files.read(labels, tmp_path / "out", images=images)


def test_points_from_a_file_by_name(three: tuple[Path, Path, Path], tmp_path: Path) -> None:
    *_, landmarks = three
    root = tmp_path / "fer"
    (root / "FER2013Train").mkdir(parents=True)
    lines = []
    for i in (0, 3):
        cv2.imwrite(str(root / "FER2013Train" / f"fer{i}.png"), np.zeros((48, 48), np.uint8))
        lines.append(f'fer{i}.png,"(0, 0, 48, 48)",9,0,0,0,0,0,0,0,0,0')
    (root / "FER2013Train" / "label.csv").write_text("\n".join(lines))
    prepared = open_sets.read_ferplus(root, tmp_path, landmarks=landmarks)
    with np.load(landmarks) as archive:
        first = archive["landmark5"][0].astype(np.float64)
    assert prepared.rows[0].landmarks == tuple((x, y) for x, y in first.round(6).tolist()) or np.allclose(
        np.array(prepared.rows[0].landmarks), first, atol=0
    )
    assert prepared.rows[1].landmarks is None and prepared.notes == {"without landmarks in the file": 1}

    def find(image: UInt8) -> Array:
        return FIVE[None] / 2

    assert open_sets.read_ferplus(root, tmp_path, find=find).rows[0].landmarks is not None
    (root / "FER2013Train" / "label.csv").write_text('fer0.png,"(0, 0, 48, 48)",9,x,0,0,0,0,0,0,0,0')
    with pytest.raises(SourceError, match=r"label.csv: 'x' is not a number; allowed: 0 or more"):
        open_sets.read_ferplus(root, tmp_path)
