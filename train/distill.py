"""Stage 2 of the method: students learn from labels where there are any, and from a teacher everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectkit.train.losses import Labels, au_loss, expression_loss, va_loss
from affectkit.train.networks import Outputs


@torch.no_grad()
def teach(teachers: Sequence[nn.Module], faces: Tensor) -> Outputs:
    """What one teacher, or several as an ensemble, answers; logits of the mean of their probabilities."""
    return together([teacher(faces) for teacher in teachers])


def together(answers: Sequence[Outputs]) -> Outputs:
    """Several answers to the same faces as one: logits of the mean of their probabilities."""
    if len(answers) == 1:
        return answers[0]

    def mean_logits(name: str, groups: int) -> Tensor:
        logits = torch.stack([getattr(answer, name).float() for answer in answers])  # (M, N, C)
        p = torch.softmax(logits.reshape(*logits.shape[:2], groups, -1), -1).mean(0)
        return p.clamp_min(1e-8).log().flatten(1)

    au = torch.stack([answer.au.float() for answer in answers])
    return Outputs(
        mean_logits("expression", 1),
        torch.logit(torch.sigmoid(au).mean(0), eps=1e-6),
        mean_logits("va", 2),
        torch.stack([answer.features.float() for answer in answers]).mean(0),
    )


def rows_of(answers: Outputs, rows: Tensor, device: torch.device) -> Outputs:
    """The answers to some of the faces, on a device."""
    parts = (answers.expression, answers.au, answers.va, answers.features)
    return Outputs(*(part[rows].to(device) for part in parts))


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """(N,) Kullback-Leibler divergence of softmax(teacher / T) from softmax(student / T) over the last axis."""
    log_s, log_t = F.log_softmax(student / temperature, -1), F.log_softmax(teacher / temperature, -1)
    return (log_t.exp() * (log_t - log_s)).sum(-1)


def student_loss(
    student: Outputs,
    teacher: Outputs,
    labels: Labels,
    *,
    temperature: float = 1.5,
    supervised_share: float = 0.6,
    au_weight: float = 8.0,
    expression_weight: float = 1.0,
    va_weight: float = 1.0,
    focal_gamma: float = 0.0,
) -> dict[str, Tensor]:
    """The paper's stage-2 loss for a batch in which every face may have any subset of labels.

    Where a face is labelled for a task: ``supervised_share`` times the supervised loss (with the task's weight) plus
    the rest times distillation; where it is not: distillation alone. A task's two groups count by their size, so that a
    batch that is labelled throughout, or not at all, costs exactly what the paper says. The sum over the tasks is
    divided by their number.

    Returns:
        ``expression``, ``au``, ``va``, each already divided by 3, and their sum ``total``.
    """
    bins = student.va.shape[1] // 2
    expression_d = kl(student.expression, teacher.expression, temperature)  # (N,)
    au_d = F.binary_cross_entropy_with_logits(student.au, torch.sigmoid(teacher.au), reduction="none")  # (N, 8)
    va_d = kl(student.va.unflatten(1, (2, bins)), teacher.va.unflatten(1, (2, bins)), temperature).sum(1)  # type: ignore[no-untyped-call]
    tasks = {
        "expression": (
            expression_d,
            ~torch.isnan(labels.expression).any(1),
            expression_weight * expression_loss(student.expression, labels.expression),
        ),
        "au": (
            au_d,
            ~torch.isnan(labels.au),
            au_weight * au_loss(student.au, labels.au, focal_gamma=focal_gamma),
        ),
        "va": (va_d, ~torch.isnan(labels.va).any(1), va_weight * va_loss(student.va, labels.va)),
    }
    parts = {}
    for name, (distilled, labelled, supervised) in tasks.items():
        share = labelled.to(distilled.dtype) * supervised_share  # of each face (or AU) that supervision takes
        parts[name] = ((distilled * (1 - share)).mean() + share.mean() * supervised) / len(tasks)
    parts["total"] = torch.stack(list(parts.values())).sum()
    return parts
