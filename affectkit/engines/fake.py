"""An engine without a network, for testing code that uses affectkit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np

from affectkit.errors import EngineError
from affectkit.spec import ModelSpec
from affectkit.types import REGIONS, Array


class FakeEngine:
    """Answers with what a function makes of the inputs, and remembers what it was asked.

    Example:
        >>> engine = FakeEngine.constant(happiness=0.9, AU12=0.8, valence=0.5)
        >>> faces = Predictor(engine=engine).predict_image("portrait.jpg")
        >>> engine = FakeEngine.of(spec, {"happiness": 5.0, "AU12": 3.0})
        >>> engine = FakeEngine(lambda inputs: {"au": np.zeros((1, len(inputs["faces"]), 8), np.float32)})
    """

    def __init__(self, answer: Callable[[Mapping[str, Array]], dict[str, Array]], *, device: str = "fake") -> None:
        self._answer = answer
        self._device = device
        self.calls: list[dict[str, Array]] = []
        """The inputs of every run so far."""
        self.closed = False

    @classmethod
    def of(cls, spec: ModelSpec, logits: Mapping[str, float] | None = None, *, device: str = "fake") -> Self:
        """An engine for a model of any labels that says the same of every face.

        Args:
            spec: of the model, whose outputs are answered: those of the tasks that it has, and features of 0.
            logits: by the name of an expression or action unit, ``AU12_i`` for its intensity; 0 where nothing is said.
                Of ``brows``, ``eyes`` and ``mouth``: whether they can be seen; 10 where nothing is said. Of ``pitch``,
                ``yaw`` and ``roll``: degrees. Valence and arousal are 0.

        Raises:
            ValueError: the model has no label of that name.
        """
        left = dict(logits or {})
        names = {"expression": spec.expression_labels, "au": spec.au_labels}
        rows = {}
        for task, width in spec.task_widths.items():
            values = [left.pop(name, 0.0) for name in names[task]] if task in names else [0.0] * width
            rows[task] = np.array(values, np.float32)
        further = {
            "intensity": [f"{name}_i" for name in spec.au_labels],
            "visibility": list(REGIONS),
            "pose": ["pitch", "yaw", "roll"],
        }
        for output in spec.further_widths:
            usual = 10.0 if output == "visibility" else 0.0
            rows[output] = np.array([left.pop(name, usual) for name in further[output]], np.float32)
        if left:
            known = ", ".join(
                (*spec.expression_labels, *spec.au_labels, *(n for o in spec.further_widths for n in further[o]))
            )
            raise ValueError(f"model {spec.name!r} has no label {next(iter(left))!r}; it has {known}")
        features = (len(spec.tasks), spec.feature_width)

        def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
            faces = len(inputs["faces"])
            said = {task: np.tile(row, (spec.members, faces, 1)) for task, row in rows.items()}
            return said | {"features": np.zeros((spec.members, faces, *features), np.float32)}

        return cls(answer, device=device)

    @classmethod
    def constant(cls, spec: ModelSpec | None = None, *, device: str = "fake", **values: float) -> Self:
        """An engine that says the same of every face, in the numbers that come out: ``happiness=.9, AU12=.8``.

        Args:
            spec: of the model; None: of the embedded ``lite``, which ``Predictor(engine=...)`` takes by itself.
            values: probabilities of expressions and action units, ``AU12_i`` for an intensity, 0..1, ``valence`` and
                ``arousal``, -1..1; ``brows``, ``eyes``, ``mouth`` (visible shares), ``pitch``, ``yaw``, ``roll``
                (degrees). The rest of the expressions share what is left; what is not named is 0, and visible.

        Raises:
            ValueError: there is no such label, or a value is out of range.
        """
        from affectkit.engines.constant import logits_of, usual_spec

        spec = usual_spec() if spec is None else spec
        logits, dimensions = logits_of(spec, values)
        engine = cls.of(spec, logits, device=device)
        said = engine._answer
        if dimensions is None:
            return engine

        def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
            outputs = said(inputs)
            return outputs | {"va": np.tile(dimensions, (spec.members, len(inputs["faces"]), 1))}

        return cls(answer, device=device)

    @property
    def device(self) -> str:
        """The name given at construction."""
        return self._device

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`affectkit.engines.Engine`."""
        if self.closed:
            raise EngineError("the engine is closed")
        self.calls.append(dict(inputs))
        return self._answer(inputs)

    def close(self) -> None:
        """See :class:`affectkit.engines.Engine`."""
        self.closed = True
