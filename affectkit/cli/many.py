"""The inputs of ``affectkit predict``, from the command line to the last of them, and what is told of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from affectkit.cli.common import EXIT_SOME_FAILED, late, say
from affectkit.cli.many_progress import ManyWatch
from affectkit.cli.postprocess import finish
from affectkit.cli.progress import Watch
from affectkit.cli.summary import summary, warn
from affectkit.cli.wording import in_options

if TYPE_CHECKING:
    from affectkit.runs.inputs import Shard
    from affectkit.runs.job import Ended, Job
    from affectkit.runs.made import Facts
    from affectkit.runs.pool import Work
    from affectkit.runs.record import Totals

TELLS_EVERY_S = 60.0
"""How often a long run says how far it is where no terminal shows it."""


class Jobs(Protocol):
    """What is to be done, which can be gone through more than once."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __iter__(self) -> Iterator[Job]:
        """One after the other."""
        ...

    def folders(self) -> Iterator[Path]:
        """Those that are to be made for them."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line asks for."""

    jobs: Jobs
    several: bool
    """Whether there may be any number of inputs; else there is one, and its errors are the command's."""
    record: Path
    """Where ``run.jsonl`` lies, for several."""
    record_url: str | None
    """Where it goes, where that is a store."""
    decides: Facts
    """The options that decide what comes out, for the record."""
    shard: Shard | None = None
    retried: bool = False
    """Whether it is what failed in a run."""


def asked_for(named: Sequence[str], given: Mapping[str, Any], work: Work) -> Asked:
    """What a command line names.

    Raises:
        AffectKitError: a list, folder or run cannot be read.
        click.UsageError: no input, or options that do not go together.
        ValueError: there is no such shard.
    """
    from affectkit.runs.inputs import find_inputs, parse_shard
    from affectkit.runs.output_paths import Places, Plan, is_folder
    from affectkit.runs.record import record_name
    from affectkit.runs.schemes import is_store

    shard = None if given["shard"] is None else parse_shard(given["shard"])
    output = output_dir_of(given) or given["output"]
    places = Places(
        output, given["render"], given["contact_sheet"], given["keep_tree"], f".{given['output_type'] or 'csv'}"
    )
    if given["retry_failed"] is not None:
        if named or given["lists"] or places.named() or given["keep_tree"]:
            raise click.UsageError("--retry-failed has its inputs and outputs from the run; leave out all others")
        return _retried(given["retry_failed"], work, shard)
    if not named and not given["lists"]:
        raise click.UsageError("no INPUT; name a video, a folder, or a list of them with --inputs")
    found = find_inputs(named, given["lists"], recursive=given["recursive"], remote=_listed)
    _tell_which_model(str(work.predictor.model))
    if found.left_out:
        say(f"left out of the folders: {found.told()}")
    several = found.several or shard is not None
    inputs = found.inputs if shard is None else [one for one in found.inputs if shard.holds(one.name)]
    if any(is_store(one) for _, one in places.named()) and (given["min_track_s"] or given["programs"]):
        raise click.UsageError("--min-track and --export read the table again, which has to be on this machine")
    plan = Plan(inputs, places, work.transfer, several=several)
    if given["output"] is not None and is_folder(given["output"]):
        say(f"-o {output}: for a folder give --output-dir {output.rstrip('/')}; -o will be a file only")
    base = output if output is not None and is_store(output) else None
    folder = Path(output or "") if base is None else work.transfer.staging(base)
    name = record_name(shard)
    return Asked(plan, several, folder / name, base and base + name, _decides(work), shard)


def _tell_which_model(name: str) -> None:
    """Say so where a name is an embedded model's and a folder's at once."""
    from affectkit.models.names import SPEC_NAME, embedded_names

    if name in embedded_names() and (Path(name) / SPEC_NAME).is_file():
        say(f"--model {name}: the embedded model; the folder of this name is ./{name}")


def output_dir_of(given: Mapping[str, Any]) -> str | None:
    """The folder for the tables, with a slash at its end."""
    folder: str | None = given["output_dir"]
    return None if folder is None else folder.rstrip("/") + "/"


def _listed(base: str, recursive: bool) -> Iterator[str]:
    """Inputs in a folder of a store, by their whole names."""
    from affectkit.runs.brought import stores

    return (base + name for name in stores().below(base, recursive))


@dataclass(frozen=True, slots=True)
class _Again:
    """Jobs of a run that failed."""

    jobs: list[Job]

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def folders(self) -> Iterator[Path]:
        """Those of the tables, which may be gone."""
        return iter(dict.fromkeys(job.table.parent for job in self.jobs))


def _retried(run: str, work: Work, shard: Shard | None) -> Asked:
    """The inputs that failed in a run.

    Raises:
        OutputError: other options than the run's.
        SourceError: there is no such run.
    """
    from affectkit.runs.job import Job
    from affectkit.runs.record import SUFFIX, record_name
    from affectkit.runs.record_reading import failures_of, other_options
    from affectkit.runs.schemes import is_store

    decides, jobs = _decides(work), []
    other_options(run, decides, work.transfer)
    folder = run.rpartition("/")[0] if run.endswith(SUFFIX) else run.rstrip("/")
    base = f"{folder}/" if is_store(run) else None
    local = Path(folder) if base is None else work.transfer.staging(base)
    for line in failures_of(run, work.transfer):
        if line.get("secret"):
            say(f"{line['input']}: its address held a password or token, which no run.jsonl keeps; name it again")
        elif shard is None or shard.holds(line["input"]):
            table, video, sheet = str(line["table"]), line.get("video"), line.get("sheet")
            at_1 = None if base is None else base + table
            (shown, at_2), (people, at_3) = (_place(name, local, work) for name in (video, sheet))
            jobs.append(Job(line["input"], local / table, shown, people, (at_1, at_2, at_3)))
    name = record_name(shard)
    return Asked(_Again(jobs), True, local / name, base and base + name, decides, shard, retried=True)


def _place(name: str | None, folder: Path, work: Work) -> tuple[Path | None, str | None]:
    """Where an output lies here, and its URL in a store, as a record has it."""
    from affectkit.runs.schemes import is_store

    if name is None or not is_store(name):
        return None if name is None else folder / name, None
    base, _, last = name.rpartition("/")
    return work.transfer.staging(f"{base}/") / last, name


def _decides(work: Work) -> Facts:
    """The options that decide what comes out, as they were given."""
    from affectkit.runs.resume_notes import made_with

    config = work.predictor
    names = ("detect_every", "min_face_px", "temporal", "precision", "prior", "min_quality")
    asked: Facts = {"model": str(config.model), "detector": str(config.detector)}
    asked |= {name: getattr(config, name) for name in names}
    asked["au_thresholds"] = None if config.au_thresholds is None else dict(config.au_thresholds)
    return {**asked, **made_with(work.asked, work.outputs, work.opening)}


@dataclass(frozen=True, slots=True)
class Runner:
    """What runs the jobs: this process, several, or a cluster."""

    work: Work
    processes: int
    ray: str | None
    quiet: bool
    debug: bool

    def run(self, jobs: Jobs, *, several: bool) -> Iterator[Ended]:
        """What became of each, as they end. The error of a single one is raised."""
        from affectkit.runs.pool import run_jobs

        if self.ray is not None:
            cluster = late("affectkit.runs.cluster", "ray", "--ray")
            yield from cluster.run_on_cluster(jobs, self.work, self.ray, self.processes if self.processes > 1 else None)
        elif self.processes > 1 and len(jobs) > 1:
            with ManyWatch(len(jobs), quiet=self.quiet) as watch:
                for ended in run_jobs(jobs, self.work, self.processes, None if self.quiet else watch.told):
                    read = 0 if isinstance(ended.outcome, str) else ended.outcome.read
                    watch.ended(ended.job, failed=ended.status == "failed", frames=read)
                    yield ended
        else:
            yield from self._one_by_one(jobs, several=several)

    def _one_by_one(self, jobs: Jobs, *, several: bool) -> Iterator[Ended]:
        from affectkit.outputs.spare_files import spare_files_kept
        from affectkit.predictor import Predictor
        from affectkit.runs.pool import attempt

        predictor = Predictor.from_config(self.work.predictor)
        shows = not self.quiet and sys.stderr.isatty()
        with predictor, spare_files_kept(self.work.transfer.place):
            for job in jobs:
                if not shows:
                    yield attempt(predictor, job, self.work, raises=not several)
                    continue
                with Watch(job.name, end_s=self.work.asked.end_s) as watch:
                    ended = attempt(predictor, job, self.work, watch=watch, raises=not several)
                yield ended


def run_all(asked: Asked, runner: Runner, given: Mapping[str, Any]) -> None:
    """Run all jobs, record and tell what became of each; exit with a code where some failed.

    Raises:
        AffectKitError: of the only job, or where no job can run.
        OutputError: the record cannot be written.
    """
    from affectkit.runs.record import Record

    record = Record(asked.record, len(asked.jobs), asked.record_url)
    if asked.several:
        record.begin(shard=asked.shard, given=asked.decides, retried=asked.retried)
    beside = runner.processes > 1 and runner.ray is None  # where a line of its own tells how far it is
    teller = _Teller(record.totals, given["programs"], quiet=runner.quiet, sums=not beside)
    try:
        for ended in runner.run(asked.jobs, several=asked.several):
            ended = _after(ended, runner, given, several=asked.several)
            if isinstance(ended.outcome, str):
                ended = replace(ended, outcome=in_options(ended.outcome))
            if asked.several:
                record.add(ended)
            teller.tell(ended)
    except BaseException:
        if asked.several:
            record.leave()
        raise
    if asked.several:
        record.end()
    if record.totals.failed:
        where = asked.record_url or asked.record
        say(f"{record.totals.failed} of {len(asked.jobs)} inputs failed; why: affectkit runs status {where}")
        sys.exit(EXIT_SOME_FAILED)


def _after(ended: Ended, runner: Runner, given: Mapping[str, Any], *, several: bool) -> Ended:
    """What follows a table that was written, or was there; where that fails, its input did."""
    if isinstance(ended.outcome, str) or not (given["min_track_s"] or given["programs"]):
        return ended
    from affectkit.errors import AffectKitError
    from affectkit.runs.job import failure_line

    outputs = runner.work.outputs
    overwrite = outputs.overwrite or outputs.resume or ended.outcome.skipped
    try:
        finish(ended.job, given["min_track_s"], given["programs"], overwrite=overwrite)
    except (AffectKitError, ValueError) as error:
        if not several:
            raise
        return replace(ended, outcome=failure_line(ended.job, error))
    return ended


class _Teller:
    """Says what became of each input, and from time to time how far the run is."""

    def __init__(self, totals: Totals, programs: Sequence[str], *, quiet: bool, sums: bool) -> None:
        self._totals, self._programs, self._quiet, self._sums = totals, programs, quiet, sums and not quiet
        self._since = self._told = time.monotonic()

    def tell(self, ended: Ended) -> None:
        """One more has ended."""
        outcome = ended.outcome
        if isinstance(outcome, str):
            say(f"error: {outcome}")
        elif outcome.skipped:
            if not self._quiet:
                say(f"{ended.job.outputs[0]}: is there already, made of the same input in the same way")
        else:
            warn(ended.job, outcome)
            if not self._quiet:
                click.echo(summary(ended.job, outcome, ended.ran, self._programs), err=True)
        if self._sums and time.monotonic() - self._told > TELLS_EVERY_S:
            self._told = time.monotonic()
            say(self._totals.told(self._told - self._since))
