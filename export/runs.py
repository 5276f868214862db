"""A training run -> a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affectkit.export.to_onnx import write_model_folder
from affectkit.export.verify import Parity
from affectkit.train.loop import load_network
from affectkit.train.runs import checkpoint_of, spec_of


def export_runs(
    runs: Sequence[Path],
    folder: Path,
    *,
    name: str,
    version: str = "1",
    licence: str,
    trained_on: Sequence[str],
    card: str,
    metrics: dict[str, Any] | None = None,
    overwrite: bool = False,
    half: bool = False,
) -> list[Parity]:
    """Fuse the best checkpoints of ``runs`` into one model folder; the arguments are those of
    :func:`affectkit.train.runs.spec_of` and :func:`write_model_folder`.
    """
    loaded = [load_network(checkpoint_of(run)) for run in runs]
    spec = spec_of(
        [state for _, state in loaded],
        name=name,
        version=version,
        licence=licence,
        trained_on=trained_on,
        metrics=metrics,
    )
    networks = [network for network, _ in loaded]
    return write_model_folder(networks, spec, folder, card=card, overwrite=overwrite, half=half)
