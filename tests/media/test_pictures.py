"""Pictures as phones, scanners and tools write them: all that a file shows, upright, and nothing else."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media.odd_pictures import tiled_picture
from PIL import Image, ImageCms, PngImagePlugin

from affectkit.errors import MissingDependency, SourceError
from affectkit.sources.opening import open_source
from affectkit.sources.pixels import turned
from affectkit.sources.stills import read_image
from affectkit.sources.video import VideoFile

GREYS = (40, 100, 160, 220)


def quarters(side: int = 64) -> np.ndarray:
    """Four quarters of different brightness."""
    image = np.zeros((2 * side, 2 * side, 3), np.uint8)
    image[:side, :side], image[:side, side:], image[side:, :side], image[side:, side:] = GREYS
    return image


def tiles(side: int = 64) -> list[np.ndarray]:
    return [np.full((side, side, 3), grey, np.uint8) for grey in GREYS]


def corners(image: np.ndarray) -> list[int]:
    """Brightness of the four quarters' middles, as the place in GREYS that is next to it."""
    h, w = image.shape[:2]
    values = [image[y, x].mean() for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]
    return [int(np.argmin([abs(grey - value) for grey in GREYS])) for value in values]


def detailed(height: int = 96, width: int = 128) -> np.ndarray:
    """Smooth colours, as photographs have."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([60 + x, 40 + 1.5 * y, 128 + 100 * np.sin(x / 20 + y / 30)], -1).clip(0, 255).astype(np.uint8)


def colours(source: Path, **options: Any) -> list[tuple[int, int, int]]:
    return [tuple(int(v) for v in f.image[0, 0]) for f in open_source(source, **options).frames()]  # type: ignore[misc]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["p.heic", "p.avif", "p.jpg"])
def test_tiles_make_one_picture_the_right_way_up(tmp_path: Path, name: str, turns: int) -> None:
    """Also under a name that says something else."""
    if name != "p.avif":
        pytest.importorskip("pi_heif", reason="the extra heif")
    path = tiled_picture(tmp_path / name.replace("jpg", "heic"), tiles(), 2, turns=turns)
    path = path.rename(tmp_path / name)
    source = open_source(path)
    (frame,) = source.frames()
    assert frame.image.shape == (128, 128, 3)
    assert corners(frame.image) == corners(np.rot90(quarters(), turns))
    for place, grey in enumerate(GREYS):
        at = corners(frame.image).index(place)
        y, x = 32 + 64 * (at // 2), 32 + 64 * (at % 2)
        assert np.abs(frame.image[y, x].astype(int) - grey).max() <= 4


@pytest.mark.parametrize("axis", [0, 1])
def test_mirrored_tiles(tmp_path: Path, axis: int) -> None:
    path = tiled_picture(tmp_path / "p.avif", tiles(), 2, mirror=axis)
    flipped = quarters()[::-1] if axis == 0 else quarters()[:, ::-1]
    assert corners(read_image(path)) == corners(flipped)


def test_heic_without_its_library_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiled_picture(tmp_path / "p.heic", tiles(), 2)
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingDependency, match=r"affectkit\[heif\]"):
        open_source(path)
    folder = tmp_path / "mixed"
    folder.mkdir()
    path.rename(folder / "a.heic")
    Image.fromarray(quarters()).save(folder / "b.png")
    source = open_source(folder)
    assert len(list(source.frames())) == 1
    (left,) = source.report.left_out
    assert left.name == "a.heic" and "affectkit[heif]" in left.reason and left.worth_telling


def test_tiles_are_never_shown_as_a_film(tmp_path: Path) -> None:
    """FFmpeg would take the first tile for the picture, where it is told to."""
    path = tiled_picture(tmp_path / "p.heic", tiles(), 2)
    with pytest.raises(SourceError, match="no video stream"):
        VideoFile(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_are_all_known(orientation: int) -> None:
    image = quarters(4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG", exif=exif)
    with Image.open(data) as stored:
        from PIL import ImageOps

        expected = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(turned(image, orientation), expected)


@pytest.mark.parametrize("name", ["p.jpg", "p.jfif", "p.jpe", "p.png", "p.webp", "p.tif", "p.avif", "p.unknown", "p"])
def test_exif_orientation_of_every_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = 6
    kind = {"png": "PNG", "webp": "WEBP", "tif": "TIFF", "avif": "AVIF"}.get(path.suffix[1:], "JPEG")
    Image.fromarray(quarters()).save(path, kind, exif=exif)
    (frame,) = open_source(path).frames()
    assert corners(frame.image) == corners(np.rot90(quarters(), -1))


def test_broken_exif_does_no_harm(tmp_path: Path) -> None:
    Image.fromarray(quarters()).save(tmp_path / "p.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert corners(read_image(tmp_path / "p.jpg")) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("p.jpg", lambda p: Image.fromarray(detailed()).save(p, quality=92)),
        ("444.jpg", lambda p: Image.fromarray(detailed()).save(p, quality=92, subsampling=0)),
        ("progressive.jpg", lambda p: Image.fromarray(detailed()).save(p, quality=80, progressive=True)),
        ("grey.jpg", lambda p: Image.fromarray(detailed()[..., 0]).save(p, quality=92)),
        ("cmyk.jpg", lambda p: Image.fromarray(detailed()).convert("CMYK").save(p, quality=95)),
        ("p.png", lambda p: Image.fromarray(detailed()).save(p)),
        ("grey.png", lambda p: Image.fromarray(detailed()[..., 0]).save(p)),
        ("grey16.png", lambda p: cv2.imwrite(str(p), detailed()[..., 0].astype(np.uint16) * 200 + 77)),
        ("rgb16.png", lambda p: cv2.imwrite(str(p), detailed().astype(np.uint16) * 200 + 77)),
        ("palette.png", lambda p: Image.fromarray(detailed()).quantize(64).save(p)),
        ("one.png", lambda p: Image.fromarray(detailed()[..., 0] > 100).save(p)),
        ("alpha.png", lambda p: Image.fromarray(np.dstack([detailed(), detailed()[..., 0]])).save(p)),
        ("grey-alpha.png", lambda p: Image.fromarray(detailed()[..., :2].copy(), "LA").save(p)),
        ("p.bmp", lambda p: Image.fromarray(detailed()).save(p)),
        ("p.tif", lambda p: Image.fromarray(detailed()).save(p)),
        ("lzw.tif", lambda p: Image.fromarray(detailed()).save(p, compression="tiff_lzw")),
        ("grey16.tif", lambda p: cv2.imwrite(str(p), detailed()[..., 0].astype(np.uint16) * 200 + 77)),
        ("p.webp", lambda p: Image.fromarray(detailed()).save(p, lossless=True)),
        ("p.ppm", lambda p: Image.fromarray(detailed()).save(p)),
        ("p.pgm", lambda p: Image.fromarray(detailed()[..., 0]).save(p)),
    ],
)
def test_colours_are_those_of_before(tmp_path: Path, name: str, make: Callable[[Path], object]) -> None:
    """OpenCV's, by which the models' pictures were read."""
    path = tmp_path / name
    make(path)
    before = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    now = read_image(path)
    assert now.shape == before.shape and now.dtype == np.uint8
    assert np.abs(now.astype(int) - before).max() <= 2


def test_a_colour_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(detailed()).save(tmp_path / "a.png", icc_profile=profile)
    Image.fromarray(detailed()).save(tmp_path / "b.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), read_image(tmp_path / "b.png"))


def shades(count: int = 4) -> list[Image.Image]:
    return [Image.fromarray(np.full((32, 48, 3), (60 * i, 10, 200), np.uint8)) for i in range(count)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.apng", {"format": "PNG"}),
        ("a.webp", {"lossless": True}),
        ("a.avif", {"quality": 100}),
        ("a", {"format": "PNG"}),
    ],
)
def test_every_frame_of_an_animation_at_its_time(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    first, *rest = shades()
    first.save(tmp_path / name, save_all=True, append_images=rest, duration=[200, 100, 300, 100], **options)
    source = open_source(tmp_path / name)
    frames = list(source.frames())
    assert [round(float(f.image[..., 0].mean()) / 60) for f in frames] == [0, 1, 2, 3]
    assert [f.time_s for f in frames] == pytest.approx([0, 0.2, 0.3, 0.6])
    assert source.info.frames == 4 and not source.info.alone and source.info.fps == pytest.approx(5)
    assert [f.index for f in source.frames(start_s=0.15, end_s=0.5)] == [1, 2]
    assert source.report.times is not None and "shows" in source.report.times["from"]


def test_the_picture_for_those_who_cannot_show_animations_is_none_of_it(tmp_path: Path) -> None:
    first, *rest = shades()
    first.save(tmp_path / "a.png", save_all=True, append_images=rest, duration=100, default_image=True)
    assert [c[0] for c in colours(tmp_path / "a.png")] == [60, 120, 180]


def test_every_page_of_a_tiff_but_no_preview(tmp_path: Path) -> None:
    first, *rest = shades()
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    source = open_source(tmp_path / "a.tif")
    frames = list(source.frames())
    assert [int(f.image[0, 0, 0]) for f in frames] == [0, 60, 120, 180]
    assert all(math.isnan(f.time_s) for f in frames) and source.info.alone
    small = shades(1)[0].resize((8, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    first.save(tmp_path / "b.tif", save_all=True, append_images=[small])
    assert [f.image.shape for f in open_source(tmp_path / "b.tif").frames()] == [(32, 48, 3)]
    small.save(tmp_path / "c.tif", tiffinfo={254: 1})
    with pytest.raises(SourceError, match="preview only"):
        open_source(tmp_path / "c.tif")


def test_what_follows_in_a_phones_jpeg_is_no_picture(tmp_path: Path) -> None:
    """A gain map, or the other eye's view."""
    first, other = shades(2)
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[other])
    assert len(colours(tmp_path / "a.jpg")) == 1


def test_a_folder_tells_what_it_leaves_out(tmp_path: Path) -> None:
    first, *rest = shades(3)
    first.save(tmp_path / "1.png")
    first.save(tmp_path / "2.gif", save_all=True, append_images=rest, duration=100)
    first.save(tmp_path / "3.avif")
    first.save(tmp_path / "10", "JPEG")
    (tmp_path / "film.mp4").write_bytes(b"\0")
    (tmp_path / "more").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    source = open_source(tmp_path)
    frames = list(source.frames())
    assert [Path(f.name).name for f in frames] == ["1.png", "2.gif", "2.gif", "2.gif", "3.avif", "10"]
    told = {one.name: one for one in source.report.left_out}
    assert set(told) == {"film.mp4", "more", "notes.txt"}
    assert "video" in told["film.mp4"].reason and "folder" in told["more"].reason
    assert not told["notes.txt"].worth_telling
    assert all(math.isnan(f.time_s) for f in frames)
    source = open_source(tmp_path, fps=10)
    assert [f.time_s for f in source.frames(start_s=0.15)] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert not source.info.alone


def test_a_folder_of_other_things_names_them(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"\0")
    with pytest.raises(SourceError, match="holds a video, and no pictures"):
        open_source(tmp_path)


def test_a_picture_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    Image.fromarray(detailed()).save(tmp_path / "p.jpg", quality=95)
    data = (tmp_path / "p.jpg").read_bytes()
    (tmp_path / "p.jpg").write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(SourceError, match="damaged picture"):
        open_source(tmp_path / "p.jpg")


@pytest.mark.parametrize("name", ["p.jpg", "p.png", "grey.jpg"])
def test_large_pictures_come_at_a_fraction(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectkit.sources.stills.REDUCED_FROM", 3000)
    image = detailed()[..., 0] if name.startswith("grey") else detailed()
    Image.fromarray(image).save(tmp_path / name)
    source = open_source(tmp_path / name)
    (frame,) = source.frames()
    assert frame.reduced == 3 or (frame.reduced == 2 and name == "p.jpg") or frame.reduced == 4
    assert frame.image.shape[:2] == (-(-96 // frame.reduced), -(-128 // frame.reduced))
    assert source.report.reduced == 1
    small = cv2.resize(detailed(), frame.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    if not name.startswith("grey"):
        assert np.abs(frame.image.astype(int) - small).mean() < 4


def test_what_cannot_be_read_within_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectkit.sources.stills.MEMORY", 30_000)
    Image.fromarray(detailed()).save(tmp_path / "p.png")
    with pytest.raises(SourceError, match="too many for PNG"):
        open_source(tmp_path / "p.png")
    Image.fromarray(detailed()).save(tmp_path / "p.jpg", progressive=True)
    with pytest.raises(SourceError, match="progressive"):
        open_source(tmp_path / "p.jpg")


def test_a_declared_size_is_not_believed(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((8, 8), np.uint8))
    image.save(tmp_path / "p.png", pnginfo=PngImagePlugin.PngInfo())
    data = bytearray((tmp_path / "p.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    (tmp_path / "p.png").write_bytes(data)
    with pytest.raises(SourceError, match="too many"):
        open_source(tmp_path / "p.png")


def test_values_that_are_no_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 3e5, np.float32)).save(tmp_path / "p.tif")
    with pytest.raises(SourceError, match="no brightness"):
        open_source(tmp_path / "p.tif")
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "q.tif")
    assert read_image(tmp_path / "q.tif")[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("duration", [None, 0, [100, 0, 100], 100], ids=str)
def test_every_picture_of_a_gif_with_and_without_times(duration: int | list[int] | None, tmp_path: Path) -> None:
    """FFmpeg takes pictures without a graphic control extension for one."""
    first, *rest = [Image.new("RGB", (40, 30), (80 * k, 0, 0)) for k in range(3)]
    options = {} if duration is None else {"duration": duration}
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, **options)
    source = open_source(tmp_path / "a.gif")
    frames = list(source.frames())
    assert [int(frame.image[15, 20, 0]) // 40 for frame in frames] == [0, 2, 4]
    times = [frame.time_s for frame in frames]
    assert times == sorted(times) and source.report.complete
    if duration == 100:
        assert times == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("part", [0.4, 0.9, 1.0])
def test_a_gif_that_is_cut_short_is_told(pictures: int, part: float, tmp_path: Path) -> None:
    """FFmpeg shows what there is of its last picture, and says nothing."""
    noise = np.random.default_rng(0).integers(0, 255, (pictures, 60, 80), np.uint8)
    first, *rest = map(Image.fromarray, noise)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=100)
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[: int(part * len(data))] if part < 1 else data + b"what follows is no part")
    source = open_source(tmp_path / "a.gif")
    assert 1 <= len(list(source.frames())) <= pictures
    assert source.report.complete == (part == 1) and ("ends early" in source.report.problem) == (part < 1)


def test_a_single_picture_is_a_gif_as_before(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (200, 0, 0)).save(tmp_path / "a.gif")
    (frame,) = open_source(tmp_path / "a.gif").frames()
    assert frame.image.shape == (30, 40, 3) and frame.image[15, 20, 0] == pytest.approx(200, abs=4)
