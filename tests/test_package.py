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
        "AsyncResultStream",
        "Detection",
        "Detector",
        "DetectsFaces",
        "DeviceUnavailable",
        "DrawnPlanes",
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
        "Overlay",
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
        "crop_face",
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
        "import affectkit; affectkit.Predictor(); import affectkit.cli, affectkit.doctor, affectkit.outputs.overlay"
    )
    assert not {"torch", "onnx", "pandas", "pyarrow"} & loaded


STAGE = {"face_results", "documented", "errors", "forking", "serialization", "picture", "spec", "types", "versions"}
"""What every stage may import."""

MAY_IMPORT = {
    # values
    "documented": set(),
    "errors": set(),
    "forking": {"errors"},
    "versions": set(),
    "npz": {"types"},
    "types": {"documented", "errors"},
    "face_results": {"documented", "tables", "types"},  # they show themselves
    "spec": {"errors", "spec_file", "types"},  # which it hands texts to
    "spec_file": {"errors", "spec", "types"},
    "serialization": {"face_results", "picture", "types"},
    "picture": {"types", "warping"},
    # rooms
    "models": {"engines", "errors", "models", "onnx_files", "spec", "types"},  # whether one may be fast decides
    "engines": STAGE | {"engines", "models", "outputs"},  # a fake one asks for the usual spec; plans are kept whole
    "baseline": STAGE | {"baseline", "options", "outputs", "predictor", "sources", "tables"},
    "faces": STAGE | {"engines", "faces"},  # opening.py opens the networks of detectors
    "sources": STAGE | {"sources"},
    "outputs": STAGE | {"batch", "outputs", "sources", "tables"},  # as many pictures wait as a batch has
    # stages
    "align": STAGE | {"visibility"},  # how much of a face lies in the picture
    "turning": STAGE | {"readout", "visibility"},
    "inference": STAGE | {"align", "readout", "turning", "visibility"},  # what comes between crops and answers
    "temporal": STAGE | {"windows"},
    "image_input": STAGE | {"sources"},
    "thresholds": {"models", "types"},
    "options": {"baseline", "engines", "faces", "outputs", "sources", "spec", "types", "windows"},
}
"""What a room or a module of the SDK may import of it; a stage (any other module) may import what STAGE says."""

WIRING = {
    "pipeline",
    "benchmark",
    "cli",
    "doctor",
    "measurements",
    "networks",
    "predictor",
    "report",
    "result_stream",
    "runs",
    "tables",
}
"""They put the others together, and may import them all."""


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
    if part not in WIRING | {"__init__", "__main__"}:
        assert imports(path) <= MAY_IMPORT.get(part, STAGE)
    if part != "cli":
        assert not imports(path) & {"train", "export"}


def test_each_heavy_package_is_imported_in_one_place() -> None:
    homes = {
        "av": {
            *("doctor", "soundtrack", "video"),  # outputs/video.py and sources/video.py
            *(
                "converter",
                "fields",
                "gate",
                "geometry",
                "limits",
                "live",
                "orientation",
                "planes",
                "streams",
                "timing",
            ),
        },
        "PIL": {"lettering", "pixels", "stills"},
        "onnxruntime": {"ort"},
        "tensorrt": {"trt"},
        "ray": {"cluster"},
        "fsspec": {"stores"},
        "torch": set(),
        "matplotlib": {"face_results", "plots", "saving", "table"},  # but for the first, names of its types only
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


LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS = 350, 60, 8

UNTYPED = {
    # what meta files, reports and models say, on its way to JSON or from it
    *(
        "face_results.py",
        "baseline/neutral.py",
        "baseline/from_file.py",
        "measurements.py",
        "networks.py",
        "predictor.py",
    ),
    *("outputs/json_files.py", "spec.py", "spec_file.py", "sources/base.py", "sources/folder.py", "sources/timing.py"),
    *("report/comparison.py", "report/curves.py", "report/page.py"),
    *("tables/exports.py", "tables/reading.py", "tables/display.py", "tables/table.py", "tables/writing.py"),
    *("runs/checkpointer.py", "runs/resume_notes.py", "runs/run.py"),
    *("runs/job.py", "runs/made.py", "runs/record.py", "runs/record_reading.py", "runs/status.py", "runs/way.py"),
    "serialization.py",  # what is stored of a stage: State
    "runs/cluster.py",  # Ray's rows
    "sources/gate.py",  # FFmpeg's options
    "options.py",  # a dataclass' fields by name, whatever they are
}
"""Modules that may say `dict[str, Any]`; anywhere else values have names and types."""

MODULES = sorted((ROOT / "affectkit").rglob("*.py"))


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """All of a module but commands, whose parameters are their options."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [node for node in found if not any("command" in ast.unparse(one) for one in node.decorator_list)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT / "affectkit").as_posix())
def test_nothing_is_too_long(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    reason = f"Over {LONGEST_MODULE} lines: " in (ast.get_docstring(tree) or "")
    assert text.count("\n") <= LONGEST_MODULE or reason, "split it, or say in its docstring why it is so long"
    for node in functions(tree):
        assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        assert len([one for one in given if one.arg not in ("self", "cls")]) <= MOST_PARAMETERS, node.name


def test_values_have_types() -> None:
    found = {
        path.relative_to(ROOT / "affectkit").as_posix() for path in MODULES if "dict[str, Any]" in path.read_text()
    }
    assert found == UNTYPED


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


@pytest.mark.slow
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
        "affectkit/outputs/typeface/DejaVuSans.ttf",
        "affectkit/outputs/typeface/LICENSE.dejavu",
        *(f"affectkit/export/web/{path.name}" for path in (ROOT / "export" / "web").iterdir()),
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


def test_commands_load_with_an_older_click() -> None:
    """Before 8.2 its types had no parameters; pyproject.toml allows them."""
    code = (
        "import click, importlib, pkgutil\n"
        "click.Choice.__class_getitem__ = None\n"
        "import affectkit.cli\n"
        "for module in pkgutil.iter_modules(affectkit.cli.__path__):\n"
        "    importlib.import_module(f'affectkit.cli.{module.name}')\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
