"""Every reader on a tiny tree in the original layout, with its traps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectkit.errors import MissingDependency, OutputError, SourceError
from affectkit.picture import RgbPicture
from affectkit.train.datasets import afew_va, aff_wild2, blendshapes, disfa, expw, open_sets
from affectkit.train.datasets.crops import box_crop, paper_crop, paper_matrix
from affectkit.train.datasets.manifest import AU_COLUMNS, HEAD_COLUMNS, Prepared, Row, read_manifest, write_manifest
from affectkit.train.datasets.values import POINT_COLUMNS
from affectkit.train.splits import read_manifest_part
from affectkit.types import Array, Frame, UInt8

Cli = Callable[..., tuple[int, str, str]]

POINTS = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)


def picture(path: Path, level: int = 100, size: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size, size, 3), level, np.uint8))
    return path


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


# --- manifest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_manifest_round_trip(tmp_path: Path, name: str) -> None:
    rows = [
        Row("a.png", "s", "train", "v", 3, "p", {"AU1": 1.0, "AU2": 0.0, "AU25": 0.5}, "fear"),
        Row(
            "sub/b.png",
            "s",
            "valid",
            votes=dict(zip(open_sets.VOTE_NAMES, range(1, 11), strict=True)),
            valence=-0.5,
            arousal=0.25,
        ),
    ]
    write_manifest(rows, tmp_path / name)
    table = read_manifest(tmp_path / name)
    votes = [f"votes_{name}" for name in open_sets.VOTE_NAMES]
    assert list(table.columns) == [*HEAD_COLUMNS, "AU1", "AU2", "AU25", *votes, *POINT_COLUMNS]
    assert table["path"].tolist() == [str(tmp_path / "a.png"), str(tmp_path / "sub" / "b.png")]
    assert table["AU1"][0] == 1 and table["nose_x"].isna().all() and table["frame"][0] == 3
    assert table["expression"].isna().tolist() == [False, True]
    assert table["votes_NF"][1] == 10 and table["valence"][1] == -0.5 and np.isnan(table["valence"][0])


def test_manifest_errors(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"unknown suffix '.txt'"):
        write_manifest([], tmp_path / "m.txt")
    text(tmp_path / "m.csv", "name,set\n")
    with pytest.raises(SourceError, match="no column 'path'"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(SourceError, match="cannot be read as a manifest"):
        read_manifest(tmp_path / "gone.csv")


# --- Aff-Wild2 --------------------------------------------------------------------------------------------------------


@pytest.fixture
def aff_wild(tmp_path: Path) -> Path:
    root = tmp_path / "aff"
    for i in (1, 2, 4):  # the third has no crop
        picture(root / "cropped_aligned" / "one" / f"{i:05d}.jpg")
    for i in range(1, 31):
        picture(root / "cropped_aligned" / "two_left" / f"{i:05d}.jpg")
    header = "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n"
    lines = ["1,0,0,0,0,0,0,1", "-1,-1,-1,-1,-1,-1,-1,-1", "0,0,0,0,0,0,0,0", "0,0,0,0,1,0,0,0"]
    text(root / "AU_Set" / "Training_Set" / "one.txt", header + "\n".join(lines))
    names = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n"
    expressions = ["0"] * 21 + ["4"] * 4 + ["1", "-1", "5", "5", "6"]
    text(root / "EXPR_Set" / "Validation_Set" / "two_left.txt", names + "\n".join(expressions) + "\n")
    va = ["0.5,-0.25", "-5,-5", "1,-1", "-5.0,0.1", *["0.1,0.1"] * 8]
    text(root / "VA_Set" / "Training_Set" / "two_left.txt", "valence,arousal\n" + "\n".join(va))
    return root


def test_aff_wild2(aff_wild: Path, tmp_path: Path) -> None:
    prepared = aff_wild2.read(aff_wild, tmp_path)
    au = [row for row in prepared.rows if row.au]
    assert [(row.frame, row.video, row.split) for row in au] == [(0, "one", "train"), (3, "one", "train")]
    assert list(au[0].au.values()) == [1, 0, 0, 0, 0, 0, 0, 1] and au[0].au["AU25"] == 1
    assert au[1].path == "aff/cropped_aligned/one/00004.jpg" and {row.set for row in prepared.rows} == {"aff-wild2"}
    assert prepared.dropped["AU marked as invalid"] == 1 and prepared.dropped["AU without a crop"] == 1
    expression = [row for row in prepared.rows if row.expression]
    assert len(expression) == 29 and {row.split for row in expression} == {"valid"}
    assert (expression[0].video, expression[0].person) == ("two", "two_left")
    assert expression[25].expression == "anger" and expression[26].frame == 27
    va = [row for row in prepared.rows if row.valence is not None]
    assert [(row.frame, row.valence, row.arousal) for row in va[:2]] == [(0, 0.5, -0.25), (2, 1.0, -1.0)]
    assert {row.split for row in va} == {"train"}  # the same pictures as of the expressions, in the other split
    assert prepared.dropped["VA marked as invalid"] == 2
    assert "AU without a crop: 1" in prepared.report() and "train" in prepared.report()


def test_aff_wild2_thinned(aff_wild: Path, tmp_path: Path) -> None:
    training = aff_wild / "EXPR_Set" / "Training_Set" / "two_left.txt"
    text(training, (aff_wild / "EXPR_Set" / "Validation_Set" / "two_left.txt").read_text())
    prepared = aff_wild2.read(aff_wild, tmp_path, thin=True)
    kept = [row.expression for row in prepared.rows if row.expression and row.split == "train"]
    assert sorted(map(str, kept)) == sorted(
        ["neutral"] * 3 + ["happiness"] * 2 + ["anger", "sadness", "surprise"]  # every 10th, every 2nd
    )
    assert [row.frame for row in prepared.rows if row.valence is not None] == [0, 7]
    assert prepared.dropped["EXPR thinned"] == 21 and prepared.dropped["VA thinned"] == 8
    assert sum(bool(row.au) for row in prepared.rows) == 2
    assert sum(row.split == "valid" for row in prepared.rows) == 29  # as without --thin
    both = [row for row in prepared.rows if row.split == "train" and row.frame == 0 and row.person == "two_left"]
    assert [(row.expression, row.valence) for row in both] == [("neutral", 0.5)]  # one row with both labels


@pytest.mark.parametrize("line", ["1,0,0", "2,0,0,0,0,0,0,0", "a,0,0,0,0,0,0,0", "0.5,0,0,0,0,0,0,0", ",0,0,0,0,0,0,0"])
def test_aff_wild2_lines_that_make_no_sense(aff_wild: Path, tmp_path: Path, line: str) -> None:
    text(aff_wild / "AU_Set" / "Training_Set" / "one.txt", f"AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n{line}\n")
    with pytest.raises(SourceError, match=r"one.txt: line 2: .*(allowed: 0, 1, or -1|cannot be read as AU)"):
        aff_wild2.read(aff_wild, tmp_path)


def test_a_folder_that_is_not_aff_wild2(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cropped_aligned: not there"):
        aff_wild2.read(tmp_path, tmp_path)
    (tmp_path / "cropped_aligned").mkdir()
    with pytest.raises(SourceError, match="is this Aff-Wild2's folder"):
        aff_wild2.read(tmp_path, tmp_path)


# --- DISFA ------------------------------------------------------------------------------------------------------------


def frames(count: int, *, size: tuple[int, int] = (120, 100)) -> list[Frame]:
    """Grey pictures, each lighter than the one before."""
    return [Frame(i, i / 20, RgbPicture(np.full((*size, 3), 10 * i, np.uint8)), "v") for i in range(count)]


def find_but_in_the_second(image: UInt8) -> Array:
    return np.empty((0, 5, 2), np.float32) if image[0, 0, 0] == 10 else POINTS[None]


@pytest.fixture
def disfa_source(tmp_path: Path) -> Path:
    root = tmp_path / "disfa-src"
    for unit in disfa.UNITS:
        intensity = {1: [0, 1, 2, 5], 25: [3, 0, 0, 0]}.get(unit, [0, 0, 0, 0])
        lines = [f"{i + 1},{value}" for i, value in enumerate(intensity)]
        if unit == 4:
            lines = lines[:3]  # the fourth frame lacks a label
        text(root / "ActionUnit_Labels" / "SN001" / f"SN001_au{unit}.txt", "\n".join(lines) + "\n")
    text(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", "x")
    return root


def test_disfa(disfa_source: Path, tmp_path: Path) -> None:
    def frames_of(path: Path) -> list[Frame]:
        assert path.name == "LeftVideoSN001_comp.avi"
        return frames(5)

    out = tmp_path / "out"
    prepared = disfa.read(disfa_source, out, frames_of=frames_of, find=find_but_in_the_second)
    assert [(row.frame, row.person, row.au["AU1"], row.au["AU25"]) for row in prepared.rows] == [
        (0, "SN001", 0, 1),
        (2, "SN001", 1, 0),
        (3, "SN001", 1, 0),
    ]
    assert len(prepared.rows[0].au) == 12 and "AU4" not in prepared.rows[2].au
    assert prepared.dropped == {"no face found": 1, "frame without labels": 1}
    # eyes 40 px apart, 40 px above the mouth: a side of 160 px around (50, 60), as far as the picture reaches
    assert cv2.imread(str(out / prepared.rows[1].path)).shape == (120, 100, 3)
    assert prepared.rows[1].landmarks == tuple((float(x), float(y)) for x, y in POINTS)
    text(disfa_source / "ActionUnit_Labels" / "SN001" / "SN001_au6.txt", "1,7\n")
    with pytest.raises(SourceError, match=r"SN001_au6.txt: line 1: '7' is out of range; allowed: 0 to 5"):
        disfa.read(disfa_source, out, frames_of=frames_of, find=find_but_in_the_second)


def test_disfa_with_something_missing(disfa_source: Path, tmp_path: Path) -> None:
    labels = disfa_source / "ActionUnit_Labels"
    for unit in disfa.UNITS[:2]:
        text(labels / "SN002" / f"SN002_au{unit}.txt", "1,0\n2,0\n3,5\n")
    (labels / "SN001" / "SN001_au26.txt").unlink()

    def read(count: int) -> Prepared:
        return disfa.read(
            disfa_source, tmp_path / "out", frames_of=lambda _: frames(count), find=find_but_in_the_second
        )

    prepared = read(4)
    assert {row.person for row in prepared.rows} == {"SN001"} and "AU26" not in prepared.rows[0].au
    assert prepared.dropped["frame of a video that is missing"] == 3
    assert prepared.dropped["action unit's file missing (the unit stays blank)"] == 11
    assert "LeftVideoSN002_comp.avi" in prepared.report()
    assert read(3).dropped["labelled frame that the video does not have"] == 1

    def broken(_: Path) -> list[Frame]:
        raise SourceError("LeftVideoSN001_comp.avi: not a video")

    prepared = disfa.read(disfa_source, tmp_path / "out", frames_of=broken, find=find_but_in_the_second)
    assert not prepared.rows and prepared.dropped["frame of a video that cannot be read"] == 4
    assert "not a video" in prepared.report()


# --- ExpW -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def expw_source(tmp_path: Path) -> Path:
    root = tmp_path / "expw-src"
    image = np.zeros((100, 100, 3), np.uint8)
    image[:50, :50] = 200
    (root / "origin").mkdir(parents=True)
    cv2.imwrite(str(root / "origin" / "a.png"), image)
    lines = [
        "a.png 0 10 10 40 40 55.2 6",  # within the bright quarter
        "a.png 1 -22 -22 30 30 20.0 0",  # leaves the picture at the top left
        "a.png 2 60 60 60 60 90.0 3",  # empty
        "gone.png 0 1 1 5 5 90.0 1",
    ]
    text(root / "label.lst", "\n".join(lines) + "\n")
    return root


def test_expw(expw_source: Path, tmp_path: Path) -> None:
    root = expw_source
    prepared = expw.read(root, tmp_path / "out")
    assert [(row.expression, Path(row.path).name) for row in prepared.rows] == [
        ("neutral", "a_0.png"),
        ("anger", "a_1.png"),
    ]
    for row in prepared.rows:
        crop = cv2.imread(str(tmp_path / "out" / row.path))
        assert crop.shape == (160, 160, 3) and (crop == 200).all() and row.landmarks is None
    assert prepared.dropped == {"empty box": 1, "without a picture": 1}
    assert expw.read(root, tmp_path / "out", min_confidence=50).dropped["box of low confidence"] == 1
    text(root / "label.lst", "a.png 0 10 10 40 40 55.2 9\n")
    with pytest.raises(SourceError, match=r"label.lst: line 1: cannot read .* allowed: 0 to 6"):
        expw.read(root, tmp_path / "out")


def test_expw_with_points(expw_source: Path, tmp_path: Path) -> None:
    small = (POINTS - 50) / 10  # eyes 4 px apart, around (0, 1)

    def find(image: UInt8) -> Array:
        # the box 10..40 is shown with half of its side around it: 0..55; its middle is at (25, 25) there
        if image.shape[:2] != (55, 55):
            return np.empty((0, 5, 2), np.float32)
        return small + np.array([(50, 50), (27, 24), (15, 15)])[:, None]

    prepared = expw.read(expw_source, tmp_path / "out", find=find)
    (row,) = prepared.rows
    assert row.expression == "neutral" and prepared.dropped["no points found"] == 1
    crop = cv2.imread(str(tmp_path / "out" / row.path))
    assert row.landmarks is not None and row.landmarks[1][0] - row.landmarks[0][0] == pytest.approx(4, abs=1e-4)
    assert crop.shape[0] in range(20, 24)  # 2.5 times the paper's side of 8 px

    def elsewhere(image: UInt8) -> Array:
        return (small + 53)[None]  # its middle is beyond the box

    assert expw.read(expw_source, tmp_path / "out", find=elsewhere).dropped["no points found"] == 2


def test_expw_label_order() -> None:
    from affectkit.types import EXPRESSION_NAMES

    names = [EXPRESSION_NAMES[i] for i in expw.LABEL_MAP]
    assert names == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


# --- AFEW-VA ----------------------------------------------------------------------------------------------------------


def points68(left: tuple[float, float], right: tuple[float, float], mouth: tuple[float, float]) -> np.ndarray:
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48:], points[30] = left, right, mouth, (50, 66)
    return points


def test_afew_va(tmp_path: Path) -> None:
    root = tmp_path / "afew-src"
    points = points68((40, 40), (80, 40), (60, 90)).tolist()
    frames = {
        "00000": {"landmarks": points, "valence": 10.0, "arousal": -3.0},
        "00001": {"landmarks": points, "valence": 0.0, "arousal": 0.0},
    }
    picture(root / "001" / "00000.png", size=120)
    text(root / "001" / "001.json", json.dumps({"video_id": "001", "actor": "A", "frames": frames}))
    prepared = afew_va.read(root, tmp_path / "out")
    (row,) = prepared.rows
    assert row.landmarks is not None
    assert (row.valence, row.arousal, row.video, row.frame, row.person) == (1.0, -0.3, "001", 0, "A")
    assert prepared.dropped == {"without a picture": 1}
    assert cv2.imread(str(tmp_path / "out" / row.path)).shape == (120, 120, 3)
    assert row.landmarks == ((40, 40), (80, 40), (50, 66), (60, 90), (60, 90))
    frames["00000"]["valence"] = 11.0
    text(root / "001" / "001.json", json.dumps({"frames": frames}))
    with pytest.raises(
        SourceError, match=r"001.json: column 'valence of frame 00000': 11 is out of range; allowed: -10 to 10"
    ):
        afew_va.read(root, tmp_path / "out")


def test_afew_va_frames_without_landmarks_do_not_end_it(tmp_path: Path) -> None:
    root = tmp_path / "afew-src"
    good = points68((40, 40), (80, 40), (60, 90)).tolist()
    missing = [None, [], good[:67], [["x", 1]] * 68, [[0, 0]] * 68]
    document = {
        f"{i:05d}": {"landmarks": points, "valence": 1, "arousal": 2} for i, points in enumerate([*missing, good])
    }
    document["00006"] = {"landmarks": good, "valence": None, "arousal": 2}
    document["00007"] = {"valence": 0, "arousal": 2}
    for name in document:
        picture(root / "part" / "001" / f"{name}.png", size=120)
    text(root / "part" / "001" / "001.json", json.dumps({"frames": document}))
    prepared = afew_va.read(root, tmp_path / "out")
    assert [row.frame for row in prepared.rows] == [5]
    assert prepared.dropped == {
        "without landmarks": 5,
        "points that make no face": 1,
        "without valence and arousal": 1,
    }


def test_the_papers_crop_by_hand() -> None:
    # eyes 40 apart and level, mouth 50 below: side 100, centre midway between (60, 40) and (60, 90)
    matrix = paper_matrix(points68((40, 40), (80, 40), (60, 90)), 100)
    assert matrix @ [60, 65, 1] == pytest.approx([49.5, 49.5])
    assert matrix @ [80, 40, 1] == pytest.approx([69.5, 24.5])
    # turned a quarter: the eyes come level again
    turned = paper_matrix(points68((40, 40), (40, 80), (-10, 60)), 100)
    assert (turned @ [40, 40, 1])[1] == pytest.approx((turned @ [40, 80, 1])[1])
    assert (turned @ [40, 40, 1])[0] < (turned @ [40, 80, 1])[0] and (turned @ [-10, 60, 1])[1] > 49
    assert paper_matrix(POINTS, 80) @ [50, 60, 1] == pytest.approx([39.5, 39.5])
    with pytest.raises(ValueError, match="coincide"):
        paper_matrix(np.zeros((5, 2)), 10)
    with pytest.raises(ValueError, match=r"\(68, 2\) or \(5, 2\)"):
        paper_crop(np.zeros((9, 9, 3), np.uint8), np.zeros((7, 2)), 10)


def test_box_crop_by_hand() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:20, 10:20] = 255
    assert (box_crop(image, 10, 10, 20, 20, 10) == 255).all()
    wide = box_crop(image, 5, 10, 25, 20, 20)  # made square around its centre
    assert wide[:, :4].max() == 0 and wide[6:14, 6:14].min() == 255


# --- open sets --------------------------------------------------------------------------------------------------------

VOTES = {
    "clear": (1, 8, 0, 0, 0, 0, 0, 0, 1, 0),
    "tie": (5, 5, 0, 0, 0, 0, 0, 0, 0, 0),
    "contempt": (1, 1, 0, 0, 0, 0, 0, 8, 0, 0),
}


def test_ferplus_folders(tmp_path: Path) -> None:
    root = tmp_path / "fer"
    lines = []
    for i, votes in enumerate(VOTES.values()):
        picture(root / "FER2013Valid" / f"fer{i}.png")
        lines.append(f'fer{i}.png,"(0, 0, 48, 48)",' + ",".join(map(str, votes)))
    lines.append('gone.png,"(0, 0, 48, 48)",1,0,0,0,0,0,0,0,0,0')
    text(root / "FER2013Valid" / "label.csv", "\n".join(lines) + "\n")
    prepared = open_sets.read_ferplus(root, tmp_path, derive_va=True)
    assert [row.expression for row in prepared.rows] == ["happiness", None, None]
    assert [row.split for row in prepared.rows] == ["valid"] * 3 and prepared.dropped == {"without a picture": 1}
    assert (
        prepared.rows[0].votes == dict(zip(open_sets.VOTE_NAMES, VOTES["clear"], strict=True))
        and prepared.rows[0].path == "fer/FER2013Valid/fer0.png"
    )
    # 1 neutral and 8 happiness of 9 votes for an emotion
    assert (prepared.rows[0].valence, prepared.rows[0].arousal) == (round(8 / 9 * 0.81, 3), round(8 / 9 * 0.51, 3))
    assert open_sets.read_ferplus(root, tmp_path).rows[0].valence is None


def test_ferplus_from_its_csv(tmp_path: Path) -> None:
    root = tmp_path / "fer"
    pixels = " ".join(["7"] * 48 * 48)
    text(
        root / "fer2013.csv", f"emotion,pixels,Usage\n0,{pixels},Training\n1,{pixels},PublicTest\n2,{pixels},Training\n"
    )
    header = "Usage,Image name," + ",".join(open_sets.VOTE_NAMES)
    clear = ",".join(map(str, VOTES["clear"]))
    labels = [f"Training,fer0.png,{clear}", f"PublicTest,fer1.png,{clear}", "Training,,0,0,0,0,0,0,0,0,0,10"]
    text(root / "fer2013new.csv", "\n".join([header, *labels]) + "\n")
    prepared = open_sets.read_ferplus(root, tmp_path / "out")
    assert [(row.path, row.split) for row in prepared.rows] == [
        ("FER2013Train/fer0.png", "train"),
        ("FER2013Valid/fer1.png", "valid"),
    ]
    stored = cv2.imread(str(tmp_path / "out" / "FER2013Train" / "fer0.png"), cv2.IMREAD_UNCHANGED)
    assert stored.shape == (48, 48) and (stored == 7).all()
    assert prepared.dropped == {"removed by FER+ (not a face)": 1}
    text(
        root / "fer2013.csv",
        f"emotion,pixels,Usage\n0,{pixels},PublicTest\n1,{pixels},PublicTest\n2,{pixels},Training\n",
    )
    with pytest.raises(SourceError, match="line 2 belongs to another picture"):
        open_sets.read_ferplus(root, tmp_path / "out")


def test_facial_expressions(tmp_path: Path) -> None:
    import zlib

    root = tmp_path / "fe"
    for name in ("Ann_Lee_0001.jpg", "Ann_Lee_0002.jpg", "Bob_0001.jpg"):
        picture(root / "images" / name)
    lines = ["user.id,image,emotion", "1,Ann_Lee_0001.jpg,HAPPINESS", "1,Ann_Lee_0002.jpg,contempt"]
    lines += ["2,Bob_0001.jpg,anger", "2,gone.jpg,anger"]
    text(root / "data" / "legend.csv", "\n".join(lines) + "\n")
    prepared = open_sets.read_facial_expressions(root, tmp_path, derive_va=True)
    assert [(row.person, row.expression) for row in prepared.rows] == [
        ("Ann_Lee", "happiness"),
        ("Ann_Lee", None),
        ("Bob", "anger"),
    ]
    for row in prepared.rows:
        assert row.split == ("valid" if zlib.crc32(str(row.person).encode()) % 5 == 0 else "train")
    assert (prepared.rows[0].valence, prepared.rows[1].valence) == (0.81, -0.55)
    assert prepared.dropped["without a picture"] == 1


def test_derived_labels_agree_with_those_of_the_shared_set(shared: Path) -> None:
    import pandas as pd

    table = pd.read_csv(shared / "data" / "ferplus_labels.csv", nrows=3000)
    for _, line in table.iterrows():
        votes = tuple(int(line[f"votes_{name}"]) for name in open_sets.VOTE_NAMES)
        expression = line["expression"] if isinstance(line["expression"], str) else None
        assert open_sets.winner(votes) == expression
        by_name = dict(zip(open_sets.VOTE_NAMES, map(float, votes), strict=True))
        assert open_sets.derived_va(by_name) == pytest.approx((line["valence"], line["arousal"]), abs=1e-3)


# --- blendshapes ------------------------------------------------------------------------------------------------------


def scores(**changes: float) -> dict[str, float]:
    names = ["browInnerUp"]
    for name in ("browOuterUp", "browDown", "eyeSquint", "mouthSmile", "mouthFrown", "mouthStretch"):
        names += [f"{name}Left", f"{name}Right"]
    return {**dict.fromkeys(names, 0.0), **changes}


def mesh(gap: float) -> np.ndarray:
    """Eye centres 40 px apart, inner lips ``gap`` px apart."""
    points = np.zeros((478, 2))
    points[33], points[133], points[362], points[263] = (0, 0), (20, 0), (40, 0), (60, 0)
    points[13], points[14] = (30, 50), (30, 50 + gap)
    points[1], points[61], points[291] = (30, 30), (20, 50), (40, 50)
    return points


def test_soft_labels_by_hand() -> None:
    assert blendshapes.soft_labels(scores(), mesh(0)) == (0,) * 8
    at_threshold = scores(
        browInnerUp=0.4,
        browOuterUpLeft=0.9,  # the mean of the two sides counts
        browDownLeft=0.4,
        browDownRight=0.4,
        mouthSmileLeft=0.36,
        mouthSmileRight=0.36,
        eyeSquintLeft=0.5,
        eyeSquintRight=0.5,
        mouthFrownLeft=0.15,
        mouthFrownRight=0.15,
        mouthStretchLeft=0.5,
        mouthStretchRight=0.0,
    )
    # AU6: .5 * sqrt(.36) = .3, its threshold; AU12: .36 over .3 is .6; AU25: 2.8 / 40 = .07
    assert blendshapes.soft_labels(at_threshold, mesh(2.8)) == (0.5, 0.5, 0.5, 0.5, 0.6, 0.5, 0.5, 0.5)
    assert blendshapes.soft_labels(scores(browInnerUp=1.0), mesh(100))[::7] == (1, 1)


def test_labelling_a_folder(tmp_path: Path) -> None:
    picture(tmp_path / "faces" / "a.png", level=50)
    picture(tmp_path / "faces" / "sub" / "b.png", level=200)
    (tmp_path / "faces" / "c.png").write_bytes(b"broken")

    def landmarks(image: UInt8) -> tuple[dict[str, float], Array] | None:
        return (scores(mouthSmileLeft=0.6, mouthSmileRight=0.6), mesh(0)) if image.mean() > 100 else None

    prepared = blendshapes.read(tmp_path / "faces", tmp_path, landmarks=landmarks)
    (row,) = prepared.rows
    assert row.path == "faces/sub/b.png" and row.au["AU12"] == 1 and row.au["AU1"] == 0
    assert row.landmarks == ((10, 0), (50, 0), (30, 30), (20, 50), (40, 50))
    assert prepared.dropped == {"no face found": 1, "damaged picture": 1}


def test_without_mediapipe(tmp_path: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("mediapipe"):
        pytest.skip("mediapipe is installed")
    landmarker = blendshapes.face_landmarker(tmp_path / "x.task")
    with pytest.raises(MissingDependency, match=r"affectkit\[mediapipe\]"), landmarker:
        pass


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_prepare_writes_a_manifest_and_a_report(aff_wild: Path, tmp_path: Path, run_cli: Cli) -> None:
    target = tmp_path / "prepared"
    code, out, _ = run_cli("train", "prepare", "aff-wild2", aff_wild, "-o", target, "--thin", "--points", "none")
    assert code == 0 and "VA thinned: 8" in out
    assert (target / "report.txt").read_text() == out
    table = read_manifest(target / "manifest.csv")
    assert len(table) == 33 and all(Path(path).is_file() for path in table["path"])
    code, _, err = run_cli("train", "prepare", "aff-wild2", aff_wild, "-o", target)
    assert code == 1 and "--overwrite" in err
    assert run_cli("train", "prepare", "aff-wild2", aff_wild, "-o", target, "--manifest", "m.xls")[0] == 1
    assert run_cli("train", "prepare", "aff-wild2", aff_wild, "-o", target, "--overwrite", "--points", "none")[0] == 0
    assert len(read_manifest(target / "manifest.csv")) == 41


def test_every_reader_has_its_command(run_cli: Cli) -> None:
    code, out, _ = run_cli("train", "prepare", "--help")
    names = ["aff-wild2", "disfa", "disfa-plus", "expw", "afew-va", "raf-db", "affectnet", "bp4d", "csv", "set"]
    names += ["ferplus", "facial-expressions", "blendshapes"]
    assert code == 0 and all(name in out for name in names)


@pytest.mark.slow
def test_disfa_through_the_real_detector(tmp_path: Path, astronaut: Path, run_cli: Cli) -> None:
    root = tmp_path / "disfa-src"
    for unit in (1, 2, 4, 6, 12, 15, 20, 25):
        lines = [f"{i + 1},{3 if unit in (12, 25) else 0}" for i in range(100)]
        text(root / "ActionUnit_Labels" / "SN001" / f"SN001_au{unit}.txt", "\n".join(lines[:3]))
    (root / "Videos_LeftCamera").mkdir()
    (root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi").write_bytes(astronaut.read_bytes())
    code, out, _ = run_cli("train", "prepare", "disfa", root, "-o", tmp_path / "out")
    assert code == 0 and "frame without labels: 97" in out
    table = read_manifest(tmp_path / "out" / "manifest.csv")
    assert table["AU12"].tolist() == [1, 1, 1] and table["AU1"].tolist() == [0, 0, 0]
    crop = cv2.imread(table["path"][0])
    points = table[list(POINT_COLUMNS)].to_numpy().reshape(3, 5, 2)
    apart = points[:, 1, 0] - points[:, 0, 0]
    assert (points >= 0).all() and (points < crop.shape[0]).all() and crop.mean() > 60
    # 2.5 x the paper's side of 2 x the larger of the two, where the picture is large enough
    assert (apart > crop.shape[1] / 10).all() and max(crop.shape) <= 384


@pytest.mark.slow
def test_training_on_a_manifest(tmp_path: Path, run_cli: Cli) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        image = cv2.resize(rng.integers(0, 256, (5, 5)).astype(np.uint8), (40, 40))
        (tmp_path / "p").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "p" / f"{i}.png"), image)
        task = i % 3  # each picture is labelled for one task only
        rows.append(
            Row(
                f"p/{i}.png",
                "s",
                "train",
                video=f"v{i // 2}",
                au=dict(zip(AU_COLUMNS, map(float, rng.integers(0, 2, 8)), strict=True)) if task == 0 else {},
                expression=("neutral", "anger")[i % 2] if task == 1 else None,
                valence=float(rng.uniform(-1, 1)) if task == 2 else None,
                arousal=float(rng.uniform(-1, 1)) if task == 2 else None,
            )
        )
    write_manifest(rows, tmp_path / "m.parquet")
    train_set, dev_set = (read_manifest_part(tmp_path / "m.parquet", split) for split in ("train", "dev"))
    assert len(train_set) + len(dev_set) == 60 and len(dev_set) > 0
    arguments = ["train", "teacher", "--manifest", tmp_path / "m.parquet", "--size", "16", "--batch-size", "12"]
    code, out, _ = run_cli(*arguments, "--epochs", "1", "--sampling", "per-task", "--balance", "-o", tmp_path / "run")
    assert code == 0 and json.loads(out)["count"] == len(dev_set)
    code, out, _ = run_cli("train", "distribution", "--manifest", tmp_path / "m.parquet", "--plot", tmp_path / "d.png")
    assert code == 0 and "neutral" in out and "AU12" in out
    assert cv2.imread(str(tmp_path / "d.png")).shape[0] > 300
