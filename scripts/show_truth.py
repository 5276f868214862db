"""Put what benchmarks/au_truth.py measured into the cards of models that are as they were.

    python scripts/show_truth.py au-truth.md affectkit/models/lite affectkit/models/lite-int8

The cards were written by scripts/release_lite.py; the digests in model.json follow.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

BEGINS, ENDS = "# Action units against the truth of rendered heads\n", "## Action units on photographs, judged by eye\n"
CARD = "MODEL_CARD.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="Markdown of benchmarks/au_truth.py")
    parser.add_argument("models", type=Path, nargs="+", help="folders")
    given = parser.parse_args()
    truth = given.truth.read_text(encoding="utf-8").strip()
    for folder in given.models:
        card, spec = folder / CARD, folder / "model.json"
        text = card.read_text(encoding="utf-8")
        before, found, rest = text.partition(BEGINS)
        _, ended, after = rest.partition(ENDS)
        if not (found and ended):
            raise SystemExit(f"{card}: has no section that begins with {BEGINS!r} and one that begins with {ENDS!r}")
        new = f"{before}{truth}\n\n{ENDS}{after}"
        old, digest = (hashlib.sha256(one.encode()).hexdigest() for one in (text, new))
        stored = spec.read_text(encoding="utf-8")
        if json.loads(stored)["files"][CARD] != old:
            raise SystemExit(f"{spec}: its digest of {CARD} is another one; the card was edited")
        card.write_text(new, encoding="utf-8")
        spec.write_text(stored.replace(old, digest), encoding="utf-8")
        print(f"{card}: {len(text)} -> {len(new)} characters")


if __name__ == "__main__":
    main()
