"""The released checkpoints of Deng, Chen, Shi (FG 2020) -> a model folder.

They are plain state dicts, one file a member: ``CNN/0.pth ..`` and ``CNN_RNN/0.pth ..``, with ``module.`` before every
key where they were saved on several GPUs. Nothing in them is executed: they are read with ``weights_only=True``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from affectkit.errors import ModelError
from affectkit.export.to_onnx import write_model_folder
from affectkit.export.verify import Parity
from affectkit.spec import EnsembleRule, ModelSpec, TemporalSpec
from affectkit.train.config import input_spec_of
from affectkit.train.networks import FEATURE_WIDTH, MultitaskCNNRNN
from affectkit.train.published import SIZE, read_checkpoint

SEQUENCE_LENGTH = 32
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
        input=input_spec_of(cnns[0].config),
        au_thresholds=(0.5,) * len(cnns[0].config.labels.action_units),
        au_thresholds_from=THRESHOLDS_FROM,
        members=len(networks),
        feature_width=FEATURE_WIDTH,
        ensemble=ensemble,
        temporal=TemporalSpec(SEQUENCE_LENGTH, FEATURE_WIDTH, "bidirectional") if recurrent else None,
    )
    card = CARD.format(name=named, count=len(networks), kind=f"{kind} member{'s' * (len(networks) != 1)}", size=SIZE)
    heads = [network.heads for network in recurrent]
    return write_model_folder(cnns, spec, folder, card=card, temporal=heads, overwrite=overwrite)
