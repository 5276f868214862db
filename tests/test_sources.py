"""What every source promises, whatever its pictures come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from synthetic import write_clip

from affectkit.errors import SourceError
from affectkit.sources.base import Source
from affectkit.sources.opening import open_source
from affectkit.types import Frame

COUNT, FPS = 20, 25

FRAMES = [np.full((64, 96, 3), 20 + 10 * i, np.uint8) for i in range(COUNT)]


def _folder(path: Path) -> Path:
    path.mkdir()
    for i, image in enumerate(FRAMES):
        cv2.imwrite(str(path / f"{i}.png"), image)
    return path


def _animated(path: Path, **options: object) -> Path:
    images = [Image.fromarray(image) for image in FRAMES]
    images[0].save(path, save_all=True, append_images=images[1:], duration=1000 // FPS, loop=0, **options)  # type: ignore[arg-type]
    return path


def _avi(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for image in FRAMES:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    return path


SOURCES: dict[str, Callable[[Path], Source]] = {
    "mp4": lambda p: open_source(write_clip(p / "c.mp4", FRAMES)),
    "mkv": lambda p: open_source(write_clip(p / "c.mkv", FRAMES)),
    "avi": lambda p: open_source(_avi(p / "c.avi")),
    "raw stream": lambda p: open_source(write_clip(p / "c.h264", FRAMES), fps=FPS),
    "folder": lambda p: open_source(_folder(p / "frames"), fps=FPS),
    "array": lambda p: open_source(np.stack(FRAMES), fps=FPS),
    "list": lambda p: open_source(FRAMES, fps=FPS),
    "iterator": lambda p: open_source(iter(FRAMES), fps=FPS),
    "gif": lambda p: open_source(_animated(p / "a.gif")),
    "webp": lambda p: open_source(_animated(p / "a.webp", lossless=True)),
    "apng": lambda p: open_source(_animated(p / "a.png")),
}


@pytest.fixture(params=list(SOURCES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Source]:
    """Opens the same 20 frames of 25 a second, whose brightness says which one they are."""
    kind: str = request.param

    def again() -> Source:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        return SOURCES[kind](folder)

    return again


def numbers(frames: list[Frame]) -> list[int]:
    return [round((frame.image.mean() - 20) / 10) for frame in frames]


def test_every_frame_once_with_its_number_and_time(opened: Callable[[], Source]) -> None:
    source = opened()
    frames = list(source.frames())
    assert [f.index for f in frames] == numbers(frames) == list(range(COUNT))
    assert [f.time_s for f in frames] == pytest.approx([i / FPS for i in range(COUNT)], abs=2e-3)
    report, info = source.report, source.info
    assert report.frames == COUNT and report.complete and not report.problem and not report.corrupt
    assert info.frames in (COUNT, None) and info.rotation_deg == 0 and not info.mirrored and not info.has_audio
    assert info.fps == pytest.approx(FPS, abs=0.01) and not info.alone
    for known, side in ((info.height, 64), (info.width, 96)):
        assert known in (side, None)
    for frame in frames:
        assert frame.image.shape == (64, 96, 3) and frame.image.dtype == np.uint8 and frame.picture.shape == (64, 96)
        assert frame.name == info.name or str(info.name) in frame.name


def test_a_range_is_half_open_and_steps_count_from_the_first_frame(opened: Callable[[], Source]) -> None:
    times = [f.time_s for f in opened().frames()]

    def which(**options: float) -> list[int]:
        frames = list(opened().frames(**options))  # type: ignore[arg-type]
        assert [f.index for f in frames] == numbers(frames)
        return [f.index for f in frames]

    assert which(start_s=times[5], end_s=times[12]) == [5, 6, 7, 8, 9, 10, 11]
    assert which(start_s=times[5], every=3) == [6, 9, 12, 15, 18]
    assert which(end_s=times[7], every=4) == [0, 4]
    assert which(first=16) == [16, 17, 18, 19]
    assert which(every=6, first=7, end_s=times[18]) == [12]
    assert which(first=COUNT + 1) == []  # all were handed out in another run


def test_a_range_without_frames_says_where_the_frames_are(opened: Callable[[], Source]) -> None:
    with pytest.raises(SourceError, match=r"no frame lies between 5 s and 6 s; the last one read is at 0\.7"):
        list(opened().frames(start_s=5, end_s=6))
    with pytest.raises(SourceError, match="multiple of every=100"):
        list(opened().frames(start_s=0.3, every=100))


def test_reading_again_begins_again(opened: Callable[[], Source], request: pytest.FixtureRequest) -> None:
    source = opened()
    began = source.frames()
    next(began)
    began.close()  # type: ignore[attr-defined]
    if "iterator" in request.node.name:
        assert len(list(source.frames())) == COUNT - 1  # one has been taken
        return
    assert numbers(list(source.frames())) == list(range(COUNT))
    assert source.report.frames == COUNT
