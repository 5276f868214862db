"""The command line: parse, call, write. A user of the library like any other."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from affectkit import __version__
from affectkit.errors import AffectKitError
from affectkit.terminal import EXIT_INTERRUPTED, Interrupts, mute_stdout, unwind_on_signals

if TYPE_CHECKING:
    from affectkit.jobs import Job, Outcome
    from affectkit.predictor import Predictor
    from affectkit.types import FrameResult
    from affectkit.video import LiveSource, Source
    from affectkit.workers import Work

EXIT_FAILED = 1
EXIT_MISUSED = 2


def main() -> None:
    """Entry point: run, and turn errors into one line and an exit code."""
    debug = "--debug" in sys.argv
    interrupts = Interrupts()
    interrupts.install()
    unwind_on_signals()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        _interrupted(error)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); Python would complain once more when it flushes.
        mute_stdout()
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if debug:
            raise
        if interrupts.pressed:  # what an interrupted import or system call made of it
            _interrupted(error)
        if isinstance(error, AffectKitError | ValueError):
            _say(f"error: {error}")
            misused = error.misused if isinstance(error, AffectKitError) else True
            sys.exit(EXIT_MISUSED if misused else EXIT_FAILED)
        if not isinstance(error, OSError):
            raise
        _say(f"error: {error.filename or 'the system'}: {error.strerror or error}")
        mute_stdout()  # it may be what cannot be written
        sys.exit(EXIT_FAILED)
    finally:
        interrupts.over = True


def _interrupted(error: BaseException) -> NoReturn:
    # By name: importing jobs would load everything. Click turns Ctrl-C into Abort.
    kept = "Interrupted" in (type(error).__name__, type(error.__cause__).__name__)
    left = "what was done is kept: --resume goes on with it" if kept else "nothing unfinished was left behind"
    _say(f"interrupted; {left}")
    sys.exit(EXIT_INTERRUPTED)


def _say(message: str) -> None:
    click.echo(f"affectkit: {message}", err=True)


class _Commands(click.Group):
    """A group whose commands all know ``--debug``, which :func:`main` looks for."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _with_debug(super().get_command(ctx, cmd_name))


def _with_debug(command: click.Command | None) -> click.Command | None:
    if command is not None and not isinstance(command, click.Group) and "debug" not in [p.name for p in command.params]:
        command.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=lambda _, __, debug: _configure_logging(debug) if debug else None,
                help="Show a traceback with an error.",
            )
        )
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="affectkit")
def cli() -> None:
    """Facial action units, expression, valence and arousal for every frame and face of a video."""


Command = Callable[..., Any]


def _reading_options(command: Command) -> Command:
    """How pictures and times are read."""
    command = click.option(
        "--deinterlace",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Frames that a video marks as interlaced are deinterlaced, or left with their combs.",
    )(command)
    return click.option(
        "--fps",
        type=click.FloatRange(min=0, min_open=True),
        metavar="RATE",
        help="Frames a second of what has no times: raw streams, and folders whose pictures are the frames of a video.",
    )(command)


def _opening_options(command: Command) -> Command:
    """What predict and live share: how a source is opened."""
    command = click.option(
        "--input-format",
        metavar="NAME",
        help="FFmpeg's name of the video's format, for what is not opened by itself (a local playlist: hls) or is "
        "taken for something else.  [default: found out]",
    )(command)
    return click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=16384 * 16384 // 4,
        show_default=True,
        metavar="N",
        help="Refuse videos with more pixels a frame.",
    )(command)


def _network_options(command: Command) -> Command:
    """What predict and live share."""
    options = (
        click.option(
            "--model", default="lite", show_default=True, help="Name of an embedded model, or path of a model folder."
        ),
        click.option(
            "--temporal",
            is_flag=True,
            help="Look at sequences, with the model's -temporal sibling.  [default: as the model does]",
        ),
        click.option("--frame-by-frame", is_flag=True, help="Look at every frame by itself."),
        click.option(
            "--device", default="auto", show_default=True, help="auto, cpu, cuda[:N], tensorrt[:N] or ort-tensorrt."
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "fp16", "int8"]),
            default="auto",
            show_default=True,
            help="What the network computes in; auto: int8 where there is such a copy and the CPU is fast at it.",
        ),
        click.option(
            "--prior",
            type=click.Choice(["natural", "balanced"]),
            default="natural",
            show_default=True,
            help="Expressions are as common as in the training data, or all alike.",
        ),
        click.option(
            "--min-quality",
            type=click.FloatRange(0, 1),
            default=0.0,
            metavar="Q",
            help="Leave faces empty whose quality, 0 to 1, is less.  [default: 0]",
        ),
        click.option(
            "--detector",
            default="mtcnn",
            show_default=True,
            help="Face detector: mtcnn, or insightface[:PACK|:FOLDER] (non-commercial weights).",
        ),
        click.option(
            "--detect-every",
            type=click.IntRange(min=1),
            help="Frames from one face detection to the next; faces are followed in between.  "
            "[default: 6, and up to half a second while nothing happens]",
        ),
        click.option(
            "--min-face",
            type=click.IntRange(min=12),
            default=20,
            show_default=True,
            help="Smallest face, px of its box's longer side.",
        ),
        click.option("--max-faces", type=click.IntRange(min=1), help="Only the N largest faces of a frame."),
        click.option(
            "--faces",
            "which",
            type=click.Choice(["largest", "all"]),
            default="all",
            show_default=True,
            help="largest: the same as --max-faces 1.",
        ),
        click.option(
            "--smooth",
            "smooth_s",
            type=click.FloatRange(min=0),
            default=0.0,
            metavar="SECONDS",
            help="Average every value over this time.  [default: off]",
        ),
        click.option(
            "--lookahead",
            type=click.IntRange(min=0),
            default=0,
            show_default=True,
            help="Live, temporal: frames that an answer waits for; more: later and better.",
        ),
        click.option(
            "--max-gap",
            "max_gap_s",
            type=click.FloatRange(min=0),
            default=0.5,
            show_default=True,
            metavar="SECONDS",
            help="Temporal: longest time a face may be missing without its sequence beginning anew.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="Table: .csv, .jsonl or .parquet; with several inputs a folder, which is made for a name like tables/.  "
    "[default: NAME.csv in the current folder]",
)
@click.option(
    "--render",
    type=click.Path(),
    help="Annotated video: .mp4, .mov or .mkv; with several inputs a folder.",
)
@click.option(
    "--contact-sheet",
    type=click.Path(),
    help="Picture with a thumbnail of everybody: .jpg or .png; with several inputs a folder.",
)
@_network_options
@click.option("--aligned", is_flag=True, help="The pictures are aligned faces already: detect nothing.")
@click.option("--start", type=float, default=-math.inf, help="Begin at this time, seconds.")
@click.option("--end", type=float, default=math.inf, help="Stop before this time, seconds.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Only every N-th frame.")
@click.option(
    "--window",
    type=click.Choice(["overlap", "paper", "live"]),
    default="overlap",
    show_default=True,
    help="Temporal: windows half over each other; as published, side by side; as `affectkit live` would answer.",
)
@click.option(
    "--format",
    "table_format",
    type=click.Choice(["native", "openface", "pyfeat", "paper"]),
    default="native",
    show_default=True,
    help="Columns of the table.",
)
@click.option(
    "--baseline",
    metavar="auto|START-END|FILE",
    help="Tell action units relative to each face's neutral: of its calmest seconds, of these seconds of the input, or "
    "of a table, picture or video of the neutral face.  [default: off]",
)
@click.option("--uncertainty", is_flag=True, help="Add the ensemble's spread and the expression's entropy.")
@click.option(
    "--decode-on",
    default="cpu",
    show_default=True,
    metavar="DEVICE",
    help="Decode videos on a GPU: cuda, vaapi, qsv, videotoolbox ..., as FFmpeg calls them.",
)
@_opening_options
@_reading_options
@click.option(
    "-j",
    "--jobs",
    "processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Inputs at once, each in a process with its share of the cores.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Run the inputs on a Ray cluster (extra: ray): auto, ray://HOST:PORT, or local; -j workers.  "
    "All its machines need the same files.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted run; leave finished tables as they are.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; warnings and errors only.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def predict(
    inputs: tuple[str, ...],
    output: str | None,
    render: str | None,
    contact_sheet: str | None,
    model: str,
    temporal: bool,
    frame_by_frame: bool,
    device: str,
    precision: str,
    prior: Any,
    min_quality: float,
    detector: str,
    detect_every: int,
    min_face: int,
    max_faces: int | None,
    which: str,
    smooth_s: float,
    lookahead: int,
    max_gap_s: float,
    aligned: bool,
    start: float,
    end: float,
    every: int,
    window: Any,
    table_format: Any,
    baseline: str | None,
    uncertainty: bool,
    decode_on: str,
    input_format: str | None,
    max_pixels: int,
    deinterlace: str,
    fps: float | None,
    processes: int,
    ray: str | None,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    debug: bool,
) -> None:
    """Write a table, and with --render an annotated video, of each INPUT.

    An INPUT is a video, a picture, a folder of pictures or a URL. The table has one row for each frame and face; beside
    it OUTPUT.meta.json says how it was made.

    \b
    Examples:
      affectkit predict interview.mp4
      affectkit predict interview.mp4 --temporal -o interview.parquet --render interview-annotated.mp4
      affectkit predict interview.mp4 --baseline auto
      affectkit predict *.mp4 -o tables/ -j 4 --resume
      affectkit predict /shared/*.mp4 -o /shared/tables/ --ray auto
    """
    import cv2

    from affectkit.baseline import check_rule, parse_rule
    from affectkit.gate import Opening
    from affectkit.jobs import check_job
    from affectkit.options import OutputOptions, PredictorConfig, StreamOptions
    from affectkit.places import check_clashes, folders_made, plan, split_done
    from affectkit.sinks import check_format
    from affectkit.workers import Work, run_jobs

    _configure_logging(debug)
    # OpenCV's own threads help nothing here: the stages work side by side already, and idle threads take their time.
    cv2.setNumThreads(1)
    check_format(table_format, uncertainty=uncertainty)
    if not start < end:
        raise click.UsageError(f"--start must be before --end, got {start:g} and {end:g}")
    if resume and (render is not None or overwrite):
        raise click.UsageError(
            "--overwrite begins anew; leave out it or --resume"
            if overwrite
            else "an annotated video cannot be gone on with; leave out --render or --resume"
        )
    if window != "live" and lookahead:
        raise click.UsageError("--lookahead goes with --window live: the other windows see the whole sequence")
    if baseline is not None:
        rule = parse_rule(baseline)
        check_rule(rule, start_s=start, end_s=end, rendered=render is not None)
        if ray is not None and Path(rule.file).exists() and rule.file:
            baseline = os.path.abspath(rule.file)  # workers have folders of their own
    over_time = _over_time(model, temporal, frame_by_frame)
    _check_window(model, over_time, window, smooth_s)
    jobs = plan(inputs, output, render, contact_sheet)
    if resume:
        done, jobs = split_done(jobs)
        for job in done if not quiet else ():
            _say(f"{job.table}: is there already")
        if not jobs:
            return
    work = Work(
        PredictorConfig(
            model=model,
            device=device,
            precision=precision,
            prior=prior,
            min_quality=min_quality,
            detector=detector,
            detect_every=detect_every,
            min_face_px=min_face,
            temporal=over_time,
        ),
        StreamOptions(
            start_s=start,
            end_s=end,
            every=every,
            max_faces=_most_faces(max_faces, which),
            aligned=aligned,
            window=window,
            lookahead=lookahead,
            max_gap_s=max_gap_s,
            smooth_s=smooth_s,
        ),
        OutputOptions(
            table_format=table_format, uncertainty=uncertainty, overwrite=overwrite, resume=resume, baseline=baseline
        ),
        Opening(decode_on, input_format, max_pixels, fps, deinterlace == "auto"),
    )
    failed = 0
    with folders_made(output, render, contact_sheet):
        for job in jobs:
            check_job(job, overwrite=overwrite, resume=resume)
        check_clashes(jobs)
        ended: Iterator[tuple[Job, Outcome | str, str]]
        if ray is not None:
            cluster = _late("affectkit.cluster", "ray", "--ray")
            ended = cluster.run_on_cluster(jobs, work, ray, processes if processes > 1 else None)
        elif processes > 1 and len(jobs) > 1:
            ended = run_jobs(jobs, work, processes)
        else:
            ended = _one_by_one(jobs, work, quiet=quiet, debug=debug)
        for job, outcome, ran_on in ended:
            if isinstance(outcome, str):
                failed += 1
                _say(f"error: {outcome}")
                continue
            _warn(job, outcome)
            if not quiet:
                click.echo(_summary(job, outcome, ran_on), err=True)
    if failed:
        _say(f"{failed} of {len(jobs)} inputs failed")
        sys.exit(EXIT_FAILED)


def _one_by_one(
    jobs: Sequence[Job],
    work: Work,
    *,
    quiet: bool,
    debug: bool,
) -> Iterator[tuple[Job, Outcome | str, str]]:
    """Run the jobs in this process; what came of each, and on which device. The error of a single one is raised."""
    from affectkit.job import failure_line
    from affectkit.jobs import run_job
    from affectkit.predictor import Predictor

    with Predictor.from_config(work.predictor) as predictor:
        for job in jobs:
            try:
                with _Watch(quiet=quiet, end_s=work.asked.end_s) as watch:
                    outcome = run_job(predictor, job, work.asked, work.outputs, work.opening, watch=watch)
            except Exception as error:  # whatever one input does, the rest finish
                if len(jobs) == 1:
                    raise
                if debug:
                    traceback.print_exc()
                yield job, failure_line(job, error), predictor.device
                continue
            yield job, outcome, predictor.device


def _configure_logging(debug: bool) -> None:
    logging.basicConfig(level=logging.INFO if debug else logging.WARNING, format="affectkit: %(message)s")


def _over_time(model: str, temporal: bool, frame_by_frame: bool) -> bool | None:
    """What the two options say; None: neither.

    Raises:
        click.UsageError: both, or ``--temporal`` with a model that has no such relative.
    """
    from affectkit import models

    if temporal and frame_by_frame:
        raise click.UsageError("--temporal looks at sequences, --frame-by-frame does not; leave out one of them")
    if temporal and models.temporal_sibling(model) is None:
        raise click.UsageError(f"--temporal: model {model} has no temporal part, and there is no {model}-temporal")
    return True if temporal else False if frame_by_frame else None


def _check_window(model: str, over_time: bool | None, window: str, smooth_s: float) -> None:
    """Refuse windows for what looks at single frames; live they mean something where values are smoothed.

    Raises:
        click.UsageError: it names the option.
    """
    from affectkit import models

    looks_back = models.read_spec(models.find(model)).temporal is not None if over_time is None else over_time
    context = click.get_current_context()
    if looks_back or (window == "live" and smooth_s):
        return
    given = context.get_parameter_source("max_gap_s") is click.core.ParameterSource.COMMANDLINE
    for option, meant in ((f"--window {window}", window != "overlap"), ("--max-gap", given)):
        if meant:
            raise click.UsageError(f"{option} is for sequences, and {model} looks at single frames; add --temporal")


def _most_faces(max_faces: int | None, which: str) -> int | None:
    if which == "all":
        return max_faces
    if max_faces not in (None, 1):
        raise click.UsageError(f"--faces largest means one face, --max-faces says {max_faces}; leave one of them out")
    return 1


def _summary(job: Job, outcome: Outcome, device: str) -> str:
    sheet = job.sheet if outcome.faces else None
    outputs = [str(path) for path in (job.table, job.video, sheet) if path is not None]
    faces = f"{outcome.faces} face{'s' * (outcome.faces != 1)}"
    begun = "" if outcome.resumed_at is None else f", gone on with at frame {outcome.resumed_at}"
    return (
        f"{job.source}: {outcome.read} frames{begun}, {faces}, {outcome.without_face} frames without a face -> "
        f"{' and '.join(outputs)} [{device}]"
    )


def _warn(job: Job, outcome: Outcome) -> None:
    from affectkit.folder import told

    report = outcome.report
    left_out = told(report.left_out)
    if left_out:
        _say(f"warning: {job.source}: left out: {left_out}")
    if (report.times or {}).get("rate_from") == "assumed" and report.times and report.times["from"] == "made up":
        _say(
            f"warning: {job.source}: says nothing of its times; they are made up at {report.times['rate']:g} frames a "
            "second, give --fps if it is another rate"
        )
    if report.reduced:
        _say(f"{job.source}: pictures of over 40 megapixels, {report.reduced} in all, came at a fraction of their size")
    if not report.complete:
        _say(f"warning: {job.source}: {report.problem}; the table has the {outcome.read} frames that are readable")
    elif report.concealed:
        _say(f"warning: {job.source}: {report.concealed} frames were damaged and repaired by the decoder")
    for remark in outcome.remarks:
        _say(f"warning: {job.source}: {remark}")
    if job.sheet is not None and not outcome.faces:
        _say(f"warning: {job.source}: there was no face, so there is no contact sheet")


class _Watch:
    """Shows frames, fps and time left of one input on a terminal; nothing in a pipe."""

    def __init__(self, *, quiet: bool, end_s: float) -> None:
        self._shows = not quiet and sys.stderr.isatty()
        self._end_s = end_s
        self._stack = ExitStack()

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, results: Iterator[FrameResult], source: Source) -> Iterator[FrameResult]:
        if not self._shows:
            yield from results
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            """Frames a second."""

            def render(self, task: Any) -> Text:
                return Text(f"{task.finished_speed or task.speed or 0:.0f} fps")

        total = source.info.frames
        if total and source.info.fps:
            total = max(1, round(min(total, self._end_s * source.info.fps)))
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        progress = self._stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = progress.add_task(Path(source.info.name).name, total=total)
        for result in results:
            progress.update(task, completed=result.index + 1)
            yield result
        progress.update(task, total=source.report.frames, completed=source.report.frames)


@cli.command()
@click.argument("source")
@_network_options
@_opening_options
@click.option(
    "--baseline",
    metavar="START-END|FILE",
    help="Tell action units relative to each face's neutral: of these seconds from the beginning, once they are over, "
    "or of a table, picture or video of the neutral face.",
)
@click.option("--no-window", is_flag=True, help="Print JSON lines, one for each frame and face, instead.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def live(
    source: str,
    model: str,
    temporal: bool,
    frame_by_frame: bool,
    device: str,
    precision: str,
    prior: Any,
    min_quality: float,
    detector: str,
    detect_every: int,
    min_face: int,
    max_faces: int | None,
    which: str,
    smooth_s: float,
    lookahead: int,
    max_gap_s: float,
    input_format: str | None,
    max_pixels: int,
    baseline: str | None,
    no_window: bool,
    seconds: float | None,
    debug: bool,
) -> None:
    """Show what the faces of SOURCE are doing, as it happens.

    SOURCE is the number of a camera, a URL (rtsp, http), a pipe, - for standard input, or a file, which is shown at its
    own pace. The newest frame wins: what comes while one is worked on is left out and counted. Ends with the source, q
    or Ctrl-C.

    \b
    Examples:
      affectkit live 0
      affectkit live rtsp://camera.local/stream --temporal --lookahead 8 --no-window > faces.jsonl
    """
    from affectkit.baseline import parse_rule
    from affectkit.live_baseline import check_live
    from affectkit.predictor import Predictor
    from affectkit.video import LiveSource

    _configure_logging(debug)
    over_time = _over_time(model, temporal, frame_by_frame)
    if baseline is not None:
        check_live(parse_rule(baseline))
    opened = LiveSource(source, input_format=input_format, max_pixels=max_pixels)
    show = _print_lines(opened, raw=baseline is not None) if no_window else _window()
    with Predictor(
        model,
        device=device,
        precision=precision,
        prior=prior,
        min_quality=min_quality,
        detector=detector,
        detect_every=detect_every,
        min_face_px=min_face,
        temporal=over_time,
    ) as predictor:
        predictor.warm_up(1)  # before the source is opened, or its first frames would wait
        results = predictor.live(
            opened,
            lookahead=lookahead,
            max_faces=_most_faces(max_faces, which),
            max_gap_s=max_gap_s,
            smooth_s=smooth_s,
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
    report = opened.report
    told = [f"{shown} of {report.frames} frames shown, {report.dropped} left out for newer ones"]
    for name, count in (("reconnects", report.reconnects), ("stalls", report.stalls), ("new sizes", report.resized)):
        told += [f"{count} {name}"] if count else []
    _say(f"{opened.info.name}: {', '.join(told)} [{predictor.device}]")
    if not report.complete:
        _say(f"error: {opened.info.name}: {report.problem}")
        sys.exit(EXIT_FAILED)


Show = Callable[["FrameResult", "Predictor"], bool]
"""Shows one result; False: that was enough."""


def _print_lines(source: LiveSource, *, raw: bool) -> Show:
    """JSON lines on standard output: the native columns, how far the answer looked ahead, and what was left out.

    Args:
        raw: with the columns of a baseline.
    """
    from affectkit.corrected import with_raw
    from affectkit.sinks import Layout, layout

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
    from affectkit.overlay import Overlay

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


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def doctor(as_json: bool) -> None:
    """Check this installation; for every problem, say what mends it."""
    from affectkit.doctor import examine

    checks = examine()
    broken = any(check.problem for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": not broken, "checks": [check.as_dict() for check in checks]}, indent=2))
    else:
        for check in checks:
            mark = click.style("fail", fg="red") if check.problem else click.style(" ok ", fg="green")
            click.echo(f"[{mark}] {check.name}: {check.found}")
            if check.problem:
                click.echo(f"       {check.problem}")
    if broken:
        sys.exit(EXIT_FAILED)


@cli.group("models", cls=_Commands)
def models_group() -> None:
    """The models that come with the package, or lie in a folder."""


@models_group.command("list")
def models_list() -> None:
    """Name, size and licence of the embedded models."""
    from affectkit import models

    for name in models.embedded_names():
        spec = models.read_spec(models.find(name))
        size = sum(path.stat().st_size for path in models.find(name).iterdir())
        members = f"{spec.members} network{'s' * (spec.members != 1)}"
        what = f"{spec.input.size} px, {'grey' if spec.input.channels == 1 else 'RGB'}, {members}"
        click.echo(f"{name:16} {what:24} {size / 1e6:5.1f} MB  {spec.licence}")


@models_group.command("show")
@click.argument("model", default="lite")
@click.option("--json", "as_json", is_flag=True, help="The model.json as it is.")
def models_show(model: str, as_json: bool) -> None:
    """What MODEL (a name or a folder) expects, and its model card."""
    from affectkit import models
    from affectkit.types import REGIONS

    folder = models.find(model)
    spec = models.read_spec(folder)
    if as_json:
        click.echo(spec.to_json(), nl=False)
        return
    click.echo(f"name        {spec.name} (version {spec.version}, {spec.licence})")
    click.echo(f"folder      {folder}")
    click.echo(
        f"input       {spec.input.size} x {spec.input.size} px, {spec.input.channels} channel(s), "
        f"template {spec.input.template}"
    )
    click.echo(f"members     {spec.members}, ensemble of {spec.ensemble}")
    if spec.expression_labels:
        click.echo("expressions " + ", ".join(spec.expression_labels))
    if spec.au_labels:
        thresholds = zip(spec.au_labels, spec.au_thresholds, strict=True)
        click.echo("thresholds  " + "  ".join(f"{name} {threshold:.2f}" for name, threshold in thresholds))
        click.echo(f"            {spec.au_thresholds_from}")
    if spec.visibility_thresholds is not None:
        shares = zip(REGIONS, spec.visibility_thresholds, strict=True)
        click.echo("visible     " + "  ".join(f"{name} from {share:.2f}" for name, share in shares))
        click.echo(f"            {spec.visibility_thresholds_from}")
    besides = [what for what, there in (("intensities", spec.intensity), ("head pose", spec.pose)) if there]
    if besides:
        click.echo("tells       " + ", ".join(besides))
    if spec.expression_prior is not None:
        prior = zip(spec.expression_labels, spec.expression_prior, strict=True)
        click.echo("prior       " + "  ".join(f"{name} {share:.3f}" for name, share in prior))
        click.echo(f"            {spec.expression_prior_from}")
    absent = [
        what
        for what, there in (
            ("expressions", spec.expression_labels),
            ("action units", spec.au_labels),
            ("valence and arousal", spec.valence_arousal),
        )
        if not there
    ]
    if absent:
        click.echo("lacks       " + ", ".join(absent))
    click.echo("trained on  " + "; ".join(spec.trained_on))
    card = folder / "MODEL_CARD.md"
    if card.is_file():
        click.echo("\n" + card.read_text(encoding="utf-8"), nl=False)


@models_group.command("verify")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
def models_verify(names: tuple[str, ...]) -> None:
    """Check the sha256 of every file of MODEL (default: all embedded ones)."""
    from affectkit import models

    failed = False
    for name in names or models.embedded_names():
        folder = models.find(name)
        problems = models.check_files(folder, models.read_spec(folder))
        failed |= bool(problems)
        click.echo(f"{name}: {'damaged' if problems else 'ok'}")
        for problem in problems:
            _say(f"error: {problem}")
    if failed:
        _say("reinstall the damaged models: pip install --force-reinstall affectkit")
        sys.exit(EXIT_FAILED)


class _LateGroup(_Commands):
    """A group whose commands live in a module that is loaded only when one of them is named."""

    def __init__(self, *arguments: Any, home: str, extra: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._home, self._extra = home, extra

    def _load(self) -> dict[str, click.Command]:
        commands: dict[str, click.Command] = _late(self._home, self._extra, f"affectkit {self.name}").COMMANDS
        return commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._load())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _with_debug(self._load().get(cmd_name))


@cli.command()
@click.argument("model", default="lite")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda[:N], tensorrt[:N] or ort-tensorrt.")
def verify(model: str, device: str) -> None:
    """Run MODEL's golden inputs on a device and compare with what its original answered (needs no torch)."""
    from affectkit import models
    from affectkit.export import verify as verification

    folder = models.load(model)
    parity = verification.verify(folder, device=device)
    _show_parity(parity)
    problems = verification.problems(parity, folder.spec.precision)
    for problem in problems:
        _say(f"error: {folder.spec.name} on {device}: {problem}")
    if problems:
        sys.exit(EXIT_FAILED)


@cli.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model folder to write.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option(
    "--format",
    "target",
    type=click.Choice(["onnx", "tensorrt", "triton"]),
    default="onnx",
    show_default=True,
    help="tensorrt: also build its plan on this machine's GPU and verify it. triton: a model repository of its server.",
)
@click.option("--name", help="Name of the new model.  [default: MODEL's, with the precision]")
@click.option("--faces", help="int8: a video, picture or folder; the faces found in it decide the ranges.")
@click.option("--aligned", is_flag=True, help="The pictures of --faces are aligned faces already.")
@click.option("--labels", type=click.Path(path_type=Path), help="CSV of a labelled set to compare decisions on.")
@click.option("--images", type=click.Path(path_type=Path), help="Zip with its pictures.")
@click.option("--landmarks", type=click.Path(path_type=Path), help="npz with its points.")
@click.option(
    "--split",
    type=click.Choice(["dev", "valid"]),
    default="valid",
    show_default=True,
    help="Its part to compare on; int8 without --faces takes faces of its training part for the ranges.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def export(
    model: str,
    output: Path,
    precision: Any,
    target: str,
    name: str | None,
    faces: str | None,
    aligned: bool,
    labels: Path | None,
    images: Path | None,
    landmarks: Path | None,
    split: str,
    overwrite: bool,
) -> None:
    """Write MODEL (a training run, a model folder or its name) in another precision, with proof (extra: export).

    Every export ends in a parity report against the float32 original, also as parity.json in the folder. Over the
    tolerance of its precision it fails and leaves nothing behind.
    """
    convert = _late("affectkit.export.convert", "export", "exporting a model")
    if (labels is None) != (images is None) or (landmarks is not None and labels is None):
        raise click.UsageError("a labelled set needs --labels and --images")
    labelled = calibration = None
    if labels is not None and images is not None:
        labelled, calibration = convert.labelled_part(model, labels, images, landmarks, split, precision=precision)
    if faces is not None and precision == "int8":
        calibration = convert.faces_of(model, faces, aligned=aligned)
    if target == "tensorrt":
        convert.check_tensorrt()
    report = convert.export_model(
        model,
        output,
        precision=precision,
        target=target,
        calibration=calibration,
        labelled=labelled,
        name=name,
        overwrite=overwrite,
    )
    _show_parity(report.golden)
    for where, one in (("golden inputs", report.golden_agreement), (report.labelled, report.labelled_agreement)):
        if one is not None:
            click.echo(f"{where} ({one.count}): {one}")
    click.echo(f"{model} in {precision} for {target} -> {output}", err=True)


@cli.command()
@click.argument("clips", nargs=-1, metavar="[CLIP]...")
@click.option(
    "--model", default="lite", show_default=True, help="Name of an embedded model, or path of a model folder."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda[:N], tensorrt[:N] or ort-tensorrt.")
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "fp16", "int8"]), default="auto", help="Of videos and streams."
)
@click.option(
    "--what",
    type=click.Choice(["start-up", "network", "stages", "video", "streams"]),
    multiple=True,
    help="Measure this; repeat for several.  [default: all that the clips allow, but streams]",
)
@click.option("--batch", "batches", type=click.IntRange(min=1), multiple=True, help="Faces at once.  [default: 1 8 32]")
@click.option(
    "--threads", type=click.IntRange(min=1), multiple=True, help="Of the network by itself.  [default: 1 and all cores]"
)
@click.option("--streams", type=click.IntRange(min=1), multiple=True, help="Streams at once.  [default: 1 2 4]")
@click.option("--render", is_flag=True, help="Also with an annotated video.")
@click.option("--max-faces", type=click.IntRange(min=1), help="Only the N largest faces of a frame.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a report (JSON).")
@click.option(
    "--compare", type=click.Path(path_type=Path, dir_okay=False), help="Show how the numbers of this report changed."
)
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def benchmark(
    clips: tuple[str, ...],
    model: str,
    device: str,
    precision: str,
    what: tuple[str, ...],
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    streams: tuple[int, ...],
    render: bool,
    max_faces: int | None,
    repeats: int,
    output: Path | None,
    compare: Path | None,
    debug: bool,
) -> None:
    """Measure how fast this machine is: start-up, the network by itself, each stage, and CLIPs from file to table.

    Medians of the repeats; behind them half the distance of the quartiles. Without a CLIP only start-up and network.

    \b
    Examples:
      affectkit benchmark interview.mp4 -o now.json
      affectkit benchmark interview.mp4 --compare before.json
      affectkit benchmark --what network --device cuda --batch 1 --batch 128 --batch 512
      affectkit benchmark interview.mp4 --what streams --device cuda --streams 8
    """
    import cv2

    from affectkit import benchmark as bench
    from affectkit.engines import usable_cores
    from affectkit.predictor import Predictor
    from affectkit.sinks import write_json

    _configure_logging(debug)
    cv2.setNumThreads(1)  # as in predict
    if not clips and set(what) - {"start-up", "network"}:
        raise click.UsageError("stages, video and streams need a CLIP")
    wanted = what or (("start-up", "network", "stages", "video") if clips else ("start-up", "network"))
    before = bench.read_report(compare) if compare is not None else []
    if output is not None:
        bench.check_report(output)

    def make() -> Predictor:
        return Predictor(model, device=device, precision=precision)

    rows: list[bench.Measurement] = []

    def show(found: list[bench.Measurement]) -> None:
        rows.extend(found)
        for line in bench.table(found, before):
            click.echo(line)

    if "start-up" in wanted:
        show(bench.start_up(repeats, model=model))
    if "network" in wanted:
        numbers = threads or tuple(dict.fromkeys((1, usable_cores())))
        show(bench.networks(model, device=device, batches=batches or (1, 8, 32), threads=numbers, repeats=4 * repeats))
    if "stages" in wanted:
        with make() as predictor:
            for clip in clips:
                show(bench.stages(clip, predictor))
    if "video" in wanted:
        show(bench.whole_videos(clips, make, repeats=repeats, render=render, max_faces=max_faces))
        for clip in clips:
            show(bench.memory(clip, model=model, device=device, precision=precision))
    if "streams" in wanted:
        for clip in clips:
            show(bench.many_streams(clip, make, streams or (1, 2, 4), repeats=repeats))
    if output is not None:
        write_json(output, bench.report(rows, model=model, device=device, precision=precision, max_faces=max_faces))


@cli.command("import-checkpoints")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model folder to write.")
@click.option("--name", help="Name of the model.  [default: the folder's]")
@click.option(
    "--ensemble",
    type=click.Choice(["logits", "probabilities"]),
    default="logits",
    show_default=True,
    help="What is averaged over the members; the published code averages logits.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def import_checkpoints_command(path: Path, output: Path, name: str | None, ensemble: Any, overwrite: bool) -> None:
    """Turn the released checkpoints in PATH (CNN/, CNN_RNN/, or one .pth) into a model folder (extra: export)."""
    checkpoints = _late("affectkit.export.checkpoints", "export", "importing checkpoints")
    files = checkpoints.find_checkpoints(path)
    parity = checkpoints.import_checkpoints(files, output, name=name, ensemble=ensemble, overwrite=overwrite)
    _show_parity(parity)
    click.echo(f"{len(files)} member{'s' * (len(files) != 1)} -> {output}", err=True)


def _show_parity(parity: Iterable[Any]) -> None:
    """How far every output is from the original."""
    click.echo(f"{'output':20} {'largest':>10} {'mean':>10} {'relative':>10} {'cosine':>12}")
    for one in parity:
        click.echo(f"{one.name:20} {one.largest:10.2e} {one.mean:10.2e} {one.relative:10.2e} {one.cosine:12.9f}")


def _late(module: str, extra: str, purpose: str) -> Any:
    """A module that needs an extra, imported when it is used.

    Raises:
        MissingDependency: the extra is not installed.
    """
    from importlib import import_module

    from affectkit.errors import MissingDependency

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "pandas", "onnx", "onnxscript", "onnxruntime", "ray"):
            raise
        extra = "cpu" if (error.name or "").startswith("onnxruntime") else extra
        raise MissingDependency(str(error.name), extra, purpose) from error


cli.add_command(
    _LateGroup("train", home="affectkit.train.cli", extra="train", help="Train and evaluate models (extra: train).")
)
