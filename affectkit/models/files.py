"""Model folders whose files are what their model.json says."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from affectkit.errors import ModelError
from affectkit.models.choice import Choice, resolve
from affectkit.models.names import (
    DEFAULT_MODEL,
    FRAME_NAME,
    GOLDEN_NAME,
    SPEC_NAME,
    TEMPORAL_NAME,
    place,
    read_spec,
)
from affectkit.onnx_files import external_files
from affectkit.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk whose files are what its spec says."""

    path: Path
    spec: ModelSpec

    @property
    def frame_onnx(self) -> Path:
        """The network that looks at single faces; it may belong to another model."""
        return place(self.path, FRAME_NAME, self.spec)

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


def frame_of(folder: Path, spec: ModelSpec) -> Path:
    """The frame.onnx that a model in ``folder`` runs on, its own or another's.

    Raises:
        ModelError: it is not there.
    """
    path = place(folder, FRAME_NAME, spec)
    if not path.is_file():
        raise ModelError(f"{folder}: needs the model {spec.frame_model!r} beside it, or embedded; there is none")
    return path


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
        path = place(folder, name, spec)
        if Path(name).name != name or "\0" in name:
            problems.append(f"{folder / SPEC_NAME}: {name!r} is not the name of a file in the folder")
        elif not path.is_file():
            problems.append(f"{path}: missing")
        elif sha256(path) != digest:
            problems.append(f"{path}: damaged or changed, its sha256 is not the one in {folder.name}/{SPEC_NAME}")
    if not problems:
        for name in networks:
            problems += _unchecked(place(folder, name, spec), spec)
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
    return load_choice(resolve(model))


def load_choice(choice: Choice) -> ModelFolder:
    """Verify every file of a model that was found.

    Raises:
        ModelError: a file is missing or not the one its spec names.
    """
    problems = check_files(choice.folder, choice.spec)
    if problems:
        raise ModelError(
            f"{problems[0]}; reinstall the model (pip install --force-reinstall affectkit), or export it again"
        )
    return ModelFolder(choice.folder, choice.spec)
