"""What a public signature names can be imported from ``affectkit``."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator

import pandas as pd
import pytest

import affectkit

PUBLIC: dict[str, object] = {name: getattr(affectkit, name) for name in affectkit.__all__}

FOREIGN = {"pd": pd, "pandas": pd, "Axes": object}
"""Of other packages, which are imported for type checkers only; ``Axes`` is matplotlib's."""

HANDED_OUT = {"LiveSource", "ResultStream", "Session"}
"""Made by methods and functions: how they are constructed is not public."""

OPERATORS = ("__init__", "__enter__", "__iter__", "__next__", "__getitem__", "__len__", "__call__")


def hints(where: object) -> dict[str, object]:
    """The annotations of a class or function; what is imported for type checkers only has to be public or foreign."""
    return typing.get_type_hints(where, localns={**PUBLIC, **FOREIGN})


def parts(hint: object) -> Iterator[object]:
    """A type and all those that it is made of."""
    yield hint
    for argument in typing.get_args(hint):
        for one in argument if isinstance(argument, list | tuple) else [argument]:
            yield from parts(one)


def functions_of(name: str, public: type) -> Iterator[tuple[str, object]]:
    """The methods and properties that users call."""
    for member, value in inspect.getmembers(public):
        if member.startswith("_") and (member not in OPERATORS or (member == "__init__" and name in HANDED_OUT)):
            continue
        function = value.fget if isinstance(value, property) else inspect.unwrap(getattr(value, "__func__", value))
        if inspect.isfunction(function) and function.__module__.startswith("affectkit"):
            yield f"{name}.{member}", function


def signatures() -> Iterator[tuple[str, dict[str, object]]]:
    """Everything public that has annotations, and them."""
    for name, public in PUBLIC.items():
        if inspect.isclass(public):
            yield name, {field: hint for field, hint in hints(public).items() if not field.startswith("_")}
            for where, function in functions_of(name, public):
                yield where, hints(function)
        elif callable(public):
            yield name, hints(public)


SIGNATURES = dict(signatures())


@pytest.mark.parametrize("where", SIGNATURES)
def test_types_in_public_signatures_are_exported(where: str) -> None:
    named = {
        part
        for hint in SIGNATURES[where].values()
        for part in parts(hint)
        if inspect.isclass(part) and part.__module__.startswith("affectkit")
    }
    hidden = {f"{part.__module__}.{part.__qualname__}" for part in named if part not in PUBLIC.values()}
    assert not hidden, f"{where} names {hidden}, which `from affectkit import ...` does not give"


def test_the_signatures_are_found() -> None:
    assert {"Predictor.stream", "Predictor.live", "Session.push", "Source.frames", "open_source"} <= SIGNATURES.keys()
    assert SIGNATURES["Predictor.stream"]["return"] is affectkit.ResultStream
    assert "Session.__init__" not in SIGNATURES and "Predictor.__init__" in SIGNATURES
