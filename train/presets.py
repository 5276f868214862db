"""Named sets of options, for ``--preset``: each command's options that differ from the defaults.

train/README.md has the table of what each line is in the paper, in its authors' code, here, and by default.
"""

from __future__ import annotations

from typing import Any

import click

_PAPER_COMMON: dict[str, Any] = {
    "augmentation": "paper",
    "batch_size": 60,
    "sampling": "per-task",
    "epoch_length": "shortest",
    "select_by": "paper",
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_steps": 0,
    "ema": 0.0,
    "expression_weight": 1.0,
    "va_weight": 1.0,
    "focal_gamma": 0.0,
}

_PAPER_CNN: dict[str, Any] = {
    **_PAPER_COMMON,
    "backbone": "resnet50",
    "size": 112,
    "channels": "3",
    "template": "published",
    "balance": True,
    "ml_ros_target": 2.0,
}

_DISTILLATION: dict[str, Any] = {"temperature": 1.5, "supervised_share": 0.6}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "teacher": {**_PAPER_CNN, "au_weight": 8.0, "epochs": 8},
        # In stage 2 the supervised loss of the AUs has no weight of its own.
        "students": {**_PAPER_CNN, **_DISTILLATION, "au_weight": 1.0, "epochs": 3, "count": 5},
        "temporal": {**_PAPER_COMMON, **_DISTILLATION, "au_weight": 8.0, "epochs": 8, "sequence_length": 32},
        "temporal --teacher": {**_PAPER_COMMON, **_DISTILLATION, "au_weight": 1.0, "epochs": 3, "sequence_length": 32},
    }
}
"""By preset and command; what is given on the command line counts before it."""


def apply_preset(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """Make the preset's options the defaults of the command; for an eager option's callback."""
    if value is None:
        return ""
    command = context.info_name or ""
    context.default_map = {**(context.default_map or {}), **PRESETS[value][command]}
    return value
