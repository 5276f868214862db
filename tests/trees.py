"""Small trees in the original layouts of the data sets, whose faces show their labels (:mod:`learnable`).

Labels are drawn again for every frame: one that lands on the frame beside its own says nothing of it. Each function
returns what the layout says of every picture that can be used; what a layout holds beside that (frames marked invalid,
missing crops, blank lines) is the traps that its readers have to see, with their number in ``Tree.unusable``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from learnable import SPOTS, Look, Shown, expression_name, random_look, show
from synthetic import write_clip

from affectkit.spec import InputSpec
from affectkit.types import EXPRESSION_NAMES, UInt8

Labels = dict[str, float | str]
"""``AU1`` ..., ``expression``, ``valence``, ``arousal``: those that the set says of a picture."""

ALIGNED = InputSpec(112, 3, "arcface")
"""What Aff-Wild2's cropped_aligned shows."""

PAPER_AUS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")
ABAW_AUS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
DISFA_AUS = ("AU1", "AU2", "AU4", "AU5", "AU6", "AU9", "AU12", "AU15", "AU17", "AU20", "AU25", "AU26")
BP4D_AUS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU17", "AU23", "AU24")
BP4D_COLUMNS = ("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU10", "AU12", "AU14", "AU15", "AU17", "AU23", "AU24")
"""As BP4D's files have more columns than its coders filled: AU5 and AU14 are 9, not coded, everywhere here."""

SHOWS = {0: 0.0, 1: 0.1, 2: 0.75, 3: 0.85, 4: 0.9, 5: 1.0}
"""How much of a unit shows at an intensity; it counts as active from 2 on."""


@dataclass(frozen=True, slots=True)
class Written:
    """One face that a set has labels for."""

    picture: str
    """Name of its picture, or of the video, without folder and suffix."""
    split: str
    labels: Labels
    shown: Shown
    video: str | None = None
    frame: int | None = None
    """In the video or folder, counted as the set's files are, from 0."""
    person: str | None = None


@dataclass(slots=True)
class Tree:
    """What a function wrote."""

    root: Path
    faces: list[Written] = field(default_factory=list)
    unusable: int = 0
    """Labels or frames that cannot be used."""

    def tasks(self) -> set[str]:
        """Which of expression, au and va the set labels."""
        names = {name for face in self.faces for name in face.labels}
        found = {"au"} if any(name.startswith("AU") for name in names) else set()
        return found | {task for task, name in (("expression", "expression"), ("va", "valence")) if name in names}


def labels_of(look: Look, *, au: Sequence[str] = (), expression: bool = False, va: bool = False) -> Labels:
    """What a set that labels these things says of a face with this look."""
    labels: Labels = {name: float(look.au[name] > 0.5) for name in au}
    if expression:
        labels["expression"] = expression_name(look.expression)
    if va:
        labels |= {"valence": look.valence, "arousal": look.arousal}
    return labels


def save(image: UInt8, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, 93] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image, options)


def text(path: Path, lines: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


# --- Aff-Wild2 --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Generation:
    """What the two forms of Aff-Wild2's annotations differ in."""

    folders: Mapping[str, str]
    splits: Mapping[str, str]
    au: tuple[str, ...]
    expressions: int


AFF_WILD2_2020 = _Generation(
    {"AU": "AU_Set", "EXPR": "EXPR_Set", "VA": "VA_Set"},
    {"train": "Training_Set", "valid": "Validation_Set"},
    PAPER_AUS,
    7,
)
AFF_WILD2_2022 = _Generation(
    {"AU": "AU_Detection_Challenge", "EXPR": "EXPR_Classification_Challenge", "VA": "VA_Estimation_Challenge"},
    {"train": "Train_Set", "valid": "Validation_Set"},
    ABAW_AUS,
    8,
)

AFF_WILD2_VIDEOS: dict[str, tuple[str, str, int]] = {
    "4-30-1920x1080": ("train", "AU EXPR VA", 60),
    "11-24-1920x1080": ("train", "AU VA", 60),
    "video5_left": ("train", "AU EXPR", 40),
    "video5_right": ("train", "EXPR VA", 40),
    "18-24-640x480": ("train", "AU EXPR VA", 60),
    "101": ("train", "AU EXPR VA", 60),
    "102": ("train", "AU EXPR VA", 60),
    "282": ("valid", "AU EXPR VA", 45),
    "450": ("valid", "AU EXPR VA", 45),
}
"""Split, tasks that are labelled, frames."""


def aff_wild2_2020(root: Path, seed: int = 0) -> Tree:
    """As the published scripts read it: ``AU_Set``, ``EXPR_Set``, ``VA_Set`` beside ``cropped_aligned``."""
    return _aff_wild2(root, root, AFF_WILD2_2020, seed)


def aff_wild2_2022(root: Path, seed: int = 0) -> Tree:
    """As given out since 2021: 12 AUs, eight expressions, other folders, and what its files really hold.

    Annotations lie beside ``cropped_aligned``; single units are -1, some values are written ``0.0``, one valence is
    1.0002, and one line of a file is blank.
    """
    return _aff_wild2(root, root / "Third ABAW Annotations", AFF_WILD2_2022, seed)


def _aff_wild2(root: Path, annotations: Path, how: _Generation, seed: int) -> Tree:
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    for person, (split, tasks, count) in AFF_WILD2_VIDEOS.items():
        looks = [random_look(rng, expressions=how.expressions) for _ in range(count)]
        lines: dict[str, list[str]] = {}
        said: list[Labels] = [{} for _ in looks]
        for task in tasks.split():
            lines[task], labels = _aff_wild2_lines(task, looks, how, rng)
            for frame, part in enumerate(labels):
                said[frame] |= part
        for task, of_task in lines.items():
            path = annotations / how.folders[task] / how.splits[split] / f"{person}.txt"
            text(path, [_aff_wild2_header(task, how), *of_task])
        for frame, look in enumerate(looks):
            if rng.random() < 0.04:  # no face was found there
                tree.unusable += 1
                continue
            shown = show(look, rng, aligned=ALIGNED)
            save(shown.image, root / "cropped_aligned" / person / f"{frame + 1:05d}.jpg")
            if said[frame]:
                video = person.removesuffix("_left").removesuffix("_right")
                tree.faces.append(Written(f"{frame + 1:05d}", split, said[frame], shown, video, frame, person))
    return tree


def _aff_wild2_header(task: str, how: _Generation) -> str:
    if task == "AU":
        return ",".join(how.au)
    names = ["Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other"]
    return ",".join(names[: how.expressions]) if task == "EXPR" else "valence,arousal"


def _aff_wild2_lines(
    task: str, looks: Sequence[Look], how: _Generation, rng: np.random.Generator
) -> tuple[list[str], list[Labels]]:
    """A label file without its header, and what it says of each frame."""
    lines: list[str] = []
    said: list[Labels] = []
    later = how is AFF_WILD2_2022
    for frame, look in enumerate(looks):
        labels = labels_of(look, au=how.au if task == "AU" else (), expression=task == "EXPR", va=task == "VA")
        line = _aff_wild2_line(labels, decimals=later and frame % 2 == 1)
        if later and frame == 20:  # in the middle of the file; the frame has no label, the later ones theirs
            line, labels = "", {}
        elif rng.random() < 0.05:
            invalid = {"AU": ",".join(["-1"] * len(how.au)), "EXPR": "-1", "VA": "-5,-5"}
            line, labels = invalid[task], {}
        elif later and task == "AU" and rng.random() < 0.2:  # one unit could not be seen
            k = int(rng.integers(len(how.au)))
            line = ",".join("-1" if i == k else value for i, value in enumerate(line.split(",")))
            del labels[how.au[k]]
        elif later and task == "VA" and frame == 7:
            line, labels = f"1.0002,{labels['arousal']}", {"valence": 1.0, "arousal": labels["arousal"]}
        if labels.get("expression") == "other":
            labels = {}  # the rule that is the default
        lines.append(line)
        said.append(labels)
    return lines, said


def _aff_wild2_line(labels: Labels, *, decimals: bool) -> str:
    if "expression" in labels:
        return str((*EXPRESSION_NAMES, "other").index(str(labels["expression"])))
    if "valence" in labels:
        return f"{labels['valence']},{labels['arousal']}"
    return ",".join(str(float(value) if decimals else int(value)) for value in labels.values())


# --- sets of videos ---------------------------------------------------------------------------------------------------


def _intensities(rng: np.random.Generator, names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, rng.choice(6, len(names), p=[0.45, 0.2, 0.1, 0.1, 0.1, 0.05]).tolist(), strict=True))


def _at_intensities(look: Look, intensity: Mapping[str, int]) -> Look:
    others = {name: value for name, value in look.au.items() if name not in intensity}
    shown = {name: SHOWS[value] for name, value in intensity.items()}
    return Look(others | shown, look.expression, look.valence, look.arousal)


def disfa(root: Path, seed: int = 0, *, first: int = 1, subjects: int = 7, frames: int = 40) -> Tree:
    """``ActionUnit_Labels/SN001/SN001_au1.txt`` and ``Videos_LeftCamera``; the last subject's video is missing."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    (root / "Videos_LeftCamera").mkdir(parents=True)
    for k in range(subjects + 1):
        subject = f"SN{first + k:03d}"
        units = [_intensities(rng, DISFA_AUS) for _ in range(frames)]
        for name in DISFA_AUS:
            lines = [f"{frame + 1},{intensity[name]}" for frame, intensity in enumerate(units)]
            text(root / "ActionUnit_Labels" / subject / f"{subject}_{name.lower()}.txt", lines)
        if k == subjects:
            tree.unusable = frames
            continue
        video = f"LeftVideo{subject}_comp"
        shown = [show(_at_intensities(random_look(rng), intensity), rng) for intensity in units]
        write_clip(root / "Videos_LeftCamera" / f"{video}.avi", [face.image for face in shown], fps=20)
        for frame, face in enumerate(shown):
            labels: Labels = {name: float(value >= 2) for name, value in units[frame].items()}
            tree.faces.append(Written(video, "train", labels, face, video, frame, subject))
    return tree


def disfa_plus(root: Path, seed: int = 0, *, first: int = 1, subjects: int = 7, frames: int = 20) -> Tree:
    """``Labels/SN001/A1_AU1_TrailNo_1/AU1.txt`` with lines ``000.jpg 0``, and ``Images`` with the same folders."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    for k in range(subjects):
        subject = f"SN{first + k:03d}"
        for trial in ("A1_AU1_TrailNo_1", "Y_HappyDescribed_TrailNo_2"):
            units = [_intensities(rng, DISFA_AUS) for _ in range(frames)]
            for name in DISFA_AUS:
                lines = [f"{frame:03d}.jpg\t\t{intensity[name]}" for frame, intensity in enumerate(units)]
                text(root / "Labels" / subject / trial / f"{name}.txt", lines)
            for frame, intensity in enumerate(units):
                face = show(_at_intensities(random_look(rng), intensity), rng)
                save(face.image, root / "Images" / subject / trial / f"{frame:03d}.jpg")
                labels: Labels = {name: float(value >= 2) for name, value in intensity.items()}
                tree.faces.append(Written(f"{frame:03d}", "train", labels, face, f"{subject}/{trial}", frame, subject))
    return tree


def afew_va(root: Path, seed: int = 0, *, first: int = 1, clips: int = 12, frames: int = 24) -> Tree:
    """A folder a clip with PNG frames and a JSON; whole numbers of -10 to 10; one frame has no landmarks."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    for k in range(clips):
        clip = f"{first + k:03d}"
        said: dict[str, object] = {}
        for frame in range(frames):
            valence, arousal = rng.integers(-10, 11, 2).tolist()
            drawn = random_look(rng)
            face = show(Look(drawn.au, drawn.expression, valence / 10, arousal / 10), rng)
            name = f"{frame:05d}"
            save(face.image, root / clip / f"{name}.png")
            points = face.points68().round(3).tolist()
            said[name] = {"landmarks": points, "valence": float(valence), "arousal": float(arousal)}
            if k == 0 and frame == 3:
                said[name] = {"landmarks": [], "valence": float(valence), "arousal": float(arousal)}
                tree.unusable += 1
                continue
            labels: Labels = {"valence": valence / 10, "arousal": arousal / 10}
            tree.faces.append(Written(name, "train", labels, face, clip, frame, f"actor {k % 6}"))
        document = {"video_id": clip, "actor": f"actor {k % 6}", "frames": said}
        text(root / clip / f"{clip}.json", [json.dumps(document)])
    return tree


def bp4d(root: Path, seed: int = 0, *, first: int = 1, subjects: int = 4, frames: int = 35) -> Tree:
    """``AUCoding/AU_OCC/F001_T1.csv``: units in the first row, frame numbers in the first column, 9 for not coded."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    for k in range(subjects):
        subject = f"{'FM'[k % 2]}{first + k:03d}"
        for task in ("T1", "T8"):
            begin = 100 + 7 * k
            lines = [",".join(["0", *(name[2:] for name in BP4D_COLUMNS)])]
            for frame in range(begin, begin + frames):
                look = random_look(rng)
                labels = labels_of(look, au=BP4D_AUS)
                if rng.random() < 0.1:
                    del labels[BP4D_AUS[int(rng.integers(len(BP4D_AUS)))]]
                lines.append(",".join([str(frame), *(f"{labels.get(name, 9):.0f}" for name in BP4D_COLUMNS)]))
                face = show(look, rng)
                save(face.image, root / "2D+3D" / subject / task / f"{frame:04d}.jpg")
                tree.faces.append(Written(f"{frame:04d}", "train", labels, face, f"{subject}_{task}", frame, subject))
            text(root / "AUCoding" / "AU_OCC" / f"{subject}_{task}.csv", lines)
    return tree


# --- sets of pictures -------------------------------------------------------------------------------------------------


def expw(root: Path, seed: int = 0, *, count: int = 300) -> Tree:
    """``label.lst`` and ``origin/``; every other picture has two faces; one line names a picture that is not there."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    codes = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    lines: list[str] = []
    while len(tree.faces) < count:
        name = f"angry_actor_{seed}_{len(lines)}"
        shown = [show(random_look(rng, expressions=7), rng) for _ in range(1 + len(lines) // 2 % 2)]
        for k, face in enumerate(shown):
            centre, side = face.points.mean(0) + np.array([176 * k, 0]), 82
            left, top = np.round(centre - side / 2).astype(int).tolist()
            labels = labels_of(face.look, expression=True)
            code = codes.index(str(labels["expression"]))
            lines.append(f"{name}.jpg {k} {top} {left} {left + side} {top + side} {rng.uniform(20, 90):.4f} {code}")
            tree.faces.append(Written(f"{name}_{k}", "train", labels, face))
        save(np.concatenate([face.image for face in shown], axis=1), root / "origin" / f"{name}.jpg")
    tree.unusable = 1
    text(root / "label.lst", [*lines, "gone.jpg 0 10 10 60 60 50.0 1"])
    return tree


def raf_db(root: Path, seed: int = 0, *, train: int = 260, test: int = 80) -> Tree:
    """``EmoLabel/list_patition_label.txt``, pictures as found and aligned, five points by hand."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    codes = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    lines = []
    for split, count, digits in (("train", train, 5), ("test", test, 4)):
        for k in range(1, count + 1):
            name = f"{split}_{k:0{digits}d}"
            face = show(random_look(rng, expressions=7), rng)
            labels = labels_of(face.look, expression=True)
            lines.append(f"{name}.jpg {codes.index(str(labels['expression'])) + 1}")
            save(face.image, root / "basic" / "Image" / "original" / f"{name}.jpg")
            matrix = cv2.getRotationMatrix2D((0, 0), 0, 1)
            matrix[:, 2] = 49.5 - face.points.mean(0)
            aligned = cv2.warpAffine(face.image, matrix, (100, 100), borderMode=cv2.BORDER_REPLICATE)
            save(np.asarray(aligned, np.uint8), root / "basic" / "Image" / "aligned" / f"{name}_aligned.jpg")
            points = [f"{x:.3f}\t{y:.3f}" for x, y in face.points.tolist()]
            text(root / "basic" / "Annotation" / "manual" / f"{name}_manu_attri.txt", [*points, 0, 0, 2])
            tree.faces.append(Written(name, "train" if split == "train" else "valid", labels, face))
    text(root / "basic" / "EmoLabel" / "list_patition_label.txt", lines)
    return tree


def affectnet(root: Path, seed: int = 0, *, train: int = 280, valid: int = 80) -> Tree:
    """``train_set/images/0.jpg`` and ``train_set/annotations/0_{exp,val,aro,lnd}.npy``, eight expressions."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    codes = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
    for split, folder, count in (("train", "train_set", train), ("valid", "val_set", valid)):
        for k in range(count):
            face = show(random_look(rng), rng)
            name = expression_name(face.look.expression, "contempt")
            labels: Labels = {"expression": name, "valence": face.look.valence, "arousal": face.look.arousal}
            notes = root / folder / "annotations"
            notes.mkdir(parents=True, exist_ok=True)
            np.save(notes / f"{k}_exp.npy", np.array(str(codes.index(name))))
            np.save(notes / f"{k}_val.npy", np.array(str(face.look.valence)))
            np.save(notes / f"{k}_aro.npy", np.array(str(face.look.arousal)))
            np.save(notes / f"{k}_lnd.npy", face.points68().astype(np.float64).ravel())
            save(face.image, root / folder / "images" / f"{k}.jpg")
            tree.faces.append(Written(str(k), split, labels, face))
    return tree


def generic(root: Path, seed: int = 0, *, count: int = 300, persons: int = 20) -> Tree:
    """``labels.csv`` with names of its own for everything, beside ``faces/``."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    lines = ["file,subject,smile,frown,feeling,pleasure,energy"]
    for k in range(count):
        face = show(random_look(rng, expressions=7), rng)
        labels = labels_of(face.look, au=("AU12", "AU4"), expression=True, va=True)
        person = f"{seed}-{k % persons}"
        lines.append(",".join([f"faces/{k:04d}.png", person, *map(str, labels.values())]))
        save(face.image, root / "faces" / f"{k:04d}.png")
        tree.faces.append(Written(f"{k:04d}", "train", labels, face, person=person))
    text(root / "labels.csv", lines)
    return tree


GENERIC_OPTIONS = tuple(
    word
    for pair in (
        *("file=path", "subject=person", "smile=AU12", "frown=AU4"),
        *("feeling=expression", "pleasure=valence", "energy=arousal"),
    )
    for word in ("--map", pair)
)
"""What ``prepare csv`` has to be told of ``labels.csv``."""


def ferplus(root: Path, seed: int = 0) -> Tree:
    """``FER2013Train/label.csv`` with ten votes a picture, grey and 48 px, without points."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    order = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
    for folder, split, count in (("FER2013Train", "train", 300), ("FER2013Valid", "valid", 80)):
        lines = []
        for k in range(count):
            face = show(random_look(rng, expressions=7), rng, aligned=InputSpec(48, 3, "tight"))
            grey = cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY)
            labels = labels_of(face.look, expression=True)
            votes = [0] * 10
            votes[order.index(str(labels["expression"]))] = 8
            votes[int(rng.integers(7))] += 2
            save(np.asarray(grey, np.uint8), root / folder / f"fer{k:07d}.png")
            lines.append(",".join([f"fer{k:07d}.png", '"(0, 0, 48, 48)"', *map(str, votes)]))
            tree.faces.append(Written(f"{folder}/fer{k:07d}", split, labels, face))
        text(root / folder / "label.csv", lines)
    return tree


def facial_expressions(root: Path, seed: int = 0) -> Tree:
    """``images/`` and ``data/legend.csv``, with the person in the name and eight expressions."""
    import zlib

    rng = np.random.default_rng(seed)
    tree = Tree(root)
    lines = ["user.id,image,emotion"]
    for k in range(380):
        person = f"Person_{k % 40}"
        name = f"{person}_{k:04d}"
        face = show(random_look(rng), rng, aligned=InputSpec(140, 3, "arcface", margin=1.3))
        emotion = expression_name(face.look.expression, "contempt")
        labels: Labels = {} if emotion == "contempt" else {"expression": emotion}
        lines.append(f"8,{name}.jpg,{emotion.upper() if k % 2 else emotion}")
        save(face.image, root / "images" / f"{name}.jpg")
        split = "valid" if zlib.crc32(person.encode()) % 5 == 0 else "train"
        tree.faces.append(Written(name, split, labels, face, person=person))
    text(root / "data" / "legend.csv", lines)
    return tree


assert set(ABAW_AUS) | set(DISFA_AUS) | set(PAPER_AUS) | set(BP4D_AUS) <= set(SPOTS)
