"""Action units of the two sets of photographs for training beside renderings: what a machine can tell of them.

    python scripts/real_labels.py ../shared/data OUT      # OUT/ferplus_labels.csv, OUT/facial_expressions_labels.csv

Renderings alone do not carry over: a network that is never told anything of a unit on photographs calls it active in
most of them. MediaPipe's blendshapes tell something, but contradict the exact labels where that tool is wrong (held
against rendered heads it correlates within a head by .96 for AU12, .95 for AU25, .74 for AU2, and by .31, .10 and .29
for AU4, AU6 and AU15; its AU1 and AU4 exclude each other). So a label is kept where the tool can be believed, and blank
elsewhere; of those that are kept, a fixed share (--share), since they are worth less than the exact ones.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

SETS = ("ferplus", "facial_expressions")


def soft(raw: np.ndarray, threshold: float) -> np.ndarray:
    """0 at 0, .5 at the threshold, 1 at twice the threshold."""
    return np.clip(0.5 * raw / threshold, 0, 1)


def shares_of(table: pd.DataFrame) -> pd.DataFrame:
    """(N, 7) how many of a picture's voters see each expression; 1 for the label of sets without votes."""
    names = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
    votes = [f"votes_{name}" for name in names]
    if not set(votes) <= set(table.columns):
        return pd.DataFrame({name: (table["expression"] == name).astype(float) for name in names})
    counts = table[[c for c in table.columns if c.startswith("votes_")]].astype(float)
    return (counts[votes] / counts.sum(axis=1).clip(lower=1).to_numpy()[:, None]).set_axis(names, axis=1)


def labels(table: pd.DataFrame, blendshape: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Label of each unit for each picture, NaN where the tool cannot be believed."""
    known = {name: pd.to_numeric(table[name], errors="coerce").to_numpy() for name in table if name.startswith("AU")}
    seen = shares_of(table)
    happy = seen["happiness"].to_numpy()
    frowning = (seen["anger"] + seen["sadness"] + seen["fear"] + seen["disgust"]).to_numpy()
    lifted = (seen["sadness"] + seen["fear"] + seen["surprise"]).to_numpy()

    def both(name: str) -> np.ndarray:
        return (blendshape[f"{name}Left"] + blendshape[f"{name}Right"]) / 2

    smile = both("mouthSmile")

    def where(condition: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.where(condition, values, np.nan)

    def only_off(raw: np.ndarray, below: float, possible: np.ndarray | bool = True) -> np.ndarray:
        """0 where the tool sees nothing of it, else unknown."""
        return np.where((raw < below) & possible, 0.0, np.nan)

    upper = both("mouthUpperUp")
    return {
        "AU1": where((known["AU1"] >= 0.5) | (lifted + frowning < 0.25), known["AU1"]),
        "AU2": known["AU2"],
        "AU4": where((known["AU4"] >= 0.5) | (frowning < 0.2), known["AU4"]),
        "AU5": where(both("eyeWide") == both("eyeWide"), soft(both("eyeWide"), 0.15)),
        "AU6": where((known["AU6"] >= 0.5) | (happy < 0.2), known["AU6"]),
        "AU7": only_off(both("eyeSquint"), 0.25),
        "AU9": only_off(both("noseSneer"), 0.02, (seen["disgust"] + seen["anger"]).to_numpy() < 0.2),
        "AU10": where(smile < 0.25, soft(upper, 0.25)),
        "AU12": known["AU12"],
        "AU14": only_off(both("mouthDimple"), 0.03),
        "AU15": where((known["AU15"] >= 0.5) | (seen["sadness"].to_numpy() < 0.2), known["AU15"]),
        "AU17": where(smile < 0.25, soft(blendshape["mouthShrugLower"], 0.25)),
        "AU18": soft(blendshape["mouthPucker"], 0.6),
        "AU20": where((smile < 0.25) | (known["AU20"] < 0.2), known["AU20"]),
        "AU23": only_off(np.maximum(blendshape["mouthRollLower"], blendshape["mouthRollUpper"]), 0.08),
        "AU24": where(known["AU25"] < 0.3, soft(both("mouthPress"), 0.2)),
        "AU25": known["AU25"],
        "AU26": soft(blendshape["jawOpen"], 0.25),
        "AU43": soft(both("eyeBlink"), 0.55),
    }


def kept(names: list[str], unit: str, share: float) -> np.ndarray:
    """Whether a label is among the share that is used, always the same ones."""
    return np.array([zlib.crc32(f"{unit} {name}".encode()) % 1000 < share * 1000 for name in names])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the labels that are kept")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        table = pd.read_csv(arguments.data / f"{name}_labels.csv", dtype=str, keep_default_na=False)
        with np.load(arguments.data / f"{name}_landmarks.npz") as archive:
            places = {str(image): i for i, image in enumerate(archive["image"])}
            scores = archive["blendshape"].astype(float)
            shapes = [str(shape) for shape in archive["blendshape_names"]]
        rows = np.array([places.get(image, -1) for image in table["image"]])
        scores = np.where(rows[:, None] >= 0, scores[rows], np.nan)
        found = labels(table, dict(zip(shapes, scores.T, strict=True)))
        for unit, values in found.items():
            used = ~np.isnan(values) & kept(list(table["image"]), unit, arguments.share)
            table[unit] = np.where(used, np.char.mod("%.3f", np.nan_to_num(values)), "")
        table.to_csv(arguments.out / f"{name}_labels.csv", index=False)
        counts = {unit: f"{int((table[unit] != '').sum())} ({np.nanmean(found[unit] >= 0.5):.2f})" for unit in found}
        print(name, "labels kept, and share of those known that are active:", counts)


if __name__ == "__main__":
    main()
