"""A training run -> a model folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectkit.errors import ModelError
from affectkit.export.to_onnx import write_model_folder
from affectkit.export.verify import Parity
from affectkit.spec import ModelSpec
from affectkit.train.loop import config_from_dict, load_network
from affectkit.train.networks import FEATURE_WIDTH


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
) -> list[Parity]:
    """Fuse the best checkpoints of ``runs`` into one model folder.

    The AU thresholds are the mean of those that the runs found on their dev part.
    """
    loaded = [load_network(run / "best.pt" if run.is_dir() else run) for run in runs]
    networks = [network for network, _ in loaded]
    specs = {config_from_dict(state["config"]).input_spec() for _, state in loaded}
    if len(specs) != 1:
        raise ModelError("members of one model need the same input; these runs differ in it")
    thresholds = np.mean([state.get("au_thresholds", [0.5] * 8) for _, state in loaded], axis=0)
    source = loaded[0][1].get("au_thresholds_from", "0.5, not calibrated")
    spec = ModelSpec(
        name=name,
        version=version,
        licence=licence,
        trained_on=tuple(trained_on),
        input=specs.pop(),
        au_thresholds=tuple(round(float(t), 4) for t in thresholds),
        au_thresholds_from=source,
        members=len(networks),
        feature_width=FEATURE_WIDTH,
        metrics=metrics or {},
    )
    return write_model_folder(networks, spec, folder, card=card, overwrite=overwrite)
