"""Which model is run: the one that was named, or its relative that looks at sequences, or computes otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from affectkit.errors import ModelError
from affectkit.models.names import (
    DEFAULT_MODEL,
    EMBEDDED,
    FRAME_NAME,
    SPEC_NAME,
    embedded_names,
    find,
    place,
    read_spec,
)
from affectkit.spec import ModelSpec, Precision


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that was found; of its files only model.json has been read."""

    name: str
    """An embedded model's name, or the path of a folder."""
    folder: Path
    spec: ModelSpec

    @property
    def embedded(self) -> bool:
        """Whether it comes with the package."""
        return self.name in embedded_names()


def resolve(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    temporal: bool | None = None,
    precision: str | None = None,
    device: str = "auto",
) -> Choice:
    """The model that does what is asked for; each model.json that decides is read once.

    Args:
        temporal: True: it looks at sequences, False: at single frames; None: as the model does.
        precision: ``fp32``, ``fp16`` or ``int8``; ``auto``: the int8 copy of an embedded model, on CPUs that are made
            for it; None: as the model does.
        device: where it is to run, for ``auto``.

    Raises:
        UnknownModel: there is none of that name; the message lists those there are.
        ModelError: it is damaged, or there is no such relative.
        ValueError: there is no such precision.
    """
    choice = _named(model)
    if temporal is not None:
        choice = _over_time(choice) if temporal else _single(choice)
    if precision is None:
        return choice
    return _fastest(choice, device) if precision == "auto" else _computing_in(choice, precision)


def _named(model: str | os.PathLike[str]) -> Choice:
    folder = find(model)
    return Choice(os.fspath(model), folder, read_spec(folder))


def _over_time(choice: Choice) -> Choice:
    """The model that looks at sequences where ``choice`` looks at single frames; itself if it does already."""
    found = temporal_relative(choice)
    if found is None:
        raise ModelError(f"{choice.name}: has no temporal part, and there is no {choice.name}-temporal")
    return found


def temporal_relative(choice: Choice) -> Choice | None:
    """The same, or None where there is none.

    Of ``lite`` it is ``lite-temporal``, of a folder the one beside it with that ending.
    """
    if choice.spec.temporal is not None:
        return choice
    name = f"{choice.folder.name}-temporal"
    if choice.embedded:
        return _named(name) if name in embedded_names() else None
    beside = choice.folder.parent / name
    return _named(str(beside)) if (beside / SPEC_NAME).is_file() else None


def _single(choice: Choice) -> Choice:
    """The model whose frame.onnx a temporal model shares; another one is itself, with its temporal part unused."""
    if choice.spec.frame_model is None:
        return choice
    found = place(choice.folder, FRAME_NAME, choice.spec).parent
    return _named(found.name if found.parent == EMBEDDED else str(found))


def _computing_in(choice: Choice, precision: str) -> Choice:
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be auto, {', '.join(get_args(Precision))}, got {precision!r}")
    found = precision_relative(choice, precision)
    if found is None:
        raise ModelError(
            f"{choice.name}: computes in {choice.spec.precision}, and has no {precision} copy; make one of the float32 "
            f"model with: affectkit export {choice.name} --precision {precision} -o FOLDER"
        )
    return found


def precision_relative(choice: Choice, precision: str) -> Choice | None:
    """The model that computes in ``precision`` what this one does; itself where it does so, None where there is none.

    Only embedded models have such copies, named with the precision at the end (``lite-int8``): a folder is what its
    owner named.
    """
    if choice.spec.precision == precision:
        return choice
    copy = f"{choice.name}-{precision}"
    return _named(copy) if choice.embedded and copy in embedded_names() else None


def _fastest(choice: Choice, device: str) -> Choice:
    """The int8 copy where there is one, and the CPU that it would run on is fast at it."""
    from affectkit import engines  # late: only this needs them
    from affectkit.engines import cpu

    if device not in ("auto", "cpu") or not choice.embedded:
        return choice
    copy = precision_relative(choice, "int8")
    if copy is None or not cpu.multiplies_bytes_fast() or (device == "auto" and engines.may_use_cuda()):
        return choice
    return copy
