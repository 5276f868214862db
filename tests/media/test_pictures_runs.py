"""Odd media on the command line: what is refused, what the meta file tells, who is who."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media.odd_pictures import combed, interlaced, raw_stream
from PIL import Image

from affectkit import Predictor, open_source
from affectkit.errors import SourceError
from affectkit.result_stream import in_file
from affectkit.types import Detection

Cli = Callable[..., tuple[int, str, str]]


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_an_empty_folder")]


def meta(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(name + ".meta.json").read_text())
    return document


def rows(name: str) -> list[dict[str, str]]:
    with open(name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def faces(astronaut: Path, tmp_path: Path) -> Path:
    """A folder of three frames of one clip, in which nothing moved."""
    folder = tmp_path / "faces"
    folder.mkdir()
    frames = open_source(astronaut).frames()
    for i in range(3):
        Image.fromarray(next(frames).image).save(folder / f"{i}.png")
    return folder


def test_pictures_of_a_folder_stand_alone_unless_they_are_a_film(run_cli: Cli, faces: Path, tiny: Path) -> None:
    """Two people at the same place in two pictures are not one."""
    assert run_cli("predict", faces, "--model", tiny, "-o", "a.csv", "-q")[0] == 0
    assert [row["face_id"] for row in rows("a.csv")] == ["0", "1", "2"]
    assert meta("a.csv")["times"] is None
    assert run_cli("predict", faces, "--model", tiny, "-o", "b.csv", "-q", "--fps", 25)[0] == 0
    assert [row["face_id"] for row in rows("b.csv")] == ["0", "0", "0"]
    assert [float(row["timestamp"]) for row in rows("b.csv")] == pytest.approx([0, 0.04, 0.08])
    assert meta("b.csv")["times"] == {"from": "made up", "made_up": 3, "rate": 25, "rate_from": "as given"}


def test_sequences_of_pictures_without_times_are_refused(run_cli: Cli, faces: Path, tiny_temporal: Path) -> None:
    code, _, err = run_cli("predict", faces, "--model", tiny_temporal, "-o", "a.csv")
    assert code == 1 and len(err.strip().splitlines()) == 1
    assert "have no times" in err and "--fps" in err and not Path("a.csv").exists()
    assert run_cli("predict", faces, "--model", tiny_temporal, "-o", "a.csv", "-q", "--fps", 25)[0] == 0
    assert run_cli("predict", faces / "0.png", "--model", tiny_temporal, "-o", "b.csv", "-q")[0] == 0
    assert len(rows("b.csv")) == 1


def test_aligned_pictures_stand_alone_too(faces: Path, tiny: Path) -> None:
    with Predictor(tiny) as predictor:
        assert [r.faces[0].track_id for r in predictor.stream(faces, aligned=True)] == [0, 1, 2]
        assert [r.faces[0].track_id for r in predictor.stream(faces, aligned=True, fps=25)] == [0, 0, 0]
        with pytest.raises(SourceError, match="fps="):
            list(predictor.stream(faces, smooth_s=1))


def test_what_a_folder_leaves_out_is_said_and_written_down(run_cli: Cli, faces: Path, tiny: Path) -> None:
    (faces / "film.mp4").write_bytes(b"\0")
    (faces / "more").mkdir()
    (faces / "notes.txt").write_text("x")
    code, _, err = run_cli("predict", faces, "--model", tiny, "-o", "a.csv", "-q")
    (line,) = err.strip().splitlines()
    assert code == 0 and "left out" in line and "film.mp4" in line and "more" in line and "notes" not in line
    told = meta("a.csv")["left_out"]
    assert told["number"] == 3 and {one["name"] for one in told["first"]} == {"film.mp4", "more", "notes.txt"}


def test_made_up_times_are_told(run_cli: Cli, tmp_path: Path, tiny: Path) -> None:
    path = raw_stream(tmp_path / "c.h264", fps=50)
    assert run_cli("predict", path, "--model", tiny, "-o", "a.csv", "-q") == (0, "", "")
    assert meta("a.csv")["times"] == {"from": "made up", "made_up": 12, "rate": 50, "rate_from": "the stream"}
    path = raw_stream(tmp_path / "d.h264", fps=25)  # which is what FFmpeg says of a stream that says nothing
    code, _, err = run_cli("predict", path, "--model", tiny, "-o", "b.csv", "-q")
    assert code == 0 and "--fps" in err and "25 frames a second" in err


def test_deinterlacing_is_told_and_can_be_left_out(run_cli: Cli, tmp_path: Path, tiny: Path) -> None:
    path = interlaced(tmp_path / "i.mkv", combed())
    assert run_cli("predict", path, "--model", tiny, "-o", "a.csv", "-q")[0] == 0
    assert meta("a.csv")["frames"]["deinterlaced"] == 12
    assert run_cli("predict", path, "--model", tiny, "-o", "b.csv", "-q", "--deinterlace", "off")[0] == 0
    assert meta("b.csv")["frames"]["deinterlaced"] == 0


def test_no_face_is_smaller_than_the_smallest(astronaut: Path, tiny: Path) -> None:
    """Neither found nor followed."""
    frame = next(open_source(astronaut).frames()).image
    with Predictor(tiny) as predictor:
        (face,) = predictor.predict_image(frame)
    side = max(face.box[2:])
    shrinking = [
        np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        for scale in np.linspace(1, 0.4, 12)
    ]
    canvas = np.full((12, *frame.shape), 90, np.uint8)
    for image, small in zip(canvas, shrinking, strict=True):
        image[: small.shape[0], : small.shape[1]] = small
    smallest = round(0.7 * side)
    with Predictor(tiny, min_face_px=smallest) as predictor:
        found = [f for r in predictor.stream(canvas, fps=25) for f in r.faces]
    assert found and all(max(f.box[2:]) >= smallest - 1 for f in found)
    assert len(found) < 12


def test_boxes_of_reduced_pictures_are_in_the_files_pixels(
    astronaut: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Cli
) -> None:
    frame = next(open_source(astronaut).frames()).image
    large = cv2.resize(frame, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    Image.fromarray(np.asarray(large, np.uint8)).save(tmp_path / "large.png")
    with Predictor(tiny) as predictor:
        (face,) = predictor.predict_image(frame)
        monkeypatch.setattr("affectkit.sources.stills.REDUCED_FROM", frame.shape[0] * frame.shape[1])
        ((result),) = predictor.stream(tmp_path / "large.png", keep_images=True)
    assert result.reduced == 3 and result.image is not None and result.image.shape == frame.shape
    (seen,) = result.faces
    assert seen.box == pytest.approx([3 * side for side in face.box], abs=8)
    assert np.abs(seen.landmarks - 3 * face.landmarks - 1).max() < 6
    code, _, err = run_cli("predict", tmp_path / "large.png", "--model", tiny, "-o", "a.csv", "--render", "a.mp4", "-q")
    assert code == 0 and "fraction" in err and meta("a.csv")["frames"]["reduced"] == 1
    assert float(rows("a.csv")[0]["FaceRectWidth"]) == pytest.approx(3 * face.box[2], abs=8)


def test_pixels_are_counted_from_the_middle_of_the_first() -> None:
    face = Detection((0.0, 1.0, 10.0, 20.0), 1.0, np.zeros((5, 2), np.float32))
    grown = in_file(face, 4)
    assert grown.box == (1.5, 5.5, 40.0, 80.0) and np.all(grown.landmarks == 1.5)
    assert in_file(face, 1) is face
