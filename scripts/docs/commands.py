"""The pages of the command line, made of what its ``--help`` is made of."""

from __future__ import annotations

import inspect
import re

import click

from affectkit.cli.app import cli


def pages() -> dict[str, str]:
    """Text by page: one of all commands but those of training, one of these."""
    context = click.Context(cli, info_name="affectkit")
    names = [name for name in cli.list_commands(context) if name != "train"]
    usual = "\n\n".join(_command(cli.get_command(context, name), f"affectkit {name}", context) for name in names)
    training = _command(cli.get_command(context, "train"), "affectkit train", context)
    return {"reference/cli.md": f"{INTRODUCTION}\n\n{usual}\n", "reference/cli-train.md": f"{TRAINING}\n\n{training}\n"}


INTRODUCTION = """# The command line

Made of what `affectkit COMMAND --help` shows. Every command knows `-h`, `--help`, and `--debug`, which shows a
traceback with an error.

Exit codes, and what is never overwritten: [files](files.md).

Training has [a page of its own](cli-train.md)."""

TRAINING = """# Training on the command line

Needs the extra `train`. [The page about training](../project/training.md) says what all of it is for."""


def _command(command: click.Command | None, name: str, parent: click.Context, level: int = 2) -> str:
    """Heading, usage, help, examples, options; of a group also its commands."""
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    parts = [f"{'#' * level} {name}", *_prose(command.help or ""), f"```text\n{usage}\n```", _options(command, context)]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            parts.append(_command(command.get_command(context, sub), f"{name} {sub}", context, level + 1))
    return "\n\n".join(part for part in parts if part)


def _prose(text: str) -> list[str]:
    """Paragraphs of a help text; what click keeps in its lines (after a ``\\b``) is shown as it is."""
    found = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if not block.startswith("\b"):
            found.append(_escaped(" ".join(block.split())))
            continue
        title, _, rest = inspect.cleandoc(block.lstrip("\b\n")).partition("\n")
        found.append(f"{_escaped(title)}\n\n```text\n{inspect.cleandoc(rest)}\n```" if rest else _escaped(title))
    return found


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is None or (isinstance(option, click.Option) and option.name in ("help", "debug")):
            continue
        name, text = record
        rows.append(f"| {_code(name)} | {_escaped(' '.join(text.split()))} |")
    return "\n".join(["| option | |", "|---|---|", *rows]) if rows else ""


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _escaped(text: str) -> str:
    return re.sub(r"([|<>*_\[\]])", r"\\\1", text)
