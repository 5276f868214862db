"""Colours that the colour-blind tell apart: identities by Okabe & Ito (2008), expressions found by a search for the
largest differences; ``tests/test_colours.py`` works them out."""

from __future__ import annotations

IDENTITIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d4a9c", "#7f7f00")

EXPRESSIONS = {
    "neutral": "#cfd5db",
    "anger": "#da0000",
    "disgust": "#006349",
    "fear": "#942cef",
    "happiness": "#f1aa04",
    "sadness": "#050d74",
    "surprise": "#0894da",
}
_OTHERS = ("#ab2a8f", "#581c21", "#a87c62", "#3060bf", "#382155", "#a32c1e")


def of_identity(face: int) -> str:
    """The colour of a face, the same everywhere."""
    return IDENTITIES[face % len(IDENTITIES)]


def of_expressions(names: tuple[str, ...]) -> dict[str, str]:
    """The colour of each expression."""
    others = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {name: EXPRESSIONS.get(name) or next(others) for name in names}
