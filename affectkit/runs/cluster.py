"""Many inputs on a Ray cluster; the only user of Ray. All machines see the inputs and outputs under the same paths."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import platform
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers, and wait for the network
# Of a worker that dies it says so in a page of advice, on standard output; here that is one line for its input. What it
# cannot mend by itself comes as an exception.
os.environ.setdefault(
    "RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed while executing a task|infinite retries remaining"
)

import ray
import ray.data

from affectkit import models
from affectkit.errors import AffectKitError, EngineError
from affectkit.options import PredictorConfig
from affectkit.predictor import Predictor
from affectkit.runs.gpus import Measured, measured_here, room_for
from affectkit.runs.job import Ended, Job
from affectkit.runs.pool import TRIES, Work, attempt, deaths_in_words
from affectkit.runs.run import Interrupted
from affectkit.sources.names import is_url

log = logging.getLogger(__name__)

BLOCK = 16
"""Most inputs that a worker is given at once."""


def run_on_cluster(jobs: Iterable[Job], work: Work, address: str, workers: int | None) -> Iterator[Ended]:
    """Run all jobs through Ray Data, and say of each, in the order in which they end, what came of it.

    Every worker is a process with one core that loads the model once; on GPUs it has the share of one that its network
    needs (:mod:`affectkit.runs.gpus`). Inputs go to the workers in blocks, so that a hundred thousand of them are a few
    thousand tasks. A worker that dies is replaced, and its block given to another: what is done in it stays done, the
    input that it was at is continued from the notes of the dead one. An output appears under its name once, when it is
    complete.

    Args:
        address: of the cluster (``auto`` on one of its machines, ``ray://HOST:PORT``), or ``local`` for this machine.
        workers: how many; None: as many as the cluster has room for, and more as it grows.

    Raises:
        EngineError: the cluster cannot be reached, or has no worker that can load the model, or worker after worker
            dies of it.
    """
    listed, ended = list(jobs), set[int]()
    begun_here = not ray.is_initialized()
    if begun_here:
        _connect(address)
    try:
        tries: Any = ray.remote(num_cpus=0)(_Tries).remote()
        deaths = 0
        for number, found, died in _answers(listed, work, workers, tries):
            if number in ended:  # of a block that was given twice
                continue
            ended.add(number)
            tries.forget.remote(number)
            if died:
                deaths += died
                log.warning("warning: %s: its worker died%s", found.job.name, "" if died == 1 else f" {died} times")
            yield dataclasses.replace(found, job=listed[number])
        if deaths:
            log.warning("warning: %s", deaths_in_words(deaths))
        if len(ended) < len(listed):
            raise EngineError(f"--ray {address}: the cluster gave no answer for {len(listed) - len(ended)} inputs")
    except KeyboardInterrupt:
        if any(job.note.exists() for number, job in enumerate(listed) if number not in ended):
            raise Interrupted from None
        raise
    finally:
        if begun_here:
            ray.shutdown()


def _answers(jobs: Sequence[Job], work: Work, workers: int | None, tries: Any) -> Iterator[tuple[int, Ended, int]]:
    """The number of each job, what became of it, and how many workers died over it."""
    settings = ray.data.DataContext.get_current()
    settings.enable_progress_bars = False
    # Every answer is a block of its own, so that it is told when it is there, and not with the last of its block.
    settings.target_max_block_size = 1
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    work = dataclasses.replace(work, predictor=_everywhere(work.predictor))
    room = room_for(work.predictor, ray.cluster_resources(), _measured)  # type: ignore[no-untyped-call]
    if room.gpus:
        work = dataclasses.replace(work, predictor=dataclasses.replace(work.predictor, device=room.device))
    size = max(1, min(workers or room.workers, len(jobs)))
    blocks = -(-len(jobs) // max(1, min(BLOCK, len(jobs) // (4 * size))))
    rows = [{"number": k, "job": pickle.dumps(_anywhere(job))} for k, job in enumerate(jobs)]
    # A cluster that grows has room for more of them later.
    most = size if workers is not None else max(size, blocks)
    # Ray restarts workers that die, and gives them again what they had, without end: the tries are counted here.
    answers = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Worker,  # Ray makes one in each process
        batch_size=None,
        fn_constructor_args=(work, tries),
        # One block at a time: one that waits with a busy worker could be another one's.
        compute=ray.data.ActorPoolStrategy(min_size=size, max_size=most, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        num_gpus=room.gpus or None,
    )
    for row in answers.iter_rows():
        outcome, died = pickle.loads(row["answer"])
        if isinstance(outcome, Exception):  # no worker can do anything then
            raise outcome
        yield int(row["number"]), outcome, died


def _connect(address: str) -> None:
    """Join a cluster, or begin one on this machine."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address == "local":
            ray.init(address="local", include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except Exception as error:  # plain ones too, as where its processes do not start in time on a busy machine
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        mend = "try again, or leave out --ray: -j needs no Ray" if address == "local" else "start one with: ray start"
        raise EngineError(f"--ray {address}: no cluster can be reached ({reason}); {mend}") from error


def _measured(config: PredictorConfig) -> Measured:
    """A worker, tried out on a GPU of the cluster that it has for itself."""
    found: Measured = ray.get(ray.remote(num_cpus=1, num_gpus=1)(measured_here).remote(config))
    return found


def _everywhere(config: PredictorConfig) -> PredictorConfig:
    """The same on every machine: whole paths, and one precision for all.

    The precision is what this machine would choose: tables of one run, and the halves of an input whose worker died,
    come from one network.
    """
    model, detector, precision = os.fspath(config.model), config.detector, config.precision
    if model not in models.embedded_names():
        model = os.path.abspath(model)
    if isinstance(detector, str):
        kind, _, where = detector.partition(":")
        if where and Path(where).is_dir():
            detector = f"{kind}:{os.path.abspath(where)}"
    if precision == "auto" and not config.temporal:
        choice = models.resolve(model, precision="auto", device=config.device)
        model, precision = choice.name, choice.spec.precision
    return dataclasses.replace(config, model=model, detector=detector, precision=precision, threads=config.threads or 1)


def _anywhere(job: Job) -> Job:
    """The same job, whatever folder a worker runs in."""
    source = job.source if is_url(job.source) else os.path.abspath(job.source)
    video, sheet = (None if path is None else path.absolute() for path in (job.video, job.sheet))
    return dataclasses.replace(job, source=source, table=job.table.absolute(), video=video, sheet=sheet)


class _Tries:
    """In a process of its own: how often each input was started, and what came of those whose block is not over."""

    def __init__(self) -> None:
        self._started: dict[int, int] = {}
        self._answers: dict[int, bytes] = {}
        self._loading: dict[str, int] = {}

    def loads(self, worker: str) -> int:
        """Note that a worker loads the model; how many times since it last had done so. Ray starts one that
        died under the same name.
        """
        self._loading[worker] = self._loading.get(worker, 0) + 1
        return self._loading[worker]

    def loaded(self, worker: str) -> None:
        """It has done so."""
        self._loading.pop(worker, None)

    def begin(self, number: int) -> tuple[int, bytes | None]:
        """Note that an input is started; how often it was so far, or what came of it already."""
        if number in self._answers:
            return self._started.get(number, 1), self._answers[number]
        self._started[number] = self._started.get(number, 0) + 1
        return self._started[number], None

    def end(self, number: int, answer: bytes) -> None:
        """What came of an input."""
        self._answers[number] = answer

    def forget(self, number: int) -> None:
        """It was told."""
        self._answers[number] = b""
        self._started.pop(number, None)


class _Worker:
    """In a process of the cluster: takes inputs one after the other."""

    def __init__(self, work: Work, tries: Any) -> None:
        self._work, self._tries = work, tries
        cv2.setNumThreads(1)  # as in the command predict
        self._predictor: Predictor | None = None
        self._lock = threading.Lock()

    def __call__(self, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The answers to a block of inputs; never raises, so that nothing is tried again but what a death cut short."""
        for number, packed in zip(block["number"], block["job"], strict=True):
            with self._lock:
                answer = self._answer(int(number), pickle.loads(packed))
            yield {"number": np.array([number]), "answer": np.array([answer], object)}

    def _loaded(self) -> Predictor:
        """The model, which is loaded with the first input.

        Raises:
            EngineError: workers die of it.
        """
        if self._predictor is None:
            name = ray.get_runtime_context().get_actor_id() or ""
            if ray.get(self._tries.loads.remote(name)) > TRIES:
                raise EngineError(
                    "worker after worker dies before it has loaded the model; fewer at a time (-j) need less memory"
                )
            self._predictor = Predictor.from_config(self._work.predictor)
            ray.get(self._tries.loaded.remote(name))
        return self._predictor

    def _answer(self, number: int, job: Job) -> bytes:
        try:
            predictor = self._loaded()
        except (AffectKitError, ValueError) as error:
            return pickle.dumps((error, 0))
        tries, answer = ray.get(self._tries.begin.remote(number))
        if answer is not None:  # the worker died later in this block
            return bytes(answer) or pickle.dumps((_told_already(job), 0))
        if tries > TRIES:
            ended = Ended(job, f"{job.name}: its worker died {TRIES} times", host=platform.node())
        else:
            ended = attempt(predictor, job, self._work, again=tries > 1)
        answer = pickle.dumps((ended, tries - 1))
        ray.get(self._tries.end.remote(number, answer))
        return answer


def _told_already(job: Job) -> Ended:
    return Ended(job, f"{job.name}: was told already")
