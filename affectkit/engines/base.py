"""What every backend promises."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from affectkit.types import Array


class Engine(Protocol):
    """One loaded network on one device; ``run`` may be called in several threads at the same time."""

    @property
    def device(self) -> str:
        """Where it runs: ``cpu``, ``cuda:0`` ...; what was obtained, never what was hoped for."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute all outputs.

        Args:
            inputs: by input name; C-contiguous or not, of the network's dtype and shape.

        Returns:
            by output name; new arrays that belong to the caller.

        Raises:
            EngineError: an input is missing, unknown, or of another dtype or shape.
        """
        ...

    def close(self) -> None:
        """Free the device's memory; the engine cannot be used after. Closing twice is fine."""
        ...


def usable_cores() -> int:
    """CPU cores that this process may use: all, or those it is bound to (`taskset`, `docker --cpuset-cpus`)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
