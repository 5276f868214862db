"""How many workers a cluster has room for, and which share of a GPU each of them needs."""

from __future__ import annotations

import logging
import math
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from affectkit.options import PredictorConfig

log = logging.getLogger(__name__)

MARGIN = 1.25
"""Of the memory that was measured: larger batches and other pictures come."""

ON_GPUS = ("cuda", "tensorrt", "ort-tensorrt")


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has for the workers of a run."""

    workers: int
    gpus: float = 0.0
    """Of one worker: a share of one, as Ray counts them; 0: it runs on the CPU."""
    device: str = "cpu"
    """In a worker."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one worker came to that had a GPU for itself."""

    device: str
    """That the predictor chose."""
    needs_mib: float
    """More of the GPU's memory than before; NaN: nothing tells."""
    has_mib: float


def in_worker(device: str) -> str:
    """A device's name where the cluster chooses which GPU a process sees, and the first is the only one."""
    kind, _, number = device.partition(":")
    if number and kind in ON_GPUS:
        log.warning("%s: on a cluster Ray says which GPU a worker has; taken as %s", device, kind)
        return kind
    return device


def share_of(measured: Measured, cpus: float, gpus: float) -> float:
    """Of a GPU, for each worker: by its memory, and no smaller than that the cores of the cluster go round.

    Where nothing tells how much memory it needs it is a whole one.
    """
    if not (measured.needs_mib > 0 and measured.has_mib > 0):
        return 1.0
    most = math.floor(measured.has_mib / (MARGIN * measured.needs_mib))
    by_cores = max(1, math.floor(cpus / gpus)) if gpus else 1
    # Rounded down: Ray counts in ten-thousandths, and n shares have to fit into one.
    return math.floor(10_000 / max(1, min(most, by_cores))) / 10_000


def room_for(
    config: PredictorConfig, facts: Mapping[str, float], measure: Callable[[PredictorConfig], Measured]
) -> Room:
    """What a cluster has for a run.

    Args:
        facts: the cluster's ``CPU`` and ``GPU``.
        measure: tries a worker out on a GPU of the cluster.
    """
    cpus, gpus = facts.get("CPU", 1.0), facts.get("GPU", 0.0)
    device = in_worker(config.device)
    wants = device.startswith(ON_GPUS) or (device == "auto" and gpus > 0)
    if not wants:
        return Room(max(1, int(cpus)), device=device)
    measured = measure(replace(config, device=device))
    if measured.device == "cpu":  # what auto came to: the build of ONNX Runtime has no CUDA
        return Room(max(1, int(cpus)))
    share = share_of(measured, cpus, gpus)
    return Room(max(1, min(int(cpus), math.floor(max(gpus, 1.0) / share + 1e-6))), share, device)


def measured_here(config: PredictorConfig) -> Measured:
    """What a predictor needs of the GPU that this process sees, measured by ``nvidia-smi`` before and after."""
    from affectkit.predictor import Predictor

    before, _ = _memory_mib()
    with Predictor.from_config(config) as predictor:
        predictor.warm_up()
        after, has = _memory_mib()
        return Measured(predictor.device, after - before, has)


def _memory_mib() -> tuple[float, float]:
    """Used and whole, of the first GPU that is seen; NaN: nothing tells."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
    command = ["nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(
            [*command, *(["-i", seen] if seen else [])], capture_output=True, text=True, timeout=30, check=True
        )
        used, has = told.stdout.splitlines()[0].split(",")
        return float(used), float(has)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return math.nan, math.nan
