"""What networks answer for whole sets of faces, and how good that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from affectkit.spec import InputSpec
from affectkit.train import metrics
from affectkit.train.checkpoints import Network
from affectkit.train.config import TrainConfig, input_spec_of
from affectkit.train.crops import crop_all
from affectkit.train.distill import in_terms_of, together
from affectkit.train.faces import FaceSet
from affectkit.train.losses import decode_va
from affectkit.train.networks import FURTHER, TASKS, MultitaskCNNRNN, Outputs
from affectkit.train.sequences import sequence_logits
from affectkit.types import Array


@torch.no_grad()
def logits_of(network: nn.Module, faces: FaceSet, spec: InputSpec, *, batch_size: int = 256) -> dict[str, Array]:
    """A CNN's logits for a whole set, without augmentation.

    Returns:
        ``expression`` (N, E), ``au`` (N, A), ``va`` (N, 40), ``intensity`` (N, A), ``visibility`` (N, 3), ``pose``
        (N, 3), of width 0 where the network does not answer it.
    """
    network.eval()
    device = next(network.parameters()).device
    parts: dict[str, list[Array]] = {name: [] for name in (*TASKS, *FURTHER)}
    for start in range(0, len(faces), batch_size):
        stop = min(start + batch_size, len(faces))
        outputs = network(torch.from_numpy(crop_all(faces, range(start, stop), spec)).to(device))
        for task, part in parts.items():
            part.append(getattr(outputs, task).cpu().numpy())
    return {task: np.concatenate(part) for task, part in parts.items()}


@torch.no_grad()
def clean_teacher_outputs(
    teachers: Sequence[Network], faces: FaceSet, config: TrainConfig, *, batch_size: int = 256
) -> Outputs:
    """What teachers together say of every face of a set without disturbance; N rows, on the CPU.

    Each is shown the faces that it wants, whatever the student wants, and their mirror images: no label has a side.
    """
    device = torch.device(config.device)
    ready = [(teacher.to(device).eval(), input_spec_of(teacher.config)) for teacher in teachers]
    specs = dict.fromkeys(spec for _, spec in ready)
    parts: list[Outputs] = []
    for start in range(0, len(faces), batch_size):
        rows = range(start, min(start + batch_size, len(faces)))
        answers: list[Outputs] = []
        for spec in specs:
            crops = torch.from_numpy(crop_all(faces, rows, spec)).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
                answers += [
                    in_terms_of(in_float32(teacher(shown)), teacher.config.labels, config.network.labels)
                    for teacher, wanted in ready
                    if wanted == spec
                    for shown in (crops, crops.flip(2))  # (N, S, S, C)
                ]
        parts.append(together(answers))
    return Outputs(*(torch.cat([getattr(p, name) for p in parts]).float().cpu() for name in (*TASKS, "features")))


def decode(logits: dict[str, Array], *, temperature: float = 1.0) -> dict[str, Array]:
    """Probabilities ``expression`` (N, E) and ``au`` (N, A), and ``va`` (N, 2), of logits (N, C) of one network.

    Valence and arousal are NaN where the network does not answer them.
    """
    expression, au, va = (torch.from_numpy(logits[task]).float() for task in TASKS)
    return {
        "expression": torch.softmax(expression / temperature, 1).numpy(),
        "au": torch.sigmoid(au).numpy(),
        "va": decode_va(va).numpy() if va.shape[1] else np.full((len(va), 2), np.nan, np.float32),
    }


def score(faces: FaceSet, answers: dict[str, Array], au_thresholds: Array) -> dict[str, Any]:
    """``metrics.report`` of probabilities and values as :func:`decode` gives them."""
    return metrics.report(
        expression=faces.expression,
        au=faces.au,
        va=faces.va,
        expression_probability=answers["expression"],
        au_probability=answers["au"],
        va_predicted=answers["va"],
        au_thresholds=au_thresholds,
        labels=faces.label_set,
    )


def run_logits(network: nn.Module, faces: FaceSet, config: TrainConfig) -> dict[str, Array]:
    """Logits of a CNN, or of a CNN-RNN by windows of the length it was trained with."""
    spec = config.input_spec()
    if isinstance(network, MultitaskCNNRNN):
        return sequence_logits(network, faces, spec, config.sequence_length)
    return logits_of(network, faces, spec)


def in_float32(outputs: Outputs) -> Outputs:
    """The logits in float32, whatever the network computed in."""
    return Outputs(
        outputs.expression.float(),
        outputs.au.float(),
        outputs.va.float(),
        outputs.features,
        *(getattr(outputs, name).float() for name in FURTHER),
    )
