"""A model with other thresholds of its action units than its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from affectkit.types import au_name

if TYPE_CHECKING:
    from affectkit.models.files import ModelFolder


def with_thresholds(model: ModelFolder, given: Mapping[str, float] | None) -> ModelFolder:
    """The model whose spec has the thresholds that are given, and its own of the other units.

    Raises:
        ValueError: the model has no such unit.
    """
    if not given:
        return model
    spec = model.spec
    wanted = {au_name(unit): float(threshold) for unit, threshold in given.items()}
    unknown = [unit for unit in wanted if unit not in spec.au_labels]
    if unknown:
        known = ", ".join(spec.au_labels) or "none"
        raise ValueError(f"au_thresholds: model {spec.name!r} has no {unknown[0]}; its action units are {known}")
    changed = dataclasses.replace(
        spec,
        au_thresholds=tuple((spec.thresholds | wanted).values()),
        au_thresholds_from=f"{spec.au_thresholds_from}; given: {', '.join(sorted(wanted))}",
    )
    return dataclasses.replace(model, spec=changed)
