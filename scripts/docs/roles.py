"""What the pages of the API need of griffe, which reads the code without running it.

Docstrings are written for ``help()``: a role of theirs (:class:`affectkit.Table`) becomes plain code on a page.
Functions whose keyword arguments are the fields of a dataclass (``options.spelled_out``) show these, as
:func:`inspect.signature` does.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|mod|exc|data):`~?([^`]+)`")
EXAMPLE = re.compile(r"^(\s*)Example:$", re.M)


class Roles(griffe.Extension):
    """Rewrites docstrings and signatures once they are known."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called of every module, class, function and attribute."""
        if not obj.is_alias and obj.docstring is not None:
            # "Example:" is a heading of help(); the pages know only "Examples:" as code.
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", ROLE.sub(r"`\1`", obj.docstring.value))

    def on_function(self, *, func: Any, **_: Any) -> None:
        """Called of every function; one with ``**options: Unpack[...]`` gets the parameters it really takes."""
        if not any("Unpack[" in str(parameter.annotation) for parameter in func.parameters):
            return
        owner = getattr(import_module(func.module.path), func.parent.name) if func.parent.is_class else None
        found = getattr(owner or import_module(func.module.path), func.name)
        func.parameters = griffe.Parameters(*map(_parameter, inspect.signature(found).parameters.values()))


def _parameter(given: inspect.Parameter) -> griffe.Parameter:
    kind = griffe.ParameterKind[given.kind.name.lower()]
    told = given.default is not given.empty
    annotation = None if given.annotation is given.empty else str(given.annotation)
    return griffe.Parameter(given.name, annotation=annotation, kind=kind, default=repr(given.default) if told else None)
