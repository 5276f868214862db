"""Many inputs on a Ray cluster; the only user of Ray. All machines see the inputs and outputs under the same paths."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers, and wait for the network

import ray
import ray.data

from affectkit import models
from affectkit.errors import AffectKitError, EngineError
from affectkit.options import PredictorConfig
from affectkit.predictor import Predictor
from affectkit.runs.job import finished
from affectkit.runs.pool import TRIES, Work, attempt, deaths_in_words
from affectkit.runs.run import Interrupted, Job, Outcome
from affectkit.sources.names import is_url

log = logging.getLogger(__name__)


def run_on_cluster(
    jobs: Sequence[Job], work: Work, address: str, workers: int | None
) -> Iterator[tuple[Job, Outcome | str, str]]:
    """Run all jobs through Ray Data, and say of each, in the order in which they end, what came of it.

    Every worker is a process with one core (and the GPU, for CUDA devices) that loads the model once. One that dies is
    replaced, and its input given to another, which continues from the notes of the dead one. An output appears under
    its name once, when it is complete.

    Args:
        address: of the cluster (``auto`` on one of its machines, ``ray://HOST:PORT``), or ``local`` for this machine.
        workers: how many; None: as many as the cluster has cores.

    Yields:
        the job; its outcome, or the error in one line; the device that it ran on.

    Raises:
        EngineError: the cluster cannot be reached.
    """
    deaths = 0
    begun_here = not ray.is_initialized()
    if begun_here:
        _connect(address)
    try:
        settings = ray.data.DataContext.get_current()
        settings.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        tries = ray.remote(num_cpus=0)(_Tries).remote()
        size = max(1, min(workers or _cores(), len(jobs)))
        rows = [{"number": k, "job": pickle.dumps(_anywhere(job))} for k, job in enumerate(jobs)]
        devices = 1.0 if work.predictor.device.startswith(("cuda", "tensorrt", "ort")) else None
        # Ray restarts workers that die, and gives them again what they had, without end: the tries are counted here.
        answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Worker,  # type: ignore[arg-type]  # Ray makes one in each process
            fn_constructor_args=(dataclasses.replace(work, predictor=_everywhere(work.predictor)), tries),
            # One input at a time: one that waits with a busy worker could be another one's.
            compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=devices,
        )
        for row in answers.iter_rows():
            outcome, device, died = pickle.loads(row["answer"])
            if isinstance(outcome, Exception):  # no worker can do anything then
                raise outcome
            if died:
                deaths += died
                log.warning(
                    "warning: %s: its worker died%s", jobs[row["number"]].source, "" if died == 1 else f" {died} times"
                )
            yield jobs[row["number"]], outcome, device
        if deaths:
            log.warning("warning: %s", deaths_in_words(deaths))
    except KeyboardInterrupt:
        if any(job.note.exists() for job in jobs):
            raise Interrupted from None
        raise
    finally:
        if begun_here:
            ray.shutdown()


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


def _cores() -> int:
    """Of the cluster."""
    facts: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(facts.get("CPU", 1))


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
    return Job(source, job.table.absolute(), video, sheet)


class _Tries:
    """In a process of its own: how often each input was started."""

    def __init__(self) -> None:
        self._started: dict[int, int] = {}

    def begin(self, number: int) -> int:
        """Note that an input is started; how often it was so far."""
        self._started[number] = self._started.get(number, 0) + 1
        return self._started[number]


class _Worker:
    """In a process of the cluster: takes inputs one after the other."""

    def __init__(self, work: Work, tries: Any) -> None:
        self._work, self._tries = work, tries
        cv2.setNumThreads(1)  # as in the command predict
        self._predictor: Predictor | None = None
        self._lock = threading.Lock()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The answer to one input; never raises, so that nothing is tried again but what a death cut short."""
        job: Job = pickle.loads(row["job"])
        with self._lock:
            try:
                self._predictor = self._predictor or Predictor.from_config(self._work.predictor)
            except (AffectKitError, ValueError) as error:
                return {"number": row["number"], "answer": pickle.dumps((error, "", 0))}
            tries = int(ray.get(self._tries.begin.remote(row["number"])))
            if tries > TRIES:
                outcome: Outcome | str = f"{job.source}: its worker died {TRIES} times"
            elif tries > 1 and (made := self._made(job)) is not None:
                outcome = made
            else:
                outcome = attempt(self._predictor, job, self._work, again=tries > 1)
        return {"number": row["number"], "answer": pickle.dumps((outcome, self._predictor.device, tries - 1))}

    def _made(self, job: Job) -> Outcome | None:
        """What a worker that died after its table was complete came to; there was none before the run."""
        if self._work.outputs.overwrite or not job.table.exists():
            return None
        job.note.unlink(missing_ok=True)
        return finished(job)
