"""``affectkit cite``."""

from __future__ import annotations

import click

from affectkit.cli.options import debug_option


@click.command("cite")
@click.argument("table", required=False)
@click.option("--bibtex", "as_bibtex", is_flag=True, help="As BibTeX.")
@debug_option
def cite(table: str | None, as_bibtex: bool, debug: bool) -> None:
    """How to cite affectkit and its method; with a TABLE also a sentence for a methods section."""
    from pathlib import Path

    from affectkit import __version__
    from affectkit.cite import METHOD, bibtex, method_section, software
    from affectkit.cli.common import configure_logging
    from affectkit.errors import SourceError
    from affectkit.tables.reading import read_meta

    configure_logging(debug)
    sentence = ""
    if table is not None:
        sentence = method_section(read_meta(Path(table)))
        if not sentence:
            raise SourceError(f"{table}.meta.json: is missing, or does not say which model made the table")
    click.echo(bibtex(__version__) if as_bibtex else f"{software(__version__)}\n\n{METHOD}")
    if sentence:
        click.echo(f"\n{sentence}")
