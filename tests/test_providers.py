"""Devices that are providers of ONNX Runtime: what they are told and answer, and what is said where they lack."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_tiny_model import expected
from runtimes import without_openvino

from affectkit import models
from affectkit.engines import Profile, open_engine, ort
from affectkit.engines.providers import PROVIDERS, Asked
from affectkit.errors import DeviceUnavailable, EngineError

PUBLISHED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "provider_options.json").read_text())
ASKED = Asked("1", "fp16", 3, Profile(1, 4, 8, frames=16), {"faces": (-1, 16, 16, 1)}, Path("/cache/x"))


def test_every_option_is_published_by_its_provider() -> None:
    for provider in PROVIDERS.values():
        told = provider.options(ASKED)
        published = set(PUBLISHED[provider.name]["options"])
        assert told and told.keys() <= published, provider.name
        words = {value for value in told.values() if value.isalpha()}
        assert words <= published, provider.name
        assert all(isinstance(value, str) for value in told.values())
    inner = json.loads(PROVIDERS["openvino"].options(ASKED)["load_config"])["CPU"]
    assert inner.keys() <= set(PUBLISHED["OpenVINO"]["options"])


def test_what_the_providers_are_told() -> None:
    """TF32 off, no search for each number of faces, the profile, and the network's own precision."""
    assert PROVIDERS["cuda"].options(ASKED) == {
        "device_id": "1",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    told = PROVIDERS["ort-tensorrt"].options(ASKED)
    assert (told["trt_fp16_enable"], told["trt_int8_enable"], told["trt_engine_cache_path"]) == ("1", "0", "/cache/x")
    assert told["trt_profile_min_shapes"] == "faces:1x16x16x1"
    assert told["trt_profile_opt_shapes"] == "faces:4x16x16x1"
    assert told["trt_profile_max_shapes"] == "faces:8x16x16x1"
    sequences = Asked("0", "int8", 1, ASKED.profile, {"features": (2, -1, -1, 3, 5)}, ASKED.cache)
    told = PROVIDERS["tensorrt-rtx"].options(sequences)
    assert told["nv_profile_min_shapes"] == "features:2x1x1x3x5"
    assert told["nv_profile_max_shapes"] == "features:2x8x16x3x5"
    assert PROVIDERS["ort-tensorrt"].options(sequences)["trt_int8_enable"] == "1"
    assert PROVIDERS["coreml"].options(ASKED)["MLComputeUnits"] == "ALL"
    exact = Asked("0", "fp32", 1, ASKED.profile, {}, ASKED.cache)
    assert PROVIDERS["coreml"].options(exact)["MLComputeUnits"] == "CPUAndGPU"  # the neural engine rounds to float16


def test_the_session_is_given_them(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here: what a session would be made of is recorded, and one on the CPU is made, which is no GPU's."""
    given: list[Any] = []
    real = ort.onnxruntime.InferenceSession

    def record(path: str, options: Any, providers: Any) -> Any:
        given.append(providers)
        return real(path, options, providers=["CPUExecutionProvider"])

    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "providers", lambda: names)
    monkeypatch.setattr(ort, "_preload", lambda: None)
    monkeypatch.setattr(ort.onnxruntime, "InferenceSession", record)
    monkeypatch.setenv("AFFECTKIT_CACHE", str(tmp_path))
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    with pytest.raises(DeviceUnavailable, match=r"'ort-tensorrt': it could not be started \(no GPU"):
        open_engine(tiny / "frame.onnx", device="ort-tensorrt", precision="fp16", profile=ASKED.profile)
    (tensorrt, told), (cuda, rest) = given[-1]
    assert [tensorrt, cuda] == names[:2] and rest["use_tf32"] == "0"
    assert told["trt_profile_max_shapes"] == "faces:8x16x16x1" and told["trt_fp16_enable"] == "1"
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0" and (tmp_path / "ort-tensorrt").is_dir()
    with pytest.raises(DeviceUnavailable, match=r"'cuda:1': it could not be started"):
        open_engine(tiny / "frame.onnx", device="cuda:1")
    assert given[-1] == [("CUDAExecutionProvider", PROVIDERS["cuda"].options(ASKED))]
    assert open_engine(tiny / "frame.onnx", device="auto").device == "cpu"


def test_a_batch_outside_the_profile() -> None:
    profile = Profile(2, 4, 8)
    profile.check(Path("x.onnx"), "faces", (-1, 16), (8, 16))
    for count in (1, 9):
        with pytest.raises(EngineError, match=r"x\.onnx: 'faces' of shape .* is outside the plan's profile, \(2, 16\)"):
            profile.check(Path("x.onnx"), "faces", (-1, 16), (count, 16))


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tensorrt-rtx", r"pip install 'affectkit\[cpu,tensorrt-rtx\]'"),
        ("openvino", r"pip install 'affectkit\[cpu,openvino\]'"),
        ("coreml", "macOS"),
    ],
)
def test_what_is_not_installed(tiny: Path, device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "find_spec", lambda name: None)
    monkeypatch.setattr(ort, "providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceUnavailable, match=message):
        open_engine(tiny / "frame.onnx", device=device)


def test_a_plugin_that_cannot_be_loaded(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "onnxruntime_ep_nv_tensorrt_rtx"
    package.mkdir()
    (tmp_path / "broken.so").write_bytes(b"no library")
    (package / "__init__.py").write_text(f"def get_library_path():\n    return {str(tmp_path / 'broken.so')!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AFFECTKIT_CACHE", str(tmp_path))
    with pytest.raises(DeviceUnavailable, match=r"cannot be loaded: it needs an RTX card .* or use device='cpu'"):
        open_engine(tiny / "frame.onnx", device="tensorrt-rtx")


openvino = pytest.mark.skipif(bool(without_openvino()), reason=without_openvino())


@openvino
def test_openvino_answers_as_the_cpu(tiny: Path) -> None:
    engine = open_engine(tiny / "frame.onnx", device="openvino", threads=1)
    assert engine.device == "openvino"
    for count in (1, 5, 2):
        faces = np.random.default_rng(count).integers(0, 256, (count, 16, 16, 1)).astype(np.uint8)
        for name, want in expected(faces, 1).items():
            assert engine.run({"faces": faces})[name] == pytest.approx(want, abs=1e-4)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run({"faces": faces})


@openvino
@pytest.mark.parametrize("name", [n for n in models.embedded_names() if not n.endswith("-int8")])
def test_openvino_computes_in_float32(name: str) -> None:
    """Also on processors that have bfloat16, which it would take by itself."""
    from affectkit.export.verify import compare_golden, read_golden

    model = models.load(name)
    for one in compare_golden(model.path, read_golden(model.golden), frame=model.frame_onnx, device="openvino"):
        assert one.relative < 1e-4, one
