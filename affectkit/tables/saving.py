"""A frame's result as a file: JSON, or a picture of it."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

from affectkit.errors import UnknownSuffix
from affectkit.face_results import FrameResult
from affectkit.outputs.files import check_target, prepare_bytes

SUFFIXES = (".json", ".png", ".jpg", ".jpeg", ".svg", ".pdf")


def save_result(result: FrameResult, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """See :meth:`affectkit.FrameResult.save`."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise UnknownSuffix(f"{path}: unknown suffix {path.suffix!r} for a frame; allowed: {', '.join(SUFFIXES)}")
    check_target(path, overwrite=overwrite)
    if kind == ".json":
        data = (json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    else:
        data = _drawn(result, kind[1:])
    prepare_bytes(path, data, overwrite=overwrite).commit()


def _drawn(result: FrameResult, kind: str) -> bytes:
    """The plot, without a window and without pyplot's memory of figures."""
    from affectkit.tables.plots import new_figure, plot_result

    figure = new_figure((9, 5.5))
    plot_result(result, figure.subplots())
    written = io.BytesIO()
    figure.savefig(written, format=kind, dpi=150)
    return written.getvalue()
