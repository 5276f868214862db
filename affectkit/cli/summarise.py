"""``affectkit summary``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from affectkit.cli.common import say
from affectkit.cli.options import debug_option


@click.command("summary")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option("-o", "--output", type=click.Path(), help="File: .csv or .json.  [default: a table on the terminal]")
@click.option("--by", default="input,face_id", show_default=True, metavar="COLUMNS", help="What is summed up.")
@click.option("--wide", is_flag=True, help="CSV: a row for each group, with columns such as AU12_mean.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "csv", "json"]),
    help="Of standard output; of a file its name decides.  [default: text]",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@debug_option
def summary(
    tables: tuple[str, ...], output: str | None, by: str, wide: bool, kind: str | None, overwrite: bool, debug: bool
) -> None:
    """Sum up TABLEs of affectkit predict: of each identity of each file mean, share of active frames, bouts and frames
    left out.

    \b
    Examples:
      affectkit summary interview.csv
      affectkit summary tables/*.csv -o summary.csv --wide
      affectkit summary tables/*.csv --by input --format json
    """
    from affectkit.cli.common import configure_logging
    from affectkit.errors import UnknownSuffix
    from affectkit.outputs.files import check_target
    from affectkit.tables.reading import read_table
    from affectkit.tables.summary import Summary

    configure_logging(debug)
    suffix = "" if output is None else Path(output).suffix.lower()
    if output is not None:
        if suffix not in (".csv", ".json"):
            raise UnknownSuffix(f"{output}: unknown suffix {suffix!r} for a summary; allowed: .csv, .json")
        check_target(Path(output), overwrite=overwrite)
    wanted = suffix[1:] or kind or "text"
    if wide and wanted != "csv":
        raise click.UsageError("--wide is for CSV; add -o NAME.csv or --format csv")
    columns = tuple(name.strip() for name in by.split(",") if name.strip())
    whole = Summary(columns, ())
    for name in tables:
        found = read_table(name).summary(by=columns)
        if len(tables) > 1:
            groups = (dataclasses.replace(one, key={"table": name, **one.key}) for one in found.groups)
            found = Summary(columns, tuple(groups))
        whole += found
    if wanted == "csv":
        text = whole.to_csv(output, wide=wide, overwrite=overwrite)
    elif wanted == "json":
        text = whole.to_json(output, overwrite=overwrite)
    else:
        text = f"{whole}\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        say(f"{len(whole)} groups of {len(tables)} tables -> {output}")
