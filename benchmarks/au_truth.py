"""Action units against an exact truth: rendered heads that nothing was trained on, and MediaPipe beside.

    python benchmarks/au_truth.py -o FOLDER --assets ../shared/data/makehuman_cc0 \\
        --landmarker ../shared/models/face_landmarker.task [--model lite]... [--real ../shared/data] [--quick]

Needs the extras render and train, and for MediaPipe the package mediapipe. The pictures (some 7,600, 15 minutes of a
core; --quick: a third of them) and the answers are kept in FOLDER: a second run asks only what has not been asked of
the same model and code. Writes FOLDER/results/au-truth.json, .md, and pictures of
both. docs/facs.md says what the truth is.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
from truth import figures, library, real
from truth.ask import Affectkit, MediaPipe, answers, moving_answers
from truth.cast import HEADS, QUICK_HEADS
from truth.measures import measure
from truth.photograph import photograph
from truth.report import markdown


def main() -> None:
    """Render what is missing, ask every model, and write down how good it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for pictures, answers and results")
    parser.add_argument("--assets", type=Path, help="needed until all pictures are there: folder with base/skins ...")
    parser.add_argument("--model", action="append", help="name or folder of a model; may be given several times")
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's face_landmarker.task; without it no MediaPipe")
    parser.add_argument("--real", type=Path, help="folder of FER+ (ferplus_images.zip ...), for real pictures too")
    parser.add_argument("--heads", type=int, default=HEADS, help=f"a multiple of 8; {HEADS} are all")
    parser.add_argument("--quick", action="store_true", help="as --heads 8: a third of the pictures")
    parser.add_argument("--processes", type=int, default=1, help="for rendering")
    parser.add_argument("--results", type=Path, help="folder for the results instead of FOLDER/results")
    arguments = parser.parse_args()
    chosen = arguments.model or ["lite"]
    if len({Path(name).name for name in chosen}) < len(chosen):
        parser.error("--model: two models of one name cannot be told apart in the tables; rename a folder")
    cv2.setNumThreads(1)
    heads = QUICK_HEADS if arguments.quick else arguments.heads
    if heads not in range(8, HEADS + 1, 8):
        parser.error(f"--heads {heads}: must be 8, 16 or 24")
    names = photograph(arguments.output, arguments.assets, heads=heads, processes=arguments.processes)
    models: list[Affectkit | MediaPipe] = [Affectkit(name) for name in chosen]
    if arguments.landmarker:
        try:
            models.append(MediaPipe(arguments.landmarker))
        except ModuleNotFoundError:
            print("mediapipe is not installed: measured without it (pip install mediapipe)", flush=True)
    rows = library.truth_of(arguments.output, names)
    moves = rows["part"].isin(["talk", "onset"])
    stills, frames = rows[~moves], rows[moves]
    cache = arguments.output / "predictions"
    results: dict[str, Any] = {**_about(stills), "frames": len(frames), "models": {}}
    told = {}
    for model in models:
        start = time.monotonic()
        kept = answers(model, cache, library.wanted(stills), partial(library.stills, arguments.output, stills))
        told[model.name] = kept
        sequences = list(dict.fromkeys(frames["file"]))
        moving = moving_answers(model, cache, sequences, partial(library.sequence, arguments.output, frames))
        numbers = measure(stills.merge(kept, on="name"), frames.merge(moving, on="name"), list(model.units))
        if arguments.real:
            numbers["real"] = real.measure(model, arguments.real, cache)
        model.close()
        results["models"][model.name] = {"note": model.note, **numbers}
        print(f"{model.name}: {time.monotonic() - start:.0f} s", flush=True)
    target = arguments.results or arguments.output / "results"
    target.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    (target / "au-truth.json").write_text(json.dumps(_rounded(results), indent=1) + "\n", encoding="utf-8")
    (target / "au-truth.md").write_text(text + "\n", encoding="utf-8")
    figures.draw_all(arguments.output, target, results, told, stills)
    print(text)


def _about(stills: pd.DataFrame) -> dict[str, Any]:
    """Who is in the pictures."""
    full = stills[stills["part"] == "random"].drop_duplicates("head")
    others = set(stills["head"]) - set(full["head"])
    man, old, dark = (full["male"] >= 0.5).sum(), (full["years"] >= 45).sum(), (full["melanin"] >= 0.4).sum()
    cells = f"{man} men, {old} of 45 years and more, {dark} with dark skin"
    return {"stills": len(stills), "heads": len(full), "cells": cells, "neutral_heads": len(others)}


def _rounded(value: Any) -> Any:
    """Ready for JSON: four digits, null for what is not known."""
    if isinstance(value, dict):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, bool | str) or value is None:
        return value
    number = float(value)
    return None if number != number else int(number) if number.is_integer() else round(number, 4)


if __name__ == "__main__":
    main()
