"""Measurements: what each is, what they were made on, and reports of them."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.engines import usable_cores
from affectkit.errors import OutputError, SourceError
from affectkit.outputs.files import check_target
from affectkit.versions import versions_of

PACKAGES = ("affectkit", "numpy", "av", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "tensorrt")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number."""

    name: str
    """What was measured; the same in every run, so that two reports can be compared by it."""
    value: float
    """The median."""
    unit: str
    """``faces/s`` and ``fps``: more is better; ``ms``, ``s`` and ``MB``: less is."""
    spread: float = 0.0
    """Half of the distance between the quartiles, as a fraction of the median."""

    @property
    def more_is_better(self) -> bool:
        """Whether a larger value is the better one."""
        return self.unit.endswith(("/s", "fps"))


def machine() -> dict[str, Any]:
    """What numbers were measured on."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(errors="replace").splitlines() if facts.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    found: dict[str, Any] = {
        "cpu": next(named, "") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "measured": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    found |= versions_of(*PACKAGES)
    commit = _commit()
    return found | ({"commit": commit} if commit else {})


def _commit() -> str:
    """Of the checkout that this package runs from, if it does."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def summary(name: str, values: Sequence[float], unit: str) -> Measurement:
    """Median and spread of repeated measurements."""
    middle = statistics.median(values)
    low, high = np.percentile(values, [25, 75])
    return Measurement(name, float(f"{middle:.4g}"), unit, round(float(high - low) / 2 / middle, 3) if middle else 0.0)


def report(rows: Sequence[Measurement], **about: Any) -> dict[str, Any]:
    """All measurements and what they were made on, ready for JSON."""
    return {"machine": machine(), **about, "measurements": [asdict(row) for row in rows]}


def read_report(path: Path) -> list[Measurement]:
    """The measurements of an earlier report.

    Raises:
        SourceError: it cannot be read, or is no report.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return [Measurement(**row) for row in document["measurements"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(f"{path}: is no report of `affectkit benchmark` ({error})") from error


def check_report(path: Path) -> None:
    """Refuse a report's target before anything is measured: it may replace a report, and nothing else.

    Raises:
        OutputError: it cannot be written, or something else has that name.
    """
    check_target(path, overwrite=True)
    if path.exists():
        try:
            read_report(path)
        except SourceError as error:
            raise OutputError(f"{path}: exists, and is no report that could be replaced; give another name") from error


def table(rows: Sequence[Measurement], before: Sequence[Measurement] = ()) -> list[str]:
    """Lines to show: name, median, unit, spread, and with an earlier report how many times as good it is now."""
    earlier = {row.name: row for row in before}
    width = max((len(row.name) for row in rows), default=0)
    lines = []
    for row in rows:
        line = f"{row.name:{width}}  {row.value:10.4g} {row.unit:8} ±{row.spread:4.0%}"
        old = earlier.get(row.name)
        if old is not None and old.value and row.value:
            ratio = row.value / old.value if row.more_is_better else old.value / row.value
            line += f"   {ratio:5.2f} x as good as before ({old.value:.4g})"
        lines.append(line)
    return lines
