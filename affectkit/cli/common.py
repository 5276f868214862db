"""What all commands share: how they speak, end, show tracebacks, and load what needs an extra."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import click

from affectkit.sources.names import on_one_line

EXIT_FAILED = 1
EXIT_MISUSED = 2
EXIT_SOME_FAILED = 3
"""Of several inputs."""


def say(message: str) -> None:
    """A line on standard error."""
    from affectkit.cli.wording import in_options

    click.echo(f"affectkit: {in_options(on_one_line(message))}", err=True)


def configure_logging(debug: bool) -> None:
    """Show warnings, with ``--debug`` everything."""
    from affectkit.cli.wording import Wording

    handler = logging.StreamHandler()
    handler.setFormatter(Wording("affectkit: %(message)s"))
    logging.basicConfig(level=logging.INFO if debug else logging.WARNING, handlers=[handler])


class Commands(click.Group):
    """A group whose commands all know ``--debug``, which :func:`affectkit.cli.main` looks for."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name."""
        return _with_debug(super().get_command(ctx, cmd_name))


class LateGroup(Commands):
    """A group whose commands live in a module that is loaded only when one of them is named."""

    def __init__(self, *arguments: Any, home: str, extra: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._home, self._extra = home, extra

    def _load(self) -> dict[str, click.Command]:
        commands: dict[str, click.Command] = late(self._home, self._extra, f"affectkit {self.name}").COMMANDS
        return commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        return list(self._load())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name."""
        return _with_debug(self._load().get(cmd_name))


def _with_debug(command: click.Command | None) -> click.Command | None:
    if command is not None and not isinstance(command, click.Group) and "debug" not in [p.name for p in command.params]:
        command.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=lambda _, __, debug: configure_logging(debug) if debug else None,
                help="Show a traceback with an error.",
            )
        )
    return command


def late(module: str, extra: str, purpose: str) -> Any:
    """A module that needs an extra, imported when it is used.

    Raises:
        MissingDependency: the extra is not installed.
    """
    from importlib import import_module

    from affectkit.errors import MissingDependency

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "pandas", "onnx", "onnxscript", "onnxruntime", "ray"):
            raise
        extra = "cpu" if (error.name or "").startswith("onnxruntime") else extra
        raise MissingDependency(str(error.name), extra, purpose) from error


def show_parity(parity: Iterable[Any]) -> None:
    """How far every output is from the original."""
    click.echo(f"{'output':20} {'largest':>10} {'mean':>10} {'relative':>10} {'cosine':>12}")
    for one in parity:
        click.echo(f"{one.name:20} {one.largest:10.2e} {one.mean:10.2e} {one.relative:10.2e} {one.cosine:12.9f}")
