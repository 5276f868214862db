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


def frame_sibling(model: str | os.PathLike[str]) -> str:
    """The model whose frame.onnx a temporal model runs on, by itself."""
    folder = find(model)
    found = place(folder, FRAME_NAME, read_spec(folder)).parent
    return found.name if found.parent == EMBEDDED else str(found)
