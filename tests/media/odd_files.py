"""Files as they really come: hostile, broken or only unusual. Each function makes one and returns its path."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from synthetic import grey_frames, write_clip


def endless_playlist(path: Path) -> Path:
    """A playlist of playlists that names itself: each time it is read there is one more."""
    path.write_text(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{path.name}\n")
    return path


def open_playlist(path: Path, segment: Path) -> Path:
    """A playlist without an end: its reader waits for more."""
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{segment.name}\n")
    return path


def closed_playlist(path: Path, segment: str) -> Path:
    """A playlist of one segment, with an end."""
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{segment}\n#EXT-X-ENDLIST\n")
    return path


def concat_script(path: Path, named: Path) -> Path:
    """A script that makes FFmpeg read another file."""
    path.write_text(f"ffconcat version 1.0\nfile {named.name}\n")
    return path


def manifest(path: Path, named: str) -> Path:
    """A DASH playlist."""
    path.write_text(
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/mp4">'
        '<Representation id="0" bandwidth="1">'
        f"<BaseURL>{named}</BaseURL></Representation></AdaptationSet></Period></MPD>\n"
    )
    return path


def session_description(path: Path) -> Path:
    """Tells FFmpeg to listen on a port."""
    path.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n")
    return path


def huge_gif(path: Path, width: int = 16000, height: int = 16000, frames: int = 4) -> Path:
    """A few bytes a frame that declare a large picture: one colour, in the longest codes that LZW has."""
    data = bytearray(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff")
    # Code size 2: clear (4), then the same pixel over and over is cut short; the decoder fills in what is missing.
    for _ in range(frames):
        data += b"\x21\xf9\x04\0\x04\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0)
        data += b"\x02\x02\x4c\x01\0"
    path.write_bytes(bytes(data) + b"\x3b")
    return path


def declared_size(path: Path, width: int, height: int, **options: int) -> Path:
    """An MP4 whose sample description declares this size, over a small H.264 stream or none that fits."""
    write_clip(path, grey_frames(5), **options)  # type: ignore[arg-type]
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd")) + 4 + 24
    data[at : at + 4] = struct.pack(">HH", width, height)
    path.write_bytes(data)
    return path


def unknown_codec(path: Path) -> Path:
    """An MP4 whose video is of a kind that FFmpeg has never heard of."""
    write_clip(path, grey_frames(5))
    data = bytearray(path.read_bytes())
    at = data.index(b"avc1", data.index(b"stsd"))
    data[at : at + 4] = b"zzzz"
    path.write_bytes(data)
    return path


def broken_time_base(path: Path, ticks: int = 0) -> Path:
    """An MP4 whose clocks have this many ticks a second."""
    write_clip(path, grey_frames(5))
    data = bytearray(path.read_bytes())
    for box in (b"mdhd", b"mvhd"):
        at = data.index(box) + 4 + 12
        data[at : at + 4] = struct.pack(">I", ticks)
    path.write_bytes(data)
    return path


def with_profile(path: Path, *, frames: int = 3) -> Path:
    """A video of PNG pictures that hold a colour profile, as they do that come from a picture editor."""
    pictures = [png_with_profile(16 + 8 * i) for i in range(frames)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "rgb24"
        for i, data in enumerate(pictures):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, i, i
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            output.mux(packet)
    return path


def png_with_profile(level: int, *, width: int = 32, height: int = 24) -> bytes:
    """A grey PNG with a colour profile that has a name."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    profile = bytearray(128)
    profile[36:40] = b"acsp"
    profile += bytes(4)
    profile[0:4] = struct.pack(">I", len(profile))
    rows = b"".join(b"\0" + bytes([level]) * 3 * width for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"iCCP", b"a name\0\0" + zlib.compress(bytes(profile)))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def several_streams(path: Path, films: Sequence[tuple[int, int, Disposition]]) -> Path:
    """Video streams one after the other: of each its number of frames, its level of grey, and how it is marked."""
    with av.open(str(path), "w") as output:
        streams = []
        for _, _, marks in films:
            stream = output.add_stream("libx264", rate=25, options={"bf": "0", "crf": "10"})
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.disposition = marks
            streams.append(stream)
        for k in range(max(count for count, _, _ in films)):
            for stream, (count, level, _) in zip(streams, films, strict=True):
                if k < count:
                    frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), level, np.uint8), format="rgb24")
                    frame.pts, frame.time_base = k, Fraction(1, 25)
                    output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


def odd_avi(
    path: Path, *, size: tuple[int, int] | None = None, scale: int | None = None, rate: int | None = None
) -> Path:
    """An AVI of MJPEG whose headers were changed: the size of its pictures, or the two halves of its rate."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for image in grey_frames(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    header = data.index(b"strh") + 8
    if scale is not None:
        data[header + 20 : header + 24] = struct.pack("<I", scale)
    if rate is not None:
        data[header + 24 : header + 28] = struct.pack("<I", rate)
    if size is not None:
        shape = data.index(b"strf") + 8
        data[shape + 4 : shape + 12] = struct.pack("<II", *size)
    path.write_bytes(data)
    return path


def raw_video(path: Path, width: int, height: int) -> Path:
    """An uncompressed AVI of which only the headers say how large its pictures are."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in grey_frames(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    shape = data.index(b"strf") + 8
    data[shape + 4 : shape + 12] = struct.pack("<II", width, height)
    path.write_bytes(data)
    return path
