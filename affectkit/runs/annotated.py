"""The annotated video of one input, which is drawn and encoded while the analysis goes on."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable
from contextlib import ExitStack

from affectkit.face_results import FrameResult
from affectkit.options import StreamOptions
from affectkit.outputs.files import real_target
from affectkit.outputs.overlay import MAX_SIZE, Overlay
from affectkit.outputs.picture_buffer import KeptPictures
from affectkit.outputs.traces import FRAMES_A_SECOND
from affectkit.outputs.video import DrawnFrame, Frames, VideoWriter
from affectkit.pipeline import frames_ahead
from affectkit.predictor import Predictor
from affectkit.prefetch import Beside
from affectkit.runs.job import Job
from affectkit.sources.base import Source
from affectkit.sources.gate import opens_by_itself
from affectkit.types import Picture

log = logging.getLogger(__name__)

MOST_WAIT = 4
"""Results that may wait to be drawn while further ones are computed."""

MOST_DRAWN = 2
"""Drawn frames that may wait to be encoded while the next ones are drawn."""


def kept_pictures(stack: ExitStack, job: Job) -> KeptPictures | None:
    """Where the pictures of an annotated video wait for what is said of them."""
    if job.video is None:
        return None
    pictures = KeptPictures(real_target(job.video).parent, MAX_SIZE)
    stack.callback(pictures.close)
    return pictures


def drawing_of(
    stack: ExitStack,
    predictor: Predictor,
    source: Source,
    job: Job,
    pictures: KeptPictures | None,
    asked: StreamOptions,
    *,
    overwrite: bool,
) -> Callable[[FrameResult], None] | None:
    """Writes the annotated video of one input, beside everything else; None: there is none."""
    if job.video is None or pictures is None:
        return None
    fps = source.info.fps / asked.every if source.info.fps else None
    sound, film = (source.info.name if source.info.has_audio else None), source.info.film
    if sound is not None and film is not None and not opens_by_itself(sound, film.format):
        log.warning("%s: the sound of what needs --input-format is not taken along", job.video)
        sound = None
    writer = stack.enter_context(VideoWriter(job.video, fps=fps, sound_from=sound, overwrite=overwrite))
    overlay, frames = Overlay(predictor.spec, length_s=_length_s(source, asked)), Frames()

    # Of very large pictures none waits: there is hardly room for the one that is drawn.
    most = min(MOST_WAIT, frames_ahead(source.info))

    def encode(drawn: tuple[DrawnFrame, float]) -> None:
        writer.write_frame(*drawn)
        frames.give_back(drawn[0])

    encoding = stack.enter_context(Beside(encode, min(MOST_DRAWN, most)))

    def draw(seen: tuple[FrameResult, Picture]) -> None:
        result, picture = seen
        encoding.put((frames.drawn(overlay.draw_planes(result, picture, frames.planes)), result.time_s))

    drawing = stack.enter_context(Beside(draw, most))

    def take(result: FrameResult) -> None:
        picture, reduced = pictures.take(result.index)
        drawing.put((dataclasses.replace(result, reduced=result.reduced * reduced), picture))

    return take


def _length_s(source: Source, asked: StreamOptions) -> float | None:
    """Of what is read of a source, from the first frame to the last; None: not known."""
    frames, fps = source.info.frames, source.info.fps
    if not frames or source.info.paced:
        return None
    if not fps:  # pictures without times
        return max(1, frames - 1) / FRAMES_A_SECOND
    return max(1, frames - 1) / fps if math.isinf(asked.end_s) else None
