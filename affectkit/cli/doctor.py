"""``affectkit doctor``."""

from __future__ import annotations

import json
import sys

import click

from affectkit.cli.common import EXIT_FAILED


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def doctor(as_json: bool) -> None:
    """Check this installation; for every problem, say what mends it."""
    from affectkit.doctor import examine

    checks = examine()
    broken = any(check.problem for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": not broken, "checks": [check.as_dict() for check in checks]}, indent=2))
    else:
        for check in checks:
            mark = click.style("fail", fg="red") if check.problem else click.style(" ok ", fg="green")
            click.echo(f"[{mark}] {check.name}: {check.found}")
            if check.problem:
                click.echo(f"       {check.problem}")
    if broken:
        sys.exit(EXIT_FAILED)
