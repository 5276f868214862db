"""ModelSpec: all that a network expects and what its outputs mean; ``model.json`` in and out.

Training, export and the SDK meet here and nowhere else: nothing is inferred from a file's name or a tensor's shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from affectkit.errors import ModelError
from affectkit.types import AU_NAMES, EXPRESSION_NAMES, Array, Float32, LabelSet

FORMAT_VERSION = 2
"""Newest version of the model folder's format that this affectkit reads. 1: expression, action units, valence and
arousal; 2: also intensity, visibility or pose, and only models that have these are written as such."""

VA_BINS = 20

LARGEST_SIZE = 2048
"""Side of a network's input, px: a batch of such faces still fits into memory."""

LARGEST_COUNT = 65536
"""Of members, features, bins and frames of a window; more is a mistake, and would take the memory of the machine."""

TASKS = ("expression", "au", "va")
"""Order of the networks' outputs, and of the tasks in ``features``."""

FURTHER = ("intensity", "visibility", "pose")
"""What a frame network may say besides, in the order of its outputs; recurrent parts do not."""

Prior = Literal["natural", "balanced"]
"""How common the expressions are taken to be: as in the training data, or all alike."""

EnsembleRule = Literal["probabilities", "logits"]

Precision = Literal["fp32", "fp16", "int8"]
"""What the network computes in; inputs and outputs are the same in all."""

TEMPLATES: dict[str, tuple[tuple[float, float], ...]] = {
    # Median of the five points over the frontal faces of FER+ and facial_expressions (train/README.md), mirrored and
    # averaged; the crop is 2.7 inter-ocular distances wide, which is all that those tight pictures show of a face.
    "tight": ((0.315, 0.388), (0.685, 0.388), (0.500, 0.586), (0.348, 0.785), (0.652, 0.785)),
    # The usual 112 px template of face recognition (ArcFace), 3.2 inter-ocular distances wide, mirrored and averaged.
    "arcface": ((0.3427, 0.4607), (0.6573, 0.4607), (0.5000, 0.6405), (0.3697, 0.8240), (0.6303, 0.8240)),
    # Nominal points of the crop that the published network was trained on; align.py cuts by its rule, not by these.
    "published": ((0.25, 0.25), (0.75, 0.25), (0.50, 0.52), (0.31, 0.75), (0.69, 0.75)),
}
"""Where the five points lie in the crop, as fractions of its side: eyes, nose tip, mouth corners, left to right."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network is given."""

    size: int
    """Side of the square crop, px."""
    channels: Literal[1, 3]
    """1: luma (ITU-R BT.601). 3: RGB."""
    template: str
    """Key into ``TEMPLATES``."""
    margin: float = 1.0
    """Width of the crop relative to the template's; over 1 shows more around the face."""
    aligned_size: int | None = None
    """Pictures that are aligned faces already are resized to this side, px, of which the centre is taken; None:
    to ``size``."""

    def template_px(self) -> Float32:
        """The five points of an aligned face, (5, 2) px; (0, 0) is the centre of the top left pixel."""
        return _template_px(self)


@lru_cache(maxsize=64)
def _template_px(spec: InputSpec) -> Float32:
    unit = (np.asarray(TEMPLATES[spec.template], np.float64) - 0.5) / spec.margin + 0.5
    points = (unit * spec.size - 0.5).astype(np.float32)
    points.setflags(write=False)  # every caller is given the same array
    return points


@dataclass(frozen=True, slots=True)
class TemporalSpec:
    """The CNN-RNN part, for models that have one."""

    sequence_length: int
    feature_width: int
    direction: Literal["bidirectional", "forward"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The contents of ``model.json``."""

    name: str
    version: str
    licence: str
    trained_on: tuple[str, ...]
    input: InputSpec
    au_thresholds: tuple[float, ...]
    """By ``au_labels``: an action unit counts as active at or over it."""
    au_thresholds_from: str
    """How and on what data the thresholds were chosen."""
    members: int
    feature_width: int
    """Width of each task's features."""
    expression_labels: tuple[str, ...] = EXPRESSION_NAMES
    """In the order of the network's logits; empty: the network has no output ``expression``."""
    expression_temperature: float = 1.0
    """What the expression logits are divided by before the softmax, so that probabilities are honest."""
    expression_temperature_from: str = "not calibrated"
    """How and on what data the temperature was chosen."""
    expression_prior: tuple[float, ...] | None = None
    """Share of each of ``expression_labels`` in training, > 0, sums to 1; None: not known, and ``balanced`` cannot be
    asked for."""
    expression_prior_from: str = "not stated"
    """Of what data the shares are."""
    balanced_temperature: float | None = None
    """What the logits less the logarithm of the prior are divided by with the prior ``balanced``; None:
    ``expression_temperature``."""
    au_labels: tuple[str, ...] = AU_NAMES
    """In the order of the network's logits; empty: the network has no output ``au``."""
    va_bins: int = VA_BINS
    """Bins of each of valence and arousal; logits 0..bins-1 are valence, the rest arousal."""
    valence_arousal: bool = True
    """Whether the network has the output ``va``."""
    intensity: bool = False
    """Whether it has the output ``intensity``: a logit for each of ``au_labels``, of 0..1."""
    visibility_thresholds: tuple[float, float, float] | None = None
    """Visible shares of brows, eyes and mouth, 0..1, under which they count as hidden; None: the network has no output
    ``visibility``, three logits."""
    visibility_thresholds_from: str = "not calibrated"
    """How and on what data they were chosen."""
    pose: bool = False
    """Whether it has the output ``pose``: pitch, yaw and roll of the head in the crop, degrees."""
    ensemble: EnsembleRule = "probabilities"
    temporal: TemporalSpec | None = None
    frame_model: str | None = None
    """Model whose frame.onnx is this model's too, instead of a copy in the folder; ``files`` has its sha256."""
    precision: Precision = "fp32"
    metrics: dict[str, Any] = field(default_factory=dict)
    """What the model reached, by data set."""
    files: dict[str, str] = field(default_factory=dict)
    """sha256 of every file of the folder beside model.json."""

    def __post_init__(self) -> None:
        try:
            LabelSet(self.expression_labels, self.au_labels, self.valence_arousal, self.intensity)
        except ValueError as error:
            raise ModelError(
                f"model {self.name!r}: its expressions, action units, valence and arousal are no possible set of "
                f"labels: {error}"
            ) from error
        if len(self.au_thresholds) != len(self.au_labels) or not all(0 <= t <= 1 for t in self.au_thresholds):
            raise ModelError(
                f"model {self.name!r}: needs one AU threshold in 0..1 for each of the {len(self.au_labels)} action "
                f"units, got {list(self.au_thresholds)}"
            )
        if not 0 < self.expression_temperature < math.inf:
            raise ModelError(
                f"model {self.name!r}: the expression temperature must be positive, got {self.expression_temperature}"
            )
        self._check_prior()
        shares = self.visibility_thresholds
        if shares is not None and (len(shares) != 3 or not all(0 < share <= 1 for share in shares)):
            raise ModelError(
                f"model {self.name!r}: needs three visibility thresholds over 0 and at most 1, for brows, eyes and "
                f"mouth, got {list(shares)}"
            )
        if self.input.template not in TEMPLATES:
            raise ModelError(
                f"model {self.name!r}: template {self.input.template!r} is unknown; allowed: {', '.join(TEMPLATES)}"
            )
        possible = type(self.input.channels) is int and self.input.channels in (1, 3)
        if not possible or not 1 <= self.input.size <= LARGEST_SIZE or not 0.01 <= self.input.margin <= 100:
            raise ModelError(f"model {self.name!r}: impossible input {self.input}")
        if self.input.aligned_size is not None and not self.input.size <= self.input.aligned_size <= LARGEST_SIZE:
            raise ModelError(
                f"model {self.name!r}: aligned_size must be at least size, at most {LARGEST_SIZE}, got {self.input}"
            )
        if self.ensemble not in get_args(EnsembleRule):
            raise ModelError(
                f"model {self.name!r}: ensemble rule {self.ensemble!r} is unknown; allowed: "
                f"{', '.join(get_args(EnsembleRule))}"
            )
        if self.precision not in get_args(Precision):
            allowed = ", ".join(get_args(Precision))
            raise ModelError(f"model {self.name!r}: precision {self.precision!r} is unknown; allowed: {allowed}")
        if self.temporal is not None and (
            not 1 <= self.temporal.sequence_length <= LARGEST_COUNT
            or not 1 <= self.temporal.feature_width <= LARGEST_COUNT
            or self.temporal.direction not in ("bidirectional", "forward")
        ):
            raise ModelError(f"model {self.name!r}: impossible temporal part {self.temporal}")
        named = self.frame_model is None or not set(self.frame_model) & set("/\\:\0")
        if not named or self.frame_model in ("", ".", ".."):
            raise ModelError(f"model {self.name!r}: frame_model must be a plain name, got {self.frame_model!r}")
        counts = (self.members, self.feature_width, self.va_bins)
        if not all(1 <= count <= LARGEST_COUNT for count in counts) or self.va_bins < 2:
            raise ModelError(
                f"model {self.name!r}: members, feature_width and va_bins must be positive, at most {LARGEST_COUNT}"
            )
        for what, text in (("name", self.name), ("version", self.version), ("licence", self.licence)):
            if not text.isprintable():
                raise ModelError(f"model {self.name!r}: its {what} must be one line of text, got {text!r}")

    def _check_prior(self) -> None:
        temperature, prior = self.balanced_temperature, self.expression_prior
        if temperature is not None and not 0 < temperature < math.inf:
            raise ModelError(f"model {self.name!r}: the balanced temperature must be positive, got {temperature}")
        if prior is not None and (
            len(prior) != len(self.expression_labels)
            or not all(0 < share <= 1 for share in prior)
            or abs(sum(prior) - 1) > 0.01
        ):
            raise ModelError(
                f"model {self.name!r}: the prior must be a share over 0 for each of the {len(self.expression_labels)} "
                f"expressions, 1 in sum, got {list(prior)}"
            )
        if temperature is not None and prior is None:
            raise ModelError(f"model {self.name!r}: a balanced temperature goes with a prior, and there is none")

    def check_prior(self, prior: Prior) -> None:
        """Refuse a prior that expressions cannot be read out with.

        Raises:
            ValueError: there is no such prior, or ``balanced`` of a model that does not state how common its
                expressions were in training.
        """
        if prior not in get_args(Prior):
            raise ValueError(f"prior must be {' or '.join(get_args(Prior))}, got {prior!r}")
        if prior == "balanced" and self.expression_prior is None:
            raise ValueError(
                f"model {self.name!r} does not state how common each expression was in its training data, so its "
                "answers cannot be balanced; leave out the prior, or take another model"
            )

    @property
    def format_version(self) -> int:
        """Version of the format that ``model.json`` needs; older affectkits refuse newer ones."""
        return 2 if self.further_widths else 1

    @property
    def labels(self) -> LabelSet:
        """What the model answers, in the usual order, which is that of every answer whatever the network's is."""
        seen = self.visibility_thresholds is not None
        return _labels(self.expression_labels, self.au_labels, self.valence_arousal, self.intensity, seen, self.pose)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those of ``TASKS`` that the network has."""
        present = (bool(self.expression_labels), bool(self.au_labels), self.valence_arousal)
        return tuple(task for task, there in zip(TASKS, present, strict=True) if there)

    @property
    def task_widths(self) -> dict[str, int]:
        """Number of logits of each of ``tasks``."""
        widths = {"expression": len(self.expression_labels), "au": len(self.au_labels), "va": 2 * self.va_bins}
        return {task: widths[task] for task in self.tasks}

    @property
    def further_widths(self) -> dict[str, int]:
        """Number of values of each of ``FURTHER`` that the frame network has."""
        there = (self.intensity, self.visibility_thresholds is not None, self.pose)
        widths = (len(self.au_labels), 3, 3)
        return {name: width for name, width, present in zip(FURTHER, widths, there, strict=True) if present}

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold of each action unit, by its name, in the order of ``au_labels``."""
        return dict(zip(self.au_labels, self.au_thresholds, strict=True))

    @property
    def label_thresholds(self) -> Array:
        """(A,) the thresholds in the order of ``labels.action_units``; not to be written to."""
        return _label_thresholds(self.au_labels, self.au_thresholds)

    def to_json(self) -> str:
        """The text of ``model.json``."""
        from affectkit.spec_file import text_of  # late: it makes what is defined here

        return text_of(self)

    @classmethod
    def from_json(cls, text: str, where: str | Path = "model.json") -> ModelSpec:
        """Parse the text of a ``model.json``.

        Raises:
            ModelError: not JSON, a field is missing or has an impossible value, or the format is newer than this
                affectkit reads.
        """
        from affectkit.spec_file import parsed  # late: it makes what is defined here

        return parsed(text, where)


@lru_cache(maxsize=64)
def _labels(
    expressions: tuple[str, ...],
    action_units: tuple[str, ...],
    valence_arousal: bool,
    intensity: bool = False,
    visibility: bool = False,
    pose: bool = False,
) -> LabelSet:
    return LabelSet.of(
        expressions,
        action_units,
        valence_arousal=valence_arousal,
        intensity=intensity,
        visibility=visibility,
        pose=pose,
    )


@lru_cache(maxsize=64)
def _label_thresholds(units: tuple[str, ...], thresholds: tuple[float, ...]) -> Array:
    by_name = dict(zip(units, thresholds, strict=True))
    ordered = np.array([by_name[name] for name in _labels((), units, True).action_units], np.float64)
    ordered.setflags(write=False)  # every caller is given the same array
    return ordered
