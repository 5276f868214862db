"""Make `lite-int8` of `lite`: a copy learns to answer in int8 what `lite` answers in float32, and is quantised.

    python scripts/refine_int8.py MODEL DATA affectkit/models/lite-int8 rendered/manifest.parquet... [--steps 300]

DATA is the folder of FER+ and facial_expressions; only faces of training parts are shown, and no labels. Thresholds,
temperatures, golden outputs and all else are MODEL's, and the report beside the new model compares it with MODEL on
FER+'s part `valid`. `affectkit export MODEL --precision int8` quantises without learning.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from train_lite import faces_of

from affectkit import models
from affectkit.export import convert
from affectkit.export.convert import CALIBRATION, export_model, labelled_part
from affectkit.export.to_onnx import write_onnx
from affectkit.train.crops import crop_all
from affectkit.train.evaluate import ask
from affectkit.train.int8 import ready_for_int8
from affectkit.train.runs import cnns_of


def main() -> None:
    """Train, export, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("rendered", type=Path, nargs="*")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--faces", type=int, default=24000, help="most that are shown")
    given = parser.parse_args()
    original = models.load(given.model)
    faces, _ = faces_of(given.data, given.data, *given.rendered)
    rows = np.random.default_rng(0).permutation(len(faces))[: given.faces]
    crops = crop_all(faces, np.sort(rows), original.spec.input)
    print(f"{len(crops)} faces", flush=True)
    network = cnns_of(given.model, faces)[0][0]

    def tell(step: int, loss: float) -> None:
        if step % 20 == 0 or step == 1:
            print(f"step {step}/{given.steps}  {loss:.5f}", flush=True)

    refined = ready_for_int8(network, crops, steps=given.steps, on_step=tell)
    paths = [given.data / f"ferplus_{what}" for what in ("labels.csv", "images.zip", "landmarks.npz")]
    labelled, _ = labelled_part(given.model, *paths, "valid", precision="fp32")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / original.spec.name
        shutil.copytree(original.path, folder)
        write_onnx([refined.eval()], folder / "frame.onnx")
        convert._write_spec(folder, original.spec)
        evenly = np.linspace(0, len(crops) - 1, CALIBRATION).astype(int)
        export_model(
            folder,
            given.output,
            precision="int8",
            calibration=crops[evenly],
            name=f"{original.spec.name}-int8",
            overwrite=given.output.exists(),
        )
    where, part = labelled
    before, after = ask(original.path, part), ask(given.output, part)
    print(json.dumps({"agree": float((before["expression"].argmax(1) == after["expression"].argmax(1)).mean())}), where)
    torch.save(refined.state_dict(), given.output.with_suffix(".pt"))


if __name__ == "__main__":
    main()
