"""Thresholds, temperatures and prior of a run for the embedded `lite`, each on faces whose labels can be believed.

    python scripts/calibrate_lite.py RUN OUT ../shared/data rendered/manifest.parquet

A run fits its action units' thresholds and its temperature on the whole dev part, in which machine-made labels of
photographs and exact ones of renderings are mixed. Here thresholds come from renderings alone (present from half of the
full movement on, and absent from neutral faces), temperatures and prior from photographs that people named. Writes
OUT/best.pt.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from release import files

from affectkit.spec import InputSpec
from affectkit.train.answers import logits_of
from affectkit.train.calibrate import fit_temperature, fit_thresholds
from affectkit.train.checkpoints import load_network, save_atomically
from affectkit.train.config import config_from_dict
from affectkit.train.extra_answers import balanced_temperature, covered_examples, expression_prior, fit_visibility
from affectkit.train.faces import FaceSet, join, relabelled
from affectkit.train.networks import MultitaskCNN
from affectkit.train.reading import read_manifest_faces, read_set
from affectkit.train.runs import checkpoint_of
from affectkit.train.splits import select_split
from affectkit.types import EXPRESSION_NAMES
from affectkit.visibility import hidden_units

SEEN = 0.5
"""Visible share of a region from which on its units' labels count."""


STILL = 0.05
"""Intensity below which a unit counts as absent."""

FALSE_ALARMS = 0.01
"""Share of the neutral faces, silent or talking, on which a unit that is absent may be called active."""


def thresholds_of(labels: np.ndarray, probabilities: np.ndarray, neutral: list[np.ndarray]) -> list[float]:
    """(A,) best F1, but no unit active on more than ``FALSE_ALARMS`` of each of some sets of neutral faces (N, A), NaN
    where it is there."""
    quiet = np.max([np.nanquantile(faces, 1 - FALSE_ALARMS, axis=0) for faces in neutral], axis=0)
    return [round(max(fit, float(q)), 4) for fit, q in zip(fit_thresholds(labels, probabilities), quiet, strict=True)]


def without_hidden(faces: FaceSet) -> np.ndarray:
    """(N, A) the labels of the units, NaN where what shows them is hidden."""
    return np.where(hidden_units(faces.visible < SEEN, faces.label_set.action_units), np.nan, faces.au)


def without_shown(faces: FaceSet, probability: np.ndarray) -> np.ndarray:
    """(M, A) of the faces that are neutral, NaN where a unit is there all the same: lips part when they talk."""
    neutral = faces.expression == EXPRESSION_NAMES.index("neutral")
    return np.where(np.nan_to_num(faces.intensity) < STILL, probability, np.nan)[neutral]


def probabilities(network: MultitaskCNN, faces: FaceSet, spec: InputSpec) -> np.ndarray:
    """(N, A) of the units."""
    return 1 / (1 + np.exp(-logits_of(network, faces, spec)["au"].astype(float)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("rendered", type=Path)
    parser.add_argument(
        "--neutral", type=Path, action="append", help="manifest of further neutral faces, for false alarms alone"
    )
    arguments = parser.parse_args()
    network, state = load_network(checkpoint_of(arguments.run))
    config = config_from_dict(state["config"])
    labels, spec = config.network.labels, config.input_spec()
    sets = [read_set(*files(arguments.data, name)) for name in ("ferplus", "facial_expressions")]
    named = relabelled(select_split(sets[0], "dev"), labels)
    prior = expression_prior(relabelled(join([select_split(faces, "train") for faces in sets]), labels))
    rendered, split = read_manifest_faces(arguments.rendered)
    rendered = relabelled(rendered.subset(split == "dev"), labels)
    expression = logits_of(network, named, spec)["expression"]
    units = probabilities(network, rendered, spec)
    quiet = [without_shown(rendered, units)]
    for manifest in arguments.neutral or ():
        further, part = read_manifest_faces(manifest)
        further = relabelled(further.subset(part == "dev"), labels)
        quiet.append(without_shown(further, probabilities(network, further, spec)))
    crops, seen = covered_examples(join([named, rendered]), spec)
    with torch.no_grad():
        answers = torch.sigmoid(network(torch.from_numpy(crops)).visibility).numpy()
    fitted: dict[str, Any] = {
        "au_thresholds": thresholds_of(without_hidden(rendered), units, quiet),
        "au_thresholds_from": "best F1 of each action unit, present from half of the full movement on, on the "
        f"{len(rendered)} renderings of the dev part, and on at most {FALSE_ALARMS:.0%} of the neutral ones, silent or "
        f"talking ({sum(map(len, quiet))})",
        "expression_temperature": fit_temperature(named.expression, expression[None]),
        "expression_prior": prior,
        "expression_prior_from": "the labels of the photographs that were trained on",
        "balanced_temperature": balanced_temperature(named.expression, expression, prior or []),
        "visibility_thresholds": fit_visibility(answers, seen),
        "visibility_thresholds_from": "at most 2.5 % of the clear regions called hidden, on faces of the dev parts, "
        "four in ten with something laid over them",
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_atomically({**state, **fitted}, arguments.out / "best.pt")
    print("\n".join(f"{name}: {value}" for name, value in fitted.items()))


if __name__ == "__main__":
    main()
