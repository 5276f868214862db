"""A command's signals and standard streams."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells expect."""

UNWINDS = 2
"""Times that Ctrl-C unwinds what is going on; after that it ends the process."""


class Interrupts:
    """Ctrl-C unwinds, so that what is unfinished is noted or removed, and never ends in a traceback."""

    def __init__(self) -> None:
        self.pressed = 0
        """How often it was."""
        self.over = False
        """Whether the command is through, and nothing is left to unwind."""

    def install(self) -> None:
        """Answer to SIGINT from now on, unless it is ignored, as in the background of a shell."""
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self)

    def __call__(self, *_: object) -> None:
        self.pressed += 1
        if self.over or self.pressed > UNWINDS:
            os._exit(EXIT_INTERRUPTED)
        raise KeyboardInterrupt


def unwind_on_signals() -> None:
    """Make a termination unwind the stack, so that partial files are removed."""
    for name in ("SIGTERM", "SIGHUP"):  # there is no SIGHUP on Windows
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, lambda received, _: sys.exit(128 + received))


def mute_stdout() -> None:
    """Let what is left in the buffer of standard output go nowhere, where it cannot be written."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
