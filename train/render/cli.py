"""``affectkit train render``: faces with exact labels."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import click

from affectkit.errors import MissingDependency
from affectkit.train.render.plan import Plan

NEEDED = ("anny", "moderngl", "scipy")
"""Packages of the extra ``render``."""


@click.command()
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
)
@click.option(
    "--assets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder in the layout of makehuman-assets (it holds base/skins, base/hair, base/eyebrows ...).",
)
@click.option("--stills", type=click.IntRange(min=0), default=60000, show_default=True, help="Pictures.")
@click.option("--sequences", type=click.IntRange(min=0), default=1500, show_default=True, help="Moving faces.")
@click.option(
    "--frames", type=click.IntRange(min=2, max=99), default=32, show_default=True, help="Of each, 25 a second."
)
@click.option("--identities", type=click.IntRange(min=1), default=6000, show_default=True, help="People.")
@click.option(
    "--size", type=click.IntRange(min=48, max=192), default=128, show_default=True, help="Of the pictures, px."
)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="One a core.")
@click.option("--seed", type=int, default=0, show_default=True, help="Picture k depends on it and on k alone.")
def render(folder: Path, assets: Path, processes: int, **options: Any) -> None:
    """Render faces whose action units, expression, head pose, gaze and visibility are known exactly.

    Writes FOLDER/pictures (zips of JPEGs), FOLDER/manifest.parquet with a row a picture, and FOLDER/contact_sheet.jpg.
    A run that was interrupted ends in the same files when it is started again with the same options. An eighth of the
    people, a fifth of the skins, hair and brows, and a third of the lights, styles and glasses appear in the test part
    only. docs/facs.md says what each unit is.
    """
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingDependency(package, "render", "rendering faces")
    produce = importlib.import_module("affectkit.train.render.produce")
    writing = importlib.import_module("affectkit.train.render.writing")
    plan = Plan(**options)
    if not plan.stills and not plan.sequences:
        raise click.UsageError("--stills 0 --sequences 0: nothing to render")
    library, found = produce.read_everything(assets)
    writing.open_folder(folder, plan)
    writing.sweep(folder)
    start, made = time.monotonic(), 0

    def progress(count: int) -> None:
        nonlocal made
        made += count
        click.echo(f"{made} pictures, {made / (time.monotonic() - start):.1f} a second", err=True)

    writing.render_all(folder, plan, lambda: produce.Producer(plan, library, found), processes, progress)
    table = writing.write_manifest(folder, plan)
    sheet = writing.write_contact_sheet(folder, table)
    click.echo(f"wrote {folder / 'manifest.parquet'}: {len(table)} pictures of {table['person'].nunique()} people")
    click.echo(f"wrote {sheet}", err=True)
