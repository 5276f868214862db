"""``affectkit benchmark``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectkit.cli.common import configure_logging
from affectkit.cli.options import debug_option, predictor_config, shared, stream_options

if TYPE_CHECKING:
    from affectkit import measurements
    from affectkit.predictor import Predictor


@click.command()
@click.argument("clips", nargs=-1, metavar="[CLIP]...")
@shared("model", "device")
@shared("precision", show_default=False, help="Of videos and streams.")
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
@shared("max_faces")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a report (JSON).")
@click.option(
    "--compare", type=click.Path(path_type=Path, dir_okay=False), help="Show how the numbers of this report changed."
)
@debug_option
def benchmark(
    clips: tuple[str, ...], what: tuple[str, ...], output: Path | None, compare: Path | None, debug: bool, **given: Any
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

    from affectkit import measurements
    from affectkit.outputs.json_files import write_json

    configure_logging(debug)
    cv2.setNumThreads(1)  # as in predict
    if not clips and set(what) - {"start-up", "network"}:
        raise click.UsageError("stages, video and streams need a CLIP")
    wanted = what or (("start-up", "network", "stages", "video") if clips else ("start-up", "network"))
    before = measurements.read_report(compare) if compare is not None else []
    if output is not None:
        measurements.check_report(output)
    rows: list[measurements.Measurement] = []
    for found in _measured(clips, wanted, given):
        rows += found
        for line in measurements.table(found, before):
            click.echo(line)
    if output is not None:
        about = {name: given[name] for name in ("model", "device", "precision", "max_faces")}
        write_json(output, measurements.report(rows, **about))


def _measured(
    clips: Sequence[str], wanted: Collection[str], given: Mapping[str, Any]
) -> Iterator[list[measurements.Measurement]]:
    """What is wanted, one after the other."""
    from affectkit import benchmark as bench
    from affectkit.engines import usable_cores
    from affectkit.predictor import Predictor

    config, asked, repeats = predictor_config(given), stream_options(given), given["repeats"]

    def make() -> Predictor:
        return Predictor.from_config(config)

    if "start-up" in wanted:
        yield bench.start_up(repeats, model=given["model"])
    if "network" in wanted:
        numbers = given["threads"] or tuple(dict.fromkeys((1, usable_cores())))
        batches = given["batches"] or (1, 8, 32)
        yield bench.networks(
            given["model"], device=given["device"], batches=batches, threads=numbers, repeats=4 * repeats
        )
    if "stages" in wanted:
        with make() as predictor:
            for clip in clips:
                yield bench.stages(clip, predictor)
    if "video" in wanted:
        yield bench.whole_videos(clips, make, asked, repeats=repeats, render=given["render"])
        for clip in clips:
            yield bench.memory(clip, config)
    if "streams" in wanted:
        for clip in clips:
            yield bench.many_streams(clip, make, given["streams"] or (1, 2, 4), repeats=repeats)
