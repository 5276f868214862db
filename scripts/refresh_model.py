"""Bring model folders up to what today's export writes (metadata, no leftovers, constant weights), weights as they are.

    python scripts/refresh_model.py affectkit/models/lite-ensemble

Each network has to answer its golden inputs as before, to 1e-5 of the largest value; digests in model.json follow. Of
models that share a network (`frame_model`) refresh the one that owns it first, then export those that use it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from affectkit.export.refresh import refresh


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        for line in refresh(folder):
            print(line)


if __name__ == "__main__":
    main()
