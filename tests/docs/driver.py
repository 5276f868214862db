"""Run the blocks of a page one after the other: ``python driver.py BLOCKS.json``; Python ones share their names."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Every block is announced on a line of its own, so that the one that failed can be told."""
    names: dict[str, Any] = {"__name__": "page"}
    for block in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        print(f"=== {block['name']}", flush=True)
        start = time.perf_counter()
        if block["language"] == "python":
            exec(compile(block["code"], block["name"], "exec"), names)
        elif block["language"] == "r":
            subprocess.run(["Rscript", "--vanilla", "-e", block["code"]], check=True)
        else:
            code = subprocess.run(["bash", "-euo", "pipefail", "-c", block["code"]]).returncode
            if code and not (code == 1 and block["may_fail"]):
                sys.exit(f"{block['name']}: exit code {code}")
        print(f"--- {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
