"""What large pictures and frames take, and what waits until it is drawn: memory has a bound, and answers stay right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.odd_files import huge_gif
from PIL import Image
from synthetic import grey_frames, write_clip

from affectkit import Predictor
from affectkit.batch import MAX_PIXELS, batched
from affectkit.errors import OutputError, SourceError
from affectkit.options import OutputOptions, StreamOptions
from affectkit.outputs import picture_buffer as kept
from affectkit.outputs.picture_buffer import KeptPictures
from affectkit.picture import RgbPicture
from affectkit.runs.run import Job, run_job
from affectkit.sources import stills
from affectkit.sources.limits import pixels_counted
from affectkit.sources.opening import open_source
from affectkit.types import CroppedFrame, Frame, TrackedFrame

pytestmark = pytest.mark.slow

SIDE = 3072
MEGAPIXELS = SIDE * SIDE / 1e6

MEASURED = """
import json, sys
from pathlib import Path
from affectkit.sources import stills
from affectkit.sources.opening import open_source
stills.REDUCED_FROM = 1_000_000
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024
for name in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")
    before, frames = status("VmRSS"), 0
    for frame in open_source(name).frames():
        frames += 1
        shape = frame.picture.shape
        del frame
    print(json.dumps([frames, shape, status("VmHWM") - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_bytes_a_pixel(tmp_path: Path) -> None:
    """Alpha took 8 in Pillow's way of reducing, 32 bits a channel 28, a GIF three copies of a frame."""
    grey = Image.new("L", (SIDE, SIDE), 90)
    files = {"alpha.png": 6, "deep.png": 4, "cmyk.tif": 6, "numbers.tif": 6, "turned.tif": 10, "film.gif": 10}
    grey.convert("RGBA").save(tmp_path / "alpha.png", compress_level=1)
    Image.fromarray(np.full((SIDE, SIDE), 90 << 8, np.uint16)).save(tmp_path / "deep.png", compress_level=1)
    grey.convert("RGB").convert("CMYK").save(tmp_path / "cmyk.tif", compression="packbits")
    grey.convert("F").save(tmp_path / "numbers.tif", compression="tiff_lzw")
    exif = Image.Exif()
    exif[274] = 6
    grey.convert("RGB").save(tmp_path / "turned.tif", compression="packbits", exif=exif)
    huge_gif(tmp_path / "film.gif", SIDE, SIDE, 3)
    names = [str(tmp_path / name) for name in files]
    done = subprocess.run([sys.executable, "-P", "-c", MEASURED, *names], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for (name, most), line in zip(files.items(), done.stdout.splitlines(), strict=True):
        frames, shape, megabytes = json.loads(line)
        assert frames == (3 if name == "film.gif" else 1) and shape == [768, 768]  # every fourth
        assert megabytes < most * MEGAPIXELS + 25, name


def test_deep_pictures_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 bits a pixel and over 40 megapixels counted as damaged; strips do not show."""
    monkeypatch.setattr(stills, "REDUCED_FROM", 50_000)
    rows = np.linspace(0, 65535, 333).astype(np.uint16)
    Image.fromarray(np.repeat(rows[:, None], 401, axis=1)).save(tmp_path / "deep.png")
    whole = stills.read_image(tmp_path / "deep.png")
    assert whole.shape == (167, 201, 3)
    want = (rows >> 8).astype(float)
    np.testing.assert_allclose(whole[:166, 0, 0], want[:332].reshape(-1, 2).mean(1), atol=0.51)
    monkeypatch.setattr("affectkit.sources.pixels._STRIP_PIXELS", 1000)
    np.testing.assert_array_equal(stills.read_image(tmp_path / "deep.png"), whole)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I", "F"])
def test_strips_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (61, 83, 4), np.uint8)
    image = Image.fromarray(noise, "RGBA").convert("RGB").convert("L" if mode in ("I", "F", "LA", "1") else "RGB")
    image.convert(mode).save(tmp_path / "p.tif")
    whole = stills.read_image(tmp_path / "p.tif")
    monkeypatch.setattr("affectkit.sources.pixels._STRIP_PIXELS", 400)
    np.testing.assert_array_equal(stills.read_image(tmp_path / "p.tif"), whole)


def test_every_page_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first page of a TIFF says nothing of the second."""
    pages = [Image.new("RGB", (side, side)) for side in (40, 900)]
    pages[0].save(tmp_path / "p.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "p.png", save_all=True, append_images=[Image.new("RGB", (40, 40), "red")])
    monkeypatch.setattr(stills, "MEMORY", 40 * 40 * 6)
    found = stills.stills(tmp_path / "p.tif")
    assert next(found).image.shape == (40, 40, 3)
    with pytest.raises(SourceError, match="900 x 900 px are too many for TIFF"):
        next(found)
    with pytest.raises(SourceError, match="40 x 40 px are too many for APNG"):
        list(stills.stills(tmp_path / "p.png"))
    monkeypatch.setattr(stills, "MEMORY", 40 * 40 * 10)  # what is moving keeps the picture before as well
    pages[0].save(tmp_path / "still.gif")
    assert len(list(stills.stills(tmp_path / "still.gif"))) == 1
    pages[0].save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (40, 40), "red")])
    with pytest.raises(SourceError, match="40 x 40 px are too many for animated GIF"):
        list(stills.stills(tmp_path / "moving.gif"))
    monkeypatch.setattr(stills, "MEMORY", 40 * 40 * 6)
    exif = Image.Exif()
    exif[274] = 6
    pages[0].save(tmp_path / "turned.tif", exif=exif)
    with pytest.raises(SourceError, match="too many for TIFF turned"):
        list(stills.stills(tmp_path / "turned.tif"))


def test_deep_frames_count_for_more(tmp_path: Path) -> None:
    assert (
        pixels_counted(10, 10, "yuv420p10le") == pixels_counted(10, 10, "bgra") == pixels_counted(10, 10, None) == 100
    )
    assert pixels_counted(10, 10, "rgba64le") == 200 and pixels_counted(10, 10, "gbrp16le") == 150
    clip = write_clip(tmp_path / "deep.mkv", grey_frames(2), codec="ffv1", pixel_format="gbrp16le")
    assert len(list(open_source(clip, max_pixels=96 * 64 * 3 // 2).frames())) == 2
    with pytest.raises(SourceError, match=r"96 x 64 \(gbrp16le, of which each counts for more\), more than"):
        open_source(clip, max_pixels=96 * 64)


def test_large_frames_in_rgb_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stills, "REDUCED_FROM", 1000)
    source = open_source(huge_gif(tmp_path / "a.gif", 60, 48, 3))
    frames = list(source.frames())
    assert [(frame.reduced, frame.picture.shape) for frame in frames] == [(2, (24, 30))] * 3
    assert source.report.reduced == 3 and source.info.width == 60


def cropped(index: int, height: int, width: int) -> CroppedFrame:
    frame = Frame(index, index / 25, RgbPicture(np.broadcast_to(np.uint8(index), (height, width, 3))), "x")
    return CroppedFrame(TrackedFrame(frame, ()), np.empty((0, 4, 4, 3), np.uint8))


def test_batches_of_large_pictures_are_small() -> None:
    def sizes(height: int, width: int) -> list[int]:
        frames = (cropped(k, height, width) for k in range(40))
        return [len(batch) for batch in batched(frames, max_faces=32, max_frames=32, max_wait_s=1e9)]

    assert sizes(1, 1) == [32, 8]
    side = int(MAX_PIXELS**0.5)
    assert sizes(1, MAX_PIXELS // 5) == [5] * 8 and sizes(side, side + 2) == [1] * 40


def test_pictures_wait_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_PIXELS", 3 * 32 * 32)
    monkeypatch.setattr(kept, "PART_BYTES", 1500)
    pictures = KeptPictures(tmp_path, (16, 16))
    for index in range(20):
        pictures.add(cropped(index, 32, 32).tracked)
    assert not list(tmp_path.iterdir())  # they have no names
    taken = [pictures.take(index) for index in range(0, 20, 2)]  # others are left out
    assert [reduced for _, reduced in taken] == [1, 1, *[2] * 8]
    for k, (picture, reduced) in enumerate(taken):
        image = picture.rgb()
        assert image.shape == (32 // reduced, 32 // reduced, 3)
        assert np.abs(image.astype(int) - 2 * k).max() <= 2
    pictures.add(cropped(20, 32, 32).tracked)
    assert pictures.take(20)[1] == 1
    pictures.close()


@pytest.fixture
def moving(tmp_path: Path, astronaut: Path) -> Path:
    frames = [next(open_source(astronaut).frames()).image] * 14
    return write_clip(tmp_path / "face.mp4", frames)


def test_what_waits_is_drawn(
    tmp_path: Path, moving: Path, tiny_temporal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sequence and smoothing answer later; packed or not, all frames are drawn, with their own pictures."""
    frames: dict[str, list[Any]] = {}
    with Predictor(tiny_temporal, threads=1) as predictor:
        for name, most in (("held", 1 << 30), ("packed", 1)):
            monkeypatch.setattr(kept, "MOST_PIXELS", most)
            run_job(
                predictor,
                Job(str(moving), tmp_path / "t.csv", tmp_path / f"{name}.mp4"),
                StreamOptions(smooth_s=0.4),
                OutputOptions(overwrite=True),
            )
            frames[name] = [frame.image for frame in open_source(tmp_path / f"{name}.mp4").frames()]
    assert len(frames["held"]) == len(frames["packed"]) == 14
    for one, other in zip(frames["held"], frames["packed"], strict=True):
        assert np.abs(one.astype(int) - other).mean() < 2


def test_no_room_for_what_waits(tmp_path: Path, moving: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, data: bytes) -> tuple[int, int]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "MOST_PIXELS", 1)
    monkeypatch.setattr(kept._Part, "add", full)
    (tmp_path / "out").mkdir()
    with Predictor(tiny, threads=1) as predictor, pytest.raises(OutputError, match="disk is full"):
        run_job(predictor, Job(str(moving), tmp_path / "out" / "t.csv", tmp_path / "out" / "v.mp4"))
    assert not list((tmp_path / "out").iterdir())


RENDERED = """
import resource, sys
from pathlib import Path
from affectkit import Predictor
from affectkit.runs.run import Job, run_job
predictor = Predictor(sys.argv[2], min_face_px=400, threads=2)
out = Path(sys.argv[3])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
outcome = run_job(predictor, Job(sys.argv[1], out / "t.csv", out / "v.mp4"))
print(outcome.read, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_annotated_video_of_8k(tmp_path: Path, tiny: Path) -> None:
    """All frames of a batch were kept, in planes and in RGB, and a dozen of the annotated ones by the encoder."""
    clip = write_clip(tmp_path / "8k.mp4", [np.full((4320, 7680, 3), 90, np.uint8)] * 6, codec="mpeg4")
    program = [sys.executable, "-P", "-c", RENDERED, str(clip), str(tiny), str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    frames, megabytes = map(int, done.stdout.split())
    assert frames == 6 and megabytes < 1100
