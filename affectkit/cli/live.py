"""``affectkit live``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from affectkit.cli.common import EXIT_FAILED, configure_logging, say
from affectkit.cli.options import debug_option, predictor_config, shared, stream_options
from affectkit.cli.table import NETWORK

if TYPE_CHECKING:
    from affectkit.face_results import FrameResult
    from affectkit.predictor import Predictor
    from affectkit.sources.live import LiveSource


@click.command()
@click.argument("source")
@shared(*NETWORK, "max_pixels", "input_format")
@click.option(
    "--baseline",
    metavar="START-END|FILE",
    help="Tell action units relative to each face's neutral: of these seconds from the beginning, once they are over, "
    "or of a table, picture or video of the neutral face.",
)
@click.option("--no-window", is_flag=True, help="Print JSON lines, one for each frame and face, instead.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
@debug_option
def live(source: str, baseline: str | None, no_window: bool, seconds: float | None, debug: bool, **given: Any) -> None:
    """Show what the faces of SOURCE are doing, as it happens.

    SOURCE is the number of a camera, a URL (rtsp, http), a pipe, - for standard input, or a file, which is shown at its
    own pace. The newest frame wins: what comes while one is worked on is left out and counted. Ends with the source, q
    or Ctrl-C.

    \b
    Examples:
      affectkit live 0
      affectkit live rtsp://camera.local/stream --temporal --lookahead 8 --no-window > faces.jsonl
    """
    from affectkit.baseline.live import check_live
    from affectkit.baseline.neutral import parse_rule
    from affectkit.predictor import Predictor
    from affectkit.sources.live import LiveSource

    configure_logging(debug)
    config, asked = predictor_config(given), stream_options(given, window="live")
    if baseline is not None:
        check_live(parse_rule(baseline))
    opened = LiveSource(source, input_format=given["input_format"], max_pixels=given["max_pixels"])
    show = _print_lines(opened, raw=baseline is not None) if no_window else _window()
    with Predictor.from_config(config) as predictor:
        predictor.warm_up(1)  # before the source is opened, or its first frames would wait
        results = predictor.live(
            opened,
            lookahead=asked.lookahead,
            max_faces=asked.max_faces,
            max_gap_s=asked.max_gap_s,
            smooth_s=asked.smooth_s,
            keep_images=not no_window,
            baseline=baseline,
        )
        shown = 0
        with suppress(KeyboardInterrupt):  # how a live view is ended
            for result in results:
                shown += 1
                if not show(result, predictor) or (seconds is not None and result.time_s >= seconds):
                    opened.close()
                    break
    _tell(opened, shown, predictor.device)
    if not opened.report.complete:
        say(f"error: {opened.info.name}: {opened.report.problem}")
        sys.exit(EXIT_FAILED)


def _tell(source: LiveSource, shown: int, device: str) -> None:
    """How much was shown, and what happened to the source meanwhile."""
    report = source.report
    told = [f"{shown} of {report.frames} frames shown, {report.dropped} left out for newer ones"]
    for name, count in (("reconnects", report.reconnects), ("stalls", report.stalls), ("new sizes", report.resized)):
        told += [f"{count} {name}"] if count else []
    say(f"{source.info.name}: {', '.join(told)} [{device}]")


Show = Callable[["FrameResult", "Predictor"], bool]
"""Shows one result; False: that was enough."""


def _print_lines(source: LiveSource, *, raw: bool) -> Show:
    """JSON lines on standard output: the native columns, how far the answer looked ahead, and what was left out.

    Args:
        raw: with the columns of a baseline.
    """
    from affectkit.baseline.corrected import with_raw
    from affectkit.outputs.layouts import Layout, layout

    tables: list[Layout] = []  # known with the model

    def show(result: FrameResult, predictor: Predictor) -> bool:
        if not tables:
            native = layout(labels=predictor.spec.labels)
            tables.append(with_raw(native) if raw else native)
        (table,) = tables
        extra = {"lookahead": result.lookahead, "dropped": source.report.dropped}
        for row in table.rows(result):
            document = dict(zip(table.columns, row, strict=True))
            click.echo(json.dumps(document | extra, ensure_ascii=False, allow_nan=False))
        return True

    return show


def _window() -> Show:
    """The overlay in a window; q, Esc or closing it ends the view.

    Raises:
        MissingDependency: OpenCV was installed without windows.
    """
    import cv2

    from affectkit.errors import MissingDependency
    from affectkit.outputs.overlay import Overlay

    title = "affectkit live"
    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    except cv2.error as error:
        raise MissingDependency("opencv-python", "live", "a window (or give --no-window)") from error
    overlays: list[Overlay] = []

    def show(result: FrameResult, predictor: Predictor) -> bool:
        if not overlays:
            overlays.append(Overlay(predictor.spec))
        cv2.imshow(title, cv2.cvtColor(overlays[0].draw(result), cv2.COLOR_RGB2BGR))
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in (ord("q"), 27) and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1

    return show
