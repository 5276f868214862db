"""Run a page's blocks as a reader would: in a folder with the clips that it names, with this environment's commands."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.snippets import Snippet, furnish, snippets

DRIVER = Path(__file__).with_name("driver.py")


def run_page(page: Path, folder: Path) -> list[Snippet]:
    """Run all that can be run here; what could not be is returned. Fails with the output of the block that failed."""
    found = snippets(page)
    todo = [snippet for snippet in found if not snippet.skipped]
    if todo:
        folder.mkdir(parents=True, exist_ok=True)
        furnish(folder)
        blocks = folder.parent / f"{folder.name}.json"
        blocks.write_text(json.dumps([dataclasses.asdict(one) | {"name": one.name} for one in todo]), encoding="utf-8")
        bin_folder = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "MPLBACKEND": "Agg"}
        done = subprocess.run(
            [sys.executable, "-P", str(DRIVER), str(blocks)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            pytest.fail(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}", pytrace=False)
        print(done.stdout)
    return [snippet for snippet in found if snippet.skipped]
