"""The model card of a copy in another precision: its own name, and its own numbers beside the original's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affectkit.export.parity import ParityReport
from affectkit.spec import ModelSpec

MEASURED = (
    ("expression accuracy", ("expression", "accuracy")),
    ("expression macro F1", ("expression", "macro_f1")),
    ("expression ECE", ("ece",)),
    ("AU Pearson, mean", ("au", "pearson", "mean")),
    ("AU F1, mean", ("au", "f1", "mean")),
    ("valence CCC", ("va", "valence", "ccc")),
    ("arousal CCC", ("va", "arousal", "ccc")),
)
"""What is shown of a report, and where it is in ``ParityReport.metrics``."""


def card_of_copy(original_card: str, original: ModelSpec, digest: str, spec: ModelSpec, report: ParityReport) -> str:
    """The original's card under the copy's name, after a section on what is different.

    Args:
        digest: sha256 of the original's frame.onnx.
        spec: of the copy.
    """
    title, _, rest = original_card.partition("\n")
    if not title.startswith("# "):
        rest = original_card
    about = [
        f"# {spec.name}",
        "",
        f"Computes in {spec.precision}; exported by `affectkit export` from `{original.name}`, whose frame.onnx has a",
        f"sha256 that begins with {digest[:16]}. `parity.json` says how far the answers are apart.",
        "",
        *_table(spec.precision, report),
        f"What follows is the card of `{original.name}`, with numbers measured as it says.",
        "",
    ]
    return "\n".join(about) + rest.rstrip() + "\n"


def _table(precision: str, report: ParityReport) -> list[str]:
    """Both precisions on the labelled faces, if there were any."""
    if report.labelled_agreement is None:
        return []
    found = [f"| {report.labelled} | float32 | {precision} |", "|---|---|---|"]
    for name, path in MEASURED:
        before, after = (_at(report.metrics.get(key, {}), path) for key in ("float32", precision))
        if before is not None and after is not None:
            found.append(f"| {name} | {before:.3f} | {after:.3f} |")
    agreed = report.labelled_agreement
    for name, share in (("expressions", agreed.expression), ("AU decisions", agreed.au)):
        if share is not None:
            found.append(f"| {name} that agree | | {share:.2%} |")
    return [*found, ""]


def _at(document: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    """A number in nested mappings; None where there is none."""
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, (int, float)) else None
