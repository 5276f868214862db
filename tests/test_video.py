from __future__ import annotations

import gc
import math
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.error
import av.stream
import cv2
import numpy as np
import pytest
from PIL import Image
from synthetic import grey_frames, write_clip

from affectkit.errors import DeviceUnavailable, SourceError
from affectkit.sources.names import printable
from affectkit.sources.opening import open_source
from affectkit.sources.stills import read_image
from affectkit.types import Frame


def decode(path: Path, **options: float) -> list[Frame]:
    return list(open_source(path).frames(**options))  # type: ignore[arg-type]


def test_every_frame_comes_once_with_its_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(30))
    source = open_source(clip)
    frames = list(source.frames())
    assert [f.index for f in frames] == list(range(30))
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in range(30)])
    levels = [f.image.mean() for f in frames]
    assert levels == pytest.approx([20 + 2 * i for i in range(30)], abs=2.5)
    assert source.report.frames == 30 and source.report.complete and source.report.corrupt == 0
    assert (source.info.width, source.info.height, source.info.fps) == (96, 64, 25)


def test_variable_frame_rate_keeps_presentation_times(tmp_path: Path) -> None:
    times = [Fraction(0), Fraction(1, 25), Fraction(1, 2), Fraction(26, 25), Fraction(3)]
    clip = write_clip(tmp_path / "vfr.mp4", grey_frames(5), times=times)
    assert [f.time_s for f in decode(clip)] == pytest.approx([float(t) for t in times])


def test_start_end_and_every_keep_the_frame_numbers(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(50))
    frames = decode(clip, start_s=0.4, end_s=1.2, every=3)
    assert [f.index for f in frames] == [12, 15, 18, 21, 24, 27]
    assert frames[0].image.mean() == pytest.approx(20 + 2 * 12, abs=2.5)


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a display matrix into the track header: (x, y) is shown at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    one = 0x10000
    data[start : start + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 0x40000000)
    path.write_bytes(data)


def test_rotation_metadata_is_applied(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32] = 220  # the upper half is bright; turned clockwise that is the right half
    clip = write_clip(tmp_path / "r.mp4", [image] * 5)
    set_matrix(clip, 0, 1, -1, 0)
    source = open_source(clip)
    frame = next(iter(source.frames()))
    assert source.info.rotation_deg == 90
    assert frame.image.shape == (96, 64, 3) == (source.info.height, source.info.width, 3)
    assert frame.image[:, 40:].mean() > 200 and frame.image[:, :24].mean() < 20


def test_truncated_video_gives_its_readable_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(60)]
    clip = write_clip(tmp_path / "t.mp4", noisy)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 6 // 10])
    source = open_source(clip)
    frames = list(source.frames())
    assert len(frames) == decodable(clip) and 20 <= len(frames) < 50
    assert [f.index for f in frames] == list(range(len(frames)))
    assert not source.report.complete and "of 60 pictures" in source.report.problem


def decodable(path: Path) -> int:
    """Frames that one thread gets out of a file."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        try:
            for packet in container.demux(stream):
                try:
                    count += len(packet.decode())
                except av.error.FFmpegError:
                    continue
        except av.error.FFmpegError:
            count += len(stream.codec_context.decode(None))
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.mkv", "t.webm", "t.mp4"])
def test_a_missing_end_is_noticed_in_every_container(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(75)]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    clip = write_clip(tmp_path / name, noisy, codec=codec)
    source = open_source(clip)
    whole = len(list(source.frames()))
    assert whole == 75 and source.report.complete, source.report
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    source = open_source(clip)
    frames = list(source.frames())
    assert len(frames) == decodable(clip) > 20
    assert not source.report.complete and "ends early" in source.report.problem


def test_corrupt_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (64, 96, 3)).astype(np.uint8) for _ in range(40)]
    clip = write_clip(tmp_path / "c.mp4", noisy, gop=1)
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 12000] = b"\xff" * 12000
    clip.write_bytes(data)
    source = open_source(clip)
    frames = list(source.frames())
    assert source.report.corrupt + source.report.concealed > 0 and not source.report.complete
    assert 25 <= len(frames) == source.report.frames == decodable(clip) <= 40
    assert frames[-1].time_s == pytest.approx(39 / 25)  # what comes after the damage is there


def test_h264_in_avi_comes_in_order(tmp_path: Path) -> None:
    """AVI stores no presentation times, and this stream has B-frames."""
    path = tmp_path / "b.avi"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "3", "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in grey_frames(30):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    frames = decode(path)
    assert [f.time_s for f in frames] == pytest.approx([i / 25 for i in range(30)])
    assert [f.image.mean() for f in frames] == pytest.approx([20 + 2 * i for i in range(30)], abs=2.5)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda image: image),
        ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, -1), lambda image: image[::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
    ],
)
def test_all_eight_display_matrices(
    tmp_path: Path, matrix: tuple[int, int, int, int], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48], image[:32, 48:], image[32:, :48] = 240, 160, 80  # four quarters of different brightness
    clip = write_clip(tmp_path / "r.mp4", [image] * 3)
    set_matrix(clip, *matrix)
    source = open_source(clip)
    got = next(iter(source.frames())).image
    want = expected(image)
    assert got.shape == want.shape == (source.info.height, source.info.width, 3)
    assert np.abs(got.astype(int) - want).mean() < 6
    assert source.info.mirrored == (matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0)


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "sar.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(grey_frames(1)[0], format="rgb24")))
        output.mux(stream.encode(None))
    source = open_source(path)
    assert next(iter(source.frames())).image.shape == (64, 192, 3) and source.info.width == 192


def test_a_title_in_an_old_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.mp4"
    with av.open(str(path), "w") as output:
        output.metadata["title"] = "CafeXXXX"
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(grey_frames(1)[0], format="rgb24")))
        output.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"CafeXXXX", b"Caf\xe9 ol\xe9"))
    assert len(decode(path)) == 1


def test_a_cover_picture_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("libmp3lame", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    cover = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    picture = b"\0image/png\0\x03\0" + cover
    body = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + size + body + path.read_bytes())
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1  # FFmpeg presents the cover as a video
    with pytest.raises(SourceError, match="cover picture"):
        open_source(path)


def test_a_name_that_looks_like_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "c.mp4", grey_frames(3)).rename("12:40 take.mp4")
    assert len(decode(Path("12:40 take.mp4"))) == 3


def test_a_range_without_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(10))
    with pytest.raises(SourceError, match=r"no frame lies between 5 s and inf s; the last one read is at 0.36 s"):
        decode(clip, start_s=5)


@pytest.mark.slow
def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    real = av.open
    monkeypatch.setattr(av, "open", lambda path, **options: real(path, **{**options, "timeout": (1.0, 1.0)}))
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(SourceError, match="check the address and the network") as caught:
            open_source(f"http://user:secret@127.0.0.1:{server.getsockname()[1]}/a.mp4?token=secret")
        assert "secret" not in str(caught.value)


def test_names_are_fit_to_print() -> None:
    assert printable("rtsp://me:pw@camera/live?sig=1#x") == "rtsp://camera/live"
    assert printable("caf\udce9.mp4") == "caf\ufffd.mp4"


def test_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(SourceError, match="no video stream"):
        open_source(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"this is not a video\n" * 50, "not a video"),
        ("text.png", b"this is not a picture", "not a picture"),
        (None, b"", "no such file"),
    ],
)
def test_bad_files_are_named_and_explained(tmp_path: Path, name: str | None, content: bytes, message: str) -> None:
    path = tmp_path / (name or "missing.mp4")
    if name:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_folder_in_natural_order_with_a_damaged_picture(tmp_path: Path) -> None:
    for i in (1, 2, 10, 11):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), np.full((20, 30, 3), i, np.uint8))
    (tmp_path / "frame3.png").write_bytes(b"broken")
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_source(tmp_path)
    frames = list(source.frames())
    assert [int(f.image[0, 0, 0]) for f in frames] == [1, 2, 10, 11]
    assert [f.index for f in frames] == [0, 1, 2, 3]
    assert [Path(f.name).name for f in frames][2] == "frame10.png"
    assert all(math.isnan(f.time_s) for f in frames)
    assert source.report.corrupt == 1 and not source.report.complete


def test_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(SourceError, match="no pictures"):
        open_source(tmp_path)


def gradient() -> np.ndarray:
    """Dark at the left, bright at the right, red."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, 60)
    return image


@pytest.mark.parametrize("kind", ["rgb", "grey", "rgba", "16bit", "cmyk", "exif"])
def test_pictures_of_all_kinds(tmp_path: Path, kind: str) -> None:
    image = gradient()
    grey = image[..., 0]
    path = tmp_path / "p.png"
    expected: np.ndarray = image
    if kind == "rgb":
        Image.fromarray(image).save(path)
    elif kind == "grey":
        Image.fromarray(grey).save(path)
        expected = np.repeat(grey[..., None], 3, 2)
    elif kind == "rgba":
        Image.fromarray(np.dstack([image, np.full((40, 60), 255, np.uint8)])).save(path)
    elif kind == "16bit":
        cv2.imwrite(str(path), grey.astype(np.uint16) * 257)
        expected = np.repeat(grey[..., None], 3, 2)
    elif kind == "cmyk":
        path = tmp_path / "p.jpg"
        Image.fromarray(image).convert("CMYK").save(path, quality=95)
    else:
        path = tmp_path / "p.jpg"
        exif = Image.Exif()
        exif[274] = 6  # to be turned a quarter clockwise for display
        Image.fromarray(image).save(path, quality=95, exif=exif)
        expected = np.rot90(image, -1)
    got = read_image(path)
    assert got.shape == expected.shape and got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected).mean() < 4


def test_arrays_and_iterators() -> None:
    stack = np.stack(grey_frames(5))
    assert [f.time_s for f in open_source(stack, fps=10).frames()] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert len(list(open_source(stack[0]).frames())) == 1

    def camera() -> Iterator[np.ndarray]:
        yield from grey_frames(3)

    frames = list(open_source(camera()).frames())
    assert [f.index for f in frames] == [0, 1, 2] and math.isnan(frames[0].time_s)


def test_an_iterator_that_was_read_already() -> None:
    source = open_source(iter(grey_frames(3)))
    assert len(list(source.frames())) == 3
    with pytest.raises(SourceError, match="can be read once only"):
        list(source.frames())


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((4, 20, 30, 3), np.float32), TypeError, "uint8"),
        (np.zeros((20, 30), np.uint8), ValueError, r"\(H, W, 3\)"),
        (np.zeros((20, 30, 4), np.uint8), ValueError, "alpha"),
        (7, TypeError, "must be a path"),
    ],
)
def test_wrong_arrays_are_refused(array: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_source(array)  # type: ignore[arg-type]


@pytest.mark.slow
def test_real_clips(shared: Path) -> None:
    report = {}
    for name in ("utterance_1.mp4", "no_face.mp4", "noface_face.mov"):
        source = open_source(shared / "clips" / name)
        times = [f.time_s for f in source.frames(every=1)]
        report[name] = len(times)
        assert source.report.complete and all(a < b for a, b in pairwise(times))
    assert report == {"utterance_1.mp4": 309, "no_face.mp4": 95, "noface_face.mov": 169}


@pytest.mark.slow
def test_decoded_frames_are_let_go_at_once(tmp_path: Path) -> None:
    """Without waiting for the garbage collector, or a long video would fill the memory."""
    clip = write_clip(tmp_path / "c.mp4", grey_frames(60))
    source = open_source(clip)
    gc.collect()
    gc.disable()
    try:
        for _ in source.frames():
            pass
        kept = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 3


@pytest.mark.parametrize("device", ["cuda", "qsv:nowhere", "nonsense"])
def test_a_device_that_cannot_decode_is_named(tmp_path: Path, device: str) -> None:
    """None of them is on a machine without a GPU; where there is one, `cuda` decodes."""
    clip = write_clip(tmp_path / "c.mp4", grey_frames(5))
    try:
        source = open_source(clip, decode_on=device)
    except DeviceUnavailable as error:
        assert str(clip) in str(error) and device in str(error) and "cpu" in str(error)
    else:
        assert device == "cuda" and len(list(source.frames())) == 5
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "gone.mp4", decode_on=device)
