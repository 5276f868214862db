"""``affectkit predict``."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectkit.cli.after import PROGRAMS, check_after, finish
from affectkit.cli.common import EXIT_FAILED, configure_logging, late, say
from affectkit.cli.many_progress import ManyWatch
from affectkit.cli.options import (
    debug_option,
    opening_of,
    output_options,
    over_time,
    predictor_config,
    shared,
    stream_options,
)
from affectkit.cli.progress import Watch
from affectkit.cli.summary import summary, warn
from affectkit.cli.table import NETWORK

if TYPE_CHECKING:
    from affectkit.runs.job import Job, Outcome
    from affectkit.runs.pool import Work


@click.command()
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
    help="Picture with a thumbnail of each person: .jpg or .png; with several inputs a folder.",
)
@shared(*NETWORK, "aligned", "min_confidence", "start_s", "end_s", "every", "window")
@shared("table_format", "baseline", "uncertainty", "decode_on", "max_pixels", "input_format", "fps", "deinterlace")
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
@click.option(
    "--min-track",
    "min_track_s",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Leave out identities that are seen for less time.  [default: 0]",
)
@click.option(
    "--export",
    "programs",
    type=click.Choice(PROGRAMS),
    multiple=True,
    help="Beside the table also NAME.eaf for ELAN (extra: elan), NAME.vtt (subtitles) or NAME.boris; may be repeated.",
)
@shared("resume", "overwrite")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; warnings and errors only.")
@debug_option
def predict(inputs: tuple[str, ...], processes: int, ray: str | None, quiet: bool, debug: bool, **given: Any) -> None:
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

    from affectkit.errors import AffectKitError
    from affectkit.runs.job import failure_line
    from affectkit.runs.places import check_clashes, folders_made, plan, split_done
    from affectkit.runs.run import check_job

    configure_logging(debug)
    # OpenCV's own threads help nothing here: the stages work side by side already, and idle threads take their time.
    cv2.setNumThreads(1)
    work = _work(given, absolute=ray is not None)
    targets = given["output"], given["render"], given["contact_sheet"]
    jobs = plan(inputs, *targets)
    brief_s, programs = given["min_track_s"], given["programs"]
    rendered, overwrite = given["render"] is not None, work.outputs.overwrite or work.outputs.resume
    check_after(jobs, given["table_format"], brief_s, programs, rendered=rendered, overwrite=overwrite)
    if work.outputs.resume:
        done, jobs = split_done(jobs)
        for job in done:
            if not quiet:
                say(f"{job.table}: is there already")
            finish(job, brief_s, programs, overwrite=True)
        if not jobs:
            return
    with folders_made(*targets):
        for job in jobs:
            check_job(job, overwrite=work.outputs.overwrite, resume=work.outputs.resume)
        check_clashes(jobs)
        failed = 0
        for job, outcome, ran_on in _ended(jobs, work, processes, ray, quiet=quiet, debug=debug):
            if isinstance(outcome, str):
                failed += 1
                say(f"error: {outcome}")
                continue
            warn(job, outcome)
            try:
                finish(job, brief_s, programs, overwrite=overwrite)
            except (AffectKitError, ValueError) as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                say(f"error: {failure_line(job, error)}")
            if not quiet:
                click.echo(summary(job, outcome, ran_on), err=True)
    if failed:
        say(f"{failed} of {len(jobs)} inputs failed")
        sys.exit(EXIT_FAILED)


def _work(given: Mapping[str, Any], *, absolute: bool) -> Work:
    """What every input is done with.

    Args:
        absolute: whether names of files have to mean the same in every folder.

    Raises:
        click.UsageError: options that do not go together.
        ValueError: one is out of range.
    """
    from affectkit.runs.pool import Work

    baseline = _checked_baseline(given, absolute=absolute) if _goes_together(given) else None
    config = predictor_config(given)
    _check_window(given)
    return Work(config, stream_options(given), output_options(given, baseline=baseline), opening_of(given))


def _goes_together(given: Mapping[str, Any]) -> bool:
    """Refuse options that contradict each other; whether there is a baseline.

    Raises:
        click.UsageError: it names them.
        ValueError: a format that has no place for the uncertainty.
    """
    from affectkit.outputs.layouts import check_format

    check_format(given["table_format"], uncertainty=given["uncertainty"])
    start_s, end_s = given["start_s"], given["end_s"]
    if not start_s < end_s:
        raise click.UsageError(f"--start must be before --end, got {start_s:g} and {end_s:g}")
    if given["resume"] and given["overwrite"]:
        raise click.UsageError("--overwrite starts again; leave out one of --overwrite and --resume")
    if given["resume"] and given["render"] is not None:
        raise click.UsageError("an annotated video cannot be resumed; leave out --render or --resume")
    if given["window"] != "live" and given["lookahead"]:
        raise click.UsageError("--lookahead goes with --window live: the other windows see the whole sequence")
    return given["baseline"] is not None


def _checked_baseline(given: Mapping[str, Any], *, absolute: bool) -> str:
    """The baseline as it was given, or by its whole path.

    Raises:
        ValueError: it cannot be understood, or the other options leave nothing for it.
    """
    from affectkit.baseline import check_rule, parse_rule

    baseline: str = given["baseline"]
    rule = parse_rule(baseline)
    check_rule(rule, start_s=given["start_s"], end_s=given["end_s"], rendered=given["render"] is not None)
    return os.path.abspath(rule.file) if absolute and rule.file and Path(rule.file).exists() else baseline


def _check_window(given: Mapping[str, Any]) -> None:
    """Refuse windows for what looks at single frames; live they mean something where values are smoothed.

    Raises:
        click.UsageError: it names the option.
    """
    from affectkit import models

    model, window, temporal = given["model"], given["window"], over_time(given)
    looks_back = models.resolve(model).spec.temporal is not None if temporal is None else temporal
    if looks_back or (window == "live" and given["smooth_s"]):
        return
    context = click.get_current_context()
    gap_given = context.get_parameter_source("max_gap_s") is click.core.ParameterSource.COMMANDLINE
    for option, meant in ((f"--window {window}", window != "overlap"), ("--max-gap", gap_given)):
        if meant:
            raise click.UsageError(f"{option} is for sequences, and {model} looks at single frames; add --temporal")


def _ended(
    jobs: Sequence[Job], work: Work, processes: int, ray: str | None, *, quiet: bool, debug: bool
) -> Iterator[tuple[Job, Outcome | str, str]]:
    """Run the jobs where they are to be run; what came of each, as they end, and on which device."""
    from affectkit.runs.pool import run_jobs

    if ray is not None:
        cluster = late("affectkit.runs.cluster", "ray", "--ray")
        yield from cluster.run_on_cluster(jobs, work, ray, processes if processes > 1 else None)
    elif processes > 1 and len(jobs) > 1:
        with ManyWatch(len(jobs), quiet=quiet) as watch:
            for job, outcome, device in run_jobs(jobs, work, processes, None if quiet else watch.told):
                failed = isinstance(outcome, str)
                watch.ended(job, failed=failed, frames=0 if isinstance(outcome, str) else outcome.read)
                yield job, outcome, device
    else:
        yield from _one_by_one(jobs, work, quiet=quiet, debug=debug)


def _one_by_one(
    jobs: Sequence[Job], work: Work, *, quiet: bool, debug: bool
) -> Iterator[tuple[Job, Outcome | str, str]]:
    """Run the jobs in this process. The error of a single one is raised."""
    from affectkit.predictor import Predictor
    from affectkit.runs.job import failure_line
    from affectkit.runs.run import run_job

    with Predictor.from_config(work.predictor) as predictor:
        for job in jobs:
            try:
                with Watch(quiet=quiet, end_s=work.asked.end_s) as watch:
                    outcome = run_job(predictor, job, work.asked, work.outputs, work.opening, watch=watch)
            except Exception as error:  # whatever one input does, the rest finish
                if len(jobs) == 1:
                    raise
                if debug:
                    traceback.print_exc()
                yield job, failure_line(job, error), predictor.device
                continue
            yield job, outcome, predictor.device
