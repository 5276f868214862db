"""Our code over TensorRT's and CUDA's real bindings, without TensorRT's libraries and without a GPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tensorrt_stubs import build_stubs, fits, parameter, signatures

CODE = """
import logging, sys, tensorrt_bindings
sys.modules["tensorrt"] = tensorrt_bindings  # all that the package tensorrt does
from pathlib import Path
from affectkit.engines import cuda, open_engine, trt
from affectkit.engines.plans import Profile
from affectkit.errors import DeviceUnavailable, EngineError

logger = trt._Logger()
for severity, text in (("WARNING", "a warning"), ("ERROR", "the first"), ("ERROR", "the second")):
    logger.log(getattr(tensorrt_bindings.ILogger, severity), text)
assert logger.reason == "the first", logger.reason
logger.begin()
assert logger.reason == "no reason given"
assert trt._Progress().step_complete("phase", 1)
network = Path(sys.argv[1])
for call in (lambda: trt.build_plan(network, Profile(), b""), lambda: trt._started(trt.trt.Runtime, logger)):
    try:
        call()
    except EngineError as error:
        assert "TensorRT cannot start here" in str(error), error
    else:
        raise AssertionError("the empty libraries built something")
try:
    open_engine(network, device="tensorrt")
except (DeviceUnavailable, EngineError) as error:
    print(error)
"""


def test_the_real_bindings_take_our_classes(tmp_path: Path, tiny: Path) -> None:
    for module in ("tensorrt_bindings", "cuda.bindings"):
        if shutil.which("gcc") is None or not _there(module):
            pytest.skip("needs gcc and the wheels tensorrt_cu13_bindings and cuda-bindings (extra: dev)")
    build_stubs(tmp_path, int(version("tensorrt_cu13_bindings").partition(".")[0]))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "AFFECTKIT_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", CODE, str(tiny / "frame.onnx")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "no GPU can be used" in run.stdout or "TensorRT cannot start" in run.stdout


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_signatures_by_hand() -> None:
    """What scripts/tensorrt_names.py reads, and what the stand-ins hold calls against."""
    text = "f(*args, **kwargs)\nOverloaded function.\n\n1. f(self: a.B, name: str, shape: tuple) -> bool\n\n    Text.\n"
    text += "2. f(self: a.B, name: str, shape: Sequence[int, int] = (1, 2)) -> bool\n"
    first, second = signatures(text, "f")
    assert first == [("name", "str", False), ("shape", "tuple", False)]
    assert second == [("name", "str", False), ("shape", "Sequence[int, int]", True)]
    assert parameter("x: int = 0") == ("x", "int", True)
    plain = [list(one) for one in first]
    assert fits(plain, ("x", (1,)), {}) and fits(plain, ("x",), {"shape": (1,)})
    for given, named in ((("x",), {}), ((1, (1,)), {}), (("x", (1,), 2), {}), (("x", (1,)), {"name": "x"})):
        assert not fits(plain, given, named)
    assert not fits(plain, ("x", (1,)), {"other": 1}) and fits([list(one) for one in second], ("x",), {})
