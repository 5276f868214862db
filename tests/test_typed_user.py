"""A user's script, as type checkers see it: names of options that do not exist are found before it runs."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import affectkit

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SCRIPT = HERE / "typed_user.py"

SETTINGS = {
    "typeCheckingMode": "standard",
    "enableTypeIgnoreComments": False,  # those are mypy's
    "reportUnnecessaryTypeIgnoreComment": "error",
}


def test_it_uses_every_public_name() -> None:
    tree = ast.parse(SCRIPT.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert set(affectkit.__all__) <= used


def test_mypy_finds_nothing_and_misses_nothing() -> None:
    # In this folder, as `make test` does, so that what mypy knows of the package already is used.
    command = [sys.executable, "-m", "mypy", "--config-file", "../pyproject.toml", "--strict", SCRIPT.name]
    run = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_pyright_finds_nothing_and_misses_nothing(tmp_path: Path) -> None:
    # basedpyright comes with all that it needs; the package pyright downloads itself when it is run.
    program = shutil.which("basedpyright", path=Path(sys.executable).parent)
    if program is None:
        pytest.skip("basedpyright is not installed (pip install basedpyright)")
    settings = tmp_path / "pyrightconfig.json"
    shutil.copy(SCRIPT, tmp_path / SCRIPT.name)
    settings.write_text(json.dumps(SETTINGS))
    command = [program, "--project", str(settings), "--pythonpath", sys.executable]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
