"""What follows when ``affectkit predict`` has written a table: brief identities go, other programs' files come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affectkit.cli.common import say

if TYPE_CHECKING:
    from affectkit.runs.job import Job

PROGRAMS = ("elan", "vtt", "boris")


def export_path(table: Path, program: str) -> Path:
    """Where a table's annotations for a program go: beside it."""
    from affectkit.tables.exports import SUFFIXES

    return table.with_suffix(SUFFIXES[program])


def check_after(jobs: Iterable[Job], given: Mapping[str, Any], *, overwrite: bool) -> None:
    """Refuse what cannot be done, before anything is computed.

    Args:
        given: the command's options.

    Raises:
        click.UsageError: options that do not go together.
        OutputError: a file is there already, or cannot be written.
        MissingDependency: ELAN's files without pympi-ling.
    """
    from affectkit.outputs.files import check_target

    min_track_s, programs, table_format = (given[name] for name in ("min_track_s", "programs", "table_format"))
    if not (min_track_s or programs):
        return
    if table_format != "native":
        option = "--min-track" if min_track_s else "--export"
        raise click.UsageError(f"{option} reads the table again, which has to be of the format native")
    if min_track_s and given["render"] is not None:
        raise click.UsageError("--render draws each frame at once, --min-track needs all of the input first")
    if "elan" in programs:
        from affectkit.tables.exports import elan_library

        elan_library()
    for job in jobs:
        for program in programs:
            there = overwrite or job.table.exists()  # of a table that is there they are written again
            check_target(export_path(job.table, program), overwrite=there)


def finish(job: Job, min_track_s: float, programs: Sequence[str], *, overwrite: bool) -> None:
    """Do it, once: a table that is filtered already stays as it is.

    Raises:
        AffectKitError: as of reading and writing tables.
        ValueError: the input has no times.
    """
    from affectkit.tables.reading import read_table

    table = read_table(job.table)
    changed = table.meta.get("changed")
    done = [step.get("min_track_s") for step in changed if isinstance(step, dict)] if isinstance(changed, list) else []
    if min_track_s and min_track_s not in done:
        table = table.filter(min_track_s=min_track_s)
        gone = table.meta["changed"][-1]["faces"]
        table.save(job.table, overwrite=True)
        if gone:
            faces = ", ".join(str(face) for _, face in gone[:8]) + (" ..." if len(gone) > 8 else "")
            say(f"{job.source}: left out face {faces}, seen for less than {min_track_s:g} s")
    for program in programs:
        table.export(export_path(job.table, program), overwrite=overwrite)
