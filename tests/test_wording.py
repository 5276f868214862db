"""Errors speak of Python's arguments in Python, and of options on the command line."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from synthetic import grey_frames, write_clip

import affectkit
from affectkit import AffectKitError, OutputError, SourceError
from affectkit.cli.predict import _work, predict
from affectkit.cli.wording import Wording, in_options

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


@pytest.mark.skipif(sys.platform == "win32", reason="names of Unix")
def test_a_name_with_control_characters_stays_on_its_line(
    tmp_path: Path, tiny: Path, run_cli: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And reaches no terminal as a command."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "good\n\x1b[2J.mp4", grey_frames(2))
    Path("bad\nname\x9b.mp4").write_text("no video")
    names = sorted(map(str, Path().iterdir()))
    code, _, err = run_cli("predict", *names, "-d", "out", "--contact-sheet", "out/", "--model", tiny)
    lines = err.splitlines()
    assert code == 3 and len(lines) == 4 and err.isascii() and "\x1b" not in err, err
    assert lines[1].startswith(r"affectkit: warning: good\n\x1b[2J.mp4: there was no face")
    assert lines[2].startswith(r"good\n\x1b[2J.mp4: 2 frames") and r"-> out/good\n\x1b[2J.csv" in lines[2]
    assert run_cli("predict", names[0], "-d", "one", "--model", tiny)[2].startswith(
        r"affectkit: error: bad\nname\x9b.mp4"
    )
    code, told, _ = run_cli("runs", "status", "out")
    assert code == 0 and r"(as bad\nname\x9b.mp4)" in told
    record = logging.makeLogRecord({"msg": "%s: is odd", "args": (names[1],)})
    assert Wording("%(message)s").format(record) == r"good\n\x1b[2J.mp4: is odd"


def test_processes_of_their_own_speak_as_the_command_does(tiny: Path) -> None:
    """With ``-j`` too a warning about a name with a line break stays on its line, in the words of the command line."""
    code = f"""
import logging
from multiprocessing import Pipe
from affectkit.cli.wording import Wording
from affectkit.options import PredictorConfig
from affectkit.runs import pool
pool.attempt = lambda *a, **k: logging.getLogger("affectkit").warning("clip\\n0.mp4: give overwrite=True")
ours, theirs = Pipe()
for task in (("a job", False), None):
    ours.send(task)
pool._serve(theirs, pool.Work(PredictorConfig(model={str(tiny)!r}), wording=Wording), False)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stderr == "affectkit: clip\\n0.mp4: give --overwrite\n", run.stderr


def test_the_command_tells_its_processes_how(tiny: Path) -> None:
    context = predict.make_context("predict", ["a.mp4", "b.mp4", "-d", "out", "-j", "2", "--model", str(tiny)])
    with context:
        assert _work(context.params, absolute=False).wording is Wording
