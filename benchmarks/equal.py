"""Whether two states of the package give the same outputs, to the byte: for a change that ought to change nothing.

    python -P benchmarks/equal.py write BEFORE clips/*
    ... change the package, install it again ...
    python -P benchmarks/equal.py write AFTER clips/*
    python -P benchmarks/equal.py compare BEFORE AFTER

`write` runs the installed `affectkit predict` on all inputs: frame by frame, with `--temporal`, with `--smooth .5` and
with `-j 2`, with tables as CSV, JSON lines and Parquet. The first two also give contact sheets and annotated videos, of
which it keeps a checksum of every decoded frame: the bytes of a video depend on the encoder's threads. Another
interpreter's package is run with `--python`; `--ways` and `--options` make it shorter. `compare` prints what differs,
and exits with 1 where anything does.

Inputs need different stems: outputs are named after them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import av

WAYS = {"plain": [], "temporal": ["--temporal"], "smooth": ["--smooth", ".5"], "jobs": ["-j", "2"]}
"""Options by the name of the folder that holds what they gave."""

DRAWN = ("plain", "temporal")
"""Those with annotated videos."""

FURTHER = (".jsonl", ".parquet")
"""Of tables that one input at a time is given to: several inputs have a folder for output, and their tables are CSV."""

PACKAGE = "package.txt"
"""Holds where the package lay that was run."""

COMMANDS = """
import json, sys
from affectkit.cli import main
for given in json.loads(sys.argv[1]):
    sys.argv[1:] = given
    try:
        main()
    except SystemExit as left:
        print(f"exit code {left.code}", file=sys.stderr)
"""
"""Runs several commands in one process, which loads its libraries once."""


def commands(way: str, inputs: list[str], folder: Path, options: list[str]) -> list[list[str]]:
    """Arguments of the commands of one way."""
    common = [*WAYS[way], *options, "--quiet", "--overwrite"]
    drawn = ["--render", f"{folder}/", "--contact-sheet", f"{folder}/"] if way in DRAWN else []
    found = [["predict", *inputs, "-o", f"{folder}/", *drawn, *common]]
    for path in inputs if way != "jobs" else ():
        found += [["predict", path, "-o", str(folder / f"{Path(path).stem}{end}"), *common] for end in FURTHER]
    return found


def sums_of_frames(video: Path) -> str:
    """A line for each frame: time stamp, size, checksum of its planes."""
    lines = []
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            digest = hashlib.sha256()
            for plane in frame.planes:
                digest.update(bytes(plane))
            lines.append(f"{frame.pts} {frame.width}x{frame.height} {digest.hexdigest()}\n")
    return "".join(lines)


def write(inputs: list[str], folder: Path, python: str, ways: list[str], options: list[str]) -> None:
    """Write all outputs into a folder."""
    where = [python, "-P", "-c", "import affectkit, os; print(os.path.dirname(affectkit.__file__))"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PACKAGE).write_text(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    said = []
    for way in ways:
        print(way, flush=True)
        (folder / way).mkdir(parents=True, exist_ok=True)
        given = json.dumps(commands(way, inputs, folder / way, options))
        done = subprocess.run([python, "-P", "-c", COMMANDS, given], capture_output=True, text=True)
        said.append(f"{way}: {done.returncode}\n{done.stderr}")
    (folder / "said.txt").write_text("".join(said))
    for video in sorted(folder.rglob("*.mp4")):
        video.with_suffix(".frames").write_text(sums_of_frames(video))
        video.unlink()


def contents(path: Path, folder: Path) -> bytes:
    """Of an output, without the names of the folders that it and the package lie in."""
    package = (folder / PACKAGE).read_bytes()
    return path.read_bytes().replace(str(folder).encode(), b"FOLDER").replace(package, b"PACKAGE")


def compare(before: Path, after: Path) -> int:
    """Print what differs; how many files do."""
    names = [
        {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()} - {Path(PACKAGE)}
        for folder in (before, after)
    ]
    differing = 0
    for name in sorted(names[0] | names[1]):
        if name not in names[1] or name not in names[0]:
            print(f"only in {before if name in names[0] else after}: {name}")
        elif contents(before / name, before) != contents(after / name, after):
            print(f"differs: {name}")
        else:
            continue
        differing += 1
    print(f"{len(names[0] | names[1])} files, {differing} differ")
    return differing


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="command", required=True)
    writing = parts.add_parser("write", help="run every way on every input")
    writing.add_argument("folder", type=Path)
    writing.add_argument("inputs", nargs="+")
    writing.add_argument("--python", default=sys.executable, help="interpreter whose affectkit is run")
    writing.add_argument("--ways", nargs="+", choices=[*WAYS], default=[*WAYS])
    writing.add_argument("--options", default="", help="further ones of every command, as one text: '--end 2'")
    comparing = parts.add_parser("compare", help="say what differs")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.inputs, arguments.folder, arguments.python, arguments.ways, arguments.options.split())
    else:
        sys.exit(1 if compare(arguments.before, arguments.after) else 0)


if __name__ == "__main__":
    main()
