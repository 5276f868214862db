"""What is opened, and what is not: hostile and odd files through the one gate."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from media import odd_files
from PIL import Image, ImageCms
from synthetic import grey_frames, write_clip

from affectkit import Predictor
from affectkit.errors import SourceError
from affectkit.sources.gate import open_container, watched
from affectkit.sources.limits import Opening
from affectkit.sources.live import LiveSource
from affectkit.sources.names import is_url
from affectkit.sources.opening import open_source

pytestmark = pytest.mark.slow

Cli = Callable[..., tuple[int, str, str]]

LIMITED_MB = 1500


def in_a_limited_process(code: str, *arguments: object) -> str:
    """What a Python program prints that may take so many MB of memory, and must end within 300 s."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (LIMITED_MB << 20, LIMITED_MB << 20))

    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READ = """
import sys
from affectkit.errors import SourceError
from affectkit.sources.opening import open_source
try:
    print(sum(1 for _ in open_source(sys.argv[1]).frames()))
except SourceError as error:
    print(error)
"""


def test_a_playlist_that_names_itself(tmp_path: Path) -> None:
    """It filled the memory until the kernel ended the process."""
    said = in_a_limited_process(READ, odd_files.endless_playlist(tmp_path / "mself.m3u8"))
    assert "playlist (hls)" in said and "input_format=" in said


def test_a_local_playlist_without_an_end(tmp_path: Path) -> None:
    segment = write_clip(tmp_path / "seg.ts", grey_frames(25))
    with pytest.raises(SourceError, match="playlist"):
        open_source(odd_files.open_playlist(tmp_path / "live.m3u8", segment))


@pytest.mark.parametrize("kind", ["concat", "sdp", "hls", "dash"])
def test_a_video_that_names_other_files(tmp_path: Path, kind: str) -> None:
    """Whatever it is called: what it names is not read."""
    secret = tmp_path / "secret.txt"
    secret.write_text("root:x:0:0:root:/root:/bin/bash\n" * 40)  # long enough for FFmpeg to draw it
    segment = write_clip(tmp_path / "seg.ts", grey_frames(25))
    path = tmp_path / "innocent.mp4"
    if kind == "concat":
        odd_files.concat_script(path, secret)
    elif kind == "sdp":
        odd_files.session_description(path)
    elif kind == "dash":
        odd_files.manifest(path, segment.as_uri())
    else:
        path = odd_files.closed_playlist(tmp_path / "innocent.m3u8", segment.as_uri())
    with pytest.raises(SourceError) as caught:
        open_source(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["notes.txt", "art.ans", "x.bin", "list.ffconcat", "edit.imf", "words.srt"])
def test_a_text_is_no_video(tmp_path: Path, name: str) -> None:
    """FFmpeg draws text files as pictures of a terminal."""
    path = tmp_path / name
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n" * 50)
    with pytest.raises(SourceError):
        open_source(path)


def test_a_local_playlist_for_those_who_mean_it(tmp_path: Path, run_cli: Cli, tiny: Path) -> None:
    segment = write_clip(tmp_path / "seg.ts", grey_frames(25))
    path = odd_files.closed_playlist(tmp_path / "clip.m3u8", segment.name)
    assert len(list(open_source(path, input_format="hls").frames())) == 25
    table = tmp_path / "t.csv"
    code, _, err = run_cli("predict", path, "-o", table, "--input-format", "hls", "--model", tiny)
    assert code == 0, err
    meta = json.loads((tmp_path / "t.csv.meta.json").read_text())
    assert meta["film"]["format"] == "hls" and meta["options"]["input_format"] == "hls"


def test_an_annotated_video_of_a_local_playlist(
    tmp_path: Path, run_cli: Cli, tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    segment = write_clip(tmp_path / "seg.ts", grey_frames(25), sound=True)
    path = odd_files.closed_playlist(tmp_path / "clip.m3u8", segment.name)
    outputs = ["-o", tmp_path / "t.csv", "--render", tmp_path / "r.mp4"]
    code, _, err = run_cli("predict", path, *outputs, "--input-format", "hls", "--model", tiny)
    assert code == 0 and (tmp_path / "r.mp4").exists(), err
    assert "sound" in caplog.text


def test_an_unknown_format_is_misuse(tmp_path: Path, run_cli: Cli) -> None:
    clip = write_clip(tmp_path / "c.mp4", grey_frames(5))
    code, _, err = run_cli("predict", clip, "-o", tmp_path / "t.csv", "--input-format", "nonsense")
    assert code == 2 and "nonsense" in err and len(err.strip().splitlines()) == 1
    for bad in ("nonsense", "mp4,hls", ""):
        with pytest.raises(ValueError, match="input_format"):
            open_source(clip, input_format=bad)
    with pytest.raises(ValueError, match="max_pixels"):
        Opening(max_pixels=0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "without file://"),
        ("FILE:///etc/passwd", "without file://"),
        ("ftp://example.org/a.mp4", "not opened"),
        ("subfile://a", "not opened"),
        ("unix:///run/x", "not opened"),
    ],
)
def test_only_network_addresses_are_opened(url: str, message: str) -> None:
    assert is_url(url)
    with pytest.raises(SourceError, match=message):
        open_source(url)
    with pytest.raises(SourceError, match=message):
        list(LiveSource(url).frames())


class _Server(threading.Thread):
    """Answers every request over HTTP with the same bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__(daemon=True)
        self._body = body
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(self._body)}\r\n\r\n".encode()
                connection.sendall(head + self._body)

    def close(self) -> None:
        self._socket.close()


def test_a_playlist_of_the_network_reads_no_local_file(tmp_path: Path) -> None:
    segment = write_clip(tmp_path / "seg.ts", grey_frames(25))
    path = odd_files.closed_playlist(tmp_path / "p.m3u8", segment.as_uri())
    server = _Server(path.read_bytes())
    server.start()
    try:
        with pytest.raises(SourceError):
            list(open_source(f"http://127.0.0.1:{server.port}/p.m3u8").frames())
    finally:
        server.close()


def test_a_picture_of_256_million_pixels(tmp_path: Path) -> None:
    """A few bytes that declare it; it took 20 GB."""
    path = odd_files.huge_gif(tmp_path / "huge.gif")
    assert path.stat().st_size < 1000
    said = in_a_limited_process(READ, path)
    assert "max_pixels=" in said


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.avi", "c.ts", "c.h264"])
def test_frames_over_the_limit_are_refused(tmp_path: Path, run_cli: Cli, name: str) -> None:
    clip = write_clip(tmp_path / name, grey_frames(5))
    with pytest.raises(SourceError, match="max_pixels="):
        list(open_source(clip, max_pixels=96 * 64 - 1).frames())
    assert len(list(open_source(clip, max_pixels=96 * 64).frames())) == 5
    code, _, err = run_cli("predict", clip, "-o", tmp_path / "t.csv", "--max-pixels", "1000")
    assert code == 1 and "--max-pixels" in err and not (tmp_path / "t.csv").exists()


def test_a_film_that_becomes_too_large(tmp_path: Path) -> None:
    """A stream may change its size; the decoder itself holds the limit."""
    small, large = (write_clip(tmp_path / f"{k}.h264", grey_frames(10, height=64 * k, width=96 * k)) for k in (1, 4))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    assert {f.image.shape[0] for f in open_source(joined).frames()} == {64, 256}
    source = open_source(joined, max_pixels=100 * 100)
    assert {f.image.shape[0] for f in source.frames()} == {64} and not source.report.complete


def test_pictures_with_a_colour_profile(tmp_path: Path) -> None:
    """Asking PyAV for their side data ended the process, later."""
    path = odd_files.with_profile(tmp_path / "profile.mov", frames=4)
    code = READ + "\nimport gc\nfor _ in range(20):\n    list(open_source(sys.argv[1]).frames())\n    gc.collect()\n"
    assert in_a_limited_process(code, path).strip() == "4"


@pytest.mark.parametrize("input_format", [None, "apng"])
def test_animations_with_a_colour_profile(tmp_path: Path, input_format: str | None) -> None:
    """The same of APNG, through Pillow and through FFmpeg: the process ended with a segmentation fault."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    first, *rest = (Image.new("RGB", (48, 32), (60 * k, 10, 200)) for k in range(4))
    path = tmp_path / "a.apng"
    first.save(path, format="PNG", save_all=True, append_images=rest, duration=100, icc_profile=profile)
    assert b"iCCP" in path.read_bytes()
    code = f"""
import gc, sys
from affectkit.sources.opening import open_source
for _ in range(20):
    reds = [int(f.image[0, 0, 0]) for f in open_source(sys.argv[1], input_format={input_format!r}).frames()]
    gc.collect()
print(reds)
"""
    assert in_a_limited_process(code, path).strip() == "[0, 60, 120, 180]"


def test_a_codec_that_nothing_decodes(tmp_path: Path, run_cli: Cli) -> None:
    path = odd_files.unknown_codec(tmp_path / "x.mp4")
    with pytest.raises(SourceError, match="codec"):
        open_source(path)
    code, _, err = run_cli("predict", path, "-o", tmp_path / "t.csv")
    assert code == 1 and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("size", [(65535, 65535), (0, 0), (2**31 - 1, 1), (1, 1), (16000, 16000)])
def test_sizes_that_cannot_be(tmp_path: Path, tiny: Path, size: tuple[int, int]) -> None:
    """Rows where the pictures themselves say another size, else one clear error."""
    predictor = Predictor(tiny)
    shown = odd_files.odd_avi(tmp_path / "shown.avi", size=size)
    assert len(list(predictor.stream(shown))) == 5
    declared = odd_files.declared_size(tmp_path / "c.mp4", size[0] & 0xFFFF, size[1] & 0xFFFF)
    assert len(list(predictor.stream(declared))) == 5
    with pytest.raises(SourceError):  # nothing but the header says how large the pictures are
        list(predictor.stream(odd_files.raw_video(tmp_path / "raw.avi", size[0] + 10_000, size[1] + 10_000)))


@pytest.mark.parametrize("ticks", [0, 1, 2**31 - 1, 2**32 - 1])
def test_clocks_that_cannot_be(tmp_path: Path, tiny: Path, ticks: int) -> None:
    predictor = Predictor(tiny)
    for path in (
        odd_files.broken_time_base(tmp_path / "c.mp4", ticks),
        odd_files.odd_avi(tmp_path / "s.avi", scale=ticks),
        odd_files.odd_avi(tmp_path / "r.avi", rate=ticks),
        odd_files.odd_avi(tmp_path / "b.avi", scale=ticks, rate=ticks),
    ):
        results = list(predictor.stream(path))
        assert results and all(np.isfinite(result.time_s) for result in results)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x1a", b"SAUCE00" + bytes(120)])
def test_an_empty_picture_of_a_terminal(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    with pytest.raises(SourceError):
        open_source(path)


MARKED, PLAIN = Disposition.default, Disposition(0)


@pytest.mark.parametrize(
    ("name", "films", "level"),
    [
        ("a.mkv", [(1, 50, PLAIN), (20, 100, MARKED)], 100),  # a still before the film
        ("a.mp4", [(1, 50, MARKED), (20, 100, PLAIN)], 100),  # even where it is the one that is marked
        ("a.mkv", [(10, 50, MARKED), (20, 100, PLAIN)], 50),
        ("a.mkv", [(10, 50, PLAIN), (20, 100, PLAIN)], 100),  # the longest
        ("a.mkv", [(20, 50, PLAIN), (20, 100, PLAIN)], 50),  # the first
        ("a.mkv", [(20, 50, PLAIN), (10, 100, PLAIN), (30, 150, PLAIN)], 150),
    ],
)
def test_the_film_of_several_streams(
    tmp_path: Path, name: str, films: list[tuple[int, int, Disposition]], level: int
) -> None:
    source = open_source(odd_files.several_streams(tmp_path / name, films))
    frames = list(source.frames())
    assert frames[0].image.mean() == pytest.approx(level, abs=3)
    assert len(frames) == next(count for count, grey, _ in films if grey == level)
    film = source.info.film
    assert film is not None and film.streams == len(films) and len(film.others) == len(films) - 1
    assert all("h264 96 x 64" in other for other in film.others)


def test_the_meta_file_names_the_streams_left_out(tmp_path: Path, run_cli: Cli, tiny: Path) -> None:
    path = odd_files.several_streams(tmp_path / "a.mkv", [(1, 50, PLAIN), (20, 100, MARKED)])
    assert run_cli("predict", path, "-o", tmp_path / "t.csv", "--model", tiny)[0] == 0
    meta = json.loads((tmp_path / "t.csv.meta.json").read_text())
    assert meta["film"]["index"] == 1 and meta["film"]["streams"] == 2
    assert "stream 0: h264" in meta["film"]["others"][0] and "matroska" in meta["film"]["format"]
    assert meta["options"]["max_pixels"] == 67108864


def test_work_that_does_not_end_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(SourceError, match=r"x: could not be opened within 0 s"):
        watched(lambda: never.wait(30), "x", 0.3)
    never.set()
    assert watched(lambda: 3, "x") == 3
    with pytest.raises(KeyError):
        watched(lambda: {}["y"], "x")


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp"])
@pytest.mark.parametrize("command", ["predict", "live"])
def test_ctrl_c_while_a_silent_address_is_opened(tmp_path: Path, scheme: str, command: str, tiny: Path) -> None:
    """It took seven seconds, and then was 'not a video'."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/a"
        options = ["-o", str(tmp_path / "t.csv")] if command == "predict" else ["--no-window"]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "affectkit", command, url, *options, "--model", str(tiny)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        server.settimeout(60)
        connection, _ = server.accept()  # now it waits for an answer
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        connection.close()
    assert process.returncode in ((130,) if command == "predict" else (0, 130)), err
    # FFmpeg gives up after ten seconds, with a message of its own.
    assert "not a video" not in err and "cannot be opened" not in err and "Traceback" not in err


def test_every_format_of_the_list_reads_itself_only(tmp_path: Path) -> None:
    """Names are FFmpeg's; a misspelled one would refuse what it was meant to allow."""
    from av.format import ContainerFormat

    from affectkit.sources import gate

    unknown = []
    for name in gate.NETWORK_FORMATS.split(","):
        try:
            known = ContainerFormat(name, "r").is_input
        except ValueError:
            known = False
        unknown += [] if known else [name]
    assert set(unknown) <= {"avif", "heif", "f4v", "asf_o"}  # of some builds only
    forbidden = {"hls", "concat", "dash", "sdp", "rtp", "rtsp", "tty", "lavfi", "image2", "imf", "ffmetadata", "bin"}
    assert not forbidden & set(gate.LOCAL_FORMATS.split(","))


def test_containers_are_opened_as_before(tmp_path: Path) -> None:
    for name, codec in (("c.mp4", "libx264"), ("c.webm", "libvpx-vp9"), ("c.flv", "libx264"), ("c.ts", "libx264")):
        clip = write_clip(tmp_path / name, grey_frames(5), codec=codec)
        with open_container(str(clip)) as container:
            assert isinstance(container, av.container.InputContainer)
        assert len(list(open_source(clip).frames())) == 5


@pytest.mark.parametrize("kind", ["array", "video"])
def test_ranges_without_frames(tmp_path: Path, kind: str) -> None:
    images = grey_frames(30)
    clip = write_clip(tmp_path / "c.mp4", images)

    def frames(**options: float) -> list[int]:
        source = open_source(np.stack(images), fps=25) if kind == "array" else open_source(clip)
        return [frame.index for frame in source.frames(**options)]  # type: ignore[arg-type]

    assert frames(start_s=1.0) == [25, 26, 27, 28, 29]
    with pytest.raises(SourceError, match=r"no frame lies between 5 s and inf s"):
        frames(start_s=5)
    with pytest.raises(SourceError, match=r"of the 5 frames .* multiple of every=1000"):
        frames(start_s=1, every=1000)


def test_a_number_is_a_camera_of_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="affectkit live 0"):
        open_source("0")
