"""Which models there are, and which is whose relative; of each only the folder's name and its model.json are read."""

from __future__ import annotations

import os
from pathlib import Path

from affectkit.errors import ModelError, UnknownModel
from affectkit.spec import ModelSpec

DEFAULT_MODEL = "lite"
EMBEDDED = Path(__file__).parent
"""The folder of the models that come with the package."""
SPEC_NAME = "model.json"
FRAME_NAME = "frame.onnx"
TEMPORAL_NAME = "temporal.onnx"
GOLDEN_NAME = "golden.npz"


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


def place(folder: Path, name: str, spec: ModelSpec) -> Path:
    """Where a file of a model lies: in its folder, or, a shared frame.onnx, in that of the model it belongs to.

    That one lies beside the folder, or is embedded.
    """
    if name != FRAME_NAME or spec.frame_model is None:
        return folder / name
    beside = folder.parent / spec.frame_model
    return (beside if (beside / SPEC_NAME).is_file() else EMBEDDED / spec.frame_model) / name
