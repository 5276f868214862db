"""Stage 2 of the method: students learn from labels where there are any, and from a teacher everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectkit.spec import VA_BINS
from affectkit.train.losses import Labels, au_loss, expression_loss, va_loss
from affectkit.train.networks import NetworkConfig, Outputs
from affectkit.types import LabelSet


@torch.no_grad()
def teach(teachers: Sequence[nn.Module], faces: Tensor, labels: LabelSet) -> Outputs:
    """What one teacher, or several as an ensemble, answers; logits of the mean of their probabilities.

    Args:
        teachers: networks with a ``config`` that says what they answer.
        labels: what the student answers: the order of the result.
    """
    answers = [(teacher(faces), cast(NetworkConfig, teacher.config)) for teacher in teachers]
    return together([in_terms_of(answer, config.labels, labels) for answer, config in answers])


def together(answers: Sequence[Outputs]) -> Outputs:
    """Several answers to the same faces as one: logits of the mean of their probabilities.

    NaN, which :func:`in_terms_of` writes for what one of them does not answer, does not count; the features are the
    first one's.
    """
    if len(answers) == 1:
        return answers[0]

    def mean_logits(name: str, groups: int) -> Tensor:
        logits = torch.stack([getattr(answer, name).float() for answer in answers])  # (M, N, C)
        if not logits.shape[2]:
            return logits[0]
        p = torch.softmax(logits.reshape(*logits.shape[:2], groups, -1), -1).nanmean(0)
        return p.clamp_min(1e-8).log().flatten(1)

    au = torch.stack([answer.au.float() for answer in answers])
    return Outputs(
        mean_logits("expression", 1),
        torch.logit(torch.sigmoid(au).nanmean(0), eps=1e-6),
        mean_logits("va", 2),
        answers[0].features.float(),
    )


def rows_of(answers: Outputs, rows: Tensor, device: torch.device) -> Outputs:
    """The answers to some of the faces, on a device."""
    parts = (answers.expression, answers.au, answers.va, answers.features)
    return Outputs(*(part[rows].to(device) for part in parts))


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """(N,) Kullback-Leibler divergence of softmax(teacher / T) from softmax(student / T) over the last axis."""
    log_s, log_t = F.log_softmax(student / temperature, -1), F.log_softmax(teacher / temperature, -1)
    return (log_t.exp() * (log_t - log_s)).sum(-1)


def in_terms_of(answers: Outputs, theirs: LabelSet, ours: LabelSet) -> Outputs:
    """A teacher's logits in the order of another label set; NaN for what the teacher does not answer.

    Action units are matched by name. Expressions exclude each other, so a teacher that knows other classes says nothing
    about ours.
    """
    if theirs == ours:
        return answers
    rows = answers.features.shape[0]
    blank = answers.features.new_full((rows, 1), torch.nan)

    def chosen(logits: Tensor, names: Sequence[str], wanted: Sequence[str]) -> Tensor:
        columns = [logits[:, names.index(name)][:, None] if name in names else blank for name in wanted]
        return torch.cat(columns, 1) if columns else blank[:, :0]

    known = set(ours.expressions) == set(theirs.expressions)
    return Outputs(
        chosen(answers.expression, theirs.expressions if known else (), ours.expressions),
        chosen(answers.au, theirs.action_units, ours.action_units),
        answers.va if theirs.valence_arousal else blank.expand(rows, 2 * VA_BINS if ours.valence_arousal else 0),
        answers.features,
    )


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
    divided by their number. What the teacher does not answer (NaN) is learned from the labels alone.

    Returns:
        the network's tasks, each already divided by their number, and their sum ``total``.
    """
    supervised = {
        "expression": expression_weight * expression_loss(student.expression, labels.expression),
        "au": au_weight * au_loss(student.au, labels.au, focal_gamma=focal_gamma),
        "va": va_weight * va_loss(student.va, labels.va),
    }
    labelled = {
        "expression": ~torch.isnan(labels.expression).any(1),  # (N,)
        "au": ~torch.isnan(labels.au),  # (N, A)
        "va": ~torch.isnan(labels.va).any(1),
    }
    distilled = {task: loss for task, loss in _distilled(student, teacher, temperature).items() if loss.numel()}
    parts = {}
    for task, loss in distilled.items():
        taught = ~torch.isnan(loss)
        # Of each face (or AU) the share that supervision takes.
        share = labelled[task].to(loss.dtype) * torch.where(taught, supervised_share, 1.0)
        unlabelled = torch.where(taught, loss, 0.0) * (1 - share)
        parts[task] = (unlabelled.mean() + share.mean() * supervised[task]) / len(distilled)
    parts["total"] = torch.stack(list(parts.values())).sum()
    return parts


def _distilled(student: Outputs, teacher: Outputs, temperature: float) -> dict[str, Tensor]:
    """What each face (N,), of AUs each entry (N, A), costs by the teacher, NaN where it does not answer.

    Without elements for a task that the student does not have.
    """
    nothing = student.au[:0]

    def masked(loss: Tensor, silent: Tensor) -> Tensor:
        return loss.masked_fill(silent, torch.nan)

    # NaN must not reach the losses themselves: their gradient would be NaN even where it is masked afterwards.
    clean = Outputs(*(torch.nan_to_num(getattr(teacher, name)) for name in ("expression", "au", "va", "features")))
    expression = va = nothing
    if student.expression.shape[1]:
        expression = masked(kl(student.expression, clean.expression, temperature), teacher.expression.isnan().any(1))
    if student.va.shape[1]:
        bins = student.va.shape[1] // 2
        pairs = [logits.unflatten(1, (2, bins)) for logits in (student.va, clean.va)]  # type: ignore[no-untyped-call]
        va = masked(kl(pairs[0], pairs[1], temperature).sum(1), teacher.va.isnan().any(1))  # (N, 2) -> (N,)
    au = F.binary_cross_entropy_with_logits(student.au, torch.sigmoid(clean.au), reduction="none")
    return {"expression": expression, "au": masked(au, teacher.au.isnan()), "va": va}
