"""A predictor that was used before its process forked works in the child, or says that it cannot; nothing waits."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]

WAITS_S = 60
"""Longest time until a child that hangs counts as one; none needs two seconds."""


def forked(before: str, after: str, *paths: Path) -> str:
    """What a child prints that forked after ``before``; its exit code is 0, and its parent works on."""
    script = f"""
import os, sys
import numpy as np
from affectkit import EngineError, LiveSource, Predictor
paths = sys.argv[1:]
{textwrap.dedent(before)}
sys.stdout.flush()
child = os.fork()
if child == 0:
{textwrap.indent(textwrap.dedent(after), "    ")}
    sys.exit(0)  # as a program ends: what was opened in the parent must not be waited for
assert os.waitpid(child, 0)[1] == 0
{textwrap.dedent(before)}
"""
    command = [sys.executable, "-P", "-W", "ignore::DeprecationWarning", "-c", script, *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=WAITS_S)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_used_predictor_works_in_the_child_to_the_same_numbers(tiny_temporal: Path, astronaut: Path) -> None:
    used = """
        predictor = Predictor(paths[0], temporal=True, threads=4)
        table = predictor.predict(paths[1], end_s=1)
        session = predictor.session()
        picture = np.zeros((90, 120, 3), np.uint8)
        session.push(picture, 0.0)
    """
    child = """
        again = predictor.predict(paths[1], end_s=1)
        assert again.to_csv() == table.to_csv()
        assert len(session.push(picture, 0.1)) == 1
        predictor.predict_image(picture)
        predictor.close()
        print("the same")
    """
    assert forked(used, child, tiny_temporal, astronaut) == "the same\n"


def test_networks_with_threads_of_their_own_are_opened_again(tiny: Path, astronaut: Path) -> None:
    used = """
        from affectkit.engines import ort
        ort.SMALL_BYTES = 0  # so all threads compute one face together, inside ONNX Runtime
        predictor = Predictor(paths[0], threads=4)
        faces = predictor.predict(paths[1], end_s=0.5)["AU12"].tolist()
    """
    child = """
        print(predictor.predict(paths[1], end_s=0.5)["AU12"].tolist() == faces)
    """
    assert forked(used, child, tiny, astronaut) == "True\n"


@pytest.mark.parametrize("threads", [1, 2])  # with one, those of the decoder are missing
def test_what_is_being_read_cannot_be_read_on_in_the_child(threads: int, tiny: Path, astronaut: Path) -> None:
    started = f"""
        predictor = Predictor(paths[0], threads={threads})
        stream = predictor.stream(paths[1])
        next(stream)
        shown = LiveSource(paths[1]).frames()
        next(shown)
    """
    child = """
        for one in (stream, shown):
            try:
                while True:
                    next(one)
            except EngineError as error:
                print(error)
        stream.close()
        print(len(predictor.predict(paths[1], end_s=0.2)))
    """
    assert forked(started, child, tiny, astronaut).splitlines() == [
        "this stream belongs to the process that this one was forked from; begin a new one here",
        "the live source that is being read belongs to the process that this one was forked from; begin a new one here",
        "5",
    ]


def test_networks_of_a_gpu_are_refused(tiny: Path) -> None:
    used = """
        predictor = Predictor(paths[0], threads=2)
        predictor._engine._device = "cuda:0"
        predictor._engine._run_bound = predictor._engine._run_in_parts
        predictor.warm_up(1)
    """
    child = """
        try:
            predictor.warm_up(1)
        except EngineError as error:
            print(error)
    """
    said = forked(used, child, tiny)
    assert "belongs to the process that this one was forked from; open it after forking, or start processes" in said
