"""Colours that the colour-blind tell apart (Okabe & Ito 2008; expressions after Paul Tol's muted scheme)."""

from __future__ import annotations

IDENTITIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d4a9c", "#7f7f00")

EXPRESSIONS = {
    "neutral": "#cfd5db",
    "anger": "#cc3311",
    "disgust": "#117733",
    "fear": "#882255",
    "happiness": "#ddaa33",
    "sadness": "#332288",
    "surprise": "#33bbee",
}
_OTHERS = ("#aa4499", "#999933", "#44aa99", "#661100", "#6699cc", "#888888")


def of_identity(face: int) -> str:
    """The colour of a face, the same everywhere."""
    return IDENTITIES[face % len(IDENTITIES)]


def of_expressions(names: tuple[str, ...]) -> dict[str, str]:
    """The colour of each expression."""
    others = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {name: EXPRESSIONS.get(name) or next(others) for name in names}
