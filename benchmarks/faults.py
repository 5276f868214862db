"""Runs that are disturbed: two on one output, --resume beside a living one, full disks, killed workers.

    python benchmarks/faults.py samples/astronaut.mp4 [--times 20] [--seed 1] [--only two|living|full|workers]

Each is done --times times at random moments. Every table has to be, byte for byte, that of an undisturbed run, and what
happened said in one line. Full disks are small tmpfs, which only root may mount. Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

import affectkit.runs.run

affectkit.runs.run.CHECKPOINT_S = 0.05  # in workers too: they load this file

ONCE_MORE = "what was done is kept: --resume continues it"
NOTHING = "nothing unfinished was left behind"


def start(*arguments: object) -> subprocess.Popen[str]:
    """``affectkit predict`` that notes often how far it is."""
    command = [sys.executable, __file__, "--serve", "predict", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code, and what it said."""
    _, err = process.communicate(timeout=600)
    return process.returncode, err.strip().splitlines()


def hidden(folder: Path) -> list[str]:
    """What is left over in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


class Found:
    """What came of the rounds of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind, self.rounds, self.counts, self.wrong = kind, 0, Counter[str](), list[str]()

    def check(self, holds: bool, what: object) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(str(what))

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return f"{self.kind}: {self.rounds} rounds ({counts}): {self.wrong or 'all right'}"


def two(clip: Path, whole: bytes, scratch: Path, dice: random.Random, times: int, options: list[str]) -> Found:
    """Two runs on one output, started at nearly the same time."""
    found = Found("two runs on one output")
    for _ in range(times):
        out = scratch / "two.csv"
        first = start(clip, "-o", out, "-q", *options)
        time.sleep(dice.uniform(0, 0.5))
        second = start(clip, "-o", out, "-q", *options)
        ended = [end(first), end(second)]
        found.rounds += 1
        codes = sorted(code for code, _ in ended)
        said = [line for code, lines in ended if code for line in lines]
        # One that comes when the other has ended finds the table that it would make, and leaves it as it is.
        found.check(len(said) == sum(codes) <= 1, ended)
        found.counts["refused: another run" if "another run is writing" in "".join(said) else "left as it is"] += 1
        found.check(out.read_bytes() == whole and not hidden(scratch), f"table or left over {hidden(scratch)}")
        for path in (out, Path(f"{out}.meta.json")):
            path.unlink()
    return found


def living(clip: Path, whole: bytes, scratch: Path, dice: random.Random, times: int, options: list[str]) -> Found:
    """--resume at a random moment of a run that lives."""
    found = Found("--resume beside a living run")
    while found.rounds < times:
        out = scratch / "living.csv"
        first = start(clip, "-o", out, "-q", *options)
        while first.poll() is None and not (scratch / ".living.csv.resume").exists():
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.2))
        first.send_signal(signal.SIGSTOP)  # it lives, however slowly the second one starts
        code, lines = end(start(clip, "-o", out, "-q", "--resume", *options))
        first.send_signal(signal.SIGCONT)
        first_code, first_lines = end(first)
        found.rounds += 1
        found.check(first_code == 0 and not first_lines, first_lines)
        if code:
            found.check(len(lines) == 1 and "another run is writing it" in lines[0], lines)
        found.counts["refused" if code else "came when it was over"] += 1
        found.check(out.read_bytes() == whole and not hidden(scratch), f"table or left over {hidden(scratch)}")
        for path in (out, Path(f"{out}.meta.json")):
            path.unlink()
    return found


def full(clip: Path, whole: bytes, scratch: Path, dice: random.Random, times: int, options: list[str]) -> Found:
    """A disk of a random size, on which the run ends, and goes on when it has grown."""
    found = Found("disk full")
    disk = scratch / "disk"
    disk.mkdir()
    for _ in range(times):
        room = dice.randrange(8192, len(whole) + 40_000)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", disk], check=True)
        try:
            out = disk / "full.csv"
            code, lines = end(start(clip, "-o", out, "-q", *options))
            found.rounds += 1
            if code:
                found.check(code == 1 and len(lines) == 1 and "disk is full" in lines[0], lines)
                kept = ONCE_MORE in lines[0]
                found.check(kept or NOTHING in lines[0], lines)
                found.counts["kept" if kept else "nothing yet to keep"] += 1
                if kept:
                    found.check((disk / ".full.csv.resume").exists(), "the note is gone")
                else:
                    found.check(not list(disk.iterdir()), hidden(disk))
                subprocess.run(["mount", "-o", f"remount,size={len(whole) + 400_000}", disk], check=True)
                code, lines = end(start(clip, "-o", out, "--resume", *options))
                found.check(code == 0 and kept == ("resumed at frame" in "".join(lines)), lines)
            else:
                found.counts["had room"] += 1
            found.check(out.read_bytes() == whole and not hidden(disk), f"table or left over {hidden(disk)}")
        finally:
            subprocess.run(["umount", disk], check=True)
    return found


def workers(clip: Path, whole: bytes, scratch: Path, dice: random.Random, times: int, options: list[str]) -> Found:
    """Workers of -j 2 that are killed, with few inputs of some length, or many short ones: then between two of them."""
    found = Found("killed workers")
    while found.rounds < times:
        short = found.rounds % 2
        folder, out = scratch / "clips", scratch / "tables"
        folder.mkdir()
        clips = [folder / f"c{k}.mp4" for k in range(40 if short else 5)]
        for path in clips:
            shutil.copyfile(clip, path)
        few = ["--end", "0.02"] if short else []
        process = start(*clips, "-o", f"{out}/", "-j", 2, *few, *options)
        while process.poll() is None and not (out.exists() and any(out.iterdir())):
            time.sleep(0.01)  # loading takes longest
        time.sleep(dice.uniform(0, 0.4 if short else 2.0))
        killed = 0
        if process.poll() is None:
            children = [child for child in psutil.Process(process.pid).children() if is_worker(child)]
            if children:
                os.kill(dice.choice(children).pid, signal.SIGKILL)
                killed = 1
        code, lines = end(process)
        found.rounds += 1
        found.check(code == 0, lines)
        warned = [line for line in lines if "warning" in line and "died" in line]
        found.check(len(warned) in ((1, 2) if killed else (0,)), lines)  # one for it, one for their number
        for line in warned[:1]:
            found.counts["between two inputs" if "between" in line else "in an input"] += 1
        found.counts["came too late"] += not warned
        want = whole if not short else None
        for path in clips:
            table = (out / f"{path.stem}.csv").read_bytes().replace(bytes(path), bytes(clip))
            want = want or table
            found.check(table == want, f"{path.stem}: another table")
        found.check(sum(": 1 frames" in line or " frames," in line for line in lines) == len(clips), lines)
        found.check(not hidden(out), hidden(out))
        shutil.rmtree(folder)
        shutil.rmtree(out)
    return found


def is_worker(process: psutil.Process) -> bool:
    """Whether it is one of multiprocessing's, and not its keeper of resources."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def main() -> None:
    """Disturb runs, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--only", choices=["two", "living", "full", "workers"])
    arguments = parser.parse_args()
    kinds = {"two": two, "living": living, "full": full, "workers": workers}
    options = ["--model", arguments.model, "--device", "cpu"]
    clip = arguments.clip.resolve()
    bad = False
    with tempfile.TemporaryDirectory() as name:
        code, lines = end(start(clip, "-o", Path(name) / "whole.csv", "-q", *options))
        if code:
            sys.exit("\n".join(lines))
        whole = (Path(name) / "whole.csv").read_bytes()
        for kind, disturb in kinds.items():
            if arguments.only not in (None, kind):
                continue
            scratch = Path(name) / kind
            scratch.mkdir()
            found = disturb(clip, whole, scratch, random.Random(arguments.seed), arguments.times, options)
            bad |= bool(found.wrong)
            print(found, flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        from affectkit.__main__ import main as run_command

        del sys.argv[1]
        run_command()
    else:
        main()
