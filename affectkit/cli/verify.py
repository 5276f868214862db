"""``affectkit verify``."""

from __future__ import annotations

import sys

import click

from affectkit.cli.common import EXIT_FAILED, say, show_parity
from affectkit.cli.options import shared


@click.command()
@click.argument("model", default="lite")
@shared("device")
def verify(model: str, device: str) -> None:
    """Run MODEL's golden inputs on a device and compare with what its original answered (needs no torch).

    Two numbers of faces, three times each and from two threads: a device that prepares itself for repeated sizes has to
    answer right before, while and after it does.
    """
    from affectkit import models
    from affectkit.export import verify as verification

    folder = models.load(model)
    parity = verification.verify(folder, device=device)
    show_parity(parity)
    problems = verification.problems(parity, folder.spec.precision)
    for problem in problems:
        say(f"error: {folder.spec.name} on {device}: {problem}")
    verdict = "FAILED" if problems else "passed"
    allowed = verification.tolerance_of(folder.spec.precision)
    click.echo(f"{verdict}: {folder.spec.name} ({folder.spec.precision}) on {device}; needed is every output {allowed}")
    if problems:
        sys.exit(EXIT_FAILED)
