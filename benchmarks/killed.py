"""Killed with -9 at random points and resumed: is the table the one of an unbroken run?

    python benchmarks/killed.py ../shared/clips/utterance_1.mp4 [--kills 10]

For CSV and JSON lines byte for byte, for Parquet row by row.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OFTEN = "import affectkit.runs.run as j; j.CHECKPOINT_S = 0.05; from affectkit.cli import main; main()"


def main() -> None:
    """Kill and go on, for every format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--model", default="lite-temporal")
    arguments = parser.parse_args()
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in (".csv", ".jsonl", ".parquet"):
            whole, out = Path(scratch) / f"whole{suffix}", Path(scratch) / f"out{suffix}"
            command = [sys.executable, "-c", OFTEN, "predict", str(arguments.clip), "--model", arguments.model]
            began = time.monotonic()
            subprocess.run([*command, "-o", str(whole), "-q"], check=True)
            unbroken_s = time.monotonic() - began
            kills = 0
            while kills < arguments.kills:
                process = subprocess.Popen([*command, "-o", str(out), "-q", "--resume"])
                try:
                    process.wait(dice.uniform(0.2, 0.9) * unbroken_s)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                    continue
                out.unlink()  # it was through before it could be killed: once more from the beginning
                Path(f"{out}.meta.json").unlink()
            subprocess.run([*command, "-o", str(out), "-q", "--resume"], check=True)
            if suffix == ".parquet":
                import pyarrow.parquet

                same = pyarrow.parquet.read_table(out).equals(pyarrow.parquet.read_table(whole))
            else:
                same = out.read_bytes() == whole.read_bytes()
            left = [path.name for path in Path(scratch).iterdir() if path.name.startswith(".")]
            print(f"{suffix}: {kills} kills, table {'equal' if same else 'DIFFERENT'}, left over: {left or 'nothing'}")


if __name__ == "__main__":
    main()
