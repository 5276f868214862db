"""A run's folder as a reader sees it: also while it is being written, and what older versions left out.

``run.json`` says what the run is, ``progress.json`` how far it is, ``metrics.jsonl`` what each epoch reached; any of
them may be missing, or cut off in the middle of a line.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from affectkit.errors import ModelError
from affectkit.train.journal import METRICS_NAME, read_metrics
from affectkit.types import LabelSet

RUN_NAME = "run.json"
PROGRESS_NAME = "progress.json"
DEV_NAME = "dev.npz"
CHECKPOINT_NAME = "best.pt"
_MARKS = (RUN_NAME, PROGRESS_NAME, METRICS_NAME, CHECKPOINT_NAME, "last.pt")

State = Literal["running", "finished", "interrupted", "failed", "lost", "elsewhere", "unknown"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What was found in a run's folder; empty where there was nothing."""

    path: Path
    run: Mapping[str, Any]
    """``run.json``; of an older run only its ``config``, as its checkpoint holds it."""
    progress: Mapping[str, Any]
    """``progress.json``."""
    lines: Sequence[Mapping[str, Any]]
    """``metrics.jsonl``, a line an epoch; of an average the one measurement in its checkpoint."""

    @property
    def name(self) -> str:
        """The folder's name, with that of the folder around it for one of several students."""
        whole = self.path.resolve()
        return f"{whole.parent.name}/{whole.name}" if whole.name.startswith("student_") else whole.name

    @property
    def config(self) -> Mapping[str, Any]:
        """``dataclasses.asdict`` of its TrainConfig."""
        return _mapping(self.run.get("config"))

    @property
    def network(self) -> Mapping[str, Any]:
        """The part of it that describes the network."""
        return _mapping(self.config.get("network"))

    @property
    def kind(self) -> str:
        """teacher, student, temporal, synthetic or average; "run" where nothing says so."""
        config = self.config
        if isinstance(self.run.get("kind"), str):
            return str(self.run["kind"])
        if not config:
            return "run"
        return "temporal" if config.get("sequence_length") else "student" if config.get("teachers") else "teacher"

    @property
    def labels(self) -> LabelSet | None:
        """What its network answers; None where nothing says so."""
        stored = _mapping(self.network.get("labels"))
        if not stored:
            return LabelSet() if self.config else None  # older runs know only the usual labels
        try:
            return LabelSet(
                tuple(stored.get("expressions", ())),
                tuple(stored.get("action_units", ())),
                bool(stored.get("valence_arousal", False)),
            )
        except (TypeError, ValueError):
            return None

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The line of the epoch whose weights are kept; None before the first."""
        scored = [line for line in self.lines if isinstance(line.get("score"), int | float)]
        return max(scored, key=lambda line: float(line["score"]), default=None)

    def faces(self, part: Literal["train", "dev"]) -> int | None:
        """Number of faces of a part; None where nothing says so."""
        count = _mapping(self.run.get("faces")).get(part)
        if count is None and part == "dev" and self.best is not None:
            count = _mapping(self.best.get("dev")).get("count")
        return int(count) if isinstance(count, int | float) else None

    def label_counts(self, part: Literal["train", "dev"]) -> dict[str, int]:
        """Faces with a label, by task."""
        counts = _mapping(_mapping(self.run.get("label_counts")).get(part))
        return {str(task): int(count) for task, count in counts.items() if isinstance(count, int | float)}

    def life(self) -> tuple[State, str]:
        """Whether it runs, as one word and as a sentence."""
        state, message = self.progress.get("state"), str(self.progress.get("message") or "")
        if state == "running":
            return self._running()
        if state in ("finished", "interrupted", "failed"):
            return state, f"{state}: {message}" if message and message != state else str(state)
        if not self.progress:
            return "unknown", f"no {PROGRESS_NAME}: written by an older affectkit, which does not say whether it runs"
        return "unknown", f"state {state!r}"

    def _running(self) -> tuple[State, str]:
        pid, host = self.progress.get("pid"), self.progress.get("host")
        if host and host not in (socket.gethostname(), platform.node()):
            return "elsewhere", f"running on {host} when last heard of; this machine cannot look for its process"
        alive = process_lives(pid, updated_s=seconds(self.progress.get("updated"))) if isinstance(pid, int) else None
        if alive is None:
            return "elsewhere", "running when last heard of; whether its process lives cannot be told here"
        if alive:
            return "running", f"running (process {pid})"
        doubt = "" if host else "; it may run on another machine that writes to this folder"
        return "lost", f"no sign of life: its process {pid} is gone{doubt}"


def read_run(path: Path) -> RunFolder:
    """Read a run's folder, whatever of it there is.

    Raises:
        ModelError: the folder is no run.
    """
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder; give the output folder of an `affectkit train` command")
    if not any((path / name).exists() for name in _MARKS):
        raise ModelError(f"{path}: is no run of `affectkit train`: it holds none of {', '.join(_MARKS)}")
    run, lines = read_json(path / RUN_NAME), [line for line in read_metrics(path) if isinstance(line, dict)]
    if (not run or not lines) and (path / CHECKPOINT_NAME).exists():
        state = _checkpoint(path / CHECKPOINT_NAME)
        if not run:
            run = {"config": state.get("config", {})}
            if not lines and not (path / "last.pt").exists():
                run["kind"] = "average"  # only those have never been trained
        if not lines and isinstance(state.get("dev"), dict):
            lines = [{"epoch": state.get("epoch", 1), "loss": {}, "dev": state["dev"], "score": 0.0}]
    return RunFolder(path, run, read_json(path / PROGRESS_NAME), lines)


def runs_in(path: Path) -> list[Path]:
    """The run itself, or the students' runs in the folder, student_10 after student_9."""
    if any((path / name).exists() for name in _MARKS):
        return [path]
    students = [folder for folder in path.glob("student_*") if any((folder / name).exists() for name in _MARKS)]
    return sorted(students, key=lambda folder: (len(folder.name), folder.name)) or [path]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, or only half of one."""
    for wait_s in (0.0, 0.05):  # the writer may be in the middle of it
        time.sleep(wait_s)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _checkpoint(path: Path) -> dict[str, Any]:
    from affectkit.train.checkpoints import load_checkpoint

    try:
        return load_checkpoint(path)
    except ModelError:
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def seconds(moment: object) -> float | None:
    """Seconds since 1970 of an ISO time; one without a zone is local. None for anything else."""
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return None


def in_words(duration_s: float) -> str:
    """``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 5 h``."""
    whole = max(0, round(duration_s))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def process_lives(pid: int, *, updated_s: float | None = None) -> bool | None:
    """Whether the process that wrote something at ``updated_s`` lives on this machine; None: cannot be told.

    A process that began after that is another one, to which the system gave the same number again.
    """
    if sys.platform == "win32":
        return None  # os.kill would end it there
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OverflowError:
        return False
    except PermissionError:
        pass  # it is there, and belongs to another user
    began_s = process_began(pid)
    if began_s is None or updated_s is None:
        return True
    return began_s <= updated_s + 5  # clocks tick in hundredths, and boot times are rounded


def process_began(pid: int) -> float | None:
    """When a process of this machine began, seconds since 1970; None where the system does not say (Linux does)."""
    try:
        # The fields after the name, which is in brackets and may hold anything; the 22nd counts ticks since boot.
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except (OSError, ValueError, IndexError):
        return None
    return None if boot is None else int(boot[1]) + ticks / os.sysconf("SC_CLK_TCK")


def now() -> datetime:
    """This moment, with its zone."""
    return datetime.now(UTC).astimezone()
