"""What this installation has and lacks, and the command that mends each problem."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec

from affectkit import models
from affectkit.errors import AffectKitError, NoDevice
from affectkit.versions import version_of


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str
    problem: str = ""
    """Empty where all is well; else what is wrong and how to mend it."""

    def as_dict(self) -> dict[str, str]:
        """Ready for JSON."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything; never raises."""
    checks = [Check("python", f"{platform.python_version()} on {platform.platform()}")]
    for examine_one in (_packages, _runtime, _devices, _codecs, _models, _prediction):
        try:
            checks += examine_one()
        except AffectKitError as error:
            checks.append(Check(examine_one.__name__.strip("_"), "not usable", str(error)))
        except Exception as error:  # a doctor that falls ill is no help
            checks.append(Check(examine_one.__name__.strip("_"), "failed", f"{type(error).__name__}: {error}"))
    return checks


def _packages() -> list[Check]:
    needed = [f"{name} {version_of(name)}" for name in ("affectkit", "numpy", "av", "click", "rich")]
    extras = {
        "pyarrow": "parquet",
        "pandas": "pandas",
        "torch": "train",
        "onnx": "export",
        "tensorrt": "tensorrt",
        "insightface": "insightface",
    }
    optional = [f"{name} {version_of(name) or f'- ({extra})'}" for name, extra in extras.items()]
    opencv = {
        name: version_of(name)
        for name in ("opencv-python-headless", "opencv-python", "opencv-contrib-python")
        if version_of(name)
    }
    found = ", ".join(f"{name} {version}" for name, version in opencv.items())
    return [
        Check("packages", ", ".join(needed)),
        Check("extras", ", ".join(optional)),
        Check("opencv", found or "none", "" if opencv else "pip install opencv-python-headless"),
    ]


def _runtime() -> list[Check]:
    from affectkit.engines import ort

    ort.check_installation()
    found = ", ".join(f"{name} {version}" for name, version in ort.installed().items()) or "built from source"
    return [Check("onnxruntime", found), Check("providers", ", ".join(ort.providers()))]


def _devices() -> list[Check]:
    """Every device that this installation could have, tried for real with a small network."""
    from affectkit.engines import open_engine, ort
    from affectkit.engines.providers import PROVIDERS
    from affectkit.faces.opening import WEIGHTS

    gpus = _gpus()
    checks = [Check("gpu", gpus or "none that nvidia-smi knows")]
    wanted = ["cpu"]
    if "CUDAExecutionProvider" in ort.providers():
        wanted.append("cuda")
    if "TensorrtExecutionProvider" in ort.providers() and version_of("tensorrt"):
        wanted.append("ort-tensorrt")
    wanted += [name for name, one in PROVIDERS.items() if one.plugin and find_spec(one.plugin)]
    if "CoreMLExecutionProvider" in ort.providers():
        wanted.append("coreml")
    if version_of("tensorrt"):
        wanted.append("tensorrt")
    elif gpus:
        checks.append(Check("tensorrt", "not installed (pip install 'affectkit[tensorrt]')"))
    if gpus and "cuda" not in wanted:
        mend = "pip uninstall -y onnxruntime && pip install 'affectkit[gpu]'"
        checks.append(Check("device cuda", "a GPU is there, but this ONNX Runtime has no CUDA provider", mend))
    for device in wanted:
        try:
            engine = open_engine(WEIGHTS / "rnet.onnx", device=device)
            checks.append(Check(f"device {device}", f"runs on {engine.device}"))
            engine.close()
        except NoDevice as error:  # nothing is wrong, and nothing mends it
            checks.append(Check(f"device {device}", str(error)))
        except AffectKitError as error:
            checks.append(Check(f"device {device}", "cannot be used", str(error)))
    return checks


def _gpus() -> str:
    """Names and driver of the GPUs, as nvidia-smi gives them; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "; ".join(answer.stdout.split("\n")).strip("; ") if answer.returncode == 0 else ""


def _codecs() -> list[Check]:
    import av

    missing = [name for name in ("h264", "hevc", "vp9", "av1", "aac") if name not in av.codecs_available]
    note = f"; cannot read {', '.join(missing)}" if missing else ""
    encoder = "libx264" if "libx264" in av.codecs_available else "mpeg4 (larger files than libx264)"
    return [Check("codecs", f"FFmpeg {_ffmpeg(av.ffmpeg_version_info)}, renders with {encoder}{note}")]


def _ffmpeg(version: str | Callable[[], str]) -> str:
    return version if isinstance(version, str) else version()


def _models() -> list[Check]:
    checks = []
    for name in models.embedded_names():
        folder = models.find(name)
        problems = models.check_files(folder, models.read_spec(folder))
        mend = f"{problems[0]}: pip install --force-reinstall affectkit" if problems else ""
        checks.append(Check(f"model {name}", str(folder), mend))
    return checks or [Check("models", "none", "no model is embedded: pip install --force-reinstall affectkit")]


def _prediction() -> list[Check]:
    import numpy as np

    from affectkit.predictor import Predictor

    with Predictor() as predictor:
        size = predictor.spec.input.size
        predictor.predict_aligned(np.zeros((1, size, size, 1), np.uint8))
        return [Check("prediction", f"the default model runs on {predictor.device}")]
