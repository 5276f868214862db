"""TensorRT without a GPU: our code against stand-ins that have TensorRT's published names only (see fake_gpu.py)."""

from __future__ import annotations

import ast
import json
import logging
import sys
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_gpu import SIGNATURES, State, make_cudart, make_tensorrt
from make_tiny_model import expected

from affectkit import models
from affectkit.engines import check_device, open_engine
from affectkit.engines.plans import PlanKey, Profile, cache_folder, plan_for
from affectkit.errors import DeviceUnavailable, EngineError, MissingDependency
from affectkit.predictor import Predictor

ROOT = Path(__file__).parent.parent
OURS = ("affectkit.engines.trt", "affectkit.engines.cuda")
VERSIONS = [key.split()[1] for key in SIGNATURES if key.startswith("tensorrt")]


def install(state: State, version: str, patch: pytest.MonkeyPatch, cache: Path) -> None:
    cuda, bindings, runtime = types.ModuleType("cuda"), types.ModuleType("cuda.bindings"), make_cudart(state)
    bindings.runtime = runtime  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "cuda", cuda)
    patch.setitem(sys.modules, "cuda.bindings", bindings)
    patch.setitem(sys.modules, "cuda.bindings.runtime", runtime)
    patch.setitem(sys.modules, "tensorrt", make_tensorrt(state, version))
    for ours in OURS:
        patch.delitem(sys.modules, ours, raising=False)
    patch.setenv("AFFECTKIT_CACHE", str(cache))


@pytest.fixture(params=VERSIONS)
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[State]:
    state = State()
    install(state, request.param, monkeypatch, tmp_path / "cache")
    yield state
    for ours in OURS:
        sys.modules.pop(ours, None)


def faces(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"faces": np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1)).astype(np.uint8)}


def test_every_name_we_use_is_published_by_both() -> None:
    """The attributes that trt.py reads from TensorRT's objects, by the variables it keeps these in."""
    theirs = {"trt", "builder", "network", "parser", "config", "optimisation", "engine", "tensor", "cache"}
    theirs |= {"context", "_context", "_runtime"}
    used = set()
    for node in ast.walk(ast.parse((ROOT / "affectkit" / "engines" / "trt.py").read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name in theirs or name in {"ILogger", "Severity", "NetworkDefinitionCreationFlag", "TensorIOMode"}:
                used.add(node.attr)
    used -= {"__version__", "__init__"}
    assert {"execute_async_v3", "STRONGLY_TYPED", "build_serialized_network", "set_tensor_address"} <= used
    for key, published in SIGNATURES.items():
        if key.startswith("tensorrt"):
            names = {part for name in published for part in name.split(".")}
            assert used <= names, f"{key} does not publish {used - names}"


@pytest.mark.slow
def test_answers_are_the_networks(gpu: State, tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    assert engine.device == "tensorrt:0" and gpu.flags == [2]  # strongly typed is bit 1
    for count, seed in ((5, 1), (5, 2), (5, 3), (128, 4), (1, 5), (5, 6)):
        got = engine.run(faces(count, seed))
        for name, want in expected(faces(count, seed)["faces"], 1).items():
            assert got[name] == pytest.approx(want, abs=1e-4)
    kept = got["au"].copy()
    engine.run(faces(5, 9))
    assert (got["au"] == kept).all()  # outputs belong to the caller
    engine.close()
    engine.close()
    assert gpu.memory == {} and gpu.streams == 0 and gpu.live_graphs == 0
    with pytest.raises(EngineError, match="closed"):
        engine.run(faces(1))


def test_batches_of_one_size_become_a_cuda_graph(gpu: State, tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    for seed in range(4):
        engine.run(faces(8, seed))
    assert gpu.enqueued == 1 and gpu.graphs_launched == 3
    engine.run(faces(9))  # another size: TensorRT ties a graph to the state of its context
    assert gpu.live_graphs == 0 and gpu.enqueued == 2
    engine.run(faces(9, 1))
    assert gpu.live_graphs == 1 and gpu.graphs_launched == 4
    engine.close()


def test_the_profile_is_a_promise(gpu: State, tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt", profile=Profile(2, 4, 8))
    assert gpu.profiles == [("faces", (2, 16, 16, 1), (4, 16, 16, 1), (8, 16, 16, 1))]
    for count in (1, 9):
        with pytest.raises(EngineError, match=r"'faces' of shape .* is outside the plan's profile, \(2, .* to \(8, "):
            engine.run(faces(count))
    with pytest.raises(EngineError, match="must be uint8, got float32"):
        engine.run({"faces": np.zeros((2, 16, 16, 1), np.float32)})
    with pytest.raises(EngineError, match=r"must have shape \(n, 16, 16, 1\)"):
        engine.run({"faces": np.zeros((2, 8, 16, 1), np.uint8)})
    with pytest.raises(EngineError, match=r"takes the inputs \['faces'\]"):
        engine.run({"face": np.zeros((2, 16, 16, 1), np.uint8)})
    engine.close()
    for wrong in ((0, 1, 2), (3, 2, 4), (1, 5, 4)):
        with pytest.raises(ValueError, match="a profile needs"):
            Profile(*wrong)
    assert Profile(1, 4, 9, frames=16).shape((-1, -1, 3, 128), "max") == (9, 16, 3, 128)
    assert Profile(1, 4, 9, frames=16).shape((2, -1, -1, 3), "min") == (2, 1, 1, 3)
    with pytest.raises(EngineError, match="one or two free axes"):
        Profile().shape((1, 2), "opt")


def test_a_plan_is_built_once(gpu: State, tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            open_engine(tiny / "frame.onnx", device="tensorrt").close()
        assert gpu.builds == 1 and "the first for this model" in caplog.text
        caplog.clear()
        gpu.driver = 13010
        open_engine(tiny / "frame.onnx", device="tensorrt").close()
        assert gpu.builds == 2 and "another driver than before" in caplog.text
        caplog.clear()
        open_engine(tiny / "frame.onnx", device="tensorrt", profile=Profile(1, 2, 4), precision="fp16").close()
        assert gpu.builds == 3 and "another precision and profile than before" in caplog.text
    assert gpu.timing_seen == [b"", b"timed", b"timed"]  # later builds know what the first one measured
    caplog.clear()
    (plan, *_) = sorted((cache_folder() / "tensorrt").glob("*.plan"))
    plan.write_bytes(plan.read_bytes()[:-1])
    for driver in (13000, 13010):
        gpu.driver = driver
        open_engine(tiny / "frame.onnx", device="tensorrt").close()
    open_engine(tiny / "frame.onnx", device="tensorrt", profile=Profile(1, 2, 4), precision="fp16").close()
    assert gpu.builds == 4 and "damaged; building it again" in caplog.text


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        ("build", "TensorRT cannot build it: no kernel for this layer"),
        ("deserialize", "does not take its own plan"),
        ("context", "cannot run the plan"),
        ("cudaMalloc", "CUDA: taking .* failed: cudaErrorMemoryAllocation"),
        ("cudaMallocHost", "CUDA: locking .* failed"),
        ("cudaStreamCreate", "creating a stream failed"),
        ("set_tensor_address", "does not take the memory of"),
        ("set_input_shape", "does not take the shape"),
        ("set_shape", "does not take the profile .*min is inconsistent"),
        ("Builder", "TensorRT cannot start here: no reason given"),
        ("Runtime", "TensorRT cannot start here"),
    ],
)
def test_every_status_is_checked_when_loading(gpu: State, tiny: Path, failing: str, message: str) -> None:
    gpu.fail = {failing}
    with pytest.raises(EngineError, match=message):
        open_engine(tiny / "frame.onnx", device="tensorrt")
    assert gpu.memory == {} and (gpu.streams == 0 or failing == "cudaStreamCreate")


@pytest.mark.parametrize(
    ("failing", "runs", "message"),
    [
        ("execute", 1, "TensorRT failed"),
        ("cudaMemcpyAsync", 1, "copying 'faces' to the GPU failed"),
        ("cudaStreamSynchronize", 1, "running the network failed"),
        ("cudaGraphLaunch", 2, "launching the CUDA graph failed"),
    ],
)
def test_every_status_is_checked_when_running(gpu: State, tiny: Path, failing: str, runs: int, message: str) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    for _ in range(runs - 1):
        engine.run(faces(3))
    gpu.fail = {failing}
    with pytest.raises(EngineError, match=message):
        engine.run(faces(3))
    gpu.fail = set()
    assert gpu.capturing is None
    for count in (3, 7, 3):  # it works again, with the shapes of the new runs
        got = engine.run(faces(count, count))
        assert got["au"] == pytest.approx(expected(faces(count, count)["faces"], 1)["au"], abs=1e-4)
    engine.close()
    assert gpu.memory == {} and gpu.streams == 0


@pytest.mark.parametrize("failing", ["graph", "cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_a_network_that_cannot_be_captured_runs_without_graphs(
    gpu: State, tiny: Path, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    gpu.fail = {failing}
    caplog.clear()
    with caplog.at_level(logging.INFO):
        for count in (3, 3, 3, 8, 8, 3):
            got = engine.run(faces(count, count))
            assert got["au"] == pytest.approx(expected(faces(count, count)["faces"], 1)["au"], abs=1e-4)
    assert gpu.enqueued == 6 and gpu.graphs_launched == 0 and gpu.capturing is None
    (line,) = (record.getMessage() for record in caplog.records)
    assert "frame.onnx: runs without CUDA graphs on tensorrt:0, " in line
    engine.close()
    assert gpu.memory == {} and gpu.streams == 0 and gpu.live_graphs == 0


def test_a_run_that_fails_while_it_is_captured_does_not_end_the_graphs(gpu: State, tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    engine.run(faces(3))
    gpu.fail = {"execute"}  # not because of the capture: the plain way fails as well
    with pytest.raises(EngineError, match="TensorRT failed: no reason given"):
        engine.run(faces(3))
    gpu.fail = set()
    engine.run(faces(3))
    assert gpu.graphs_launched == 1
    engine.close()


def test_each_failure_has_its_own_reason(gpu: State, tiny: Path) -> None:
    """TensorRT tells its reasons to one logger: what it said about a failure is not the reason of the next."""
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    gpu.noted_error = True
    with pytest.raises(EngineError, match="TensorRT failed: an error of before"):
        engine.run(faces(3))
    gpu.noted_error, gpu.fail = False, {"execute"}
    with pytest.raises(EngineError, match="TensorRT failed: no reason given"):
        engine.run(faces(3))
    engine.close()


def test_threads_share_an_engine(gpu: State, tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")

    def right(seed: int) -> bool:
        given = faces(1 + seed % 3, seed)
        return bool(np.allclose(engine.run(given)["au"], expected(given["faces"], 1)["au"], atol=1e-4))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, range(60)))
    engine.close()


def test_errors_of_a_build_are_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only what is wrong with the cache is called so, and a damaged description is no reason to give up."""
    key = PlanKey("0", "fp32", Profile().key(), "11", "GPU", "13000")

    def fails(timing: bytes) -> tuple[bytes, bytes]:
        raise ValueError("the builder says no")

    with pytest.raises(ValueError, match="the builder says no"):
        plan_for(key, "m", fails, tmp_path)
    assert plan_for(key, "m", lambda timing: (b"plan", b""), tmp_path) == b"plan"
    (described,) = tmp_path.glob("*.json")
    for damaged in ("{", "[]", '{"sha256": 3}'):
        described.write_text(damaged)
        with caplog.at_level(logging.WARNING):
            assert plan_for(key, "m", lambda timing: (b"plan", b""), tmp_path) == b"plan"
        assert "damaged; building it again" in caplog.text
        caplog.clear()


def test_a_failed_run_of_another_size_leaves_nothing_of_it(gpu: State, tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="tensorrt")
    engine.run(faces(3))
    gpu.fail = {"execute"}
    with pytest.raises(EngineError):
        engine.run(faces(9))
    gpu.fail = set()
    got = engine.run(faces(3, 2))
    assert got["au"].shape == (1, 3, 8)
    assert got["au"] == pytest.approx(expected(faces(3, 2)["faces"], 1)["au"], abs=1e-4)
    engine.close()


def test_a_file_that_tensorrt_cannot_read(gpu: State, tmp_path: Path) -> None:
    (tmp_path / "frame.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match="TensorRT cannot read it: unsupported"):
        open_engine(tmp_path / "frame.onnx", device="tensorrt")


def test_without_a_gpu(gpu: State, tiny: Path) -> None:
    gpu.gpus = 1
    with pytest.raises(DeviceUnavailable, match="'tensorrt:1': there are 1 GPUs"):
        open_engine(tiny / "frame.onnx", device="tensorrt:1")
    gpu.fail = {"cudaGetDeviceCount"}
    with pytest.raises(DeviceUnavailable, match="no GPU can be used"):
        open_engine(tiny / "frame.onnx", device="tensorrt")


def test_the_predictor_on_tensorrt(gpu: State, tiny: Path) -> None:
    crops = faces(40)["faces"]
    with Predictor(tiny, device="tensorrt", batch_size=16) as predictor, Predictor(tiny, device="cpu") as plain:
        assert predictor.device == "tensorrt:0" and predictor.describe()["device"] == "tensorrt:0"
        got, want = predictor.predict_aligned(crops), plain.predict_aligned(crops)
    assert [a.valence for a in got] == pytest.approx([a.valence for a in want])
    (facts,) = (cache_folder() / "tensorrt").glob("*.json")
    assert json.loads(facts.read_text())["weights"] == models.load(tiny).spec.files["frame.onnx"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    key = PlanKey("0", "fp32", Profile().key(), "11", "GPU", "13000")
    with pytest.raises(EngineError, match="set AFFECTKIT_CACHE to a folder"):
        plan_for(key, "m", lambda timing: (b"plan", b""), tmp_path / "file" / "cache")


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFFECTKIT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("AFFECTKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "affectkit"


def test_libraries_that_are_missing(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    for ours in OURS:
        monkeypatch.delitem(sys.modules, ours, raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt", None)  # what Python does where a package is not there
    with pytest.raises(MissingDependency, match=r"pip install 'affectkit\[tensorrt\]'"):
        open_engine(tiny / "frame.onnx", device="tensorrt")

    class Broken:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "tensorrt":
                raise ImportError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(DeviceUnavailable, match=r"cannot be loaded .*libnvinfer"):
        open_engine(tiny / "frame.onnx", device="tensorrt")
    with pytest.raises(DeviceUnavailable, match="no TensorRT provider"):
        open_engine(tiny / "frame.onnx", device="ort-tensorrt")
    for name in ("tensorrt", "tensorrt:3", "ort-tensorrt", "cuda:0"):
        assert check_device(name) == name
    for name in ("tensorrt:", "trt", "ort-tensorrt:1"):
        with pytest.raises(ValueError, match="device must be one of"):
            check_device(name)
