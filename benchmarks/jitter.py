"""The same frames in other containers, codecs, pixel formats, ranges and frame orders: how far apart the answers are.

    python benchmarks/jitter.py CLIP... [--model lite] [--frames 72] [-o benchmarks/results/jitter.json]

Every clip is decoded once and written again without loss (FFmpeg through PyAV); only what a format itself rounds is
rounded. Each copy is analysed like any file and compared, frame by frame, with the copy in H.264 and Matroska. Of each
frame the largest difference of any action unit counts. "At the same points" cuts the faces of the copy where those of
the reference are: what is left is colour conversion and the network; of these crops, how many pixels differ. Copies
whose colours FFmpeg converts by its default flags are named ``swscale``: in RGB those are a level or so darker, so they
are not the same pictures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from affectkit import Predictor, open_source
from affectkit.align import crop_face
from affectkit.picture import SIDES_BT601, SIDES_BT709, rgb_matrix
from affectkit.readout import read_out

Planes = list[np.ndarray]


@dataclass(frozen=True)
class Copy:
    """One way to write the frames."""

    name: str
    suffix: str
    codec: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)
    full: bool = False
    swscale: bool = False
    """Whether FFmpeg converts the colours, by its default flags, instead of this script."""
    b_frames: int = 0


X264 = {"qp": "0", "preset": "ultrafast"}
X265 = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none"}
COPIES = [
    Copy("reference", ".mkv", "libx264", "yuv420p", X264),
    Copy("h264 mp4", ".mp4", "libx264", "yuv420p", X264),
    Copy("h264 mov, B-frames", ".mov", "libx264", "yuv420p", {"qp": "0", "preset": "medium"}, b_frames=3),
    Copy("h264 ts, B-frames", ".ts", "libx264", "yuv420p", {"qp": "0", "preset": "fast"}, b_frames=2),
    Copy("h264 mkv, full range", ".mkv", "libx264", "yuvj420p", X264, full=True),
    Copy("h264 mkv, 4:4:4", ".mkv", "libx264", "yuv444p", X264),
    Copy("h264 mp4, 4:2:2", ".mp4", "libx264", "yuv422p", X264),
    Copy("h264 mkv, 10 bit", ".mkv", "libx264", "yuv420p10le", X264),
    Copy("h264 mkv, RGB", ".mkv", "libx264rgb", "rgb24", X264),
    Copy("h265 mp4", ".mp4", "libx265", "yuv420p", X265),
    Copy("h265 mkv, 12 bit 4:4:4", ".mkv", "libx265", "yuv444p12le", X265),
    Copy("vp9 webm", ".webm", "libvpx-vp9", "yuv420p", {"lossless": "1", "cpu-used": "8", "deadline": "realtime"}),
    Copy("ffv1 mkv", ".mkv", "ffv1", "yuv420p"),
    Copy("ffv1 avi, 4:4:4", ".avi", "ffv1", "yuv444p"),
    Copy("ffv1 mkv, 10 bit 4:2:2", ".mkv", "ffv1", "yuv422p10le"),
    Copy("ffv1 mkv, 16 bit", ".mkv", "ffv1", "yuv420p16le"),
    Copy("ffv1 nut, RGB", ".nut", "ffv1", "bgr0"),
    Copy("huffyuv avi, 4:2:2", ".avi", "huffyuv", "yuv422p"),
    Copy("ffvhuff avi", ".avi", "ffvhuff", "yuv420p"),
    Copy("huffyuv avi, RGB", ".avi", "huffyuv", "rgb24"),
    Copy("utvideo avi", ".avi", "utvideo", "yuv420p"),
    Copy("utvideo avi, planar RGB", ".avi", "utvideo", "gbrp"),
    Copy("png mov, RGB", ".mov", "png", "rgb24", {"compression_level": "1"}),
    Copy("raw avi", ".avi", "rawvideo", "yuv420p"),
    Copy("raw nut, nv12", ".nut", "rawvideo", "nv12"),
    Copy("v210 mov, 10 bit 4:2:2", ".mov", "v210", "yuv422p10le"),
    Copy("raw mov, yuyv", ".mov", "rawvideo", "yuyv422"),
    Copy("png mov, RGB, swscale", ".mov", "png", "rgb24", {"compression_level": "1"}, swscale=True),
    Copy("ffv1 mkv, RGB, swscale", ".mkv", "ffv1", "bgr0", swscale=True),
    Copy("h264 mkv, full range, swscale", ".mkv", "libx264", "yuvj420p", X264, full=True, swscale=True),
    Copy("h264 mkv, 4:4:4, swscale", ".mkv", "libx264", "yuv444p", X264, swscale=True),
    Copy("h264 mkv, 10 bit, swscale", ".mkv", "libx264", "yuv420p10le", X264, swscale=True),
]


def read_planes(clip: Path) -> tuple[list[Planes], float, int]:
    """Y, Cb and Cr (H, W), (h, w), (h, w) of every frame in 4:2:0 and 16..235; frames a second; colour space."""
    frames, rate, space = [], 25.0, 2
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        for frame in container.decode(stream):
            space = int(frame.colorspace)
            if frame.format.name != "yuv420p":
                frame = frame.reformat(format="yuv420p")
            frames.append([_plane(plane).copy() for plane in frame.planes])
    # An odd side loses a pixel: 4:2:0 of some formats has none.
    height, width = (n // 2 * 2 for n in frames[0][0].shape)
    cut = [[y[:height, :width], *(c[: height // 2, : width // 2] for c in colour)] for y, *colour in frames]
    return cut, rate, space


def _plane(plane: av.video.plane.VideoPlane, dtype: type = np.uint8) -> np.ndarray:
    row = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size).view(dtype)
    return row[:, : plane.width]


def upsampled(colour: np.ndarray, height: int, width: int) -> np.ndarray:
    """A plane of colour, bilinearly, with samples in the middle of the pixels they cover."""
    return cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR)


def converted(planes: Planes, space: int, copy: Copy) -> av.VideoFrame:
    """One frame in the copy's pixel format, each number rounded to the nearest once."""
    y, *colour = planes
    height, width = y.shape
    kind = av.VideoFormat(copy.pixels, width, height)
    if kind.is_rgb:
        matrix = rgb_matrix(SIDES_BT709 if space == 1 else SIDES_BT601, full_range=False).astype(np.float64)
        yuv = np.stack([y.astype(np.float64), *(upsampled(c.astype(np.float64), height, width) for c in colour)], 2)
        rgb = np.clip(np.rint(yuv @ matrix[:, :3].T + matrix[:, 3]), 0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        return frame if copy.pixels == "rgb24" else frame.reformat(format=copy.pixels)
    depth = kind.components[0].bits
    if copy.full:
        y = np.clip(np.rint((y.astype(float) - 16) * 255 / 219), 0, 255)
        colour = [np.clip(np.rint((c.astype(float) - 128) * 255 / 224 + 128), 0, 255) for c in colour]
    c_height = height if "444" in copy.pixels or "422" in copy.pixels else height // 2
    c_width = width if "444" in copy.pixels else width // 2
    colour = [
        c if c.shape == (c_height, c_width) else upsampled(c.astype(np.float32), c_height, c_width) for c in colour
    ]
    values = [np.rint(p).astype(np.uint16) << (depth - 8) for p in (y, *colour)]
    dtype = np.uint8 if depth == 8 else np.uint16
    if copy.pixels == "nv12":
        values = [values[0], np.stack(values[1:], 2).reshape(c_height, -1)]
    elif copy.pixels == "yuyv422":
        packed = np.empty((height, width, 2), np.uint16)
        packed[:, :, 0], packed[:, 0::2, 1], packed[:, 1::2, 1] = values
        values = [packed.reshape(height, -1)]
    frame = av.VideoFrame(width, height, copy.pixels)
    for plane, value in zip(frame.planes, values, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows.view(dtype)[:, : value.shape[1]] = value.astype(dtype)
        plane.update(rows)
    return frame


def write(copy: Copy, frames: list[Planes], rate: float, space: int, folder: Path) -> Path:
    """Write one copy."""
    path = folder / (copy.name.replace(" ", "_").replace(",", "") + copy.suffix)
    height, width = frames[0][0].shape
    step = Fraction(rate).limit_denominator(1001)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(copy.codec, rate=step, options=copy.options)
        stream.width, stream.height, stream.pix_fmt = width, height, copy.pixels
        stream.codec_context.color_range = 2 if copy.full else 1
        stream.codec_context.colorspace = space
        if copy.codec.startswith("libx264"):
            stream.codec_context.max_b_frames = copy.b_frames
        for index, planes in enumerate(frames):
            if copy.swscale:
                source = converted(planes, space, COPIES[0])
                source.colorspace, source.color_range = space, 1
                frame = source.reformat(
                    format=copy.pixels, interpolation="BICUBIC", dst_color_range=2 if copy.full else None
                )
            else:
                frame = converted(planes, space, copy)
            frame.pts, frame.time_base = index, 1 / step
            if not av.VideoFormat(copy.pixels).is_rgb:
                frame.colorspace, frame.color_range = space, 2 if copy.full else 1
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@dataclass
class Answers:
    """Of one copy."""

    seconds: float
    units: list[np.ndarray] = field(default_factory=list)
    """A frame, (faces, units)."""
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    same_points: list[np.ndarray] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)
    """A frame, (faces, S, S, C), at the points of the reference."""


def analyse(predictor: Predictor, path: Path, reference: Answers | None) -> Answers:
    """Answers for every frame, and for the faces where they are in the reference."""
    began = time.perf_counter()
    results = list(predictor.stream(path))
    answers = Answers(time.perf_counter() - began)
    for result in results:
        answers.units.append(np.array([face.affect.au_probabilities for face in result.faces]))
        answers.boxes.append(np.array([face.box for face in result.faces]))
        answers.points.append(np.array([face.landmarks for face in result.faces]))
    where = answers if reference is None else reference
    for index, frame in enumerate(open_source(path).frames()):
        if index >= len(where.points):
            break
        crops = [crop_face(frame.picture, five, predictor.spec.input) for five in where.points[index]]
        answers.crops.append(np.array(crops, np.int16))
        affects = read_out(predictor.logits(np.stack(crops)), predictor.spec) if crops else []
        answers.same_points.append(np.array([affect.au_probabilities for affect in affects]))
    return answers


def _differences(
    a: list[np.ndarray], b: list[np.ndarray], measure: Callable[..., float], *scale: list[np.ndarray]
) -> np.ndarray:
    found = [
        measure(one[face], other[face], *(s[index][face] for s in scale))
        for index, (one, other) in enumerate(zip(a, b, strict=False))
        for face in range(min(len(one), len(other)))
    ]
    return np.array(found) if found else np.zeros(1)


def compare(reference: Answers, copy: Answers) -> dict[str, float]:
    """The 99th percentile over faces and frames of each difference."""
    counts = [len(a) != len(b) for a, b in zip(reference.units, copy.units, strict=False)]
    units = _differences(reference.units, copy.units, lambda a, b: float(np.nanmax(np.abs(a - b))))
    same = _differences(reference.same_points, copy.same_points, lambda a, b: float(np.nanmax(np.abs(a - b))))
    points = _differences(reference.points, copy.points, lambda a, b: float(np.linalg.norm(a - b, axis=1).max()))
    boxes = _differences(
        reference.boxes,
        copy.boxes,
        lambda a, b: float(np.abs(np.array([*(a[:2] - b[:2]), *(a[2:] - b[2:])])).max() / a[2]),
    )
    every = _differences(reference.units, copy.units, lambda a, b: float(np.nanmean(np.abs(a - b))))
    pixels = _differences(reference.crops, copy.crops, lambda a, b: float((a != b).mean()))
    levels = _differences(reference.crops, copy.crops, lambda a, b: float(np.abs(a - b).max()))
    by_unit = [
        np.abs(one[face] - other[face])
        for one, other in zip(reference.units, copy.units, strict=False)
        for face in range(min(len(one), len(other)))
    ]
    return {
        "frames": len(copy.units),
        "frames_with_other_faces": int(sum(counts)),
        "au_p99": float(np.quantile(units, 0.99)),
        "au_max": float(units.max()),
        "au_mean": float(every.mean()),
        "au_p99_of_the_worst_unit": float(np.nanmax(np.nanquantile(by_unit, 0.99, axis=0))) if by_unit else 0.0,
        "au_p99_of_all_values": float(np.nanquantile(by_unit, 0.99)) if by_unit else 0.0,
        "au_p99_at_the_same_points": float(np.quantile(same, 0.99)),
        "crops_pixels_that_differ": float(pixels.mean()),
        "crops_most_levels": float(levels.max()),
        "points_mean_px": float(points.mean()),
        "points_p99_px": float(np.quantile(points, 0.99)),
        "box_p99_of_width": float(np.quantile(boxes, 0.99)),
        "seconds": copy.seconds,
    }


def measure(
    clip: Path, models: list[str], copies: list[Copy], most: int, folder: Path
) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Model, copy, differences."""
    frames, rate, space = read_planes(clip)
    frames = frames[:most] if most else frames
    paths = {copy.name: write(copy, frames, rate, space, folder) for copy in (COPIES[0], *copies)}
    for model in models:
        with Predictor(model, precision="auto" if model.endswith("int8") else "fp32", threads=1) as predictor:
            reference = analyse(predictor, paths["reference"], None)
            for copy in copies:
                yield model, copy.name, compare(reference, analyse(predictor, paths[copy.name], reference))
    for path in paths.values():
        path.unlink()


def main() -> None:
    """Measure, print a line a copy, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--model", action="append", dest="models")
    parser.add_argument("--frames", type=int, default=0, help="only so many of each clip; 0: all")
    parser.add_argument("--copies", help="only those whose name contains one of these, separated by commas")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    wanted = arguments.copies.split(",") if arguments.copies else [""]
    copies = [copy for copy in COPIES[1:] if any(part in copy.name for part in wanted)]
    report = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in arguments.clips:
            for model, copy, found in measure(
                clip, arguments.models or ["lite", "lite-int8"], copies, arguments.frames, Path(folder)
            ):
                report.append({"clip": clip.name, "model": model, "copy": copy, **found})
                print(
                    f"{clip.stem:12s} {model:10s} {copy:32s} AU p99 {found['au_p99']:.4f} max {found['au_max']:.3f}"
                    f"  all values {found['au_p99_of_all_values']:.4f}"
                    f"  same points {found['au_p99_at_the_same_points']:.4f}  points {found['points_p99_px']:.3f} px"
                    f"  crops {100 * found['crops_pixels_that_differ']:.2f} % up to {found['crops_most_levels']:.0f}"
                    f"  box {100 * found['box_p99_of_width']:.2f} %  other faces {found['frames_with_other_faces']}",
                    flush=True,
                )
    for model in dict.fromkeys(line["model"] for line in report):
        for swscale in (False, True):
            lines = [x for x in report if x["model"] == model and ("swscale" in x["copy"]) == swscale]
            if not lines:
                continue
            worst = max(lines, key=lambda x: x["au_p99"])
            by = "converted by swscale" if swscale else "exact"
            print(f"{model}, {by}: largest AU p99 {worst['au_p99']:.4f} ({worst['clip']}, {worst['copy']})")
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
