"""Which inputs a command names: one by one, in a list, as folders of videos; and which of them are this shard's."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from affectkit.errors import SourceError
from affectkit.sources.kinds import SUFFIXES as PICTURES
from affectkit.sources.names import is_url, split_url

_VIDEOS = (
    "mp4 m4v mov qt mkv webm avi mpg mpeg mpe m2v ts mts m2ts wmv asf flv f4v 3gp 3g2 ogv ogg mxf vob divx rm rmvb "
    "y4m mjpeg mjpg h264 h265 hevc ivf gif"
)
VIDEOS = frozenset(f".{suffix}" for suffix in _VIDEOS.split())
"""Suffixes by which the videos of a folder are known. A file that is named is opened whatever it is called."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input, and where its outputs lie in a mirrored tree."""

    name: str
    below: int = -1
    """Where the part of the name that is mirrored begins; -1: an input that was named by itself."""

    @property
    def mirrored(self) -> str:
        """Its place below the outputs' folder, with ``/`` between folders: never absolute, and never above it."""
        if self.below >= 0:
            return self.name[self.below :].replace(os.sep, "/")
        if is_url(self.name):
            parts = split_url(self.name)
            path = f"{parts.netloc.rpartition('@')[2].replace(':', '_')}/{parts.path}"
        else:
            path = os.path.splitdrive(self.name)[1].replace(os.sep, "/")
        kept: list[str] = []
        for part in PurePosixPath(path).parts:
            if part == "..":
                del kept[-1:]
            elif part.strip("/"):
                kept.append(part)
        return "/".join(kept)


@dataclass(slots=True)
class Found:
    """The inputs of a command."""

    inputs: list[Input] = field(default_factory=list)
    several: bool = False
    """Whether it may be any number of them: a list or a folder was named, or more than one input."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Of folders: how many files of which kind are no inputs."""

    def told(self) -> str:
        """What was left out, in words; empty: nothing."""
        return ", ".join(f"{kind}: {count}" for kind, count in sorted(self.left_out.items()))


def find_inputs(
    named: Sequence[str],
    lists: Sequence[str],
    *,
    recursive: bool,
    remote: Callable[[str, bool], Iterable[str]] | None = None,
) -> Found:
    """All inputs that a command names, in that order; of folders in the order of their names.

    A folder that holds pictures is one input. One that holds videos and no pictures stands for its videos, with
    ``recursive`` for all videos below it.

    Args:
        named: paths and URLs.
        lists: files of them, one a line, or with NUL bytes between them; ``-`` is standard input.
        remote: the names of the files below a folder of a store; and whether also of its subfolders.

    Raises:
        SourceError: a list or folder cannot be read, or has nothing that could be an input.
    """
    found = Found(several=len(named) > 1 or bool(lists))
    for name in named:
        _add(found, name, recursive, remote)
    for name in lists:
        before = len(found.inputs)
        for listed in read_list(name):
            _add(found, listed, recursive, remote)
        if len(found.inputs) == before:
            raise SourceError(f"{name}: the list names no input; it has to have one path or URL a line")
    return found


def read_list(name: str) -> Iterator[str]:
    """The entries of a list.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        if name == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(name, "rb") as file:
                data = file.read()
    except OSError as error:
        raise SourceError(f"{name}: the list of inputs cannot be read ({error.strerror}); check the path") from error
    if b"\0" in data:
        yield from (os.fsdecode(part) for part in data.split(b"\0") if part)
        return
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines():
        if line.strip():
            yield os.fsdecode(line.strip())


def _add(found: Found, name: str, recursive: bool, remote: Callable[[str, bool], Iterable[str]] | None) -> None:
    """One name: itself, or what lies in it."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in VIDEOS or suffix in PICTURES:
        found.inputs.append(Input(name))
    elif is_url(name):
        if remote is not None and (recursive or name.endswith("/")) and not name.startswith(("http:", "https:")):
            base = name.rstrip("/") + "/"
            _add_all(found, name, len(base), remote(base, recursive))
        else:
            found.inputs.append(Input(name))
    elif os.path.isdir(name) and (recursive or not _holds_pictures(name)):
        base = os.path.join(name, "")
        _add_all(found, name, len(base), (base + path for path in walk(name, recursive=recursive)), may_be_empty=True)
    else:
        found.inputs.append(Input(name))


def _add_all(found: Found, name: str, below: int, paths: Iterable[str], *, may_be_empty: bool = False) -> None:
    """The videos of a folder."""
    before = len(found.inputs)
    for path in paths:
        suffix = os.path.splitext(path)[1].lower()
        if suffix in VIDEOS:
            found.inputs.append(Input(path, below))
        else:
            kind = "pictures (a folder of them is an input: name it)" if suffix in PICTURES else "files of other kinds"
            found.left_out[kind] = found.left_out.get(kind, 0) + 1
    if len(found.inputs) > before:
        found.several = True
    elif may_be_empty and not found.left_out:
        found.inputs.append(Input(name))  # what is wrong with it is said where it is opened
    else:
        raise SourceError(f"{name}: holds no videos; --recursive looks into its subfolders")


def _holds_pictures(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            kinds = {os.path.splitext(entry.name)[1].lower() for entry in entries if entry.name[:1] != "."}
    except OSError:
        return True  # said where it is opened
    return bool(kinds & (PICTURES - VIDEOS)) or not kinds & VIDEOS


def walk(folder: str, *, recursive: bool) -> Iterator[str]:
    """Files in a folder, relative to it, sorted; hidden ones and links to folders are left out.

    Raises:
        SourceError: a folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            there = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name[:1] != "."
            )
    except OSError as error:
        raise SourceError(f"{folder}: the folder cannot be read ({error.strerror}); check its permissions") from error
    for name, is_folder in there:
        if not is_folder:
            if not os.path.isdir(os.path.join(folder, name)):
                yield name
        elif recursive:
            for below in walk(os.path.join(folder, name), recursive=True):
                yield os.path.join(name, below)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a list, which depends on nothing but each input's own name."""

    number: int
    """From 1 on."""
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, name: str) -> bool:
        """Whether an input is in it."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


def parse_shard(given: str, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """``I/N``, or ``auto``: what a Slurm array says; None: this is no array.

    Raises:
        ValueError: neither.
    """
    if given == "auto":
        if "SLURM_ARRAY_TASK_ID" not in environment:
            return None
        number, least, step, of = (
            int(environment.get(f"SLURM_ARRAY_TASK_{name}", default))
            for name, default in (("ID", "0"), ("MIN", "0"), ("STEP", "1"), ("COUNT", "1"))
        )
        return _checked(f"SLURM_ARRAY_TASK_ID={number}", (number - least) // max(1, step) + 1, of)
    number_text, slash, of_text = given.partition("/")
    if not (slash and number_text.isdecimal() and of_text.isdecimal()):
        raise ValueError(f"--shard must be I/N, as 1/8, or auto, got {given!r}")
    return _checked(given, int(number_text), int(of_text))


def _checked(given: str, number: int, of: int) -> Shard:
    if not 1 <= number <= of:
        raise ValueError(f"--shard {given}: shards are counted from 1 to N")
    return Shard(number, of)
