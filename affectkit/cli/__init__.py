"""The command line: parse, call, write. A user of the library like any other.

A module a command, ``options`` for what several of them share, ``common`` for what all do, ``app`` for the whole.
"""

from affectkit.cli.app import main as main
