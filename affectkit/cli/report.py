"""``affectkit report``."""

from __future__ import annotations

from pathlib import Path

import click

from affectkit.cli.common import say
from affectkit.cli.options import debug_option


@click.command("report")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option("-o", "--output", type=click.Path(), required=True, help="The page: .html.")
@click.option(
    "--video",
    "videos",
    type=click.Choice(["link", "embed", "none"]),
    default="link",
    show_default=True,
    help="Refer to the videos where they are, hold them in the page, or show none.",
)
@click.option(
    "--group",
    metavar="NAME=A:PATTERN,B:PATTERN",
    help="Compare groups of clips, by patterns of their names, such as condition=talk:talk*,rest:rest*.",
)
@click.option("--title", help="[default: the name of the table, or the number of tables]")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@debug_option
def report(
    tables: tuple[str, ...],
    output: str,
    videos: str,
    group: str | None,
    title: str | None,
    overwrite: bool,
    debug: bool,
) -> None:
    """A page of what TABLEs of affectkit predict hold: who is who, curves beside the video, quality, groups, how it was
    made. One file, which needs no network (extra: report).

    \b
    Examples:
      affectkit report interview.csv -o interview.html
      affectkit report tables/*.csv -o study.html --group condition=talk:talk*,rest:rest*
    """
    from typing import cast

    from affectkit.cli.common import configure_logging
    from affectkit.errors import UnknownSuffix
    from affectkit.outputs.files import check_target, prepare_bytes, real_target
    from affectkit.report.groups import parse_grouping
    from affectkit.report.material import clips_of
    from affectkit.report.page import Options, Videos, document, library

    configure_logging(debug)
    path = Path(output)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UnknownSuffix(f"{output}: unknown suffix {path.suffix!r} for a report; allowed: .html")
    grouping = None if group is None else parse_grouping(group)
    check_target(path, overwrite=overwrite)
    library()  # said now, not when all of it has been read
    clips = [clip for name in tables for clip in clips_of(Path(name))]
    named = title or (Path(tables[0]).stem if len(tables) == 1 else f"{len(tables)} recordings")
    folder = real_target(path).resolve().parent
    options = Options(title=named, folder=folder, videos=cast(Videos, videos), grouping=grouping)
    page = document(clips, options).encode("utf-8", "replace")
    prepare_bytes(path, page, overwrite=overwrite).commit()
    say(f"{len(clips)} clip{'' if len(clips) == 1 else 's'} -> {path} ({len(page) / 1e6:.1f} MB)")
