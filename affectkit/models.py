"""A name or a path -> a verified model folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from affectkit.errors import ModelError, UnknownModel
from affectkit.onnx_files import external_files
from affectkit.spec import ModelSpec

DEFAULT_MODEL = "lite"
EMBEDDED = Path(__file__).parent / "models"
SPEC_NAME = "model.json"
FRAME_NAME = "frame.onnx"
TEMPORAL_NAME = "temporal.onnx"
GOLDEN_NAME = "golden.npz"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk whose files are what its spec says."""

    path: Path
    spec: ModelSpec

    @property
    def frame_onnx(self) -> Path:
        """The network that looks at single faces; it may belong to another model."""
        return _place(self.path, FRAME_NAME, self.spec)

    @property
    def temporal_onnx(self) -> Path | None:
        """The network that looks at sequences; None for models without one."""
        return None if self.spec.temporal is None else self.path / TEMPORAL_NAME

    @property
    def golden(self) -> Path:
        """Inputs and torch's outputs."""
        return self.path / GOLDEN_NAME


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def embedded_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.parent.name for p in EMBEDDED.glob(f"*/{SPEC_NAME}"))


def find(model: str | os.PathLike[str]) -> Path:
    """The folder of an embedded model's name, or of a path.

    Raises:
        UnknownModel: neither; the message lists the names there are.
        ModelError: a folder without a model in it.
    """
    name = os.fspath(model)
    if name in embedded_names():
        return EMBEDDED / name
    path = Path(name)
    if (path / SPEC_NAME).is_file():
        return path
    what = f"the folder has no {SPEC_NAME}" if path.is_dir() else "no such model"
    kind = ModelError if path.is_dir() else UnknownModel
    raise kind(f"{name}: {what}; embedded are {', '.join(embedded_names())}, or give the path of a model folder")


def read_spec(folder: Path) -> ModelSpec:
    """Parse a folder's model.json without looking at the other files."""
    path = folder / SPEC_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); reinstall the model") from error
    return ModelSpec.from_json(text, path)


def _place(folder: Path, name: str, spec: ModelSpec) -> Path:
    """Where a file of a model lies: in its folder, or, a shared frame.onnx, in that of the model it belongs to.

    That one lies beside the folder, or is embedded.
    """
    if name != FRAME_NAME or spec.frame_model is None:
        return folder / name
    beside = folder.parent / spec.frame_model
    return (beside if (beside / SPEC_NAME).is_file() else EMBEDDED / spec.frame_model) / name


def temporal_sibling(model: str | os.PathLike[str]) -> str | None:
    """The model that looks at sequences where ``model`` looks at single frames; itself if it does already.

    Of ``lite`` it is ``lite-temporal``, of a folder the one beside it with that ending; None where there is none.
    """
    folder = find(model)
    if read_spec(folder).temporal is not None:
        return os.fspath(model)
    name = f"{folder.name}-temporal"
    if os.fspath(model) in embedded_names():
        return name if name in embedded_names() else None
    beside = folder.parent / name
    return str(beside) if (beside / SPEC_NAME).is_file() else None


def precision_sibling(model: str | os.PathLike[str], precision: str) -> str | None:
    """The model that computes in ``precision`` what ``model`` does; itself where it does so, None where there is none.

    Only embedded models have such copies, named with the precision at the end (``lite-int8``): a folder is what its
    owner named.
    """
    name = os.fspath(model)
    if read_spec(find(model)).precision == precision:
        return name
    copy = f"{name}-{precision}"
    return copy if name in embedded_names() and copy in embedded_names() else None


def frame_of(folder: Path, spec: ModelSpec) -> Path:
    """The frame.onnx that a model in ``folder`` runs on, its own or another's.

    Raises:
        ModelError: it is not there.
    """
    path = _place(folder, FRAME_NAME, spec)
    if not path.is_file():
        raise ModelError(f"{folder}: needs the model {spec.frame_model!r} beside it, or embedded; there is none")
    return path


def frame_sibling(model: str | os.PathLike[str]) -> str:
    """The model whose frame.onnx a temporal model runs on, by itself."""
    folder = find(model)
    found = _place(folder, FRAME_NAME, read_spec(folder)).parent
    return found.name if found.parent == EMBEDDED else str(found)


def check_files(folder: Path, spec: ModelSpec) -> list[str]:
    """What is wrong with a folder's files, one line each; empty where all is well.

    Files that no network of the folder refers to (a README, ``.DS_Store``, an editor's backup) do not matter.
    """
    problems = []
    networks = (FRAME_NAME, *([TEMPORAL_NAME] if spec.temporal else []))
    for name in (*networks, GOLDEN_NAME):
        if name not in spec.files:
            problems.append(f"{folder / SPEC_NAME}: lists no checksum for {name}")
    for name, digest in sorted(spec.files.items()):
        path = _place(folder, name, spec)
        if Path(name).name != name or "\0" in name:
            problems.append(f"{folder / SPEC_NAME}: {name!r} is not the name of a file in the folder")
        elif not path.is_file():
            problems.append(f"{path}: missing")
        elif sha256(path) != digest:
            problems.append(f"{path}: damaged or changed, its sha256 is not the one in {folder.name}/{SPEC_NAME}")
    if not problems:
        for name in networks:
            problems += _unchecked(_place(folder, name, spec), spec)
    return problems


def _unchecked(network: Path, spec: ModelSpec) -> list[str]:
    """Files that a network would read, and that are not checked."""
    try:
        named = external_files(network)
    except (OSError, ValueError) as error:
        return [f"{network}: cannot be read as ONNX ({error})"]
    # Those of a network that another model shares lie in its folder, and that model's own spec lists them.
    listed = read_spec(network.parent).files if spec.frame_model is not None else spec.files
    found = []
    for name in sorted(named):
        path = network.parent / name
        if name not in listed or Path(name).name != name:
            found.append(f"{network}: reads {name!r}, which is not listed in {SPEC_NAME}")
        elif spec.frame_model is not None and (not path.is_file() or sha256(path) != listed[name]):
            found.append(f"{path}: missing or damaged")
    return found


def load(model: str | os.PathLike[str] = DEFAULT_MODEL) -> ModelFolder:
    """Find a model and verify every file of it before anything is loaded.

    Raises:
        ModelError: not found, newer than this affectkit, or a file is missing or not the one its spec names.
    """
    folder = find(model)
    spec = read_spec(folder)
    problems = check_files(folder, spec)
    if problems:
        raise ModelError(
            f"{problems[0]}; reinstall the model (pip install --force-reinstall affectkit), or export it again"
        )
    return ModelFolder(folder, spec)
