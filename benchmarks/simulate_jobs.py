"""Ten million videos on paper: shards against a common queue, with machines that die and inputs that take long.

    python benchmarks/simulate_jobs.py [--videos 10000000] [--workers 2000]

Times of inputs are drawn from a log-normal distribution with a mean of --seconds; a share of them takes fifty times as
long (a long recording, a slow server). Workers die now and then, and are back after some minutes; what they were at is
done again from the beginning, as where its notes were on a disk that is gone. For every worker the sum of what it
is given counts: for shards that is exact, for the queue it is a list schedule, with the deaths added afterwards.
"""

from __future__ import annotations

import argparse
import heapq

import numpy as np


def main() -> None:
    """Draw, and print the table of docs/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2_000, help="processes of one core")
    parser.add_argument("--seconds", type=float, default=30.0, help="mean time of a video on one core")
    parser.add_argument("--long", type=float, default=0.001, help="share of inputs that take fifty times as long")
    parser.add_argument("--deaths-a-day", type=float, default=1.0, help="of each worker")
    parser.add_argument("--back-s", type=float, default=300.0, help="until a dead worker is replaced")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    spread = 1.0
    seconds = rng.lognormal(np.log(given.seconds) - spread**2 / 2, spread, given.videos).astype(np.float32)
    seconds[rng.random(given.videos) < given.long] *= 50
    ideal_s = float(seconds.sum(dtype=np.float64)) / given.workers
    print(f"{given.videos} videos, {given.workers} workers; {ideal_s / 3600:.2f} h if nothing were lost")
    print(f"  the longest input alone takes {seconds.max() / 3600:.1f} h")
    owner = rng.integers(0, given.workers, given.videos)  # as a hash of the name does it
    shards = np.bincount(owner, weights=seconds, minlength=given.workers)
    print(f"  a shard for each worker      {_told(shards + _lost(rng, shards, given), ideal_s)}")
    few = max(1, given.workers // 16)
    for name, ordered in (("as listed", np.arange(given.videos)), ("longest first", np.argsort(-seconds))):
        each = np.split(ordered[np.argsort(owner[ordered] % few, kind="stable")], _ends(owner % few, few))
        loads = np.concatenate([_queue(seconds[one], 16) for one in each])
        print(f"  16 in a shard, {name:13} {_told(loads + _lost(rng, loads, given), ideal_s)}")
        loads = _queue(seconds[ordered], given.workers)
        print(f"  one queue, {name:17} {_told(loads + _lost(rng, loads, given), ideal_s)}")
    lost = float(_lost(rng, np.full(given.workers, ideal_s), given).sum()) / given.workers
    print(f"  of it: deaths and what they cost, a worker on average {lost / 60:.1f} min")


def _lost(rng: np.random.Generator, loads: np.ndarray, given: argparse.Namespace) -> np.ndarray:
    """Seconds that each worker loses by dying: until it is back, and half an input that is done again."""
    deaths = rng.poisson(loads / 86400 * given.deaths_a_day)
    return deaths * (given.back_s + given.seconds / 2)


def _ends(owner: np.ndarray, shards: int) -> np.ndarray:
    """Where the inputs of each shard but the last end, sorted by shard."""
    return np.cumsum(np.bincount(owner, minlength=shards))[:-1]


def _queue(seconds: np.ndarray, workers: int) -> np.ndarray:
    """Whoever is free takes the next input."""
    loads = [0.0] * workers
    for one in seconds.tolist():
        heapq.heapreplace(loads, loads[0] + one)
    return np.array(loads)


def _told(loads: np.ndarray, ideal_s: float) -> str:
    half = np.median(loads)
    return (
        f"half of them end after {half / 3600:6.2f} h, the last after {loads.max() / 3600:6.2f} h: "
        f"{100 * (loads.max() / ideal_s - 1):5.1f} % over"
    )


if __name__ == "__main__":
    main()
