"""Put what benchmarks/au_truth.py measured into the cards of models that are as they were.

    python scripts/show_truth.py au-truth.md affectkit/models/lite affectkit/models/lite-int8

The cards were written by scripts/release_lite.py; the digests in model.json follow.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from affectkit.models import load
from affectkit.models.files import sha256
from affectkit.outputs.json_files import write_text

BEGINS, ENDS = "# Action units against the truth of rendered heads\n", "## Action units on photographs, judged by eye\n"
CARD = "MODEL_CARD.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="Markdown of benchmarks/au_truth.py")
    parser.add_argument("models", type=Path, nargs="+", help="folders")
    given = parser.parse_args()
    truth = given.truth.read_text(encoding="utf-8").strip()
    for folder in given.models:
        spec, card = load(folder).spec, folder / CARD
        before, found, rest = card.read_text(encoding="utf-8").partition(BEGINS)
        _, ended, after = rest.partition(ENDS)
        if not (found and ended):
            raise SystemExit(f"{card}: has no section that begins with {BEGINS!r} and one that begins with {ENDS!r}")
        card.write_text(f"{before}{truth}\n\n{ENDS}{after}", encoding="utf-8")
        changed = dataclasses.replace(spec, files={**spec.files, CARD: sha256(card)})
        write_text(folder / "model.json", changed.to_json())
        load(folder)
        print(f"{card}: written")


if __name__ == "__main__":
    main()
