"""How much memory large frames take: `affectkit predict` in a process of its own, and its peak.

    python benchmarks/large.py -o benchmarks/results/large.json

8K film (the sample clip enlarged), with and without an annotated video; GIFs that declare 16000 x 16000 pixels in a few
bytes, and one that has them; pictures of the largest size that is read, of which some have several pages; a playlist
that names itself. Linux only.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
from PIL import Image

from affectkit.measurements import machine
from affectkit.sources.opening import open_source

SAMPLE = Path(__file__).parent.parent / "samples" / "astronaut.mp4"

MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
"""


def film(path: Path, width: int, height: int, frames: int = 4) -> Path:
    """The sample clip enlarged, in H.264."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "38", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame, _ in zip(open_source(SAMPLE).frames(), range(frames), strict=False):
            image = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_LINEAR)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def gif(path: Path, side: int, *, whole: bool, frames: int = 1) -> Path:
    """One colour: all of its pixels in the longest codes that LZW has, or none of them."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02"
    data = _one_colour(side * side) if whole else b"\x4c\x01"
    blocks = b"".join(bytes([len(data[k : k + 255])]) + data[k : k + 255] for k in range(0, len(data), 255))
    path.write_bytes(head + frames * (image + blocks + b"\0") + b"\x3b")
    return path


def picture(path: Path, mode: str, *sides: int, **options: object) -> Path:
    """Pages of one colour each."""
    pages = [Image.new("RGB", (side, side), (90 + 20 * k, 90, 90)).convert(mode) for k, side in enumerate(sides)]
    several = {"save_all": True, "append_images": pages[1:]} if len(pages) > 1 else {}
    pages[0].save(path, **several, **options)
    return path


def _one_colour(pixels: int) -> bytes:
    out, held, bits, size = bytearray(), 0, 0, 3

    def put(code: int) -> None:
        nonlocal held, bits
        held, bits = held | code << bits, bits + size
        while bits >= 8:
            out.append(held & 255)
            held, bits = held >> 8, bits - 8

    put(4)  # clear
    code, length = 0, 1
    while pixels >= length:
        put(code)
        pixels -= length
        code, length = (code + 1 if code else 6), length + 1
        size += code == 1 << size and size < 12
        if code >= 4095:
            put(4)
            size, code, length = 3, 0, 1
    if pixels:  # fewer than the longest code that there is by now
        put(0 if pixels == 1 else pixels + 4)
    put(5)  # end
    return bytes([*out, held & 255])


def measure(what: str, source: Path, scratch: Path, options: Sequence[str] = ()) -> dict[str, object]:
    """Exit code, MB and seconds of one run."""
    program = [sys.executable, "-P", "-m", "affectkit", "predict", str(source), "-o", str(scratch / "t.csv"), "-q"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *program, "--overwrite", *options], capture_output=True, text=True, check=True
    )
    code, megabytes = map(int, done.stdout.split())
    row: dict[str, object] = {"what": what, "bytes": source.stat().st_size, "exit_code": code, "peak_mb": megabytes}
    row |= {"seconds": round(time.perf_counter() - began, 1), "said": done.stderr.strip().replace(f"{scratch}/", "")}
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        four, many = (film(scratch / f"8k{count}.mp4", 7680, 4320, count) for count in (4, 24))
        playlist = scratch / "mself.m3u8"
        playlist.write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmself.m3u8\n")
        rows = [
            measure("8K film, 4 frames", four, scratch),
            measure("8K film, 24 frames", many, scratch),
            measure("8K film, 24 frames, --render", many, scratch, ["--render", str(scratch / "r.mp4")]),
            measure("the same, --smooth 2", many, scratch, ["--smooth", "2", "--render", str(scratch / "r.mp4")]),
            measure("GIF that declares 16000 x 16000", gif(scratch / "a.gif", 16000, whole=False), scratch),
            measure("GIF that has 16000 x 16000", gif(scratch / "b.gif", 16000, whole=True), scratch),
            measure("GIF of 8192 x 8192", gif(scratch / "c.gif", 8192, whole=True), scratch),
            measure("GIF of 8192 x 8192, 3 frames", gif(scratch / "d.gif", 8192, whole=True, frames=3), scratch),
            measure("animated GIF, 3 x 40 MP", gif(scratch / "e.gif", 6370, whole=True, frames=3), scratch),
            measure("PNG with alpha, 130 MP", picture(scratch / "a.png", "RGBA", 11400), scratch),
            measure("APNG, 3 x 27 MP", picture(scratch / "b.png", "RGBA", *[5190] * 3, disposal=2, blend=1), scratch),
            measure("animated WebP, 3 x 27 MP", picture(scratch / "a.webp", "RGBA", *[5200] * 3, method=0), scratch),
            measure(
                "TIFF, 2 x 108 MP", picture(scratch / "a.tif", "RGB", 10390, 10400, compression="tiff_lzw"), scratch
            ),
            measure("TIFF whose page 2 has 144 MP", picture(scratch / "b.tif", "L", 64, 12000), scratch),
            measure("playlist that names itself", playlist, scratch),
        ]
    if arguments.output is not None:
        arguments.output.write_text(json.dumps({"rows": rows, "machine": machine()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
