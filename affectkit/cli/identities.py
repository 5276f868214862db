"""``affectkit identities``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from affectkit.cli.common import say
from affectkit.cli.options import debug_option
from affectkit.cli.postprocess import PROGRAMS, export_path

if TYPE_CHECKING:
    from affectkit.tables.table import Table


@click.command("identities")
@click.argument("table")
@click.option("--merge", "same", multiple=True, metavar="3=4", help="Face 3 is the same person as face 4.")
@click.option("--drop", "dropped", multiple=True, metavar="N[,N...]", help="These are none, or none that count.")
@click.option("--name", "names", multiple=True, metavar="N=NAME", help="What a person is called.")
@click.option(
    "--match", "other", metavar="OTHER_TABLE", help="Propose who of OTHER_TABLE is who here, by looks; see above."
)
@click.option("--input", "of", metavar="NAME", help="Of a table with several inputs: the one that is meant.")
@click.option("-o", "--output", type=click.Path(), help="Where the new table goes.  [default: TABLE itself]")
@click.option(
    "--export",
    "programs",
    type=click.Choice(PROGRAMS),
    multiple=True,
    help="Also write NAME.eaf, NAME.vtt or NAME.boris.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that exists.")
@debug_option
def identities(
    table: str,
    same: tuple[str, ...],
    dropped: tuple[str, ...],
    names: tuple[str, ...],
    other: str | None,
    of: str | None,
    output: str | None,
    programs: tuple[str, ...],
    overwrite: bool,
    debug: bool,
) -> None:
    """Say who is who in TABLE: merge, drop and name faces, in this order. Without options: list them.

    Frames that are left without a face keep an empty row. TABLE.meta.json notes what was done.

    --match reads both videos again and compares faces by the directions of their edges. It prints pairs with a score
    and names faces as OTHER_TABLE does where that is 0.7 or more; confirm the rest by --name. It is no face
    recognition: the same people in clips of one recording are found, on other days they are not. Of 1,269 pairs of
    photographs of one person, 99 % do not reach 0.7; of 375,009 pairs of two people none does, and 3 % reach 0.3
    (benchmarks/match.py).

    \b
    Examples:
      affectkit identities part2.csv --match part1.csv
      affectkit identities dyad.csv
      affectkit identities dyad.csv --merge 3=1 --drop 2 --name 0=Anna --name 1=Ben -o dyad-named.csv
    """
    from affectkit.cli.common import configure_logging
    from affectkit.outputs.files import check_target
    from affectkit.tables.reading import read_table

    configure_logging(debug)
    merge = {_face("--merge", old): _face("--merge", new) for old, new in _pairs("--merge", same)}
    drop = [_face("--drop", one) for given in dropped for one in given.split(",")]
    named = {_face("--name", face): name for face, name in _pairs("--name", names)}
    changes = bool(merge or drop or named or programs or other)
    if not changes and output is not None:
        raise click.UsageError(
            "there is nothing to do; give --merge, --drop, --name, --match or --export, or leave out -o"
        )
    target = Path(output or table)
    if merge or drop or named or output is not None:
        check_target(target, overwrite=overwrite or output is None)
    for program in programs:
        check_target(export_path(target, program), overwrite=overwrite)
    found = read_table(table)
    if not changes:
        click.echo(f"{found.summary()}")
        return
    found = found.merge(merge, input=of) if merge else found
    found = found.drop(drop, input=of) if drop else found
    if other is not None:
        named = _proposed(found, table, other, of) | named
    found = found.name(named, input=of) if named else found
    if merge or drop or named or output is not None:
        found.save(target, overwrite=overwrite or output is None)
        say(f"{table}: {'; '.join(_told(merge, drop, named)) or 'as it is'} -> {target}")
    for program in programs:
        found.export(export_path(target, program), overwrite=overwrite)
        say(f"{table} -> {export_path(target, program)}")


def _proposed(found: Table, table: str, other: str, of: str | None) -> dict[int, str]:
    """Names by sure pairs; all pairs are printed."""
    from affectkit.tables.matching import DOUBTFUL, matched, names_of
    from affectkit.tables.reading import read_table

    theirs = read_table(other)
    pairs = matched(found, theirs, input=of, folders=[Path(table).parent, Path(other).parent])
    names = names_of(pairs, theirs, Path(other).stem)
    for pair in pairs:
        told = f"-> {names[pair.face]}" if pair.sure else f"doubtful; if it is, --name {pair.face}=NAME"
        click.echo(f"face {pair.face:<3} face {pair.other:<3} of {other}   {pair.score:5.2f}   {told}")
    if not pairs:
        click.echo(f"no face of {other} looks like one of {table} (all scores under {DOUBTFUL:g})")
    return names


def _told(merge: dict[int, int], drop: list[int], named: dict[int, str]) -> list[str]:
    lines = [f"face {old} is {new}" for old, new in merge.items()]
    lines += [f"face {face} left out" for face in drop]
    return lines + [f"face {face} is {name}" for face, name in named.items()]


def _pairs(option: str, given: tuple[str, ...]) -> list[tuple[str, str]]:
    """What stands on both sides of ``=``.

    Raises:
        click.UsageError: there is none, or a face is named twice.
    """
    pairs = [one.partition("=") for one in given]
    for left, sign, right in pairs:
        if not sign or not right.strip():
            raise click.UsageError(f"{option} {left}: should look like {'3=4' if option == '--merge' else '0=Anna'}")
    lefts = [left for left, _, _ in pairs]
    if len(set(lefts)) < len(lefts):
        raise click.UsageError(f"{option}: face {next(x for x in lefts if lefts.count(x) > 1)} is given twice")
    return [(left, right) for left, _, right in pairs]


def _face(option: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise click.UsageError(f"{option}: {text!r} is no number of a face")
    return int(text)
