"""Clips with known contents, and model folders changed on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from affectkit.models import sha256


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    fps: int = 25,
    times: Sequence[Fraction] | None = None,
    sound: bool = False,
    codec: str = "libx264",
    gop: int = 12,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode RGB frames; ``times`` in seconds make the rate variable, ``sound`` adds a tone."""
    coding = {"crf": "10", "g": str(gop), "bf": "0"} if codec == "libx264" else {}
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as output:
        stream = output.add_stream(codec, rate=fps, options=coding)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        tone = output.add_stream("aac", rate=44100, layout="mono") if sound else None
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = round((times[i] if times is not None else Fraction(i, fps)) * 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if tone is not None:
            samples = np.sin(np.arange(44100 * len(frames) // fps) * 0.06).astype(np.float32) * 0.2
            for start in range(0, len(samples), 1024):
                piece = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 44100, start, Fraction(1, 44100)
                output.mux(tone.encode(piece))
            output.mux(tone.encode(None))
    return path


def beginning_of(clip: Path, target: Path, frames: int) -> Path:
    """The first frames of a clip without B-frames, as they were encoded: where a test needs a face, and not all 100."""
    with av.open(str(clip)) as whole, av.open(str(target), "w") as part:
        (given,) = whole.streams.video
        copied = part.add_stream_from_template(given)
        for packet in islice(whole.demux(given), frames):
            packet.stream = copied
            part.mux(packet)
    return target


def grey_frames(count: int, *, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """Flat frames whose brightness says which one they are: 20, 22, 24 ..."""
    return [np.full((height, width, 3), 20 + 2 * (i % 100), np.uint8) for i in range(count)]


def edit_spec(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a model.json as a person would: without its digest, and with the checksums of the files as they are."""
    path = folder / "model.json"
    document = json.loads(path.read_text())
    document.pop("digest", None)
    change(document)
    document["files"] = {name: sha256(folder / name) for name in document["files"] if (folder / name).is_file()}
    path.write_text(json.dumps(document))
