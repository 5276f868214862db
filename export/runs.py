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
from affectkit.train.loop import config_from_dict, load_checkpoint
from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNN


def load_member(path: Path) -> tuple[MultitaskCNN, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, and the checkpoint.

    Args:
        path: a checkpoint, or a run's folder, whose best one is taken.
    """
    path = path / "best.pt" if path.is_dir() else path
    state = load_checkpoint(path)
    network = MultitaskCNN(config_from_dict(state["config"]).network)
    try:
        network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise ModelError(f"{path}: its weights do not fit its own description: {error}") from error
    return network.eval(), state


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
    loaded = [load_member(run) for run in runs]
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
