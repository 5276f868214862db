"""How often the expression that ten people's votes name can be named at all: the ceiling of accuracy on FER+.

    python scripts/label_ceiling.py ../shared/data [--model lite-ensemble]

Ten votes are a small sample of what all people would say of a picture, and the label is the winner of that sample. Who
knew exactly what share of all people sees which expression would name the winner less than always. The true shares of a
picture are taken as Dirichlet distributed around what a network says of it (their concentration is fitted to the votes,
by maximum likelihood) and then seen ten votes of; what is drawn from that is asked how often its largest share is the
label. Measured on the dev part, which the network was not trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from affectkit.predictor import Predictor
from affectkit.train.crops import crop_all
from affectkit.train.reading import read_set
from affectkit.train.splits import select_split
from affectkit.types import EXPRESSION_NAMES, Array

OTHERS = ("contempt", "unknown", "NF")
DRAWS = 1000


def log_likelihood(votes: Array, mean: Array, concentration: float) -> float:
    """Of votes (N, K) under Dirichlet-multinomials with these means (N, K), without what does not depend on them."""
    votes, alpha = torch.from_numpy(votes), torch.from_numpy(concentration * mean)
    whole = torch.tensor(concentration, dtype=torch.float64)
    each = torch.lgamma(whole) - torch.lgamma(whole + votes.sum(1))
    each = each + (torch.lgamma(alpha + votes) - torch.lgamma(alpha)).sum(1)
    return float(each.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the files of ../shared/data")
    parser.add_argument("--model", default="lite-ensemble")
    arguments = parser.parse_args()
    files = [arguments.data / f"ferplus_{part}" for part in ("labels.csv", "images.zip", "landmarks.npz")]
    dev = select_split(read_set(*files), "dev")
    table = pd.read_csv(files[0]).set_index("image").loc[list(dev.names)]
    votes = table[[f"votes_{name}" for name in (*EXPRESSION_NAMES, *OTHERS)]].to_numpy(np.float64)
    with Predictor(arguments.model, precision="fp32") as predictor:
        crops = crop_all(dev, range(len(dev)), predictor.spec.input)
        said = np.array([list(affect.expression_probabilities) for affect in predictor.predict_aligned(crops)])
    others = votes[:, len(EXPRESSION_NAMES) :].sum(0) / votes.sum()  # the network knows nothing of these
    mean = np.concatenate([said * (1 - others.sum()), np.tile(others, (len(said), 1))], 1).clip(1e-4)
    mean /= mean.sum(1, keepdims=True)
    concentration = float(max(np.geomspace(1, 400, 300), key=lambda c: log_likelihood(votes, mean, float(c))))
    labelled = ~np.isnan(dev.expression)
    label, posterior = dev.expression[labelled], (concentration * mean + votes)[labelled]
    rng = np.random.default_rng(0)
    named = np.mean([(rng.gamma(posterior).argmax(1) == label).mean() for _ in range(DRAWS)])
    print(f"{len(label)} labelled faces; concentration {concentration:.1f}")
    print(f"{arguments.model}: accuracy {(said[labelled].argmax(1) == label).mean():.4f}")
    print(f"who knows the true shares: {named:.4f}")


if __name__ == "__main__":
    main()
