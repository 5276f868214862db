"""``affectkit`` and ``python -m affectkit``: what has to be done before anything else is imported."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run the command line."""
    _open_standard_streams()
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # there is nothing to unwind yet
    from affectkit.cli import main as run_command

    try:
        run_command()
    except KeyboardInterrupt:  # once more, while the first one was answered
        os._exit(130)


def _open_standard_streams() -> None:
    """Give closed ones (``2>&-``) to /dev/null: else the next file that is opened takes their place, and messages.

    What is written to a closed standard output still fails, as it should: it was expected there.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    main()
