"""What Python calls an argument is an option on the command line: messages are put into its words."""

from __future__ import annotations

import logging
import re

from affectkit.cli.table import SHARED
from affectkit.sources.names import on_one_line

_FLAGS = {name: option.flag for name, option in SHARED.items()} | {"temporal=False": "--frame-by-frame"}

_ARGUMENT = re.compile(rf"(?<![^\s(])({'|'.join(SHARED)})=(True|False|'[^']*'|\"[^\"]*\"|[\w.*/-]*\w)?(?![\w=])")
"""``overwrite=True``, ``device='cpu'``, ``fps=``, as messages have them; not what is part of an address."""


def in_options(message: str) -> str:
    """A message of the library as the command line says it: ``overwrite=True`` is ``--overwrite``."""

    def option(found: re.Match[str]) -> str:
        name, value = found[1], found[2] or ""
        flag = _FLAGS.get(found[0], _FLAGS[name])
        return flag if value in ("", "True", "False") else f"{flag} {value.strip(chr(39) + chr(34))}"

    return _ARGUMENT.sub(option, message)


class Wording(logging.Formatter):
    """Log messages in the same words."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`; a traceback may follow."""
        return in_options(on_one_line(super().formatMessage(record)))
