"""Videos whose clocks, sound or fields are odd, and pictures as phones and tools make them. Each function makes one."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

STEP = 4
"""Grey levels from one numbered frame to the next: codecs are off by one or two."""


def numbered(count: int, first: int = 0) -> list[np.ndarray]:
    """Flat frames whose brightness says which one they are."""
    return [np.full((64, 96, 3), 20 + STEP * i, np.uint8) for i in range(first, first + count)]


def number_of(image: np.ndarray) -> int:
    """Which of the :func:`numbered` frames it is."""
    return round((float(image.mean()) - 20) / STEP)


def raw_stream(path: Path, count: int = 12, *, fps: int = 30, codec: str = "libx264") -> Path:
    """A codec's bare stream, which knows no times."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps, options={"bf": "2"} if codec == "libx264" else {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i, image in enumerate(numbered(count)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def avi_with_sound(
    path: Path,
    count: int = 50,
    *,
    left_out: Sequence[int] = (),
    bf: int = 0,
    layout: str = "mono",
) -> Path:
    """25 frames a second of MPEG-4 and a tone in MP3; ``left_out`` of them were never recorded."""
    rate = 44100
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=25, options={"bf": str(bf), "qmin": "1", "qmax": "2"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = output.add_stream("libmp3lame", rate=rate, layout=layout)
        written = 0
        for i, image in enumerate(numbered(count)):
            if i not in left_out:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                output.mux(video.encode(frame))
            while written < (i + 1) * rate / 25:
                output.mux(sound.encode(tone(written, 1152, rate, layout)))
                written += 1152
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    return path


def tone(start: int, samples: int, rate: int, layout: str = "mono") -> av.AudioFrame:
    """A piece of a steady tone that begins at sample ``start``."""
    wave = (np.sin((np.arange(samples) + start) * 0.06) * 0.2).astype(np.float32)
    channels = np.repeat(wave[None], 2 if layout == "stereo" else 1, axis=0)
    frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
    return frame


def copied_with_decoding_times(path: Path, count: int = 40) -> Path:
    """B-frames whose presentation times are their decoding times, as when an AVI is copied into an MP4."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25, options={"bf": "2", "g": "12", "qmin": "1", "qmax": "2"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        number = 0
        for i, image in enumerate([*numbered(count), None]):
            frame = None
            if image is not None:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = number
                packet.time_base = Fraction(1, 25)
                number += 1
                output.mux(packet)
    return path


def transport_stream(
    path: Path, count: int = 25, *, start_s: float = 0.0, first: int = 0, sound: bool = False, bf: int = 0
) -> Path:
    """MPEG-TS whose clock begins at ``start_s``; its frames are numbered from ``first`` on."""
    with av.open(str(path), "w", options={"mpegts_copyts": "1"}) as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "5", "bf": str(bf), "crf": "10"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        audio = output.add_stream("mp2", rate=48000, layout="mono") if sound else None
        written = 0
        for i, image in enumerate(numbered(count, first)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round((start_s + i / 25) * 90000), Fraction(1, 90000)
            output.mux(stream.encode(frame))
            while audio is not None and written < (i + 1) * 48000 / 25:
                piece = tone(written, 1152, 48000)
                piece = av.AudioFrame.from_ndarray(
                    (piece.to_ndarray() * 32767).astype(np.int16), format="s16", layout="mono"
                )
                piece.sample_rate, piece.time_base = 48000, Fraction(1, 48000)
                piece.pts = round(start_s * 48000) + written
                output.mux(audio.encode(piece))
                written += 1152
        output.mux(stream.encode(None))
        if audio is not None:
            output.mux(audio.encode(None))
    return path


def joined(path: Path, *pieces: Path) -> Path:
    """One file of several, byte behind byte, as recorders do."""
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return path


def without_first_times(path: Path, count: int) -> Path:
    """Take the presentation times of the first ``count`` pictures out of a transport stream."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 188):
        packet = memoryview(data)[at : at + 188]
        begins = packet[1] & 0x40
        payload = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if count and begins and payload < 180 and bytes(packet[payload : payload + 3]) == b"\0\0\1":
            if packet[payload + 3] & 0xF0 != 0xE0:
                continue  # no video
            packet[payload + 7] &= 0x3F  # neither presentation nor decoding time: what lies there is stuffing
            length = packet[payload + 8]
            packet[payload + 9 : payload + 9 + length] = b"\xff" * length
            count -= 1
    path.write_bytes(data)
    return path


def combed(count: int = 12, *, height: int = 96, width: int = 160, step: int = 4) -> list[np.ndarray]:
    """A bright bar that moves ``step`` px from field to field, so that the odd rows are ahead of the even ones."""
    frames = []
    for i in range(count):
        image = np.full((height, width, 3), 40, np.uint8)
        for field in (0, 1):
            left = 8 + step * (2 * i + field)
            image[field::2, left : left + 24] = 220
        frames.append(image)
    return frames


def interlaced(path: Path, frames: Sequence[np.ndarray], *, flagged: bool = True) -> Path:
    """MPEG-2 or H.264 of fields, marked as such."""
    flags = {"flags": "+ildct+ilme"} if flagged else {}
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg2video", rate=25, options={**flags, "qmin": "1", "qmax": "2"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 20_000_000
        for i, image in enumerate(frames):
            # Fields each for themselves, or the conversion would mix their colours.
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(stream.encode(marked(frame)) if flagged else stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def marked(frame: av.VideoFrame) -> av.VideoFrame:
    """The same frame, marked as interlaced."""
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)),
        graph.add("setfield", "tff"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    graph.push(frame)
    done = graph.pull()
    assert isinstance(done, av.VideoFrame)
    done.pts, done.time_base = frame.pts, Fraction(1, 25)
    return done


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of an ISO base media file."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def tiled_picture(
    path: Path, tiles: Sequence[np.ndarray], columns: int, *, turns: int = 0, mirror: int | None = None
) -> Path:
    """A HEIC (by HEVC) or AVIF (by AV1) picture cut into tiles of one size, as phones write them.

    Args:
        tiles: RGB (S, S, 3), row by row.
        turns: quarter turns counterclockwise that the file asks for (irot).
        mirror: axis that it is mirrored at after that (imir): 0 top and bottom, 1 left and right are exchanged.
    """
    avif = path.suffix == ".avif"
    config, samples = _intra_coded(tiles, "libsvtav1" if avif else "libx265", b"av1C" if avif else b"hvcC")
    side, rows = tiles[0].shape[0], len(tiles) // columns
    width, height = side * columns, side * rows
    count = len(tiles)
    brand, coded = (b"avif", b"av01") if avif else (b"heic", b"hvc1")
    ftyp = box(b"ftyp", brand, struct.pack(">I", 0), b"mif1", b"miaf", brand)
    infos = [full_box(b"infe", struct.pack(">HH", i + 1, 0), coded, b"\0", version=2, flags=1) for i in range(count)]
    infos.append(full_box(b"infe", struct.pack(">HH", count + 1, 0), b"grid\0", version=2))
    properties = [
        config,
        full_box(b"ispe", struct.pack(">II", side, side)),
        full_box(b"ispe", struct.pack(">II", width, height)),
        box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
        full_box(b"pixi", b"\x03\x08\x08\x08"),
    ]
    of_grid = [3, 4, 5]
    if turns:
        properties.append(box(b"irot", bytes([turns])))
        of_grid.append(0x80 | len(properties))
    if mirror is not None:
        properties.append(box(b"imir", bytes([mirror])))
        of_grid.append(0x80 | len(properties))
    ties = [struct.pack(">HB", i + 1, 4) + bytes([0x81, 2, 4, 5]) for i in range(count)]
    ties.append(struct.pack(">HB", count + 1, len(of_grid)) + bytes(of_grid))
    iprp = box(b"iprp", box(b"ipco", *properties), full_box(b"ipma", struct.pack(">I", len(ties)), *ties))
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    parts = [*samples, grid]

    def meta(offset: int) -> bytes:
        places = []
        for i, part in enumerate(parts):
            places.append(struct.pack(">HHHII", i + 1, 0, 1, offset, len(part)))
            offset += len(part)
        iloc = full_box(b"iloc", b"\x44\x00", struct.pack(">H", len(places)), *places)
        links = box(b"dimg", struct.pack(">HH", count + 1, count), *(struct.pack(">H", i + 1) for i in range(count)))
        return full_box(
            b"meta",
            full_box(b"hdlr", struct.pack(">I4s", 0, b"pict"), bytes(12), b"\0"),
            full_box(b"pitm", struct.pack(">H", count + 1)),
            iloc,
            full_box(b"iinf", struct.pack(">H", len(infos)), *infos),
            full_box(b"iref", links),
            iprp,
        )

    begin = len(ftyp) + len(meta(0)) + 8
    path.write_bytes(ftyp + meta(begin) + box(b"mdat", *parts))
    return path


def _intra_coded(images: Sequence[np.ndarray], codec: str, kind: bytes) -> tuple[bytes, list[bytes]]:
    """The decoder's configuration box, and each picture coded for itself."""
    options = {"x265-params": "keyint=1:log-level=none:crf=4"} if codec == "libx265" else {"crf": "8", "preset": "10"}
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", 1
        stream.codec_context.color_range = ColorRange.JPEG
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG
            )
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = file.getvalue()
    at = data.index(kind) - 4
    size = struct.unpack(">I", data[at : at + 4])[0]
    file.seek(0)
    with av.open(file) as container:
        samples = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    return data[at : at + size], samples
