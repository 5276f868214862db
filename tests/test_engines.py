"""One contract over every engine there is, and what happens when a backend or a device is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from make_tiny_model import expected

from affectkit.engines import Engine, FakeEngine, open_engine
from affectkit.engines.ort import OrtEngine
from affectkit.errors import DeviceUnavailable, EngineError
from affectkit.types import Array


def fake(folder: Path) -> Engine:
    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return expected(inputs["faces"], 1)

    return FakeEngine(answer)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "ort-cpu": lambda folder: OrtEngine(folder / "frame.onnx", device="cpu", threads=1),
    "ort-auto": lambda folder: open_engine(folder / "frame.onnx", device="auto"),
    "fake": fake,
}


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, tiny: Path) -> Engine:
    return ENGINES[request.param](tiny)


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 16, 16, 1)).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 2, 37])
def test_answers_are_right_for_any_number_of_faces(engine: Engine, count: int) -> None:
    outputs = engine.run({"faces": faces(count)})
    for name, want in expected(faces(count), 1).items():
        assert outputs[name].shape == want.shape
        assert outputs[name] == pytest.approx(want, abs=1e-4)


def test_outputs_belong_to_the_caller(engine: Engine) -> None:
    first = engine.run({"faces": faces(2)})
    kept = first["au"].copy()
    engine.run({"faces": faces(5)})
    assert (first["au"] == kept).all()
    first["au"][:] = 0


def test_views_are_taken_as_they_are(engine: Engine) -> None:
    strided = np.repeat(faces(6), 2, axis=0)[::2]
    assert engine.run({"faces": strided})["au"] == pytest.approx(expected(faces(6), 1)["au"], abs=1e-4)


def test_a_closed_engine_says_so(engine: Engine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({"faces": faces(1)})


def test_device_is_what_was_obtained(engine: Engine) -> None:
    assert engine.device in ("cpu", "fake")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"faces": np.zeros((1, 16, 16, 1), np.float32)}, "must be uint8"),
        ({"faces": np.zeros((1, 16, 17, 1), np.uint8)}, r"shape \(n, 16, 16, 1\)"),
        ({"faces": np.zeros((16, 16, 1), np.uint8)}, "shape"),
        ({"images": np.zeros((1, 16, 16, 1), np.uint8)}, "takes the inputs"),
    ],
)
def test_wrong_inputs_are_named(tiny: Path, inputs: dict[str, Array], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        OrtEngine(tiny / "frame.onnx").run(inputs)


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "frame.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(EngineError, match="cannot load it"):
        OrtEngine(path)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "CPU", "", "cuda:-1"])
def test_unknown_devices(tiny: Path, device: str) -> None:
    with pytest.raises(ValueError, match="auto, cpu, cuda"):
        open_engine(tiny / "frame.onnx", device=device)


def test_cuda_is_never_replaced_by_the_cpu(tiny: Path) -> None:
    try:
        engine = open_engine(tiny / "frame.onnx", device="cuda")
    except DeviceUnavailable as error:
        if os.environ.get("AFFECTKIT_REQUIRE_CUDA") == "1":
            raise
        assert "affectkit" in str(error) and "cpu" in str(error)
    else:
        assert engine.device == "cuda:0"


@pytest.mark.slow
def test_both_onnxruntimes(tiny: Path, tmp_path: Path) -> None:
    """A second distribution on the path is enough to see both."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        metadata = tmp_path / f"{name}-9.9.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 9.9\n")
    code = "import sys; from affectkit.cli import main; sys.argv = ['affectkit', 'predict', 'x.png']; main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1
    assert "both installed" in run.stderr and "pip uninstall" in run.stderr and "Traceback" not in run.stderr


@pytest.mark.slow
def test_no_onnxruntime(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None; from affectkit.cli import main; "
        "sys.argv = ['affectkit', 'predict', 'x.png']; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1
    assert "pip install 'affectkit[cpu]'" in run.stderr and "Traceback" not in run.stderr


def test_the_fake_remembers_what_it_was_asked(tiny: Path) -> None:
    engine = FakeEngine(lambda inputs: {"n": inputs["x"] + 1})
    assert engine.run({"x": np.ones(2)})["n"].tolist() == [2, 2]
    assert engine.calls[0]["x"].tolist() == [1, 1]


def test_sessions_are_shared_and_let_go(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from affectkit.engines import ort

    before = len(ort._SESSIONS)
    first, second = (OrtEngine(tiny / "frame.onnx", device="cpu", threads=1) for _ in range(2))
    in_parts = OrtEngine(tiny / "frame.onnx", device="cpu", threads=2)
    assert first._session is second._session is in_parts._session, "a small network is run by one thread, or by several"
    in_parts.close()
    monkeypatch.setattr(ort, "SMALL_BYTES", 0)
    other = OrtEngine(tiny / "frame.onnx", device="cpu", threads=2)
    assert first._session is not other._session, "a large one is not"
    first.close()
    assert second.run({"faces": faces(2)})["au"].shape == (1, 2, 8)  # closing one does not take it from the other
    second.close()
    other.close()
    assert len(ort._SESSIONS) == before


@pytest.mark.parametrize("count", [1, 2, 3, 7, 32])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_of_a_batch_answer_as_the_whole(tiny_ensemble: Path, count: int, threads: int) -> None:
    whole, parts = (OrtEngine(tiny_ensemble / "frame.onnx", device="cpu", threads=n) for n in (1, threads))
    want, got = (engine.run({"faces": faces(count)}) for engine in (whole, parts))
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values)
    whole.close()
    parts.close()


def test_an_error_in_one_part_is_the_batch_s(tiny: Path) -> None:
    engine = OrtEngine(tiny / "frame.onnx", device="cpu", threads=2)
    session = engine._session

    class Fails:
        def run(self, names: object, inputs: dict[str, np.ndarray]) -> object:
            if threading.current_thread() is not threading.main_thread():
                raise RuntimeError("out of memory")
            assert session is not None
            return session.run(names, inputs)

    engine._session = Fails()  # type: ignore[assignment]
    with pytest.raises(EngineError, match="out of memory"):
        engine.run({"faces": faces(4)})
    engine.close()


def test_sequences_are_not_cut_into_parts(tiny_temporal: Path) -> None:
    engine = OrtEngine(tiny_temporal / "temporal.onnx", device="cpu", threads=2)
    features = np.random.default_rng(0).normal(size=(1, 3, 8, 3, 4)).astype(np.float32)
    width = next(iter(engine._inputs.values()))[1][-1]
    features = np.resize(features, (1, 3, 8, 3, width))
    assert engine._pool is None and engine.run({"features": features})["au"].shape == (1, 3, 8, 8)
    engine.close()


def test_a_changed_file_is_loaded_again(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "frame.onnx"
    path.write_bytes((tiny / "frame.onnx").read_bytes())
    first = OrtEngine(path, device="cpu")
    path.write_bytes(b"no network")
    with pytest.raises(EngineError):
        OrtEngine(path, device="cpu")
    first.close()


def test_bound_runs_answer_the_same(tiny: Path) -> None:
    """The way that CUDA is run, here on the CPU."""
    engine = OrtEngine(tiny / "frame.onnx", device="cpu")
    plain, bound = engine.run({"faces": faces(5)}), engine._run_bound({"faces": faces(5)[:, ::-1][:, ::-1]})
    for name, got in zip(engine._outputs, bound, strict=True):
        assert np.array_equal(plain[name], got)
    engine.close()


@pytest.mark.slow
def test_onnx_runtime_reports_to_nobody() -> None:
    script = "import os; from affectkit import Predictor; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given in ({}, {"ORT_DISABLE_TELEMETRY": "0"}):
        settings = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | given
        said = subprocess.run(
            [sys.executable, "-P", "-c", script], env=settings, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == given.get("ORT_DISABLE_TELEMETRY", "1")
