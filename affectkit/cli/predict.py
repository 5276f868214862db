"""``affectkit predict``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectkit.cli.common import configure_logging, say
from affectkit.cli.many import Runner, asked_for, output_dir_of, run_all
from affectkit.cli.options import (
    debug_option,
    opening_of,
    output_options,
    over_time,
    predictor_config,
    shared,
    stream_options,
)
from affectkit.cli.postprocess import PROGRAMS, check_after
from affectkit.cli.table import NETWORK

if TYPE_CHECKING:
    from affectkit.runs.pool import Work


@click.command()
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option(
    "--inputs",
    "lists",
    multiple=True,
    type=click.Path(),
    metavar="FILE|-",
    help="More inputs, one path or URL a line, or with NUL bytes between them (find -print0); - is standard input.",
)
@click.option("-r", "--recursive", is_flag=True, help="Of folders, all videos below them.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Table of one input: .csv, .jsonl or .parquet.  [default: NAME.csv in the current folder]",
)
@click.option(
    "-d",
    "--output-dir",
    type=click.Path(),
    metavar="DIR",
    help="Folder for the tables, which is made: NAME.csv of each input, and run.jsonl, which says what became of all.",
)
@click.option(
    "--output-type", type=click.Choice(["csv", "jsonl", "parquet"]), help="Of tables in a folder.  [default: csv]"
)
@click.option("--keep-tree", is_flag=True, help="Mirror the inputs' folders below --output-dir.")
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
@click.option(
    "--shard",
    metavar="I/N|auto",
    help="Only the I-th of N parts of the inputs, by their names; auto: as a Slurm array's task says.",
)
@click.option(
    "--retry-failed",
    type=click.Path(),
    metavar="RUN",
    help="The inputs that failed in a run, by its folder or run.jsonl, once more.",
)
@click.option(
    "--scratch",
    type=click.Path(),
    metavar="DIR",
    help="Where inputs from stores and web servers, and outputs for stores, lie meanwhile.  [default: the system's]",
)
@click.option(
    "--max-download",
    type=click.FloatRange(min=0, min_open=True),
    default=8.0,
    show_default=True,
    metavar="GB",
    help="Of one input.",
)
@shared("resume", "overwrite")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary; warnings and errors only.")
@debug_option
def predict(inputs: tuple[str, ...], processes: int, ray: str | None, quiet: bool, debug: bool, **given: Any) -> None:
    """Write a table, and with --render an annotated video, of each INPUT.

    An INPUT is a video, a picture, a folder of pictures or of videos, or a URL. The table has one row for each frame
    and face; beside it OUTPUT.meta.json says how it was made. A table that is there already, made of the same input
    with the same model and options, is left as it is.

    \b
    Examples:
      affectkit predict interview.mp4
      affectkit predict interview.mp4 --temporal -o interview.parquet --render interview-annotated.mp4
      affectkit predict interview.mp4 --baseline auto
      affectkit predict *.mp4 --output-dir tables -j 4 --resume
      affectkit predict study/ --recursive --output-dir tables --keep-tree
      find study -name '*.mp4' -print0 | affectkit predict --inputs - --output-dir tables
      affectkit predict /shared/*.mp4 --output-dir /shared/tables --ray auto
    """
    import cv2

    from affectkit.runs.output_paths import check_clashes, folders_made
    from affectkit.runs.run import check_job

    configure_logging(debug)
    # OpenCV's own threads help nothing here: the stages work side by side already, and idle threads take their time.
    cv2.setNumThreads(1)
    work = _work(given, absolute=ray is not None)
    asked = asked_for(inputs, given, work)
    check_after(asked.jobs, given, overwrite=work.outputs.overwrite or work.outputs.resume)
    if not len(asked.jobs):
        say("nothing failed there" if asked.retried else f"none of the inputs is in shard {asked.shard}")
        return
    named = given["output"], output_dir_of(given), given["render"], given["contact_sheet"]
    with folders_made(*named, *asked.jobs.folders()):
        check_clashes(asked.jobs)
        if not asked.several:
            for job in asked.jobs:
                check_job(job, overwrite=work.outputs.overwrite, resume=work.outputs.resume)
        run_all(asked, Runner(work, processes, ray, quiet, debug), given)


def _work(given: Mapping[str, Any], *, absolute: bool) -> Work:
    """What every input is done with.

    Args:
        absolute: whether names of files have to mean the same in every folder.

    Raises:
        click.UsageError: options that do not go together.
        ValueError: one is out of range.
    """
    from affectkit.cli.wording import Wording
    from affectkit.runs.brought import Transfer
    from affectkit.runs.pool import Work

    baseline = _checked_baseline(given, absolute=absolute) if _goes_together(given) else None
    config = predictor_config(given)
    _check_window(given)
    transfer = Transfer(given["scratch"], int(given["max_download"] * 1e9))
    outputs = output_options(given, baseline=baseline)
    return Work(config, stream_options(given), outputs, opening_of(given), transfer, Wording)


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
    if given["output"] is not None and given["output_dir"] is not None:
        raise click.UsageError("-o is the file of one table, --output-dir the folder of several; leave one of them out")
    if given["output_type"] is not None and given["output_dir"] is None:
        raise click.UsageError("--output-type is for tables in --output-dir; of one table the suffix of -o decides")
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
    from affectkit.baseline.neutral import check_rule, parse_rule

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
