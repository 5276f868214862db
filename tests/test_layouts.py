"""Layouts as given out, with their traps: Aff-Wild2 since 2021, DISFA+, RAF-DB, AffectNet, BP4D, any CSV."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectkit.errors import SourceError
from affectkit.train.datasets import aff_wild2, affectnet, bp4d, disfa, generic_csv, points, raf_db
from affectkit.train.datasets.manifest import Prepared, Row
from affectkit.types import Array, UInt8

FIVE = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)
AUS_2021 = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"


def picture(path: Path, level: int = 100, size: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size, size, 3), level, np.uint8))
    return path


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())


def find(image: UInt8) -> Array:
    """A face in everything that is not black."""
    return FIVE[None] if image.any() else np.empty((0, 5, 2), np.float32)


def by_frame(prepared: Prepared) -> dict[int | None, Row]:
    return {row.frame: row for row in prepared.rows}


# --- Aff-Wild2 since 2021 ---------------------------------------------------------------------------------------------


@pytest.fixture
def aff(tmp_path: Path) -> Path:
    root = tmp_path / "aff"
    for i in range(1, 9):
        picture(root / "cropped_aligned" / "cropped_aligned" / "v1" / f"{i:05d}.jpg")
        picture(root / "cropped_aligned" / "v2_right" / f"{i:05d}.jpg")
    annotations = root / "annotations" / "6th_ABAW_Annotations"
    au = ["1,0,0,0,0,0,1,0,0,0,0,0", "-1,0,0,0,0,0,0,0,0,0,0,-1", "0.0,1.0,0,0,0,0,0,0,0,0,0,0", ",".join(["-1"] * 12)]
    text(annotations / "AU_Detection_Challenge" / "Train_Set" / "v1.txt", "\ufeff" + "\r\n".join([AUS_2021, *au]))
    names = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
    expressions = "\n".join([names, "0", "7", "-1", "6"])
    text(
        annotations / "EXPR_Classification_Challenge" / "EXPR_Classification_Challenge" / "Train_Set" / "v1.txt",
        expressions,
    )
    va = "valence,arousal\n1.0002,0.5\n-5,0.5\n\n0.25,-0.25\n0.1,-1.0009\n\n\n"
    text(annotations / "VA_Estimation_Challenge" / "Validation_Set" / "v2_right.txt", va)
    text(annotations / "VA_Estimation_Challenge" / "Validation_Set" / "._v2_right.txt", "rubbish")
    text(root / "__MACOSX" / "AU_Detection_Challenge" / "Train_Set" / "v1.txt", "rubbish")
    return root


def test_aff_wild2_since_2021(aff: Path, tmp_path: Path) -> None:
    prepared = aff_wild2.read(aff, tmp_path)
    v1 = by_frame(Prepared([row for row in prepared.rows if row.video == "v1"]))
    assert {row.split for row in v1.values()} == {"train"} and set(v1) == {0, 1, 2, 3}
    assert list(v1[0].au) == AUS_2021.split(",") and v1[0].au["AU12"] == 1 and v1[0].expression == "neutral"
    assert "AU1" not in v1[1].au and "AU26" not in v1[1].au and v1[1].au["AU2"] == 0  # -1 blanks its column alone
    assert v1[1].expression is None and prepared.dropped["EXPR other"] == 1
    assert (v1[2].au["AU1"], v1[2].au["AU2"], v1[2].expression) == (0, 1, None)
    assert not v1[3].au and v1[3].expression == "surprise" and v1[3].path.endswith("v1/00004.jpg")
    assert prepared.dropped["AU marked as invalid"] == 1 and prepared.dropped["EXPR marked as invalid"] == 1


def test_a_blank_line_does_not_shift_the_frames(aff: Path, tmp_path: Path) -> None:
    prepared = aff_wild2.read(aff, tmp_path)
    rows = by_frame(Prepared([row for row in prepared.rows if row.video == "v2"]))
    assert {i: (row.valence, row.arousal) for i, row in rows.items()} == {
        0: (1, 0.5),
        3: (0.25, -0.25),
        4: (0.1, -1),
    }
    assert (rows[3].person, rows[3].split, Path(rows[3].path).name) == ("v2_right", "valid", "00004.jpg")
    assert prepared.dropped["VA blank line"] == 1 and prepared.dropped["VA marked as invalid"] == 1
    assert prepared.notes["VA clipped to 1 (beyond by at most 0.001)"] == 2
    assert "v2_right.txt: line 4" in prepared.report()


def test_other_as_a_class(aff: Path, tmp_path: Path) -> None:
    rows = by_frame(aff_wild2.read(aff, tmp_path, other="class"))
    assert rows[1].expression == "other"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("AU_Detection_Challenge/Train_Set/v1.txt", f"{AUS_2021}\n{'1,' * 7}1\n", "line 2: cannot be read as AU"),
        ("AU_Detection_Challenge/Train_Set/v1.txt", "header\n1\n", "line 1: should name the action units"),
        ("AU_Detection_Challenge/Train_Set/v1.txt", "AU1,AU1\n1,1\n", "line 1: should name each action unit once"),
        (
            "EXPR_Recognition_Challenge/Train_Set/v1.txt",
            "Neutral\n8\n",
            "line 2: '8' is out of range; allowed: a class",
        ),
        ("EXPR_Recognition_Challenge/Train_Set/v1.txt", "Neutral\n1.5\n", "line 2: '1.5' is no class"),
        ("EXPR_Recognition_Challenge/Train_Set/v1.txt", "Neutral\n1,2\n", "line 2: cannot be read as EXPR: '1,2'"),
        ("VA_Estimation_Challenge/train_set/v1.txt", "v,a\n0,0\n1.01,0\n", "line 3: '1.01' is out of range"),
        ("VA_Estimation_Challenge/Training_Set/v1.txt", "v,a\n0,inf\n", "line 2: 'inf' is not a finite number"),
        ("VA_Estimation_Challenge/Training_Set/v1.txt", "v,a\n0\n", "line 2: cannot be read as VA"),
    ],
)
def test_bad_lines_name_their_place(tmp_path: Path, name: str, content: str, says: str) -> None:
    picture(tmp_path / "cropped_aligned" / "v1" / "00001.jpg")
    text(tmp_path / "annotations" / name, content)
    with pytest.raises(SourceError, match=rf"v1.txt: {says}"):
        aff_wild2.read(tmp_path, tmp_path / "out")


def test_copies_of_a_label_file(aff: Path, tmp_path: Path) -> None:
    first = aff / "annotations" / "6th_ABAW_Annotations" / "AU_Detection_Challenge" / "Train_Set" / "v1.txt"
    copy = aff / "AU_Detection_Challenge" / "Train_Set" / "v1.txt"
    text(copy, first.read_bytes().decode())
    assert len(by_frame(aff_wild2.read(aff, tmp_path))) > 0
    text(copy, f"{AUS_2021}\n{','.join('0' * 12)}\n")
    with pytest.raises(SourceError, match="two different AU files of v1 for train"):
        aff_wild2.read(aff, tmp_path)


def test_a_person_without_crops_is_counted(aff: Path, tmp_path: Path) -> None:
    text(aff / "VA_Set" / "Training_Set" / "v9.txt", "v,a\n0,0\n0,0\n")
    prepared = aff_wild2.read(aff, tmp_path)
    assert prepared.dropped["VA without the person's folder of crops"] == 2
    assert prepared.rows and all(row.video != "v9" for row in prepared.rows)


def test_each_picture_is_looked_at_once(aff: Path, tmp_path: Path) -> None:
    for split in ("Train_Set", "Validation_Set"):  # the same picture in both splits, for two tasks
        text(aff / "annotations" / "VA_Estimation_Challenge" / split / "v1.txt", "v,a\n0,0\n0.5,0.5\n")
    looked = []

    def counting(image: UInt8) -> Array:
        looked.append(image.shape)
        return FIVE[None] / 5

    prepared = aff_wild2.read(aff, tmp_path, find=counting)
    assert len(looked) == len({row.path for row in prepared.rows}) == 7
    assert all(row.landmarks == tuple((x / 5, y / 5) for x, y in FIVE.tolist()) for row in prepared.rows)
    both = [row for row in prepared.rows if row.video == "v1" and row.frame == 0]
    assert [(row.split, bool(row.au), row.valence) for row in both] == [("train", True, 0), ("valid", False, 0)]


def test_crops_without_a_face_and_damaged_ones_are_counted(aff: Path, tmp_path: Path) -> None:
    picture(aff / "cropped_aligned" / "v2_right" / "00001.jpg", level=0)
    (aff / "cropped_aligned" / "v2_right" / "00004.jpg").write_bytes(b"broken")
    prepared = aff_wild2.read(aff, tmp_path, find=find)
    assert (prepared.dropped["no face found"], prepared.dropped["damaged picture"]) == (1, 1)
    assert [row.frame for row in prepared.rows if row.video == "v2"] == [4]


# --- points -----------------------------------------------------------------------------------------------------------


def test_the_face_in_the_middle_is_meant() -> None:
    faces = np.stack([FIVE + 100, FIVE, FIVE / 20 + 40])
    assert points.nearest(faces, (50, 60)) is not None
    assert np.array_equal(points.nearest(faces, (45, 45)), FIVE)  # the nearest is too small to be meant
    assert points.nearest(np.empty((0, 5, 2)), (0, 0)) is None


def test_a_tight_crop_is_given_room() -> None:
    def only_with_room(image: UInt8) -> Array:
        return FIVE[None] if image.shape == (60, 30, 3) else np.empty((0, 5, 2), np.float32)

    found = points.in_crop(np.zeros((40, 20, 3), np.uint8), only_with_room)
    assert np.array_equal(found, FIVE - (5, 10))


def test_points_keep_their_float32() -> None:
    given = np.random.default_rng(0).uniform(0, 300, (5, 2)).astype(np.float32)
    assert np.array_equal(np.array(points.as_points(given), np.float32), given)


# --- DISFA+ -----------------------------------------------------------------------------------------------------------


def test_disfa_plus(tmp_path: Path) -> None:
    root = tmp_path / "src" / "DISFAPlus"
    for unit in disfa.UNITS[:-1]:
        lines = [f"00{i}.jpg     {value}" for i, value in enumerate([0, 1, 2, 5] if unit == 12 else [0] * 4)]
        text(root / "Labels" / "SN001" / "A1_AU1_TrailNo_1" / f"AU{unit}.txt", "\n".join(["#AU", "Frame I", *lines]))
    for i in (0, 1, 2):
        picture(root / "Images" / "SN001" / "A1_AU1_TrailNo_1" / f"00{i}.jpg", level=40 * i, size=120)
    prepared = disfa.read_plus(tmp_path / "src", tmp_path / "out", find=find)
    assert [(row.frame, row.au["AU12"], len(row.au)) for row in prepared.rows] == [(1, 0, 11), (2, 1, 11)]
    assert (prepared.rows[0].video, prepared.rows[0].person) == ("SN001/A1_AU1_TrailNo_1", "SN001")
    assert prepared.dropped == {
        "no face found": 1,
        "without a picture": 1,
        "action unit's file missing (the unit stays blank)": 1,
    }
    text(root / "Labels" / "SN001" / "A1_AU1_TrailNo_1" / "AU1.txt", "a\nb\n000.jpg 7\n")
    with pytest.raises(SourceError, match=r"AU1.txt: '7' is out of range; allowed: 0 to 5"):
        disfa.read_plus(tmp_path / "src", tmp_path / "out", find=find)
    with pytest.raises(SourceError, match=r"is this DISFA\+'s folder"):
        disfa.read_plus(tmp_path, tmp_path / "out", find=find)


# --- RAF-DB -----------------------------------------------------------------------------------------------------------


def test_raf_db(tmp_path: Path) -> None:
    root = tmp_path / "raf" / "basic"
    lines = [f"train_0000{i}.jpg {i}" for i in range(1, 8)] + ["test_0001.jpg 4", "test_0002.jpg 4"]
    text(root / "EmoLabel" / "list_patition_label.txt", "\n".join(lines) + "\n")
    for i in range(1, 8):
        picture(root / "Image" / "aligned" / f"train_0000{i}_aligned.jpg")
    picture(root / "Image" / "aligned" / "test_0001_aligned.jpg", level=0)
    picture(root / "Image" / "original" / "train_00002.jpg")
    # the eye on the right of the picture comes first here
    manual = "70\t40\n30\t40\n50\t60\n65\t80\n35\t80\n1\n0\n2\n"
    text(root / "Annotation" / "manual" / "train_00002_manu_attri.txt", manual)
    prepared = raf_db.read(tmp_path / "raf", tmp_path, find=find)
    names = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
    assert [row.expression for row in prepared.rows] == names and {row.split for row in prepared.rows} == {"train"}
    assert prepared.rows[1].path == "raf/basic/Image/original/train_00002.jpg"
    assert prepared.rows[1].landmarks == tuple((float(x), float(y)) for x, y in FIVE)
    assert prepared.rows[0].path.endswith("aligned/train_00001_aligned.jpg") and prepared.rows[0].landmarks
    assert prepared.dropped == {"no face found": 1, "without a picture": 1}
    blank = raf_db.read(tmp_path / "raf", tmp_path)
    assert blank.rows[7].split == "valid" and blank.rows[0].landmarks is None
    for line, says in (("train_1.jpg 8", "'8' is no class; allowed: 1 to 7"), ("x.jpg 1", "cannot read 'x.jpg 1'")):
        text(root / "EmoLabel" / "list_patition_label.txt", line)
        with pytest.raises(SourceError, match=rf"list_patition_label.txt: line 1: {says}"):
            raf_db.read(tmp_path / "raf", tmp_path)
    with pytest.raises(SourceError, match="is this RAF-DB's folder"):
        raf_db.read(root / "Image", tmp_path)


# --- AffectNet --------------------------------------------------------------------------------------------------------


def annotate(
    folder: Path, name: str, expression: object, valence: object, arousal: object, landmarks: Array | None
) -> None:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for what, value in (("exp", expression), ("val", valence), ("aro", arousal), ("lnd", landmarks)):
        if value is not None:
            np.save(folder / "annotations" / f"{name}_{what}.npy", np.asarray(value))


def test_affectnet(tmp_path: Path) -> None:
    many = np.zeros((68, 2))
    many[36:42], many[42:48], many[30], many[48], many[54] = FIVE
    train, valid = tmp_path / "a" / "train_set", tmp_path / "a" / "val_set"
    for i in range(8):
        annotate(train, str(i), str(i), "0.5", np.float64(-0.25), many.ravel())  # numbers are texts in the real set
    annotate(train, "10", 8, 0, 0, many.ravel())
    annotate(train, "11", 0, -2, -2, many.ravel() + 1000)
    annotate(train, "12", 0, None, 0, None)
    annotate(train, "13", 0, 0, 0, None)
    annotate(train, "14", 0, 0, 0, None)
    annotate(valid, "0", 7, 0, 0, many.ravel())
    for i in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12):
        picture(train / "images" / f"{i}.jpg", size=120)
    picture(train / "images" / "13.jpg", level=0)
    picture(valid / "images" / "0.jpg", size=120)
    prepared = affectnet.read(tmp_path / "a", tmp_path, find=find)
    names = [
        "neutral",
        "happiness",
        "sadness",
        "surprise",
        "fear",
        "disgust",
        "anger",
        "contempt",
        "neutral",
        "contempt",
    ]
    assert [row.expression for row in prepared.rows] == names and prepared.rows[-1].split == "valid"
    first = prepared.rows[0]
    assert (first.valence, first.arousal) == (0.5, -0.25) and first.landmarks == tuple((*map(float, p),) for p in FIVE)
    unlabelled = prepared.rows[8]
    assert unlabelled.valence is None and unlabelled.landmarks is not None  # found again: the set's lie elsewhere
    assert prepared.notes == {"without valence and arousal": 1, "points found by the detector": 1}
    assert prepared.dropped == {
        "class none": 1,
        "annotation missing or damaged": 1,
        "no points found": 1,
        "without a picture": 1,
    }
    annotate(valid, "0", 7, 1.5, 0, None)
    with pytest.raises(SourceError, match=r"0_val.npy: '1.5' is out of range; allowed: -1 to 1, or -2"):
        affectnet.read(tmp_path / "a", tmp_path)


# --- BP4D -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["2D+3D", "."])
def test_bp4d(tmp_path: Path, folder: str) -> None:
    text(tmp_path / "AUCoding" / "F001_T1.csv", "0,1,12,25\n5,1,0,9\n6,9,9,9\n7,0,1,1\n8,0,0,0\n\n9,0,0,1\n")
    for frame in (5, 7, 9):
        picture(tmp_path / folder / "F001" / "T1" / f"{frame:04d}.jpg", level=0 if frame == 9 else 90, size=120)
    prepared = bp4d.read(tmp_path, tmp_path / "out", find=find)
    assert [(row.frame, row.au) for row in prepared.rows] == [
        (5, {"AU1": 1, "AU12": 0}),
        (7, {"AU1": 0, "AU12": 1, "AU25": 1}),
    ]
    assert (prepared.rows[0].person, prepared.rows[0].video) == ("F001", "F001_T1") and prepared.rows[0].landmarks
    assert prepared.dropped == {"coded as not known": 1, "without a picture": 1, "blank line": 1, "no face found": 1}
    for content, says in (
        ("0,1,12\n5,1,2\n", "line 2: '2' is no code; allowed: 0, 1, or 9"),
        ("0,1,12\n5,1\n", "line 2: has 2 values, the first line 3"),
        ("0,one\n5,1\n", "line 1: should number the action units"),
    ):
        text(tmp_path / "AUCoding" / "F001_T1.csv", content)
        with pytest.raises(SourceError, match=rf"F001_T1.csv: {says}"):
            bp4d.read(tmp_path, tmp_path / "out", find=find)


def test_bp4d_pictures_elsewhere(tmp_path: Path) -> None:
    text(tmp_path / "AUCoding" / "AU_OCC" / "M016_T7.csv", "BP4D,6\n3,1\n")
    picture(tmp_path / "frames" / "M016-T7" / "img_3.png", size=120)
    how = "frames/{subject}-{task}/img_{frame}.png"
    assert bp4d.read(tmp_path, tmp_path / "out", find=find, pictures=how).rows[0].au == {"AU6": 1}
    assert bp4d.read(tmp_path, tmp_path / "out", find=find).dropped == {"without a picture": 1}
    with pytest.raises(SourceError, match=r"--pictures x\.jpg: should hold"):
        bp4d.read(tmp_path, tmp_path / "out", find=find, pictures="x.jpg")


# --- any CSV ----------------------------------------------------------------------------------------------------------


def test_generic_csv(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "pics" / name)
    content = (
        "file,subject,emo,Val,arousal,AU12,au_4,clip,n\na.png,s1,1,-10,5,3,0,c,7\nb.png,,8,,,,1,,\nc.png,,0,0,0,,,,\n"
    )
    text(tmp_path / "x.csv", content)
    columns = {"file": "path", "subject": "person", "emo": "expression", "Val": "valence", "au_4": "AU04"}
    columns |= {"clip": "video", "n": "frame"}

    def read(**options: object) -> Prepared:
        given = {"pictures": tmp_path / "pics", "columns": columns, "va_range": (-10.0, 10.0), "au_at": 2.0}
        given |= {"expressions": {"0": "neutral", "1": "pain", "8": ""}}
        return generic_csv.read(tmp_path / "x.csv", tmp_path, **{**given, **options})

    prepared = read(find=find)
    one, two = prepared.rows
    assert (one.path, one.set, one.split, one.person, one.video, one.frame) == (
        "pics/a.png",
        "csv",
        "train",
        "s1",
        "c",
        7,
    )
    assert (one.expression, one.valence, one.arousal, one.au) == ("pain", -1, 0.5, {"AU12": 1, "AU4": 0})
    assert two.expression is None and two.valence is None and two.au == {"AU4": 0} and two.landmarks
    assert prepared.dropped == {"without a picture": 1} and read().rows[0].landmarks is None
    for options, says in (
        ({"expressions": {"0": "neutral"}}, r"line 2, column 'emo': '1' has no name; --expression-names knows 0"),
        ({"va_range": (-5.0, 5.0)}, r"line 2, column 'Val': '-10' is out of range; allowed: -5 to 5"),
        ({"au_at": None}, r"line 2, column 'AU12': '3' is out of range; .*--au-at 2"),
        ({"columns": {**columns, "gone": "AU1"}}, "has no column 'gone'; it has: file, subject"),
        ({"columns": {**columns, "n": "laughter"}}, "--map n=laughter: no label 'laughter'; allowed: path"),
        ({"columns": {**columns, "n": "AU4"}}, "two columns, 'au_4' and 'n', are 'AU4'"),
        ({"columns": {}}, "no column is 'path'; give --map COLUMN=path"),
    ):
        with pytest.raises(SourceError, match=says):
            read(**options)
    text(tmp_path / "x.csv", "file,Val,arousal\na.png,1,\n")
    with pytest.raises(SourceError, match=r"line 2, column 'arousal': is blank, but valence is not"):
        read(columns={"file": "path", "Val": "valence"}, expressions=None)


def test_generic_csv_with_its_own_points(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    head = "path,split,valence,arousal,votes_neutral," + ",".join(points_columns())
    text(tmp_path / "x.csv", f"{head}\na.png,dev,0.1,0.2,3,{','.join(str(v) for v in FIVE.ravel())}\n")
    prepared = generic_csv.read(tmp_path / "x.csv", tmp_path, pictures=tmp_path, columns={})
    (row,) = prepared.rows
    assert row.split == "dev" and row.votes == {"neutral": 3} and math.isclose(row.valence or 0, 0.1)
    assert row.landmarks == tuple((float(x), float(y)) for x, y in FIVE)


def points_columns() -> tuple[str, ...]:
    from affectkit.train.datasets.labels import POINT_COLUMNS

    return POINT_COLUMNS
