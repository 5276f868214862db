"""Weights that a run starts from: a run, an exported model, or a file in a published layout."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from affectkit import models
from affectkit.errors import ModelError
from affectkit.train import published
from affectkit.train.faces import FaceSet
from affectkit.train.networks import MultitaskCNN, NetworkConfig, PlacedMeans
from affectkit.train.runs import checkpoints_of, cnns_of

TORCH_SUFFIXES = (".pth", ".pt", ".pkl", ".bin")


def origins(init: str, faces: FaceSet) -> tuple[list[MultitaskCNN], list[str]]:
    """The networks that ``--init`` names, and a digest of each one's weights.

    Args:
        init: a run, a checkpoint, a folder of students' runs, the name or folder of an exported model, a released
            checkpoint (``0.pth``), or a file in the layout of the VGG group's ResNet-50, of which the backbone is
            taken.
        faces: see :func:`affectkit.train.runs.cnns_of`.

    Raises:
        ModelError: it is none of these.
    """
    path = Path(init)
    if not path.is_file() or checkpoints_of(init) or path.suffix not in TORCH_SUFFIXES:
        return cnns_of(init, faces)
    if published.is_backbone(path):
        network = MultitaskCNN(published.published_config())
        published.read_backbone(path, network)
    else:
        released = published.read_checkpoint(path)
        if not isinstance(released, MultitaskCNN):
            raise ModelError(f"{path}: is a released CNN-RNN, and a CNN is needed here; give a file of CNN/")
        network = released
    return [network], [models.sha256(path)]


def adapted(origin: MultitaskCNN, config: NetworkConfig, init: str | os.PathLike[str], *, seed: int) -> MultitaskCNN:
    """A network of ``config`` with the weights of ``origin``, strictly by name and shape.

    Only what is answered may differ: the last layer's rows are taken by the name of the label, and those of labels that
    ``origin`` does not have are fresh, as are the heads of tasks that it does not have. Intensities start as presence.

    Raises:
        ModelError: the networks differ in anything else.
    """
    torch.manual_seed(seed)
    network = MultitaskCNN(config)
    theirs, ours = origin.state_dict(), network.state_dict()
    rows = _rows(origin.config, config)
    filled: dict[str, Tensor] = {}
    for name, fresh in ours.items():
        given = theirs.get(name)
        task = name.split(".")[1] if name.startswith("heads.") else ""
        if name.startswith("intensity."):  # where the origin has none, it starts as presence does
            source = theirs.get(name, theirs.get(f"heads.au.classifier.{name.split('.')[1]}"))
            filled[name] = fresh if source is None else _by_label(source, fresh, rows["au"])
        elif name.startswith("view.") and (given is None or given.shape != fresh.shape):
            filled[name] = fresh
        elif given is None:
            if not task or task in origin.config.tasks:
                raise ModelError(f"{init}: {_difference(origin.config, config)}")
            filled[name] = fresh
        elif task and name.startswith(f"heads.{task}.classifier."):
            filled[name] = _by_label(given, fresh, rows[task])
        elif name == "au_pooling.weight" and given.shape[1] == fresh.shape[1]:
            filled[name] = PlacedMeans.of_another_size(given, len(fresh))
        elif given.shape != fresh.shape:
            raise ModelError(f"{init}: {_difference(origin.config, config)}")
        else:
            filled[name] = given
    unused = [name for name in theirs.keys() - ours.keys() if not name.startswith(("heads.", "intensity.", "view."))]
    if unused:
        raise ModelError(f"{init}: {_difference(origin.config, config)}")
    network.load_state_dict(filled)
    return network


def _rows(theirs: NetworkConfig, ours: NetworkConfig) -> dict[str, list[int | None]]:
    """By task, for each of our rows of the last layer the row of theirs, or None."""

    def by_name(there: Sequence[str], here: Sequence[str]) -> list[int | None]:
        return [there.index(name) if name in there else None for name in here]

    return {
        "expression": by_name(theirs.labels.expressions, ours.labels.expressions),
        "au": by_name(theirs.labels.action_units, ours.labels.action_units),
        "va": list(range(ours.task_widths["va"])),
    }


def _by_label(given: Tensor, fresh: Tensor, rows: Sequence[int | None]) -> Tensor:
    filled = copy.deepcopy(fresh)
    for here, there in enumerate(rows):
        if there is not None:
            filled[here] = given[there]
    return filled


def _difference(theirs: NetworkConfig, ours: NetworkConfig) -> str:
    """What makes the weights of one network useless to the other."""
    names = ("backbone", "channels", "size", "template", "margin", "widths", "blocks", "au_poolings")
    differing = [n for n in names if getattr(theirs, n) != getattr(ours, n)]
    there, here = (", ".join(f"{name} {getattr(config, name)}" for name in differing) for config in (theirs, ours))
    return f"is another network ({there or 'other layers'}) than the one to train ({here or 'other layers'})"


def like(origin: MultitaskCNN, config: NetworkConfig) -> NetworkConfig:
    """The network and the faces of ``origin`` with the answers of ``config``."""
    answers = ("labels", "intensity", "visibility", "pose")
    return dataclasses.replace(origin.config, **{name: getattr(config, name) for name in answers})
