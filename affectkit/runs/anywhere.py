"""One input from beginning to end, wherever it and its outputs are."""

from __future__ import annotations

import dataclasses
import os
from contextlib import suppress
from pathlib import Path

from affectkit.errors import OutputError
from affectkit.options import OutputOptions
from affectkit.outputs.files import write_whole
from affectkit.predictor import Predictor
from affectkit.runs.brought import Stopwatch, brought, facts_of_input, is_elsewhere, make_staging, upload
from affectkit.runs.job import Job, Outcome
from affectkit.runs.made import made_before, made_here
from affectkit.runs.resume_notes import contents_of
from affectkit.runs.run import Watch, run_in_way, unwatched
from affectkit.runs.way import Way, way_of
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
    far, away = is_elsewhere(job.source), any(job.urls)
    clock = Stopwatch()
    with clock:
        facts = facts_of_input(job.source) if far else None
    contents = contents_of(job.source) if facts is None else facts.contents()
    way = way_of(predictor, work.asked, outputs, work.opening, contents)
    if not far and not away:
        return run_in_way(predictor, job, way, patience_s=patience_s, watch=watch)
    with clock:
        if away and job.urls[0] is None and os.path.exists(job.table):
            upload(job)  # videos and sheets that a killed run had not brought away yet
        there = _made_there(job, way) if away else made_here(job, way.facts, outputs)
    if there is not None:
        return dataclasses.replace(there, transfer_s=clock.seconds)
    held: dict[Path, bytes] = {}
    into = held if job.is_stored_table else None
    with brought(job, facts, work.asked, work.transfer, clock) as fetched:
        outcome = run_in_way(predictor, job, way, patience_s=patience_s, watch=watch, fetched=fetched, held=into)
    with clock:
        try:
            upload(job, people=outcome.faces > 0, held=held)
        except BaseException:  # the next run brings them there
            with suppress(OSError, OutputError):  # what is said is why they are not there
                for path, data in held.items():
                    make_staging(path.parent)
                    write_whole(path, data)
            raise
    return outcome.after_transfer(clock.seconds, away=away)


def _made_there(job: Job, way: Way) -> Outcome | None:
    """:func:`affectkit.runs.made.made_before`, of outputs that go to a store, some or all of them.

    The folders that they lie in until then are made where they are missing and something is sure to lie there.
    """
    if not job.is_stored_table:
        for path, url in zip((job.table, job.video, job.sheet), job.urls, strict=True):
            if path is not None and url is not None:
                make_staging(path.parent)
    if job.absent:
        return None
    return made_before(job, way.facts, way.outputs, job.places)
