"""An engine without a network, for testing code that uses affectkit."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from affectkit.errors import EngineError
from affectkit.types import Array


class FakeEngine:
    """Answers with what a function makes of the inputs, and remembers what it was asked.

    Example:
        >>> engine = FakeEngine(lambda inputs: {"au": np.zeros((1, len(inputs["faces"]), 8), np.float32)})
    """

    def __init__(self, answer: Callable[[Mapping[str, Array]], dict[str, Array]], *, device: str = "fake") -> None:
        self._answer = answer
        self._device = device
        self.calls: list[dict[str, Array]] = []
        """The inputs of every run so far."""
        self.closed = False

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
