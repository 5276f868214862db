"""``affectkit`` and ``python -m affectkit``: what has to be done before anything else is imported."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading


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
    except SystemExit as ended:
        _leave(ended.code)
        raise
    _leave(0)


def _leave(code: object) -> None:
    """End at once where a thread of ours is still at work, for a source that is silent, or on a busy machine.

    Python would end it wherever it is. ONNX Runtime, in the middle of a network, ends the whole process then, with
    another exit code and a line of its own.
    """
    if not any(thread.name.startswith("affectkit") for thread in threading.enumerate()):
        return
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


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
