"""Labels of the two real sets for training beside renderings: without the machine-made action units that are wrong.

    python scripts/real_labels.py ../shared/data OUT      # OUT/ferplus_labels.csv, OUT/facial_expressions_labels.csv

The sets' action units are formulas over MediaPipe's blendshapes. Held against heads whose units are known exactly that
tool correlates within a head by .96 for AU12, .95 for AU25 and .74 for AU2, and they are kept. AU1 excludes AU4 there,
so that it is kept where it is high and blank elsewhere; AU4, AU6, AU15 (.31, .10, .29) are left out, and AU20, which it
calls active in every wide smile.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

KEPT = ("AU2", "AU12", "AU25")
ONLY_HIGH = {"AU1": 0.5}
LEFT_OUT = ("AU4", "AU6", "AU15", "AU20")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in ("ferplus", "facial_expressions"):
        table = pd.read_csv(arguments.data / f"{name}_labels.csv", dtype=str, keep_default_na=False)
        for unit, least in ONLY_HIGH.items():
            low = pd.to_numeric(table[unit], errors="coerce") < least
            table.loc[low, unit] = ""
        table.loc[:, list(LEFT_OUT)] = ""
        table.to_csv(arguments.out / f"{name}_labels.csv", index=False)


if __name__ == "__main__":
    main()
