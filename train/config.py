"""Everything that decides a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from affectkit.spec import InputSpec
from affectkit.train.augmentation import Augmentation
from affectkit.train.batches import EpochLength, Sampling
from affectkit.train.networks import NetworkConfig
from affectkit.types import LabelSet

Selection = Literal["metrics", "paper"]


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run; saved with its checkpoints."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    epochs: int = 8
    batch_size: int = 60
    """The paper draws 20 faces a task; where a face carries several labels one batch serves all three."""
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    ema: float = 0.0
    """Decay of the moving average of the weights; 0: none."""
    au_weight: float = 8.0
    expression_weight: float = 1.0
    va_weight: float = 1.0
    focal_gamma: float = 0.0
    temperature: float = 1.5
    """Of the distillation; only with teachers."""
    supervised_share: float = 0.6
    """Of the loss of a labelled task, the rest is distillation; only with teachers."""
    teachers: tuple[str, ...] = ()
    """sha256 of the teachers' checkpoints, so that a run is resumed with the same ones."""
    teacher_view: Literal["disturbed", "clean"] = "disturbed"
    """What the teachers see: the very faces that the student sees, or, once for the whole run, those without
    disturbance and their mirror images; then the student learns to see through it, a step costs nothing for the
    teachers, and they may take other faces than the student."""
    seed: int = 0
    bf16: bool = False
    """Convolutions in bfloat16; two to three times as fast on CPUs with AMX and on GPUs."""
    device: str = "cpu"
    compile: bool = False
    """Run the steps through torch.compile: a quarter faster on CPUs with AMX, after a minute of compilation."""
    init_from: str = ""
    """sha256 of the checkpoint whose weights the run starts from; empty: a fresh initialisation."""
    checkpoint_minutes: float = 5.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    sequence_length: int = 0
    """Frames of a sequence of the CNN-RNN, of which a batch then holds ``batch_size``; 0: a CNN."""
    cnn: str = ""
    """sha256 of the checkpoint of the CNN under the recurrent heads; only with ``sequence_length``."""
    epoch_steps: int = 0
    """Most batches of an epoch; 0: all. Balanced epochs are longer, and with this both kinds cost the same."""
    sampling: Sampling = "mixed"
    balance: bool = False
    """Balanced sampling: ML-ROS for AUs, class-uniform expressions, a uniform histogram of valence and arousal."""
    epoch_length: EpochLength = "longest"
    """The task whose faces make an epoch of per-task batches."""
    ml_ros_target: float | None = None
    """IRLbl that ML-ROS brings rare action units to; None: the mean, as Charte et al. do."""
    select_by: Selection = "metrics"
    """What the best checkpoint is chosen by, see :func:`selection_score`."""
    preset: str = ""
    """Name of the preset that the options come from, for the record."""

    def input_spec(self) -> InputSpec:
        """What the SDK has to give the network."""
        return input_spec_of(self.network)


def input_spec_of(network: NetworkConfig) -> InputSpec:
    """The faces that a network takes."""
    channels: Literal[1, 3] = 1 if network.channels == 1 else 3
    return InputSpec(network.size, channels, network.template, network.margin, network.aligned_size)


_FORMER_NAMES = {"drawing": "sampling", "shown": "teacher_view", "start": "init_from"}
"""What fields were called in checkpoints of before."""


def config_from_dict(values: dict[str, Any]) -> TrainConfig:
    """Undo ``dataclasses.asdict``, as a checkpoint stores it."""
    values = {_FORMER_NAMES.get(name, name): value for name, value in values.items()}
    return TrainConfig(
        **{
            **values,
            "network": network_from_dict(values["network"]),
            "augmentation": Augmentation(**values["augmentation"]),
            "betas": tuple(values["betas"]),
            "teachers": tuple(values.get("teachers", ())),
        }
    )


def network_from_dict(values: dict[str, Any]) -> NetworkConfig:
    """Undo ``dataclasses.asdict`` of a network's configuration."""
    network = dict(values)
    if "labels" in network:  # checkpoints of before label sets have the shipped models' labels
        given = network["labels"]
        network["labels"] = LabelSet(
            tuple(given["expressions"]), tuple(given["action_units"]), given["valence_arousal"]
        )
    network["widths"], network["blocks"] = tuple(network["widths"]), tuple(network["blocks"])
    return NetworkConfig(**network)
