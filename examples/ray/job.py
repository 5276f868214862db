"""A Ray job: actors that each keep a predictor, a file at a time, and a summary of all of them at the end.

    ray job submit --working-dir examples/ray -- python job.py /shared/recordings/*.mp4 --output-dir /shared/tables
    python job.py clip.mp4 --output-dir tables      # a cluster of this machine alone

All machines need affectkit and the same files. If tables are all you want, ``affectkit predict ... --ray auto`` does
that without a script, resumes, and keeps one failure to itself; this shows where code of your own goes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ray
from ray.util import ActorPool

from affectkit import AffectKitError, Predictor


@ray.remote(num_cpus=1)
class Worker:
    """One process with one predictor, for as long as there are files."""

    def __init__(self) -> None:
        self._predictor = Predictor(threads=1)

    def table_of(self, path: str, target: str) -> tuple[str, str, float | None]:
        """Write the table; the file, what went wrong (empty: nothing), and the mean of AU12 of the face seen most."""
        try:
            table = self._predictor.predict(path)
            table.save(target, overwrite=True)
        except AffectKitError as error:
            return path, error.reason, None
        groups = [group for group in table.summary() if group.frames]
        most = max(groups, key=lambda group: group.frames, default=None)
        return path, "", None if most is None else most.measures["AU12"].mean


def main() -> None:
    """Give the files to the workers, and say what came of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=0, help="0: as many as the cluster has cores")
    asked = parser.parse_args()
    asked.output_dir.mkdir(parents=True, exist_ok=True)
    ray.init(log_to_driver=False)
    workers = asked.workers or int(ray.cluster_resources()["CPU"])
    pool = ActorPool([Worker.remote() for _ in range(min(workers, len(asked.files)))])
    todo = [
        (str(Path(file).resolve()), str((asked.output_dir / f"{Path(file).stem}.csv").resolve()))
        for file in asked.files
    ]
    failed = 0
    for path, problem, smile in pool.map_unordered(lambda worker, job: worker.table_of.remote(*job), todo):
        failed += bool(problem)
        print(f"{Path(path).name}: {problem or ('no face' if smile is None else f'AU12 {smile:.2f}')}")
    ray.shutdown()
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
