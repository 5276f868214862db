"""What the package promises as a package: names, imports, contents of the wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import affectkit

ROOT = Path(__file__).parent.parent
HEAVY = ("av", "cv2", "onnxruntime", "torch", "rich", "pyarrow", "pandas", "click", "onnx")


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_public_names() -> None:
    assert affectkit.__all__ == [
        "AU_NAMES",
        "EXPRESSION_NAMES",
        "Affect",
        "AffectKitError",
        "Detection",
        "Detector",
        "DeviceUnavailable",
        "Engine",
        "EngineError",
        "Face",
        "FakeEngine",
        "Film",
        "Frame",
        "FrameResult",
        "Group",
        "InputSpec",
        "LabelSet",
        "LeftOut",
        "LiveSource",
        "Measure",
        "MissingDependency",
        "ModelError",
        "ModelSpec",
        "OutputError",
        "Picture",
        "PredictKeywords",
        "Predictor",
        "PredictorConfig",
        "PredictorKeywords",
        "ResultStream",
        "Session",
        "Source",
        "SourceError",
        "SourceInfo",
        "SourceReport",
        "StreamKeywords",
        "Summary",
        "Table",
        "TemporalSpec",
        "TrackedFace",
        "TrackedFrame",
        "__version__",
        "open_source",
        "read_table",
    ]
    for name in affectkit.__all__:
        assert getattr(affectkit, name) is not None and name in dir(affectkit)
    with pytest.raises(AttributeError, match="no attribute 'predictor_'"):
        affectkit.predictor_  # noqa: B018


def test_importing_loads_nothing_heavy_and_starts_nothing() -> None:
    assert not loaded_by("import affectkit") & set(HEAVY)
    code = "import affectkit, threading; assert threading.active_count() == 1"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == run.stderr == ""


def test_the_sdk_never_needs_torch() -> None:
    loaded = loaded_by(
        "import affectkit; affectkit.Predictor(); import affectkit.cli, affectkit.doctor, affectkit.overlay"
    )
    assert not {"torch", "onnx", "pandas", "pyarrow"} & loaded


LAYERS = {
    "errors": set(),
    "types": {"errors", "tables"},  # its values show themselves
    "tables": {"*"},
    "report": {"*"},
    "cite": set(),
    "thresholds": {"models", "types"},
    "given": {"errors", "stills", "types"},
    "clock": set(),
    "spec": {"errors", "types"},
    "models": {"errors", "models", "types", "spec", "onnx_files"},
    "picture": {"types", "warping"},
    "state": {"errors", "types", "picture", "npz"},
    "versions": set(),
    "options": {"baseline", "engines", "faces", "outputs", "spec", "temporal", "types"},
    "benchmark": {"*"},
    "cluster": {"*"},
    "results": {"*"},  # the second half of predictor
    "predictor": {"*"},
    "checkpointer": {"*"},
    "jobs": {"*"},
    "workers": {"*"},
    "cli": {"*"},
    "doctor": {"*"},
    "__init__": {"*"},
    "__main__": {"*"},
}
"""What a file of the SDK may import of it; a stage (any other file) may import what STAGE says."""

STAGE = {"errors", "types", "spec", "state", "picture", "gate", "versions"}  # of the gate only how names are printed
SOURCES = STAGE | {"fields", "folder", "orientation", "planes", "span", "stills", "timing", "video"}
OUTPUTS = STAGE | {"outputs", "soundtrack", "tables", "targets"}
BASELINE = OUTPUTS | {"baseline", "baseline_file", "calm", "corrected", "finders", "options", "predictor"}
RUNS = SOURCES | OUTPUTS | {"__version__", "baseline", "job", "locks", "options"}
EXCEPTIONS = {
    # a package is one stage, its files may import each other
    "engines": STAGE | {"engines", "models"},  # a fake one asks for the usual spec
    "faces": STAGE | {"faces"},
    # so are those that open what is read, and those that keep what is written
    **dict.fromkeys(("fields", "folder", "orientation", "planes", "span", "stills", "timing", "video"), SOURCES),
    **dict.fromkeys(("outputs", "people", "soundtrack"), OUTPUTS),
    **dict.fromkeys(("baseline", "baseline_file", "calm", "corrected", "finders", "live_baseline"), BASELINE),
    **dict.fromkeys(("job", "locks", "notes", "places"), RUNS),
    "align": STAGE | {"visible"},  # how much of a face lies in the picture
    "turning": STAGE | {"readout", "visible"},
    "reading": STAGE | {"align", "readout", "turning", "visible"},  # what comes between crops and answers
    "kept": STAGE | {"batch"},  # as many pictures wait as a batch has
    "overlay": OUTPUTS | {"video"},  # writes files by the rule of the one, opens sources as the other
}


def imports(path: Path) -> set[str]:
    """Second part of every `affectkit.x` that a file imports, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "affectkit":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("affectkit.")}
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "affectkit").rglob("*.py")), ids=lambda p: p.stem)
def test_import_rules(path: Path) -> None:
    part = path.relative_to(ROOT / "affectkit").parts[0].removesuffix(".py")
    allowed = LAYERS.get(part) or EXCEPTIONS.get(part, STAGE)
    if part == "errors":
        allowed = set()
    if "*" not in allowed:
        assert imports(path) <= allowed
    if part != "cli":
        assert not imports(path) & {"train", "export"}


def test_each_heavy_package_is_imported_in_one_place() -> None:
    homes = {
        "av": {"doctor", "fields", "gate", "orientation", "overlay", "planes", "soundtrack", "timing", "video"},
        "PIL": {"stills"},
        "onnxruntime": {"ort"},
        "tensorrt": {"trt"},
        "ray": {"cluster"},
        "torch": set(),
        "matplotlib": {"plots", "saving", "table", "types"},  # but for the first, names of its types only
    }
    for path in (ROOT / "affectkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                package = name.split(".")[0]
                assert path.stem in homes.get(package, {path.stem}), f"{path} imports {package}"


def test_packages_are_what_lies_on_disk() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    on_disk = {"affectkit"}
    on_disk |= {
        "affectkit." + ".".join(p.parent.relative_to(ROOT / "affectkit").parts)
        for p in (ROOT / "affectkit").rglob("__init__.py")
        if p.parent != ROOT / "affectkit"
    }
    for top in ("export", "train"):
        on_disk |= {
            "affectkit." + ".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / top).rglob("__init__.py")
        }
    assert set(settings["packages"]) == on_disk


def test_the_wheel_holds_everything_and_stays_small(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    source = tmp_path / "source"
    for name in ("affectkit", "export", "train", "pyproject.toml", "README.md", "LICENSE"):
        path = ROOT / name
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            import shutil

            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (source / name).write_bytes(path.read_bytes())
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size <= 20e6
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        "affectkit/py.typed",
        *(
            f"affectkit/models/{model}/{name}"
            for model in ("lite", "lite-ensemble", "lite-int8")
            for name in ("frame.onnx", "model.json", "golden.npz", "MODEL_CARD.md")
        ),
        "affectkit/faces/weights/onet.onnx",
        "affectkit/faces/weights/LICENSE.mtcnn",
    }
    for top in ("affectkit", "export", "train"):
        for path in (ROOT / top).rglob("*.py"):
            inside = path.relative_to(ROOT).as_posix()
            expected.add(inside if top == "affectkit" else f"affectkit/{inside}")
    assert expected <= names


def test_nothing_of_ours_reaches_outside() -> None:
    """No host name of a private registry, no absolute path of a build machine, in anything that is tracked as text."""
    for path in (ROOT / "affectkit").rglob("*.json"):
        assert "/work/" not in path.read_text()
    for path in (ROOT / "affectkit").rglob("*.onnx"):
        # `org.pytorch` is the name of an operator set.
        assert b"/work/" not in path.read_bytes() and not re.search(rb"\w\w\.py\b", path.read_bytes()), path
