"""A training run -> a model folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affectkit.errors import ModelError
from affectkit.export.to_onnx import write_model_folder
from affectkit.export.verify import Parity
from affectkit.models import frame_of, read_spec
from affectkit.spec import ModelSpec
from affectkit.train.checkpoints import load_any
from affectkit.train.networks import MultitaskCNNRNN
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
    frame_model: str | None = None,
) -> list[Parity]:
    """Fuse the best checkpoints of ``runs`` into one model folder; the arguments are those of
    :func:`affectkit.train.runs.spec_of` and :func:`write_model_folder`.

    Args:
        frame_model: of CNN-RNNs: the model that has their CNN already, and whose frame.onnx is not copied.
    """
    loaded = [load_any(checkpoint_of(run)) for run in runs]
    cnns = [network.cnn if isinstance(network, MultitaskCNNRNN) else network for network, _ in loaded]
    heads = [network.heads for network, _ in loaded if isinstance(network, MultitaskCNNRNN)]
    if heads and len(heads) != len(cnns):
        raise ModelError("members of one model are either all CNNs or all CNN-RNNs; these runs are both")
    spec = spec_of(
        [state for _, state in loaded],
        name=name,
        version=version,
        licence=licence,
        trained_on=trained_on,
        metrics=metrics,
    )
    if frame_model is not None:
        spec = on_frame_model(spec, frame_model, folder)
    return write_model_folder(cnns, spec, folder, card=card, temporal=heads, overwrite=overwrite, half=half)


def on_frame_model(spec: ModelSpec, frame_model: str, folder: Path) -> ModelSpec:
    """The spec of a temporal model in ``folder`` that runs on another model's frame.onnx.

    What can be seen is that network's to say, so the thresholds that were found for it count.

    Raises:
        ModelError: there is no model of that name.
    """
    spec = dataclasses.replace(spec, frame_model=frame_model)
    single = read_spec(frame_of(folder, spec).parent)
    if spec.visibility_thresholds is None or single.visibility_thresholds is None:
        return spec
    return dataclasses.replace(
        spec,
        visibility_thresholds=single.visibility_thresholds,
        visibility_thresholds_from=single.visibility_thresholds_from,
    )
