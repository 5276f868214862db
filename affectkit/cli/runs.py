"""``affectkit runs``."""

from __future__ import annotations

import json

import click

from affectkit.cli.common import Commands


@click.group(cls=Commands)
def runs() -> None:
    """Runs of many inputs."""


@runs.command()
@click.argument("run", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def status(run: str, as_json: bool) -> None:
    """Say how far RUN is: what is done, failed and left, how fast, the slowest inputs, and why inputs failed.

    RUN is the --output-dir of `affectkit predict`, with all its shards, or one run.jsonl.
    """
    from affectkit.runs.status import status_of

    found = status_of(run)
    click.echo(json.dumps(found.document(), indent=1) if as_json else "\n".join(found.lines()))
