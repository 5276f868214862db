"""``affectkit import-checkpoints``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from affectkit.cli.common import late, show_parity


@click.command("import-checkpoints")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model folder to write.")
@click.option("--name", help="Name of the model.  [default: the folder's]")
@click.option(
    "--ensemble",
    type=click.Choice(["logits", "probabilities"]),
    default="logits",
    show_default=True,
    help="What is averaged over the members; the published code averages logits.",
)
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def import_checkpoints(path: Path, output: Path, name: str | None, ensemble: Any, overwrite: bool) -> None:
    """Turn the released checkpoints in PATH (CNN/, CNN_RNN/, or one .pth) into a model folder (extra: export)."""
    checkpoints = late("affectkit.export.checkpoints", "export", "importing checkpoints")
    files = checkpoints.find_checkpoints(path)
    parity = checkpoints.import_checkpoints(files, output, name=name, ensemble=ensemble, overwrite=overwrite)
    show_parity(parity)
    click.echo(f"{len(files)} member{'s' * (len(files) != 1)} -> {output}", err=True)
