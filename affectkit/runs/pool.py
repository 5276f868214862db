"""Many inputs at once, each in one of several processes; a process that dies loses nothing, and is not kept silent."""

from __future__ import annotations

import logging
import multiprocessing
import platform
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import cv2

from affectkit.engines import usable_cores
from affectkit.errors import AffectKitError, EngineError
from affectkit.outputs.spare_files import spare_files_kept
from affectkit.predictor import Predictor
from affectkit.runs.anywhere import run_anywhere
from affectkit.runs.job import Ended, Mark, failure_line, finished, mark_of
from affectkit.runs.memory import input_ended
from affectkit.runs.run import Interrupted, Job, Outcome, Watch, unwatched
from affectkit.runs.told import Tell, Telling, Told
from affectkit.runs.work import Work as Work

log = logging.getLogger(__name__)

TRIES = 3
"""Times that an input is given to a process before it is taken for the cause of their deaths."""

PATIENCE_S = 10.0
"""How long the lock of a process that died is waited for; on network file systems it outlives it for a moment."""

LEAVES_IN_S = 5.0
"""Time that processes are given to write their notes after Ctrl-C."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    ready: bool = False
    """Whether it has loaded the model."""
    job: Job | None = None
    table_before: Mark = None
    """What had the name of the job's table when it was given."""
    since: float = 0.0
    """When it was given."""


def run_jobs(jobs: Iterable[Job], work: Work, processes: int, tell: Tell | None = None) -> Iterator[Ended]:
    """Run all jobs, and say of each, in the order in which they end, what came of it.

    Of jobs that are made as they are asked for only those at work are held.

    Every process loads the model once, and has its share of the cores. One that dies (out of memory, a crash of the
    decoder) is replaced with a warning, and its input given to another, which continues where the dead one's notes say.

    Args:
        tell: is told every moment how far each job is that is worked on.

    Raises:
        EngineError: process after process dies before it has loaded the model.
    """
    pool = _Pool(jobs, work, processes, tell)
    try:
        yield from pool.run()
    except KeyboardInterrupt:
        at_work = pool.at_work()
        pool.leave()  # they were interrupted too, and write their notes
        if any(job.note.exists() for job in at_work):
            raise Interrupted from None
        raise
    except BaseException:
        pool.leave(at_once=True)
        raise
    if pool.deaths:
        log.warning("warning: %s", deaths_in_words(pool.deaths))


def deaths_in_words(count: int) -> str:
    """How many processes died, and what may be the reason."""
    many = f"{count} processes died and were" if count != 1 else "1 process died and was"
    return f"{many} replaced; if it was for want of memory, fewer at a time (-j) need less"


class _Pool:
    """The processes, and what each of them does."""

    def __init__(self, jobs: Iterable[Job], work: Work, processes: int, tell: Tell | None = None) -> None:
        self._tell = tell
        threads = work.predictor.threads or max(1, usable_cores() // processes)
        self._work = replace(work, predictor=replace(work.predictor, threads=threads))
        self._jobs = iter(jobs)
        self._waiting: deque[Job] = deque()
        """Those that were given before, and come first; and one that was asked for to see whether there is one."""
        self._tries: dict[Job, int] = {}
        """Of those that have not ended."""
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._device, self._model = "", ""
        self._stillborn = 0  # in a row
        self.deaths = 0
        self._waiting.extend(islice(self._jobs, processes))
        for _ in range(len(self._waiting)):
            self._start()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work, self._tell is not None), daemon=True)
        with _interrupts_held():  # until it can deal with them
            process.start()
        theirs.close()  # so that its end is noticed here
        self._workers.append(_Worker(process, ours))

    def at_work(self) -> list[Job]:
        """The jobs that were given and have not ended."""
        return list(self._tries)

    def run(self) -> Iterator[Ended]:
        """See :func:`run_jobs`."""
        while self._workers:
            ready = wait([worker.connection for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.connection in ready]:
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):
                    yield from self._died(worker)
                    continue
                if isinstance(answer, Told):
                    if self._tell is not None and worker.job is not None:
                        self._tell(worker.job, answer)
                    continue
                if isinstance(answer, Exception):  # no process can do anything then
                    raise answer
                if worker.job is not None:
                    self._tries.pop(worker.job, None)
                worker.job, worker.ready, self._stillborn = None, True, 0
                self._device, self._model = answer.device, answer.model
                given = self._give(worker)
                if isinstance(answer, Ended):
                    yield answer
                if not given:
                    yield from self._died(worker)
        _end(self._leaving)

    def _more(self) -> bool:
        """Whether there is a job that waits."""
        if not self._waiting:
            self._waiting.extend(islice(self._jobs, 1))
        return bool(self._waiting)

    def _give(self, worker: _Worker) -> bool:
        """Give a worker that waits its next job, or let it go; False where it is not there any more."""
        if not self._more():
            self._workers.remove(worker)
            with suppress(OSError):  # dead or not, it is not needed any more
                worker.connection.send(None)
            worker.connection.close()
            self._leaving.append(worker)
            return True
        job = self._waiting.popleft()
        worker.table_before, worker.since = mark_of(job.table), time.monotonic()
        try:
            worker.connection.send((job, job in self._tries))
        except OSError:  # killed between two inputs
            self._waiting.appendleft(job)
            return False
        worker.job, self._tries[job] = job, self._tries.get(job, 0) + 1
        return True

    def _died(self, worker: _Worker) -> Iterator[Ended]:
        """Replace a worker, and see to the job that it had."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        self.deaths += 1
        self._stillborn = 0 if worker.ready else self._stillborn + 1
        job, code = worker.job, worker.process.exitcode
        if self._stillborn >= TRIES * max(1, len(self._workers)):
            raise EngineError(
                f"process after process ends before it has loaded the model ({_cause(code)}); "
                "start fewer at a time with -j"
            )
        if job is None:
            log.warning("warning: a process died between two inputs (%s); another one takes its place", _cause(code))
        else:
            outcome = finished(job) if mark_of(job.table) not in (None, worker.table_before) else None
            if outcome is not None:
                log.warning("warning: %s: its process died when the table was written (%s)", job.source, _cause(code))
                job.note.unlink(missing_ok=True)
                yield self._ended(worker, job, outcome)
            elif self._tries[job] < TRIES:
                log.warning("warning: %s: its process died (%s); another one continues", job.source, _cause(code))
                self._waiting.appendleft(job)
            else:
                yield self._ended(worker, job, f"{job.name}: its process died {TRIES} times ({_cause(code)})")
        if self._more():
            self._start()

    def _ended(self, worker: _Worker, job: Job, outcome: Outcome | str) -> Ended:
        """Of a job whose process died over it, and that is not tried again."""
        self._tries.pop(job, None)
        seconds = time.monotonic() - worker.since
        return Ended(job, outcome, self._device, self._model, seconds, platform.node())

    def leave(self, *, at_once: bool = False) -> None:
        """End what is left of the processes; ``at_once`` those that do not know that it is over."""
        workers, self._workers, self._leaving = [*self._workers, *self._leaving], [], []
        for worker in workers:
            worker.connection.close()
        _end(workers, at_once=at_once)


def _end(workers: Sequence[_Worker], *, at_once: bool = False) -> None:
    """Wait for processes that are about to end, then end them."""
    for end in ("terminate", "kill") if at_once else (None, "terminate", "kill"):
        until = time.monotonic() + LEAVES_IN_S
        for worker in workers:
            if end is not None and worker.process.is_alive():
                getattr(worker.process, end)()
        for worker in workers:
            worker.process.join(max(0.0, until - time.monotonic()))


def _cause(code: int | None) -> str:
    """What an exit code says."""
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return f"{name}, as when memory runs out" if name == "SIGKILL" else name
    return f"signal {-code}"


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back, here for a moment, and in a process that is started meanwhile until it asks for it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # with the first process otherwise, and it lets Ctrl-C through again then
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attempt(
    predictor: Predictor, job: Job, work: Work, *, again: bool = False, watch: Watch = unwatched, raises: bool = False
) -> Ended:
    """Run a job; what came of it, or its error in one line.

    Args:
        again: another process died over this job: what is there by now is its.
        watch: see :func:`affectkit.runs.run.run_job`.
        raises: whether errors are raised.
    """
    outputs, patience_s, since = work.outputs, 0.0, time.monotonic()
    if again:
        outputs, patience_s = replace(outputs, overwrite=True, resume=job.video is None), PATIENCE_S
    outcome: Outcome | str
    try:
        outcome = run_anywhere(predictor, job, work, outputs, patience_s=patience_s, watch=watch)
        if again:
            outcome = replace(outcome, skipped=False)
    except Exception as error:  # whatever one input does, the rest finish
        if raises:
            raise
        log.debug("%s", job.name, exc_info=True)
        outcome = failure_line(job, error)
    finally:
        input_ended()
    seconds = time.monotonic() - since
    return Ended(job, outcome, predictor.device, predictor.spec.name, seconds, platform.node())


@dataclass(frozen=True, slots=True)
class _Ready:
    """A process has loaded the model."""

    device: str
    model: str


def _serve(connection: Connection, work: Work, tells: bool) -> None:
    """In a process: take jobs until there is none left; ``tells`` whether it says how far they are."""
    handler = logging.StreamHandler()
    handler.setFormatter(work.wording("affectkit: %(message)s"))
    logging.basicConfig(handlers=[handler])
    heed_signals()
    cv2.setNumThreads(1)  # as in the command predict
    try:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        try:
            predictor = Predictor.from_config(work.predictor)
        except (AffectKitError, ValueError) as error:
            connection.send(error)
            return
        with predictor, spare_files_kept(work.transfer.place):
            connection.send(_Ready(predictor.device, predictor.spec.name))
            watch = Telling(connection, work.asked.end_s) if tells else unwatched
            while (task := connection.recv()) is not None:
                job, again = task
                connection.send(attempt(predictor, job, work, again=again, watch=watch))
    except (KeyboardInterrupt, EOFError, OSError):
        pass  # the one who asks has gone, or Ctrl-C was pressed


def heed_signals() -> None:
    """In a process: SIGTERM and Ctrl-C unwind it, wherever it is.

    A signal that comes while something is finalised raises where nothing can be raised: Python would print a traceback
    and go on. It is raised once more, a moment later.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _interrupt)
    usual = sys.unraisablehook

    def lost(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, (SystemExit, KeyboardInterrupt)) or not hasattr(signal, "setitimer"):
            usual(what)
            return
        signal.signal(signal.SIGALRM, _leave if isinstance(what.exc_value, SystemExit) else _interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.02)

    sys.unraisablehook = lost


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: the notes are written now
    raise KeyboardInterrupt


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(143)  # unwinds, so that notes are kept and the rest is removed
