"""Writing a folder complete or not at all, and never over anything but a folder of the same kind."""

from __future__ import annotations

import shutil
from pathlib import Path

from affectkit.errors import OutputError


def check_folder(folder: Path, *, overwrite: bool, mark: str, kind: str) -> None:
    """Refuse a target that cannot be written, or must not be replaced.

    Args:
        mark: a file that every folder of this kind has; only such a folder, or an empty one, is replaced.
        kind: what that is, for the message.

    Raises:
        OutputError: see above.
    """
    if not folder.parent.is_dir():
        raise OutputError(f"{folder}: the folder {folder.parent} does not exist; create it first")
    if folder.resolve() == Path.cwd():
        raise OutputError(f"{folder}: is the current folder; give the name of a new one")
    if not folder.exists():
        return
    if not overwrite:
        raise OutputError(f"{folder}: exists already; give --overwrite to replace it, or another name")
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / mark).is_file()):
        raise OutputError(f"{folder}: is no {kind}, so --overwrite does not replace it; give another name")
    if any(path.is_dir() and (path / mark).is_file() for path in folder.iterdir()):
        raise OutputError(f"{folder}: holds other {kind}s, so --overwrite does not replace it; give another name")


def put_in_place(finished: Path, folder: Path) -> None:
    """Rename a finished folder to its name; what was there is removed only after that."""
    if not folder.exists():
        finished.rename(folder)
        return
    aside = finished.with_name(f"{finished.name}.replaced")
    folder.rename(aside)
    try:
        finished.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside)
