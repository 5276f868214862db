"""Put what benchmarks/au_truth.py measured into the cards of models that are as they were.

    python scripts/show_truth.py au-truth.md affectkit/models/lite affectkit/models/lite-int8

The cards were written by scripts/release_lite.py; the digests in model.json follow.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from release import write_card

from affectkit.export.to_onnx import CARD_NAME
from affectkit.models import load

BEGINS, ENDS = "# Action units against the truth of rendered heads\n", "**What renderings cannot prove**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path, help="Markdown of benchmarks/au_truth.py")
    parser.add_argument("models", type=Path, nargs="+", help="folders")
    given = parser.parse_args()
    truth = given.truth.read_text(encoding="utf-8").strip()
    for folder in given.models:
        spec, card = load(folder).spec, folder / CARD_NAME
        before, found, rest = card.read_text(encoding="utf-8").partition(BEGINS)
        _, ended, after = rest.partition(ENDS)
        if not (found and ended):
            raise SystemExit(
                f"{card}: has no section that begins with {BEGINS!r} and a paragraph that begins with {ENDS!r}"
            )
        write_card(folder, f"{before}{truth}\n\n{ENDS}{after}", dict(spec.metrics))
        load(folder)
        print(f"{card}: written")


if __name__ == "__main__":
    main()
