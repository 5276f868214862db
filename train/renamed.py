"""Former spellings of options: understood, but not in the help, and with a line that names the present one."""

from __future__ import annotations

from collections.abc import Mapping

import click

RENAMED_OPTIONS: Mapping[str, str] = {
    "--drawing": "--sampling",
    "--shown": "--teacher-view",
    "--start": "--init",
}
"""Former spelling -> present one."""


class RenamingCommand(click.Command):
    """A command that takes former spellings of its options, each with one ``DeprecationWarning`` line on stderr."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the present spelling in place of a former one; ``--old VALUE`` and ``--old=VALUE`` alike."""
        known = {spelling for parameter in self.params for spelling in parameter.opts}
        present, told = [], set()
        for k, word in enumerate(args):
            old, equals, value = word.partition("=")
            new = RENAMED_OPTIONS.get(old)
            if new is None or new not in known or old in known or "--" in args[:k]:
                present.append(word)
                continue
            present.append(new + equals + value)
            if old not in told:
                click.echo(f"DeprecationWarning: {old} is now {new}; a later version will not know {old}", err=True)
            told.add(old)
        return super().parse_args(ctx, present)
