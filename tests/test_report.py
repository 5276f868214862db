"""``affectkit train report``: the page's numbers by hand, its pictures, and that hostile names do not break it."""

from __future__ import annotations

import base64
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from patterns import NAN
from written_run import LABELS, dev_answers, epoch_line, write_run

from affectkit.train.options import read_sets
from affectkit.train.report import write_report
from affectkit.train.report.answers import DevAnswers, read_answers
from affectkit.train.report.html import Markup, element, number
from affectkit.train.report.intervals import intervals
from affectkit.train.report.scores import calibration, class_scores, dev_scores, unit_scores, va_scores
from affectkit.train.report.worst import worst
from affectkit.train.run_folder import now

Cli = Callable[..., tuple[int, str, str]]

VOID = {"img", "meta", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A page read strictly: every element is closed in order, every id is there once, every link leads somewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.titles: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"
        ids = [values["id"] for _, values in self.attributes if "id" in values]
        assert len(set(ids)) == len(ids)
        for _, values in self.attributes:
            target = values.get("href")
            assert target is None or target[1:] in ids, target

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag in ("h1", "h2", "h3"):
            self.titles.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.words.append(data)
        if self._open and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
        if self._open and self._open[-1] in ("h1", "h2", "h3"):
            self.titles[-1] += data

    @property
    def text(self) -> str:
        """What a reader sees, in one line."""
        return " ".join(" ".join(self.words).split())

    def row(self, first: str) -> list[str]:
        """The cells of the table row that begins with this."""
        return next(row for row in self.rows if row and row[0] == first)

    def pictures(self, kind: str) -> list[str]:
        """The pictures of this MIME type."""
        found = [values.get("src") or "" for tag, values in self.attributes if tag == "img"]
        return [src for src in found if src.startswith(f"data:{kind};base64,")]


def page_of(run: Path) -> Page:
    output = run.parent / "page.html"
    write_report(run, output, overwrite=True)
    return Page(output.read_text(encoding="utf-8"))


def answers(**changes: Any) -> DevAnswers:
    values = dev_answers(**changes)
    names = ("names", "expressions", "action_units")
    return DevAnswers(**{key: tuple(map(str, one)) if key in names else one for key, one in values.items()})


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", dev=dev_answers())


@pytest.fixture
def readable(tmp_path: Path) -> Path:
    """A run whose data is there: 60 pictures, of which a checksum of the pixels makes some the dev part."""
    rng = np.random.default_rng(0)
    names = [f"FER2013Train/{k}.png" for k in range(60)]
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for name in names:
            picture = cv2.resize(rng.integers(0, 256, (6, 6)).astype(np.uint8), (48, 48))
            archive.writestr(name, cv2.imencode(".png", picture)[1].tobytes())
    rows = [f"{name},{('anger', 'happiness', 'sadness')[k % 3]},{k % 2}" for k, name in enumerate(names)]
    (tmp_path / "faces.csv").write_text("\n".join(["image,expression,AU12", *rows]) + "\n")
    data = {"labels": [str(tmp_path / "faces.csv")], "images": [str(tmp_path / "faces.zip")]}
    options = {"labels": (tmp_path / "faces.csv",), "images": (tmp_path / "faces.zip",), "landmarks": ()}
    _, dev = read_sets(
        {
            **options,
            "manifests": (),
            "tasks": ("expression", "au"),
            "share": 1.0,
            "dev": None,
            "au_at": None,
            "leave_out": (),
        }
    )
    n = len(dev)
    expressions = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
    p = rng.dirichlet(np.ones(7), n)
    stored = dev_answers(
        names=np.array(dev.names),
        expression=dev.expression,
        expressions=np.array(expressions),
        expression_probability=p,
        au=np.array([[int(name.split("/")[1][:-4]) % 2] for name in dev.names], float),
        au_probability=rng.random((n, 1)),
        au_thresholds=np.array([0.5]),
        action_units=np.array(["AU12"]),
        va=np.full((n, 2), NAN),
        va_predicted=rng.uniform(-1, 1, (n, 2)),
    )
    return write_run(tmp_path / "run", dev=stored, data={**data, "tasks": ["expression", "au"], "share": 1.0})


# --- numbers by hand --------------------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    a = answers()
    assert a.confusion().tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 1]]
    neutral, happiness, contempt = class_scores(a.expressions, a.confusion())
    assert (neutral.precision, neutral.recall, neutral.support, neutral.answered) == (1, 0.5, 2, 1)
    assert (happiness.precision, happiness.recall) == pytest.approx((2 / 3, 1))
    assert [one.f1 for one in (neutral, happiness, contempt)] == pytest.approx([2 / 3, 0.8, 1])
    one, twelve = unit_scores(a)
    assert (one.labelled, one.base_rate, one.threshold) == (5, 0.6, 0.5)
    assert (one.f1, one.best_f1) == pytest.approx((2 / 3, 0.75))
    assert (twelve.labelled, twelve.base_rate, twelve.f1, twelve.best_f1) == (4, 0.5, 1, 1)
    assert twelve.ece == pytest.approx((0.2 + 0.7 + 0.1 + 0.1) / 4)
    va = va_scores(a)
    assert (va["valence"]["ccc"], va["valence"]["rmse"]) == pytest.approx((0.25, 0.5))
    assert (va["arousal"]["ccc"], va["arousal"]["rmse"], va["valence"]["bias"]) == pytest.approx((1, 0, -0.25))
    found = dev_scores(a)
    assert found["ece"] == pytest.approx(0.2 * 3 / 5 + 0.6 / 5 + 0.3 / 5)
    assert found["expression"]["accuracy"] == 0.8 and found["au"]["f1"]["AU1"] == pytest.approx(2 / 3)


def test_what_has_no_labels_is_nothing() -> None:
    blank = answers(expression=np.full(6, NAN), au=np.full((6, 2), NAN), va=np.full((6, 2), NAN))
    assert dev_scores(blank) == {"count": 6, "expression": None, "au": None, "va": None, "ece": None}
    assert [one.labelled for one in unit_scores(blank)] == [0, 0]
    never = class_scores(("a", "b"), np.array([[0, 0], [1, 1]]))[0]
    assert np.isnan(never.recall) and never.precision == 0 and never.f1 == 0


def test_calibration_of_soft_labels() -> None:
    found = calibration(np.array([0.25, 0.29, 1.0]), np.array([0.2, 0.4, 1.0]), bins=10)
    assert found.count.tolist() == [0, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    assert found.error == pytest.approx((2 * abs(0.27 - 0.3) + 0) / 3)


def test_the_worst_come_first_and_unlabelled_ones_not_at_all() -> None:
    assert worst(np.array([0.1, NAN, 3.0, 0.5, 3.0]), 3).tolist() == [2, 4, 3]


def test_intervals_hold_the_score_and_grow_with_fewer_faces() -> None:
    rng = np.random.default_rng(1)

    def drawn(n: int) -> DevAnswers:
        p = rng.dirichlet(np.ones(3), n)
        truth = np.where(rng.random(n) < 0.7, p.argmax(1), rng.integers(0, 3, n)).astype(float)
        au = rng.random((n, 2))
        va = rng.uniform(-1, 1, (n, 2))
        return answers(
            names=np.array([str(k) for k in range(n)]),
            expression=truth,
            expression_probability=p,
            au=np.where(rng.random((n, 2)) < 0.2, NAN, au + rng.normal(0, 0.2, (n, 2)) >= 0.5),
            au_probability=au,
            va=va,
            va_predicted=va + rng.normal(0, 0.3, (n, 2)),
        )

    few, many = drawn(100), drawn(2000)
    narrow, wide = intervals(many), intervals(few)
    scores = dev_scores(many)
    points = {
        "accuracy": scores["expression"]["accuracy"],
        "macro_f1": scores["expression"]["macro_f1"],
        "au_f1": scores["au"]["f1"]["mean"],
        **{name: scores["va"][name]["ccc"] for name in ("valence", "arousal")},
    }
    assert set(points) == set(narrow)
    for name, point in points.items():
        small, large = narrow[name], wide[name]
        assert small is not None and large is not None and small[0] < point < small[1]
        assert large[1] - large[0] > 2 * (small[1] - small[0])
    low, high = narrow["accuracy"] or (0, 0)
    share = points["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * (share * (1 - share) / 2000) ** 0.5, rel=0.15), "the binomial's"
    assert intervals(many) == narrow and set(intervals(answers()).values()) == {None}


def test_numbers_as_theses_print_them() -> None:
    assert [number(v) for v in (0.871, 1.0, 0.0, -0.04, -0.001, 12.5, NAN, None)] == [
        ".87",
        "1.00",
        ".00",
        "-.04",
        "-.00",
        "12.50",
        "–",
        "–",
    ]


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_finished_run(finished: Path) -> None:
    page = page_of(finished)
    assert page.titles[0] == "run"
    assert [
        title for title in page.titles if not title.startswith(("The command", "Expression:", "Action units:"))
    ] == [
        "run",
        "The run",
        "Curves",
        "Expression",
        "Action units",
        "Valence and arousal",
        "Calibration",
        "Worst faces",
        "Valence and arousal: the 4 farthest from their labels",
        "How often each label occurs",
        "What these scores are not",
    ]
    assert page.row("neutral")[1:] == ["1.00", ".50", ".67", "2", "1"]
    assert page.row("happiness")[1:] == [".67", "1.00", ".80", "2", "3"]
    assert page.row("AU01Inner brow raiser")[1:6] == ["5", "60.0%", ".50", ".67", ".75"]
    assert page.row("AU12Lip corner puller")[1:6] == ["4", "50.0%", ".25", "1.00", "1.00"]
    assert page.row("valence")[1:3] == [".250", ".500"] and page.row("arousal")[1:3] == ["1.000", ".000"]
    assert page.row("to train on")[1:] == ["48", "40", "30", "20"]
    assert (
        "5 faces: accuracy .800, macro F1 .822" in page.text
        and "error is the mean distance from that, .300" in page.text
    )
    assert "affectkit train teacher -o 'my run' --labels a.csv" in page.text
    assert "affectkit 0.2.0" in page.text and "2026-11-25 12:00 UTC" in page.text
    assert "3 expressions, 2 action units, valence and arousal" in page.text
    assert len(page.pictures("image/svg+xml")) == 5  # curves, confusion, reliability twice, valence and arousal
    for drawn in page.pictures("image/svg+xml"):  # texts are drawn as paths, with the text itself in a comment
        assert b"mathdefault" not in base64.b64decode(drawn.partition(",")[2]), "a formula where a number belongs"
    assert "Still being trained" not in page.text
    assert "mostly chance: neutral (2), happiness (2), contempt (1)" in page.text


@pytest.mark.slow
def test_the_worst_faces_of_each_task(finished: Path) -> None:
    page = page_of(finished)
    faces = [values for tag, values in page.attributes if tag == "li"]
    assert page.tags["li"] == 5 + 5 + 4 + 5, (len(faces), "faces of three tasks, and five sentences on the scores")
    order = [values["title"] for tag, values in page.attributes if tag == "div" and values.get("class") == "file"]
    assert order[0] == "face_1.png", "the label got a probability of .3"
    assert order[5:7] == ["face_2.png", "face_4.png"] and order[10] == "face_1.png"
    assert "neutral .30 happiness .60" in page.text and "AU01 .00 .70 AU12 1.00 .30" in page.text
    assert "V +1.00 A +.50 V +.00 A +.50" in page.text
    assert "neutral taken for happiness (1)" in page.text
    assert page.text.count("no picture") == 14 and "Their pictures cannot be shown: its data is not here" in page.text
    assert "The distribution of the labels cannot be shown: its data is not here any more: /gone/a.csv" in page.text


@pytest.mark.slow
def test_at_most_48_faces_a_task(tmp_path: Path) -> None:
    n = 70
    rng = np.random.default_rng(0)
    many = dev_answers(
        names=np.array([f"{k}.png" for k in range(n)]),
        expression=rng.integers(0, 3, n).astype(float),
        expression_probability=rng.dirichlet(np.ones(3), n),
        au=rng.integers(0, 2, (n, 2)).astype(float),
        au_probability=rng.random((n, 2)),
        va=rng.uniform(-1, 1, (n, 2)),
        va_predicted=rng.uniform(-1, 1, (n, 2)),
    )
    page = page_of(write_run(tmp_path / "run", dev=many))
    assert sum(values.get("class") == "file" for _, values in page.attributes) == 3 * 48
    ranges = re.findall(r"\[(-?[.\d]+), (-?[.\d]+)\]", page.text)
    assert len(ranges) == 5 and all(float(low) <= float(high) for low, high in ranges)


@pytest.mark.slow
def test_pictures_and_distribution_where_the_data_is_there(readable: Path) -> None:
    page = page_of(readable)
    crops = page.pictures("image/jpeg")
    shown = len(read_answers(readable / "dev.npz").names)
    assert shown > 2 and len(crops) == 2 * shown and "no picture" not in page.text
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(crops[0].partition(",")[2]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert crop is not None and crop.shape[:2] == (16, 16)
    assert "cannot be shown" not in page.text
    heads = page.row("label")
    assert heads == ["label", "as it is", "share", "balanced", "share"]
    assert [row[1] for row in page.rows if row[:1] == ["disgust"]][-1] == "0"
    assert "Valence and arousal" not in page.titles, "no face is labelled for it"
    assert "labels in an epoch as it is" in page.text and "This run was not balanced" in page.text


@pytest.mark.slow
def test_nothing_comes_from_elsewhere_and_nothing_runs(finished: Path) -> None:
    page = page_of(finished)
    text = (finished.parent / "page.html").read_text(encoding="utf-8")
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert "http:" not in text and "https:" not in text and "//" not in re.sub(r"base64,[^\"]*", "", text)
    assert "@import" not in text and "url(" not in text
    for _, values in page.attributes:
        assert (values.get("src") or "data:").startswith("data:") and not any(name.startswith("on") for name in values)
    assert text.startswith("<!DOCTYPE html>\n") and page.tags["h1"] == 1


@pytest.mark.slow
def test_hostile_names(tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>&amp;.png'
    dev = dev_answers(
        names=np.array([evil, "$x$.png", "a'b.png", "\\server\\x.png", "", "é…png"]),
        expressions=np.array(["<b>angry</b>", "$\\frac$", "_under_&score"]),
    )
    run = write_run(tmp_path / "a&b <i>", dev=dev)
    about = json.loads((run / "run.json").read_text())
    about["command"] = ["affectkit", "<img src=x onerror=alert(1)>", "&amp;"]
    (run / "run.json").write_text(json.dumps(about))
    page = page_of(run)
    assert "script" not in page.tags and page.tags["b"] and "<img src=x onerror=alert(1)>" in page.text
    assert not any("onerror" in values for _, values in page.attributes)
    assert evil in [values.get("title") for _, values in page.attributes]
    assert "<b>angry</b>" in page.text and page.titles[0] == "a&b <i>" and "'&amp;'" in page.text


def test_markup_is_escaped_unless_it_is_ours() -> None:
    assert element("p", "a<b", None, ["c", Markup("<i>d</i>")], class_='"x"', hidden=True, id=None) == (
        '<p class="&quot;x&quot;" hidden>a&lt;bc<i>d</i></p>'
    )


# --- runs that are not finished, and what is missing ------------------------------------------------------------------


@pytest.mark.slow
def test_a_running_run(tmp_path: Path) -> None:
    lines = [epoch_line(1)]
    run = write_run(tmp_path / "run", lines=lines, state="running", step=12, epoch=2, updated=now().isoformat())
    page = page_of(run)
    assert "Still being trained; everything here is what there is so far." in page.text
    assert f"Running (process {os.getpid()})" in page.text and "step 12 of 30, 40%" in page.text
    assert (
        page.tags["progress"] == 1
        and ("progress", {"value": "0.4000", "max": "1", "aria-label": "progress"}) in page.attributes
    )
    assert "Calibration cannot be shown: there is no dev.npz" in page.text
    assert page.row("neutral")[1:] == ["1.00", ".50", ".67", "2", "1"], "from the line's confusion matrix"
    assert page.row("AU12Lip corner puller")[1:] == [".70", ".70", ".70"]


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path / "run", dev=dev_answers(), state="interrupted", step=12, epoch=1))
    assert "Not finished. Interrupted. 1 of 3 epochs, step 12 of 30, 40%." in page.text
    assert "To continue: affectkit train teacher -o 'my run' --labels a.csv --resume" in page.text


def test_before_the_first_epoch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", lines=[], state="running", step=3, epoch=1, updated=now().isoformat())
    page = page_of(run)
    assert "Curves cannot be shown: the first epoch is not through" in page.text
    assert "Scores cannot be shown: no epoch has been measured yet" in page.text


@pytest.mark.slow
def test_a_running_runs_numbers_agree_though_its_line_is_older(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path / "run", lines=[epoch_line(1, 0.123)], dev=dev_answers(), state="running"))
    assert ".123" not in page.text and "Expression accuracy .800" in page.text


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04half", None])
def test_damaged_answers(finished: Path, damage: bytes | None) -> None:
    path = finished / "dev.npz"
    if damage is None:
        stored = dev_answers()
        del stored["au_thresholds"]
        np.savez(path, **stored)
    else:
        path.write_bytes(damage)
    page = page_of(finished)
    assert "Calibration cannot be shown: dev.npz" in page.text and "Confusion matrix" in str(page.attributes)


@pytest.mark.slow
def test_answers_of_the_wrong_shape(finished: Path) -> None:
    np.savez(finished / "dev.npz", **dev_answers(au=np.zeros((6, 3))))
    with pytest.raises(ValueError, match=r"au has the shape \(6, 3\), and \(6, 2\) is needed"):
        read_answers(finished / "dev.npz")
    assert "Worst faces" in page_of(finished).titles


@pytest.mark.slow
def test_half_written_files(finished: Path) -> None:
    for name in ("metrics.jsonl", "progress.json", "run.json"):
        whole = (finished / name).read_bytes()
        (finished / name).write_bytes(whole[: len(whole) * 2 // 3])
        assert page_of(finished).titles[0] == "run", name
        (finished / name).write_bytes(whole)


@pytest.mark.slow
def test_a_network_without_some_tasks(tmp_path: Path) -> None:
    n, few = np.empty, (6, 0)
    alone = dev_answers(
        expression=np.full(6, NAN),
        expression_probability=n(few),
        expressions=np.array([], "U1"),
        va=np.full((6, 2), NAN),
        va_predicted=n(few),
    )
    line = epoch_line(1)
    line["dev"] |= {"expression": None, "va": None, "ece": None}
    page = page_of(write_run(tmp_path / "run", dev=alone, lines=[line]))
    assert "Action units" in page.titles and "Expression" not in page.titles
    assert "Valence and arousal" not in page.titles and "Expression accuracy" not in page.text


@pytest.mark.slow
def test_students_are_compared(tmp_path: Path) -> None:
    write_run(tmp_path / "students" / "student_0", dev=dev_answers())
    better = dev_answers(expression=np.array([0, 1, 1, 1, 2, NAN]))
    write_run(tmp_path / "students" / "student_1", dev=better, state="running", pid=2**22 + 1)
    page = page_of(tmp_path / "students")
    assert page.titles[0] == "students: 2 runs" and page.tags["article"] == 2
    assert page.row("students/student_0")[1:4] == ["finished", "2", ".800"]
    assert page.row("students/student_1")[1:4] == ["no sign of life", "2", "1.000"]
    assert page.row("mean")[3] == ".900"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command(run_cli: Cli, finished: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.html"
    code, out, err = run_cli("train", "report", finished, "-o", output)
    assert code == 0 and out == "" and err == f"wrote {output}\n"
    first = output.read_text(encoding="utf-8")
    code, _, err = run_cli("train", "report", finished, "-o", output)
    assert code == 1 and "give --overwrite" in err and output.read_text(encoding="utf-8") == first
    assert run_cli("train", "report", finished, "-o", output, "--overwrite")[0] == 0
    code, _, err = run_cli("train", "report", finished, "-o", tmp_path / "no" / "x.html")
    assert code == 1 and "there is no folder" in err
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.slow
def test_a_run_of_the_trainer(run_cli: Cli, readable: Path, tmp_path: Path) -> None:
    """Nothing written by hand: what the loop writes is what status and report read."""
    run = tmp_path / "trained"
    data = ("--labels", tmp_path / "faces.csv", "--images", tmp_path / "faces.zip")
    command = ("train", "teacher", "-o", run, *data, "--size", "16", "--epochs", "2", "--batch-size", "16", "--balance")
    assert run_cli(*command)[0] == 0
    found = json.loads(run_cli("train", "status", "--json", run)[1])["runs"][0]
    assert (found["state"], found["kind"], found["done"], found["epoch"]) == ("finished", "teacher", 1, 2)
    assert found["labels"]["action_units"] == ["AU12"] and not found["labels"]["valence_arousal"]
    assert found["faces"]["train"] + found["faces"]["dev"] == 60
    assert found["command"].startswith("affectkit train teacher -o ") and set(found["best"]) == {"expression", "au"}
    page = page_of(run)
    assert {"Curves", "Expression", "Action units", "Calibration"} <= set(page.titles)
    assert "cannot be shown" not in page.text and "This run was balanced" in page.text
    assert len(page.pictures("image/jpeg")) == 2 * found["faces"]["dev"]
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[found["best_epoch"] - 1])["dev"]
    assert f"Expression accuracy {number(line['expression']['accuracy'], 3)}" in page.text
    assert f"Action units, mean F1 {number(line['au']['f1']['mean'], 3)}" in page.text
    assert f"Calibration error {number(line['ece'], 3)}" in page.text


def test_labels_of_the_written_run_are_not_the_usual_ones() -> None:
    """Otherwise the tests above would pass with the shipped label set built in."""
    assert LABELS.expressions[2] == "contempt" and len(LABELS.action_units) == 2
