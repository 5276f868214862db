"""Matplotlib, found or asked for."""

from __future__ import annotations

from typing import Any

from affectkit.errors import MissingDependency


def pyplot(purpose: str) -> Any:
    """``matplotlib.pyplot`` drawing to files, never to a window.

    Raises:
        MissingDependency: matplotlib is not installed; the message says what for.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise MissingDependency("matplotlib", "train", purpose) from error
    return plt
