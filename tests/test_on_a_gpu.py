"""The script that measures on a GPU, without one: what cannot be used is skipped, the rest verified and measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "on_a_gpu.sh"


@pytest.mark.slow
def test_skipped_verified_measured(tiny: Path, tmp_path: Path) -> None:
    settings = {"INSTALL": "0", "PYTHON": sys.executable, "MODELS": str(tiny), "BATCHES": "1 3", "STREAMS": "1"}
    settings |= {
        "RESULTS": str(tmp_path),
        "REPEATS": "1",
        "HEAVY": "0",
        "CLIP": "",
        "AFFECTKIT_CACHE": str(tmp_path / "cache"),
    }
    command = ["bash", str(SCRIPT), "coreml", "cpu"]  # no Linux has the first, the second stands for a GPU
    run = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "== coreml: skipped, device 'coreml'" in run.stdout
    assert "passed: tiny (fp32) on cpu" in run.stdout
    report = json.loads((tmp_path / "gpu-cpu-tiny.json").read_text())
    titles = " ".join(str(row) for row in report["measurements"])
    assert "3 faces at once" in titles
