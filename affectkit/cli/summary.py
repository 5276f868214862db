"""What came of an input, in a line for its user, and what else that user should know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from affectkit.cli.common import say
from affectkit.cli.postprocess import export_path
from affectkit.sources.names import on_one_line

if TYPE_CHECKING:
    from affectkit.runs.job import Job, Outcome


def summary(job: Job, outcome: Outcome, ran: str, programs: Sequence[str] = ()) -> str:
    """What came of an input.

    Args:
        ran: model and device.
        programs: for which there are files beside the table.
    """
    table, video, sheet = job.outputs
    outputs = [str(path) for path in (table, video, sheet if outcome.faces else None) if path is not None]
    outputs += [str(export_path(job.table, program)) for program in programs]
    faces = f"{outcome.faces} face{'s' * (outcome.faces != 1)}"
    resumed = "" if outcome.resumed_at is None else f", resumed at frame {outcome.resumed_at}"
    return on_one_line(
        f"{job.name}: {outcome.read} frames{resumed}, {faces}, {outcome.without_face} frames without a face -> "
        f"{' and '.join(outputs)} [{ran}]"
    )


def warn(job: Job, outcome: Outcome) -> None:
    """Say what the table does not show."""
    from affectkit.sources.folder import told

    report = outcome.report
    left_out = told(report.left_out)
    if left_out:
        say(f"warning: {job.name}: left out: {left_out}")
    if (report.times or {}).get("rate_from") == "assumed" and report.times and report.times["from"] == "made up":
        say(
            f"warning: {job.name}: says nothing of its times; they are made up at {report.times['rate']:g} frames a "
            "second, give --fps if it is another rate"
        )
    if report.reduced:
        say(f"{job.name}: pictures of over 40 megapixels, {report.reduced} in all, came at a fraction of their size")
    if not report.complete:
        say(f"warning: {job.name}: {report.problem}; the table has the {outcome.read} frames that are readable")
    elif report.concealed:
        say(f"warning: {job.name}: {report.concealed} frames were damaged and repaired by the decoder")
    for remark in outcome.remarks:
        say(f"warning: {job.name}: {remark}")
    if job.sheet is not None and not outcome.faces:
        say(f"warning: {job.name}: there was no face, so there is no contact sheet")
