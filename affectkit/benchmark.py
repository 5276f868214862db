"""How fast this machine is: networks by themselves, each stage, a video from beginning to end, start-up and memory.

Nothing here is asserted anywhere; the numbers are for people. Where variants are compared they take turns, so that a
noisy machine is noisy for all of them, and medians are given with the spread of the middle half.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack, cast

import numpy as np

from affectkit import models
from affectkit.align import align
from affectkit.engines import Engine, Profile, open_engine
from affectkit.errors import AffectKitError
from affectkit.face_results import FrameResult
from affectkit.faces.base import Detector
from affectkit.faces.tracked_frames import track
from affectkit.faces.tracking import Tracker
from affectkit.faces.tracks import TrackingConfig
from affectkit.measurements import Measurement, summary
from affectkit.options import PredictorConfig, StreamKeywords, StreamOptions, fields_of
from affectkit.outputs.layouts import layout
from affectkit.outputs.overlay import Overlay
from affectkit.outputs.video import VideoWriter
from affectkit.outputs.writers import open_table
from affectkit.picture import YuvPicture
from affectkit.predictor import Predictor
from affectkit.readout import read_out
from affectkit.sources.opening import open_source
from affectkit.types import Array, CroppedFrame, Frame, TrackedFrame

STAGE_PIXELS = 150_000_000
"""Of the frames that are held while stages are measured one after the other: 300 MB at most."""


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def start_up(repeats: int, *, model: str = models.DEFAULT_MODEL) -> list[Measurement]:
    """From a fresh interpreter to a predictor that is ready."""
    ready = (
        "import time; t = time.perf_counter(); import affectkit; i = time.perf_counter() - t; "
        f"affectkit.Predictor({model!r}); print(i, time.perf_counter() - t)"
    )
    answers = []
    for _ in range(repeats + 1):
        run = subprocess.run([sys.executable, "-c", ready], capture_output=True, text=True, check=False)
        if run.returncode:
            raise AffectKitError(f"a predictor cannot be made: {_last_words(run)}")
        answers.append([float(part) for part in run.stdout.split()])
    imported, made = zip(*answers[1:], strict=True)  # the first one reads the files from disk
    return [summary("start-up: import", imported, "s"), summary("start-up: predictor ready", made, "s")]


def networks(
    model: str, *, device: str, batches: Sequence[int], threads: Sequence[int], repeats: int
) -> list[Measurement]:
    """Faces a second of a model and of its copies in other precisions, by batch size and threads."""
    choice = models.resolve(model)
    copies = [models.precision_relative(choice, p) for p in ("int8", "fp16")] if choice.embedded else []
    names = [model, *(copy.name for copy in copies if copy not in (None, choice))]
    rows = []
    rng = np.random.default_rng(0)
    for count_threads in threads:
        engines: dict[str, Engine] = {}
        for name in names:
            folder = models.load(name)
            try:
                precision = folder.spec.precision
                profile = Profile(max=max(128, *batches))  # where batches have to be known beforehand
                engines[name] = open_engine(
                    folder.frame_onnx, device=device, threads=count_threads, precision=precision, profile=profile
                )
            except AffectKitError:
                if name == model:  # a copy in another precision may not run there
                    raise
        wanted = models.load(model).spec.input
        for batch in batches:
            faces = rng.integers(0, 256, (batch, wanted.size, wanted.size, wanted.channels), dtype=np.uint8)
            rates: dict[str, list[float]] = {name: [] for name in engines}
            for repeat in range(repeats + 2):
                for name, engine in engines.items():
                    seconds = timed(partial(engine.run, {"faces": faces}))
                    if repeat >= 2:  # the first ones prepare
                        rates[name].append(batch / seconds)
            for name, values in rates.items():
                where = engines[name].device
                title = f"network: {name}, {where}, {count_threads} threads, {batch} faces at once"
                rows.append(summary(title.replace(" 1 threads", " 1 thread"), values, "faces/s"))
        for engine in engines.values():
            engine.close()
    return rows


def stages(clip: str, predictor: Predictor, *, most: int = 300, repeats: int = 3) -> list[Measurement]:
    """Milliseconds a frame of each stage by itself, on the first ``most`` frames."""
    rows: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, ms in _stages_once(clip, predictor, most).items():
            rows.setdefault(name, []).append(ms)
    return [summary(f"stage: {name}", values, "ms") for name, values in rows.items()]


def _stages_once(clip: str, predictor: Predictor, most: int) -> dict[str, float]:
    frames: list[Frame] = []
    began = time.perf_counter()
    source = open_source(clip)
    pixels = (source.info.width or 1920) * (source.info.height or 1080)
    most = min(most, max(20, STAGE_PIXELS // pixels))
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == most:
            break
    found = {"decode": time.perf_counter() - began}
    tracker = Tracker(cast(Detector, predictor.detector), TrackingConfig())  # it was named, so it can all of it
    tracked: list[TrackedFrame] = []
    found["find and follow faces"] = timed(lambda: tracked.extend(track(iter(frames), tracker)))
    cropped: list[CroppedFrame] = []
    found["cut faces"] = timed(lambda: cropped.extend(align(iter(tracked), predictor.spec.input)))
    crops = [crop[None] for frame in cropped for crop in frame.crops]
    if crops:
        whole = np.concatenate(crops)
        outputs: list[dict[str, Array]] = []
        found["network"] = timed(lambda: outputs.append(predictor.logits(whole)))
        found["read out"] = timed(lambda: read_out(outputs[0], predictor.spec))
    if any(isinstance(frame.picture, YuvPicture) for frame in frames):
        seconds = 0.0
        for _, frame in zip(frames, open_source(clip).frames(), strict=False):
            seconds += timed(frame.picture.rgb)
        found["(whole frames into RGB, where something asks for it)"] = seconds
    return {name: 1000 * seconds / len(frames) for name, seconds in found.items()}


def whole_videos(
    clips: Sequence[str],
    make: Callable[[], Predictor],
    asked: StreamOptions,
    *,
    repeats: int,
    render: bool = False,
) -> list[Measurement]:
    """Frames a second from a video to a table on disk, of several clips in turns."""
    options = asked.keywords()
    rates: dict[str, list[float]] = {clip: [] for clip in clips}
    drawn: dict[str, list[float]] = {clip: [] for clip in clips}
    with make() as predictor, tempfile.TemporaryDirectory() as scratch:
        for repeat in range(repeats + 1):
            for clip in clips:
                frames, seconds = to_table(predictor, clip, Path(scratch), **options)
                if repeat:  # the first one prepares
                    rates[clip].append(frames / seconds)
                if render and repeat:
                    frames, seconds = to_table(predictor, clip, Path(scratch), render=True, **options)
                    drawn[clip].append(frames / seconds)
    rows = [summary(f"video: {Path(clip).name} to a table", values, "fps") for clip, values in rates.items()]
    rows += [summary(f"video: {Path(c).name} to a table and a video", v, "fps") for c, v in drawn.items() if v]
    return rows


def to_table(
    predictor: Predictor, clip: str, folder: Path, *, render: bool = False, **options: Unpack[StreamKeywords]
) -> tuple[int, float]:
    """Frames and seconds of one run, from opening the file to the finished table (and annotated video)."""
    began, frames = time.perf_counter(), 0
    source = open_source(clip)
    results: Iterator[FrameResult] = predictor.stream(source, keep_images=render, **options)
    with open_table(folder / "table.csv", layout(labels=predictor.spec.labels), overwrite=True) as sink:
        if not render:
            for result in results:
                sink.write(result)
                frames += 1
        else:
            overlay = Overlay(predictor.spec)
            with VideoWriter(folder / "video.mp4", fps=source.info.fps, overwrite=True) as writer:
                for result in results:
                    sink.write(result)
                    writer.write(overlay.draw(result), result.time_s)
                    frames += 1
    return frames, time.perf_counter() - began


def many_streams(clip: str, make: Callable[[], Predictor], counts: Sequence[int], *, repeats: int) -> list[Measurement]:
    """Frames a second of all streams together, each with a predictor of its own that shares the networks."""
    rows = []
    for count in counts:
        predictors = [make() for _ in range(count)]
        rates = []
        for repeat in range(repeats + 1):
            frames = [0] * count

            failed: list[Exception] = []

            def run(
                k: int,
                frames: list[int] = frames,
                predictors: list[Predictor] = predictors,
                failed: list[Exception] = failed,
            ) -> None:
                try:
                    for _ in predictors[k].stream(clip):
                        frames[k] += 1
                except Exception as error:  # raised below: a thread has no caller to raise it to
                    failed.append(error)

            threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failed:
                raise failed[0]
            if repeat:
                rates.append(sum(frames) / (time.perf_counter() - began))
        for predictor in predictors:
            predictor.close()
        rows.append(summary(f"streams: {count} of {Path(clip).name} at once, all together", rates, "fps"))
    return rows


def _last_words(run: subprocess.CompletedProcess[str]) -> str:
    """Why a process failed."""
    return (run.stderr.strip().splitlines() or [f"its process ended with code {run.returncode}"])[-1]


def memory(clip: str, config: PredictorConfig) -> list[Measurement]:
    """The most resident memory of a fresh process that turns a clip into a table twice."""
    if os.name == "nt":  # it has no such counter in Python's library
        return []
    code = (
        "import json, resource, sys, tempfile\n"
        "from pathlib import Path\n"
        "from affectkit.benchmark import to_table\n"
        "from affectkit.predictor import Predictor\n"
        "clip, options = json.loads(sys.argv[1])\n"
        "with Predictor(**options) as predictor, tempfile.TemporaryDirectory() as scratch:\n"
        "    for _ in range(2): to_table(predictor, clip, Path(scratch))\n"
        "facts = Path('/proc/self/status')\n"
        "lines = facts.read_text().splitlines() if facts.is_file() else []\n"
        "peak = next((line.split()[1] for line in lines if line.startswith('VmHWM')), None)\n"
        "print(peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    # Linux's counter for all systems begins with what the parent had; the other one with this process.
    arguments = json.dumps([clip, fields_of(config)])
    run = subprocess.run([sys.executable, "-c", code, arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise AffectKitError(f"{clip}: {_last_words(run)}")
    peak_mb = float(run.stdout) / (2**20 if sys.platform == "darwin" else 2**10)
    return [Measurement(f"memory: {Path(clip).name} to a table, at its peak", round(peak_mb, 1), "MB")]
