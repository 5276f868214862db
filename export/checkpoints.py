"""The released checkpoints of Deng, Chen, Shi (FG 2020) -> a model folder.

They are plain state dicts, one file a member: ``CNN/0.pth ..`` and ``CNN_RNN/0.pth ..``, with ``module.`` before every
key where they were saved on several GPUs. Nothing in them is executed: they are read with ``weights_only=True``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from affectkit.errors import ModelError
from affectkit.export.to_onnx import write_model_folder
from affectkit.export.verify import Parity
from affectkit.spec import EnsembleRule, InputSpec, ModelSpec, TemporalSpec
from affectkit.train.networks import FEATURE_WIDTH, TASKS, MultitaskCNN, MultitaskCNNRNN, resnet50_config

SIZE = 112
ALIGNED_SIZE = int(SIZE * 1.2)
"""The published networks resize an aligned face to 134 px and take the middle 112."""
SEQUENCE_LENGTH = 32
BLOCKS = (3, 4, 6, 3)
LICENCE = "as the released checkpoints; affectkit does not distribute them"
THRESHOLDS_FROM = (
    "0.5, not calibrated: the published thresholds are those of the last student only; fit some with "
    "`affectkit train calibrate`"
)

CARD = """\
# {name}

{count} imported {kind} of Deng, Chen, Shi, "Multitask Emotion Recognition with Incomplete Labels", FG 2020: ResNet-50,
{size} px, RGB, eight action units, seven expressions, valence and arousal.

The members' logits are averaged, as the published code does. The AU thresholds are .5: calibrate them on data of your
own (`affectkit train calibrate`). How these networks were trained, on whose faces, and under which licence they may be
used, is for their authors to say; affectkit only converted the files.
"""


def find_checkpoints(path: Path) -> list[Path]:
    """The files of a folder (``0.pth`` before ``10.pth``), or the file itself.

    Raises:
        ModelError: there are none.
    """
    if path.is_file():
        return [path]
    found = sorted(path.glob("*.pth"), key=lambda file: (len(file.stem), file.stem))
    if not found:
        what = "no *.pth in it" if path.is_dir() else "no such file or folder"
        raise ModelError(f"{path}: {what}; give the released folder CNN/ or CNN_RNN/, or single files")
    return found


def published_names(*, recurrent: bool) -> dict[str, str]:
    """Name of every module with parameters in a released checkpoint -> its name in our networks."""
    names = {"backbone.model.conv1_7x7_s2": "backbone.stem.0", "backbone.model.conv1_7x7_s2_bn": "backbone.stem.1"}
    index = 0
    for stage, count in enumerate(BLOCKS):
        for block in range(count):
            parts = {"1x1_reduce": "reduce", "3x3": "spatial", "1x1_increase": "increase"}
            if block == 0:
                parts["1x1_proj"] = "project"
            for theirs, ours in parts.items():
                there, here = f"backbone.model.conv{stage + 2}_{block + 1}_{theirs}", f"backbone.stages.{index}.{ours}"
                names[there], names[f"{there}_bn"] = f"{here}.0", f"{here}.1"
            index += 1
    for k, task in enumerate(TASKS):
        for theirs, ours in (("bn0", "feature.0"), ("fc_0", "feature.1"), ("bn1", "feature.3"), ("fc_1", "classifier")):
            names[f"classifier.{k}.{theirs}"] = f"heads.{task}.{ours}"
    if not recurrent:
        return names
    names = {f"backbone.{theirs}": f"cnn.{ours}" for theirs, ours in names.items()}
    for k, task in enumerate(TASKS):
        names[f"classifier.{k}.GRU_layer"] = f"heads.rnn.{task}"
        names[f"classifier.{k}.fc_1"] = f"heads.classifier.{task}"
    return names


def read_checkpoint(path: Path) -> MultitaskCNN | MultitaskCNNRNN:
    """One released member.

    Raises:
        ModelError: it cannot be read, holds anything but weights, or has a missing, extra or misshaped key, which the
            message names.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such checkpoint") from error
    except Exception as error:  # torch raises pickle's, zip's and its own errors here
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: cannot be read as plain weights, and nothing else is accepted ({reason})") from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise ModelError(f"{path}: not a state dict: expected names and tensors only")
    state = {key.removeprefix("module."): value for key, value in state.items()}
    recurrent = any(key.startswith("backbone.backbone.") for key in state)
    cnn = MultitaskCNN(resnet50_config(SIZE))
    network: MultitaskCNN | MultitaskCNNRNN = MultitaskCNNRNN(cnn) if recurrent else cnn
    renamed = _renamed(state, network, published_names(recurrent=recurrent), path)
    network.load_state_dict(renamed)
    return network.eval()


def _renamed(state: dict[str, Tensor], network: nn.Module, names: dict[str, str], path: Path) -> dict[str, Tensor]:
    """The state under our names; strict."""
    ours = network.state_dict()
    back = {here: there for there, here in names.items()}
    wanted = {}
    for name in ours:
        module, _, parameter = name.rpartition(".")
        wanted[f"{back[module]}.{parameter}"] = name
    missing, extra = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or extra:
        parts = [
            f"{what} {keys[0]}{_more(keys)}" for what, keys in (("lacks", missing), ("has the extra", extra)) if keys
        ]
        kind = "CNN-RNN" if isinstance(network, MultitaskCNNRNN) else "CNN"
        raise ModelError(f"{path}: is not a released {kind}: {' and '.join(parts)}")
    for there, here in wanted.items():
        if state[there].shape != ours[here].shape:
            want, got = tuple(ours[here].shape), tuple(state[there].shape)
            raise ModelError(f"{path}: {there} should have shape {want}, got {got}")
    return {here: state[there] for there, here in wanted.items()}


def _more(keys: list[str]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""


def import_checkpoints(
    paths: Sequence[Path],
    folder: Path,
    *,
    name: str | None = None,
    ensemble: EnsembleRule = "logits",
    overwrite: bool = False,
) -> list[Parity]:
    """Fuse released checkpoints into one model folder.

    Args:
        paths: one file a member, all CNNs or all CNN-RNNs.
        ensemble: the published code averages logits.

    Returns:
        how far ONNX Runtime's outputs are from torch's.

    Raises:
        ModelError: a file is not a released checkpoint, or CNNs and CNN-RNNs are mixed.
    """
    networks = [read_checkpoint(path) for path in paths]
    recurrent = [network for network in networks if isinstance(network, MultitaskCNNRNN)]
    if recurrent and len(recurrent) != len(networks):
        raise ModelError(f"{paths[0].parent}: holds both CNNs and CNN-RNNs; import them one kind at a time")
    cnns = [network.cnn if isinstance(network, MultitaskCNNRNN) else network for network in networks]
    kind = "CNN-RNN" if recurrent else "CNN"
    named = name or folder.name
    spec = ModelSpec(
        name=named,
        version="1",
        licence=LICENCE,
        trained_on=("as the released checkpoints: Aff-Wild2 with DISFA, ExpW and AFEW-VA",),
        input=InputSpec(SIZE, 3, "published", margin=SIZE / ALIGNED_SIZE, aligned_size=ALIGNED_SIZE),
        au_thresholds=(0.5,) * 8,
        au_thresholds_from=THRESHOLDS_FROM,
        members=len(networks),
        feature_width=FEATURE_WIDTH,
        ensemble=ensemble,
        temporal=TemporalSpec(SEQUENCE_LENGTH, FEATURE_WIDTH, "bidirectional") if recurrent else None,
    )
    card = CARD.format(name=named, count=len(networks), kind=f"{kind} member{'s' * (len(networks) != 1)}", size=SIZE)
    heads = [network.heads for network in recurrent]
    return write_model_folder(cnns, spec, folder, card=card, temporal=heads, overwrite=overwrite)
