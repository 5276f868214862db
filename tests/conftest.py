"""What several test files share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
SHARED = ROOT.parent / "shared"


@pytest.fixture
def tiny() -> Path:
    """A model folder with one member and known answers, see make_tiny_model.py."""
    return DATA / "tiny"


@pytest.fixture
def tiny_ensemble() -> Path:
    """The same with three members."""
    return DATA / "tiny-ensemble"


@pytest.fixture
def tiny_temporal() -> Path:
    """A model of sequences of 8 frames that runs on tiny's network."""
    return DATA / "tiny-temporal"


@pytest.fixture
def tiny_labels() -> Path:
    """Two members, with twelve action units and eight expressions."""
    return DATA / "tiny-labels"


@pytest.fixture
def tiny_expressions() -> Path:
    """A model of expressions alone."""
    return DATA / "tiny-expressions"


@pytest.fixture
def tiny_seen() -> Path:
    """A model that also says how intense units are, what can be seen, and how the head is turned."""
    return DATA / "tiny-seen"


@pytest.fixture
def tiny_seen_temporal() -> Path:
    """Its temporal relative."""
    return DATA / "tiny-seen-temporal"


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """100 frames of one face that moves, turns and grows."""
    return ROOT / "samples" / "astronaut.mp4"


@pytest.fixture(scope="session")
def astronaut_points() -> np.ndarray:
    """(100, 5, 2) px, where its landmarks really are."""
    return np.array(json.loads((ROOT / "samples" / "astronaut.json").read_text())["landmarks"])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and data; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not here: real clips and data are not part of the repository")
    return SHARED


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, stdout, stderr."""
    from affectkit.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["affectkit", *map(str, arguments)])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        capsys.readouterr()
        try:
            main()
            code: object = 0
        except SystemExit as error:
            code = error.code
        out, err = capsys.readouterr()
        return int(code or 0) if not isinstance(code, str) else 1, out, err

    return run


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For tests of the command line that write beside them: the working directory is an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
