"""``affectkit train report``."""

from __future__ import annotations

from pathlib import Path

import click

from affectkit.errors import OutputError
from affectkit.outputs.json_files import write_text
from affectkit.train.report.data import Faces
from affectkit.train.report.material import gather
from affectkit.train.report.page import document
from affectkit.train.run_folder import read_run, runs_in


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The page: a .html file."
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def report(run: Path, output: Path, overwrite: bool) -> None:
    """Write a page about a run: curves, scores, confusions, calibration, the worst faces, the labels' distribution.

    One file that needs no network and prints well. RUN is the output folder of a training command, also while it is
    running, or of `students`: then all of them are in it, compared first.
    """
    write_report(run, output, overwrite=overwrite)
    click.echo(f"wrote {output}", err=True)


def write_report(run: Path, output: Path, *, overwrite: bool = False) -> None:
    """Write the report of a run, or of a folder of students' runs.

    Raises:
        ModelError: it is no run.
        OutputError: the file exists, or its folder does not.
    """
    found = [read_run(folder) for folder in runs_in(run)]
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists; give --overwrite to replace it, or another name")
    if not output.parent.is_dir():
        raise OutputError(f"{output}: there is no folder {output.parent}")
    known: dict[str, Faces] = {}
    page = document([gather(one, known) for one in found], run.resolve().name)
    write_text(output, page)
