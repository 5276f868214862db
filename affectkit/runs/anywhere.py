"""One input from beginning to end, wherever it and its outputs are."""

from __future__ import annotations

import dataclasses
from typing import Any

from affectkit.errors import OutputError
from affectkit.options import OutputOptions
from affectkit.predictor import Predictor
from affectkit.runs.brought import Stopwatch, brought, facts_of_input, is_elsewhere, stores, upload
from affectkit.runs.job import Job, Outcome
from affectkit.runs.made import Facts, facts_of, made_alike, made_before
from affectkit.runs.resume_notes import contents_of, made_with
from affectkit.runs.run import Watch, run_job, unwatched
from affectkit.runs.work import Work


def run_anywhere(
    predictor: Predictor,
    job: Job,
    work: Work,
    outputs: OutputOptions,
    *,
    patience_s: float = 0.0,
    watch: Watch = unwatched,
) -> Outcome:
    """Bring an input here, run it (:func:`affectkit.runs.run.run_job`), and bring its outputs to where they go.

    A table that is in the store already, made of the same object in the same way, is left, and nothing is fetched.

    Args:
        outputs: in place of the work's.

    Raises:
        AffectKitError: as ``run_job``; also where the network is gone for longer than it is waited for.
    """

    def run(**more: Any) -> Outcome:
        return run_job(predictor, job, work.asked, outputs, work.opening, patience_s=patience_s, watch=watch, **more)

    far = is_elsewhere(job.source)
    if not far and job.urls[0] is None:
        return run()
    clock = Stopwatch()
    with clock.running():
        facts = facts_of_input(job.source) if far else None
        contents = contents_of(job.source) if facts is None else facts.contents()
        now = facts_of(predictor.describe(), contents, made_with(work.asked, outputs, work.opening))
        there = made_before(job, now, outputs) if job.urls[0] is None else _in_store(job, now, outputs)
    if there is not None:
        return dataclasses.replace(there, transfer_s=clock.seconds)
    if job.urls[0] is not None:
        job.table.parent.mkdir(parents=True, exist_ok=True)
    with brought(job, facts, work.asked, work.transfer, clock) as fetched:
        outcome = run(fetched=fetched)
    with clock.running():
        upload(job, outcome)
    skipped = outcome.skipped and job.urls[0] is None  # one that was killed before it had uploaded its table
    return dataclasses.replace(outcome, transfer_s=clock.seconds, skipped=skipped)


def _in_store(job: Job, now: Facts, outputs: OutputOptions) -> Outcome | None:
    """As :func:`affectkit.runs.made.made_before`, of a table in a store."""
    url = job.urls[0]
    if url is None or job.absent or (outputs.overwrite and not outputs.resume) or not stores().exists(url):
        return None
    try:
        outcome = made_alike(job, stores().read(f"{url}.meta.json"), now)
    except OutputError:
        if outputs.overwrite:
            return None
        raise
    return dataclasses.replace(outcome, skipped=True)
