"""Errors speak of Python's arguments in Python, and of options on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import affectkit
from affectkit import AffectKitError, OutputError, SourceError
from affectkit.cli.wording import in_options

PACKAGE = Path(affectkit.__file__).parent
COMMANDS = {"__main__", "benchmark", "cli", "doctor", "report", "runs"}
"""What only the command line reaches."""


def raised(path: Path) -> Iterator[str]:
    """The texts in everything that a module raises."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and node.exc is not None:
            for part in ast.walk(node.exc):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_no_error_of_python_speaks_of_options() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in COMMANDS | {"export", "train"}:
            for text in raised(path):
                # A command line that is told whole may have its options.
                assert not re.search(r"--[a-z]", re.sub(r"(affectkit|pip) .*|--precision", "", text)), (path, text)


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("give overwrite=True to replace it", "give --overwrite to replace it"),
        ("raise max_pixels=", "raise --max-pixels"),
        ("leave out smooth_s=, or give fps= for", "leave out --smooth, or give --fps for"),
        ("or use device='cpu'", "or use --device cpu"),
        ("give detector='insightface:FOLDER' or", "give --detector insightface:FOLDER or"),
        ("baseline='a b.csv': is", "--baseline a b.csv: is"),
        ("alone, or max_faces=1", "alone, or --max-faces 1"),
        ("take temporal=False.", "take --frame-by-frame."),
        ("(temporal=True)", "(--temporal)"),
        ("http://camera/?fps=25&every=1: no answer", "http://camera/?fps=25&every=1: no answer"),
        ("no argument of ours: top=3, end=1", "no argument of ours: top=3, end=1"),
    ],
)
def test_arguments_become_options(python: str, shell: str) -> None:
    assert in_options(python) == shell


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("nosuch: no such file", "nosuch"),
        ("my clip.mp4: no such file", "my clip.mp4"),
        ("/a b/c: is empty", "/a b/c"),
        ("rtsp://user@host/x: no answer", "rtsp://user@host/x"),
        ("device 'cuda': it is not there", None),
        ("model 'tiny' has no temporal part: it looks at frames", None),
        ("insightface's pack 'x' is not in /root/x (host='g', port=4): no", None),
        ("nothing is named", None),
    ],
)
def test_errors_carry_path_and_reason(message: str, path: str | None) -> None:
    for kind in (AffectKitError, SourceError, OutputError):
        error = kind(message)
        assert error.path == path
        assert error.reason == (message if path is None else message.removeprefix(f"{path}: "))


def test_a_name_that_holds_a_colon_is_known_where_the_file_is_there(tmp_path: Path) -> None:
    there = tmp_path / "a: b"
    there.write_bytes(b"")
    assert SourceError(f"{there}: is: empty").path == str(there)


def test_the_examples_of_the_fake_engine_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import doctest

    import numpy as np
    from PIL import Image

    from affectkit import FakeEngine, Predictor
    from affectkit.engines import fake

    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save("portrait.jpg")
    names = {"FakeEngine": FakeEngine, "Predictor": Predictor, "np": np, "spec": Predictor().spec}
    (example,) = (test for test in doctest.DocTestFinder().find(fake.FakeEngine, globs=names) if test.examples)
    assert doctest.DocTestRunner().run(example).failed == 0 and len(example.examples) >= 4
