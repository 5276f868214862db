"""Many inputs at once, each in one of several processes; a process that dies loses nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import cv2

from affectkit.engines import usable_cores
from affectkit.errors import AffectKitError
from affectkit.jobs import Interrupted, Job, Outcome, run_job
from affectkit.predictor import Predictor

TRIES = 3
"""Times that an input is given to a process before it is taken for the cause of their deaths."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every process does; all of it can be sent to one."""

    predictor: dict[str, Any]
    """Arguments of ``Predictor``."""
    options: dict[str, Any]
    """Of ``Predictor.stream``."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of ``run_job``: format, uncertainty, overwrite, resume."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    job: Job | None = None


def run_jobs(jobs: Sequence[Job], work: Work, processes: int) -> Iterator[tuple[Job, Outcome | str, str]]:
    """Run all jobs, and say of each, in the order in which they end, what came of it.

    Every process loads the model once, and has its share of the cores. One that dies (out of memory, a crash of the
    decoder) is replaced, and its input given to another, which goes on where the dead one's notes say.

    Yields:
        the job; its outcome, or the error in one line; the device that it ran on.
    """
    waiting = deque(jobs)
    tries: dict[Job, int] = {}
    context = multiprocessing.get_context("spawn")
    threads = max(1, usable_cores() // processes)

    def start() -> _Worker:
        ours, theirs = context.Pipe()
        arguments = (theirs, Work({"threads": threads, **work.predictor}, work.options, work.settings))
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()  # so that its end is noticed here
        return _Worker(process, ours)

    def give(worker: _Worker) -> None:
        worker.job = waiting.popleft() if waiting else None
        if worker.job is None:
            worker.connection.send(None)
            return
        tries[worker.job] = tries.get(worker.job, 0) + 1
        worker.connection.send((worker.job, tries[worker.job] > 1))

    workers = [start() for _ in range(min(processes, len(jobs)))]
    try:
        for worker in workers:
            give(worker)
        while any(worker.job is not None for worker in workers):
            ready = wait([worker.connection for worker in workers if worker.job is not None])
            for k, worker in enumerate(workers):
                if worker.connection not in ready or worker.job is None:
                    continue
                job = worker.job
                try:
                    outcome, device = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    worker.process.join()
                    if tries[job] < TRIES:
                        waiting.appendleft(job)
                    else:
                        code = worker.process.exitcode
                        yield job, f"{job.source}: its process died {TRIES} times (exit code {code})", ""
                    workers[k] = worker = start() if waiting else worker
                    worker.job = None
                    if worker.process.is_alive():
                        give(worker)
                    continue
                if isinstance(outcome, Exception):  # no process can do anything then
                    raise outcome
                give(worker)
                yield job, outcome, device
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.join(timeout=5)  # they were interrupted too, and write their notes
        if any(job.note.exists() for job in jobs):
            raise Interrupted from None
        raise
    finally:
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.process.join(timeout=5)  # after Ctrl-C they write their notes
            if worker.process.is_alive():
                worker.process.terminate()


def attempt(predictor: Predictor, job: Job, work: Work, *, again: bool) -> Outcome | str:
    """Run a job in one of several processes; what came of it, or its error in one line.

    Args:
        again: another process died over this job: what is there by now is its.
    """
    settings = dict(work.settings)
    if again:
        settings |= {"overwrite": True, "resume": job.video is None}
    try:
        return run_job(predictor, job, work.options, **settings)
    except Exception as error:  # whatever one input does, the rest finish
        named = isinstance(error, AffectKitError | ValueError)
        return str(error) if named else f"{job.source}: {type(error).__name__}: {error}"


def _serve(connection: Connection, work: Work) -> None:
    """In a process: take jobs until there is none left."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    cv2.setNumThreads(1)  # as in cli.predict
    try:
        try:
            predictor = Predictor(**work.predictor)
        except (AffectKitError, ValueError) as error:
            connection.recv()
            connection.send((error, ""))
            return
        with predictor:
            while (task := connection.recv()) is not None:
                job, again = task
                connection.send((attempt(predictor, job, work, again=again), predictor.device))
    except (KeyboardInterrupt, EOFError, BrokenPipeError):
        pass  # the one who asks has gone, or Ctrl-C was pressed
