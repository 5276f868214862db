"""Checkpoints of runs: written so that a crash leaves the one before, read so that nothing in them can run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from affectkit.errors import ModelError
from affectkit.outputs.files import written_whole
from affectkit.train.config import config_from_dict
from affectkit.train.networks import MultitaskCNN, MultitaskCNNRNN

Network = MultitaskCNN | MultitaskCNNRNN


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a crash leaves the one before."""
    # One temporary name for all processes: what a killed one leaves, which is large, is replaced by the next.
    with written_whole(path, at=path.with_name(f".{path.name}.partial")) as partial:
        torch.save(state, partial)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours; nothing in it can run code.

    Raises:
        ModelError: missing, damaged, or not a checkpoint of affectkit.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such checkpoint") from error
    except Exception as error:  # torch raises pickle's, zip's and its own errors here
        raise ModelError(f"{path}: cannot be read as a checkpoint ({one_line(error)})") from error
    if not isinstance(state, dict) or "config" not in state:
        raise ModelError(f"{path}: not a checkpoint of affectkit train")
    try:
        config_from_dict(state["config"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: its description of the network is damaged, or of another affectkit ({one_line(error)})"
        ) from error
    return state


def one_line(error: Exception) -> str:
    """What an error says, shortened; some of torch's have a line for every weight."""
    name = type(error).__name__
    text = " ".join(str(error).split()) or name
    text = f"{name}: {text}" if isinstance(error, KeyError | AttributeError) else text
    return text if len(text) <= 200 else f"{text[:200]} ..."


def load_any(path: Path) -> tuple[Network, dict[str, Any]]:
    """The network of a checkpoint, CNN or CNN-RNN, in evaluation mode, and the checkpoint.

    Raises:
        ModelError: it cannot be read, or its weights do not fit its own description.
    """
    if load_checkpoint(path)["config"].get("sequence_length"):
        return load_temporal(path)
    return load_network(path)


def load_network(path: Path) -> tuple[MultitaskCNN, dict[str, Any]]:
    """The CNN of a checkpoint, in evaluation mode, and the checkpoint.

    Raises:
        ModelError: it cannot be read, its weights do not fit its own description, or it is a CNN-RNN.
    """
    state = load_checkpoint(path)
    if state["config"].get("sequence_length"):
        raise ModelError(f"{path}: is a CNN-RNN, and a CNN is needed here; give the run of `affectkit train teacher`")
    network = _described(state, path)
    _fill(network, state, path)
    return network.eval(), state


def load_temporal(path: Path) -> tuple[MultitaskCNNRNN, dict[str, Any]]:
    """The CNN-RNN of a checkpoint, in evaluation mode, and the checkpoint.

    Raises:
        ModelError: it cannot be read, its weights do not fit its own description, or it is a CNN.
    """
    state = load_checkpoint(path)
    if not state["config"].get("sequence_length"):
        raise ModelError(f"{path}: is a CNN, and a CNN-RNN is needed here; give the run of `affectkit train temporal`")
    network = MultitaskCNNRNN(_described(state, path))
    _fill(network, state, path)
    return network.eval(), state


def _described(state: dict[str, Any], path: Path) -> MultitaskCNN:
    """The network that a checkpoint describes, without its weights."""
    try:
        return MultitaskCNN(config_from_dict(state["config"]).network)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise ModelError(f"{path}: describes no possible network ({one_line(error)})") from error


def _fill(network: nn.Module, state: dict[str, Any], path: Path) -> None:
    try:
        network.load_state_dict(state["network"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: its weights do not fit its own description: {one_line(error)}") from error
