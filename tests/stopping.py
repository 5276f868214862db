"""Processes that stop by themselves at a place: a test that watches a busy machine from outside may look too late."""

from __future__ import annotations

import os
import subprocess
from typing import Any


def has_stopped(process: subprocess.Popen[Any]) -> bool:
    """Wait until a process has sent itself SIGSTOP; False: it ended instead."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return True
    process.returncode = os.waitstatus_to_exitcode(status)
    return False


def kill_when_stopped(process: subprocess.Popen[Any]) -> bool:
    """Kill -9 a process at the place where it stops by itself; False: it ended instead."""
    try:
        return has_stopped(process)
    finally:
        process.kill()
        process.wait()
