"""insightface's detector behind our contract, on a small network of SCRFD's form with known faces."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("insightface", reason="pip install --no-deps insightface")

from make_tiny_scrfd import POINTS, write
from synthetic import write_clip

from affectkit.errors import DeviceUnavailable, ModelError
from affectkit.faces import insight
from affectkit.faces.boxes import iou
from affectkit.faces.insight import InsightDetector, find_detector
from affectkit.predictor import Predictor

Cli = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    write(folder / "det_squares.onnx")
    (folder / "1k3d68.onnx").write_bytes(b"another network of the pack")
    return folder


@pytest.fixture(scope="module")
def detector(pack: Path) -> InsightDetector:
    return InsightDetector(str(pack))


def picture(*cells: tuple[int, int, int], size: int = 640) -> np.ndarray:
    """Black, with a bright square in each (column, row, brightness) cell of 32 px."""
    image = np.zeros((size, size, 3), np.uint8)
    for column, row, brightness in cells:
        image[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = brightness
    return image


def test_boxes_and_points_are_where_they_should_be(detector: InsightDetector) -> None:
    sure, less_sure = detector.detect(picture((4, 6, 255), (12, 5, 220)))
    assert sure.score > less_sure.score > 0.5
    assert sure.box == pytest.approx((4 * 32 - 64, 6 * 32 - 64, 128, 160), abs=0.5)
    assert sure.landmarks == pytest.approx(np.array(POINTS) * 32 + [128, 192], abs=0.5)
    assert less_sure.box[0] == pytest.approx(12 * 32 - 64, abs=0.5)
    assert detector.detect(picture()) == []


def test_a_picture_of_another_size(detector: InsightDetector) -> None:
    image = np.zeros((360, 1280, 3), np.uint8)  # seen at half its size
    image[128:192, 256:320] = 255
    (face,) = detector.detect(image)
    assert face.box == pytest.approx((256 - 128, 128 - 128, 256, 320), abs=1)


def test_small_faces_are_left_out(pack: Path) -> None:
    assert InsightDetector(str(pack), min_face_px=170).detect(picture((4, 6, 255))) == []


def test_follow_finds_the_same_face_again(detector: InsightDetector) -> None:
    (before,) = detector.detect(picture((8, 8, 255)))
    image = np.zeros((640, 640, 3), np.uint8)
    # The surroundings, 320 x 352 px, are seen at about .7 of their size: the square has to be larger to fill a cell.
    image[7 * 32 : 11 * 32, 7 * 32 : 11 * 32] = 255
    (after,) = detector.follow(image, [before])
    assert after is not None and iou(after.box, before.box) > 0.3
    assert detector.follow(picture(), [before]) == [None]
    away = type(before)((5000.0, 5000.0, 10.0, 10.0), 1.0, before.landmarks)
    assert detector.follow(image, [away]) == [None] and detector.follow(image, []) == []


def test_wrong_pictures_are_refused(detector: InsightDetector) -> None:
    with pytest.raises(TypeError):
        detector.detect(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ValueError):
        detector.detect(np.zeros((8, 8), np.uint8))


def test_the_predictor_takes_it_by_name(pack: Path, tiny: Path) -> None:
    with Predictor(tiny, detector=f"insightface:{pack}") as predictor:
        faces = predictor.predict_image(picture((4, 6, 255)))
        assert len(faces) == 1 and predictor.describe()["detector"]["name"] == f"insightface:{pack}"


def test_the_licence_is_shown_once(
    pack: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(insight, "_licence_shown", False)
    with caplog.at_level(logging.WARNING):
        InsightDetector(str(pack))
        InsightDetector(str(pack))
    assert caplog.text.count("non-commercial research only") == 1


def test_packs_that_are_not_there(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_detector(str(pack)).name == "det_squares.onnx"
    assert find_detector(str(pack / "det_squares.onnx")) == pack / "det_squares.onnx"
    with pytest.raises(ModelError, match="no such folder"):
        find_detector(str(tmp_path / "gone" / "pack"))
    with pytest.raises(ModelError, match="no such file"):
        find_detector(str(tmp_path / "gone.onnx"))
    with pytest.raises(ModelError, match=r"no \*\.onnx"):
        find_detector(str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    def offline(*_: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(insight, "ensure_available", offline)
    with pytest.raises(ModelError, match=r"cannot be downloaded \(no network\); put its \.onnx files there"):
        find_detector("buffalo_s")
    (tmp_path / ".insightface" / "models" / "buffalo_s").mkdir(parents=True)
    write(tmp_path / ".insightface" / "models" / "buffalo_s" / "det_500m.onnx")
    assert find_detector("buffalo_s").name == "det_500m.onnx"  # offline where the files are there


def test_other_networks_are_refused(tiny: Path, pack: Path) -> None:
    with pytest.raises(ModelError):
        InsightDetector(str(tiny / "frame.onnx"))
    with pytest.raises(ModelError, match="cannot load it"):
        InsightDetector(str(pack / "1k3d68.onnx"))
    with pytest.raises((DeviceUnavailable, ModelError)):
        InsightDetector(str(pack), device="cuda")


def test_on_the_command_line(pack: Path, tiny: Path, tmp_path: Path, run_cli: Cli, astronaut: Path) -> None:
    out = tmp_path / "t.csv"
    code, _, err = run_cli("predict", astronaut, "-o", out, "--model", tiny, "--detector", f"insightface:{pack}")
    assert code == 0 and out.exists(), err
    clip = write_clip(tmp_path / "square.mp4", [picture((4, 6, 205)) for _ in range(8)])  # a score of .6
    code, _, err = run_cli(
        "predict", clip, "-o", tmp_path / "s.csv", "--model", tiny, "--detector", f"insightface:{pack}"
    )
    rows = (tmp_path / "s.csv").read_text().splitlines()[1:]
    assert len(rows) == 8 and {row.split(",")[2] for row in rows} == {"0"}, err
    code, _, err = run_cli("predict", astronaut, "-o", tmp_path / "u.csv", "--detector", "haar")
    assert code == 2 and "detector must be" in err
