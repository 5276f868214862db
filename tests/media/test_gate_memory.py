"""Large frames: the same answers as before, in memory that does not grow with what they declare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from synthetic import write_clip

from affectkit.engines import open_engine
from affectkit.faces import tiled_search as strips
from affectkit.faces.mtcnn import nms
from affectkit.faces.opening import WEIGHTS as FACE_WEIGHTS
from affectkit.pipeline import frames_ahead as _frames_ahead
from affectkit.sources.base import SourceInfo
from affectkit.types import RunNetwork


@pytest.fixture(scope="module")
def pnet() -> RunNetwork:
    return open_engine(FACE_WEIGHTS / "pnet.onnx", device="cpu", threads=1).run


@pytest.mark.parametrize("size", [(12, 12), (13, 40), (101, 64), (150, 211), (64, 400)])
@pytest.mark.parametrize("pixels", [1, 3000, 20_000])
def test_strips_answer_as_the_whole(
    pnet: RunNetwork, astronaut: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], pixels: int
) -> None:
    """To the last bit, in the same order."""
    height, width = size
    picture = cv2.resize(_first_frame(astronaut), (width, height))
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1 << 40)
    whole = strips.candidates(pnet, picture, 0.01)
    full = pnet({"images": picture[None]})["probability"]
    assert len(whole[0]) == (full >= 0.01).sum()
    monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
    for one, other in zip(whole, strips.candidates(pnet, picture, 0.01), strict=True):
        np.testing.assert_array_equal(one, other)


def _first_frame(clip: Path) -> np.ndarray:
    from affectkit.sources.opening import open_source

    return next(iter(open_source(clip).frames())).image


def test_no_strip_is_large(pnet: RunNetwork) -> None:
    seen = []

    def watch(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(inputs["images"].shape[1:3])
        return pnet(inputs)  # type: ignore[return-value]

    strips.candidates(watch, np.zeros((900, 1600, 3), np.uint8), 0.6)  # type: ignore[arg-type]
    assert len(seen) > 5 and all(h * w <= strips.STRIP_PIXELS for h, w in seen)


def test_suppression_by_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from affectkit.faces import mtcnn

    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 300, (700, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (700, 2))], axis=1)
    scores = rng.uniform(size=700)
    whole = nms(boxes, scores, 0.5)
    monkeypatch.setattr(mtcnn, "_NMS_CELLS", 1)
    np.testing.assert_array_equal(nms(boxes, scores, 0.5), whole)


def test_large_frames_wait_in_no_queue() -> None:
    def ahead(width: int | None, height: int | None) -> int:
        return _frames_ahead(SourceInfo("x", width, height, None, None, 0, has_audio=False))

    assert ahead(640, 360) == 32 and ahead(1920, 1080) >= 2 and ahead(3840, 2160) == 2
    assert ahead(7680, 4320) == 0 and ahead(None, None) == 2


LIMITED = """
import resource, sys
from affectkit.sources.opening import open_source
from affectkit import Predictor
predictor = Predictor(sys.argv[2], min_face_px=int(sys.argv[3]), threads=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
results = sum(1 for _ in predictor.stream(sys.argv[1]))
print(results, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
@pytest.mark.parametrize(("count", "smallest"), [(10, 400), (2, 40)])
def test_film_of_8k(tmp_path: Path, tiny: Path, count: int, smallest: int) -> None:
    """Frames of 50 MB each, of which several lay in queues; and for faces of 40 px P-Net alone took 1.3 GB."""
    clip = write_clip(tmp_path / "8k.mp4", [np.full((4320, 7680, 3), 90, np.uint8)] * count, codec="mpeg4")
    done = subprocess.run(
        [sys.executable, "-P", "-c", LIMITED, str(clip), str(tiny), str(smallest)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    frames, megabytes = map(int, done.stdout.split())
    assert frames == count and megabytes < 650


ONE_PICTURE = """
import resource, sys
from affectkit import Predictor
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
(result,) = Predictor(sys.argv[2], threads=1).stream(sys.argv[1])
print(result.image is None, len(result.faces))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts all memory on Linux only")
def test_a_picture_of_141_megapixels(tmp_path: Path, tiny: Path) -> None:
    """In 1 GB and 60 s of one core; it took 10.8 GB and 105 s."""
    path = tmp_path / "large.jpg"
    Image.new("L", (12000, 11790), 90).save(path)
    command = [sys.executable, "-P", "-c", ONE_PICTURE, str(path), str(tiny)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout.split() == ["True", "0"]
